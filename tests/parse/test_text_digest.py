"""The digest of the main text: what changes it, and what does not."""

from __future__ import annotations

import re

import pytest

from crawler.fetch.fetcher import Headers, Response
from crawler.parse import text_digest as module
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.page import parse
from crawler.parse.text_digest import METHOD, text_digest

TEXT = "The boiler has to be inspected once a year by somebody who knows how; see the manual for the list of them."
PAGE = f"""<!doctype html><html><head><title>Boilers</title><script>var token = "a1";</script></head><body>
<header><a href="/">Home</a> <a href="/shop">Shop</a></header>
<nav><ul><li><a href="/1">One</a></li></ul></nav>
<div class="breadcrumb">Shop &gt; Boilers</div>
<div class="page"><div class="content"><h1>Boilers</h1>
<p>{TEXT}</p><p>Price: <b>129.00</b></p>
<p>Posted 3 minutes ago, updated <time datetime="2026-11-01">yesterday</time></p>
<table><tr><td>Weight</td><td>20 kg</td></tr></table>
<form><input type="hidden" name="csrf" value="abc"></form>
<div class="related-posts"><a href="/2">Stoves of this year</a></div>
<div class="share"><span>12 shares</span></div>
</div><div id="sidebar"><p>Advice of the day: read the label.</p></div></div>
<div hidden>draft</div>
<footer>Copyright 2026, page made in 13 ms</footer>
<script>count(1)</script><style>.a1 {{}}</style></body></html>"""


def digest(html: str, title: str | None = None) -> int | None:
    return text_digest(parse(html), title)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Home", "Start"),
        ('<li><a href="/1">One</a></li>', '<li><a href="/1">One</a></li><li><a href="/3">Three</a></li>'),
        ("Shop &gt; Boilers", "Shop &gt; Heating &gt; Boilers"),
        ("3 minutes ago", "2 hours ago"),
        ("yesterday", "two days before"),
        ('value="abc"', 'value="xyz"'),
        ('token = "a1"', 'token = "b2"'),
        ("Stoves of this year", "Ovens of this year"),
        ("12 shares", "13 shares"),
        ("read the label", "ask before"),
        ("draft", "second draft"),
        ("2026, page made in 13 ms", "2027, page made in 9 ms"),
        ("count(1)", "count(2)"),
        (".a1", ".b2"),
        ("<p>Price", "\n\n   <p class='x'>\n Price"),
        ('<div class="page">', '<div class="page v2" data-build="77"><!-- built 77 -->'),
        ('<div class="share">', '<div class="ad-banner">Buy now</div><div class="share">'),
    ],
)
def test_a_change_of_the_boilerplate_leaves_the_digest(old: str, new: str) -> None:
    assert old in PAGE
    assert digest(PAGE.replace(old, new)) == digest(PAGE) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("once a year", "twice a year"),
        ("129.00", "119.00"),
        ("20 kg", "21 kg"),
        ("<h1>Boilers</h1>", "<h1>Stoves</h1>"),
        ("2026-11-01", "2026-11-02"),
        ("</table>", "<tr><td>Height</td><td>1 m</td></tr></table>"),
        (f"<p>{TEXT}</p>", ""),
    ],
)
def test_a_change_of_the_content_changes_the_digest(old: str, new: str) -> None:
    assert old in PAGE
    assert digest(PAGE.replace(old, new)) != digest(PAGE)


def test_the_title_counts() -> None:
    assert digest(PAGE, title="Boilers") != digest(PAGE, title="Boilers, sold out")


def test_only_the_main_element_counts_where_it_has_the_text() -> None:
    html = f"<body><div>Today: sunny</div><main><p>{TEXT} {TEXT}</p></main><div>Visits: 7</div></body>"
    assert digest(html) == digest(html.replace("sunny", "rain").replace("Visits: 7", "Visits: 8"))
    assert digest(html) != digest(html.replace("manual", "leaflet"))
    empty = f"<body><main></main><div><p>{TEXT} {TEXT}</p></div></body>"
    assert digest(empty) != digest(empty.replace("manual", "leaflet"))


@pytest.mark.parametrize("name", ["has-sidebar-wrapper", "comments", "ad-free-layout", "widget"])
def test_a_name_does_not_hide_most_of_the_page(name: str) -> None:
    text = "".join(f"<p>{TEXT} This is paragraph {n} of the article.</p>" for n in range(8))
    html = f'<body><div class="{name}"><div>{text}</div><div class="share">1 share</div></div></body>'
    assert digest(html) != digest(html.replace("paragraph 5", "paragraph five"))
    assert digest(html) == digest(html.replace("1 share", "2 shares"))


def test_a_page_without_text_has_no_digest() -> None:
    """It shows what its scripts make of their data: whether that has changed nobody knows."""
    assert digest("<body><div id='app'></div><script>data = 1</script></body>") is None
    assert digest("") is None


def test_reading_changes_nothing_in_the_tree() -> None:
    tree = parse(PAGE)
    before = tree.html
    text_digest(tree)
    assert tree.html == before


@pytest.mark.parametrize(
    "want", [(), ("text",), ("main",), ("markdown",), ("html", "links", "data"), ("text", "main", "links")]
)
def test_what_the_crawl_stores_does_not_matter(want: tuple[str, ...]) -> None:
    response = Response("http://a.example/", 200, Headers([("Content-Type", "text/html")]), PAGE.encode())
    found = Extractor(ExtractOptions(want=frozenset(want), agent="test")).extract(response)
    assert found.text_digest == digest(PAGE, title="Boilers")


def test_the_method_has_another_version_where_digests_are_others() -> None:
    """Digests are stored. If this fails, raise METHOD, and write the new value here."""
    assert (METHOD, digest(PAGE)) == (1, 11972181373151092011)


@pytest.mark.parametrize(
    "html",
    [
        "<header>" * 500 + TEXT * 2000,
        "<aside>" * 500 + f"<p>{TEXT}</p>" * 2000,
        f"<div class=comments><p>{TEXT}</p></div>" * 5000,
        "<div><script>1</script>" * 400 + TEXT * 2000,
        "<main>" * 500 + TEXT * 2000,
        f"<time datetime=x>{TEXT}</time>" * 10_000,
    ],
    ids=lambda html: re.sub(r"\W", "", html[:12]),
)
def test_hostile_pages_cost_no_more_than_their_size(html: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def weigh(text: str) -> int:
        nonlocal read
        read += len(text)
        return weigh_text(text)

    weigh_text = module._weigh
    monkeypatch.setattr(module, "_weigh", weigh)
    assert digest(html) is not None
    assert read <= 2 * module._MAX_ROUNDS * 3 * len(html)
