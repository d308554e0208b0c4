"""Sitemaps against crawler-commons' cases, the formats' rules, and whatever bytes a server sends."""

from __future__ import annotations

import base64
import gzip
import json
import os
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.parse import sitemap
from crawler.parse.sitemap import MAX_BYTES, MAX_URLS, Location, Sitemap, lastmod_of, looks_like_sitemap, parse_sitemap

DATA = Path(__file__).parents[1] / "data" / "sitemap" / "crawler_commons_sitemap.jsonl"
CASES = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
URL = "https://a/sitemap.xml"
NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
KINDS = {"INDEX": "index", "XML": "urls", "TEXT": "text", "RSS": "rss", "ATOM": "atom"}

LENIENT = {
    "testSitemapXXE": (
        ["http://www.example.com/visit-here"],
        "a DOCTYPE is skipped, so it does no harm; testSitemapXXEWithDocTypeAllowed expects what we read",
    ),
    "testSitemapWithWrongNamespace": (
        ["http://www.example.com/1", "http://www.example.com/2"],
        "of its two cases one accepts any namespace and one none but the right; names alone count here",
    ),
    "testSitemapParserBrokenXml": (
        ["http://cs.harding.edu/fmccown/sitemaps/something.html"],
        "what stands before the break is kept, and `truncated` says that it broke",
    ),
}
"""Cases in which the source refuses what is read here: what is read, and why."""

NORMALIZED = ("testSitemapTXTfilterUrls", "testSitemapXMLfilterUrls")
"""Cases in which the source's test makes its parser normalize each URL: add a scheme, drop the fragment. That is the
caller's business, and done in the test."""


def normalized(url: str) -> str:
    return urldefrag(url if "://" in url else f"http://{url}").url


def urls(found: Sitemap | None) -> list[str]:
    assert found is not None
    return [location.url for location in found.locations]


def dates(body: str) -> list[int | None]:
    found = parse_sitemap(body.encode(), URL)
    assert found is not None
    return [location.lastmod for location in found.locations]


