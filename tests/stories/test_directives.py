"""What pages say of themselves and of others: directives and their switches, canonical, refresh, repeated content."""

from __future__ import annotations

import pytest

from tests.stories.commands import Commands, Json, by_url, outcomes
from tests.stories.sites import Site, Sites, html

OPTIONS = ["--delay", "0", "--per-host", "4", "--workers", "1", "-o", "-"]


def crawl(commands: Commands, site: Site, *arguments: str) -> dict[str, Json]:
    """The records of a crawl of *site*, by path."""
    done = commands.run("run", site.url("/"), *OPTIONS, *arguments)
    assert done.code == 0, done.err
    return {site.path_of(url): record for url, record in by_url(done.records()).items()}


def test_directives_can_be_ignored_one_by_one(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/noindex", "/nofollow"]) + b'<a rel=nofollow href="/marked">x</a>')
    site.serve("/noindex", html(head='<meta name=robots content="noindex">', title="kept?"))
    site.serve("/nofollow", html(["/below"], head='<meta name=robots content="nofollow">'))
    for path in ("/marked", "/below"):
        site.serve(path, html())
    found = crawl(commands, site, "--ignore-noindex")
    assert (found["/noindex"]["outcome"], found["/noindex"]["title"]) == ("fetched", "kept?")
    assert set(found) == {"/", "/noindex", "/nofollow"}
    found = crawl(commands, site, "--ignore-nofollow", "--crawl", "second")
    assert found["/noindex"]["outcome"] == "dropped:noindex"
    assert set(found) == {"/", "/noindex", "/nofollow", "/marked", "/below"}


def test_directives_for_our_name(commands: Commands, sites: Sites) -> None:
    """In a meta of that name and in a header with it; those for others are passed over."""
    site = sites.add()
    site.serve("/", html(["/ours", "/theirs", "/header", "/their-header"]))
    site.serve("/ours", html(head='<meta name="mybot" content="noindex">'))
    site.serve("/theirs", html(head='<meta name="otherbot" content="noindex">'))
    site.serve("/header", html(), headers=[("X-Robots-Tag", "otherbot: nofollow, mybot: noindex")])
    site.serve("/their-header", html(), headers=[("X-Robots-Tag", "otherbot: noindex")])
    found = crawl(commands, site, "--user-agent", "MyBot/1.0 (+http://a.example)")
    assert {path: record["outcome"] for path, record in found.items()} == {
        **dict.fromkeys(("/", "/theirs", "/their-header"), "fetched"),
        **dict.fromkeys(("/ours", "/header"), "dropped:noindex"),
    }


@pytest.mark.parametrize(
    ("way", "paths"),
    [
        ("follow", {"/", "/copy", "/original", "/only-here", "/own"}),
        ("ignore", {"/", "/copy", "/only-here", "/own"}),
        ("obey", {"/", "/copy", "/original", "/only-here", "/own"}),
    ],
)
def test_canonical(commands: Commands, sites: Sites, way: str, paths: set[str]) -> None:
    """It is recorded; it is a link, or none, or makes the page a copy, without text once the original is stored."""
    site, elsewhere = sites.add(), sites.add("127.0.0.2")
    site.serve("/", html(["/copy", "/own"]))
    site.serve("/copy", html(["/only-here"], head='<link rel="canonical" href="/original">') + b"<p>text of a copy")
    site.serve("/own", html(head=f'<link rel=canonical href="{elsewhere.url("/x")}">') + b"<p>text of its own")
    for path in ("/original", "/only-here"):
        site.serve(path, html(title=path))
    found = crawl(commands, site, "--canonical", way)
    assert set(found) == paths
    if way == "obey":
        assert (found["/original"]["depth"], found["/only-here"]["depth"]) == (1, 2)
    assert found["/copy"]["canonical"] == site.url("/original")
    assert found["/copy"].get("duplicate_of") == (site.url("/original") if way == "obey" else None)
    assert ("text" in found["/copy"]) is (way != "obey")
    assert "text of its own" in found["/own"]["text"]
    assert not elsewhere.seen


def test_the_same_content_again(commands: Commands, sites: Sites) -> None:
    """A copy is recorded as one, and its relative links, which would lead ever deeper, are not followed."""
    site = sites.add()
    site.serve("/", html(["/a/"]))
    body = html(["deeper/"], title="the same") + b"<p>the same text"
    for depth in range(1, 9):
        site.serve("/a/" + "deeper/" * (depth - 1), body)
    found = crawl(commands, site)
    assert set(found) == {"/", "/a/", "/a/deeper/"}
    assert found["/a/deeper/"]["duplicate_of"] == site.url("/a/")
    assert ("duplicate_of" in found["/a/"], "text" in found["/a/"], "text" in found["/a/deeper/"]) == (
        False,
        True,
        False,
    )
    assert commands.status()["duplicates"] == 1
    found = crawl(commands, site, "--follow-duplicates", "--crawl", "second")
    assert len(found) == 5  # until the path repeats itself too often


def test_seeds_are_followed_whatever_they_look_like(commands: Commands, sites: Sites) -> None:
    one, other = sites.add(), sites.add("127.0.0.2")
    for site in (one, other):
        site.serve("/", html(["/more"]))
        site.serve("/more", html(title=site.host))
    done = commands.run("run", one.url("/"), other.url("/"), *OPTIONS)
    records = by_url(done.records())
    assert outcomes(records) == dict.fromkeys([s.url(p) for s in (one, other) for p in ("/", "/more")], "fetched")


def test_a_refresh_is_a_redirect(commands: Commands, sites: Sites) -> None:
    """Its target has the depth of its page, and a chain of them without end is cut like one of redirects."""
    site = sites.add()
    site.serve("/", html(["/now"]))
    site.serve("/now", html(["/link"], head='<meta http-equiv="refresh" content="0; url=/then">'))
    for path in ("/then", "/link"):
        site.serve(path, html(title=path))
    for n in range(30):
        refresh = f'<meta http-equiv="refresh" content="0; url=/long{chr(98 + n)}">'
        site.serve(f"/long{chr(97 + n)}", html(head=refresh, title=str(n)))
    found = crawl(commands, site, site.url("/longa"))
    assert (found["/then"]["depth"], found["/then"]["hops"]) == (1, 1)
    assert (found["/link"]["depth"], found["/link"].get("hops")) == (2, None)
    assert sum(path.startswith("/long") for path in found) == 21
    assert commands.status()["refused"]["hops"] == 1


@pytest.mark.parametrize(
    ("page", "is_moved"),
    [
        ('<meta http-equiv=refresh content="0;url={}">moved', True),
        ('<meta http-equiv=refresh content="10;url={}"><a href="/">moved</a>', True),
        ('<meta http-equiv=refresh content="0;url={}"><a href="http://127.0.0.3:1/">elsewhere</a>', True),
        ('<meta http-equiv=refresh content="11;url={}">moved', False),
        ('<meta http-equiv=refresh content="0;url={}"><a href="/more">more</a>', False),
        ('<meta name=robots content=nofollow><meta http-equiv=refresh content="0;url={}">', False),
    ],
)
def test_a_seed_that_only_leads_elsewhere_takes_its_root_along(
    commands: Commands, sites: Sites, page: str, is_moved: bool
) -> None:
    site, other = sites.add(), sites.add("127.0.0.2")
    site.serve("/", page.format(other.url("/")).encode(), headers=[("Content-Type", "text/html")])
    site.serve("/more", html())
    other.serve("/", html(["/below"]))
    other.serve("/below", html())
    done = commands.run("run", site.url("/"), *OPTIONS, "--allow-private")
    records = by_url(done.records())
    assert {url for url in records if url.startswith(other.url(""))} == (
        {other.url("/"), other.url("/below")} if is_moved else set()
    )
    if is_moved:
        assert (records[other.url("/")]["depth"], records[other.url("/")]["hops"]) == (0, 1)


def test_a_page_that_is_no_seed_and_a_private_address_get_no_root_by_a_refresh(
    commands: Commands, sites: Sites
) -> None:
    site, other = sites.add(), sites.add("127.0.0.2")
    refresh = f'<meta http-equiv=refresh content="0;url={other.url("/")}">'
    site.serve("/", html(["/stub"]))
    site.serve("/stub", html(head=refresh))
    site.serve("/seed", html(head=refresh))
    assert commands.run("run", site.url("/"), *OPTIONS, "--allow-private").code == 0
    done = commands.run("run", site.url("/seed"), *OPTIONS, "--crawl", "second")
    assert by_url(done.records())[site.url("/seed")]["error"].startswith("redirect to a private address")
    assert not other.seen


@pytest.mark.parametrize("store", ["text", "meta"])
def test_links_of_the_header_lead_on(commands: Commands, sites: Sites, store: str) -> None:
    """A refresh in the header is a redirect; next and prev are links, and a canonical is recorded."""
    site = sites.add()
    site.serve("/", html(["/stub", "/list"]))
    site.serve("/stub", b"moved", headers=[("Refresh", "0; url=/then")])
    site.serve("/list", html(), headers=[("Link", '</list?page=2>; rel="next", </list>; rel="canonical"')])
    for path in ("/then", "/list?page=2"):
        site.serve(path, html(title=path))
    found = crawl(commands, site, "--store", store)
    assert set(found) == {"/", "/stub", "/list", "/then", "/list?page=2"}
    assert (found["/then"]["depth"], found["/then"]["hops"]) == (1, 1)
    assert found["/list"]["canonical"] == site.url("/list")


@pytest.mark.parametrize("engine", ["curl", "requests"])
def test_html_is_asked_for_of_pages_alone(commands: Commands, sites: Sites, engine: str) -> None:
    """Some servers give HTML to nobody else; robots.txt and sitemaps are asked for as they are."""
    site = sites.add()
    site.serve("/", html(["/a"]))
    site.serve("/robots.txt", f"Sitemap: {site.url('/map.xml')}".encode())
    commands.run("run", site.url("/"), *OPTIONS, "--fetcher", engine)
    commands.run("fetch", site.url("/"), "--fetcher", engine)
    accepted = {(seen.path, seen.headers["accept"]) for seen in site.seen}
    page = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert accepted == {("/", page), ("/a", page), ("/robots.txt", "*/*"), ("/map.xml", "*/*")}


def test_the_end_of_a_chain_of_redirects_says_so(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/r0"]))
    for n in range(30):
        site.redirect(f"/r{n}", f"/r{n + 1}")
    found = crawl(commands, site)
    assert {path: record["outcome"] for path, record in found.items() if path != "/"} == {
        **{f"/r{n}": "redirected" for n in range(20)},
        "/r20": "failed:redirect-loop",
    }
    assert (found["/r20"]["error"], found["/r20"]["hops"]) == ("more than 20 redirects in a row", 20)
    assert found["/r20"]["redirect_to"] == site.url("/r21")


def test_a_copy_with_more_links_than_one_commit_takes(commands: Commands, sites: Sites) -> None:
    """None of them is followed: not those that would have gone before the commit either."""
    site = sites.add()
    body = html(f"x{n}" for n in range(1_500))
    site.serve("/", html(["/a/", "/b/"]))
    for path in ("/a/", "/b/"):
        site.serve(path, body)
    done = commands.run("run", site.url("/"), "--delay", "0", "--workers", "1", "--max-pages", "3")
    assert done.code == 0, done.err
    status = commands.status()
    assert (status["accepted"], status["duplicates"]) == (1_503, 1)


def test_stubs_and_slashes_are_no_copies_to_be_left(commands: Commands, sites: Sites) -> None:
    """Pages that only lead on by a refresh, and the same page with and without a slash, are followed."""
    site = sites.add()
    site.serve("/", html(["/v1/", "/v2/", "/guide", "/guide/"]))
    for version in ("/v1/", "/v2/"):
        site.serve(version, html(head='<meta http-equiv="refresh" content="0; url=main.html">'))
        site.serve(f"{version}main.html", html(title=version))
    for path in ("/guide", "/guide/"):
        site.serve(path, html(["one.html"], "guide"))
    site.serve("/guide/one.html", html(title="one"))
    found = crawl(commands, site)
    assert {path: found[path]["status"] for path in ("/v1/main.html", "/v2/main.html", "/guide/one.html")} == {
        "/v1/main.html": 200,
        "/v2/main.html": 200,
        "/guide/one.html": 200,
    }
    assert found["/one.html"]["status"] == 404


@pytest.mark.parametrize(
    "names", [{"/a": "/b", "/b": "/a"}, {"/a": "/b", "/b": "/c", "/c": "/a"}, {"/a": "/b", "/b": "/c"}]
)
def test_of_pages_that_name_each_other_as_canonical_the_text_of_one_is_kept(
    commands: Commands, sites: Sites, names: dict[str, str]
) -> None:
    site = sites.add()
    pages = sorted({*names, *names.values()})
    site.serve("/", html(pages))
    for path in pages:
        head = f'<link rel=canonical href="{names[path]}">' if path in names else ""
        site.serve(path, html(head=head, title=path) + f"<p>text of {path}".encode())
    found = crawl(commands, site, "--canonical", "obey", "--per-host", "1")
    assert [path for path in pages if f"text of {path}" in found[path].get("text", "")]
    for path, original in names.items():
        assert found[path]["duplicate_of"] == site.url(original)


@pytest.mark.parametrize("fate", ["missing", "noindex", "disallowed", "redirect", "copy", "budget"])
def test_a_page_whose_canonical_is_not_stored_keeps_its_text(commands: Commands, sites: Sites, fate: str) -> None:
    site = sites.add()
    site.serve("/", html(["/other", "/a"]) + b"<p>home")
    site.serve("/other", html(title="other") + b"<p>other")
    site.serve("/a", html(head='<link rel=canonical href="/original">') + b"<p>the only text")
    match fate:
        case "noindex":
            site.serve("/original", html(head="<meta name=robots content=noindex>") + b"<p>x")
        case "disallowed":
            site.serve("/robots.txt", b"User-agent: *\nDisallow: /original")
            site.serve("/original", html() + b"<p>x")
        case "redirect":
            site.redirect("/original", "/other")
        case "copy":
            site.serve("/original", html(title="other") + b"<p>other")
        case "budget":
            site.serve("/original", html() + b"<p>x")
    budget = ["--max-pages", "3"] if fate == "budget" else []
    found = crawl(commands, site, "--canonical", "obey", "--per-host", "1", *budget)
    assert "the only text" in found["/a"]["text"]
    assert found["/a"]["duplicate_of"] == site.url("/original")


def test_a_canonical_that_was_stored_before_leaves_its_copies_without_text(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/original"]))
    site.serve("/original", html(["/copy"], title="o") + b"<p>the text")
    site.serve("/copy", html(head='<link rel=canonical href="/original">') + b"<p>the text")
    found = crawl(commands, site, "--canonical", "obey")
    assert "the text" in found["/original"]["text"]
    assert (found["/copy"]["duplicate_of"], "text" in found["/copy"]) == (site.url("/original"), False)


def test_a_canonical_that_leads_back(commands: Commands, sites: Sites) -> None:
    """It is noted, and costs neither that page's text nor anything behind it."""
    site = sites.add()
    site.serve("/", html(["/a"]))
    site.serve("/a", html(["/below"], head='<link rel=canonical href="/a/">') + b"<p>the text")
    site.redirect("/a/", "/a")
    site.serve("/below", html())
    found = crawl(commands, site, "--canonical", "obey", "--max-depth", "2")
    assert set(found) == {"/", "/a", "/a/", "/below"}
    assert "the text" in found["/a"]["text"]
    assert commands.status()["duplicates"] == 1
