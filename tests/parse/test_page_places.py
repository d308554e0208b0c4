"""The places of a page that name a URL: which there are, of which kind, where they lead, what they ask for."""

from __future__ import annotations

import pytest

from crawler.parse.places import MAX_PLACES, Place
from crawler.url import Form
from tests.parse.place_pages import URL, WHOLE, again, named, notes, page_of, places_of

TABLE = [
    ("<a href=/x>", "link"),
    ("<map><area href=/x alt=''></map>", "link"),
    ("<svg><a href=/x></a></svg>", "link"),
    ("<svg><a xlink:href=/x></a></svg>", "link"),
    ("<link rel='Next' href=/x>", "link"),
    ("<link rel=alternate type=application/rss+xml href=/x>", "link"),
    ("<link rel='stylesheet' href=/x>", "style"),
    ("<link rel='alternate stylesheet' href=/x>", "style"),
    ("<link rel='preload' as=style href=/x>", "style"),
    ("<link rel='preload' as=font href=/x>", "preload"),
    ("<link rel='modulepreload' href=/x>", "preload"),
    ("<link rel='prefetch' href=/x>", "preload"),
    ("<link rel=preload as=image imagesrcset='/x 2x'>", "preload"),
    ("<link rel='shortcut icon' href=/x>", "icon"),
    ("<link rel=apple-touch-icon href=/x>", "icon"),
    ("<meta name=msapplication-TileImage content=/x>", "icon"),
    ("<meta name=msapplication-square70x70logo content=/x>", "icon"),
    ("<link rel=manifest href=/x>", "manifest"),
    ("<link rel=canonical href=/x>", "canonical"),
    ("<link rel=alternate hreflang=de href=/x>", "hreflang"),
    ("<link rel=alternate hreflang=X-Default href=/x>", "link"),
    ("<link rel=image_src href=/x>", "social"),
    ("<meta property=og:image content=/x>", "social"),
    ("<meta name=twitter:image content=/x>", "social"),
    ("<meta itemprop=image content=/x>", "social"),
    ("<link rel=pingback href=/x>", "other"),
    ("<link itemprop=url href=/x>", "other"),
    ("<meta http-equiv=refresh content='3; url=/x'>", "refresh"),
    ("<iframe src=/x></iframe>", "frame"),
    ("<img src=/x alt=''>", "image"),
    ("<img srcset='/x 2x' alt=''>", "image"),
    ("<picture><source srcset=/x><img alt=''></picture>", "image"),
    ("<input type=Image src=/x alt=a>", "image"),
    ("<video poster=/x></video>", "image"),
    ("<svg><image href=/x /></svg>", "image"),
    ("<svg><image xlink:href=/x /></svg>", "image"),
    ("<svg><feImage href=/x /></svg>", "image"),
    ("<svg><use href=/x#part /></svg>", "image"),
    ("<table background=/x></table>", "image"),
    ("<img lowsrc=/x alt=''>", "image"),
    ("<img dynsrc=/x alt=''>", "media"),
    ("<video src=/x></video>", "media"),
    ("<audio><source src=/x></audio>", "media"),
    ("<video><track src=/x></video>", "media"),
    ("<script src=/x></script>", "script"),
    ("<svg><script href=/x></script></svg>", "script"),
    ("""<script type=importmap>{"imports": {"a": "/x", "b/": "/folder/", "c": "bare"}}</script>""", "script"),
    ("""<script type=importmap>{"scopes": {"/s/": {"a": "/x"}}}</script>""", "script"),
    ("""<script type=speculationrules>{"prefetch": [{"urls": ["/x"]}]}</script>""", "preload"),
    ("<p style='background: url(/x)'>", "css"),
    ("<style>a { background: url(/x) }</style>", "css"),
    ("<style>@import '/x';</style>", "style"),
    ("<style>@font-face { src: url(/x) }</style>", "font"),
    ("<object data=/x></object>", "object"),
    ("<object data=x codebase=/></object>", "object, other /"),
    ("<embed src=/x>", "object"),
    ("<applet archive='x' codebase='/'></applet>", "object, other /"),
    ("<object><param name=Movie value=/x></object>", "object"),
    ("<form action=/x></form>", "form"),
    ("<form method=wrong action=/x></form>", "form"),
    ("<form><button formaction=/x></button></form>", "form"),
    ("<form method=post><button formmethod=get formaction=/x></button></form>", "form"),
    ("<blockquote cite=/x></blockquote>", "cite"),
    ("<img data-src=/x alt=''>", "lazy"),
    ("<img data-srcset='/x 100w' alt=''>", "lazy"),
    ("<div data-bg='url(/x)'></div>", "lazy"),
    ("<img longdesc=/x alt=''>", "other"),
    ("<!--[if lt IE 9]><script src=/x></script><![endif]-->", "other"),
    ("<!--[if !IE]><!--><a href=/x></a><!--<![endif]-->", "link"),
    ("<noscript><a href=/x></a></noscript>", "link"),
    ("<iframe srcdoc='<a href=/x>'></iframe>", "link"),
    ("<iframe srcdoc='&lt;a href=/x&gt;'></iframe>", "link"),
    ("<div><template shadowrootmode=open><a href=/x></a></template></div>", "link"),
]


