"""Which URLs join a crawl and what becomes of them: redirects, directives, types, limits, filters, scopes."""

from __future__ import annotations

import pytest

from crawler.worker.outcome import IN_A_CIRCLE
from tests.servers import Server, page
from tests.stories.commands import Commands, Json, by_url, outcomes
from tests.stories.sites import Sites, html


def _crawl(commands: Commands, *arguments: str, code: int = 0) -> dict[str, Json]:
    """Run a crawl without delay and hand back its records."""
    done = commands.run("run", *arguments, "--delay", "0", "--per-host", "4", "--workers", "1", "-o", "-")
    assert done.code == code, done.err
    return by_url(done.records())


def test_redirects(commands: Commands, sites: Sites) -> None:
    """A chain is followed link by link at the same depth; loops end; what is out of scope is not asked for."""
    site, other = sites.add(), sites.add("127.0.0.2")
    site.serve("/", html(["/chain0", "/loop0", "/self", "/out", "/bad", "/nowhere", "/back", "/long0"]))
    for n in range(4):
        site.redirect(f"/chain{n}", f"chain{n + 1}", 301 + n % 2)
    site.serve("/chain4", html(["/below"]))
    site.serve("/below", html())
    for n in range(3):
        site.redirect(f"/loop{n}", f"/loop{(n + 1) % 3}", 307)
    site.redirect("/self", "/self")
    site.redirect("/out", other.url("/"))
    site.redirect("/bad", "http://[::1/")
    site.serve("/nowhere", html(), 302)  # without a Location
    site.redirect("/back", "/")
    for n in range(30):
        site.redirect(f"/long{n}", f"/long{n + 1}")
    records = _crawl(commands, site.url("/"))
    found = {site.path_of(url): record for url, record in records.items()}
    assert {path: record["outcome"] for path, record in found.items() if "long" not in path} == {
        **dict.fromkeys(("/", "/chain4", "/below"), "fetched"),
        **dict.fromkeys([f"/chain{n}" for n in range(4)], "redirected"),
        **dict.fromkeys([f"/loop{n}" for n in range(2)], "redirected"),
        **dict.fromkeys(("/out", "/bad", "/back"), "redirected"),
        **dict.fromkeys(("/self", "/loop2"), "failed:redirect-loop"),
        "/nowhere": "failed:http",
    }
    assert (found["/loop2"]["error"], found["/loop2"]["redirect_to"]) == (IN_A_CIRCLE, site.url("/loop0"))
    assert found["/chain4"]["depth"] == found["/chain0"]["depth"] == 1
    assert found["/below"]["depth"] == 2
    assert found["/chain1"]["via"] == site.url("/chain0")
    assert found["/chain0"]["redirect_to"] == site.url("/chain1")
    assert found["/out"]["redirect_to"] == other.url("/")
    assert found["/bad"]["error"].startswith("redirect to ")
    assert not other.seen
    assert {path for path in site.asked() if path.startswith("/long")} == {f"/long{n}" for n in range(21)}
    assert site.asked()["/loop0"] == 1


def test_redirects_in_bytes_that_are_not_utf8(commands: Commands, sites: Sites) -> None:
    """Of a page, of robots.txt (what that disallows is not asked for), and of `crawler fetch`."""
    site = sites.add()
    site.serve("/", html(["/old", "/secret"]))
    site.redirect("/old", "/caf\xe9")
    site.serve("/caf%E9", html(title="found"))
    site.redirect("/robots.txt", "/r\xf6bots")
    site.serve("/r%F6bots", b"User-agent: *\nDisallow: /secret")
    records = _crawl(commands, site.url("/"))
    assert records[site.url("/old")]["redirect_to"] == site.url("/caf%E9")
    assert records[site.url("/caf%E9")]["title"] == "found"
    assert records[site.url("/secret")]["outcome"] == "dropped:robots" and not site.asked()["/secret"]
    fetched = commands.run("fetch", site.url("/old"), "--json")
    assert fetched.records()[0]["title"] == "found"


