"""`crawler export -o -` into pipes, sockets and terminals that take little, late, or nothing: each byte comes once."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl, page
from tests.stories.commands import PATIENCE, PROGRAM, Commands, wait_until

pytestmark = pytest.mark.slow

SIZE = 60
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Case:
    """Commands on a Redis whose crawl has SIZE records, and what an undisturbed export of them is."""

    commands: Commands

    def start(self, out: int, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """An export to the descriptor *out*."""
        process = subprocess.Popen(
            [PROGRAM, "export", "-o", "-", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            cwd=self.commands.folder,
            env=self.commands.env | (env or {}),
        )
        return process

    def whole(self, format: str) -> bytes:
        """What an export to a file holds."""
        name = f"whole.{format.replace('-', '.')}"
        assert self.commands.run("export", "-o", name).code == 0
        return (self.commands.folder / name).read_bytes()

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.commands.folder / "st").read_text())
        return found


def _case(redis_url: str, commands: Commands, text: str) -> Iterator[Case]:
    link = Connection(redis_url)
    Crawl.create(link, "default").commit([page(n, text=text) for n in range(SIZE)])
    yield Case(commands)
    link.close()


@pytest.fixture
def case(redis_url: str, commands_on: Callable[[str], Commands]) -> Iterator[Case]:
    """Lines of some 500 bytes."""
    yield from _case(redis_url, commands_on(redis_url), "The text. " * 30)


@pytest.fixture
def long_lines(redis_url: str, commands_on: Callable[[str], Commands]) -> Iterator[Case]:
    """Lines that are longer than what a pipe of 4,096 bytes takes."""
    yield from _case(redis_url, commands_on(redis_url), "The text. " * 1_000)


def a_pipe(size: int, blocking: bool) -> tuple[int, int]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, size)
    os.set_blocking(writing, blocking)
    return reading, writing


def read_slowly(fd: int, step: int = 1_000) -> bytes:
    """All that comes, in small steps."""
    got = b""
    with suppress(OSError):  # the end of a terminal is an error
        while data := os.read(fd, step):
            got += data
            time.sleep(0.0005)
    os.close(fd)
    return got


def full(fd: int) -> bool:
    """There is no room for a writer to *fd*."""
    return not select.select([], [fd], [], 0)[1]


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its code, and what it said."""
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    return process.wait(PATIENCE), said


@pytest.mark.parametrize(
    ("size", "blocking", "flags", "env"),
    [
        (4_096, False, (), {}),
        (4_096, False, (), UNBUFFERED),
        (4_096, False, ("--state", "st"), UNBUFFERED),
        (16_384, False, ("--state", "st"), {}),
        (4_096, False, ("--follow",), UNBUFFERED),
        (4_096, True, ("--state", "st", "--follow"), UNBUFFERED),
    ],
)
def test_a_slow_reader_gets_each_byte_once(
    case: Case, size: int, blocking: bool, flags: tuple[str, ...], env: dict[str, str]
) -> None:
    reading, writing = a_pipe(size, blocking)
    with case.start(writing, *flags, env=env) as process:
        wait_until(lambda: full(writing), "the pipe to be full")
        os.close(writing)
        got = read_slowly(reading)
        code, said = ended(process)
    assert (code, got) == (0, case.whole("jsonl"))
    assert f"{SIZE} records written to stdout" in said
    assert "--state" not in flags or case.state()["records"] == SIZE


@pytest.mark.parametrize("format", ["csv", "jsonl-gz"])
def test_a_slow_reader_gets_other_forms_whole(long_lines: Case, format: str) -> None:
    reading, writing = a_pipe(4_096, blocking=False)
    with long_lines.start(writing, "--format", format.replace("-", ".")) as process:
        os.close(writing)
        got = read_slowly(reading)
        code, _ = ended(process)
    whole = long_lines.whole(format)
    if format.endswith("gz"):  # what a reader may see at once is packed in other portions
        got, whole = gzip.decompress(got), gzip.decompress(whole)
    assert (code, got) == (0, whole)


