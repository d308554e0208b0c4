"""Spellings that a crawl takes for one URL: each page once, and servers that insist on theirs are followed."""

from __future__ import annotations

from tests.servers import Call
from tests.stories.commands import Commands, by_url, outcomes
from tests.stories.sites import Sites, html

OPTIONS = ["--delay", "0", "--per-host", "4", "--workers", "1", "-o", "-"]


def test_each_page_once(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    links = ["/a?utm_source=x&id=1", "/a?id=1&gclid=7", "/a?id=1", "/b;jsessionid=0123456789ABCDEF", "/b", "/c?y=1&x=2"]
    home = site.serve("/", html([*links, "/c?x=2&y=1"]))
    for path in ("/a?id=1", "/b", "/c?x=2&y=1"):
        site.serve(path, html(title=path))
    options = ["--strip-tracking", "--strip-sessions", "--sort-query"]
    done = commands.run("run", home, *OPTIONS, *options)
    assert outcomes(by_url(done.records())) == dict.fromkeys(
        [home, *(site.url(path) for path in ("/a?id=1", "/b", "/c?x=2&y=1"))], "fetched"
    )
    assert site.asked_of_pages().total() == 4


def test_by_default_nothing_is_merged(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    home = site.serve("/", html(["/a?utm_source=x", "/a", "/a/", "/A", "/a?", "/a?x=1&y=2", "/a?y=2&x=1"]))
    records = by_url(commands.run("run", home, *OPTIONS).records())
    assert len(records) == 8


def test_a_server_that_insists_on_its_spelling(commands: Commands, sites: Sites) -> None:
    """It redirects to another spelling of the same URL: that one is asked for, and the page is stored once."""
    site = sites.add()
    home = site.serve("/", html(["/in", "/loop"]))
    site.redirect("/in", "/in;jsessionid=0123456789ABCDEF")
    site.serve("/in;jsessionid=0123456789ABCDEF", html(["/below"], "inside"))
    site.serve("/below", html())
    numbers = iter(range(100))
    site.otherwise, plain = (lambda call: _loop(call, numbers) or plain(call)), site.otherwise
    records = by_url(commands.run("run", home, *OPTIONS, "--strip-sessions").records())
    assert outcomes(records) == {
        **dict.fromkeys([home, site.url("/in"), site.url("/below")], "fetched"),
        site.url("/loop"): "failed:redirect-loop",
    }
    assert records[site.url("/in")]["title"] == "inside"
    assert sum(n for target, n in site.asked().items() if target.startswith("/loop")) == 21


def _loop(call: Call, numbers: object) -> bool:
    """A new session with each request, for ever."""
    if not call.seen.path.startswith("/loop"):
        return False
    number = next(numbers)  # type: ignore[call-overload]
    call.answer(b"", 302, [("Location", f"/loop;jsessionid={number:032x}")])
    return True


def test_settings_of_the_form_are_fixed(commands: Commands, sites: Sites) -> None:
    """A crawl keeps the ids that it gave."""
    site = sites.add()
    home = site.serve("/", html())
    commands.run("run", home, *OPTIONS)
    done = commands.run("run", home, *OPTIONS, "--one-scheme")
    assert (done.code, "--one-scheme no" in done.err) == (2, True)