@pytest.mark.parametrize(("html", "kinds"), TABLE, ids=[html for html, _ in TABLE])
def test_a_place_has_its_kind(html: str, kinds: str) -> None:
    first, _, second = kinds.partition(", ")
    other, _, url = second.partition(" ")
    assert sorted(named(html)) == sorted([(first, "/x"), *([(other, url)] if other else [])])


@pytest.mark.parametrize(
    "html",
    [
        "<!-- <a href=/x> -->",
        "<script>document.write('<a href=/x>')</script>",
        "<textarea><a href=/x></textarea>",
        "<template><a href=/x></a></template>",
        "<p title='<a href=/x>'>",
        "<link rel=preconnect href=/x>",
        "<link href=/x>",
        "<input src=/x>",
        "<form method=post action=/x><button formaction=/y></button></form>",
        "<form id=f method=POST></form><button form=f formaction=/y></button>",
        "<form method=dialog action=/x></form>",
        "<form action=''></form>",
        "<a name=x>",
        "<svg><use href='#part' /></svg>",
        "<p style='color: red; --x: a(b)'>",
        "<style type=text/less>a { background: url(/x) }</style>",
        "<a href='javascript:x()'></a><a href='tel:1'></a><a href='data:,x'></a><a href='app+x:y'></a>",
        "<img src='data:image/png;base64,AAAA' alt=''>",
        "<param name=quality value=high>",
        "<meta name=keywords content=/x>",
        "<a href='#x' role=button></a><a href='#x' onclick='go()'></a>",
        "<a href='#'></a><a href='#top'></a><a href=''></a><a href='#:~:text=x'></a>",
    ],
)
def test_what_names_nothing_is_no_place(html: str) -> None:
    assert named(WHOLE + html) == []
    assert notes(WHOLE + html) == []


def test_the_header_names_too() -> None:
    header = '</n>; rel=next, </s>; rel=stylesheet, </c>; rel=canonical, </p>; rel=preload, </d>; rel="describedby"'
    found = places_of("", ("Link", header), ("Refresh", "1; url=r"), ("Content-Location", "l"))
    assert [(place.kind, place.url[len("http://h.example") :], place.line, place.rel) for place in found.places] == [
        ("link", "/n", 0, "next"),
        ("style", "/s", 0, "stylesheet"),
        ("canonical", "/c", 0, "canonical"),
        ("preload", "/p", 0, "preload"),
        ("header", "/d", 0, "describedby"),
        ("refresh", "/dir/r", 0, ""),
        ("other", "/dir/l", 0, ""),
    ]
    assert found.names is None


def test_references_are_resolved_as_a_browser_does() -> None:
    references = ("a b?ü", "?q", "\n//x.example/y\t", "http:z")
    html = "<base href='/other/'>" + "".join(f"<a href='{reference}'></a>" for reference in references)
    assert named(html) == [
        ("other", "/other/"),
        ("link", "/other/a%20b?%C3%BC"),
        ("link", "/other/?q"),
        ("link", "http://x.example/y"),
        ("link", "/other/z"),
    ]


def test_a_query_is_in_the_encoding_of_the_page() -> None:
    assert named("<a href='/ü?ü'>".encode("latin-1"), kind="text/html; charset=latin1") == [("link", "/%C3%BC?%FC")]


