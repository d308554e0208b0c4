"""Pages that kill every worker that touches them, among many innocent ones: they are given up, they alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.servers import Call
from tests.stories.commands import Commands, by_url, wait_until
from tests.stories.sites import Sites, html

pytestmark = pytest.mark.slow

POISON: Final = ("/17", "/230", "/411")
HANGING: Final = "/hangs"
PAGES: Final = 500
HOOK: Final = f"""
import os

def hook(page):
    path = "/" + page.url.rpartition("/")[2]
    if path in {POISON!r}:
        os.abort()
    while path == {HANGING!r}:
        pass
"""


@pytest.mark.parametrize("workers", [2])
def test_three_poison_pages_among_five_hundred(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites, workers: int
) -> None:
    """64 transfers in flight all the time: 497 pages are fetched, three are `failed:crash`, the hanging one
    `failed:hang`, nobody else pays for it, and all workers are up at the end."""
    site = sites.add()

    def answer(call: Call) -> None:
        call.wait(0.05)  # so that transfers do fly side by side
        call.answer(html(title=call.seen.target))

    urls = [site.url(f"/{n}") for n in range(PAGES)] + [site.url(HANGING)]
    site.pages = dict.fromkeys([f"/{n}" for n in range(PAGES)] + [HANGING], answer)
    machine = commands_on(redis_server.url)
    machine.write("hook.py", HOOK)
    options = ["--delay", "0", "--per-host", "64", "--page-timeout", "2s"]
    assert machine.run("seed", "-", *options, stdin="\n".join(urls)).code == 0
    began = time.monotonic()
    going = machine.start("work", "-n", str(workers), "--concurrency", "64", "--hook", "hook.py:hook")
    wait_until(lambda: len(site.seen) > PAGES, "each page to be asked for")
    wait_until(lambda: machine.status()["state"] == "done", "the end of the crawl", 120)
    assert time.monotonic() - began < 120
    going.wait_for_workers(workers)
    assert len(going.workers()) == workers
    records = machine.records()
    assert records.keys() == set(urls)
    assert Counter(record["outcome"] for record in records.values()) == {
        "fetched": PAGES - len(POISON),
        "failed:crash": len(POISON),
        "failed:hang": 1,
    }
    assert {url for url, record in records.items() if record["outcome"] == "failed:crash"} == set(map(site.url, POISON))
    assert records[site.url(HANGING)]["attempts"] == 1
    paid = [url for url, record in records.items() if record["attempts"] != 1]
    assert set(paid) == set(map(site.url, POISON)), "an innocent page was charged"
    assert site.most_at_once > 32


ROBOTS: Final = """
import os
from crawler.policy import robots

parse = robots.parse

def harmful(body):
    if b"abort" in body:
        os.abort()
    while b"hang" in body:
        pass
    return parse(body)

robots.parse = harmful

def hook(page):
    return None
"""


def test_a_robots_txt_that_hangs_or_kills_workers_costs_its_own_host_alone(commands: Commands, sites: Sites) -> None:
    """The host is given up, at once or after three deaths, and each of its URLs ends and says why."""
    hanging, killing, good = sites.add(), sites.add(), sites.add()
    hanging.robots, killing.robots, good.robots = b"# hang", b"# abort", b"User-agent: *\nDisallow: /3\n"
    urls = {site: [site.serve(f"/{n}", html(title=f"{n}")) for n in range(5)] for site in (hanging, killing, good)}
    commands.write("hook.py", ROBOTS)
    options = ["--delay", "0", "--page-timeout", "1s", "--workers", "2", "--hook", "hook.py:hook", "-o", "-"]
    done = commands.run("run", *urls[hanging], *urls[killing], *urls[good], *options, seconds=90)
    assert done.code == 0, done.err
    records = by_url(done.records())
    expected = dict.fromkeys(urls[hanging], "failed:hang") | dict.fromkeys(urls[killing], "failed:crash")
    expected |= dict.fromkeys(urls[good], "fetched") | {good.url("/3"): "dropped:robots"}
    assert {url: record["outcome"] for url, record in records.items()} == expected
    assert all("robots.txt" in records[url]["error"] for url in (*urls[hanging], *urls[killing]))
    assert hanging.asked()["/robots.txt"] >= 1 and killing.asked()["/robots.txt"] >= 3
    assert not hanging.asked_of_pages() and not killing.asked_of_pages()
    assert max(good.asked_of_pages().values()) <= 5  # a page in flight is asked again when its worker dies: four do
