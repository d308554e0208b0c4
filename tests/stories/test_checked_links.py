"""A crawl that checks links, from end to end: what is asked for and how, and what is kept of it, whatever dies."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from crawler.checked_page import PLACES, CheckedPage, short_id
from crawler.frontier.decode import pairs
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Connection
from crawler.record import Request
from crawler.url_state import UrlState
from tests.redis_for_tests import PrivateRedis
from tests.servers import Call
from tests.stories.commands import Commands, Done, kill_hard, wait_until
from tests.stories.sites import Site, Sites, closed_port, html
from tests.stories.test_sitemaps import XML, urlset

pytestmark = pytest.mark.slow

OPTIONS = ("--delay", "0", "--per-host", "4", "--plain", "--allow-private")
SIZE = 60
"""Pages of the site that is checked while its workers die."""

Ended = dict[tuple[str, str], tuple[str, int, str]]
"""How and where a URL was asked -> outcome, status, URL that it redirects to."""


@pytest.fixture
def machine(commands_on: Callable[[str], Commands], redis_server: PrivateRedis) -> Commands:
    commands = commands_on(redis_server.url)
    commands.env["CRAWLER_CHECK"] = "yes"
    return commands


def _checked(machine: Commands, *arguments: str) -> Done:
    done = machine.run("run", *arguments, *OPTIONS, "--workers", "1")
    assert done.code == 0, done.err
    return done


def _found(redis: PrivateRedis, crawl: str = "default") -> tuple[Ended, dict[str, CheckedPage]]:
    """What has become of each URL, and what each page names; ids differ between crawls, so URLs stand for them."""
    link = Connection(redis.url)
    frontier = Frontier.find(link, crawl)
    states: dict[str, UrlState] = {}
    pages: dict[str, CheckedPage] = {}
    for shard in frontier.shards:
        for bucket in range(shard.keys.ended_buckets):
            ended, links = shard.read(
                ("HGETALL", shard.keys.ended_bucket(bucket)), ("HGETALL", shard.keys.links_bucket(bucket))
            )
            states |= {str(int.from_bytes(i, "big")): UrlState.decode(raw) for i, raw in pairs(ended)}
            pages |= {str(int.from_bytes(i, "big")): CheckedPage.decode(raw) for i, raw in pairs(links)}
    link.close()
    urls = {i: state.url for i, state in states.items()}
    how = {i: "target" if state.is_target else "page" for i, state in states.items()}
    ended_by = {
        (how[i], state.url): (state.outcome, state.status, urls.get(state.target or "", ""))
        for i, state in states.items()
    }
    return ended_by, {states[i].url: page for i, page in pages.items()}


def _named(redis: PrivateRedis, crawl: str = "default") -> set[tuple[str, str, str, int]]:
    """Page, what it names, the kind of the place, its line."""
    ended, pages = _found(redis, crawl)
    link = Connection(redis.url)
    frontier = Frontier.find(link, crawl)
    ids = {}
    for kind, url in ended:
        shard = frontier.shards[0]
        ids[short_id(shard.id_of(Request(url, target=kind == "target")))] = f"{kind} {url}"
    link.close()
    return {
        (url, ids.get(named.target, "nothing"), PLACES[named.kind], named.line)
        for url, page in pages.items()
        for named in page.named
    }


def _site(sites: Sites, *urls: str) -> Site:
    """A site whose sitemap names these."""
    site = sites.add()
    site.serve("/sitemap.xml", urlset(*urls), headers=XML)
    site.robots = f"Sitemap: {site.url('/sitemap.xml')}\n".encode()
    return site


# -- how targets are asked ---------------------------------------------------------------------------------------------


def test_targets_are_asked_by_head_and_then_by_a_small_get(
    machine: Commands, sites: Sites, redis_server: PrivateRedis
) -> None:
    there = sites.add("127.0.0.2")
    good, gone = there.serve("/good", b"x" * 100_000), there.url("/gone")

    def no_head(call: Call) -> None:
        if call.seen.method == "HEAD":
            call.reset()
        else:
            call.answer(b"here")

    there.pages["/no-head"] = no_head
    moved = there.redirect("/moved", "/good")
    site = _site(sites, good, gone, there.url("/no-head"), moved)
    _checked(machine, site.serve("/", html()))
    ended, pages = _found(redis_server)
    targets = {url: outcome for (how, url), outcome in ended.items() if how == "target"}
    assert targets == {
        good: ("checked", 200, ""),
        gone: ("missing", 404, ""),
        there.url("/no-head"): ("checked", 200, ""),
        moved: ("redirected", 302, good),
    }
    asked = [(seen.method, seen.path) for seen in there.seen if seen.path != "/robots.txt"]
    assert sorted(asked) == [
        *(("GET", path) for path in ("/gone", "/no-head")),
        *(("HEAD", path) for path in ("/gone", "/good", "/moved", "/no-head")),
    ]
    ranges = {seen.headers.get("range") for seen in there.seen if seen.method == "GET" and seen.path != "/robots.txt"}
    assert ranges == {"bytes=0-1023"}
    assert {named[1] for named in _named(redis_server) if named[0].endswith("sitemap.xml")} == {
        f"target {url}" for url in targets
    }
    assert pages[site.url("/")].size == len(html())
    status = machine.status()
    assert (status["targets"], status["outcomes"]["checked"], status["found"]) == (4, 2, {"new": 1})
    assert [record["url"] for record in machine.exported() if record.get("target")] == []
    named = machine.exported("--only", "missing,redirected")
    assert {record["url"]: record["target"] for record in named} == {gone: True, moved: True}


def test_hosts_that_are_busy_flaky_or_away_are_told_as_such(
    machine: Commands, sites: Sites, redis_server: PrivateRedis
) -> None:
    """The busy one is asked no sooner than it says; who is away is given up after --host-patience."""
    busy, flaky, tired = sites.add("127.0.0.2"), sites.add("127.0.0.3"), sites.add("127.0.0.4")
    answered: list[float] = []

    def too_many(call: Call) -> None:
        if len(answered) < 2:
            call.answer(b"", 429, [("Retry-After", "2")])
            answered.append(time.monotonic())
        else:
            call.answer(b"")

    def now_and_then(call: Call) -> None:
        if sum(seen.path == "/flaky" for seen in flaky.seen) < 3:
            call.reset()
        else:
            call.answer(b"")

    busy.pages["/busy"], flaky.pages["/flaky"] = too_many, now_and_then
    tired.serve("/tired", b"", 429, [("Retry-After", "1")])
    away = f"http://127.0.0.5:{closed_port()}/away"
    site = _site(sites, busy.url("/busy"), flaky.url("/flaky"), tired.url("/tired"), away)
    _checked(machine, site.serve("/", html()), "--host-patience", "2s", "--retries", "3")
    ended, _ = _found(redis_server)
    assert ended["target", busy.url("/busy")] == ("checked", 200, "")
    assert ended["target", flaky.url("/flaky")] == ("checked", 200, "")
    assert ended["target", tired.url("/tired")] == ("failed:http", 429, "")
    assert ended["target", away][:2] == ("failed:connect", 0)
    asked = [seen.time for seen in busy.seen if seen.path == "/busy"]
    assert len(asked) == 3
    assert all(later - before >= 2 for before, later in zip(answered, asked[1:], strict=False))
    errors = {record["url"]: record["error"] for record in machine.exported("--only", "failed")}
    assert errors[tired.url("/tired")].startswith("cannot tell: 429")
    assert "given up after --host-patience" in errors[away]


def test_a_page_is_not_asked_again_as_a_target(machine: Commands, sites: Sites, redis_server: PrivateRedis) -> None:
    """A sitemap names it under a name out of scope that redirects to it."""
    other = sites.add("127.0.0.2")
    site = sites.add()
    home = site.serve("/", html(["/page"]))
    page = site.serve("/page", html(title="page"))
    away = other.redirect("/to-page", page)
    site.serve("/sitemap.xml", urlset(away), headers=XML)
    site.robots = f"Sitemap: {site.url('/sitemap.xml')}\n".encode()
    _checked(machine, home)
    ended, _ = _found(redis_server)
    assert ended["target", away] == ("redirected", 302, page)
    assert (ended["page", page][0], ended["target", page][:2]) == ("fetched", ("checked", 200))
    assert {seen.method for seen in site.seen if seen.path == "/page"} <= {"GET", "HEAD"}
    assert sum(seen.path == "/page" and seen.method == "GET" for seen in site.seen) == 1
    told = machine.run("explain", away).out
    assert "it is the target of a link" in told


def test_another_visit_keeps_the_links_of_what_is_as_it_was(
    machine: Commands, sites: Sites, redis_server: PrivateRedis
) -> None:
    """A 304 and the same content keep them, a page that is gone loses them, and one that is back has them again."""
    other = sites.add("127.0.0.2")
    far = other.serve("/far", b"far")
    site = sites.add()
    gone: list[str] = []

    def tagged(name: str) -> Callable[[Call], object]:
        def answer(call: Call) -> None:
            if name in gone:
                call.answer(b"", 404)
            elif call.seen.headers.get("if-none-match") == f'"{name}"':
                call.answer(b"", 304, [("ETag", f'"{name}"')])
            else:
                call.answer(html(title=name), headers=[("Content-Type", "text/html"), ("ETag", f'"{name}"')])

        return answer

    names = [f"/tagged/{n}" for n in range(3)]
    site.pages |= {name: tagged(name) for name in names}
    site.serve("/plain", html(title="plain"))
    site.serve("/sitemap.xml", urlset(*map(site.url, [*names, "/plain"]), far), headers=XML)
    site.robots = f"Sitemap: {site.url('/sitemap.xml')}\n".encode()
    _checked(machine, site.serve("/", html()))
    first, before = _found(redis_server), _named(redis_server)
    gone.append(names[0])
    _visit_again(machine)
    second = _found(redis_server)
    left = {url: page.size for url, page in first[1].items() if url != site.url(names[0])}
    assert {url: page.size for url, page in second[1].items()} == left
    assert second[0]["page", site.url(names[0])][0] == "missing"
    assert second[0]["target", far] == first[0]["target", far] == ("checked", 200, "")
    assert _named(redis_server) == before  # the sitemap still names all of it
    gone.clear()
    _visit_again(machine)
    assert _found(redis_server)[1].keys() == first[1].keys()
    assert [seen.method for seen in other.seen if seen.path == "/far"] == ["HEAD"] * 3


def _visit_again(machine: Commands) -> None:
    done = machine.run("recrawl", "--older-than", "0", "--workers", "1", "--plain")
    assert done.code == 0, done.err


def test_a_target_that_failed_is_tried_again_as_one(
    machine: Commands, sites: Sites, redis_server: PrivateRedis
) -> None:
    other = sites.add("127.0.0.2")
    broken = other.serve("/broken", b"", 500)
    site = _site(sites, broken)
    _checked(machine, site.serve("/", html()), "--retries", "0")
    assert _found(redis_server)[0]["target", broken] == ("failed:http", 500, "")
    other.serve("/broken", b"whole")
    assert machine.run("retry", broken).code == 0
    assert machine.run("work", "--until-done", "--workers", "1", "--plain").code == 0
    ended, _ = _found(redis_server)
    assert ended["target", broken] == ("checked", 200, "")
    assert ("page", broken) not in ended
    assert machine.run("failed", "--json").out == ""


# -- whatever dies -----------------------------------------------------------------------------------------------------


def _slow_site(sites: Sites) -> tuple[Site, str]:
    """Pages that name each other, things elsewhere, and what is not there; the answers take some milliseconds."""
    site, other = sites.add(), sites.add("127.0.0.2")
    for n in range(0, SIZE, 3):
        _slowly(other, f"/{n}", b"something")
    for n in range(SIZE):
        near = f'<a href="/{(n * 7 + 1) % SIZE}">a</a>\n<a href="/{(n + 1) % SIZE}#part">b</a>\n<img src="/i{n % 5}">'
        far = f'<a href="{other.url(f"/{n}")}">far</a>'
        _slowly(site, f"/{n}", f"<!doctype html><title>{n}</title><body>{near}{far}".encode())
    site.pages["/11"] = lambda call: call.answer(b"", 302, [("Location", other.url("/3"))])
    site.pages["/12"] = lambda call: call.answer(b"", 404)
    locations = [site.url(f"/{n}") for n in range(SIZE)] + [other.url(f"/{n}") for n in range(SIZE)]
    _slowly(site, "/sitemap.xml", urlset(*locations), XML)
    site.robots = f"Sitemap: {site.url('/sitemap.xml')}\n".encode()
    return site, site.url("/0")


def _slowly(site: Site, target: str, body: bytes, headers: object = ()) -> None:
    given = headers or [("Content-Type", "text/html; charset=utf-8")]

    def answer(call: Call) -> None:
        call.wait(0.02)
        call.answer(body, headers=given)  # type: ignore[arg-type]

    site.pages[target] = answer


def test_workers_that_are_killed_on_two_shards_change_neither_states_nor_links(
    machine: Commands, sites: Sites, redis_server: PrivateRedis
) -> None:
    site, home = _slow_site(sites)
    done = machine.run("run", home, *OPTIONS, "--workers", "3", "--crawl", "whole")
    assert done.code == 0, done.err
    before = len(site.seen)
    going = machine.start("run", home, *OPTIONS, "--workers", "3", "--shards", "2", "--crawl", "broken")
    for part in (5, 2):
        wait_until(lambda part=part: len(site.seen) - before > SIZE // part, "the middle")  # type: ignore[misc]
        kill_hard(going.wait_for_workers(1)[0])
    killed = going.wait()
    assert killed.code == 0, killed.err
    assert "was killed by SIGKILL" in killed.err
    whole, broken = (_found(redis_server, name)[0] for name in ("whole", "broken"))
    assert whole == broken
    assert len(whole) > 2 * SIZE
    named = _named(redis_server, "whole")
    assert named == _named(redis_server, "broken")
    assert {one[1] for one in named} >= {f"page {site.url('/1')}"}


def test_deleting_leaves_nothing(machine: Commands, sites: Sites, redis_server: PrivateRedis) -> None:
    _, home = _slow_site(sites)
    going = machine.start("run", home, *OPTIONS, "--workers", "1")
    wait_until(lambda: _has_links(redis_server), "links that are stored")
    going.process.send_signal(signal.SIGINT)
    going.wait()
    assert machine.run("delete", "--yes").code == 0
    assert list(redis_server.client().keys("crawler:*")) == []


def _has_links(redis: PrivateRedis) -> bool:
    return bool(redis.client().keys("crawler:*:links:*"))
