"""What a person sees of a display: no torn lines, messages above it. A terminal that takes nothing delays nobody."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator

import pytest

from crawler import logs
from crawler.monitor import display
from crawler.monitor.display import Display
from tests.monitor.terminals import Screen, Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    found = Terminal(40, 10)
    yield found
    found.close()


def lines_of(*lines: str) -> display.Frame:
    return lambda columns, rows: [line[:columns] for line in lines][:rows]


def test_a_frame_takes_the_place_of_the_last_one(terminal: Terminal) -> None:
    shown, screen = Display(terminal.stream), Screen(40)
    screen.feed("$ crawler run\r\n")
    for n in range(3):
        shown.show("", lines_of("", f"one {n}", "two", *["three"] * n))
        screen.feed(terminal.read())
    assert screen.lines == ["$ crawler run", "", "one 2", "two", "three", "three"]
    shown.show("", lines_of("", "one 3"))
    screen.feed(terminal.read())
    assert screen.lines == ["$ crawler run", "", "one 3"]
    shown.clear()
    screen.feed(terminal.read())
    screen.feed("summary")
    assert screen.lines == ["$ crawler run", "summary"]


def test_messages_stay_above_it(terminal: Terminal) -> None:
    shown, screen = Display(terminal.stream), Screen(40)
    assert not shown.say("not yet")
    for n in range(3):
        shown.show("", lines_of("", f"one {n}", "two"))
        assert shown.say(f"crawler: message {n} " + "x" * 30)
    screen.feed(terminal.read())
    messages = [line for n in range(3) for line in (f"crawler: message {n} {'x' * 21}", "x" * 9)]
    assert screen.lines == [*messages, "", "one 2", "two"]


def test_what_another_process_writes_stays_as_well(terminal: Terminal) -> None:
    """A worker, or a hook that prints: on the blank line, where the cursor is."""
    shown, screen = Display(terminal.stream), Screen(40)
    shown.show("", lines_of("", "one", "two"))
    screen.feed(terminal.read() + "printed by a hook\r\n")
    shown.show("", lines_of("", "one", "two"))
    screen.feed(terminal.read())
    assert screen.lines == ["printed by a hook", "", "one", "two"]


def test_it_asks_for_the_size_each_time(terminal: Terminal) -> None:
    shown, sizes = Display(terminal.stream), []

    def frame(columns: int, rows: int) -> list[str]:
        sizes.append((columns, rows))
        return ["x" * columns] * rows

    shown.show("", frame)
    terminal.resize(12, 3)
    shown.show("", frame)
    assert sizes == [(39, 9), (11, 2)]


def test_a_line_alone_is_cut_and_made_safe(terminal: Terminal) -> None:
    shown, screen = Display(terminal.stream), Screen(40)
    shown.show("seeding: \x1b[2J " + "y" * 100)
    screen.feed(terminal.read())
    assert screen.lines == [f"seeding: \ufffd[2J {'y' * 25}"]


@pytest.mark.parametrize("how", ["dumb", "unknown", "", "plain"])
def test_without_cursor_movement_there_is_a_line_now_and_then(
    terminal: Terminal, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm" if how == "plain" else how)
    shown, now = Display(terminal.stream), [100.0]
    shown.plain |= how == "plain"
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for n in range(61):
        now[0] += 0.5
        shown.show("same" if n < 21 else f"line {n}\x1b[J", lines_of("never"))
    assert not shown.say("a message is written as any other")
    shown.clear()
    assert terminal.read() == "same\r\nline 21\ufffd[J\r\nline 41\ufffd[J\r\n"


def test_a_file_gets_nothing() -> None:
    stream = io.StringIO()
    shown = Display(stream)
    shown.show("a line", lines_of("a frame"))
    assert not shown.say("a message")
    shown.clear()
    assert stream.getvalue() == ""


def test_a_terminal_that_takes_nothing_delays_nobody(terminal: Terminal) -> None:
    """Nobody reads: the kernel's buffer is full after some frames. Later the last messages and one frame are there."""
    shown = Display(terminal.stream)
    began = time.monotonic()
    for n in range(2000):
        shown.show("", lines_of("", f"frame {n}", *["x" * 39] * 7))
        shown.say(f"message {n}")
    assert time.monotonic() - began < 5
    assert len(shown._unsent) < 2 * display._MAX_UNSENT
    screen, said = Screen(40), terminal.read()
    while shown._unsent:
        shown.show("", lines_of("", "the last"))
        said += terminal.read()
    shown.show("", lines_of("", "the last"))
    screen.feed(said + terminal.read())
    assert screen.lines[-2:] == ["", "the last"]
    assert screen.lines[0] == "message 0"


def test_a_terminal_that_is_closed_is_no_error(terminal: Terminal) -> None:
    shown = Display(terminal.stream)
    shown.show("", lines_of("", "one"))
    os.close(terminal.ours)
    shown.show("", lines_of("", "two"))
    assert shown.say("a message")
    shown.clear()
    assert shown._unsent == b""


def test_the_descriptor_that_others_share_stays_as_it_is(terminal: Terminal) -> None:
    Display(terminal.stream).show("one")
    assert os.get_blocking(terminal.theirs)
    assert terminal.read()


@pytest.mark.parametrize(("plain", "before"), [(False, "\r\x1b[J"), (True, "")])
def test_a_worker_erases_the_screen_of_its_pool_before_it_logs(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, plain: bool, before: str
) -> None:
    monkeypatch.setattr("sys.stderr", terminal.stream)
    monkeypatch.setattr("os.isatty", lambda _: True)
    logs.open_log(None, True, "worker", plain=plain).note("a note\x1b[2J")
    assert terminal.read() == f"{before}crawler: a note\ufffd[2J\r\n"
