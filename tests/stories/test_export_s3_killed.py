"""Exports into a bucket, killed at any moment, and the server with them: each record is there once.

`KILLS=50` in the environment is the number of rounds of each test.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crawler.export import read
from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl, page
from tests.export.readers import rows
from tests.export.s3_server import BUCKET, S3Server
from tests.stories.commands import Commands, Running, wait_until

pytestmark = pytest.mark.slow

SIZE = 4_000
KILLS = int(os.environ.get("KILLS", "0"))
STATE = ".crawler-export.json"
OFTEN = """
from crawler.cli.app import main
from crawler.export import checkpoints
checkpoints.EVERY_RECORDS = 100
main()
"""
"""The command line with a checkpoint after every hundred records."""
IN_PIECES = """
from crawler.cli.app import main
from crawler.export import bucket, s3
bucket.PIECE = s3.PIECE = 64 * 1024
main()
"""
"""The command line with objects in pieces of 64 KiB."""
FOLDERS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "csv.zst", "parquet")
OBJECTS = (
    *("pages.jsonl", "pages.jsonl.gz", "pages.jsonl.zst", "pages.csv", "pages.csv.gz", "pages.csv.zst"),
    *("pages.parquet", "pages.sqlite", "site.md", "sitemap.xml", "llms.txt"),
)


@dataclass(frozen=True)
class Stored:
    """Commands that can reach the server, and a crawl of SIZE records."""

    commands: Commands
    crawl: Crawl
    server: S3Server
    scratch: Path
    read: dict[bytes, list[str]] = field(default_factory=dict)
    """The URLs in an object, by its content."""

    def start(self, folder: str, *flags: str) -> Running:
        return self.commands.start("export", "-o", f"s3://{BUCKET}/{folder}", *flags, python="often.py")

    @property
    def all_urls(self) -> set[str]:
        return {page(n).url for n in range(SIZE)}

    def state(self, folder: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.server.objects().get(f"{folder}{STATE}", b"{}"))
        return found

    def urls(self, folder: str, ending: str) -> list[str]:
        """The URLs in the parts that the state knows; every part that is there can be read.

        A request of the export that was killed may still be done while this reads: then what the state knows differs.
        """
        state = self.state(folder)
        known = state.get("length", 0)
        parts = {key: data for key, data in self.server.objects(folder).items() if key.endswith(f".{ending}")}
        found = {key: self.urls_in(key, data) for key, data in parts.items()}
        urls = [url for key, part in sorted(found.items()) if number_of(key) <= known for url in part]
        assert len(urls) == len(set(urls)) == state.get("records", 0)
        return urls

    def urls_in(self, key: str, data: bytes) -> list[str]:
        """What another program reads in an object."""
        if data not in self.read:
            copy = self.scratch / key.rpartition("/")[2]
            copy.write_bytes(data)
            self.read[data] = [str(row["url"]) for row in rows(copy, "url")]
        return self.read[data]

    def pages(self, folder: str) -> list[str]:
        """The URLs of the Markdown files in *folder*, each of which has to be whole."""
        found = []
        for key, data in self.server.objects(folder).items():
            if key.endswith(".md"):
                begin, url, *_ = data.decode().splitlines()
                assert (begin, data[-1:]) == ("---", b"\n")
                found.append(str(json.loads(url.removeprefix("url: "))))
        return found


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
        (tmp_path / "copies").mkdir()
        yield Stored(commands, crawl, server, tmp_path / "copies")
    link.close()


def reach(server: S3Server, requests: int, going: Running) -> None:
    """Wait until the server was asked so often, or the export has ended."""
    wait_until(lambda: len(server.seen) >= requests or going.process.poll() is not None, f"{requests} requests")


def disturb(stored: Stored, going: Running, dice: random.Random, most: int = 14) -> None:
    """Kill the export or the server after a few more requests; the server starts again."""
    server = stored.server
    if dice.random() < 0.4:
        server.fail(method="PUT", key=dice.choice([".*part.*|.*md", ".*json"]), die=dice.choice(["before", "after"]))
        wait_until(lambda: not server.alive or going.process.poll() is not None, "the death of the server")
        if not server.alive:
            server.wait()
            server.start()
        server.clear()
    reach(server, len(server.seen) + dice.randint(1, most), going)
    with suppress(ProcessLookupError):
        going.process.send_signal(signal.SIGKILL)
    going.process.wait()


@pytest.mark.parametrize("drain", [False, True])
@pytest.mark.parametrize("ending", FOLDERS)
def test_killed_again_and_again(stored: Stored, ending: str, drain: bool) -> None:
    dice = random.Random(f"{ending}{drain}")
    folder, flags = f"pages.{ending}/", ("--drain",) if drain else ()
    deaths, rounds = 0, KILLS or 12
    for _ in range(rounds):
        going = stored.start(folder, *flags)
        disturb(stored, going, dice)
        deaths += going.process.returncode == -signal.SIGKILL
        urls = stored.urls(folder, ending)
        left = {record.url for record in read(stored.crawl.crawldb.records)}
        assert set(urls) | left == stored.all_urls  # what Redis was freed of is there
    done = stored.start(folder, *flags).wait()
    assert (done.code, deaths > rounds // 2) == (0, True), done.err
    urls = stored.urls(folder, ending)
    assert len(urls) == SIZE
    assert set(urls) == stored.all_urls
    assert stored.server.uploads == []
    assert not any(key.endswith(".lock") for key in stored.server.objects())
    if drain:
        assert list(read(stored.crawl.crawldb.records)) == []


def test_a_folder_of_pages_killed_again_and_again(stored: Stored) -> None:
    dice = random.Random(5)
    folder, flags = "docs/", ("--format", "markdown", "--drain")
    for _ in range(KILLS or 25):
        going = stored.start(folder, *flags)
        disturb(stored, going, dice, most=400)
        left = {record.url for record in read(stored.crawl.crawldb.records)}
        assert set(stored.pages(folder)) | left == stored.all_urls
    done = stored.start(folder, *flags).wait()
    assert done.code == 0, done.err
    urls = stored.pages(folder)
    assert (len(urls), set(urls)) == (SIZE, stored.all_urls)


def disturb_upload(stored: Stored, going: Running, dice: random.Random) -> None:
    """Kill the export, or the server, during any of the next requests; the server starts again."""
    server = stored.server
    moment = len(server.seen) + 1 + dice.randrange(dice.choice([3, 30]))
    if dice.random() < 0.4:
        server.fail(method="PUT", die=dice.choice(["before", "after"]))
        wait_until(lambda: not server.alive or going.process.poll() is not None, "the death of the server")
    else:
        reach(server, moment, going)
    victim = going if dice.random() < 0.5 else server
    victim.kill()
    if not server.alive:
        server.wait()
        server.start()
    server.clear()
    if dice.random() < 0.5:
        going.kill()
    assert going.wait().code in (0, -signal.SIGKILL), going.err


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_whole_or_not_there(stored: Stored, name: str) -> None:
    dice = random.Random(name)
    stored.commands.write("often.py", IN_PIECES)
    for n in range(KILLS or 8):
        going = stored.start(name)
        disturb_upload(stored, going, dice)
        found = stored.server.objects().get(name)
        assert found is None or set(stored.urls_in(name, found)) == stored.all_urls
        if found is not None and n % 3 == 0:
            stored.server.delete(name)
    assert stored.start(name).wait().code == 0
    urls = stored.urls_in(name, stored.server.objects()[name])
    assert (len(urls), set(urls)) == (SIZE, stored.all_urls)
    assert list(stored.commands.temporary.glob("crawler-export-*")) == []
