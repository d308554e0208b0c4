"""Skimming: no link is ever lost, the head says the same, and whatever is not plain is left to the parser."""

from __future__ import annotations

import json
import random
import sysconfig
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.skim import PIECES, TYPES, compare, damaged, pages
from crawler.fetch.fetcher import Headers, Response
from crawler.parse import skim as skimming
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.page import Page
from crawler.parse.signs import scanner
from crawler.parse.skim import MAX_NEW, SettledLinks, spellings
from crawler.worker.trap_sampler import MIN_PAGES, TrapSampler

URL = "http://site.example/a/b.html"
OPTIONS = ExtractOptions(want=frozenset(), agent="crawler")
DATA = Path(__file__).parents[1] / "data" / "links"
HEAD = "<!doctype html><html lang=en><head><title>a title</title>"
REST = '</head><body><a href="x.html">x</a>'
REAL = 100
"""Installed HTML files that are read, of each folder that has any."""


@pytest.fixture(params=["_Lowered", "look_at"], autouse=True, scope="module")
def look_at(request: pytest.FixtureRequest) -> Iterator[None]:
    """All that follows is true with Hyperscan and without."""
    if request.param == "look_at" and scanner(*skimming.SIGNS) is None:
        pytest.skip("Hyperscan has no wheel here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crawler.parse.extract.look_at", getattr(skimming, request.param))
        yield


def _response(html: str | bytes, kind: str = "text/html; charset=utf-8", url: str = URL) -> Response:
    body = html.encode() if isinstance(html, str) else html
    return Response(url, 200, Headers([("content-type", kind)]), body)


def _skim(html: str | bytes, **kwargs: str) -> Page:
    """The page as it is read where all links are settled; what is wrong with that fails the test."""
    whole, page, wrong = compare(kwargs.get("url", URL), _response(html, **kwargs), OPTIONS)
    assert wrong == []
    assert page.skimmed or page.outlinks == whole.outlinks
    return page


# -- what is skimmed ---------------------------------------------------------------------------------------------------


def test_the_head_of_a_plain_page_tells_all() -> None:
    metas = '<meta name=description content="a text"><meta name=robots content=noindex>'
    page = _skim(f"{HEAD}{metas}<link rel=canonical href=c.html>{REST}")
    assert page.skimmed
    assert (page.title, page.description, page.lang, page.charset) == ("a title", "a text", "en", "utf-8")
    assert (page.canonical, page.noindex, page.nofollow) == ("http://site.example/a/c.html", True, False)
    assert (page.outlinks, page.links_total, page.refused, page.tree) == ([], None, {}, None)


@pytest.mark.parametrize(
    "body",
    [
        "<a href='x.html'>",
        "<A HREF = x.html >",
        "<a\nhReF\n=\n'x.html'/>",
        '<a href="x.html?a=1&amp;b=2#c">',
        '<a href=" x.html\n">',
        '<a href="#here"><a href="">',
        "<a href><a href=>",
        "<svg><title>a picture's</title></svg>",
        '<a href="y.html #top"><a href=\'z.html\t#top\'><A href="q.html?a #b">',
        '<x-y><template shadowrootmode=open><a href="y.html">y</a></template></x-y>',
        "text with a href and `x.href` in it",
        '<p class="description">the meta of a title in its base frame</p>',
    ],
)
def test_usual_forms_are_skimmed(body: str) -> None:
    assert _skim(HEAD + REST + body).skimmed


@pytest.mark.parametrize(
    "kind", ["text/html; charset=utf-16le", "text/html; charset=gbk", "text/html; charset=windows-1252"]
)
def test_what_is_skimmed_is_what_the_parser_gets(kind: str) -> None:
    """A page in another encoding is decoded first, so that its letters are looked at and not its bytes."""
    html = (HEAD + REST + "é</a>").encode(kind.partition("=")[2], "ignore")
    assert _skim(html, kind=kind).skimmed