def test_a_seed_that_redirects_takes_its_root_along(commands: Commands, sites: Sites) -> None:
    """Another loopback host becomes part of the crawl, with all its pages."""
    old, new = sites.add(), sites.add("127.0.0.2")
    seed = old.redirect("/", new.url("/start"), 301)
    new.serve("/start", html(["/more", old.url("/other")]))
    new.serve("/more", html())
    old.serve("/other", html())
    records = _crawl(commands, seed, "--allow-private")
    assert outcomes(records) == {
        seed: "redirected",
        new.url("/start"): "fetched",
        new.url("/more"): "fetched",
        old.url("/other"): "fetched",
    }
    assert records[new.url("/start")]["depth"] == 0
    assert records[new.url("/start")]["via"] == seed


def test_a_seed_does_not_take_a_private_root_along(commands: Commands, sites: Sites) -> None:
    """That a seed is on loopback does not allow what it redirects to: it could name any address inside."""
    old, new = sites.add(), sites.add("127.0.0.2")
    seed = old.redirect("/", new.url("/start"), 301)
    new.serve("/start", html())
    records = by_url(commands.run("run", seed, "--delay", "0", "--workers", "1", "-o", "-").records())
    assert outcomes(records) == {seed: "redirected"}
    assert "only a seed" in records[seed]["error"]
    assert not new.seen


def test_links_to_private_addresses_are_refused(commands: Commands, sites: Sites) -> None:
    """With --scope all a link may lead anywhere, but only a seed may name a loopback address."""
    site, inner = sites.add(), sites.add("127.0.0.2")
    seed = site.serve("/", html([inner.url("/secret"), f"http://localhost:{inner.port}/secret"]))
    inner.serve("/secret", html())
    records = _crawl(commands, seed, "--scope", "all", "--retries", "0")
    assert records.pop(seed)["outcome"] == "fetched"
    assert {record["outcome"] for record in records.values()} == {"failed:connect"}
    assert len(records) == 2
    assert not inner.seen


def test_behind_a_proxy_only_a_seed_may_name_a_private_place(commands: Commands) -> None:
    """The proxy resolves, so names are judged by what they say; links and redirects to such names go nowhere."""
    hosts = {
        "wiki.internal": page(html(["/own", "http://metadata.google.internal/", "http://127.0.0.1.nip.io:81/"])),
        "moved.example": page(b"", 302, [("Location", "http://other.internal/")]),
    }
    with Server() as proxy:
        proxy.otherwise = lambda call: hosts.get(call.seen.headers["host"], page(b"", 404))(call)
        seeds = ["http://wiki.internal/", "http://moved.example/"]
        records = _crawl(commands, *seeds, "--scope", "all", "--retries", "0", "--proxy", f"http://{proxy.authority}")
        asked = {seen.headers["host"] for seen in proxy.seen}
    assert asked == {"wiki.internal", "moved.example"}
    outcomes = {url: record["outcome"] for url, record in records.items()}
    assert outcomes == {
        "http://wiki.internal/": "fetched",
        "http://wiki.internal/own": "fetched",
        "http://metadata.google.internal/": "failed:connect",
        "http://127.0.0.1.nip.io:81/": "failed:connect",
        "http://moved.example/": "redirected",
        "http://other.internal/": "failed:connect",
    }


