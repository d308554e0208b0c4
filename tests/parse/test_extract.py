"""Extraction: cases of Scrapy, web-platform-tests, Nutch and StormCrawler, each rule by itself, and hostile pages."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.fetch.fetcher import Headers, Response
from crawler.parse import visible_text, xhtml
from crawler.parse.extract import ExtractOptions, Extractor, robots_directives
from crawler.parse.page import Page, parse
from crawler.parse.refresh import parse_refresh
from crawler.parse.resolver import Resolver
from crawler.url import Form, canonicalize

DATA = Path(__file__).parents[1] / "data" / "links"
URL = "http://h.example/dir/page?q=1"


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def read(
    body: str | bytes,
    url: str = URL,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html; charset=utf-8"),),
    **options: Any,
) -> Page:
    raw = body.encode() if isinstance(body, str) else body
    want = frozenset({"text"} if options.pop("want_text", True) else ())
    settings = ExtractOptions(**{"want": want, "agent": "ourbot", **options})
    return Extractor(settings).extract(Response(url, status, Headers(headers), raw))


@pytest.fixture(params=["scanner", None])
def hyperscan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may hide text is looked for by Hyperscan, or without it."""
    if request.param is None:
        monkeypatch.setattr("crawler.parse.visible_text.scanner", lambda *_: None)


with_hyperscan_and_without = pytest.mark.usefixtures("hyperscan")


# Links


@pytest.mark.parametrize("case", cases("scrapy_linkextractor.jsonl"), ids=lambda case: f"{case['id']}-{case['type']}")
def test_scrapy(case: dict[str, Any]) -> None:
    """Scrapy's default links, but: fragments are no part of a URL, ftp is refused, nofollow is obeyed where marked,
    `sample3.html` with a base that has no slash is the same, and images are pages until their type is known."""
    kind = "application/xhtml+xml" if case["type"] == "XmlResponse" else f"text/html; charset={case['encoding']}"
    page = read(base64.b64decode(case["body_b64"]), case["url"], headers=(("content-type", kind),))
    expected = dict.fromkeys(
        link["url"].partition("#")[0]
        for link in case["expected"]
        if not link["nofollow"] and not link["url"].startswith("ftp:")
    )
    if case["id"].endswith("test_ignored_extensions"):
        expected["http://example.org/photo.jpg"] = None
    assert page.outlinks == list(expected)


def test_where_links_are() -> None:
    page = read(
        """<head><link rel="NEXT" href=n><link rel=prev href=p><link rel=stylesheet href=s><link rel=icon href=i>
        <link rel=alternate hreflang=de href=de><link rel=alternate type="application/rss+xml" href=rss>
        <link rel="alternate stylesheet" href=css><link rel=canonical href="c#x"><link rel=canonical href=c2></head>
        <a href=a>a</a><a name=no><a href>own</a><map><area href=area></map><iframe src=frame></iframe><img src=img>
        <img srcset="one 1x, two 2x"><template><a href=template></a></template>
        <noscript><a href=noscript></a></noscript>"""
    )
    names = [link.rsplit("/", 1)[1] for link in page.outlinks]
    assert names == ["n", "p", "de", "c", "c2", "a", "area", "frame", "noscript"]
    assert page.canonical == "http://h.example/dir/c"


def test_frames_of_a_frameset() -> None:
    page = read("<frameset><frame src=/one><frame src=/two></frameset>")
    assert page.outlinks == ["http://h.example/one", "http://h.example/two"]
    assert page.text == ""


def test_each_link_once_in_order_and_capped() -> None:
    page = read("<a href=/2>x</a><a href=/1>x</a><a href=/2#a>x</a><a href=/3>x</a><a href=/1>x</a>", max_links=2)
    assert page.outlinks == ["http://h.example/2", "http://h.example/1"]
    assert (page.links_total, page.refused) == (5, {"cap": 2})


def test_links_to_the_page_itself_are_none() -> None:
    page = read("<a href=#top>x</a><a href=''>x</a><a href='?q=2'>x</a><a href=page>x</a>")
    assert page.outlinks == ["http://h.example/dir/page?q=2", "http://h.example/dir/page"]
    assert page.links_total == 2


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("page.html #top", "page.html%20"),
        ("page.html&#32;#top", "page.html%20"),
        ("page.html \n#top", "page.html%20"),
        ("page.html\t#top", "page.html"),
        ("page.html\x01#top", "page.html%01"),
        ("page.html?q #top", "page.html?q%20"),
        (" page.html ", "page.html"),
        ("page.html# top ", "page.html"),
    ],
)
def test_a_space_before_the_fragment_belongs_to_the_path(href: str, name: str) -> None:
    assert read(f"<a href='{href}'>x</a>").outlinks == [f"http://h.example/dir/{name}"]


