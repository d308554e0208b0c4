"""What the pages of a check name: which of it is read, which is asked for, and what is kept."""

from __future__ import annotations

import msgspec
import pytest

from crawler.checked_page import PLACES, CheckedPage, Named, Note, name_hash, short_id, text_hash
from crawler.fetch.fetcher import FetchError, FetchResult, Headers, Response
from crawler.frontier.verbs import MAX_REQUESTS
from crawler.parse.places import PagePlaces
from crawler.record import Request
from crawler.settings import Settings
from tests.worker.checks import ELSEWHERE, SITE, Check, answer, asked, check, html, kept, place

HOME = Request(SITE)
_READ = ("link", "frame", "canonical", "hreflang", "refresh", "style", "manifest")


@pytest.mark.parametrize("kind", PLACES)
def test_the_kind_of_a_place_says_whether_its_url_is_read(kind: str) -> None:
    wanted = "page" if kind in _READ else "target"
    commit = check(place(kind, f"{SITE}a")).commit(HOME, html())
    assert asked(commit.requests) == {f"{SITE}a": wanted}


@pytest.mark.parametrize("kind", PLACES)
def test_what_is_out_of_scope_is_asked_for_and_not_read(kind: str) -> None:
    commit = check(place(kind, f"{ELSEWHERE}a")).commit(HOME, html())
    assert asked(commit.requests) == {f"{ELSEWHERE}a": "target"}
    assert asked(check(place(kind, f"{ELSEWHERE}a"), no_external=True).commit(HOME, html()).requests) == {}


@pytest.mark.parametrize(
    ("rel", "wanted"), [("next", "page"), ("stylesheet", "page"), ("preload", "target"), ("next nofollow", "target")]
)
def test_a_link_of_the_header_is_read_by_its_rel(rel: str, wanted: str) -> None:
    commit = check(place("header", f"{SITE}a", rel=rel)).commit(HOME, html())
    assert asked(commit.requests) == {f"{SITE}a": wanted}


def test_nofollow_is_asked_for_and_not_read() -> None:
    places = place("link", f"{SITE}a", rel="nofollow ugc"), place("link", f"{SITE}b")
    assert asked(check(*places).commit(HOME, html("/b")).requests) == {f"{SITE}a": "target", f"{SITE}b": "page"}
    all_of_it = html("/b", headers=[("x-robots-tag", "nofollow")])
    assert asked(check(*places).commit(HOME, all_of_it).requests) == {f"{SITE}a": "target", f"{SITE}b": "target"}
    obeyed_not = check(*places, ignore_nofollow=True)
    assert asked(obeyed_not.commit(HOME, all_of_it).requests) == {f"{SITE}a": "page", f"{SITE}b": "page"}


def test_what_filters_refuse_is_not_asked_for_nor_kept() -> None:
    names = [place(kind, f"{at}no/{kind}") for kind in ("link", "image") for at in (SITE, ELSEWHERE)]
    commit = check(*names, place("link", f"{SITE}yes"), exclude=("/no/",)).commit(HOME, html())
    assert asked(commit.requests) == {f"{SITE}yes": "page"}
    assert len(kept(commit).named) == 1


def test_what_is_too_deep_or_looks_like_a_trap_is_asked_for_and_not_read() -> None:
    trap = f"{SITE}{'a/' * 9}"
    commit = check(place("link", f"{SITE}deep"), place("link", trap), max_depth=3).commit(Request(SITE, 3), html())
    assert asked(commit.requests) == {f"{SITE}deep": "target", trap: "target"}


def test_a_port_of_another_protocol_is_not_asked() -> None:
    commit = check(place("image", "http://elsewhere.example:25/"), place("link", "http://site.example:25/")).commit(
        HOME, html()
    )
    assert asked(commit.requests) == {}


def test_a_url_that_a_page_names_both_ways_is_a_page() -> None:
    one = check(place("image", f"{SITE}a", line=3), place("link", f"{SITE}a", line=9))
    commit = one.commit(HOME, html("/a"))
    assert asked(commit.requests) == {f"{SITE}a": "page"}
    page = short_id(one.stored.id(f"{SITE}a"))
    assert list(kept(commit).named) == [Named(page, PLACES.index("image"), 3), Named(page, PLACES.index("link"), 9)]


