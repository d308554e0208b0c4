"""Hosts in trouble: busy, away for a while, gone for good."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import trustme

from tests.fetch.conftest import tls_context
from tests.redis_for_tests import PrivateRedis
from tests.servers import Call, Server
from tests.stories.commands import Commands, by_url, wait_until
from tests.stories.sites import ROBOTS, Site, Sites, closed_port, html

pytestmark = pytest.mark.slow


def _busy(site: Site, target: str, times: int, status: int, retry_after: str | None = None) -> str:
    """Answer *target* with *status* so many *times*, then with a page."""
    left = [None] * times
    headers = [] if retry_after is None else [("Retry-After", retry_after)]

    def answer(call: Call) -> None:
        if left:
            left.pop()
            call.answer(b"busy", status, headers)
        else:
            call.answer(html())

    site.pages[target] = answer
    return site.url(target)


def test_busy_hosts_are_left_alone_then_asked_again(commands: Commands, sites: Sites) -> None:
    """429 with Retry-After holds for the whole host; 503 without one backs off; 500 is tried again, up to a point."""
    told, busy, faulty = sites.add(), sites.add("127.0.0.2"), sites.add("127.0.0.3")
    urls = [_busy(told, "/", 1, 429, "2"), _busy(busy, "/", 2, 503), _busy(faulty, "/", 2, 500)]
    final = {faulty.serve("/500", b"", 500): 3, faulty.serve("/501", b"", 501): 1, faulty.serve("/404", b"", 404): 1}
    told.serve("/other", html())
    done = commands.run("run", *urls, *final, told.url("/other"), "--delay", "0", "--workers", "1", "-o", "-")
    assert done.code == 0, done.err
    records = by_url(done.records())
    assert {url: (records[url]["outcome"], records[url]["attempts"]) for url in urls} == {
        urls[0]: ("fetched", 2),
        urls[1]: ("fetched", 3),
        urls[2]: ("fetched", 3),
    }
    assert [(records[url]["outcome"], records[url]["status"]) for url in final] == [
        ("failed:http", 500),
        ("failed:http", 501),
        ("missing", 404),
    ]
    assert {url: faulty.asked()[faulty.path_of(url)] for url in final} == final
    times = [seen.time for seen in told.seen]
    assert [seen.target for seen in told.seen][:2] == [ROBOTS, "/"]
    assert times[2] - times[1] >= 2 - 0.01
    tries = [seen.time for seen in busy.seen if seen.target == "/"]
    assert min(later - earlier for earlier, later in pairwise(tries)) >= 0.9


def test_a_host_goes_away_and_comes_back(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Nothing of it is given up, and another host is crawled meanwhile."""
    site, other = sites.add(), sites.add("127.0.0.2")
    site.serve("/", html(f"/{n}" for n in range(60)))
    for n in range(60):
        site.pages[f"/{n}"] = _slow_page
    other.serve("/", html())
    commands = commands_on(redis_server.url)
    going = commands.start("run", site.url("/"), "--delay", "0", "--per-host", "4", "--workers", "2")
    wait_until(lambda: len(site.seen) > 15, "the middle of the crawl")
    site.go_away()
    host = f"crawler:{{default.0}}:host:{site.authority}"
    with redis_server.client() as client:
        wait_until(lambda: client.hget(host, "failing_since"), "the crawl to see it")
        assert commands.run("seed", other.url("/")).code == 0
        wait_until(lambda: other.asked()["/"], "the other host to be asked")
        site.come_back()
    done = going.wait()
    assert done.code == 0, done.err
    records = commands.records()
    assert len(records) == 62
    assert {record["outcome"] for record in records.values()} == {"fetched"}


def _slow_page(call: Call) -> None:
    call.wait(0.02)
    call.answer(html())


def test_a_host_that_never_answers_is_given_up(commands: Commands, sites: Sites) -> None:
    """After --host-patience all its URLs end by its last trouble; other hosts do not care."""
    site = sites.add()
    site.serve("/", html())
    gone = [f"http://127.0.0.1:{closed_port()}/{n}" for n in range(20)]
    done = commands.run(
        "run", *gone, site.url("/"), "--delay", "0", "--host-patience", "3s", "--workers", "1", "-o", "-"
    )
    assert done.code == 0, done.err
    records = by_url(done.records())
    assert records[site.url("/")]["outcome"] == "fetched"
    assert {records[url]["outcome"] for url in gone} == {"failed:connect"}


def test_nothing_but_failures_is_an_error(commands: Commands) -> None:
    """Exit code 4, and where to read why."""
    done = commands.run(
        "run", f"http://127.0.0.1:{closed_port()}/", "--delay", "0", "--host-patience", "1s", "--workers", "1"
    )
    assert done.code == 4
    assert "nothing was fetched" in done.lines[-1]


def test_a_host_that_will_not_mend_itself_is_given_up_soon(commands: Commands) -> None:
    """A name that does not exist and a certificate that nobody vouches for: the records say which it was."""
    with Server(tls=tls_context(trustme.CA().issue_cert("127.0.0.1"))) as secure:
        gone = [f"http://nosuch.invalid/{n}" for n in range(3)]
        untrusted = [secure.url(f"/{n}") for n in range(3)]
        done = commands.run("run", *gone, *untrusted, "--delay", "0", "--workers", "1", "-o", "-")
    assert done.code == 4
    records = by_url(done.records())
    assert {url: record["outcome"] for url, record in records.items()} == {
        **dict.fromkeys(gone, "failed:dns"),
        **dict.fromkeys(untrusted, "failed:tls"),
    }
    said = "the issuer of the certificate is not known"
    assert {records[url]["error"] for url in untrusted} <= {said, f"{said}, as was seen with robots.txt"}