@pytest.mark.parametrize(
    "body",
    [
        "<base href=/other/>",
        "<BASE target=x>",
        "<iframe src=y.html></iframe>",
        "<FRAMESET><frame src=y.html></FRAMESET>",
        "<meta name=description content=late>",
        "<META http-equiv=refresh content='0;url=y.html'>",
        "<link rel=canonical href=y.html>",
        "<html dir=ltr>",
        '<a href="ä.html">',
        '<a href="y\0.html">',
        "<a href='y\"z.html'>",
        "<a href=\"y' href='z.html\">",
        '<a href="y.html?href=z">',
        '<a href="y.html&#32;#top">',
    ],
)
def test_what_is_not_plain_is_parsed(body: str) -> None:
    assert not _skim(HEAD + REST + body).skimmed


@pytest.mark.parametrize(
    "html",
    [
        '<title>no end of the head</title><body><a href="x.html">',
        f"<head><!-- </head> --><title>t</title>{REST}",
        f"<head><script>'</head>'</script><title>t</title>{REST}",
        f"<head><style></head></style><title>t</title>{REST}",
        f"<head><title></head></title>{REST}",
        f'<head><meta content="</head>"><title>t</title>{REST}',
        f"<head><template></head></template><title>t</title>{REST}",
        f"<head><p>text</p></head><title>t</title>{REST}",
        f"<head><table></head></table><title>t</title>{REST}",
        f"<head><base href=/o/>{REST}",
        f"<head><meta http-equiv=refresh content='0;url=y.html'>{REST}",
        f"<head>{REST}<title>late</title>",
        f"<head><noframes></head></noframes>{REST}",
    ],
)
def test_a_head_that_cannot_be_told_from_the_rest_is_parsed(html: str) -> None:
    assert not _skim(html).skimmed


def test_text_is_never_wanted_of_a_skimmed_page() -> None:
    extractor = Extractor(ExtractOptions(want=frozenset({"text"}), agent="crawler"))
    page = extractor.extract(_response(HEAD + REST), skims=True)
    assert (page.skimmed, page.text) == (False, "x")


# -- what is settled ---------------------------------------------------------------------------------------------------


def _asked() -> tuple[list[str], SettledLinks, Extractor]:
    """The URLs that are asked about, all of which are settled."""
    asked: list[str] = []

    def is_settled(url: str) -> bool:
        asked.append(url)
        return True

    return asked, SettledLinks(is_settled), Extractor(OPTIONS)


def _read(extractor: Extractor, settled: SettledLinks, *links: str, url: str = URL) -> bool:
    """Whether a page with *links* is skimmed."""
    body = "".join(f'<a href="{link}">' for link in links)
    return extractor.extract(_response(f"{HEAD}</head>{body}", url=url), skims=True, settled=settled).skimmed


def test_one_link_that_is_new_has_the_page_parsed() -> None:
    known = {f"http://site.example/a/{n}" for n in range(9)}
    settled, extractor = SettledLinks(known.__contains__), Extractor(OPTIONS)
    assert _read(extractor, settled, *"012345678")
    assert not _read(extractor, settled, *"0123456789")
    known.add("http://site.example/a/9")
    assert _read(extractor, settled, *"0123456789")


def test_a_spelling_is_asked_about_once_a_folder() -> None:
    asked, settled, extractor = _asked()
    for url in (URL, "http://site.example/a/c.html", "http://site.example/z/", "http://site.example/a/d?e/f"):
        assert _read(extractor, settled, "1#here", "1#there", url=url)
    assert asked == ["http://site.example/a/1", "http://site.example/z/1"]


def test_queries_alone_mean_something_else_on_each_page() -> None:
    asked, settled, extractor = _asked()
    for url in (URL, "http://site.example/a/c.html"):
        assert _read(extractor, settled, "?q=1", url=url)
    assert asked == [f"{URL}?q=1", "http://site.example/a/c.html?q=1"]


@pytest.mark.parametrize("accepted", [True, False])
def test_links_that_are_not_settled_are_asked_about_together(accepted: bool) -> None:
    known, questions = {"http://site.example/a/1"}, list[list[str]]()

    def were_accepted(links: Sequence[str]) -> bool:
        questions.append(sorted(links))
        if accepted:
            known.update(links)
        return accepted

    settled, extractor = SettledLinks(known.__contains__), Extractor(OPTIONS)
    for _ in range(2):
        page = extractor.extract(
            _response(f"{HEAD}</head><a href=1><a href=2><a href='2#x'><a href=3>"),
            skims=True,
            settled=settled,
            were_accepted=were_accepted,
        )
        assert page.skimmed == accepted
        assert len(page.outlinks) == (0 if accepted else 3)
    assert questions == [["http://site.example/a/2", "http://site.example/a/3"]] * (1 if accepted else 2)


