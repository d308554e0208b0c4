"""Sites that redirect until their cookie comes back: followed within the lease, and forgotten with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from crawler import fetch as engines
from crawler.policy.cookies import CIRCLE, MAX_HOPS
from tests.servers import Call
from tests.stories.commands import PATIENCE, Commands, Json
from tests.stories.sites import ROBOTS, Site, Sites, html
from tests.stories.tcp_redis import TcpRedis

COOKIE: Final = "seen=b15cu1t"
QUICK: Final = ("--allow-private", "--delay", "0", "--workers", "1", "--retries", "1", "-o", "-")


@pytest.fixture(params=engines.ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def wall(site: Site, target: str, body: bytes, by: str = "", line: str = f"{COOKIE}; Path=/") -> None:
    """*target* is shown to those who send the cookie; others are sent to *by*, or to itself, with one."""

    def behaviour(call: Call) -> None:
        if COOKIE in call.seen.headers.get("cookie", ""):
            call.answer(body)
        else:
            call.answer(b"", 302, [("Location", by or target), ("Set-Cookie", line)])

    site.pages[target] = behaviour


def crawl(commands: Commands, *arguments: str) -> dict[str, Json]:
    """The records by URL."""
    done = commands.run("run", *arguments, *(() if "--delay" in arguments else QUICK[1:3]), QUICK[0], *QUICK[3:])
    assert done.out, done.err
    return {record["url"]: record for record in done.records()}


def sent(site: Site) -> list[tuple[str, str]]:
    """Pages and the cookies that came with them, in the order of requests."""
    return [(seen.target, seen.headers.get("cookie", "")) for seen in site.seen if seen.target != ROBOTS]


def test_a_wall_is_passed_with_its_cookie_which_no_other_page_gets(
    commands: Commands, sites: Sites, engine: str
) -> None:
    site = sites.add()
    wall(site, "/", html(["/next"], "home"))
    site.serve("/next", html(title="next"))
    records = crawl(commands, site.url("/"), "--fetcher", engine)
    home = records.pop(site.url("/"))
    assert (home["outcome"], home["status"], home["title"]) == ("fetched", 200, "home")
    assert "redirect_to" not in home
    assert records.keys() == {site.url("/next")}
    assert sent(site) == [("/", ""), ("/", COOKIE), ("/next", "")]


def test_the_record_is_of_the_leased_url_and_names_where_it_ended(
    commands: Commands, sites: Sites, engine: str
) -> None:
    """By way of a page that only checks and sets nothing; links are those of the last page."""
    site = sites.add()
    site.serve("/", html(["/in"]))
    site.serve("/in", b"", 302, [("Location", "/gate/check"), ("Set-Cookie", f"{COOKIE}; Path=/; HttpOnly")])
    wall(site, "/gate/check", b"", by="/denied")
    site.pages["/gate/check"] = lambda call: call.answer(
        b"", 302, [("Location", "room/hall" if COOKIE in call.seen.headers.get("cookie", "") else "/denied")]
    )
    wall(site, "/gate/room/hall", html(["chair"], "hall"), by="/denied")
    site.serve("/gate/room/chair", html(title="chair"))
    records = crawl(commands, site.url("/"), "--fetcher", engine)
    record = records[site.url("/in")]
    assert (record["outcome"], record["title"]) == ("fetched", "hall")
    assert record["redirect_to"] == site.url("/gate/room/hall")
    assert records.keys() == {site.url(path) for path in ("/", "/in", "/gate/room/chair")}
    assert sent(site)[1:] == [
        ("/in", ""),
        ("/gate/check", COOKIE),
        ("/gate/room/hall", COOKIE),
        ("/gate/room/chair", ""),
    ]


def test_where_cookies_do_not_help_it_ends_and_says_so(commands: Commands, sites: Sites, engine: str) -> None:
    """The same cookie again, a new one each time, a circle of two, and one that is not for the page."""
    site = sites.add()
    numbers = iter(range(1_000))
    site.serve("/", html(["/same", "/new", "/one", "/else"]))
    site.serve("/same", b"", 302, [("Location", "/same"), ("Set-Cookie", COOKIE)])
    site.pages["/new"] = lambda call: call.answer(
        b"", 302, [("Location", "/new"), ("Set-Cookie", f"n={next(numbers)}")]
    )
    site.serve("/one", b"", 302, [("Location", "/two"), ("Set-Cookie", COOKIE)])
    site.serve("/two", b"", 302, [("Location", "/one"), ("Set-Cookie", COOKIE)])
    site.serve("/else", b"", 302, [("Location", "/else"), ("Set-Cookie", f"{COOKIE}; Path=/elsewhere")])
    records = crawl(commands, site.url("/"), "--fetcher", engine)
    errors = {site.path_of(url): record.get("error", "") for url, record in records.items()}
    assert errors["/same"] == errors["/new"] == errors["/one"] == CIRCLE
    assert "cookie" in errors["/else"]
    assert {records[site.url(path)]["outcome"] for path in errors if path != "/"} == {"failed:redirect-loop"}
    asked = site.asked_of_pages()
    assert (asked["/same"], asked["/new"], asked["/one"], asked["/two"]) == (2, MAX_HOPS + 1, 2, 1)


def test_no_cookie_leaves_its_host(commands: Commands, sites: Sites, engine: str) -> None:
    """A redirect to another host, port or scheme is one like any other."""
    site, other, port = sites.add(), sites.add("127.0.0.2"), sites.add()
    line = f"{COOKIE}; Path=/; Domain=127.0.0.1"
    site.serve("/", html(["/login", "/port", "/step"]))
    site.serve("/login", b"", 302, [("Location", other.url("/login")), ("Set-Cookie", line)])
    site.serve("/port", b"", 302, [("Location", port.url("/login")), ("Set-Cookie", line)])
    site.serve("/step", b"", 302, [("Location", "/last"), ("Set-Cookie", line)])
    site.serve("/last", b"", 302, [("Location", other.url("/last"))])
    for where in (other, port):
        for path in ("/login", "/last"):
            where.serve(path, html(title="in"))
    records = crawl(commands, site.url("/"), "--scope", "all", "--fetcher", engine)
    found = {site.path_of(url): (record["outcome"], record.get("redirect_to")) for url, record in records.items()}
    assert found["/login"] == ("redirected", other.url("/login"))
    assert found["/port"] == ("redirected", port.url("/login"))
    assert found["/step"] == ("redirected", other.url("/last"))
    assert {records[where]["outcome"] for where in (other.url("/login"), port.url("/login"))} == {"fetched"}
    assert records[other.url("/last")]["hops"] == 2
    assert not any("cookie" in seen.headers for seen in [*other.seen, *port.seen])


def test_each_hop_is_judged_by_robots_and_scope(commands: Commands, sites: Sites, engine: str) -> None:
    site = sites.add()
    site.robots = b"User-agent: *\nDisallow: /denied\n"
    site.serve("/", html(["/a", "/b"]))
    for path, target in (("/a", "/denied"), ("/b", "/excluded")):
        site.serve(path, b"", 302, [("Location", target), ("Set-Cookie", f"{COOKIE}; Path=/")])
        site.serve(target, html())
    records = crawl(commands, site.url("/"), "--exclude", "excluded", "--fetcher", engine)
    found = {site.path_of(url): record["outcome"] for url, record in records.items()}
    assert found == {"/": "fetched", "/a": "redirected", "/denied": "dropped:robots", "/b": "redirected"}
    assert set(site.asked_of_pages()) == {"/", "/a", "/b"}
    assert not any("cookie" in seen.headers for seen in site.seen)


def test_cookies_that_nobody_needs_change_nothing_for_long_chains(commands: Commands, sites: Sites) -> None:
    """Session cookies on every answer: a chain longer than the hops of a lease is followed to its end all the same."""
    site = sites.add()
    last = MAX_HOPS * 2 + 3
    for number in range(last):
        headers = [("Location", f"/{number + 1}"), ("Set-Cookie", f"session={number}; Path=/")]
        site.serve(f"/{number}", b"", 301, headers)
    site.serve(f"/{last}", html(title="end"), headers=[("Set-Cookie", "session=end; Path=/")])
    records = crawl(commands, site.url("/0"))
    first = records[site.url("/0")]
    assert (first["outcome"], first["redirect_to"]) == ("redirected", site.url(f"/{MAX_HOPS + 1}"))
    ended = [record for record in records.values() if record["outcome"] == "fetched"]
    assert [(record["title"], record["redirect_to"]) for record in ended] == [("end", site.url(f"/{last}"))]
    assert ended[0]["hops"] == 2 * (MAX_HOPS + 1)
    assert set(site.asked_of_pages().values()) == {1}


def test_a_hop_waits_for_the_delay_of_its_host_and_holds_up_no_other(commands: Commands, sites: Sites) -> None:
    slow, quick = sites.add(), sites.add("127.0.0.2")
    slow.robots = b"User-agent: *\nCrawl-delay: 3\n"
    wall(slow, "/", html(title="home"))

    def once_the_other_has_begun(call: Call) -> None:
        slow.wait_for(2, PATIENCE)
        call.answer(html(f"/{n}" for n in range(20)))

    quick.pages["/"] = once_the_other_has_begun
    for n in range(20):
        quick.serve(f"/{n}", html(title=str(n)))
    records = crawl(commands, slow.url("/"), quick.url("/"))
    assert records[slow.url("/")]["title"] == "home"
    assert len(records) == 22
    first, second = [seen.time for seen in slow.seen if seen.target == "/"]
    assert second - first >= 3.0
    assert len([seen for seen in quick.seen if first < seen.time < second]) >= 3


def test_a_hop_for_which_the_lease_leaves_no_time_is_not_made(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    wall(site, "/", html(title="home"))
    options = ("--delay", "2s", "--lease-term", "3s", "--retries", "0")
    done = commands.run("run", site.url("/"), *options, "-o", "-", "-n", "1", "--allow-private", seconds=PATIENCE)
    [record] = done.records()
    assert record["outcome"] == "failed:redirect-loop"
    assert "--lease-term" in record["error"]
    assert sent(site) == [("/", "")]


def test_a_sitemap_may_be_behind_a_wall(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    listed = f"<urlset><url><loc>{site.url('/listed')}</loc></url></urlset>".encode()
    wall(site, "/map.xml", listed)
    site.serve("/", html())
    site.serve("/listed", html(title="listed"))
    records = crawl(commands, site.url("/"), "--sitemap", site.url("/map.xml"))
    assert records[site.url("/listed")]["title"] == "listed"
    assert records[site.url("/map.xml")]["outcome"] == "fetched"


def test_nothing_of_a_cookie_is_kept(
    tcp_redis: Callable[..., TcpRedis], commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Not in Redis while the lease is held or after it, nor in records, logs or files."""
    site = sites.add()
    server = tcp_redis()
    commands = commands_on(server.url)
    held: list[bytes] = []

    def look(call: Call) -> None:
        if "cookie" not in call.seen.headers:
            call.answer(b"", 302, [("Location", "/"), ("Set-Cookie", COOKIE)])
            return
        with server.client() as client:
            held.extend(client.dump(key) or b"" for key in client.scan_iter())
        call.answer(html(title="home"))

    site.pages["/"] = look
    records = crawl(commands, site.url("/"), "-v", "--log-file", "log.jsonl", "--store", "text,html,links")
    assert records[site.url("/")]["title"] == "home"
    with server.client() as client:
        kept = [client.dump(key) or b"" for key in client.scan_iter()]
    files = [path.read_bytes() for path in commands.base.rglob("*") if path.is_file()]
    assert len(held) > 3 and len(kept) > 3
    assert not [text for text in [*held, *kept, *files] if b"b15cu1t" in text]


