"""A crawl that is larger than Redis's memory: it stops when that is full, and goes on when records are drained."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.servers import Call
from tests.stories.commands import Commands, wait_until
from tests.stories.sites import ROBOTS, Sites, html

pytestmark = pytest.mark.slow

PAGES: Final = 511
WORDS: Final = 1_500
"""In the text of a page, 16 digits each: some 15 KB compressed."""
ROOM: Final = 3 << 20


def _answer(call: Call) -> None:
    """A binary tree of pages, in each the links to the two below it."""
    if call.seen.target == ROBOTS:
        call.answer(b"", 404)
        return
    n = int(call.seen.target[1:])
    dice = random.Random(n)
    links = [f"/{k}" for k in (2 * n + 1, 2 * n + 2) if k < PAGES]
    call.answer(html(links, title=str(n)) + " ".join(f"{dice.getrandbits(64):x}" for _ in range(WORDS)).encode())


def test_a_crawl_larger_than_redis_goes_on_as_it_is_drained(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Its pages take more than twice what there is room for; each is fetched once, and written once."""
    site = sites.add()
    site.otherwise = _answer
    commands = commands_on(redis_server.url)
    assert commands.run("seed", site.url("/0"), "--delay", "0", "--per-host", "99").code == 0
    drained = 0
    with redis_server.client() as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + ROOM)
        going = commands.start("run", "--workers", "2", "--concurrency", "8")

        def is_full_or_over() -> bool:
            return going.process.poll() is not None or commands.status()["limit"].startswith("Redis is full")

        while going.process.poll() is None:
            wait_until(is_full_or_over, "Redis to be full")
            done = commands.run("export", "-o", "pages.jsonl", "--drain")
            assert done.code == 0, done.err
            drained += 1
    done = going.wait()
    assert done.code == 0, done.err
    assert drained >= 3
    assert commands.run("export", "-o", "pages.jsonl", "--drain").code == 0
    assert commands.written("pages.jsonl").keys() == {site.url(f"/{n}") for n in range(PAGES)}
    assert set(site.asked_of_pages().values()) == {1}


def test_a_crawl_ends_although_its_last_page_filled_redis(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Nothing is left that would need memory, so nothing is waited for."""
    site = sites.add()

    def fill(call: Call) -> None:
        with redis_server.client() as client:
            client.config_set("maxmemory", 1)
        call.answer(html(), 200)

    site.pages["/last"] = fill
    done = commands_on(redis_server.url).run("run", site.url("/last"), "--workers", "1")
    assert done.code == 0, done.err
    assert site.asked_of_pages() == {"/last": 1}