def urlset(*records: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset {NS}>{"".join(records)}</urlset>'.encode()


def record(url: str) -> str:
    return f"<url><loc>{escape(url)}</loc></url>"


# -- crawler-commons ---------------------------------------------------------------------------------------------------


def test_the_data_is_whole() -> None:
    assert len(CASES) == 53
    assert sum(case["error"] is not None for case in CASES) == 4


def method_of(case: Any) -> str:
    return str(case["id"].partition(".")[2])


@pytest.mark.parametrize("case", [case for case in CASES if case["error"] is None], ids=method_of)
def test_what_crawler_commons_reads(case: Any) -> None:
    found = parse_sitemap(base64.b64decode(case["body_b64"]), case["url"])
    assert found is not None
    assert found.kind == KINDS[case["type"]]
    assert (found.kind == "index") == case["is_index"]
    assert found.truncated == method_of(case).startswith("testPartial")
    locations = urls(found)
    if method_of(case) in NORMALIZED:
        locations = [normalized(url) for url in locations]
    if case["strict_location"] and not case["is_index"]:
        # The source drops pages outside of the sitemap's folder (sitemaps.org, "Sitemap file location"); which URLs
        # belong to a crawl is not for the parser to say.
        folder = urljoin(case["url"], ".")
        locations = [url for url in locations if url.startswith(folder)]
    assert locations == case["locs"]


@pytest.mark.parametrize("case", [case for case in CASES if case["error"] is not None], ids=method_of)
def test_what_crawler_commons_refuses(case: Any) -> None:
    found = parse_sitemap(base64.b64decode(case["body_b64"]), case["url"])
    if method_of(case) not in LENIENT:
        assert found is None
        return
    expected, reason = LENIENT[method_of(case)]
    assert urls(found) == expected, reason
    assert found is not None and found.truncated == (method_of(case) == "testSitemapParserBrokenXml")


# -- formats -----------------------------------------------------------------------------------------------------------


def write_urlset(links: list[str]) -> str:
    return urlset(
        *(f"\n <url>\n  <loc>{escape(link)}</loc>\n  <priority>0.5</priority>\n </url>" for link in links)
    ).decode()


def write_index(links: list[str]) -> str:
    records = "".join(f"<m:sitemap><m:loc><![CDATA[{link}]]></m:loc></m:sitemap>\n" for link in links)
    return f"<m:sitemapindex xmlns:m='http://www.google.com/schemas/sitemap/0.84'>{records}</m:sitemapindex>"


def write_rss(links: list[str]) -> str:
    items = "".join(f"<item><title>t</title><link>{escape(link)}</link></item>" for link in links)
    return f'<rss version="2.0"><channel><link>https://a/channel</link>{items}</channel></rss>'


def write_rss10(links: list[str]) -> str:
    items = "".join(f'<item rdf:about="https://a/x"><link>\n{escape(link)}\n</link></item>' for link in links)
    return (
        '<?xml version="1.0"?>\n<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        f'xmlns="http://purl.org/rss/1.0/"><channel><link>https://a/channel</link></channel>{items}</rdf:RDF>'
    )


def write_atom(links: list[str]) -> str:
    entries = "".join(f"<entry><id>urn:x</id><link href={quoteattr(link)}/></entry>" for link in links)
    return f'<feed xmlns="http://www.w3.org/2005/Atom"><link rel="self" href="https://a/feed"/>{entries}</feed>'


def write_text(links: list[str]) -> str:
    return "".join(f"{link}\r\n" for link in links)


WRITERS: dict[str, tuple[str, Callable[[list[str]], str]]] = {
    "urlset": ("urls", write_urlset),
    "sitemapindex": ("index", write_index),
    "rss": ("rss", write_rss),
    "rss10": ("rss", write_rss10),
    "atom": ("atom", write_atom),
    "text": ("text", write_text),
}
# Nothing that one of the formats cannot hold: no spaces, no end of CDATA.
PATHS = st.text(st.sampled_from("abz019/-._~?&=;#%<>\"'!$()*+,:@é漢😀"), max_size=12)
LINKS = st.lists(st.tuples(st.sampled_from(["http", "HTTPS"]), PATHS).map("://a/".join), unique=True, max_size=8)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16"]


@pytest.mark.parametrize("name", WRITERS)
@settings(deadline=None, max_examples=50)
@given(links=LINKS, encoding=st.sampled_from(ENCODINGS), layers=st.integers(0, 2))
def test_what_is_written_is_read(name: str, links: list[str], encoding: str, layers: int) -> None:
    kind, write = WRITERS[name]
    body = write(links).replace('encoding="UTF-8"', "").encode(encoding)
    for _ in range(layers):
        body = gzip.compress(body)
    found = parse_sitemap(body, URL)
    if name == "text" and not links:
        assert found is None
    else:
        assert urls(found) == links
        assert found is not None and (found.kind, found.truncated) == (kind, False)
    assert looks_like_sitemap(body) == (kind in ("urls", "index") and layers == 0)


@pytest.mark.parametrize("name", WRITERS)
@settings(deadline=None, max_examples=100)
@given(links=LINKS, data=st.data())
def test_a_prefix_gives_a_prefix(name: str, links: list[str], data: st.DataObject) -> None:
    text = WRITERS[name][1](links)
    found = parse_sitemap(text[: data.draw(st.integers(0, len(text)))].encode(), URL)
    got = [] if found is None else urls(found)
    if name == "text" and got:
        # A line that was cut looks like a shorter URL; only who knows that the body was cut can drop it.
        assert links[len(got) - 1].startswith(got.pop())
    assert got == links[: len(got)]
    if found is not None and name != "text" and got != links:
        assert found.truncated


@settings(deadline=None, max_examples=100)
@given(LINKS, st.integers(0, 400), st.sampled_from(["urlset", "atom", "text"]))
def test_of_a_cut_gzip_is_read_what_is_there(links: list[str], missing: int, name: str) -> None:
    body = gzip.compress(WRITERS[name][1](links).encode())
    found = parse_sitemap(body[: max(len(body) - missing, 0)], URL)
    if found is not None:
        assert urls(found) == links[: len(found.locations)]
        assert found.truncated == (missing > 0)


def test_members_of_gzip_follow_each_other() -> None:
    body = urlset(record("https://a/1"), record("https://a/2"))
    parts = [gzip.compress(body[at : at + 40]) for at in range(0, len(body), 40)]
    for whole in (b"".join(parts), b"".join(parts) + b"junk", b"".join(parts) + b"\0" * 512):
        assert parse_sitemap(whole, URL) == parse_sitemap(body, URL)


def test_gzip_that_is_broken_gives_what_came_before() -> None:
    records = [record(f"https://a/{os.urandom(8).hex()}") for _ in range(2000)]
    body = bytearray(gzip.compress(urlset(*records)))
    body[len(body) // 2 :] = b"\xff" * 1000
    found = parse_sitemap(bytes(body), URL)
    assert found is not None and found.truncated
    assert 500 < len(found.locations) < 1100
    assert parse_sitemap(b"\x1f\x8b", URL) is None
    assert parse_sitemap(b"\x1f\x8b\x08" + b"\0" * 50, URL) is None


def test_three_layers_of_gzip_are_too_many() -> None:
    body = gzip.compress(gzip.compress(urlset(record("https://a/1"))))
    assert urls(parse_sitemap(body, URL)) == ["https://a/1"]
    assert parse_sitemap(gzip.compress(body), URL) is None


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("iso-8859-1", "ISO-8859-1"),
        ("windows-1251", "windows-1251"),
        ("windows-1252", "us-ascii"),
        ("shift_jis", "Shift_JIS"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "utf-16be"),
        ("utf-8", "UTF-16"),
        ("utf-8", "no-such-thing"),
        ("utf-8-sig", "windows-1251"),
    ],
)
def test_encodings(encoding: str, declared: str) -> None:
    url = {"iso-8859-1": "é", "windows-1252": "é", "windows-1251": "жук", "shift_jis": "日本"}.get(encoding, "é日ж😀")
    body = f'<?xml version="1.0" encoding="{declared}"?><urlset {NS}>{record("https://a/" + url)}</urlset>'
    found = parse_sitemap(body.encode(encoding), URL)
    assert urls(found) == [f"https://a/{url}"]
    assert found is not None and not found.truncated


