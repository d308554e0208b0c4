"""A file that is continued is read by other programs while its export goes on: between two checkpoints, too."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crawler.export import byte_stream
from crawler.export.formats import format_of
from crawler.export.writer import KnownOutput
from tests.export.conftest import page
from tests.export.readers import numbers

WORDS = random.Random(3)


def text() -> str:
    """Some hundred words that do not compress well."""
    return " ".join(f"{WORDS.getrandbits(64):x}" for _ in range(300))


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "csv.zst"])
def test_a_continued_file_is_readable_after_each_record(
    tmp_path: Path, ending: str, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_stream, "_HELD", 8 * 1024)
    monkeypatch.setattr(byte_stream, "_MEMBER", 64 * 1024)
    path = tmp_path / f"pages.{ending}"
    found: list[int] = []
    with format_of(str(path)).resume(str(path), None, follow=live) as writer:
        writer.expect(())
        for n in range(25):
            writer.write(page(n, text=text()))
            writer.flush()
            before, found = found, numbers(path)
            assert found[: len(before)] == before
            assert found == list(range(len(found)))
        assert len(found) > 10, "all of it was held back"
        writer.checkpoint()
        assert numbers(path) == list(range(25))


def test_what_a_kill_leaves_is_readable_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has members behind the last checkpoint: they are read, then cut off and written again."""
    monkeypatch.setattr(byte_stream, "_HELD", 1024)
    monkeypatch.setattr(byte_stream, "_MEMBER", 4 * 1024)
    path, form = tmp_path / "pages.jsonl.gz", format_of("pages.jsonl.gz")
    first = form.resume(str(path), None, follow=False)
    first.write(page(0))
    first.checkpoint()
    known: KnownOutput = first.known
    for n in range(1, 9):
        first.write(page(n, text=text()))
    left = path.read_bytes()
    first.abort()
    path.write_bytes(left)
    assert numbers(path)[:4] == [0, 1, 2, 3]
    with form.resume(str(path), known, follow=False) as second:
        second.write(page(1))
        second.checkpoint()
    assert numbers(path) == [0, 1]
