"""Hooks that return further URLs: with a depth and a priority of their own, judged as links are."""

from __future__ import annotations

from tests.stories.commands import Commands
from tests.stories.sites import Site, Sites

HOOK = """
from crawler import Drop, Request

def follow(page):
    if page.url.endswith("/"):
        yield {"n": 1}
        yield Request("api/2", depth=7)
        yield Request("/first", priority=1)
        yield Request("/before-first", priority=2)
        yield Request("/disallowed")
        yield Request("http://elsewhere.example/")
        yield Request("mailto:a@b.example")
    elif page.url.endswith("/api/2"):
        return Request("/api/3")
    elif page.status == 404:
        yield Request("/from-404")
    elif page.url.endswith("/first"):
        yield Request("/from-dropped")
        raise Drop("enough")
"""


def _site(sites: Sites) -> Site:
    site = sites.add()
    site.robots = b"User-agent: *\nDisallow: /disallowed"
    links = "".join(f"<a href=/p{n}>link</a>" for n in range(8)) + "<a href=/first>again</a><a href=/gone>gone</a>"
    site.serve("/", f"<title>Start</title>{links}".encode())
    for path in ("/first", "/before-first", "/from-404", "/from-dropped", "/api/2", *(f"/p{n}" for n in range(8))):
        site.serve(path, f"<title>{path}</title>".encode())
    return site


def test_they_are_crawled_with_their_depth_in_the_order_of_their_priority(commands: Commands, sites: Sites) -> None:
    site = _site(sites)
    commands.write("follow.py", HOOK)
    done = commands.run(
        *("run", site.url("/"), "--hook", "follow.py:follow", "--hook-on", "all"),
        *("--delay", "0", "-n", "1", "--concurrency", "1", "-o", "-"),
    )
    assert done.code == 0, done.err
    records = {site.path_of(record["url"]): record for record in done.records()}
    asked = list(site.asked_of_pages())
    assert asked[:4] == ["/", "/before-first", "/first", "/api/2"]
    assert {path: records[path]["depth"] for path in ("/first", "/api/2", "/p1", "/from-404", "/from-dropped")} == {
        "/first": 1,
        "/api/2": 7,
        "/p1": 1,
        "/from-404": 2,
        "/from-dropped": 2,
    }
    assert records["/first"]["outcome"] == "dropped:hook"
    assert records["/disallowed"]["outcome"] == "dropped:robots"
    assert records["/from-404"]["via"] == site.url("/gone")
    assert records["/"]["data"] == {"items": [{"n": 1}]}
    assert records["/"]["error"].startswith("hook: InvalidURL: 'mailto:a@b.example' is not a URL to crawl")
    assert "elsewhere.example" not in str(records)
    status = commands.status()
    assert status["refused"] == {"scope": 1}
    assert (status["hook_errors"], list(status["hook_failures"].values())) == (1, [1])
    assert f"hook failed on {site.url('/')}: InvalidURL" in done.err


def test_fetch_shows_them(commands: Commands, sites: Sites) -> None:
    site = _site(sites)
    commands.write("follow.py", HOOK.replace('        yield Request("mailto:a@b.example")\n', ""))
    done = commands.run("fetch", site.url("/"), "--hook", "follow.py:follow")
    assert done.code == 0, done.err
    shown = [line.split(maxsplit=1)[1] for line in done.out.splitlines() if line.startswith("  request ")]
    assert shown[:3] == [
        f"{site.url('/before-first')} (depth 1, to the front of its host's queue)",
        f"{site.url('/first')} (depth 1, to the front of its host's queue)",
        f"{site.url('/api/2')} (depth 7)",
    ]
    assert shown[4].startswith("http://elsewhere.example/ (refused: ")


def test_a_copy_asks_for_its_own(commands: Commands, sites: Sites) -> None:
    """Pages with the same content may lead to different URLs: those that the hook makes are not left out."""
    site = sites.add()
    for n in range(3):
        site.serve(f"/list?page={n}", b"<title>The same</title>")
    commands.write(
        "pages.py",
        "from crawler import Request\n\ndef more(page):\n"
        "    n = int(page.url[-1])\n    return Request(f'?page={n + 1}') if n < 2 else None\n",
    )
    done = commands.run("run", site.url("/list?page=0"), "--hook", "pages.py:more", "--delay", "0", "-n", "1")
    assert done.code == 0, done.err
    assert len(commands.records()) == 3
