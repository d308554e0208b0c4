"""`crawler explain`: each state of a URL, why it is in or out, and the way to its seed."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from tests.servers import Call
from tests.stories.commands import Commands, Json
from tests.stories.sites import Sites, html

OPTIONS = ["--delay", "0", "--per-host", "1", "--workers", "1"]


def explained(commands: Commands, url: str) -> Json:
    """`explain --json`."""
    done = commands.run("explain", url, "--json")
    assert done.code == 0, done.err
    found: Json = json.loads(done.out)
    return found


def test_what_has_ended(commands: Commands, sites: Sites) -> None:
    """Its record, the pages that led to it, and the line of robots.txt that decided."""
    site = sites.add()
    home = site.serve("/", html(["/docs/", "/private/x", "http://elsewhere.example/"]))
    docs = site.serve("/docs/", html(["/docs/deep"]))
    deep = site.serve("/docs/deep", html(title="deep"))
    site.robots = b"# ours\nUser-agent: *\nAllow: /docs/deep\nDisallow: /docs/d\nDisallow: /private/\n"
    commands.run("run", home, *OPTIONS)
    told = explained(commands, deep + "#part")
    assert (told["url"], told["state"], told["record"]["title"]) == (deep, "fetched", "deep")
    assert told["origins"] == [docs, home]
    assert (told["record"]["via"], told["record"]["depth"]) == (docs, 2)
    assert "'Allow: /docs/deep'" in told["robots"]
    assert told["scope"].startswith("a link to it is followed: its site")
    private = explained(commands, site.url("/private/x"))
    assert (private["state"], "'Disallow: /private/'" in private["robots"]) == ("dropped:robots", True)
    assert explained(commands, home)["scope"] == "it was named as a seed (or by robots.txt as a sitemap)"
    unknown = explained(commands, site.url("/never"))
    assert (unknown["state"], unknown["robots"]) == ("unknown", "allowed: no line applies")
    stranger = explained(commands, "http://elsewhere.example/")
    assert (stranger["state"], "refused as a link: scope" in stranger["scope"]) == ("unknown", True)
    assert "was not read yet" in stranger["robots"]
    said = commands.run("explain", deep).out.splitlines()
    assert said[0] == deep
    assert "  state     fetched" in said
    assert f"  found on  {docs}" in said


def test_what_is_under_way(commands: Commands, sites: Sites) -> None:
    """One page is in the hands of a worker, the others have their places in the queue."""
    site = sites.add()
    held, let_go = threading.Event(), threading.Event()

    def slow(call: Call) -> None:
        held.set()
        let_go.wait(30)
        call.answer(html())

    home = site.serve("/", html(["/slow", *(f"/{n}" for n in range(30))]))
    site.pages["/slow"] = slow
    going = commands.start("run", home, *OPTIONS)
    assert held.wait(30)
    leased = explained(commands, site.url("/slow"))
    assert (leased["state"], leased["origins"]) == ("leased", [home])
    assert leased["where"].startswith("leased to worker ")
    queued = explained(commands, site.url("/17"))
    assert (queued["state"], queued["where"]) == ("queued", "place 18 of its host's queue of pages")
    assert (queued["host"]["queued"], queued["host"]["in_flight"]) == (30, 1)
    let_go.set()
    going.signal(signal.SIGINT)
    going.wait()


def test_a_queued_url_is_judged_by_its_own_depth(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    home = site.serve("/", html(["/a"]))
    site.serve("/a", html(["/b"]))
    commands.run("run", home, *OPTIONS, "--max-pages", "2")
    queued = explained(commands, site.url("/b"))
    assert (queued["state"], queued["scope"].partition(":")[0]) == ("queued", "a link to it is followed")
    assert commands.run("set", "max-depth", "1").code == 0
    assert "refused as a link: depth" in explained(commands, site.url("/b"))["scope"]
    assert "refused" not in explained(commands, site.url("/a"))["scope"]


def test_a_dead_host(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    home = site.url("/")
    site.go_away()
    going = commands.start("run", home, *OPTIONS, "--host-patience", "1h")
    going.wait_for_workers(1)
    commands.run("pause")
    told = explained(commands, home)
    assert told["state"] in ("queued", "leased")
    assert told["host"]["queued"] + told["host"]["in_flight"] >= 1
    going.signal(signal.SIGINT)
    going.wait()


@pytest.mark.parametrize("url", ["ftp://a.example/", "http://", "nonsense"])
def test_mistakes(commands: Commands, sites: Sites, url: str) -> None:
    site = sites.add()
    commands.run("seed", site.serve("/", html()))
    done = commands.run("explain", url)
    assert (done.code, len(done.lines)) == (2, 1)


def test_the_form_of_the_crawl_is_shown(commands: Commands, sites: Sites) -> None:
    """Another spelling is the same URL where the crawl says so."""
    site = sites.add()
    home = site.serve("/?a=1&b=2", html())
    commands.run("run", home, *OPTIONS, "--strip-tracking", "--sort-query")
    given = f"{site.url('/')}?b=2&utm_source=mail&a=1"
    told = explained(commands, given)
    assert (told["url"], told["given"], told["state"]) == (home, given, "fetched")
    assert f"  given as  {given}" in commands.run("explain", given).out.splitlines()


def test_budgets_are_told(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    home = site.serve("/", html(["/a", "/b"]))
    for path in ("/a", "/b"):
        site.serve(path, html(title=path))
    commands.run("run", home, *OPTIONS, "--max-pages-per-host", "2")
    states = {path: explained(commands, site.url(path)) for path in ("/a", "/b")}
    (left_out,) = [told for told in states.values() if told["state"] == "unknown"]
    assert "refused as a link: budget" in left_out["scope"]