def test_refusals_are_counted_by_reason() -> None:
    page = read(
        f"<a href=mailto:a@b>x</a><a href=javascript:0>x</a><a href=http://[1>x</a><a href=//u:p@h/>x</a>"
        f"<a href=/{'x' * 5000}>x</a><a rel='x NoFollow' href=/n>x</a><a href=/ok>x</a>"
    )
    assert page.outlinks == ["http://h.example/ok"]
    assert page.refused == {"scheme": 2, "invalid": 1, "userinfo": 1, "too-long": 1, "nofollow": 1}
    assert page.links_total == 7


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("<base href=/other/>", "http://h.example/other/x"),
        ("<base><base href=/1/><base href=/2/>", "http://h.example/1/x"),
        ("<base href=javascript:0><base href='data:,'><base href=//b.example>", "http://b.example/x"),
        ("<base href=http://[><base href=sub/>", "http://h.example/dir/sub/x"),
        ("<base href=../up>", "http://h.example/x"),
        ("<base target=_top>", "http://h.example/dir/x"),
    ],
)
def test_base(head: str, expected: str) -> None:
    assert read(f"<head>{head}</head><a href=x>x</a>").outlinks == [expected]


def test_with_a_base_an_empty_reference_is_the_base() -> None:
    assert read("<base href=/other/y?z#w><a href=#x>x</a>").outlinks == ["http://h.example/other/y?z"]


def test_queries_are_in_the_encoding_of_the_page() -> None:
    body = "<a href='/я?я=1&amp;я'>x</a><a href='/?日'>x</a>".encode("cp1251", "xmlcharrefreplace")
    page = read(body, headers=(("content-type", "text/html; charset=windows-1251"),))
    assert page.outlinks == ["http://h.example/%D1%8F?%FF=1&%FF", "http://h.example/?%26%2326085%3B"]
    assert read("<a href='/?я'>x</a>").outlinks == ["http://h.example/?%D1%8F"]


def test_one_extractor_keeps_encodings_apart() -> None:
    extractor = Extractor(ExtractOptions(want=frozenset(), agent="ourbot"))
    found = [
        extractor.extract(
            Response(URL, 200, Headers([("content-type", f"text/html; charset={name}")]), "<a href='?я'>".encode(name))
        ).outlinks
        for name in ("utf-8", "windows-1251", "koi8-r", "utf-8")
    ]
    query = [links[0].partition("?")[2] for links in found]
    assert query == ["%D1%8F", "%FF", "%D1", "%D1%8F"]


# Meta


@pytest.mark.parametrize("case", cases("wpt_meta_refresh.jsonl"), ids=lambda case: repr(case["content"]))
def test_meta_refresh_of_wpt(case: dict[str, Any]) -> None:
    expected = case["refresh"]
    if expected:
        own = expected["url"] == "refresh.sub.html"
        expected = (expected["delay"], "" if own else expected["url"])
    assert parse_refresh(case["content"]) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("\u0665; url=/x", None),
        ("5\u0665; url=/x", None),
        ("0000000000011; url=/x", (11, "/x")),
        (".5; url=/x", (0, "/x")),
        ("5 url =/x", (5, "/x")),
        ("5, 'url=/x' y", (5, "url=/x")),
        ("5; url/x", (5, "url/x")),
        ("5\n", (5, "")),
        ("5; url=' /x '/y", (5, "/x")),
    ],
)
def test_a_refresh_is_read_as_the_standard_says(content: str, expected: tuple[int, str] | None) -> None:
    assert parse_refresh(content) == expected


def test_the_first_refresh_counts_and_is_an_outlink() -> None:
    page = read(
        "<meta http-equiv=refresh content=5><meta http-equiv=Refresh content='0; url=/x'><a href=/y>"
        "<meta http-equiv=refresh content='0; url=/z'>"
    )
    assert (page.refresh, page.outlinks) == (None, ["http://h.example/y"])
    page = read("<meta http-equiv=refresh content=no><meta http-equiv=Refresh content='0; url=/x'><a href=/y>")
    assert page.refresh == "http://h.example/x"
    assert page.outlinks == ["http://h.example/x", "http://h.example/y"]


HTML, TEXT = ("content-type", "text/html"), ("content-type", "text/plain")


@pytest.mark.parametrize("kind", [HTML, TEXT])
def test_links_of_the_header_are_those_of_the_element(kind: tuple[str, str]) -> None:
    """Relative to the page, whatever its <base> is; what no element is followed for is not followed."""
    lines = (
        ("link", '</canon>; rel="canonical", <next?ü>; rel=next'),
        ("link", "</style>; rel=stylesheet, </feed>; rel=alternate; type=application/rss+xml, </de>; rel=alternate"),
        ("link", "</anchored>; rel=prev; anchor=/other, </plain>; rel=prev; rel=nofollow, </no>; rel='prev nofollow'"),
    )
    page = read("<base href=/base/><title>t</title>", headers=(kind, *lines))
    assert page.canonical == "http://h.example/canon"
    paths = ["/canon", "/dir/next?%C3%BC", "/de", "/plain"]
    assert page.outlinks == [f"http://h.example{path}" for path in paths]