def test_nothing_is_settled_any_more_after_clear() -> None:
    known = {"http://site.example/a/1"}
    settled, extractor = SettledLinks(known.__contains__), Extractor(OPTIONS)
    assert _read(extractor, settled, "1")
    known.clear()
    assert _read(extractor, settled, "1")
    settled.clear()
    assert not _read(extractor, settled, "1")


def test_what_is_settled_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes: some thousand spellings in many folders, then all is forgotten."""
    monkeypatch.setattr(SettledLinks, "ROOM", 100_000)
    asked, settled, extractor = _asked()
    for n in range(500):
        assert _read(extractor, settled, "1", "2", "3", url=f"http://site.example/{n}/")
    assert len(asked) == 1500
    assert _read(extractor, settled, "1", "2", "3", url="http://site.example/0/")
    assert len(asked) == 1503


def test_a_page_that_follows_nothing_needs_no_links() -> None:
    page = Extractor(OPTIONS).extract(_response(f"{HEAD}{REST}<a href='ä'>"), skims=True)
    assert page.skimmed


def test_a_page_of_too_many_new_spellings_is_parsed() -> None:
    asked, settled, extractor = _asked()
    assert _read(extractor, settled, *map(str, range(MAX_NEW)))
    assert not _read(extractor, settled, *map(str, range(2 * MAX_NEW + 1)))
    assert len(asked) == MAX_NEW


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("x?a=1&amp;b=2", "x?a=1&b=2"),
        ("x?a=1&b=&amp;lt", "x?a=1&b=&lt"),
        ("m&#64;n&#x2e;html", "m@n.html"),
        ("x&#35;y", "x"),
        ("x?a&#here", "x?a&"),
        ("x?&copy=1&copy;", "x?&copy=1%C2%A9"),
        ("x y", "x%20y"),
    ],
)
def test_values_mean_what_the_parser_makes_of_them(value: str, target: str) -> None:
    asked, settled, extractor = _asked()
    skimmed = _read(extractor, settled, value)
    whole = extractor.extract(_response(f'{HEAD}</head><a href="{value}">'))
    assert whole.outlinks == [f"http://site.example/a/{target}"]
    assert asked == (whole.outlinks if skimmed else [])
    assert skimmed == ("%C2" not in target)


@pytest.mark.parametrize(
    ("line", "skimmed"),
    [
        (("link", "</met>; rel=next"), True),
        (("link", "</new>; rel=next"), False),
        (("link", "</new>; rel=canonical"), False),
        (("link", "</met>; rel=canonical"), True),
        (("refresh", "0; url=/met"), False),
        (("refresh", "0; url=/new"), False),
    ],
)
def test_links_of_the_header_are_not_lost(line: tuple[str, str], skimmed: bool) -> None:
    settled = SettledLinks(lambda url: url.endswith(("met", "/x.html")))
    response = Response(URL, 200, Headers([("content-type", "text/html; charset=utf-8"), line]), (HEAD + REST).encode())
    page = Extractor(OPTIONS).extract(response, skims=True, settled=settled)
    whole = Extractor(OPTIONS).extract(response)
    assert page.skimmed is skimmed and skimmed != any("new" in link or whole.refresh for link in whole.outlinks)
    assert (page.canonical, page.refresh) == (whole.canonical, whole.refresh)


def test_links_of_the_head_are_those_that_are_followed() -> None:
    """A style sheet is none, so it need not be known."""
    asked, settled, extractor = _asked()
    head = '<link rel="stylesheet" href="style.css"><link rel="next" href="n.html">'
    page = extractor.extract(_response(f"<head>{head}<title>t</title></head>"), skims=True, settled=settled)
    assert page.skimmed
    assert asked == ["http://site.example/a/n.html"]
    known = SettledLinks(lambda url: False)
    assert not extractor.extract(_response(f"<head>{head}<title>t</title></head>"), skims=True, settled=known).skimmed


def test_hostile_attributes_cost_linear_time() -> None:
    """A megabyte of beginnings: no spelling is looked at more than once (the test's time-out is the measure)."""
    for piece in ('href="', "href='", "href=", "href ", "hRef\t=", "href= "):
        html = piece.encode() * (1_000_000 // len(piece))
        found = spellings(html, skimming.look_at(html))
        assert len(found) <= 250_000


_SIGNS = ["href", "<base", "<html", "<meta", "<frame", "<iframe", "<title", "<link", "<", "x", "\0", "\xff", "="]
_IN_ANY_CASE = st.sampled_from(_SIGNS).flatmap(
    lambda sign: st.tuples(
        *(st.sampled_from((letter, letter.swapcase() if letter.isascii() else letter)) for letter in sign)
    ).map("".join)
)


@given(st.lists(_IN_ANY_CASE | st.sampled_from(_SIGNS), max_size=12).map("".join))
def test_what_must_not_be_there_is_seen_in_any_case(text: str) -> None:
    rest = text.encode("latin-1")
    lower = rest.lower()
    hrefs = rest.count(b"href")
    always = any(f"<{name}".encode() in lower for name in ("base", "html", "meta", "frame", "iframe"))
    for look in (skimming._Lowered(rest), skimming.look_at(rest)):
        assert look.has_capitals(hrefs) == (lower.count(b"href") != hrefs)
        for title in (True, False):
            for canonical in (True, False):
                more = (not title and b"<title" in lower) or (not canonical and b"<link" in lower)
                assert look.affects_head(title=title, canonical=canonical) == (always or more)


def test_fingerprints_of_a_template_are_those_of_whole_pages() -> None:
    whole, skimmed = TrapSampler(), TrapSampler()
    for n in range(MIN_PAGES + 5):
        url = f"http://site.example/cal/{n}"
        response = _response(f"{HEAD}{REST} day {n}, as rich as the others in {n * 7}", url=url)
        whole.page(url, Extractor(OPTIONS).extract(response))
        page = Extractor(OPTIONS).extract(response, skims=True)
        assert page.skimmed
        skimmed.page(url, page)
    assert whole.take(due=True) == skimmed.take(due=True) != []


# -- no link is lost ---------------------------------------------------------------------------------------------------

_piece = st.sampled_from([piece.decode("latin-1") for piece in PIECES])
_text = st.text(st.sampled_from("<>/='\"&#; \t\n\0aehfrx-!?é"), max_size=12)
_soup = st.lists(_piece | _text | st.sampled_from([HEAD, REST, "</head>", "<a href='n'>"]), max_size=12).map("".join)


@settings(max_examples=400, deadline=None)
@given(_soup, st.booleans(), st.sampled_from(TYPES))
@example("<title><a href='</title></head><a href=x>", False, TYPES[0])
@example("<!--</head>--><base href=/o/><a href=x>", True, TYPES[0])
def test_no_link_of_a_soup_is_lost(soup: str, framed: bool, kind: str) -> None:
    html = HEAD + soup + REST if framed else HEAD + REST + soup
    _skim(html.encode("latin-1", "replace"), kind=kind)


def _real_pages() -> list[Path]:
    """HTML that is installed beside Python, in its packages, and in the documentation of the system, if any."""
    folders = [sysconfig.get_paths()[name] for name in ("stdlib", "purelib")] + ["/usr/share/doc"]
    chance = random.Random(1)
    found = [list(pages(Path(folder))) for folder in folders]
    return [path for paths in found for path in chance.sample(paths, min(REAL, len(paths)))]


@pytest.mark.slow
def test_no_link_of_real_pages_is_lost_whole_or_damaged() -> None:
    """Pages from 200 KB on are left to `benchmarks.skim`."""
    chance = random.Random(2)
    compared = skimmed = 0
    cases = (DATA / "scrapy_linkextractor.jsonl").read_text(encoding="utf-8").splitlines()
    outside = [b64decode(json.loads(case)["body_b64"]) for case in cases]
    real = [path.read_bytes() for path in _real_pages() if path.stat().st_size < 200_000]
    for html in [*outside, *real]:
        for n in range(4):
            page = _skim(damaged(html, chance) if n else html, kind=chance.choice(TYPES))
            compared, skimmed = compared + 1, skimmed + page.skimmed
    assert compared >= 4 * 54
    assert not real or skimmed > 0
