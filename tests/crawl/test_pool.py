"""The pool's bookkeeping where a whole crawl could only meet it by chance: leases of workers that left in odd ways."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from crawler.crawl import launcher as launching
from crawler.crawl import pool as pools
from crawler.crawl.pool import Pool
from crawler.crawl.process import EXIT_CODES, GIVES_UP, Job
from crawler.errors import CrawlerError, DamagedCrawl, HookError, RedisUnavailable
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.record import Request
from crawler.settings import Settings
from crawler.worker.watchdog import dead_watches
from tests.frontier.client import Client
from tests.redis_for_tests import PrivateRedis

URLS = [f"http://{letter}.example/" for letter in "abc"]


class Crawl:
    """A crawl with three hosts, and a pool whose workers are one line of Python."""

    def __init__(self, url: str) -> None:
        self.shard = Client.create(Connection(url), "default", b"{}", Limits(robots=False))
        self.frontier = self.shard.frontier
        self.frontier.put([Request(url) for url in URLS])
        self.told: list[str] = []

    def pool(self) -> Pool:
        job = Job(
            "", "", "unix:///-", self.frontier.generation, until_done=True, settings=Settings(), parent=os.getpid()
        )
        return Pool(self.frontier, job, self.told.append)


@pytest.fixture
def crawl(redis_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crawl]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(pools, "SETTLE_AGAIN", 0.01)
    yield Crawl(redis_url)


def _worker(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Workers read their job, wait for nothing and end with *code*."""
    monkeypatch.setattr(launching, "_START", f"import sys; sys.stdin.read(); sys.exit({code})")


def _start(crawl: Crawl) -> tuple[Pool, str]:
    """A pool whose one worker holds all URLs and has ended."""
    pool = crawl.pool()
    pool.start(1)
    (member,) = pool._members
    assert len(crawl.shard.lease(3, 90.0, member.worker).leases) == 3
    member.process.wait()
    return pool, member.worker


@pytest.mark.parametrize("why", sorted(EXIT_CODES))
def test_a_worker_that_left_without_giving_back(crawl: Crawl, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """It ended of its own accord, but Redis was away: what it held goes back at once, not charged."""
    _worker(monkeypatch, EXIT_CODES[why])
    pool, _ = _start(crawl)
    while pool.tick():
        pass
    state = crawl.frontier.state()
    assert (state.queued, state.leased) == (3, 0)
    assert (pool.losses.ended, pool.losses.died) == ([why], 0)
    leased = crawl.shard.lease(3, 90.0, "another")
    assert {lease.entry().crashes for lease in leased.leases} <= {0}
    assert dead_watches(crawl.frontier.generation) == []


def test_redis_is_still_away_when_the_pool_stops(
    crawl: Crawl, redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the worker's file is left, and the next pool of this machine settles by it."""
    _worker(monkeypatch, EXIT_CODES["stopped"])
    pool, worker = _start(crawl)
    pool.stop()
    redis_server.stop()
    assert pool.tick() is False
    redis_server.start()
    # The pool's own pid counts as gone: it is this process, and a pool starts once.
    assert [left for left, _ in dead_watches(crawl.frontier.generation)] == [worker]
    _worker(monkeypatch, EXIT_CODES["done"])
    after = crawl.pool()
    after.start(0)
    while after.tick():
        pass
    assert crawl.frontier.state().leased == 0
    assert dead_watches(crawl.frontier.generation) == []


def test_workers_that_die_at_their_start_are_given_up(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five in a row: something is wrong with this machine, and another hundred would not mend it."""
    _worker(monkeypatch, 1)
    pool = crawl.pool()
    pool.start(1)
    with pytest.raises(CrawlerError, match="5 workers in a row"):
        while pool.tick():
            pass
    pool.kill()
    assert sum("died (exit code 1)" in line for line in crawl.told) == 5


def test_a_worker_that_cannot_work_ends_the_pool(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    _worker(monkeypatch, GIVES_UP)
    pool = crawl.pool()
    pool.start(1)
    with pytest.raises(CrawlerError, match="cannot continue"):
        while pool.tick():
            pass
    pool.kill()
    assert dead_watches(crawl.frontier.generation) == []


SPEAKS = """
import sys
from crawler.worker.watchdog import Watchdog
from pathlib import Path
import msgspec
job = msgspec.json.decode(sys.stdin.buffer.read())
Watchdog(Path(job["watch"]), hold=True).say({words!r})
sys.exit({code})
"""


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("RedisUnavailable it refuses us", RedisUnavailable),
        ("DamagedCrawl it refuses us", DamagedCrawl),
        ("HookError it refuses us", HookError),
        ("InvalidURL it refuses us", CrawlerError),
        ("SystemExit it refuses us", CrawlerError),
    ],
)
def test_the_last_words_of_a_worker_end_the_pool(
    crawl: Crawl, monkeypatch: pytest.MonkeyPatch, words: str, kind: type[CrawlerError]
) -> None:
    """Of however many workers, in the words and with the exit code of their error; what they held goes back."""
    monkeypatch.setattr(launching, "_START", SPEAKS.format(words=words, code=GIVES_UP))
    pool = crawl.pool()
    pool.start(3)
    for member in pool._members:
        crawl.shard.lease(1, 90.0, member.worker)
        member.process.wait()
    with pytest.raises(CrawlerError, match=r"^it refuses us$") as caught:
        while pool.tick():
            pass
    assert type(caught.value) is kind
    pool.kill()
    assert crawl.told == []
    assert (crawl.frontier.state().leased, crawl.frontier.state().queued) == (0, 3)
    assert dead_watches(crawl.frontier.generation) == []


def test_what_a_worker_waits_for_is_seen(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_START", "import sys; sys.stdin.read(); import signal; signal.pause()")
    pool = crawl.pool()
    pool.start(2)
    assert pool.trouble == ""
    pool._members[1].watch.say("Redis is full of clients")
    assert pool.trouble == "Redis is full of clients"
    pool.kill()


def test_one_that_is_asked_to_leave_before_it_began_did_not_die(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_START", "import sys; sys.stdin.read(); import signal; signal.pause()")
    pool = crawl.pool()
    pool.start(2)
    pool.stop()
    while pool.tick():
        pass
    assert pool.losses.died == 0
    assert crawl.told == []