def test_a_document_within_has_a_base_and_fragments_of_its_own() -> None:
    html = "<base href=/b/><iframe srcdoc='<a href=x></a><a href=#y></a>'></iframe><a href=z></a>"
    assert named(html) == [("other", "/b/"), ("link", "/b/x"), ("link", "/b/z")]
    html = "<iframe srcdoc='<base href=/i/><a href=x></a>'></iframe><a href=z></a><a href=#here></a>"
    assert named(html) == [("other", "/i/"), ("link", "/i/x"), ("link", "/dir/z"), ("link", "/dir/page")]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("#a", "a"),
        ("#a%20b", "a b"),
        ("#%C3%BC", "ü"),
        ("#ü", "ü"),
        ("#A.b:c-(d)", "A.b:c-(d)"),
        ("#x:~:text=y", "x"),
        ("#topic", "topic"),
        ("#", None),
        ("#TOP", None),
        ("#:~:text=y", None),
        ("#/route", None),
        ("#!route", None),
        ("#?page=2", None),
        ("#tab=2&sort=up", None),
        ("#t=10", None),
        ("", None),
    ],
)
def test_a_fragment_asks_for_an_element_or_for_nothing(reference: str, name: str | None) -> None:
    (place,) = places_of(f"<a href='/other{reference}'>").places
    assert (place.url, place.fragment) == ("http://h.example/other", name)
    own = places_of(f"<a href='{reference}'>").places
    assert [(place.url, place.fragment) for place in own] == ([] if name is None else [(URL, name)])


def test_only_documents_have_elements_to_find() -> None:
    html = "<img src='a.svg#x' alt=''><link rel=stylesheet href='b.css#x'><iframe src='c#x'></iframe>"
    assert [(place.kind, place.fragment) for place in places_of(html).places] == [
        ("image", None),
        ("style", None),
        ("frame", "x"),
    ]


def test_names_are_ids_and_anchors_and_maps() -> None:
    html = """<p id=a><a name=b id=c></a><a name='d e'></a><map name=m></map><svg><g id=f /></svg><input name=g>
<!-- <p id=h> --><template><p id=i></template><div><template shadowrootmode=open><p id=j></p></template></div>
<p id='a%20b'><p id=ü><p id=''>"""
    assert places_of(html).names == ["a", "c", "b", "d e", "m", "f", "a%20b", "a b", "ü"]


def test_names_are_not_known_of_what_is_cut_or_no_html() -> None:
    page = page_of("<p id=a>")
    assert page.places is not None and page.places.names == ["a"]
    page.response = type(page.response)(page.url, 200, page.headers, b"<p id=a>", truncated=True)
    assert again(page).names is None
    assert places_of("a {}", kind="text/css").names is None


def test_a_map_must_be_there() -> None:
    (place,) = places_of("<img src='data:,' alt='' usemap='#m'>").places
    assert place == Place("link", URL, "m", 1)


def test_a_place_has_its_rel_and_where_links_are_stored_its_text() -> None:
    html = "<a href=/a rel='NoFollow  ugc'>To <b>the</b>\n place</a><a href=/b><img src=c alt=' Cat '></a>"
    texts = [("link", "To the place", "nofollow ugc"), ("link", "Cat", ""), ("image", "Cat", "")]
    page = page_of(html, want=frozenset({"links"}))
    assert page.places is not None
    assert [(place.kind, place.text, place.rel) for place in page.places.places] == texts
    assert [(place.kind, place.text, place.rel) for place in again(page_of(html)).places] == texts
    assert {place.text for place in places_of(html).places} == {None}


def test_the_spelling_is_kept_where_the_crawl_changes_it() -> None:
    page = page_of("<a href='/a?utm_source=x&b=1#c'></a><a href='/a?b=1#c'></a>")
    assert [(place.url, place.spelled) for place in again(page, Form(strip_tracking=True)).places] == [
        ("http://h.example/a?b=1", "http://h.example/a?utm_source=x&b=1#c"),
        ("http://h.example/a?b=1", ""),
    ]


def test_only_the_kinds_that_are_asked_for_are_read() -> None:
    page = page_of("<a href=a></a><img src=b alt=''><img src='http://[' alt=''><img src='' alt=''>")
    found = again(page, kinds=frozenset({"link"}))
    assert [place.kind for place in found.places] == ["link"]
    assert "url-invalid" not in {note.code for note in found.notes}


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("http://", "http://"),
        ("http://exa mple/", "http://exa mple/"),
        ("http://h.example:65536/", "http://h.example:65536/"),
        ("http://[::1/", "http://[::1/"),
        ("//", "//"),
        ("htp://h.example/", "htp://h.example/"),
        ("HTTPSS://h.example/", "HTTPSS://h.example/"),
        ("mailto:", "mailto:"),
        ("mailto:a", "mailto:a"),
        ("mailto:a@", "mailto:a@"),
        ("mailto:a@b@c.example", "mailto:a@b@c.example"),
        ("mailto:a@b..example", "mailto:a@b..example"),
        ("mailto:a b@c.example", "mailto:a b@c.example"),
    ],
)
def test_what_is_no_url_is_noted(reference: str, shown: str) -> None:
    html = f"{WHOLE}\n<a href='{reference}'>x</a>"
    assert named(html) == []
    assert notes(html) == [("url-invalid", 2, shown)]


