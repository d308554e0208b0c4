"""The log file: whole lines from many processes, and no file that stops or slows the program."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import logs
from crawler.errors import UsageError
from crawler.events import Event
from crawler.logs import Log, LogFile, open_log, write_line


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def opened(said: list[str]) -> Iterator[Callable[[Path | str], Log]]:
    """Opens a log that reports into `said`."""
    logger = logging.getLogger("crawler")
    before = logger.handlers[:], logger.level, logger.propagate
    yield lambda file: open_log(str(file), False, "w", said.append)
    for handler in logger.handlers:
        if isinstance(handler, LogFile):
            handler.close()
    logger.handlers[:], logger.level, logger.propagate = before


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def event(number: int) -> Event:
    return Event(time="t", event="worker-started", worker="w", pid=number)


def lost(log: Log) -> int:
    assert log.file is not None
    return log.file.lost


def test_messages_and_events_are_lines_of_json(tmp_path: Path, opened: Callable[[Path], Log]) -> None:
    log = opened(tmp_path / "log")
    log.note("a\x1bb")
    write_line(event(1))
    message, started = lines(tmp_path / "log")
    assert (message["level"], message["worker"], message["message"]) == ("info", "w", "a\x1bb")
    assert "\x1b" not in (tmp_path / "log").read_text()
    assert started == {"time": "t", "event": "worker-started", "worker": "w", "pid": 1}


def test_many_processes_append_whole_lines(tmp_path: Path) -> None:
    code = (
        "import sys; from crawler.logs import open_log\n"
        "log = open_log(sys.argv[1], False, sys.argv[2])\n"
        "for n in range(300): log.note(f'{n} ' + 'x' * 20_000)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log"), str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    found = [(line["worker"], int(line["message"].split()[0])) for line in lines(tmp_path / "log")]
    assert sorted(found) == sorted((str(w), n) for w in range(4) for n in range(300))


def test_a_full_disk_is_reported_once_and_lines_are_counted(opened: Callable[[str], Log], said: list[str]) -> None:
    log = opened("/dev/full")
    for n in range(100):
        log.write([event(n)])
    assert said == ["--log-file /dev/full: cannot be written: No space left on device; its lines are dropped"]
    assert lost(log) == 100


def test_a_line_that_was_cut_by_a_full_disk_stays_alone(
    tmp_path: Path, opened: Callable[[Path], Log], said: list[str]
) -> None:
    """The disk is full in the middle of a line. Later lines are whole, and one says how many are missing."""
    file, limits = tmp_path / "log", resource.getrlimit(resource.RLIMIT_FSIZE)
    log = opened(file)
    log.write([event(1)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20, limits[1]))
    try:
        log.write([event(2)])
        log.write([event(3)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.write([event(4)])
    first, torn, fourth, note = file.read_text().splitlines()
    assert (json.loads(first)["pid"], len(torn), json.loads(fourth)["pid"]) == (1, 20, 4)
    assert json.loads(note)["message"] == "2 lines before this one could not be written"
    assert (len(said), lost(log)) == (1, 2)


def test_of_lines_that_were_written_together_those_that_fit_are_whole(
    tmp_path: Path, opened: Callable[[Path], Log]
) -> None:
    file, limits = tmp_path / "log", resource.getrlimit(resource.RLIMIT_FSIZE)
    log = opened(file)
    log.write([event(1)])
    size = file.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size, limits[1]))
    try:
        log.write([event(2), event(3), event(4)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.write([event(5)])
    *started, note = lines(file)
    assert [line["pid"] for line in started] == [1, 2, 5]
    assert (note["message"], lost(log)) == ("2 lines before this one could not be written", 2)


def test_a_file_that_was_moved_away_is_replaced(
    tmp_path: Path, opened: Callable[[Path], Log], monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(logs, "_LOOK_AGAIN", 0.0)
    log = opened(tmp_path / "log")
    log.write([event(1)])
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.write([event(2)])
    (tmp_path / "log").unlink()
    log.write([event(3)])
    assert [line["pid"] for line in lines(tmp_path / "log.1")] == [1]
    assert [line["pid"] for line in lines(tmp_path / "log")] == [3]
    assert said == []


def test_a_folder_that_vanished_and_comes_back(
    tmp_path: Path, opened: Callable[[Path], Log], monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(logs, "_LOOK_AGAIN", 0.0)
    folder = tmp_path / "logs"
    folder.mkdir()
    log = opened(folder / "log")
    log.write([event(1)])
    shutil.rmtree(folder)
    log.write([event(2)])
    log.write([event(3)])
    assert (len(said), lost(log)) == (1, 2)
    assert "No such file" in said[0]
    folder.mkdir()
    log.write([event(4)])
    fourth, note = lines(folder / "log")
    assert (fourth["pid"], note["message"]) == (4, "2 lines before this one could not be written")


def test_a_reader_that_is_slow_does_not_slow_us(tmp_path: Path, opened: Callable[[Path], Log], said: list[str]) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    log = opened(tmp_path / "log")
    began = time.monotonic()
    for n in range(5_000):
        log.write([event(n)])
    assert time.monotonic() - began < 5
    assert 0 < lost(log) < 5_000
    assert len(said) == 1
    os.close(reader)


@pytest.mark.parametrize("name", ["/nowhere/log", "/dev/stdout", "/proc/self/fd/1", "fifo"])
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, opened: Callable[[str], Log], name: str) -> None:
    os.mkfifo(tmp_path / "fifo")  # nobody reads it
    with pytest.raises(UsageError, match="cannot be written"):
        opened(str(tmp_path / name))