def test_480_cookies_are_bounded(commands: Commands, sites: Sites, engine: str) -> None:
    site = sites.add()
    many = [("Set-Cookie", f"c{number}={'x' * 400}; Path=/") for number in range(480)]

    def behaviour(call: Call) -> None:
        if "cookie" in call.seen.headers:
            call.answer(html(title="home"))
        else:
            call.answer(b"", 302, [("Location", "/"), *many])

    site.pages["/"] = behaviour
    records = crawl(commands, site.url("/"), "--fetcher", engine)
    assert records[site.url("/")]["title"] == "home"
    assert max(len(cookie) for _, cookie in sent(site)) <= 8_192


def test_fetch_passes_a_wall_too(commands: Commands, sites: Sites, engine: str) -> None:
    site = sites.add()
    wall(site, "/", html(title="home"))
    wall(site, "/in", html(title="hall"), by="/hall")
    wall(site, "/hall", html(title="hall"))
    site.serve("/never", b"", 302, [("Location", "/never"), ("Set-Cookie", COOKIE)])
    shown = [
        commands.run("fetch", site.url(path), "--allow-private", "--json", "--fetcher", engine).records()[0]
        for path in ("/", "/in", "/never")
    ]
    assert [record["outcome"] for record in shown] == ["fetched", "fetched", "failed:redirect-loop"]
    assert [record.get("title") for record in shown] == ["home", "hall", None]
    assert [record.get("redirect_to") for record in shown] == [None, site.url("/hall"), None]
    assert shown[2]["error"] == CIRCLE