def test_a_wrong_declaration_spoils_a_url_at_most() -> None:
    body = f'<?xml version="1.0" encoding="UTF-8"?><urlset {NS}>{record("https://a/é")}{record("https://a/2")}</urlset>'
    found = parse_sitemap(body.encode("latin-1"), URL)
    assert urls(found) == ["https://a/\ufffd", "https://a/2"]
    assert found is not None and not found.truncated


@pytest.mark.parametrize(
    "label", sorted({"utf-8", "hz-gb-2312", "iso-2022-jp", "gb18030", "big5", "replacement", "x-user-defined"})
)
def test_declared_encodings_of_all_kinds_do_no_harm(label: str) -> None:
    body = f'<?xml version="1.0" encoding="{label}"?><urlset>{record("https://a/1")}'.encode() + bytes(range(256)) * 3
    found = parse_sitemap(body, URL)
    assert found is None or isinstance(found, Sitemap)


# -- text --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n \n"])
def test_text_is_a_url_a_line(end: str) -> None:
    lines = ["", "https://a/1", "\thttp://a/2?x=<y>\u00a0", "www.a/3", "# a comment", "/relative", "https://a/1"]
    found = parse_sitemap(b"\xef\xbb\xbf" + end.join(lines).encode(), URL)
    assert urls(found) == ["https://a/1", "http://a/2?x=<y>", "www.a/3"]
    assert found is not None and (found.kind, found.truncated) == ("text", False)


@pytest.mark.parametrize(
    "lines",
    [
        "# our pages\nhttps://a/1\nhttps://a/2\n",
        "\ufeff\n# one\n# two\n#three\n\nhttps://a/1\nhttps://a/2",
        "Pages of our site\nhttps://a/1\nhttps://a/2\n",
        "https://a/1\n---\nhttps://a/2\nwritten by a plugin\n/relative\nwww.a/3\nwww.a/4",
        "Pages\n\nUpdated today\nhttps://a/1\nhttps://a/2\nwww.a/3\n# end",
        f"# {'a long licence ' * 2000}\nhttps://a/1\nhttps://a/2",
    ],
)
def test_text_with_other_lines_anywhere(lines: str) -> None:
    """Comments, headings and prose are passed over, as long as most lines are URLs."""
    assert urls(parse_sitemap(lines.encode(), URL))[:2] == ["https://a/1", "https://a/2"]
    assert not any(" " in url or url.startswith("/") for url in urls(parse_sitemap(lines.encode(), URL)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n\n",
        b"# https://a/1\n",
        b"We have two pages:\nhttps://a/1\nand another,\nhttps://a/2\n",
        b"<pre>\nhttps://a/1\nhttps://a/2\n</pre>",
        b"this is a bogus sitemap",
        b"See https://a/ for more.",
        b"https://a/ is where we live",
        b"https://a/1\nand prose\n",
        b"www.example.com\n",
        b"/1\n/2\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"PK\x03\x04https://a/",
        b'{"urls": ["https://a/1"]}',
        b"User-agent: *\nSitemap: https://a/sitemap.xml\n",
    ],
)
def test_what_is_no_text_of_urls(body: bytes) -> None:
    assert parse_sitemap(body, URL) is None
    assert parse_sitemap(gzip.compress(body), URL) is None


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body><a href='https://a/1'>https://a/1</a></body></html>",
        b"<html><body><pre>&lt;urlset></pre><urlset><url><loc>https://a/1</loc></url></urlset></body></html>",
        b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x">'
        b'<html xmlns="http://www.w3.org/1999/xhtml"><body><urlset/></body></html>',
        b"<!DOCTYPE html>\n<title>Sitemaps</title><pre><?xml version='1.0'?><urlset><url><loc>https://a/1</loc></url></urlset>",
        b"<!-- <urlset> --><html></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><url><loc>https://a/1</loc></url></svg>",
        b"<p>404 Not Found</p>",
        b"<urlsets><url><loc>https://a/1</loc></url></urlsets>",
        b"<?xml version='1.0'?>",
        b"<",
        b"<urlset",
    ],
)
def test_pages_and_other_xml_are_no_sitemaps(body: bytes) -> None:
    assert parse_sitemap(body, URL) is None
    assert not looks_like_sitemap(body)


