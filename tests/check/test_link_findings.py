"""What pages name is broken, redirects, may not be asked for: each finding, and look-alikes that are none."""

from __future__ import annotations

import pytest

from crawler.check.report import ReportOptions
from crawler.findings import CODES
from tests.check.crawled import NOW, SITE, Crawled, Link, Page

AWAY = "https://away.example"


def test_a_site_where_all_is_well_has_no_findings(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/b"), Link(f"{AWAY}/", 2, is_target=True))
    crawled.page(f"{SITE}/b", Page([Link(f"{SITE}/")]))
    crawled.state(f"{AWAY}/", is_target=True)
    assert crawled.findings() == []


def test_a_broken_target_names_all_pages_and_lines_that_hold_it(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/gone", 3), Link(f"{SITE}/gone", 7), Link(f"{SITE}/gone", 7), Link(f"{SITE}/b", 9))
    crawled.page(f"{SITE}/b", Page([Link(f"{SITE}/gone", 0)]))
    crawled.state(f"{SITE}/gone", "missing", 404)
    (found,) = crawled.findings()
    assert (found.code, found.severity, found.target, found.cause) == (
        "broken",
        "error",
        f"{SITE}/gone",
        "404 Not Found",
    )
    assert [(at.url, at.line) for at in found.pages] == [(f"{SITE}/", 3), (f"{SITE}/", 7), (f"{SITE}/b", None)]


def test_a_url_that_is_broken_as_page_and_as_target_is_one_finding(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/x", 2), Link(f"{SITE}/x", 4, "image", is_target=True))
    crawled.state(f"{SITE}/x", "missing", 410)
    crawled.state(f"{SITE}/x", "missing", 410, is_target=True)
    assert crawled.found() == {("broken", f"{SITE}/x"): [(f"{SITE}/", 2), (f"{SITE}/", 4)]}


def test_what_nothing_links_any_more_is_no_finding_but_a_start_page_is(crawled: Crawled) -> None:
    crawled.state(f"{SITE}/gone", "missing", 404)
    crawled.state(f"{SITE}/", "failed:http", 500, depth=0, via="0")
    assert crawled.found() == {("broken", f"{SITE}/"): []}


def test_a_start_page_that_robots_txt_disallows_is_not_checked(crawled: Crawled) -> None:
    crawled.state(f"{SITE}/", "dropped:robots", 0, depth=0, via="0")
    assert crawled.found() == {("not-checked", f"{SITE}/"): []}


def test_a_broken_sitemap_of_robots_txt_is_no_start_page(crawled: Crawled) -> None:
    crawled.state(f"{SITE}/sitemap.xml", "missing", 404, depth=0, via="0", sitemap=True)
    assert crawled.findings() == []


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        ("missing", 404, "broken"),
        ("denied", 400, "broken"),
        ("failed:http", 500, "broken"),
        ("failed:dns", 0, "broken"),
        ("failed:connect", 0, "broken"),
        ("failed:timeout", 0, "broken"),
        ("denied", 401, "cannot-tell"),
        ("denied", 403, "cannot-tell"),
        ("denied", 999, "cannot-tell"),
        ("failed:http", 429, "cannot-tell"),
        ("failed:hang", 0, "cannot-tell"),
        ("failed:robots", 0, "not-checked"),
        ("dropped:robots", 0, "not-checked"),
        ("failed:redirect-loop", 302, "redirect-loop"),
        ("dropped:type", 200, None),
        ("fetched", 204, None),
    ],
)
def test_the_outcome_of_an_external_target_decides(
    crawled: Crawled, outcome: str, status: int, code: str | None
) -> None:
    crawled.start(Link(f"{AWAY}/x", 5, is_target=True))
    crawled.state(f"{AWAY}/x", outcome, status, is_target=True)
    found = crawled.findings()
    assert [(one.code, one.target) for one in found] == ([] if code is None else [(code, f"{AWAY}/x")])
    assert all(one.cause for one in found)


def test_the_cause_is_that_of_the_record_of_the_same_visit(crawled: Crawled) -> None:
    crawled.start(Link(f"{AWAY}/x", is_target=True), Link(f"{AWAY}/y", is_target=True))
    for path in "xy":
        crawled.state(f"{AWAY}/{path}", "failed:tls", 0, is_target=True)
    crawled.record(f"{AWAY}/x", "failed:tls", is_target=True, error="handshake failure")
    crawled.record(f"{AWAY}/y", "failed:http", is_target=True, error="of another visit")
    assert [one.cause for one in crawled.findings()] == ["handshake failure", "no TLS connection to its host"]


def test_a_target_that_answered_but_says_why_it_may_not_be_there_cannot_be_told(crawled: Crawled) -> None:
    crawled.start(Link(f"{AWAY}/x", is_target=True), Link(f"{SITE}/page"))
    crawled.state(f"{AWAY}/x", is_target=True)
    crawled.record(f"{AWAY}/x", is_target=True, error="cannot tell: a captcha is in the way", target=True)
    crawled.page(f"{SITE}/page")
    crawled.record(f"{SITE}/page", error="the body is incomplete")
    (found,) = crawled.findings()
    assert (found.code, found.cause) == ("cannot-tell", "a captcha is in the way")


def test_a_redirect_to_a_login_cannot_be_told_and_a_parked_domain_is_broken(crawled: Crawled) -> None:
    crawled.start(Link(f"{AWAY}/x", 1, is_target=True), Link(f"{AWAY}/parked", 2, is_target=True))
    login = f"{AWAY}/login?next=%2Fx"
    crawled.state(f"{AWAY}/x", "redirected", 302, is_target=True, target=crawled.id(login, is_target=True))
    crawled.state(login, is_target=True)
    crawled.state(f"{AWAY}/parked", "checked", is_target=True)
    crawled.record(f"{AWAY}/parked", "checked", is_target=True, error="the domain is for sale", target=True)
    assert {one.key: [at.line for at in one.pages] for one in crawled.findings()} == {
        ("cannot-tell", f"{AWAY}/x"): [1],
        ("broken", f"{AWAY}/parked"): [2],
    }


def test_what_robots_txt_of_the_own_site_disallows_is_linked_disallowed(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/private", 4))
    crawled.state(f"{SITE}/private", "dropped:robots", 0)
    assert crawled.found() == {("linked-disallowed", f"{SITE}/private"): [(f"{SITE}/", 4)]}


def test_a_certificate_is_one_finding_a_host(crawled: Crawled) -> None:
    crawled.start(Link(f"{AWAY}/x", 1, is_target=True), Link(f"{AWAY}/y", 2, is_target=True), Link(f"{SITE}/z", 3))
    for path in "xy":
        crawled.state(f"{AWAY}/{path}", "failed:tls", 0, is_target=True)
        crawled.record(f"{AWAY}/{path}", "failed:tls", is_target=True, error="the certificate is self-signed")
    crawled.state(f"{SITE}/z", "failed:tls", 0)
    crawled.record(f"{SITE}/z", "failed:tls", error="handshake failure")
    assert crawled.found() == {
        ("broken", f"{SITE}/z"): [(f"{SITE}/", 3)],
        ("certificate", f"{AWAY}/"): [(f"{SITE}/", 1), (f"{SITE}/", 2)],
    }


def test_a_certificate_that_expires_is_one_finding_a_host_if_it_was_seen_since_the_day_before(crawled: Crawled) -> None:
    began = crawled.frontier.crawldb.visit().began_ms // 1000
    expires = 1_800_403_200  # 2027-01-20
    for url, ago in ((f"{SITE}/", 0), (f"{SITE}/b", 80_000), (f"{AWAY}/", 90_000)):
        crawled.state(url, checked_at=began - ago, certificate_expires=expires)
    (found,) = crawled.findings()
    assert (found.code, found.target) == ("certificate-expiring", f"{SITE}/")
    assert found.cause == "its certificate expires on 2027-01-20"


# -- redirects ---------------------------------------------------------------------------------------------------------


def test_a_redirect_to_what_is_broken_is_broken_and_nothing_else(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/old", 4))
    crawled.redirect(f"{SITE}/old", f"{SITE}/older")
    crawled.redirect(f"{SITE}/older", f"{SITE}/gone")
    crawled.state(f"{SITE}/gone", "missing", 404)
    (found,) = crawled.findings()
    assert (found.code, found.target) == ("broken", f"{SITE}/old")
    assert found.cause == f"it redirects to {SITE}/gone: 404 Not Found"


def test_chains_permanent_redirects_and_temporary_ones(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/two", 1), Link(f"{SITE}/301", 2), Link(f"{SITE}/308", 3), Link(f"{SITE}/302", 4))
    crawled.redirect(f"{SITE}/two", f"{SITE}/302", 302)
    crawled.redirect(f"{SITE}/302", f"{SITE}/b", 302)
    for status in (301, 308):
        crawled.redirect(f"{SITE}/{status}", f"{SITE}/b", status)
    crawled.page(f"{SITE}/b")
    assert {one.key: one.cause for one in crawled.findings()} == {
        ("redirect-chain", f"{SITE}/two"): f"2 redirects: {SITE}/two -> {SITE}/302 -> {SITE}/b",
        ("redirect-permanent", f"{SITE}/301"): f"301: it has moved for good to {SITE}/b",
        ("redirect-permanent", f"{SITE}/308"): f"308: it has moved for good to {SITE}/b",
    }


def test_redirects_in_a_circle(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/x", 1), Link(f"{SITE}/self", 2))
    crawled.redirect(f"{SITE}/x", f"{SITE}/y", 302)
    crawled.redirect(f"{SITE}/y", f"{SITE}/x", 302)
    crawled.redirect(f"{SITE}/self", f"{SITE}/self", 302)
    assert set(crawled.found()) == {("redirect-loop", f"{SITE}/x"), ("redirect-loop", f"{SITE}/self")}


def test_a_redirect_that_is_not_followed_because_of_an_error_is_broken(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/far", 1), Link(f"{SITE}/bad", 2), Link(f"{SITE}/refused", 3), Link(f"{SITE}/fine", 4))
    crawled.redirect(f"{SITE}/far", f"{SITE}/never-asked", 302)
    crawled.record(f"{SITE}/far", "redirected", error="more than 5 redirects in a row")
    crawled.state(f"{SITE}/bad", "redirected", 302)
    crawled.record(f"{SITE}/bad", "redirected", error="it redirects to http://, which is no URL")
    crawled.redirect(f"{SITE}/refused", f"{AWAY}/never-asked", 302)
    crawled.redirect(f"{SITE}/fine", f"{SITE}/", 302)
    crawled.record(f"{SITE}/fine", "redirected", error="its hook failed")
    assert {one.target: one.cause for one in crawled.findings()} == {
        f"{SITE}/far": "more than 5 redirects in a row",
        f"{SITE}/bad": "it redirects to http://, which is no URL",
    }


def test_a_start_page_that_redirects_is_broken_only_if_what_it_leads_to_is(crawled: Crawled) -> None:
    crawled.redirect(f"{SITE}/", f"{SITE}/en/")
    crawled.page(f"{SITE}/en/")
    assert crawled.findings() == []
    crawled.state(f"{SITE}/en/", "missing", 404)
    crawled.state(f"{SITE}/", "redirected", 301, target=crawled.id(f"{SITE}/en/"), depth=0, via="0")
    assert set(crawled.found()) == {("broken", f"{SITE}/")}


# -- fragments ---------------------------------------------------------------------------------------------------------


def missing(url: str, name: str) -> tuple[str, str]:
    """The finding of a fragment whose name was not read."""
    from crawler.checked_page import name_hash

    return "broken-fragment", f"{url}#?{name_hash(name):06x}"


def test_fragments_of_other_pages_and_of_the_page_itself(crawled: Crawled) -> None:
    links = [Link(f"{SITE}/b", 1, fragment="there"), Link(f"{SITE}/b", 2, fragment="nowhere")]
    crawled.start(*links, Link(f"{SITE}/", 3, fragment="me"), Link(f"{SITE}/", 4, fragment="not"), names=["me"])
    crawled.page(f"{SITE}/b", Page(names=["there"]))
    assert crawled.found() == {
        missing(f"{SITE}/b", "nowhere"): [(f"{SITE}/", 2)],
        missing(f"{SITE}/", "not"): [(f"{SITE}/", 4)],
    }


def test_a_fragment_goes_with_redirects_and_with_the_page_behind_a_target(crawled: Crawled) -> None:
    crawled.start(
        Link(f"{SITE}/old", 1, fragment="x"),
        Link(f"{SITE}/old", 2, fragment="there"),
        Link(f"{SITE}/b", 3, fragment="x", is_target=True),
        Link(f"{SITE}/b", 4, fragment="there", is_target=True),
    )
    crawled.redirect(f"{SITE}/old", f"{SITE}/b", 302)
    crawled.page(f"{SITE}/b", Page(names=["there"]))
    crawled.state(f"{SITE}/b", is_target=True)
    assert crawled.found() == {
        missing(f"{SITE}/old", "x"): [(f"{SITE}/", 1)],
        missing(f"{SITE}/b", "x"): [(f"{SITE}/", 3)],
    }


def test_fragments_of_what_was_not_read_or_is_no_html_or_is_broken_are_not_judged(crawled: Crawled) -> None:
    paths = ("pdf", "gone", "queued")
    crawled.start(
        *(Link(f"{SITE}/{path}", fragment="x") for path in paths), Link(f"{AWAY}/", fragment="x", is_target=True)
    )
    crawled.page(f"{SITE}/pdf", Page(names=None))
    crawled.state(f"{SITE}/gone", "missing", 404)
    crawled.state(f"{AWAY}/", is_target=True)
    assert set(crawled.found()) == {("broken", f"{SITE}/gone")}


# -- canonical pages, noindex ------------------------------------------------------------------------------------------


def test_a_canonical_link_to_what_is_broken_redirects_or_asks_not_to_be_indexed(crawled: Crawled) -> None:
    ends = ("gone", "old", "hidden", "good")
    crawled.start(*(Link(f"{SITE}/{n}", n) for n in range(1, 5)), Link(f"{SITE}/self", 5))
    for n, end in enumerate(ends, 1):
        crawled.page(f"{SITE}/{n}", Page([Link(f"{SITE}/{end}", 7, "canonical")]))
    crawled.page(f"{SITE}/self", Page([Link(f"{SITE}/self", 7, "canonical")], noindex=True))
    crawled.state(f"{SITE}/gone", "missing", 404)
    crawled.redirect(f"{SITE}/old", f"{SITE}/good")
    crawled.page(f"{SITE}/hidden", Page(noindex=True))
    crawled.page(f"{SITE}/good")
    found = {one.key: (one.cause, [at.url for at in one.pages]) for one in crawled.findings()}
    assert found == {
        ("canonical-broken", f"{SITE}/gone"): ("404 Not Found", [f"{SITE}/1"]),
        ("canonical-broken", f"{SITE}/old"): (f"redirects to {SITE}/good", [f"{SITE}/2"]),
        ("canonical-broken", f"{SITE}/hidden"): ("it asks not to be indexed", [f"{SITE}/3"]),
        ("linked-noindex", f"{SITE}/self"): ("it asks not to be indexed", [f"{SITE}/"]),
    }


def test_a_page_that_asks_not_to_be_indexed_may_be_linked_by_itself_and_by_nofollow(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/x", is_target=True), Link(f"{SITE}/x", kind="hreflang"))
    crawled.page(f"{SITE}/x", Page([Link(f"{SITE}/x"), Link(f"{SITE}/", kind="hreflang")], noindex=True))
    crawled.state(f"{SITE}/x", is_target=True)
    assert crawled.findings() == []


# -- style sheets, damage ----------------------------------------------------------------------------------------------


def test_of_a_style_sheet_the_pages_that_use_it_are_named(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/main.css", 2, "style"), Link(f"{SITE}/b", 3))
    crawled.page(f"{SITE}/b", Page([Link(f"{SITE}/print.css", 2, "style")]))
    crawled.page(f"{SITE}/main.css", Page([Link(f"{SITE}/print.css", 1, "style")], names=None))
    crawled.page(f"{SITE}/print.css", Page([Link(f"{SITE}/no.png", 9, "css", is_target=True)], names=None))
    crawled.state(f"{SITE}/no.png", "missing", 404, is_target=True)
    (found,) = crawled.findings()
    (place,) = found.pages
    assert (place.url, place.line, list(place.used_by)) == (f"{SITE}/print.css", 9, [f"{SITE}/", f"{SITE}/b"])


def test_values_that_cannot_be_read_are_counted_and_said_once(crawled: Crawled) -> None:
    crawled.start(Link(f"{SITE}/gone", 3))
    crawled.state(f"{SITE}/gone", "missing", 404)
    for shard in crawled.frontier.shards[:1]:
        shard.read(("HSET", shard.keys.ended_bucket(1), b"12345678", b"damaged"))
        shard.read(("HSET", shard.keys.links_bucket(1), b"22345678", b"damaged"))
        shard.read(("HSET", shard.keys.links_bucket(2), b"32345678", b"\1\2"))
        shard.read(("HSET", shard.keys.links_bucket(2), b"too long for an id", b""))
        shard.read(("XADD", shard.keys.records, "*", "i", "no id"))
        shard.read(("XADD", shard.keys.records, "*", "other", "field"))
        shard.read(("HSET", shard.keys.findings, b"x", b"y"))
    said: list[str] = []
    options = ReportOptions(texts=False, now=NOW, say=said.append)
    assert set(crawled.found(options)) == {("broken", f"{SITE}/gone")}
    assert len(said) == 1
    assert "3 stored values" in said[0]


def test_findings_are_sorted_by_severity_code_and_target(crawled: Crawled) -> None:
    names = ("z", "y", "x")
    crawled.start(*(Link(f"{SITE}/{one}") for one in (*names, "301", "403")))
    for one in names:
        crawled.state(f"{SITE}/{one}", "missing", 404)
    crawled.redirect(f"{SITE}/301", f"{SITE}/")
    crawled.state(f"{SITE}/403", "denied", 403)
    found = crawled.findings()
    assert [one.target.rpartition("/")[2] for one in found] == ["x", "y", "z", "301", "403"]
    assert all(one.severity == CODES[one.code].severity for one in found)