def test_a_reader_that_waits_costs_no_time(case: Case) -> None:
    """As long as there is no room, the export sleeps: a look at the reader every tenth of a second is all."""

    def used() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def switches() -> int:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("voluntary_ctxt_switches")).split()[1])

    reading, writing = a_pipe(4_096, blocking=False)
    with case.start(writing) as process:
        wait_until(lambda: full(writing), "the pipe to be full")
        os.close(writing)
        before, looked = used(), switches()
        wait_until(lambda: switches() >= looked + 10, "ten looks at the reader")
        assert used() - before < 0.3
        assert len(read_slowly(reading)) == len(case.whole("jsonl"))
        assert ended(process)[0] == 0


@pytest.mark.parametrize("kind", ["socket", "terminal"])
@pytest.mark.parametrize("blocking", [False, True])
def test_a_socket_and_a_terminal_get_all(case: Case, kind: str, blocking: bool) -> None:
    if kind == "socket":
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        reading, writing = ours.detach(), theirs.detach()
    else:
        reading, writing = pty.openpty()
        tty.setraw(writing)
    os.set_blocking(writing, blocking)
    with case.start(writing, env=UNBUFFERED) as process:
        wait_until(lambda: full(writing), "it to be full")
        os.close(writing)
        got = read_slowly(reading)
        code, _ = ended(process)
    assert (code, got) == (0, case.whole("jsonl"))


# -- interrupted -------------------------------------------------------------------------------------------------------


def interrupted(case: Case, number: signal.Signals, *flags: str, blocking: bool = True) -> tuple[int, bytes, str]:
    """An export that is sent a signal while its pipe is full, whose reader reads on then."""
    reading, writing = a_pipe(4_096, blocking)
    with case.start(writing, *flags, env=UNBUFFERED) as process:
        wait_until(lambda: full(writing), "the pipe to be full")
        os.close(writing)
        process.send_signal(number)
        got = read_slowly(reading)
        code, said = ended(process)
    return code, got, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("format", ["jsonl", "csv", "jsonl.gz"])
def test_the_same_command_completes_what_was_interrupted(long_lines: Case, number: signal.Signals, format: str) -> None:
    """Each byte arrives once over both runs; in between the state counts what has arrived."""
    flags = ("--state", "st", "--format", format)
    code, got, said = interrupted(long_lines, number, *flags)
    unpacked = gzip.decompress(got) if format.endswith("gz") else got
    count = unpacked.count(b"\n") - unpacked.count(b"url,outcome,")
    assert (code, long_lines.state()["records"]) == (130, count)
    assert count < SIZE
    counted = f"{count} record" if count == 1 else f"{count} records"
    assert f"crawler: {counted} written to stdout, {count} in all" in said
    assert "the same command continues" in said
    rest = long_lines.commands.folder / "rest"
    with rest.open("wb") as out:
        assert ended(long_lines.start(out.fileno(), *flags))[0] == 0
    whole = long_lines.whole(format.replace(".", "-"))
    if format.endswith("gz"):
        got, whole = unpacked + gzip.decompress(rest.read_bytes()), gzip.decompress(whole)
    else:
        got += rest.read_bytes()
    assert got == whole


@pytest.mark.parametrize("flags", [(), ("--follow",)])
def test_what_is_interrupted_without_a_state_ends_with_a_whole_line(case: Case, flags: tuple[str, ...]) -> None:
    code, got, said = interrupted(case, signal.SIGTERM, *flags, blocking=False)
    assert code == 130
    assert case.whole("jsonl").startswith(got)
    assert got.endswith(b"\n")
    assert f"crawler: {len(got.splitlines())} records written to stdout" in said