def test_directives_of_pages(commands: Commands, sites: Sites) -> None:
    """noindex is not kept but its links count; nofollow is kept but its links do not; headers say it as well."""
    site = sites.add()
    site.serve("/", html(["/noindex", "/nofollow", "/header", "/none", "/link"]))
    site.serve("/noindex", html(["/a"], "secret", '<meta name=robots content="noindex">'))
    site.serve("/nofollow", html(["/b"], "kept", '<meta name=robots content="nofollow">'))
    site.serve("/header", html(["/c"]), headers=[("Content-Type", "text/html"), ("X-Robots-Tag", "noindex")])
    site.serve("/none", html(["/d"], head='<meta name=robots content="none">'))
    site.serve("/link", b'<a href="/e" rel=nofollow>x</a><a href="/f">y</a>')
    for letter in "abcdef":
        site.serve(f"/{letter}", html())
    records = _crawl(commands, site.url("/"))
    found = {site.path_of(url): record for url, record in records.items()}
    assert {path: record["outcome"] for path, record in found.items()} == {
        **dict.fromkeys(("/", "/nofollow", "/link", "/a", "/c", "/f"), "fetched"),
        **dict.fromkeys(("/noindex", "/header", "/none"), "dropped:noindex"),
    }
    assert "title" not in found["/noindex"]
    assert "text" not in found["/noindex"]
    assert found["/nofollow"]["title"] == "kept"


def test_types(commands: Commands, sites: Sites) -> None:
    """Bodies of other types are not read; text and JSON are kept as they are; a lying type does no harm."""
    site = sites.add()
    types = {
        "/book": "application/epub+zip",
        "/png": "image/png",
        "/zip": "application/zip",
        "/json": "application/json",
        "/plain": "text/plain",
        "/xml": "application/xml",
        "/lie": "text/html",
    }
    site.serve("/", html(types))
    for path, kind in types.items():
        body = b'{"a": 1}' if path == "/json" else b"\0\1\2\xff" * 100
        site.serve(path, body, headers=[("Content-Type", kind)])
    records = _crawl(commands, site.url("/"))
    found = {site.path_of(url): record for url, record in records.items()}
    assert {path for path, record in found.items() if record["outcome"] == "dropped:type"} == {"/book", "/png", "/zip"}
    assert "size" not in found["/book"]
    assert found["/json"]["text"] == '{"a": 1}'
    assert found["/lie"]["outcome"] == "fetched"


@pytest.mark.parametrize("engine", ["curl", "requests"])
def test_types_that_are_doubled_or_unknown(commands: Commands, sites: Sites, engine: str) -> None:
    """HTML is read and followed, whatever spoils its type; what is no text is dropped. So is it in `crawler fetch`."""
    site = sites.add()
    spoilt = [
        "text/html, text/html",
        "*/*, text/html",
        "text/html,",
        "*/*",
        "unknown/unknown",
        "none",
        "text/html charset=x",
    ]
    site.serve("/", html([f"/{number}" for number in range(len(spoilt))] + ["/film"]))
    for number, kind in enumerate(spoilt):
        site.serve(f"/{number}", html([f"/below{number}"], title="read"), headers=[("Content-Type", kind)])
        site.serve(f"/below{number}", html())
    site.serve("/film", b"\0\0\0\x20ftypisom" * 1000, headers=[("Content-Type", "*/*")])
    records = _crawl(commands, site.url("/"), "--fetcher", engine)
    found = {site.path_of(url): record for url, record in records.items()}
    assert [found[f"/{number}"]["title"] for number in range(len(spoilt))] == ["read"] * len(spoilt)
    assert {f"/below{number}" for number in range(len(spoilt))} <= found.keys()
    assert found["/film"]["outcome"] == "dropped:type"
    assert (found["/0"]["content_type"], found["/3"].get("content_type")) == ("text/html", None)
    fetched = commands.run("fetch", site.url("/0"), "--json", "--fetcher", engine).records()[0]
    assert (fetched["content_type"], fetched["title"]) == ("text/html", "read")


