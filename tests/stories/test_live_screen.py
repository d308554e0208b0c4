"""What a person sees of a crawl on a terminal: the live screen, plain lines, and what stays of them."""

from __future__ import annotations

import re
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator

import pytest

from tests.monitor.terminals import Screen, Terminal
from tests.stories.commands import PROGRAM, Commands, children, is_worker, kill_hard, wait_until
from tests.stories.sites import Site, Sites, html

pytestmark = pytest.mark.slow
DEAD = "http://127.0.0.1:9/"
RUN = ("--delay", "20ms", "-n", "1")


class OnTerminal:
    """A command whose stderr is a terminal."""

    def __init__(self, commands: Commands, arguments: tuple[str, ...], columns: int, term: str) -> None:
        self.terminal = Terminal(columns, 24)
        self.process = subprocess.Popen(
            [PROGRAM, *arguments],
            cwd=commands.folder,
            env=commands.env | {"TERM": term},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.terminal.theirs,
        )
        self.shown = ""

    def look(self) -> str:
        """All that was written to the terminal so far."""
        self.shown += self.terminal.read()
        return self.shown

    def wait_to_show(self, text: str) -> None:
        """Wait until *text* was shown."""
        wait_until(lambda: text in self.look(), f"it to show {text!r}")

    def wait(self) -> int:
        """Its exit code; what it shows is read meanwhile."""
        wait_until(lambda: self.look() is None or self.process.poll() is not None, "its end")
        self.look()
        return self.process.returncode

    def workers(self) -> list[int]:
        return [pid for pid in children(self.process.pid) if is_worker(pid)]

    def close(self) -> None:
        if self.process.poll() is None:
            workers = self.workers()
            self.process.kill()
            for pid in workers:
                kill_hard(pid)
            self.process.wait()
        self.terminal.close()


Start = Callable[..., OnTerminal]


@pytest.fixture
def start(commands: Commands) -> Iterator[Start]:
    """Starts commands on terminals of their own."""
    started: list[OnTerminal] = []

    def begin(*arguments: str, columns: int = 80, term: str = "xterm-256color") -> OnTerminal:
        started.append(OnTerminal(commands, arguments, columns, term))
        return started[-1]

    yield begin
    for command in started:
        command.close()


@pytest.fixture
def site(sites: Sites) -> Site:
    """A site whose pages are never all known."""
    found = sites.add()
    for n in range(3000):
        found.serve(f"/{n}", html([f"/{n + 1}", f"/{n + 2}"]))
    return found


def seen(text: str, columns: int) -> list[str]:
    screen = Screen(columns)
    screen.feed(text)
    return screen.lines


def test_a_run_shows_its_numbers_and_leaves_only_its_summary(start: Start, site: Site) -> None:
    going = start("run", site.url("/0"), DEAD, *RUN)
    going.wait_to_show("failing")
    going.wait_to_show("for what is queued")
    lines = seen(going.shown, 80)
    begin = max(n for n, line in enumerate(lines) if line.startswith("crawl 'default' running"))
    labels = [line.split()[0] for line in lines[begin + 1 :] if not line.startswith(" ")]
    assert labels[:4] == ["rate", "queue", "now", "left"]
    assert "failing" in labels
    assert "127.0.0.1:9: " in "\n".join(lines)
    going.process.send_signal(signal.SIGINT)
    assert going.wait() == 130
    left = "\n".join(seen(going.shown, 80))
    assert not re.search(r"^(rate|queue|now|left) ", left, re.MULTILINE)
    assert "crawler: stopping" in left
    assert "crawl 'default': not done" in left
    assert "hosts that fail (`crawler hosts --failing`): 1" in left


def test_a_terminal_that_becomes_narrow_gets_narrow_lines(start: Start, site: Site) -> None:
    going = start("run", site.url("/0"), *RUN, columns=160)
    going.wait_to_show("in flight")
    going.terminal.resize(40, 24)
    before = len(going.look())
    wait_until(lambda: going.look().count("crawl 'default'", before) > 4, "the next frames")
    frames = re.split(r"\x1b\[J", going.shown[before:])[2:-1]
    lines = [re.sub(r"\x1b\[[\d;]*[A-Za-z]|\r", "", line) for frame in frames for line in frame.split("\n")]
    assert max(map(len, lines)) <= 40  # one more than is drawn: the terminal makes a line feed of two characters
    for label in ("crawl 'default' running", "rate", "queue", "now"):
        assert any(line.startswith(label) for line in lines)


@pytest.mark.parametrize(("term", "more"), [("dumb", ()), ("xterm", ("--plain",))])
def test_no_escape_code_reaches_a_dumb_terminal_or_a_screen_reader(
    start: Start, site: Site, term: str, more: tuple[str, ...]
) -> None:
    going = start("run", site.url("/0"), DEAD, *RUN, *more, term=term)
    going.wait_to_show("host failing")
    going.process.send_signal(signal.SIGINT)
    assert going.wait() == 130
    assert "\x1b" not in going.shown
    assert "\x08" not in going.shown
    lines = [line for line in going.shown.splitlines() if " | queue " in line]
    assert 1 <= len(lines) <= 3
    assert "crawl 'default': not done" in going.shown


def test_watching_shows_the_same(commands: Commands, start: Start, site: Site) -> None:
    running = commands.start("run", site.url("/0"), *RUN)
    wait_until(lambda: len(site.seen) > 5, "the crawl to run")
    watching = start("status", "--watch")
    watching.wait_to_show("in flight")
    watching.process.send_signal(signal.SIGINT)
    assert watching.wait() == 0
    assert seen(watching.shown, 80) == [""]
    running.signal(signal.SIGINT)
    assert running.wait().code == 130


def test_a_terminal_that_is_stopped_does_not_keep_the_pool_from_its_work(start: Start, site: Site) -> None:
    """Ctrl-S: nothing can be written. A worker that dies is replaced all the same, and the message comes later."""
    going = start("run", site.url("/0"), *RUN)
    going.wait_to_show("in flight")
    termios.tcflow(going.terminal.theirs, termios.TCOOFF)
    (first,) = going.workers()
    kill_hard(first)
    wait_until(lambda: going.workers() and first not in going.workers(), "another worker")
    asked = len(site.seen)
    wait_until(lambda: len(site.seen) > asked + 20, "pages")
    termios.tcflow(going.terminal.theirs, termios.TCOON)
    going.wait_to_show(f"worker {first}")
    going.process.send_signal(signal.SIGINT)
    assert going.wait() == 130


def test_an_error_leaves_nothing_of_the_screen(commands: Commands, start: Start, site: Site) -> None:
    going = start("run", site.url("/0"), *RUN)
    going.wait_to_show("in flight")
    assert commands.run("delete", "--yes").code == 0
    assert going.wait() == 2
    left = [line for line in seen(going.shown, 80) if line]
    assert "crawl" in left[-1]
    assert not [line for line in left if not line.startswith(("crawler: ", "https", "//", "mybot"))], left