def test_with_shards_too_the_same_command_completes_it(redis_url: str, commands_on: Callable[[str], Commands]) -> None:
    link = Connection(redis_url)
    urls = [f"http://h{n}.example.org/" for n in range(SIZE)]
    crawl = Crawl.create(link, "default", shards=3)
    crawl.commit([page(n, url=url, text="x" * 500) for n, url in enumerate(urls)])
    case = Case(commands_on(redis_url))
    code, got, _ = interrupted(case, signal.SIGTERM, "--state", "st")
    assert (code, case.state()["records"]) == (130, got.count(b"\n"))
    done = case.commands.run("export", "-o", "-", "--state", "st")
    assert done.code == 0
    assert sorted(json.loads(line)["url"] for line in (got + done.out.encode()).splitlines()) == sorted(urls)
    link.close()


def stuck(case: Case) -> bytes:
    """What an export writes whose reader reads nothing, and that is asked to end."""
    reading, writing = a_pipe(4_096, blocking=True)
    with case.start(writing, "--state", "st") as process:
        wait_until(lambda: full(writing), "the pipe to be full")
        os.close(writing)
        process.send_signal(signal.SIGTERM)
        code, said = ended(process)
    assert (code, case.state()["records"]) == (130, 0)
    assert "stdout ends within a record: nobody read for 5 s" in said
    return read_slowly(reading)


def test_a_reader_that_never_reads_on_is_given_up(long_lines: Case) -> None:
    """Its state counts whole records alone, and knows how much of the next one was written: that is completed."""
    got = stuck(long_lines)
    got += stuck(long_lines)
    done = long_lines.commands.run("export", "-o", "-", "--state", "st")
    assert got + done.out.encode() == long_lines.whole("jsonl")
    assert done.err == f"crawler: {SIZE} records written to stdout, {SIZE} in all\n"


def test_a_line_that_was_left_unfinished_and_is_another_now_is_written_whole(
    long_lines: Case,
) -> None:
    """What was written of it ends as a line of its own."""
    got = stuck(long_lines)
    state = long_lines.state()
    state["tail"] = state["tail"][:-1] + ("0" if state["tail"][-1] != "0" else "1")
    long_lines.commands.write("st", json.dumps(state))
    done = long_lines.commands.run("export", "-o", "-", "--state", "st")
    assert got + done.out.encode() == got + b"\n" + long_lines.whole("jsonl")


def test_a_reader_that_leaves_while_it_is_waited_for_is_no_error(case: Case) -> None:
    reading, writing = a_pipe(4_096, blocking=False)
    with case.start(writing, "--state", "st") as process:
        wait_until(lambda: full(writing), "the pipe to be full")
        os.close(writing)
        os.close(reading)
        code, _ = ended(process)
    assert (code, case.state()["records"]) == (0, 0)


# -- other commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", [{}, UNBUFFERED], ids=["buffered", "unbuffered"])
def test_what_other_commands_print_survives_streams_that_do_not_block(commands: Commands, env: dict[str, str]) -> None:
    """Both streams may be non-blocking: what a command prints there comes whole, whoever reads it late."""
    script = "import sys; from crawler.cli.terminal import *; occupy_standard_streams()\n"
    script += "for n in range(3000): echo_json({'n': n}); say(f'{n}')\n"
    pipes = [a_pipe(4_096, blocking=False) for _ in range(2)]
    (out, out_writing), (err, err_writing) = pipes
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=out_writing,
        stderr=err_writing,
        cwd=commands.folder,
        env=commands.env | env,
    ) as process:
        wait_until(lambda: full(out_writing) or full(err_writing), "a pipe to be full")
        os.close(out_writing)
        os.close(err_writing)
        with ThreadPoolExecutor() as pool:
            got, said = pool.map(read_slowly, (out, err))
        assert process.wait(PATIENCE) == 0
    assert [json.loads(line)["n"] for line in got.splitlines()] == list(range(3000))
    assert said == b"".join(b"crawler: %d\n" % n for n in range(3000))
