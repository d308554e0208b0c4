"""What is wrong with pages by themselves, and among each other."""

from __future__ import annotations

import pytest

from crawler.check import report
from crawler.check.facts import MAX_TRANSLATIONS
from crawler.check.places import NEW, Room
from crawler.check.report import ReportOptions
from crawler.checked_page import Note
from crawler.record import Request
from tests.check.crawled import SITE, Crawled, Link, Page

EN, DE, FR = f"{SITE}/en", f"{SITE}/de", f"{SITE}/fr"


def test_notes_about_a_page_are_findings_of_the_page(crawled: Crawled) -> None:
    codes = ("title-missing", "description-missing", "h1-missing", "charset-wrong")
    crawled.start(notes=[Note(code, 0) for code in codes] + [Note("h1-multiple", 8), Note("h1-multiple", 9)])
    expected: dict[tuple[str, str], list[tuple[str, int | None]]] = {
        (code, f"{SITE}/"): [(f"{SITE}/", None)] for code in codes
    }
    assert crawled.found() == expected | {("h1-multiple", f"{SITE}/"): [(f"{SITE}/", 8), (f"{SITE}/", 9)]}


@pytest.mark.parametrize("code", ["mixed-content", "url-invalid", "alt-missing"])
def test_notes_about_a_url_are_one_finding_with_all_its_pages(crawled: Crawled, code: str) -> None:
    wrong = "http://exa mple/"
    crawled.start(Link(f"{SITE}/b"), notes=[Note(code, 4, wrong), Note(code, 6, wrong)])
    crawled.page(f"{SITE}/b", Page(notes=[Note(code, 2, wrong)]))
    assert crawled.found() == {(code, wrong): [(f"{SITE}/", 4), (f"{SITE}/", 6), (f"{SITE}/b", 2)]}


def test_slow_and_large_pages_but_not_style_sheets(crawled: Crawled) -> None:
    crawled.start(elapsed_ms=3_001, size=(5 << 20) + 1)
    crawled.page(f"{SITE}/b", Page(elapsed_ms=3_000, size=5 << 20))
    crawled.page(f"{SITE}/b.css", Page(names=None, elapsed_ms=9_000, size=9 << 20))
    assert {one.key: one.cause for one in crawled.findings()} == {
        ("slow", f"{SITE}/"): "the answer took 3.0 s",
        ("large", f"{SITE}/"): "the page has 5.0 MiB",
    }


def test_titles_and_descriptions_that_several_pages_have(crawled: Crawled) -> None:
    for path in "bcd":
        crawled.page(f"{SITE}/{path}", Page(title="Same" if path != "d" else "Other", description="About us"))
    crawled.record(f"{SITE}/c", title="Same", description="About us")
    assert crawled.found() == {
        ("title-duplicate", "Same"): [(f"{SITE}/{path}", None) for path in "bc"],
        ("description-duplicate", "About us"): [(f"{SITE}/{path}", None) for path in "bcd"],
    }


def test_copies_canonical_pages_and_those_that_are_not_indexed_may_have_the_same_title(crawled: Crawled) -> None:
    crawled.page(f"{SITE}/b", Page(title="Same", state={"digest": 7}))
    crawled.page(f"{SITE}/copy", Page(title="Same", state={"digest": 7}))
    crawled.page(f"{SITE}/print", Page([Link(f"{SITE}/b", kind="canonical")], title="Same"))
    crawled.page(f"{SITE}/search", Page(title="Same", noindex=True))
    crawled.page(f"{SITE}/feed", Page(title="Same", names=None))
    assert crawled.findings() == []


def test_the_title_of_pages_whose_records_are_gone_is_shown_by_its_hash(crawled: Crawled) -> None:
    for path in "bc":
        crawled.page(f"{SITE}/{path}", Page(title="Same"))
    (found,) = crawled.findings()
    assert found.target.startswith("(not stored")


# -- orphans -----------------------------------------------------------------------------------------------------------


def sitemap(crawled: Crawled, *paths: str) -> None:
    """A sitemap that names these pages, one a line."""
    links = [Link(f"{SITE}/{path}", line, "sitemap") for line, path in enumerate(paths, 1)]
    crawled.page(f"{SITE}/sitemap.xml", Page(links, names=None, state={"sitemap": True, "depth": 0, "via": "0"}))