# -- XML ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prolog",
    [
        "",
        "\ufeff",
        " \n\t\r\n",
        "\ufeff\n<?xml version='1.0' encoding='UTF-8' standalone='yes'?>",
        "Notice: undefined index\n<br />\n<b>Warning</b>: 1 < 2 <?xml version='1.0'?>",
        "<?xml version='1.0'?>\n<?xml version='1.0'?>",
        "<?xml-stylesheet type='text/xsl' href='a>b.xsl'?><!-- <html> ' \" -->",
        "<!DOCTYPE urlset>",
        "<!DOCTYPE urlset PUBLIC '-//x//<[' \"]>\" [<!ENTITY a ']>'><!-- ]> ' --><?p ]> ?><!ELEMENT x (y|z)>%p; ] >",
        "<!doctype urlset SYSTEM 'http://127.0.0.1/x.dtd'>",
        "\0\x01",
    ],
)
@pytest.mark.parametrize("name", ["urlset", "sm:urlset", "URLSET"])
def test_what_may_stand_before_the_root(prolog: str, name: str) -> None:
    body = f"{prolog}<{name} {NS}>{record('https://a/1')}</{name}>".encode()
    assert parse_sitemap(body, URL) == Sitemap("urls", [Location("https://a/1", None)], False)
    assert looks_like_sitemap(body)


def test_only_the_start_is_sniffed() -> None:
    body = urlset(record("https://a/1"))
    assert looks_like_sitemap(body + b"\xff" * 10_000_000)
    assert not looks_like_sitemap(b"<!--" + b" " * 10_000 + b"-->" + body)
    assert urls(parse_sitemap(b"<!--" + b" " * 10_000 + b"-->" + body, URL)) == ["https://a/1"]
    assert not looks_like_sitemap(b"")
    assert not looks_like_sitemap(b"<rss><channel/></rss>")


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://a/?x=1&amp;y=2", "https://a/?x=1&y=2"),
        ("https://a/?x=1&#38;y=2&#x26;z", "https://a/?x=1&y=2&z"),
        ("https://a/&quot;&apos;&lt;&gt;", "https://a/\"'<>"),
        ("https://a/?x=1&amp;amp;y=2", "https://a/?x=1&amp;y=2"),
        ("<![CDATA[https://a/?x=1&y=2]]>", "https://a/?x=1&y=2"),
        ("\n  https://a/<![CDATA[?x]]>&amp;y \u00a0\u2003", "https://a/?x&y"),
        ("<!-- c -->https://a/1<!-- c --><?p?>", "https://a/1"),
        ("<b>https://a/</b>1", "https://a/1"),
        ("&#x1F600;https://a", "\U0001f600https://a"),
        ("/relative", "/relative"),
        ("", None),
        ("  ", None),
        ("&nbsp;", None),
        ("https://a/&eacute;t&eacute;", None),
    ],
)
@pytest.mark.parametrize("ending", ["</urlset>", "<url><loc>https://a/?broken&so</loc></url>"])
def test_what_loc_may_hold(written: str, url: str | None, ending: str) -> None:
    body = f"<urlset><url><loc>{written}</loc></url><url><loc>https://a/next</loc></url>{ending}"
    expected = [url, "https://a/next"] if url else ["https://a/next"]
    found = parse_sitemap(body.encode(), URL)
    assert found is not None and found.truncated == (ending != "</urlset>")
    assert urls(found)[: len(expected)] == expected


def test_a_reference_is_undone_the_same_where_the_document_is_broken() -> None:
    locs = [
        "https://a/?x&y=1",
        "https://a/?x&amp;y",
        "https://a/&#xe9;&#233;",
        "<![CDATA[https://a/&amp;]]>",
        "https://a/&nbsp;",
    ]
    body = f"<urlset>{''.join(f'<url><loc>{loc}</loc></url>' for loc in locs)}</urlset>"
    assert urls(parse_sitemap(body.encode(), URL)) == [
        "https://a/?x&y=1",
        "https://a/?x&y",
        "https://a/éé",
        "https://a/&amp;",
    ]


def test_only_children_of_url_and_sitemap_are_pages() -> None:
    body = f"""<urlset {NS} xmlns:image="i" xmlns:xhtml="x" xmlns:video="v"><loc>https://a/astray</loc>
        <url><image:image><image:loc>https://a/1.png</image:loc></image:image>
             <image xmlns="i"><loc>https://a/2.png</loc></image>
             <image:loc>https://a/3.png</image:loc>
             <xhtml:link rel="alternate" hreflang="de" href="https://a/de"/>
             <video:video><video:player_loc>https://a/4</video:player_loc><loc>https://a/5</loc></video:video>
             <loc>https://a/page</loc></url></urlset>"""
    assert urls(parse_sitemap(body.encode(), URL)) == ["https://a/page"]


