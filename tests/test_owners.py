"""Whose files and links are obeyed and followed: settings, outputs, states and logs."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from crawler import owners
from crawler.config import load
from crawler.errors import CrawlerError, UsageError
from crawler.export import ExportState, open_writer
from crawler.export.formats import format_of
from crawler.logs import open_log

OTHER = 65534


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a file or link another user's: really as root, else by becoming another user for what is asked."""

    def to_another(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, OTHER, OTHER, follow_symlinks=False)
        else:
            uid = os.geteuid() + 1
            monkeypatch.setattr(os, "geteuid", lambda: uid)

    return to_another


# -- settings ----------------------------------------------------------------------------------------------------------


def _settings(folder: Path, mode: int = 0o644) -> Path:
    file = folder / "crawler.toml"
    file.write_text('delay = "7s"\nhook = "evil.py:f"\n')
    file.chmod(mode)
    return file


def test_a_file_of_settings_of_our_own_is_obeyed_and_named(tmp_path: Path) -> None:
    loaded = load({}, {}, _settings(tmp_path))
    assert (loaded.settings.delay, loaded.file) == (7, tmp_path / "crawler.toml")
    assert load({}, {}, tmp_path / "none.toml").file is None


def test_a_file_of_settings_of_another_user_is_refused(tmp_path: Path, give: Callable[[Path], None]) -> None:
    file = _settings(tmp_path)
    give(file)
    with pytest.raises(UsageError, match="belongs to another user"):
        load({}, {}, file)


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_a_file_of_settings_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UsageError, match="others may write it, and it may name code to run: `chmod go-w"):
        load({}, {}, _settings(tmp_path, mode))


def test_a_link_of_another_user_to_settings_is_not_followed(tmp_path: Path, give: Callable[[Path], None]) -> None:
    """Even to a file of ours: which one is read is for us to say."""
    (tmp_path / "mine").mkdir()
    link = tmp_path / "crawler.toml"
    link.symlink_to(_settings(tmp_path / "mine"))
    assert load({}, {}, link).settings.delay == 7
    give(link)
    with pytest.raises(UsageError, match="is a link of another user"):
        load({}, {}, link)


def test_settings_in_a_pipe_or_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "crawler.toml")
    (tmp_path / "folder.toml").mkdir()
    for name in ("crawler.toml", "folder.toml"):
        with pytest.raises(UsageError, match=r"no regular file|Is a directory"):
            load({}, {}, tmp_path / name)


def test_the_right_to_write_of_a_group_that_is_ours_alone_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is by default where each user has a group (umask 002)."""
    us = SimpleNamespace(pw_name="ann", pw_uid=os.geteuid(), pw_gid=1234)
    bob = SimpleNamespace(pw_name="bob", pw_uid=os.geteuid() + 1, pw_gid=1235)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: us)
    facts = os.stat_result((0o100664, 0, 0, 1, us.pw_uid, 1234, 0, 0, 0, 0))
    for members, users, expected in (
        ([], [us, bob], False),
        (["ann"], [us, bob], False),
        (["bob"], [us, bob], True),
        ([], [us, SimpleNamespace(pw_name="eve", pw_uid=99, pw_gid=1234)], True),
    ):
        monkeypatch.setattr(grp, "getgrgid", lambda gid, members=members: SimpleNamespace(gr_mem=members))
        monkeypatch.setattr(pwd, "getpwall", lambda users=users: users)
        assert owners.others_may_write(facts) is expected


# -- links -------------------------------------------------------------------------------------------------------------


def _export(name: str) -> None:
    open_writer(name).finish()


def _follow(name: str) -> None:
    open_writer(name, follow=True).finish()


def _append(name: str) -> None:
    format_of(name).resume(name, None, follow=False).finish()


def _state(name: str) -> None:
    with ExportState(name):
        pass


def _log(name: str) -> None:
    open_log(name, False, "test")


@pytest.mark.parametrize("use", [_export, _follow, _append, _state, _log])
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_of_another_user_is_not_followed(
    tmp_path: Path, give: Callable[[Path], None], use: Callable[[str], None], there: bool
) -> None:
    """Whatever the kernel's protected_symlinks says; what is behind it stays as it is."""
    behind = tmp_path / "behind.jsonl"
    if there:
        behind.touch()
    link = tmp_path / "out.jsonl"
    link.symlink_to(behind)
    before = behind.lstat() if there else None
    give(link)
    with pytest.raises(CrawlerError, match="is a link of another user"):
        use(str(link))
    assert link.is_symlink()
    assert behind.exists() == there
    if before is not None:
        assert (behind.stat().st_ino, behind.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("use", [_export, _follow, _append, _log])
def test_a_link_of_our_own_is_followed_through_others(tmp_path: Path, use: Callable[[str], None]) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "out.jsonl").symlink_to("over.jsonl")
    (tmp_path / "over.jsonl").symlink_to("deep/../deep/end.jsonl")
    use(str(tmp_path / "out.jsonl"))
    assert (tmp_path / "deep" / "end.jsonl").is_file()
    assert (tmp_path / "out.jsonl").is_symlink()


def test_links_on_the_way(tmp_path: Path, give: Callable[[Path], None]) -> None:
    """A colleague's link to a folder is followed; not one in a folder that all may write to."""
    (tmp_path / "real").mkdir()
    shared = tmp_path / "shared"
    shared.mkdir()
    link = shared / "to"
    link.symlink_to("../real")
    give(link)
    assert owners.resolved(link / "x") == tmp_path / "real" / "x"
    shared.chmod(0o1777)
    with pytest.raises(owners.ForeignLink):
        owners.resolved(link / "x")


def test_a_circle_of_links_and_descriptors(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        owners.resolved(tmp_path / "a")
    reading, writing = os.pipe()
    try:
        place = owners.resolved(f"/dev/fd/{writing}")
        os.close(os.open(place, os.O_WRONLY | owners.nofollow(place)))
    finally:
        os.close(reading)
        os.close(writing)