def test_ids_are_those_of_what_is_asked_for() -> None:
    one = check(
        place("link", f"{SITE}a", fragment="part", line=1),
        place("image", f"{SITE}b", line=2),
        place("link", SITE, fragment="top of it", line=3),
    )
    commit = one.commit(Request(SITE, depth=0), html("/a"))
    ids = one.stored.id(f"{SITE}a"), one.stored.id_of(Request(f"{SITE}b", target=True)), one.stored.id(SITE)
    assert [(found.target, found.fragment) for found in kept(commit).named] == [
        (short_id(ids[0]), name_hash("part")),
        (short_id(ids[1]), None),
        (short_id(ids[2]), name_hash("top of it")),
    ]
    assert [one.stored.id_of(request) for request in commit.requests] == list(ids[:2])


def test_a_place_of_a_page_at_the_greatest_depth_may_be_on_itself() -> None:
    one = check(place("link", SITE, fragment="a"), max_depth=2)
    commit = one.commit(Request(SITE, 2), html())
    assert asked(commit.requests) == {}
    assert kept(commit).named[0].target == short_id(one.stored.id(SITE))


def test_what_is_kept_of_a_page() -> None:
    one = check()
    one.places = PagePlaces(names=("a", "b"), notes=[Note("alt-missing", 4, "<img>")])
    head = '<meta name="description" content="what it is"><meta name="robots" content="noindex">'
    commit = one.commit(HOME, html(head=head))
    found = kept(commit)
    assert commit.outcome == "fetched"
    assert found.has(name_hash("a"))
    assert found.has(name_hash("b"))
    assert not found.has(name_hash("c"))
    assert (found.noindex, found.notes) == (True, [Note("alt-missing", 4, "<img>")])
    assert (found.title, found.description) == (text_hash("a title"), text_hash("what it is"))
    assert (found.elapsed_ms, found.size) == (500, len(html(head=head).body))


def test_targets_are_sent_once_by_a_worker_and_do_not_hide_pages() -> None:
    one = check(place("image", f"{SITE}a"), place("image", f"{ELSEWHERE}b"))
    first = one.ended(HOME, html())
    one.links.known.acknowledge(first.urls)
    assert asked(one.commit(Request(f"{SITE}c"), html(url=f"{SITE}c")).requests) == {}
    one.places = PagePlaces([place("link", f"{SITE}a")])
    assert asked(one.commit(Request(f"{SITE}d"), html("/a", url=f"{SITE}d")).requests) == {f"{SITE}a": "page"}


def test_many_targets_go_before_the_commit_in_pieces() -> None:
    count = 2 * MAX_REQUESTS + 5
    one = check(*(place("image", f"{ELSEWHERE}{n}") for n in range(count)))
    ended = one.ended(HOME, html())
    commit = one.commit(HOME, html())
    assert [len(commit.requests), *map(len, ended.before)] == [MAX_REQUESTS, MAX_REQUESTS, 5]
    assert len(ended.urls) == count
    assert len(kept(commit).named) == count


def test_a_crawl_that_is_no_check_keeps_nothing_and_asks_for_no_targets() -> None:
    one = Check(Settings(store=("meta",)), PagePlaces([place("image", f"{SITE}a")]))
    commit = one.commit(HOME, html("/b"))
    assert (asked(commit.requests), commit.links) == ({f"{SITE}b": "page"}, None)


def test_copies_and_canonicalised_pages_are_parsed_and_kept() -> None:
    one = check(place("link", f"{SITE}b"), canonical="obey", near_duplicates=True)
    commit = one.commit(HOME, html("/b", head=f'<link rel=canonical href="{SITE}c">'))
    assert (commit.spared, commit.similarity) == ("*", None)
    assert kept(commit).named


# -- later visits ------------------------------------------------------------------------------------------------------


def test_what_a_page_names_stays_until_a_visit_finds_it_otherwise() -> None:
    one = check(place("link", f"{SITE}b"))
    first = one.commit(HOME, html("/b"))
    stays: dict[str, FetchResult] = {
        "the same": html("/b"),
        "denied": answer(SITE, 403),
        "broken": FetchError(SITE, "protocol", "no HTTP"),
        "of another type": answer(SITE, 200, ("content-type", "application/zip"), skipped=True),
    }
    for name, result in stays.items():
        ended = one.ended(Request(SITE), result, first.state)
        assert getattr(ended.message, "links", None) is None, name
    for result in (answer(SITE, 404), answer(SITE, 410), answer(SITE, 301, ("location", "/c"))):
        assert one.commit(HOME, result, first.state).links == b""
    changed = one.commit(HOME, html("/b", "/c"), first.state)
    assert kept(changed).named
    gone = one.commit(HOME, answer(SITE, 404), first.state)
    back = one.commit(HOME, html("/b"), gone.state)
    assert kept(back).named