def test_the_canonical_of_the_header_comes_before_that_of_the_element() -> None:
    html = "<link rel=canonical href=/element>"
    page = read(html, headers=(HTML, ("link", "</header>; rel=canonical")), follow_canonical=False)
    assert (page.canonical, page.outlinks) == ("http://h.example/header", [])
    page = read(html, headers=(HTML, ("link", "<ftp://x/>; rel=canonical, </style>; rel=stylesheet")))
    assert page.canonical == "http://h.example/element"


@pytest.mark.parametrize("body", ["<p>x", "<meta http-equiv=refresh content='0; url=/element'>", ""])
@pytest.mark.parametrize("kind", [HTML, TEXT])
def test_the_refresh_header_does_what_the_first_meta_does(kind: tuple[str, str], body: str) -> None:
    page = read(body, headers=(kind, ("refresh", "5; url=/header")))
    assert page.refresh == "http://h.example/header" and page.outlinks[0] == page.refresh
    assert read(body, headers=(kind, ("refresh", "5"))).refresh is None


def test_links_of_the_header_obey_the_directives_of_the_page() -> None:
    lines = (HTML, ("link", "</next>; rel=next"), ("refresh", "0;/there"), ("x-robots-tag", "nofollow"))
    page = read("<p>x", headers=lines)
    assert (page.nofollow, page.outlinks, page.refused) == (True, [], {"nofollow": 2})


@pytest.mark.parametrize("content", ["0; url=page?q=1", "0; url=#x", "0; url=javascript:0"])
def test_a_refresh_that_leads_nowhere_else(content: str) -> None:
    assert read(f"<meta http-equiv=refresh content='{content}'>").refresh is None


@pytest.mark.parametrize("case", cases("robots_meta_and_header.jsonl"), ids=lambda case: case["id"])
def test_robots_of_nutch_and_stormcrawler(case: dict[str, Any]) -> None:
    headers = [("x-robots-tag", value) for value in case.get("x_robots_tag_headers", ())]
    html = case.get("html", "<title>x</title>") + "<a href=x>x</a>"
    page = read(html, headers=(("content-type", "text/html"), *headers), agent=case.get("agent", "ourbot"))
    assert (page.noindex, page.nofollow) == (case["noindex"], case["nofollow"])
    base = case.get("base") or URL
    assert page.outlinks == ([] if page.nofollow else [urls.canonicalize("x", base)])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["otherbot: noindex"], set()),
        (["otherbot: noindex, nofollow, ourbot: nofollow"], {"nofollow"}),
        (["OurBot : None"], {"noindex", "nofollow"}),
        (["*: noindex"], {"noindex"}),
        (["otherbot: none", "nofollow"], {"nofollow"}),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noindex"], {"noindex"}),
        (["max-snippet: 5 , NOFOLLOW"], {"nofollow"}),
        (["index, follow, all", ""], set()),
    ],
)
def test_directives(values: list[str], expected: set[str]) -> None:
    assert robots_directives(values, "ourbot") == expected


def test_directives_by_name_and_the_freedom_to_ignore_them() -> None:
    html = "<meta name=OURBOT content=nofollow><meta name=otherbot content=noindex><a href=/x rel=nofollow><a href=/y>"
    page = read(html)
    assert (page.noindex, page.nofollow, page.outlinks, page.refused) == (False, True, [], {"nofollow": 2})
    page = read(html, obey_nofollow=False)
    assert (page.nofollow, page.outlinks) == (False, ["http://h.example/x", "http://h.example/y"])
    header = (("content-type", "text/plain"), ("x-robots-tag", "noindex"))
    assert (read("x", headers=header).noindex, read("x", headers=header).text) == (True, None)
    assert (read("x", headers=header, obey_noindex=False).noindex) is False


def test_title_lang_description() -> None:
    page = read(
        """<html lang=" de-AT "><head><meta property="og:description" content="social">
        <meta name="Description" content=" one\n two "></head><body>
        <svg><g><title>picture</title></g></svg><title> A
        &amp;  B </title><title>other</title>"""
    )
    assert (page.title, page.lang, page.description) == ("A & B", "de-AT", "one two")
    page = read("<meta property='og:description' content='social'><title></title>")
    assert (page.title, page.lang, page.description) == (None, None, "social")
    assert read(f"<title>{'x' * 5000}</title>", max_field=100).title == "x" * 100


# Text


def test_text_is_a_line_for_each_block() -> None:
    page = read(
        """<head><title>t</title><style>s</style></head><body>bare<p>one <b>two</b>
           three<!-- c -->four</p><div>five<p>six</p>seven<br>eight</div>
        <ul><li>a<li>b</ul><script>x</script><noscript>n</noscript><template>t</template><svg><text>v</text></svg>
        <table><tr><td>c1</td><td>c2</td></tr></table><img alt=no><em>i</em>&nbsp;<i>j</i><p> </p>"""
    )
    assert page.text == "\n".join(
        ["bare", "one two threefour", "five", "six", "seven", "eight", "a", "b", "c1", "c2", "i j"]
    )
    assert not page.text_truncated