def test_depth(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    for n in range(6):
        site.serve(f"/{n}", html([f"/{n + 1}"]))
    records = _crawl(commands, site.url("/0"), "--max-depth", "2")
    assert {record["url"]: record["depth"] for record in records.values()} == {site.url(f"/{n}"): n for n in range(3)}
    assert commands.status()["refused"]["depth"] == 1


def test_most_pages_are_never_exceeded(commands: Commands, sites: Sites) -> None:
    """Many workers and transfers at once: exactly so many are fetched, the state is `limit`, more can be allowed."""
    site = sites.add()
    site.serve("/", html(f"/{n}" for n in range(100)))
    for n in range(100):
        site.serve(f"/{n}", html())
    options = ["--delay", "0", "--per-host", "20", "--workers", "2"]
    done = commands.run("run", site.url("/"), "--max-pages", "20", *options)
    assert done.code == 0, done.err
    assert "stopped at its limit" in done.err
    status = commands.status()
    assert (status["state"], status["outcomes"], status["leased"]) == ("limit", {"fetched": 20}, 0)
    assert site.asked_of_pages().total() == 20
    done = commands.run("run", "--max-pages", "30", *options)
    assert done.code == 0
    assert "max-pages: 20 -> 30" in done.err
    assert commands.status()["outcomes"] == {"fetched": 30}


def test_most_pages_a_host(commands: Commands, sites: Sites) -> None:
    site, other = sites.add(), sites.add("127.0.0.2")
    for host in (site, other):
        host.serve("/", html(f"/{n}" for n in range(30)))
        for n in range(30):
            host.serve(f"/{n}", html())
    records = _crawl(commands, site.url("/"), other.url("/"), "--max-pages-per-host", "7")
    for host in (site, other):
        assert sum(url.startswith(host.url("")) for url in records) == 7
    assert commands.status()["refused"]["budget"] == 2 * 24


def test_filters(commands: Commands, sites: Sites) -> None:
    """--include and --exclude concern links alone, exclude is the stronger; a redirect's target is a link."""
    site = sites.add()
    site.serve("/", html(["/docs/1", "/docs/2?print=1", "/blog/1", "/docs/go", "/assets/x"]))
    for path in ("/docs/1", "/docs/2?print=1", "/blog/1", "/blog/2", "/assets/x"):
        site.serve(path, html())
    site.redirect("/docs/go", "/blog/2")
    options = ["--include", "/docs/", "--include", "^http://[^/]*/assets/", "--exclude", "print="]
    records = _crawl(commands, site.url("/"), *options)
    assert {site.path_of(url) for url in records} == {"/", "/docs/1", "/docs/go", "/assets/x"}
    assert commands.status()["refused"] == {"exclude": 1, "include": 2}


@pytest.mark.parametrize(
    ("scope", "paths"),
    [
        ("host", {"a:/docs/index", "a:/docs/more", "a:/up"}),
        ("prefix", {"a:/docs/index", "a:/docs/more"}),
        ("all", {"a:/docs/index", "a:/docs/more", "a:/up", "b:/far"}),
    ],
)
def test_scope(commands: Commands, sites: Sites, scope: str, paths: set[str]) -> None:
    hosts = {"a": sites.add(), "b": sites.add("127.0.0.2")}
    hosts["a"].serve("/docs/index", html(["more", "/up", hosts["b"].url("/far")]))
    hosts["a"].serve("/docs/more", html())
    hosts["a"].serve("/up", html())
    hosts["b"].serve("/far", html())
    records = _crawl(commands, hosts["a"].url("/docs/index"), "--scope", scope, "--allow-private")
    assert outcomes(records) == {hosts[p[0]].url(p[2:]): "fetched" for p in paths}


def test_many_links_on_a_page(commands: Commands, sites: Sites) -> None:
    """More than one commit can take, and none of them is lost; --store links keeps them in the record."""
    site = sites.add()
    site.serve("/", html(f"/{n}" for n in range(2_500)))
    done = commands.run("run", site.url("/"), "--delay", "0", "--workers", "1", "--max-pages", "1", "--store", "links")
    assert done.code == 0, done.err
    status = commands.status()
    assert (status["accepted"], status["queued"]) == (2_501, 2_500)
    (record,) = commands.exported()
    assert len(record["links"]) == record["link_count"] == 2_500
