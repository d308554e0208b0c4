"""`crawler export --state`, `--drain`: killed, interrupted, its reader gone; in the end each record is there once."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crawler.frontier.memory import measure
from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl, page
from tests.stories.commands import PROGRAM, Commands, Running, kill_hard, wait_until
from tests.stories.sites import Graph, Sites

pytestmark = pytest.mark.slow

SIZE = 4_000
OFTEN = """
from crawler.cli.app import main
from crawler.export import checkpoints
checkpoints.EVERY_RECORDS = {records}
main()
"""
"""The command line with a checkpoint after every few records."""


@dataclass(frozen=True)
class Stored:
    """Commands in a folder, and a crawl of SIZE records that they can export."""

    commands: Commands
    crawl: Crawl

    def path(self, name: str) -> Path:
        return self.commands.folder / name

    def unpacked(self, name: str) -> bytes:
        raw = self.path(name).read_bytes()
        return gzip.decompress(raw) if name.endswith(".gz") else raw

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path(name).read_text())
        return found


@pytest.fixture
def stored(redis_url: str, commands_on: Callable[[str], Commands]) -> Iterator[Stored]:
    link = Connection(redis_url)
    crawl = Crawl.create(link, "default")
    crawl.commit([page(0)])
    crawl.commit([page(n) for n in range(1, SIZE)], {page(n).url: page(n - 1).url for n in range(1, SIZE)})
    commands = commands_on(redis_url)
    commands.write("often.py", OFTEN.format(records=100))
    yield Stored(commands, crawl)
    link.close()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reach(going: Running, path: Path, size: int) -> bool:
    """Wait until the file has this size; false if the command ends before."""
    wait_until(lambda: _size(path) >= size or going.process.poll() is not None, f"{path.name} to have {size} bytes")
    return going.process.poll() is None


@pytest.mark.parametrize(("name", "flags"), [("a.jsonl", ("--state", "s")), ("a.csv.gz", ("--drain", "--state", "s"))])
def test_killed_again_and_again(stored: Stored, name: str, flags: tuple[str, ...]) -> None:
    """It goes on where its state was, until its output is what an undisturbed export writes; Redis is free by then."""
    commands, dice = stored.commands, random.Random(3)
    assert commands.run("export", "-o", f"whole.{name}").code == 0
    part, deaths = _size(stored.path(f"whole.{name}")) // 4, 0
    while True:
        going = commands.start("export", "-o", name, *flags, python="often.py")
        if not _reach(going, stored.path(name), _size(stored.path(name)) + dice.randrange(part // 2, part)):
            break
        kill_hard(going.pid)
        going.process.wait()
        deaths += 1
    done = going.wait()
    assert (done.code, deaths > 1) == (0, True), done.err
    assert f"{SIZE:,} in all" in done.err
    assert stored.unpacked(name) == stored.unpacked(f"whole.{name}")
    left = len(stored.crawl.crawldb.records.exported("0-0", "+", SIZE + 1)[0])
    assert left == (0 if "--drain" in flags else SIZE)
    assert sorted(path.name for path in commands.folder.iterdir() if name not in path.name) == sorted(
        ["often.py", "s", *(f"{n}.{kind}" for n in range(deaths + 2) for kind in ("out", "err"))]
    )


def _memory(stored: Stored) -> int:
    return measure(stored.crawl.frontier.connection, "default").used or 0


def test_what_is_drained_is_told_and_still_known(stored: Stored) -> None:
    memory = _memory(stored)
    done = stored.commands.run("export", "-o", "a.csv", "--drain")
    assert done.lines == [
        "crawler: the progress of this export is kept in a.csv.state",
        f"crawler: {SIZE:,} records written to a.csv, {SIZE:,} in all, {SIZE:,} drained",
    ]
    assert _memory(stored) < memory - SIZE * 200
    assert stored.commands.run("export", "-o", "b.jsonl").lines == [
        "crawler: 0 records written to b.jsonl",
        f"crawler: drained before, and so in the files written then, not in this one: {SIZE:,} records",
    ]
    b = stored.commands.folder / "b.jsonl"
    b.write_text("an older export\n")
    done = stored.commands.run("export", "-o", "b.jsonl")
    assert (done.code, done.lines, b.read_text()) == (
        2,
        [
            f"crawler: b.jsonl stays as it was: there is no record to write, for {SIZE:,} records drained before can be"
            " found in the files written then; name another output"
        ],
        "an older export\n",
    )
    told = json.loads(stored.commands.run("explain", page(3).url, "--json").out)
    assert (told["state"], told["origins"]) == ("fetched", [page(2).url, page(1).url, page(0).url])


def test_while_the_crawl_runs(commands: Commands, sites: Sites) -> None:
    """The export follows a crawl, is killed and interrupted, and frees Redis; origins are told all the same."""
    graph = Graph([sites.add(f"127.0.0.{n}") for n in (1, 2)], 120, 21, 0.02)
    commands.write("often.py", OFTEN.format(records=10))
    output = commands.folder / "a.jsonl"
    crawling = commands.start("run", *graph.seeds, "--delay", "0", "--workers", "1")
    for ending in (signal.SIGKILL, signal.SIGINT, None):
        going = commands.start("export", "-o", "a.jsonl", "--drain", "--follow", python="often.py")
        if ending is None:
            break
        assert _reach(going, output, _size(output) + 4_000), going.err
        going.signal(ending)
        assert going.wait().code == (130 if ending == signal.SIGINT else -9)
    assert "interrupted; the same command continues" in commands_said(commands)
    assert crawling.wait().code == 0
    done = going.wait()
    assert done.code == 0, done.err
    graph.check(commands.written("a.jsonl"))
    assert commands.exported() == []


def commands_said(commands: Commands) -> str:
    """All that commands have said on stderr."""
    return "".join(path.read_text() for path in sorted(commands.folder.glob("*.err")))


def test_a_reader_that_leaves(stored: Stored) -> None:
    """`| head` ends it with 0; what was not taken comes with the next one."""
    commands = stored.commands
    line = f"set -o pipefail; {PROGRAM} export -o - --state s | head -n 1"
    piped = subprocess.run(["bash", "-c", line], cwd=commands.folder, env=commands.env, capture_output=True, text=True)
    assert piped.returncode == 0, piped.stderr
    assert "Traceback" not in piped.stderr
    taken = stored.state("s")["records"]
    assert taken < SIZE
    done = commands.run("export", "-o", "-", "--state", "s")
    assert [record["title"] for record in done.records()] == [f"Page {n}" for n in range(taken, SIZE)]
    assert (done.code, stored.state("s")["records"]) == (0, SIZE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "-", "--drain"), "--drain needs a file to write to"),
        (("-o", "/dev/null", "--format", "csv", "--drain"), "/dev/null is no regular file"),
        (("-o", "a.jsonl", "--state", "./a.jsonl"), "-o and --state name the same file"),
    ],
)
def test_mistakes(
    redis_url: str, commands_on: Callable[[str], Commands], arguments: tuple[str, ...], words: str
) -> None:
    link = Connection(redis_url)
    Crawl.create(link, "default")
    link.close()
    commands = commands_on(redis_url)
    done = commands.run("export", *arguments)
    assert (done.code, done.out, len(done.lines)) == (2, "", 1), done.err
    assert words in done.lines[0]
    assert sorted(path.name for path in commands.folder.iterdir()) == ["0.err", "0.out"]