def test_preformatted_text_keeps_its_lines() -> None:
    page = read("<p>a <pre>\n  x  <b>1</b>\n\n    y\t2\n</pre>z<noscript><pre>n</pre></noscript>")
    assert page.text == "a\n  x  1\n\n    y\t2\nz"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<pre>one<br>two<br/>three</pre>", "one\ntwo\nthree"),
        ("<pre>code<script>var x=1;</script><style>.a{}</style><noscript>ns</noscript> end</pre>", "code end"),
        ("<pre>a\n<button>Copy</button><script>copy()</script><!-- c --></pre>", "a\nCopy"),
        (
            "<pre><div>a</div><div>  b</div><div>\n</div><div><br></div><div>c\n</div><div>d</div></pre>",
            "a\n  b\n\n\nc\nd",
        ),
        ("<pre><div>a</div>\n<div>b</div>\n\n<div>c</div>\n</pre>", "a\nb\n\nc"),
        ("<pre>x<p>y</p>z\n w</pre>", "x\ny\nz\n w"),
        ("<pre>\n<table>\n<tr>\n<td>1</td> <td>x  y</td></tr></table></pre>", "1\nx  y"),
        ("<pre>a<pre>b<br>c</pre>d</pre>", "a\nb\nc\nd"),
        ("<p>a<textarea>b\n  c</textarea>d<listing>e\nf</listing><xmp>g\n<b>\n</xmp>", "a\nb\n  c\nd\ne\nf\ng\n<b>"),
        ("a<plaintext>b\n <p>c", "a\nb\n <p>c"),
    ],
)
def test_within_preformatted_text_breaks_and_blocks_are_lines_and_the_unseen_is_left_out(body: str, text: str) -> None:
    assert read(body).text == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Price: <x-price>12</x-price> EUR and <my-b>bold</my-b>ness", "Price: 12 EUR and boldness"),
        ("Let <math><mi>x</mi><mo>=</mo><mn>2</mn></math> be", "Let x=2 be"),
        (
            "<math><semantics><mrow><mi>x</mi></mrow><annotation encoding=application/x-tex>\\x</annotation>"
            "<annotation-xml><ci>y</ci></annotation-xml></semantics></math> be",
            "x be",
        ),
        ("a <picture><source><img></picture> b<svg><text>c</text></svg>d <script>e</script> f", "a bd f"),
        ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby> <output>1</output><meter>2</meter>", "漢(かん) 12"),
        ("a<video>b</video><canvas>c</canvas><object>d</object><button>e</button>", "abcde"),
        ("<select><option>a<option>b</select><fieldset><legend>c</legend>d</fieldset>", "a\nb\nc\nd"),
        ("a<hr>b<details><summary>c</summary>d</details><dl><dt>e<dd>f</dl><search>g</search>", "a\nb\nc\nd\ne\nf\ng"),
    ],
)
def test_only_blocks_break_a_line_and_unknown_elements_are_inline(body: str, text: str) -> None:
    assert read(body).text == text


@pytest.mark.parametrize(
    "part",
    [
        "<div hidden>b</div>",
        "<span HIDDEN=''>b</span>",
        '<div style="display:none">b</div>',
        "<b style='color:red; DISPLAY : None !Important;x:y'>b</b>",
        "<i style='display:block;display:none'>b</i>",
        "<i style='display:none!important;display:block'>b</i>",
        "<dialog>b</dialog>",
        "<div popover>b</div>",
        "<p POPOVER=manual>b</p>",
        "<datalist><option>b</datalist>",
        "<p hidden>b<span hidden></span></p>",
        "<pre hidden>b</pre>",
        "<p title='>' hidden class=x>b</p>",
        "<div\nhidden\n>b</div>",
        "<p style='DISPLAY/**/:none'>b</p>",
    ],
)
@with_hyperscan_and_without
def test_hidden_parts_are_no_text_but_their_links_are_followed(part: str) -> None:
    page = read(f"<p>some words</p>{part.replace('>b', '><a href=/x>b</a>')}<p>and more")
    assert (page.text, page.outlinks) == ("some words\nand more", ["http://h.example/x"])
    assert read(f"<p>a</p>{part}<p>z</p>").text == "a\nz"


@pytest.mark.parametrize(
    "part",
    [
        "<div hidden=until-found>b</div>",
        "<div aria-hidden=true>b</div>",
        "<details><summary>b</summary></details>",
        "<dialog open>b</dialog>",
        "<div style='visibility:hidden'>b</div>",
        "<div style='display:none;display:block'>b</div>",
        "<div hidden style='display:flex'>b</div>",
        '<div style="background:url(display:none)">b</div>',
        "<div style='content:\";display:none;\"'>b</div>",
        "<div style='/*;display:none;*/ --display:none'>b</div>",
        "<div class=hidden data-hidden>b</div>",
    ],
)
@with_hyperscan_and_without
def test_what_a_reader_can_see_or_open_is_text(part: str) -> None:
    assert read(f"<p>some words</p>{part}<p>and more").text == "some words\nb\nand more"


