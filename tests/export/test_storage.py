"""A folder of named files: each appears whole, one export holds it, what a killed one left is cleared away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crawler.errors import UsageError
from crawler.export.storage import LocalFolder, open_storage


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    found = open_storage(f"{tmp_path}/out/")
    assert isinstance(found, LocalFolder)
    found.lock()
    return found


def test_only_a_folder_or_a_name_with_a_slash_is_a_storage(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert open_storage(f"{tmp_path}/there") is not None
    assert open_storage(f"{tmp_path}/new/") is not None
    assert open_storage(f"{tmp_path}/new.jsonl") is None
    assert open_storage("-") is None


def test_what_was_put_is_there_until_it_is_deleted(folder: LocalFolder) -> None:
    part = folder.scratch()
    part.write_bytes(b"large")
    folder.put("part-1", part)
    for n in range(20):
        folder.put(f"host/a/{n}.md", b"%d" % n)
    folder.put("host/a/3.md", b"new")
    folder.sync()
    assert sorted(folder.names()) == sorted(["part-1", *(f"host/a/{n}.md" for n in range(20))])
    assert (folder.read("part-1"), folder.read("host/a/3.md"), folder.read("none")) == (b"large", b"new", None)
    folder.delete("host/a/3.md")
    folder.delete("none")
    folder.sync()
    assert folder.read("host/a/3.md") is None


def test_a_second_export_is_refused_until_the_first_is_closed(folder: LocalFolder) -> None:
    second = LocalFolder(folder.name)
    with pytest.raises(UsageError, match="another export"):
        second.lock()
    folder.close()
    second.lock()
    second.close()


def test_what_is_not_put_goes_at_the_next_lock(folder: LocalFolder) -> None:
    left = folder.scratch()
    assert list(folder.names()) == []
    os.close(folder._fd)  # killed: nothing is cleared, the lock is gone
    LocalFolder(folder.name).lock()
    assert not left.exists()


def test_a_file_or_a_missing_folder_above_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"(no folder|Not a directory)"):
        LocalFolder(f"{tmp_path}/file/")
    with pytest.raises(UsageError, match="create it first"):
        LocalFolder(f"{tmp_path}/none/out/").lock()