def test_extensions_are_no_pages_in_broken_documents_either() -> None:
    body = f"""<urlset {NS}><url><loc>https://a/?x&y</loc><image:image><image:loc>https://a/1.png</image:loc></image:image>
        <xhtml:link rel="alternate" href="https://a/de"/></url></urlset>"""
    assert urls(parse_sitemap(body.encode(), URL)) == ["https://a/?x&y"]


def test_an_index_lists_sitemaps_and_says_no_more_of_them() -> None:
    inner = "<sitemap><loc>https://a/index.xml</loc></sitemap><sitemap><loc>https://a/2.xml.gz</loc></sitemap>"
    found = parse_sitemap(f"<sitemapindex {NS}>{inner}</sitemapindex>".encode(), "https://a/index.xml")
    assert found == Sitemap(
        "index", [Location("https://a/index.xml", None), Location("https://a/2.xml.gz", None)], False
    )


def test_locations_are_distinct_and_in_order() -> None:
    links = ["https://a/2", "https://a/1", "https://a/2", "https://a/3", "https://a/1"]
    assert urls(parse_sitemap(urlset(*map(record, links)), URL)) == ["https://a/2", "https://a/1", "https://a/3"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<urlset><url><loc>https://a/1</loc></url><url><loc>https://a/2</lo", ["https://a/1", "https://a/2"]),
        ("<urlset><url><loc>https://a/1</loc></url><url><loc>https://a/2", ["https://a/1"]),
        ("<urlset><url><loc>https://a/1<url><loc>https://a/2</loc></url></urlset>", ["https://a/1", "https://a/2"]),
        (
            "<urlset>" + "<url><loc>https://a/1</loc>" * 2 + "<url><loc>https://a/2</loc></urlset>",
            ["https://a/1", "https://a/2"],
        ),
        ("<urlset><loc>https://a/1</loc></url><loc>https://a/2</loc></url></urlset>", ["https://a/1", "https://a/2"]),
        (
            "<urlset><url><loc>https://a/1</loc></url></url><url><loc>https://a/2</loc></url>",
            ["https://a/1", "https://a/2"],
        ),
        ("<urlset><url><loc>https://a/?a=1&b=2&c</loc></url>", ["https://a/?a=1&b=2&c"]),
        (
            "<urlset><url><loc>https://a/1</loc><x y=z></url><url><loc>https://a/2</loc></url></urlset>",
            ["https://a/1", "https://a/2"],
        ),
        ("<urlset a='1' a='2'><url>https://a/1</url></urlset>", ["https://a/1"]),
        ("<sitemapindex><sitemap> https://a/1 </sitemap><sitemap>no URL</sitemap></sitemapindex>", ["https://a/1"]),
        ("<sitemapindex><sitemap>https://a/1", []),
        (
            "<urlset><url><loc>https://a/1</loc></url>\ufffe\uffff<url><loc>https://a/2</loc></url></urlset>",
            ["https://a/1", "https://a/2"],
        ),
    ],
)
def test_broken_documents(body: str, expected: list[str]) -> None:
    found = parse_sitemap(body.encode(), URL)
    assert urls(found) == expected
    assert found is not None and found.truncated == ("no URL" not in body)


def test_more_records_than_may_be_nested_are_read_without_their_end_tags() -> None:
    links = [f"https://a/{n}" for n in range(3000)]
    body = "<urlset>" + "".join(f"<url><loc>{link}</loc>" for link in links) + "</urlset>"
    assert urls(parse_sitemap(body.encode(), URL)) == links


def test_a_break_far_into_the_document_is_found_again() -> None:
    links = [f"https://a/{n:060}" for n in range(40_000)]
    links[25_000] = "https://a/?x=1&y=2"
    body = "<urlset>" + "".join(f"<url><loc>{link}</loc></url>\n" for link in links) + "</urlset>"
    assert len(body) > 3 << 20  # more than is read at a time
    found = parse_sitemap(body.encode(), URL)
    assert urls(found) == links
    assert found is not None and found.truncated


def test_what_follows_the_root_is_ignored() -> None:
    body = urlset(record("https://a/1"))
    for junk in (b"<!-- 0.1 s -->", b"junk", b"<urlset>" + record("https://a/2").encode(), b"\0\0", b"<"):
        assert parse_sitemap(body + junk, URL) == parse_sitemap(body, URL), junk


def test_a_break_in_a_record_loses_nothing_that_is_said_in_it() -> None:
    body = "<urlset><url><loc>https://a/1</loc><priority>&</priority><lastmod>2005-01-01</lastmod></url></urlset>"
    assert dates(body) == [1104537600]


# -- RSS and Atom ------------------------------------------------------------------------------------------------------