def test_hidden_parts_that_hold_half_of_the_text_are_the_text() -> None:
    """A script shows them: the whole body, or tabs one after another."""
    assert read("<body style='display:none'><p>all</p><p hidden>b</p>").text == "all"
    assert read("<p>a</p><div hidden>long <b>text</b></div>").text == "a\nlong text"
    tabs = "".join(f"<div hidden>{'word ' * 20}{n}</div>" for n in range(5))
    assert (read(f"<p>title</p>{tabs}").text or "").count("\n") == 5


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<noscript><h1>t</h1><p>text", "t\ntext"),
        ("<p>a long beginning<noscript>b<p>c", "a long beginningb\nc"),
        ("<noscript>Scripts are needed.</noscript><div id=app></div>", "Scripts are needed."),
        ("<p>a text that says it</p><noscript>no scripts</noscript>", "a text that says it"),
        ("<head><noscript><link href=x><p>a", "a"),
        ("<title>t<p>a", ""),
        ("a<textarea>b<p>c", "a\nb<p>c"),
        ("a<select><option>b<p>c", "a\nb\nc"),
        ("a<!--b<p>c", "a"),
    ],
)
def test_an_element_that_is_never_closed_hides_no_more_than_in_a_browser(body: str, text: str) -> None:
    assert read(body).text == text


@pytest.mark.parametrize("want_text", [True, False])
def test_declarative_shadow_roots_are_part_of_the_page(want_text: bool) -> None:
    html = """<my-el><template shadowrootmode="open"><p>in shadow <a href="/s">l</a></p></template></my-el><p>z</p>
        <template><a href=/no>no</template><my-el><template SHADOWROOTMODE=Closed><x-y><template shadowrootmode=open>
        <a href=/deep>deep</a></template></x-y><b><slot name=t>instead</slot></b> <slot></slot>.</template>
        light <i slot=t>Title</i></my-el><ul><template shadowrootmode=open>no</template></ul>"""
    page = read(html, want_text=want_text)
    assert page.outlinks == ["http://h.example/s", "http://h.example/deep"]
    assert page.text == ("in shadow l\nz\ndeepTitle light ." if want_text else None)


def test_hooks_see_open_shadow_roots() -> None:
    page = read("<my-el><template shadowrootmode=open><b>x</b></template></my-el>")
    assert [node.text() for node in page.css("my-el > b")] == ["x"]


XHTML = (
    '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>T</title><script src="a.js"/></head><body>{}</body></html>'
)


@pytest.mark.parametrize("kind", ["application/xhtml+xml", "text/xml", "application/xml; charset=utf-8"])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('<p>hello <a href="/x">x</a></p>', "hello x"),
        ('<style/><a id="n"/>a<br/>b<div/>c<textarea/> <a href="/x"/>d', "a\nb\nc\nd"),
        (
            '<![CDATA[<b>&nbsp;]]> <?pi <p> ?><!-- <p> --><a href="/x"/>&eacute;&unknown;&#33;&lt;',
            "<b>&nbsp; é&unknown;!<",
        ),
        ('<h:p xmlns:h="http://www.w3.org/1999/xhtml">a <h:a href="/x">x</h:a></h:p>', "a x"),
        ('<script>if (1 &lt; 2) { document.write("&lt;/script>") }</script>a<a href="/x"/>', "a"),
        ('<p>not well-formed<a href="/x"/><br> a <![CDATA[<]]>', "not well-formed\na <"),
        ('<x:title xmlns:x="urn:x">a</x:title><svg xmlns="http://www.w3.org/2000/svg"><g/></svg><a href="/x"/>b', "ab"),
    ],
)
def test_xhtml_is_read_as_xml(kind: str, body: str, text: str) -> None:
    page = read(XHTML.format(body), headers=(("content-type", kind),))
    assert (page.is_html, page.title, page.text, page.outlinks) == (True, "T", text, ["http://h.example/x"])
    assert [node.text() for node in page.css("title")] == ["T"]


def test_the_same_as_html_is_read_as_browsers_do() -> None:
    page = read(XHTML.format("<p>gone <a href='/x'>x</a></p>"))
    assert (page.title, page.text, page.outlinks) == ("T", "", [])


def test_entities_that_xhtml_declares_are_not_expanded() -> None:
    lol = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    xml = f'<!DOCTYPE html [<!ENTITY l0 "lol">{lol}]>' + XHTML.format('<p title="&l9;">a &l9;</p><a href="/x"/>')
    page = read(xml, headers=(("content-type", "application/xhtml+xml"),))
    assert (page.text, page.outlinks) == ("a &l9;", ["http://h.example/x"])


