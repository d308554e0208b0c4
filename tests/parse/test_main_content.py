"""The main content of a page: what is chosen, and that nothing is ever silently lost."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.errors import UsageError
from crawler.fetch.fetcher import Headers, Response
from crawler.parse import article
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.page import Page

URL = "https://example.org/docs/page.html"
PARAGRAPH = "This sentence is long enough to be one of a paragraph, and it says something about the matter at hand. "


def page_of(html: str, *want: str, kind: str = "text/html; charset=utf-8", **options: object) -> Page:
    extractor = Extractor(ExtractOptions(frozenset(want), "bot", **options))  # type: ignore[arg-type]
    return extractor.extract(Response(URL, 200, Headers([("content-type", kind)]), html.encode()))


def main_of(html: str) -> str:
    return page_of(html, "main").main or ""


ARTICLE = f"<h1>Title</h1><p>{PARAGRAPH * 3}</p><p>{PARAGRAPH * 2}</p>"


@pytest.mark.parametrize(
    "noise",
    [
        "<nav><a href=/a>Noise</a></nav>",
        "<header><a href=/>Noise</a></header>",
        "<footer>Noise</footer>",
        "<aside><p>Noise, and what else there is to say beside the article that nobody has asked for</p></aside>",
        "<div class='cookie-banner'>Noise</div>",
        "<div id='sidebar'><p>Noise</p></div>",
        "<div role='navigation'>Noise</div>",
        "<ul><li><a href='/x'>Noise is here</a></li><li><a href='/y'>Noise there</a></li></ul>",
        "<div hidden>Noise</div>",
        "<div style='display: none'>Noise</div>",
        "<form><button>Noise</button><select><option>Noise</select></form>",
        "<div>" + "".join(f"<div class=card><a href=/{n}>Noise {n}</a> short</div>" for n in range(5)) + "</div>",
        "<noscript>Noise</noscript>",
    ],
)
def test_what_surrounds_an_article_is_left_out(noise: str) -> None:
    for html in (f"{noise}<div>{ARTICLE}</div>", f"<article>{ARTICLE}{noise}</article>"):
        text = main_of(html)
        assert "Noise" not in text
        assert text.startswith("Title\nThis sentence")


@pytest.mark.parametrize("name", ["sidebar-layout", "has-ads", "comments", "related", "footer", "share"])
def test_no_name_takes_the_content_away(name: str) -> None:
    assert PARAGRAPH.strip() in main_of(f"<div class={name}>{ARTICLE}</div>")


def test_the_posts_of_a_forum_are_its_content() -> None:
    posts = "".join(f"<div class=comment><b>user{n}</b><p>{n} {PARAGRAPH * 2}</p></div>" for n in range(20))
    text = main_of(f"<nav><a href=/>Home</a></nav><h1>Thread</h1>{posts}")
    assert [n for n in range(20) if f"{n} This sentence" not in text] == []


def test_the_table_of_contents_of_a_manual_stays() -> None:
    contents = "".join(f"<li><a href=chapter{n}.html>Chapter {n}</a></li>" for n in range(9))
    text = main_of(f"<main><h1>Manual</h1><p>{PARAGRAPH * 9}</p><ul>{contents}</ul></main>")
    assert "- Chapter 8" in text


def test_sections_whose_id_is_their_heading_stay() -> None:
    html = f"<main>{ARTICLE}<section id=print-is-a-function><h2>Print</h2><p>Short.</p></section></main>"
    assert main_of(html).endswith("Print\nShort.")


def test_the_heading_before_the_content_belongs_to_it() -> None:
    assert main_of(f"<div><div><h1>Title</h1></div><div>{ARTICLE[14:]}</div></div>").startswith("Title\n")


@pytest.mark.parametrize(
    "html",
    [
        "<nav>Only a menu</nav>",
        "<div class=comment>Only a menu</div>",
        "<textarea>Only a menu</textarea>",
        "<button>Only a menu</button>",
        "<select><option>Only a menu</select>",
    ],
)
def test_a_page_without_content_is_given_whole_and_marked(html: str) -> None:
    page = page_of(html, "main", "markdown")
    assert (page.main, page.markdown, page.whole_page) == ("Only a menu", "Only a menu", True)


@pytest.mark.parametrize("html", ["<body hidden><div hidden>{}", "<noscript><div>{}</noscript>", "<noscript><p>{}"])
def test_what_is_hidden_is_the_content_where_there_is_no_other(html: str) -> None:
    page = page_of(html.format(PARAGRAPH), "main", "markdown")
    assert page.main == page.markdown == PARAGRAPH.strip()


def test_an_article_is_not_marked() -> None:
    page = page_of(f"<article>{ARTICLE}</article>", "main")
    assert page.whole_page is False


def test_text_after_a_noscript_that_is_not_closed_stays() -> None:
    html = f"<p>{PARAGRAPH}</p><noscript><div>x</noscript><p>and the rest</p>"
    assert "and the rest" in (page_of(html, "text").text or "")


@pytest.mark.parametrize("want", [("main",), ("markdown", "text"), ()])
def test_a_hook_gets_both_whatever_is_stored(want: tuple[str, ...]) -> None:
    page = page_of(f"<nav>Menu</nav><article>{ARTICLE}</article><title>x</title>", *want)
    assert (page.main or "").startswith("Title\n")
    assert (page.markdown or "").startswith("# Title\n\n")
    assert page.css("nav")[0].text() == "Menu"


@pytest.mark.parametrize("want", [("main", "markdown"), ()])
def test_a_page_is_freed_at_once(want: tuple[str, ...]) -> None:
    """A cycle would keep its tree until the next garbage collection, and a worker would grow."""
    gc.disable()
    try:
        page = page_of(ARTICLE, *want)
        assert page.main
        there = weakref.ref(page)
        del page
        assert there() is None
    finally:
        gc.enable()


def test_a_page_that_asks_not_to_be_stored_has_none() -> None:
    page = page_of(f"<meta name=robots content=noindex>{ARTICLE}", "main", "markdown")
    assert (page.main, page.markdown) == (None, None)


def test_plain_text_is_its_own_content() -> None:
    page = page_of("a\n```\n*b*\n", "main", "markdown", kind="text/plain")
    assert (page.main, page.markdown, page.text) == ("a\n```\n*b*\n", "````\na\n```\n*b*\n````", None)
    assert page_of("# a\n", "markdown", kind="text/markdown").markdown == "# a\n"


@pytest.mark.parametrize("name", ["main", "markdown"])
def test_it_is_cut_at_the_limit_and_marked(name: str) -> None:
    page = page_of(f"<p>{'é' * 500}</p>" * 10, name, max_text=2_100)
    text = getattr(page, name)
    assert page.text_truncated
    assert 0 < len(text.encode()) <= 2_100
    page = page_of(f"<p>{'é' * 5000}</p>", name, max_text=101)
    assert getattr(page, name) == "é" * 50


PARTS = st.sampled_from(
    [
        *(
            "<div>",
            "</div>",
            "<p>",
            "<nav>",
            "</nav>",
            "<ul><li>",
            "<table><tr><td>",
            "<noscript>",
            "</noscript>",
            "<pre>",
        ),
        *("<div hidden>", "<button>", "<textarea>", "</textarea>", "<a href=x>", "</a>", "<svg>", "</svg>", "<h1>"),
        *("word ", "words of a text ", PARAGRAPH, "<math>", "</math>", "<template>", "<select><option>", "<iframe>"),
    ]
)


@given(st.lists(PARTS, max_size=25).map("".join))
@example("<pre><select><option>word ")
def test_it_is_never_empty_where_text_is_visible(html: str) -> None:
    page = page_of(html, "text", "main", "markdown")
    if page.text:
        assert page.main
        assert page.markdown


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000 + "deep",
        "<ul><li>" * 50_000 + "deep",
        "<blockquote>" * 50_000 + "deep",
        "<b><i>" * 50_000 + "deep",
        "<table>" + "<tr><td>a<td>b" * 200_000 + "</table>",
        "<table>" + "<tr><td colspan=1000>a<td rowspan=65534>b" * 20_000,
        "<p>" + "x" * 1_000_000,
        "<p>" + "*_`[]()<>&~" * 50_000,
        "<p>" + "<code>a`b</code>" * 50_000,
        "<p>" + "<b>a</b> " * 50_000,
        "<div hidden>" * 20_000 + "deep",
        "<div class=comment>" * 20_000 + "deep",
    ],
    ids=lambda html: html[:12],
)
@pytest.mark.slow
def test_hostile_pages_take_bounded_time_and_are_not_empty(html: str) -> None:
    page = page_of(html, "main", "markdown")
    assert page.main
    assert page.markdown
    assert len(page.markdown) <= 1 << 20


LINK = "<a href='https://other.example.org/x'>elsewhere</a>"


@pytest.mark.parametrize(
    "part",
    [
        "<ul>"
        + f"<li>Kept: this item is a sentence of release notes, and it names its source at the end {LINK}</li>" * 6
        + "</ul>",
        f"<aside class='footnote-list brackets'><p>Kept {LINK}</p></aside>",
        f"<div class='admonition seealso'><p>Kept</p><p>{LINK}</p></div>",
        f"<dl><dt>Kept</dt><dd><p>{LINK}</p></dd></dl>",
        f"<table><tr><th>Kept</th><th>b</th></tr><tr><td>Which is the case</td><td><p>{LINK}</p></td></tr></table>",
    ],
    ids=["sentences", "footnotes", "note", "definition", "cell"],
)
def test_a_link_that_is_part_of_the_text_stays(part: str) -> None:
    text = main_of(f"<main>{ARTICLE * 9}{part}<p>{PARAGRAPH}</p></main>")
    assert "Kept" in text
    assert "elsewhere" in text


def test_an_anchor_without_a_target_is_no_link() -> None:
    html = f"<article>{ARTICLE}<h2><a name=steps>Steps</a></h2><p>{PARAGRAPH}</p></article>"
    assert "\nSteps\n" in main_of(html)


def test_headings_with_a_button_beside_them_are_no_teasers() -> None:
    parts = "".join(
        f"<div class=title><h2>Part {n}</h2><a href='javascript:;'>edit</a></div><p>{PARAGRAPH * 2}</p>"
        for n in range(5)
    )
    text = main_of(f"<article>{ARTICLE}{parts}</article>")
    assert [n for n in range(5) if f"Part {n}" not in text] == []


def test_the_ingredients_of_a_recipe_stay() -> None:
    items = "".join(f"<li>{n} g <a href=/food/{n}>of food {n}</a></li>" for n in range(5))
    html = f"<article>{ARTICLE}<div class=recipe-ingredients><ul>{items}</ul></div><p>{PARAGRAPH * 4}</p></article>"
    assert "- 3 g of food 3" in main_of(html)


def test_the_box_of_an_encyclopedia_stays() -> None:
    rows = "".join(
        f"<tr><td>Label {n}</td><td><a href='/wiki/{n}'>The name of food {n}</a></td></tr>" for n in range(5)
    )
    ranks = "".join(f"<tr><td>{n}.</td><td><a href='/news/{n}'>Noise of today, {n}</a></td></tr>" for n in range(5))
    html = f"<article><div><table>{rows}</table></div>{ARTICLE * 2}<div><table>{ranks}</table></div></article>"
    text = main_of(html)
    assert "Label 4 | The name of food 4" in text
    assert "Noise" not in text


@pytest.mark.parametrize("name", ["sr-only", "visually-hidden", "screen-reader-text", "d-none"])
def test_what_a_class_hides_is_left_out(name: str) -> None:
    html = f"<article>{ARTICLE}<p>Name<span class='{name}'>Noise</span></p><div class={name}>Noise</div></article>"
    assert "Noise" not in main_of(html)
    assert main_of(html).endswith("Name")


def test_what_a_class_hides_on_small_screens_alone_stays() -> None:
    html = f"<article>{ARTICLE}<div class='d-none d-md-block'>Kept</div><p class='d-none'>{PARAGRAPH}</p></article>"
    assert main_of(html).endswith(("Kept", PARAGRAPH.strip()))


def test_an_address_that_is_written_out_is_text() -> None:
    address = "https://example.com/a-long-address-of-a-list"
    text = main_of(f"<main>{ARTICLE}<p><a href='{address}'>{address}</a></p><p>{PARAGRAPH}</p></main>")
    assert address in text


def test_a_large_table_with_the_name_of_something_else_stays() -> None:
    rows = "".join(f"<tr><td>WORD{n}</td><td>reserved</td></tr>" for n in range(99))
    text = main_of(f"<nav><a href=/>Home</a></nav><p>{PARAGRAPH}</p><div id=keywords><table>{rows}</table></div>")
    assert "WORD98" in text


def test_a_footer_is_none_of_a_short_page_that_names_its_main_part() -> None:
    main = "<div role=main><h1>Package</h1><p>There is only one module in it.</p></div>"
    assert main_of(f"{main}<div class=footer>{PARAGRAPH * 9}</div>") == "Package\nThere is only one module in it."


@pytest.mark.parametrize(
    ("behind", "is_kept"),
    [("<span><a href=b.html>b</a></span>", True), ("Text", True), ("<a href=/b>Read on</a>", False), ("", False)],
)
def test_a_heading_at_the_end_stays_with_the_text_behind_it(behind: str, is_kept: bool) -> None:
    text = main_of(f"<main>{ARTICLE}<div><h2>See Also</h2>{behind}</div></main>")
    assert ("See Also" in text) is is_kept


def test_the_sections_of_a_manual_are_one_content() -> None:
    notes = f"<div class=refsect1><h2>Notes</h2><p>{PARAGRAPH * 9}</div>"
    assert main_of(f"<div><div class=refsect1><h2>Synopsis</h2>x</div>{notes}</div>").startswith("Synopsis\nx\nNotes")


def test_trafilatura_finds_the_article_where_it_is_asked_for() -> None:
    pytest.importorskip("trafilatura")
    html = (
        f"<nav><a href=/a>Menu</a></nav><article>{ARTICLE}<p>{PARAGRAPH}<b>bold</b></p></article><footer>End</footer>"
    )
    page = page_of(html, "main", "markdown", extract="article")
    assert PARAGRAPH.strip() in (page.main or "")
    assert "**bold**" in (page.markdown or "")
    assert "Menu" not in (page.main or "")
    assert page.whole_page is False


def test_what_trafilatura_does_not_find_the_rules_here_do() -> None:
    pytest.importorskip("trafilatura")
    page = page_of("<nav>Only a menu</nav>", "main", extract="article")
    assert page.main == "Only a menu"


def test_a_missing_trafilatura_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(article, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'crawler\[article\]'"):
        article.check()