def test_an_item_of_rss_is_its_link_or_a_guid_that_is_a_url() -> None:
    body = """<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>
        <link>https://a/</link><image><url>https://a/i.png</url><link>https://a/image</link></image>
        <atom:link rel="self" href="https://a/rss"/>
        <item><guid>https://a/guid</guid><link>https://a/1</link><comments>https://a/c</comments></item>
        <item><link/><atom:link href="https://a/x"/><guid isPermaLink="true">https://a/2</guid></item>
        <item><guid isPermaLink="false">7bd204c6</guid><source url="https://b/rss">b</source></item>
        <item><link>/3</link><media><link>https://a/media</link></media></item></channel></rss>"""
    found = parse_sitemap(body.encode(), URL)
    assert found is not None and found.kind == "rss"
    assert urls(found) == ["https://a/1", "https://a/2", "/3"]


def test_an_entry_of_atom_is_its_alternate_or_the_first_of_its_links() -> None:
    body = """<a:feed xmlns:a="http://www.w3.org/2005/Atom"><a:link href="https://a/"/>
        <a:entry><a:link rel="edit" href="https://a/edit"/><a:link rel="alternate" href="https://a/1?x&amp;y"/>
            <a:link href="https://a/other"/><a:content><div><link href="https://a/div"/></div></a:content></a:entry>
        <a:entry><a:link rel="enclosure" href="/2.mp3"/><a:link rel="self" href="https://a/2"/></a:entry>
        <a:entry><a:id>https://a/id</a:id><a:link/></a:entry>{}</a:feed>"""
    expected = ["https://a/1?x&y", "/2.mp3"]
    assert urls(parse_sitemap(body.format("").encode(), URL)) == expected
    assert urls(
        parse_sitemap(body.format("</broken><a:entry><a:link href='https://a/4'/></a:entry>").encode(), URL)
    ) == [
        *expected,
        "https://a/4",
    ]


def test_what_a_broken_feed_says_of_itself_is_no_page() -> None:
    body = (
        "<rss><channel><title>Q & A</title><link>https://a/</link><item><title>&</title><link>https://a/1</link></item>"
    )
    found = parse_sitemap(body.encode(), URL)
    assert urls(found) == ["https://a/1"]
    assert found is not None and found.truncated


# -- dates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2004-10-01T18:23:17+00:00", 1096654997),
        ("2004-10-01T18:23:17Z", 1096654997),
        ("2004-10-01t18:23:17", 1096654997),
        ("2004-10-01 18:23:17", 1096654997),
        ("2004-10-01T20:23:17+02:00", 1096654997),
        ("2004-10-01T20:23:17+0200", 1096654997),
        ("2004-10-01T18:23:17.123Z", 1096654997),
        ("2004-10-01T18:23:17.999999999-00:00", 1096654997),
        ("2004-10-01T18:23Z", 1096654980),
        (" \n2005-01-01\u00a0", 1104537600),
        ("2005-01", 1104537600),
        ("2005", 1104537600),
        ("1970-01-01", 0),
        ("2106-02-07T06:28:15Z", 2**32 - 1),
        ("Thu, 05 Jan 2017 13:34:51 +0100", 1483619691),
        ("Thu, 05 Jan 17 13:34:51 +0100", 1483619691),
        ("05 Jan 2017 07:34:51 EST", 1483619691),
        ("05 Jan 2017 12:34:51 GMT", 1483619691),
        ("5 Jan 17 12:34:51", 1483619691),
        *(
            (nonsense, None)
            for nonsense in (
                *("", "yesterday", "0000-00-00", "0000-01-01", "0001-01-01T00:00:00Z", "-0001-11-30T00:00:00+00:00"),
                *("1969-12-31", "2106-02-07T06:28:16Z", "9999-12-31T23:59:59-12:00", "99999-01-01", "2005-13-01"),
                *(
                    "2005-02-30",
                    "2005-01-01T25:00:00Z",
                    "2005-01-01T10:00:00+99:99",
                    "1104537600",
                    "31 Feb 2017 00:00:00",
                ),
                *("05 Jan 2017 13:34:51 +9999", "2005-01-01" * 1000, "\0", "\uff12005-01-01T00:00:00", "now()"),
            )
        ),
    ],
)
def test_lastmod(text: str, seconds: int | None) -> None:
    assert lastmod_of(text) == seconds


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40) | st.text(st.sampled_from("0123456789-+:TZ. ,JanFeSuGMT"), max_size=40))
def test_no_text_is_a_date_that_harms(text: str) -> None:
    seconds = lastmod_of(text)
    assert seconds is None or 0 <= seconds < 2**32