def test_xml_whose_root_is_not_html_is_text() -> None:
    page = read("<root><html xmlns='http://www.w3.org/1999/xhtml'/></root>", headers=(("content-type", "text/xml"),))
    assert (page.is_html, page.text) == (False, "<root><html xmlns='http://www.w3.org/1999/xhtml'/></root>")


def test_a_forged_mark_of_preformatted_text_is_harmless() -> None:
    assert read("<p>\x010</p><pre>secret</pre><p>\x010</p>").text == "secret\n\x010\n\x010"


@pytest.mark.parametrize("limit", [0, 1, 5, 6, 7, 100])
def test_text_is_cut_at_bytes(limit: int) -> None:
    page = read("<p>äöü</p><p>ä</p>", max_text=limit)
    whole = "äöü\nä".encode()
    assert page.text is not None
    assert page.text.encode() == whole[:limit].decode("utf-8", "ignore").encode()
    assert page.text_truncated == (limit < len(whole))


def test_no_text_where_none_is_wanted() -> None:
    assert read("<p>x", want_text=False).text is None
    assert read("x", headers=(("content-type", "text/plain"),), want_text=False).text is None


# Types


@pytest.mark.parametrize(
    ("kind", "body", "charset", "links", "text"),
    [
        ("text/html", "<a href=/x>y</a>", "windows-1252", 1, "y"),
        ("application/xhtml+xml", "<a href='/x'>y</a>", "windows-1252", 1, "y"),
        (None, "\n<!DOCTYPE html><a href=/x>y</a>", "windows-1252", 1, "y"),
        (None, "<!-- c --><a href=/x>y</a>", "windows-1252", 1, "y"),
        (None, "just <a href=/x>y</a>", "windows-1252", 0, "just <a href=/x>y</a>"),
        (None, "%PDF\x00\x01", None, 0, None),
        ("text/plain; charset=utf-8", "<a href=/x>ä</a>\0", "utf-8", 0, "<a href=/x>ä</a>\ufffd"),
        ("application/json", '{"ä": 1}', "utf-8", 0, '{"ä": 1}'),
        ("application/atom+xml", "<?xml version='1.0' encoding='utf-8'?><a/>", "utf-8", 0, None),
        ("application/pdf", "<a href=/x>", None, 0, None),
        ("image/png", "<a href=/x>", None, 0, None),
    ],
)
def test_types(kind: str | None, body: str, charset: str | None, links: int, text: str | None) -> None:
    page = read(body, headers=(("content-type", kind),) if kind else ())
    assert (page.charset, len(page.outlinks)) == (charset, links)
    assert page.text == (text if text is not None or charset is None else body)


@pytest.mark.parametrize(
    "kind",
    ["text/html, text/html", "text/html,", "*/*, text/html", "text/html charset=utf-8", "*/*", "none", '"text/html"'],
)
def test_a_page_whose_type_is_doubled_or_unknown_is_read_as_html(kind: str) -> None:
    page = read("<!doctype html><title>T</title><p>body <a href=/q>q</a>", headers=(("content-type", kind),))
    assert (page.title, page.text, page.outlinks) == ("T", "body q", ["http://h.example/q"])


def test_the_charset_of_a_type_named_twice_counts() -> None:
    lines = (("content-type", "text/html;charset=windows-1251"), ("content-type", "text/html"))
    assert read("<title>я</title>".encode("cp1251"), headers=lines).title == "я"


def test_redirects_and_empty_bodies_are_not_read() -> None:
    assert read("<a href=/x>", status=301).outlinks == []
    assert read("").charset is None
    assert read("<a href=/x>", status=404).outlinks == ["http://h.example/x"]


# What hooks use


@pytest.mark.parametrize("want_text", [True, False])
def test_hooks_see_the_page_as_it_was_sent(want_text: bool) -> None:
    page = read("<p class=a>x <b>я</b></p><p>z</p>".encode("cp1251"), want_text=want_text, headers=CP1251)
    assert [node.text() for node in page.css("p.a > b")] == ["я"]
    assert [tag.get_text() for tag in page.soup.select("p.a > b")] == ["я"]
    assert page.soup is page.soup
    assert page.html == "<p class=a>x <b>я</b></p><p>z</p>"
    assert (page.status, page.headers.get("content-type")) == (200, CP1251[0][1])


CP1251 = (("content-type", "text/html; charset=windows-1251"),)


def test_a_selector_that_cannot_be_parsed() -> None:
    with pytest.raises(ValueError, match=r"\[\["):
        read("<p>").css("[[")


def test_json() -> None:
    page = read('{"a": [1]}', headers=(("content-type", "application/json"),))
    assert page.json() == {"a": [1]}
    assert page.css("*") == []
    with pytest.raises(ValueError):
        read("<p>").json()


# Any input

