"""Exports into a folder of a bucket, killed at any moment, and the server with them: each record is there once."""

from __future__ import annotations

import gzip
import io
import json
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from crawler.export import read
from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl, page
from tests.export.s3_server import BUCKET, S3Server
from tests.stories.commands import Commands, Running, wait_until

pytestmark = pytest.mark.slow

SIZE = 2_500
KILLS = 25
STATE = ".crawler-export.json"
OFTEN = """
from crawler.cli.app import main
from crawler.export import checkpoints
checkpoints.EVERY_RECORDS = 100
main()
"""
"""The command line with a checkpoint after every hundred records."""


def lines_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def rows_of(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    return found


READERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "jsonl": lines_of,
    "jsonl.gz": lambda data: lines_of(gzip.decompress(data)),
    "parquet": rows_of,
}


@dataclass(frozen=True)
class Stored:
    """Commands that can reach the server, and a crawl of SIZE records."""

    commands: Commands
    crawl: Crawl
    server: S3Server

    def start(self, folder: str, *flags: str) -> Running:
        return self.commands.start("export", "-o", f"s3://{BUCKET}/{folder}", *flags, python="often.py")

    def state(self, folder: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.server.objects().get(f"{folder}{STATE}", b"{}"))
        return found

    def urls(self, folder: str, ending: str) -> list[str]:
        """The URLs in the parts that the state knows; every part that is there can be read."""
        known = self.state(folder).get("length", 0)
        parts = {key: data for key, data in self.server.objects(folder).items() if key.endswith(f".{ending}")}
        read = {key: READERS[ending](data) for key, data in parts.items()}
        return [row["url"] for key, rows in sorted(read.items()) if number_of(key) <= known for row in rows]


def number_of(key: str) -> int:
    return int(key.rpartition("/part-")[2].partition(".")[0])


@pytest.fixture
def stored(redis_url: str, commands_on: Callable[[str], Commands], tmp_path: Path) -> Iterator[Stored]:
    link = Connection(redis_url)
    crawl = Crawl.create(link, "default")
    crawl.commit([page(n) for n in range(SIZE)])
    commands = commands_on(redis_url)
    commands.write("often.py", OFTEN)
    with S3Server(tmp_path / "s3") as server:
        commands.env.update(server.environment)
        yield Stored(commands, crawl, server)
    link.close()


def disturb(stored: Stored, going: Running, dice: random.Random) -> None:
    """Kill the export or the server after a few more requests; the server starts again."""
    server = stored.server
    if dice.random() < 0.4:
        server.fail(method="PUT", key=dice.choice([".*part.*", ".*json"]), die=dice.choice(["before", "after"]))
        wait_until(lambda: not server.alive or going.process.poll() is not None, "the death of the server")
        if not server.alive:
            server.wait()
            server.start()
        server.clear()
    asked = len(server.seen) + dice.randint(1, 14)
    wait_until(lambda: len(server.seen) >= asked or going.process.poll() is not None, "a few requests")
    with suppress(ProcessLookupError):
        going.process.send_signal(signal.SIGKILL)
    going.process.wait()


@pytest.mark.parametrize("drain", [False, True])
@pytest.mark.parametrize("ending", READERS)
def test_killed_again_and_again(stored: Stored, ending: str, drain: bool) -> None:
    dice = random.Random(f"{ending}{drain}")
    folder, flags = f"pages.{ending}/", ("--drain",) if drain else ()
    all_urls = {page(n).url for n in range(SIZE)}
    for _ in range(KILLS):
        disturb(stored, stored.start(folder, *flags), dice)
        urls = stored.urls(folder, ending)
        assert len(urls) == len(set(urls)) == stored.state(folder).get("records", 0)
        left = {record.url for record in read(stored.crawl.crawldb.records)}
        assert set(urls) | left == all_urls  # what Redis was freed of is there
    done = stored.start(folder, *flags).wait()
    assert done.code == 0, done.err
    urls = stored.urls(folder, ending)
    assert len(urls) == SIZE
    assert set(urls) == all_urls
    assert stored.server.uploads == []
    assert not any(key.endswith(".lock") for key in stored.server.objects())
    if drain:
        assert list(read(stored.crawl.crawldb.records)) == []
