"""Pages that kill every worker that touches them, among many innocent ones: they are given up, they alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest

from tests.crawl.commands import Commands, wait_until
from tests.crawl.sites import Sites, html
from tests.redis_for_tests import PrivateRedis
from tests.servers import Call

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