PIECES = (
    "<a href=|<p>|<b>|</b>|<title>|<meta name=description content=|<svg>|<pre>|</pre>|<table>|<template>|<!--|-->"
    '|"|>|\0|\udcff|\udced\udca0\udc80|&#xD800;|&#0;|<html lang=|<base href=|<script>|</script>|x| |<frameset>|\x010'
)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.lists(
            st.sampled_from(PIECES.encode("utf-8", "surrogateescape").split(b"|")),
            max_size=40,
        ).map(b"".join),
    ),
    st.sampled_from([None, "text/html", "text/html;charset=utf-16le", "text/html;charset=utf-8", "text/plain"]),
    st.booleans(),
)
def test_any_bytes_make_a_page_of_valid_text(body: bytes, kind: str | None, want_text: bool) -> None:
    page = read(body, headers=(("content-type", kind),) if kind else (), want_text=want_text)
    fields = [page.title, page.description, page.lang, page.canonical, page.text, page.refresh, *page.outlinks]
    for value in filter(None, fields):
        assert "\0" not in value
        value.encode()
    assert all(urls.canonicalize(link) == link for link in page.outlinks)
    assert page.links_total is not None
    assert len(page.outlinks) <= page.links_total


SPELLINGS = (
    "|#x| #x |?a=ä|?|a|a/b?c#d|../..|/|//other.example/x|/a/../b|http:a|http:?x|HTTPS:a|http:\\x|mailto:x|javascript:1"
    "|http://[|http://u@h/|\ta\nb| a |\x01?z|.|./|%7e|ä|&#xd800;|data:,x|http://h.example/dir/page|..|\n?b|htt\np:?b|\\x"
)
REFERENCES = st.one_of(
    st.sampled_from(SPELLINGS.split("|")),
    st.text("ab/.?#:%\\ä &;", max_size=8),
)
TAGS = st.sampled_from(["a", "area", "iframe", "link", "base"])
URLS = st.sampled_from(
    ["http://h.example/", "http://h.example/d/e?q=/x/", "https://h.example:8080/d/f", "http://h.example/d/"]
)


def escaped(reference: str) -> str:
    return reference.replace("&", "&amp;").replace('"', "&quot;")


def document(links: list[tuple[str, str]]) -> str:
    attribute = {"iframe": "src"}
    rest = "".join(
        f'<p><{tag} {"rel=next " if tag == "link" else ""}{attribute.get(tag, "href")}="{escaped(reference)}"></p>'
        if tag in ("area", "link", "base")
        else f'<p><{tag} {attribute.get(tag, "href")}="{escaped(reference)}">x</{tag}></p>'
        for tag, reference in links
    )
    return f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>t</title></head><body>{rest}</body></html>'


def slow_links(html: str, url: str) -> list[str]:
    """What the crawler should find, told plainly and without any cache."""
    soup = BeautifulSoup(html, "html.parser")
    base = url
    for tag in soup.find_all("base", href=True):
        try:
            found = urls.resolve(str(tag["href"]), url)
        except InvalidURL:
            continue
        if tag["href"] and found.startswith("http"):
            base = found
            break
    links: dict[str, None] = {}
    for tag in soup.find_all(["a", "area", "iframe", "link"]):
        reference = tag.get("href", tag.get("src"))
        bare = str(reference)
        if base.partition("#")[0] == url and (not bare or bare.startswith("#")):
            continue
        if tag.name in ("iframe", "link") and not bare:
            continue
        try:
            links[urls.canonicalize(bare, base.partition("#")[0])] = None
        except InvalidURL:
            continue
    return list(links)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(URLS, st.lists(st.tuples(TAGS, REFERENCES), max_size=8), st.booleans()), max_size=6))
def test_links_are_those_of_a_plain_reading_with_and_without_the_cache(
    pages: list[tuple[str, list[tuple[str, str]], bool]],
) -> None:
    """One extractor for text and one without share nothing but the rule; each remembers what earlier pages had."""
    warm = {
        want: Extractor(ExtractOptions(want=frozenset({"text"} if want else ()), agent="ourbot"))
        for want in (True, False)
    }
    for url, links, want_text in pages:
        html = document(links)
        response = Response(url, 200, Headers([("content-type", "text/html;charset=utf-8")]), html.encode())
        found = warm[want_text].extract(response)
        options = ExtractOptions(want=frozenset() if want_text else frozenset({"text"}), agent="ourbot")
        fresh = Extractor(options).extract(response)
        assert found.outlinks == fresh.outlinks == slow_links(html, url)
        assert (found.refused, found.links_total) == (fresh.refused, fresh.links_total)


def test_hosts_without_a_path_do_not_share_references() -> None:
    extractor = Extractor(ExtractOptions(want=frozenset(), agent="ourbot"))
    for url in ("http://a.example", "http://b.example"):
        page = extractor.extract(Response(url, 200, Headers([("content-type", "text/html")]), b"<a href=x>"))
        assert page.outlinks == [f"{url}/x"]


