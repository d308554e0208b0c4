"""The state of an export: the old or the new one, whatever happens; held by one export; refused when it is no state."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import CrawlerError, UsageError
from crawler.export import files
from crawler.export.state import VERSION, ExportState, Mark

FIELDS: dict[str, Any] = {
    "version": VERSION,
    "crawl": "default",
    "generation": "7c01",
    "output": "a.jsonl",
    "format": "jsonl",
    "length": 52,
    "tail": "5f02",
    "only": ["fetched"],
    "status": None,
    "cursor": "1893456000123-0",
    "last": "77",
    "records": 3,
    "piped": False,
}
MARK = Mark(**FIELDS)


def refused(name: object) -> str:
    with pytest.raises(UsageError) as error:
        ExportState(str(name))
    assert "\n" not in str(error.value)
    return str(error.value)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_is_put_in_comes_out(tmp_path: Path) -> None:
    with ExportState(str(tmp_path / "s")) as state:
        assert state.mark is None
        state.replace(MARK)
        assert state.mark == MARK
    added = {"unique": False, "fields": [], "items": False, "columns": None, "changes": False, "drained": 0}
    assert json.loads((tmp_path / "s").read_text()) == FIELDS | added
    with ExportState(str(tmp_path / "s")) as state:
        assert state.mark == MARK
    assert names(tmp_path) == ["s"]


def test_one_that_was_never_used_goes(tmp_path: Path) -> None:
    with ExportState(str(tmp_path / "s")):
        assert names(tmp_path) == ["s"]
    assert names(tmp_path) == []


def test_an_empty_one_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    with ExportState(str(tmp_path / "s")) as state:
        assert state.mark is None
    assert names(tmp_path) == ["s"]


def test_it_is_held_by_one_export_through_all_its_replacements(tmp_path: Path) -> None:
    with ExportState(str(tmp_path / "s")) as state:
        assert "an export that is running" in refused(tmp_path / "s")
        for _ in range(2):
            state.replace(MARK)
            assert "an export that is running" in refused(tmp_path / "s")
    ExportState(str(tmp_path / "s")).close()


def test_what_a_killed_export_left_of_it_goes(tmp_path: Path) -> None:
    (tmp_path / ".s.01234567.part").write_bytes(b'{"vers')
    with ExportState(str(tmp_path / "s")):
        assert names(tmp_path) == ["s"]


def test_behind_a_symbolic_link_it_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "s").symlink_to("there/s")
    with ExportState(str(tmp_path / "s")) as state:
        state.replace(MARK)
    assert (tmp_path / "s").is_symlink()
    assert names(tmp_path / "there") == ["s"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (b"no json", "no state of an export, or a broken one"),
        (json.dumps(FIELDS).encode()[:-9], "broken one"),
        (b"\0" * 200, "broken one"),
        (b'{"url":"http://example.org/"}\n', "version"),
        ({"cursor": "soon"}, "cursor"),
        ({"length": -1}, "length"),
        ({"only": "fetched"}, "only"),
        ({"version": VERSION + 1, "cursor": {}}, f"(state {VERSION + 1}, this one knows {VERSION})"),
    ],
)
def test_what_is_no_state_is_refused_and_left(tmp_path: Path, changed: Any, words: str) -> None:
    raw = changed if isinstance(changed, bytes) else json.dumps(FIELDS | changed).encode()
    (tmp_path / "s").write_bytes(raw)
    said = refused(tmp_path / "s")
    assert words in said
    assert "name another --state and a new -o" in said
    assert (tmp_path / "s").read_bytes() == raw
    assert names(tmp_path) == ["s"]


def test_where_it_cannot_be_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    assert "no regular file" in refused(tmp_path)
    assert "no regular file" in refused(tmp_path / "fifo")
    assert "no regular file" in refused("/dev/null")
    assert "folder does not exist" in refused(tmp_path / "missing" / "s")
    assert "File name too long" in refused(tmp_path / ("a" * 300))
    assert "cannot be used" in refused(tmp_path / "loop")
    assert "cannot be used" in refused("a\0")
    assert "name a file" in refused("")
    assert names(tmp_path) == ["fifo", "loop"]


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="Linux has a folder where nobody can make files")
def test_in_a_folder_that_takes_no_files_it_is_refused() -> None:
    assert "cannot be used for the state" in refused("/sys/kernel/s")


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_when_it_cannot_be_written_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with ExportState(str(tmp_path / "s")) as state:
        state.replace(MARK)
        before = (tmp_path / "s").read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(files if step == "write" else os, step, fail)
            with pytest.raises(CrawlerError, match="s cannot be written: No space left on device; the same command"):
                state.replace(Mark(**FIELDS | {"records": 4}))
        assert (names(tmp_path), (tmp_path / "s").read_bytes(), state.mark) == (["s"], before, MARK)
        refused(tmp_path / "s")
        state.replace(Mark(**FIELDS | {"records": 5}))
    assert b'"records":5' in (tmp_path / "s").read_bytes()


def test_an_output_is_named_from_its_folder_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    with ExportState("../s") as state:
        assert state.name_of("a.jsonl") == "below/a.jsonl"
        assert state.name_of("../a.jsonl") == "a.jsonl"
        assert state.name_of("-") is None
        assert state.name_of("./-") == "below/-"
        assert state.name_of("/elsewhere/a.jsonl") == "/elsewhere/a.jsonl"
        assert state.output_of(Mark(**FIELDS | {"output": "below/a.jsonl"})) == tmp_path / "below" / "a.jsonl"
        assert state.output_of(Mark(**FIELDS | {"output": "/elsewhere/a"})) == Path("/elsewhere/a")
        assert state.output_of(Mark(**FIELDS | {"output": None})) is None
