"""What a crawl takes of Redis, and what `status` makes of it."""

from __future__ import annotations

import random
from typing import Final

from crawler.frontier.memory import Footprint, measure
from crawler.frontier.redis.connection import Connection
from crawler.frontier.status import Monitor, Status
from crawler.monitor import screen
from crawler.text import printable
from tests.frontier.crawls import Crawl, Make

TEXT: Final = 20_000
"""Bytes of a page's compressed text."""


def end(crawl: Crawl, n: int, size: int = TEXT) -> None:
    """So many pages end, each with a text of *size* bytes."""
    dice = random.Random(n)
    first = crawl.frontier.state().accepted
    crawl.put(*(f"http://a.example/{first + k}" for k in range(n)))
    for lease in crawl.lease(n):
        crawl.commit(lease, contents={"text": dice.randbytes(size)})


def look(crawl: Crawl) -> Status:
    return Monitor(crawl.frontier.frontier).look()


def told(status: Status) -> str:
    """What `status` says of Redis."""
    lines = screen.status_lines(status)
    return " | ".join(printable(line).strip() for line in lines if line.startswith(("  Redis", "  warning")))


def test_what_a_page_costs(make: Make) -> None:
    """Of the latest ones; a handful says nothing of the others."""
    crawl = make(per_host=99)
    end(crawl, 9)
    assert measure(crawl.link, crawl.name).a_page is None
    end(crawl, 1)
    page = measure(crawl.link, crawl.name).a_page
    assert page is not None
    assert TEXT < page < TEXT * 1.3 + 500
    end(crawl, 50, 10)
    page = measure(crawl.link, crawl.name).a_page
    assert page is not None
    assert page < 600


def test_drained_pages_are_no_basis(make: Make) -> None:
    crawl = make(per_host=99)
    end(crawl, 20)
    crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+")[0])
    assert measure(crawl.link, crawl.name).a_page is None


def test_how_much_there_is(crawl: Crawl) -> None:
    """`maxmemory`, else what the machine has."""
    found = measure(crawl.link, crawl.name)
    assert (found.bounded, (found.most or 0) > 64 << 20, (found.used or 0) > 100_000) == (False, True, True)
    crawl.link.client.config_set("maxmemory", 50 << 20)
    found = measure(crawl.link, crawl.name)
    assert (found.most, found.bounded) == (50 << 20, True)


def test_who_may_not_weigh_pages_is_told_the_rest(make: Make, both_redis_url: str) -> None:
    crawl = make(per_host=99)
    end(crawl, 20)
    crawl.link.client.execute_command("ACL", "SETUSER", "poor", "on", "nopass", "~*", "+@all", "-memory")
    poor = Connection(f"{both_redis_url}{'&' if '?' in both_redis_url else '?'}username=poor&password=x")
    found = measure(poor, crawl.name)
    poor.close()
    crawl.link.client.execute_command("ACL", "DELUSER", "poor")
    assert isinstance(found, Footprint)
    assert (found.a_page, (found.used or 0) > 100_000) == (None, True)


def test_the_forecast(make: Make) -> None:
    """Left out where there is nothing to go by; then what is left at the cost of the latest pages, with a warning."""
    crawl = make(per_host=99)
    assert look(crawl).needed_bytes is None
    end(crawl, 20)
    assert look(crawl).needed_bytes is None
    assert "need" not in told(look(crawl))
    crawl.put(*(f"http://b.example/{n}" for n in range(500)))
    crawl.lease(5)
    status = look(crawl)
    page = measure(crawl.link, crawl.name).a_page
    assert page is not None
    assert (status.needed_bytes, status.will_fit) == (500 * page, True)
    assert "; the 500 URLs that are left will need about " in told(status)
    assert "warning" not in told(status)
    used = status.redis_bytes or 0
    crawl.link.client.config_set("maxmemory", used + 400 * page)
    status = look(crawl)
    assert (status.will_fit, status.to_dict()["will_fit"], status.redis_limit) == (False, False, used + 400 * page)
    assert f" of {screen.size(used + 400 * page)}; the 500 URLs" in told(status)
    assert "warning   that is more than Redis's maxmemory: `crawler export --drain`" in told(status)