@pytest.mark.parametrize("size", [1 << 16, 16 << 20])
def test_the_cache_is_bounded(size: int) -> None:
    extractor = Extractor(ExtractOptions(want=frozenset(), agent="ourbot", cache=size))
    resolver = extractor._resolver
    for number in range(12):
        body = "".join(f"<a href=/{number}/{i}/{'x' * 3000}>" for i in range(400)).encode()
        extractor.extract(Response(f"http://h.example/{number}/", 200, Headers([("content-type", "text/html")]), body))
    kept = sum(len(key) + len(value) for table in resolver._folders.values() for key, value in table.items())
    assert 0 < kept <= size


@pytest.mark.parametrize(
    "body",
    [
        b"<a href=/x>" + b"<b>" * 30_000 + b"<i>",
        b"<a href=/x>" + b'<a href="' * 50_000 + b'">',
        b"<a href=/x><a href='" + b"x" * 2_000_000 + b"'>",
        b"<a href=/x><title>" + b"x " * 1_000_000 + b"</title>",
        b"<a href=/x>" + b"<p>\0&#xD800;" * 30_000,
        b"<a href=/x>" + b"x<b></b><!---->" * 30_000,
        b"<a href=/x><svg>" + b"<g>" * 3_000 + b"<title></title>" * 20_000,
        b"<a href=/x>" + b"<pre>x</pre>" * 20_000,
        b"<a href=/x><p>" + b" " * 2_000_000,
        b"<a href=/x>" + b"".join(b"<a href=/%d>" % i for i in range(30_000)),
    ],
    ids=["deep", "unclosed", "attribute", "title", "nul", "inline", "svg", "pre", "spaces", "links"],
)
def test_hostile_pages_are_read_in_bounds(body: bytes) -> None:
    page = read(body)
    assert page.outlinks[0] == "http://h.example/x"
    assert len(page.outlinks) <= 6000
    assert len(page.title or "") <= 2000
    assert len((page.text or "").encode()) <= 1024 * 1024


# What the crawl asks for


@pytest.mark.parametrize(
    ("follow", "links"), [(True, ["http://h.example/c", "http://h.example/x"]), (False, ["http://h.example/x"])]
)
def test_canonical_is_read_in_any_case(follow: bool, links: list[str]) -> None:
    """And is a link only where that is wanted; one that is no URL is none."""
    page = read("<link rel=canonical href=/c><a href=/x>x</a>", follow_canonical=follow)
    assert (page.canonical, page.outlinks) == ("http://h.example/c", links)
    assert read("<link rel=canonical href='mailto:a@b'>", follow_canonical=follow).canonical is None


def test_links_are_in_the_form_of_the_crawl() -> None:
    page = read("<a href='/x?utm_source=m&b=2&a=1'>x</a><a href='/x?a=1&b=2'>y</a>", form=urls.Form(True, True, True))
    assert page.outlinks == ["http://h.example/x?a=1&b=2"]


@pytest.mark.parametrize("base", ["http://a.example/", "http://a.example/d/e.html?x/y", "http://a.example/%7e/x%/y"])
@given(reference=st.from_regex(r"(\.\./){0,3}[A-Za-z0-9_.~/-]{1,12}", fullmatch=True))
def test_names_are_resolved_as_all_references_are(base: str, reference: str) -> None:
    """They go without a parser; what is found must be the same."""
    try:
        expected = canonicalize(reference, base)
    except InvalidURL as error:
        expected = error.reason
    resolver = Resolver(Form(), 1 << 20)
    assert resolver.resolve(reference, base, resolver.folder(base)) == expected


def test_names_that_are_too_long_or_take_another_form_are_resolved_with_care() -> None:
    base = f"http://a.example/{'x' * 4070}/"
    resolver = Resolver(Form(), 1 << 20)
    assert resolver.resolve("y" * 8, base, resolver.folder(base)) == f"{base}{'y' * 8}"
    assert resolver.resolve("y" * 9, base, resolver.folder(base)) == "too-long"
    assert resolver.resolve("name", "ftp://a.example/", resolver.folder("ftp://a.example/")) == "scheme"


def test_a_style_whose_string_is_never_closed_is_one_string() -> None:
    """Each quote would be looked at from there to the end otherwise."""
    for quote in "\"'":
        assert visible_text._OPAQUE.sub("", f"{quote}\\" * 1_000) == ""


def test_sources_of_formulas_are_found_once_however_deep_they_are() -> None:
    tree = parse(("<math><mrow>" * 100 + "<annotation>x</annotation>" * 100).encode())
    assert len(visible_text.find_nodes(tree).unseen) == 101, "and the head"


def test_what_nothing_closes_in_xhtml_ends_with_the_document() -> None:
    """Each beginning would be looked at from there to the end otherwise."""
    assert xhtml.as_html(b"<p>x & y <![CDATA[a<b") == b"<p>x & y a&lt;b"
    for begin in (b"<![CDATA[", b"<!-- ", b"<?x "):
        assert xhtml._REFERENCE.sub(b"", begin * 3) == b""