def test_pages_that_only_the_sitemap_names_are_orphans(crawled: Crawled) -> None:
    sitemap(crawled, "", "alone", "self", "named", "linked", "nofollow", "redirected", "pdf", "queued", "gone")
    crawled.start(
        Link(f"{SITE}/linked"),
        Link(f"{SITE}/nofollow", is_target=True),
        Link(f"{SITE}/old"),
        Link(f"{SITE}/named", kind="canonical"),
    )
    crawled.redirect(f"{SITE}/old", f"{SITE}/redirected", 302)
    for path in ("alone", "named", "linked", "nofollow", "redirected"):
        crawled.page(f"{SITE}/{path}")
    crawled.state(f"{SITE}/nofollow", is_target=True)
    crawled.page(f"{SITE}/self", Page([Link(f"{SITE}/self")]))
    crawled.state(f"{SITE}/pdf", "dropped:type")
    crawled.state(f"{SITE}/gone", "missing", 404)
    place = f"{SITE}/sitemap.xml"
    assert crawled.found() == {
        ("broken", f"{SITE}/gone"): [(place, 10)],
        ("orphan", f"{SITE}/alone"): [(place, 2)],
        ("orphan", f"{SITE}/self"): [(place, 3)],
        ("orphan", f"{SITE}/named"): [(place, 4)],
        ("orphan", f"{SITE}/pdf"): [(place, 8)],
    }


def test_while_pages_wait_none_is_called_an_orphan(crawled: Crawled) -> None:
    sitemap(crawled, "alone", "gone")
    crawled.page(f"{SITE}/alone")
    crawled.state(f"{SITE}/gone", "missing", 404)
    crawled.frontier.put([Request(f"{SITE}/waits")])
    assert set(crawled.found()) == {("broken", f"{SITE}/gone")}


def test_sitemaps_that_an_index_names_are_no_orphans(crawled: Crawled) -> None:
    links = [Link(f"{SITE}/sitemap.xml", 1, "sitemap")]
    crawled.page(f"{SITE}/index.xml", Page(links, names=None, state={"sitemap": True}))
    sitemap(crawled)
    crawled.start()
    assert crawled.findings() == []


# -- languages ---------------------------------------------------------------------------------------------------------


def translations(*urls: str) -> list[Link]:
    """A head that names pages in other languages."""
    return [Link(url, line, "hreflang") for line, url in enumerate(urls, 3)]


def test_a_page_that_does_not_name_the_one_that_names_it(crawled: Crawled) -> None:
    crawled.page(EN, Page(translations(EN, DE, FR)))
    crawled.page(DE, Page(translations(EN, DE, FR)))
    crawled.page(FR, Page(translations(FR)))
    assert crawled.found() == {("hreflang-unreturned", FR): [(DE, 5), (EN, 5)]}


def test_a_page_without_any_translation_does_not_return_it_either(crawled: Crawled) -> None:
    crawled.page(EN, Page(translations(DE)))
    crawled.page(DE)
    assert crawled.found() == {("hreflang-unreturned", DE): [(EN, 3)]}


def test_canonical_forms_redirects_and_pages_that_were_not_read(crawled: Crawled) -> None:
    crawled.page(EN, Page([Link(f"{EN}/", kind="canonical"), *translations(f"{SITE}/deutsch", f"{SITE}/queued")]))
    crawled.page(f"{EN}/", Page(translations(DE)))
    crawled.redirect(f"{SITE}/deutsch", DE, 302)
    crawled.page(DE, Page(translations(f"{EN}/", f"{SITE}/feed")))
    crawled.page(f"{SITE}/feed", Page(names=None))
    assert crawled.findings() == []


def test_pages_that_name_very_many_translations_are_not_judged(crawled: Crawled) -> None:
    many = [f"{SITE}/{n}" for n in range(MAX_TRANSLATIONS + 1)]
    crawled.page(EN, Page(translations(*many)))
    crawled.page(DE, Page(translations(EN)))
    crawled.page(many[0])
    assert crawled.findings() == []


def test_a_report_holds_no_more_places_than_it_has_room_for(crawled: Crawled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "Room", lambda: Room(NEW + 3))
    notes = [Note("alt-missing", line, "/a.png") for line in range(1, 9)]
    crawled.start(notes=[*notes, Note("alt-missing", 9, "/b.png")])
    said: list[str] = []
    found = crawled.found(ReportOptions(texts=False, say=said.append))
    assert found == {("alt-missing", "/a.png"): [(f"{SITE}/", line) for line in (1, 2, 3)]}
    assert len(said) == 1
    assert "left out" in said[0]