@pytest.mark.parametrize(
    "reference",
    [
        "mailto:a@b.example",
        "mailto:a+b@b.example,%22c%20d%22@e.example?subject=x",
        "mailto:?subject=x&body=y",
        "mailto:ü@bücher.example",
        "mailto:%20a@b.example",
        "ssh://h.example/",
        "sms:1",
        "ftp://h.example/",
    ],
)
def test_what_belongs_to_other_programs_is_not(reference: str) -> None:
    assert notes(f"{WHOLE}<a href='{reference}'>x</a>") == []


def test_an_empty_source_is_an_error_unless_a_script_fills_it() -> None:
    html = f"{WHOLE}\n<img src='' alt=''>\n<img src=' ' data-src=x alt=''><script src=''></script><iframe src=''>"
    assert notes(html) == [("url-invalid", 2, 'src=""'), ("url-invalid", 3, 'src=""')]


def test_a_url_with_a_password_is_not_asked_for_and_not_repeated() -> None:
    html = f"{WHOLE}<a href='http://u:secret@h.example/'>x</a>"
    assert named(html) == []
    assert notes(html) == [("not-checked", 1, "http://***@h.example/")]


def test_what_only_a_script_may_take_for_a_url_is_never_wrong() -> None:
    assert notes(f"{WHOLE}<div data-src='http://['></div><div data-url='{{x}}'></div>") == []


def test_more_places_than_are_read_are_noted() -> None:
    html = WHOLE + "<a href=x>x</a>" * (MAX_PLACES + 1)
    found = places_of(html)
    assert len(found.places) == MAX_PLACES
    assert [note.code for note in found.notes] == ["not-checked"]
    found = places_of(WHOLE + "<a href=x>x</a>" * MAX_PLACES)
    assert (len(found.places), found.notes) == (MAX_PLACES, [])


def test_deep_pages_are_read() -> None:
    html = WHOLE + "<div><a href=x>" * 100_000
    assert len(places_of(html).places) == MAX_PLACES


@pytest.mark.parametrize("status", [404, 500, 301])
def test_pages_of_errors_have_no_places(status: int) -> None:
    assert page_of("<a href=x>", status=status).places is None


def test_pages_that_ask_not_to_be_stored_have_places() -> None:
    assert named("<meta name=robots content=noindex><a href=/x>") == [("link", "/x")]


def test_xhtml_has_its_lines() -> None:
    html = """<?xml version="1.0"?>
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title>
<!-- a
comment --><script
 src="/s"/></head>
<body><a
  href="/a?b&amp;c">x</a><img src="/i"/></body></html>"""
    found = places_of(html, kind="application/xhtml+xml").places
    assert [(place.url[len("http://h.example") :], place.line) for place in found] == [
        ("/s", 4),
        ("/a?b&c", 6),
        ("/i", 7),
    ]


@pytest.mark.parametrize("noise", ["", "<!-- <b a=b> -->", "<p title='<b a=b>'>", "<script>'<b a=b>'</script>"])
def test_a_page_is_the_same_with_and_without_its_places(noise: str) -> None:
    html = f"<title>One <b a=b> two</title><meta name=description content='<b a=b>'>{noise}<a href='/x?<b a=b>'>x</a>"
    page = page_of(html)
    assert (page.title, page.description) == ("One <b a=b> two", "<b a=b>")
    assert page.outlinks == ["http://h.example/x?%3Cb%20a=b%3E"]
    assert [place.url for place in again(page).places] == page.outlinks
    assert [node.attributes for node in page.css("a")] == [{"href": "/x?<b a=b>"}]
    plain = page_of(f"<title>t</title><p>text<a id=y href='/x'>x</a>{noise}")
    assert [node.attributes for node in plain.css("a")] == [{"id": "y", "href": "/x"}]