@settings(deadline=None)
@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2106, 2, 6)),
    st.integers(-1439, 1439),
)
def test_dates_are_read_as_they_are_written(moment: datetime, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    moment = moment.replace(tzinfo=zone)
    expected = int(moment.replace(microsecond=0).timestamp())
    assert lastmod_of(moment.isoformat()) == expected
    assert lastmod_of(moment.strftime("%a, %d %b %Y %H:%M:%S %z")) == expected


def test_where_dates_stand() -> None:
    first, second = 1104537600, 1136073600
    assert dates("<urlset><url><lastmod>2005</lastmod><loc>https://a/</loc><lastmod>2006</lastmod></url></urlset>") == [
        first
    ]
    assert dates("<urlset><url><loc>https://a/</loc><lastmod><![CDATA[2005&#45;]]>-01</lastmod></url></urlset>") == [
        None
    ]
    assert dates("<urlset><url><loc>https://a/</loc><lastmod>2005&#45;01</lastmod></url></urlset>") == [first]
    assert dates("<urlset><url><loc>https://a/</loc><x:lastmod>2005</x:lastmod></url></urlset>") == [None]
    assert dates(
        "<sitemapindex><sitemap><loc>https://a/1</loc><lastmod>2005</lastmod><loc>https://a/2</loc>"
        "<loc>https://a/3</loc><lastmod>2006</lastmod></sitemap></sitemapindex>"
    ) == [first, None, second]
    assert dates(
        "<rss><channel><pubDate>Sat, 01 Jan 2005 00:00:00 GMT</pubDate><item><link>https://a/1</link></item>"
        "<item><link>https://a/2</link><dc:date>2006-01-01</dc:date>"
        "<pubDate>Sat, 1 Jan 2005 01:00:00 +0100</pubDate></item>"
        "<item><link>https://a/3</link><pubDate> </pubDate><dc:date>2006-01-01</dc:date></item></channel></rss>"
    ) == [None, first, second]
    assert dates(
        "<feed><updated>2005</updated><entry><link href='1'/></entry>"
        "<entry><link href='2'/><published>2005-01-01</published><source><updated>2007</updated></source>"
        "<updated>2006-01-01T00:00:00Z</updated></entry>"
        "<entry><link href='3'/><published>2005</published></entry></feed>"
    ) == [None, second, first]


# -- harm --------------------------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">' for n in range(1, 10))


def test_billion_laughs() -> None:
    body = (
        f'<?xml version="1.0" standalone="yes"?><!DOCTYPE urlset [<!ENTITY lol0 "lol">{LAUGHS}]>'
        "<urlset a='&lol9;'><url><loc>https://a/1</loc></url><url><loc>https://a/&lol9;</loc></url>"
        "<url x='&lol9;'><loc>https://a/2</loc></url>&lol9;</urlset>"
    )
    start = time.process_time()
    assert urls(parse_sitemap(body.encode(), URL)) == ["https://a/1", "https://a/2"]
    assert time.process_time() - start < 1


def test_quadratic_blow_up() -> None:
    doctype = f'<!DOCTYPE urlset [<!ENTITY a "{"a" * 50_000}">]>'
    body = f"{doctype}<urlset><url><loc>https://a/{'&a;' * 50_000}</loc></url></urlset>"
    assert urls(parse_sitemap(body.encode(), URL)) == []


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE urlset [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE urlset [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
        '<!DOCTYPE urlset SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE urlset PUBLIC "x" "file:///etc/passwd" [<!ATTLIST url y CDATA "z">]>',
    ],
)
def test_nothing_outside_is_read(doctype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f"""{doctype}<urlset xmlns:xi="http://www.w3.org/2001/XInclude"><url><loc>https://a/1</loc></url>
        <url><loc>&x;</loc></url>
        <url><loc>https://a/<xi:include href="file:///etc/passwd" parse="text"/></loc></url></urlset>"""
    opened: list[Any] = []
    monkeypatch.setattr("builtins.open", opened.append)
    assert parse_sitemap(body.encode(), URL) == Sitemap(
        "urls", [Location("https://a/1", None), Location("https://a/", None)], False
    )
    assert not opened


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_of_50_001_urls_the_last_is_cut(name: str) -> None:
    links = [f"https://a/{n}" for n in range(MAX_URLS + 1)]
    found = parse_sitemap(WRITERS[name][1](links).encode(), URL)
    assert urls(found) == links[:-1]
    assert found is not None and found.truncated
    found = parse_sitemap(WRITERS[name][1](links[:-1] + links[:5]).encode(), URL)
    assert urls(found) == links[:-1]
    assert found is not None and not found.truncated


def bomb(start: bytes, filler: bytes, size: int) -> bytes:
    """*size* bytes in gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(start)]
    filler *= (1 << 20) // len(filler)
    packed += [packer.compress(filler) for _ in range(size // len(filler))]
    return b"".join([*packed, packer.flush()])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "filler", "found"),
    [
        (b"", b"\0", False),
        (b"https://a/\n", b"\0", True),
        (b"<urlset><url><loc>https://a/</loc>", b" ", True),
        (b"<urlset><url><loc>https://a/</loc><x>", b"\xff", True),
    ],
)
def test_a_bomb_costs_what_may_be_read_of_it(start: bytes, filler: bytes, found: bool) -> None:
    body = bomb(start, filler, 300 << 20)
    tracemalloc.start()
    began = time.process_time()
    got = parse_sitemap(gzip.compress(body) if found else body, URL)
    spent, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (got is not None) == found
    assert got is None or (urls(got) == ["https://a/"] and got.truncated)
    assert peak < 3.5 * MAX_BYTES  # packed, and twice as UTF-8
    assert spent < 20  # measured: 2.4


def test_more_than_may_be_read_is_cut() -> None:
    body = b"https://a/1\n" + b" " * (MAX_BYTES + (1 << 20)) + b"https://a/2"
    assert parse_sitemap(body, URL) == Sitemap("text", [Location("https://a/1", None)], True)


TOKENS = [
    b"<a>",
    b"<a/>",
    b"<url>",
    b"<!--",
    b"<![CDATA[",
    b'"',
    b"'",
    b"<",
    b"</",
    b" x='",
    b"&x;",
    b"&",
    b" ",
    b"<!DOCTYPE [",
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "start",
    [
        b"<urlset>",
        b"<urlset></b>",
        b"<urlset><url><loc>",
        b"<urlset a",
        b"</b><feed></b><entry><link ",
        b"<!DOCTYPE x",
        b"https://a/ ",
    ],
)
def test_time_is_linear(token: bytes, start: bytes) -> None:
    body = start + token * ((1 << 19) // len(token))
    began = time.process_time()
    found = parse_sitemap(body, URL)
    assert time.process_time() - began < 5  # quadratic would be hours
    assert found is None or found.truncated or found.kind == "text"


@pytest.mark.parametrize("start", ["<urlset>", "<urlset></b>"])
def test_elements_without_end_are_not_read(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "_MAX_ELEMENTS", 10_000)
    body = f"{start}{record('https://a/1')}{'<url/>' * 300_000}{record('https://a/2')}</urlset>"
    found = parse_sitemap(body.encode(), URL)
    assert urls(found) == ["https://a/1"]
    assert found is not None and found.truncated


def test_names_without_end_are_not_remembered() -> None:
    body = b"<urlset>" + b"".join(b"<a%x/>" % n for n in range(300_000)) + b"</urlset>"
    found = parse_sitemap(body, URL)
    assert found is not None and found.truncated


WORDS = [
    *(
        b"<urlset>",
        b"</urlset>",
        b"<sitemapindex>",
        b"<url>",
        b"</url>",
        b"<loc>",
        b"</loc>",
        b"<lastmod>",
        b"</lastmod>",
    ),
    *(
        b"<rss>",
        b"<item>",
        b"</item>",
        b"<link>",
        b"</link>",
        b"<guid>",
        b"<feed>",
        b"<entry>",
        b"<link href='x' rel='",
    ),
    *(b"https://a/", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?xml encoding='", b"?>", b"<!DOCTYPE x [", b"]>"),
    *(
        b"&amp;",
        b"&#x",
        b"&nbsp;",
        b"&",
        b";",
        b"<",
        b">",
        b"'",
        b'"',
        b"/",
        b"\n",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\x1f\x8b\x08",
    ),
]
GARBAGE = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(WORDS) | st.binary(max_size=4), max_size=40).map(b"".join),
    st.lists(st.sampled_from(WORDS), max_size=40).map(lambda words: b"<urlset>" + b"".join(words)),
)


@settings(deadline=None, max_examples=400)
@given(GARBAGE, st.sampled_from([bytes, gzip.compress, lambda body: gzip.compress(body)[:-3]]))
@example(b"<urlset><url><loc>https://a/\xf0\x9f", bytes)
@example(b"\xff\xfe<\0u", bytes)
def test_no_bytes_do_harm(body: bytes, packed: Callable[[bytes], bytes]) -> None:
    found = parse_sitemap(packed(body), URL)
    assert looks_like_sitemap(body) in (True, False)
    if found is not None:
        links = urls(found)
        assert len(set(links)) == len(links) <= MAX_URLS
        assert all(link and link == link.strip() and "\0" not in link for link in links)
        assert found.kind in KINDS.values()


def test_a_full_sitemap_is_read_fast() -> None:
    records = (
        f"\n <url>\n  <loc>http://www.example.com/catalog/some/path/item-{n}.html</loc>\n"
        f"  <lastmod>2004-12-{n % 28 + 1:02}T18:{n % 60:02}:15+00:00</lastmod>\n  <priority>0.8</priority>\n </url>"
        for n in range(MAX_URLS)
    )
    body = urlset(*records)
    assert len(body) > 7_500_000
    began = time.process_time()
    found = parse_sitemap(body, URL)
    assert found is not None and len(found.locations) == MAX_URLS and not found.truncated
    assert time.process_time() - began < 5  # measured: 0.4; a machine for tests may be slow, quadratic is not 5