def test_a_page_that_fails_and_is_gone_then_loses_what_it_named() -> None:
    one = check()
    first = one.commit(HOME, html("/b"))
    failed = one.commit(HOME, answer(SITE, 403), first.state)
    assert failed.keeps
    assert one.commit(HOME, answer(SITE, 404), failed.state).links == b""


# -- sitemaps ----------------------------------------------------------------------------------------------------------


def _sitemap(*locations: str, index: bool = False) -> Response:
    root, item = ("sitemapindex", "sitemap") if index else ("urlset", "url")
    rows = "".join(f"<{item}><loc>{location}</loc></{item}>" for location in locations)
    body = f'<?xml version="1.0"?><{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</{root}>'
    url = f"{SITE}sitemap.xml"
    return Response(url, 200, Headers([("content-type", "application/xml")]), body.encode())


def test_a_sitemap_names_its_locations() -> None:
    one = check()
    commit = one.commit(
        Request(f"{SITE}sitemap.xml", sitemap=True), _sitemap(f"{SITE}a", f"{ELSEWHERE}b", "http://[bad/")
    )
    assert asked(commit.requests) == {f"{SITE}a": "page", f"{ELSEWHERE}b": "target"}
    found = kept(commit)
    ids = one.stored.id(f"{SITE}a"), one.stored.id_of(Request(f"{ELSEWHERE}b", target=True))
    assert {named.target for named in found.named} == set(map(short_id, ids))
    assert {named.kind for named in found.named} == {PLACES.index("sitemap")}
    assert found.notes == [Note("url-invalid", 0, "http://[bad/")]


def test_an_index_names_sitemaps() -> None:
    one = check()
    commit = one.commit(Request(f"{SITE}sitemap.xml", sitemap=True), _sitemap(f"{SITE}one.xml", index=True))
    assert [request.sitemap for request in commit.requests] == [True]
    assert [named.target for named in kept(commit).named] == [short_id(one.stored.id(f"{SITE}one.xml"))]


# -- redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "wanted"),
    [(f"{SITE}b", "page"), (f"{ELSEWHERE}b", "target"), (f"{SITE}no", ""), (f"{SITE}{'a/' * 9}", "target")],
)
def test_the_redirect_of_a_page_leads_to_a_page_or_a_target(to: str, wanted: str) -> None:
    one = check(exclude=("no$",))
    commit = one.commit(Request(f"{SITE}a", 1), answer(f"{SITE}a", 302, ("location", to)))
    assert commit.outcome == "redirected"
    assert asked(commit.requests) == ({to: wanted} if wanted else {})
    assert commit.state.target == one.stored.id_of(Request(to, target=wanted != "page"))


def test_the_redirect_of_a_page_to_a_known_page_names_the_page() -> None:
    one = check()
    one.links.known.acknowledge([f"{SITE}b"])
    commit = one.commit(Request(f"{SITE}a", 1), answer(f"{SITE}a", 302, ("location", "/b")))
    assert (asked(commit.requests), commit.state.target) == ({}, one.stored.id(f"{SITE}b"))


def test_the_redirect_of_a_target_leads_to_a_target() -> None:
    one = check()
    target = Request(f"{ELSEWHERE}a", 1, target=True)
    commit = one.commit(target, answer(target.url, 301, ("location", f"{SITE}b")))
    assert asked(commit.requests) == {f"{SITE}b": "target"}
    assert (commit.requests[0].hops, commit.state.is_target) == (1, True)
    assert commit.state.target == one.stored.id_of(Request(f"{SITE}b", target=True))
    last = msgspec.structs.replace(target, hops=20)
    assert one.commit(last, answer(target.url, 301, ("location", "/c"))).outcome == "failed:redirect-loop"


def test_what_a_check_keeps_is_what_it_was() -> None:
    commit = check(place("link", f"{SITE}b", line=7)).commit(HOME, html("/b"))
    assert CheckedPage.decode(commit.links or b"").encode() == commit.links
