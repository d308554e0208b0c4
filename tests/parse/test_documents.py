"""PDF and DOCX become the HTML that their author may have written: headings, paragraphs, lists, code, links."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parse import docx as docx_module
from crawler.parse.documents import Converted, Kind, are_readable, convert, kind_of
from crawler.parse.pdf_layout import clean, to_html
from crawler.parse.pdf_line import Line, PdfPage
from crawler.parse.pdf_salvage import with_new_root
from tests.documents import (
    DOCX_TYPE,
    PDF_TYPE,
    Text,
    docx,
    encrypted,
    hyperlink,
    lines,
    paragraph,
    pdf,
    pdf_without_end,
)

pytestmark = pytest.mark.skipif(not are_readable(), reason="crawler[documents] is not installed")

MOST = 1 << 20
LOREM = ["The first line of a paragraph that is as wide as", "the second line, which ends here."]


def never() -> bool:
    return False


def converted(kind: Kind, body: bytes, most: int = MOST) -> Converted:
    return convert(kind, body, most, never)


def main_of(found: Converted) -> str:
    match = re.search(r"<main>(.*)</main>", found.html.decode(), re.DOTALL)
    assert match is not None
    return match[1]


def read(pages: list[list[Text]]) -> str:
    return main_of(converted("pdf", pdf(pages)))


def head_of(found: Converted) -> str:
    return found.html.decode().partition("<body>")[0]


# -- what is a document ------------------------------------------------------------------------------------------------


def test_the_type_tells_or_where_it_says_nothing_the_first_bytes() -> None:
    page, word = pdf([[Text(700, "Text")]]), docx(paragraph("Text"))
    for kind, name, body in (("pdf", PDF_TYPE, page), ("docx", DOCX_TYPE, word)):
        assert kind_of(name, b"anything") == kind
        assert {kind_of(unsure, body) for unsure in ("", "application/octet-stream", "binary/octet-stream")} == {kind}
        assert kind_of("text/html", body) is None
    assert kind_of("application/octet-stream", b"\n" * 100 + page) == "pdf"
    assert kind_of("application/zip", word) == "docx"
    assert kind_of("application/octet-stream", b"PK\x03\x04" + b"xl/workbook.xml") is None


# -- PDF ---------------------------------------------------------------------------------------------------------------


def test_lines_become_paragraphs_and_larger_ones_headings() -> None:
    page = [
        Text(740, "A Title", 24),
        Text(700, "1. Chapter", 16),
        *lines(*LOREM, y=670),
        *lines("Another paragraph.", y=630),
        Text(600, "A subsection in bold", 13, font="B"),
        *lines("Its text is short.", y=580),
    ]
    assert read([page]).splitlines() == [
        "<h1>A Title</h1>",
        "<h2>1. Chapter</h2>",
        f"<p>{' '.join(LOREM)}</p>",
        "<p>Another paragraph.</p>",
        "<h3>A subsection in bold</h3>",
        "<p>Its text is short.</p>",
    ]


def test_a_word_divided_at_the_end_of_a_line_is_whole_again() -> None:
    assert "interesting words" in read([lines("This paragraph has an inter-", "esting words, as many have.")])


def test_lists_and_code_keep_their_form() -> None:
    page = [
        *lines("Some text stands before the list.", y=740),
        *lines("• first item", "• second item", y=710),
        *lines("1. one", "2. two", y=670),
        *lines("def f():", y=630, font="C"),
        *lines("return 1", y=618, font="C", x=96.0),
    ]
    assert read([page]).splitlines() == [
        "<p>Some text stands before the list.</p>",
        "<ul>",
        "<li>first item</li>",
        "<li>second item</li>",
        "</ul>",
        '<ol start="1">',
        "<li>one</li>",
        "<li>two</li>",
        "</ol>",
        "<pre><code>def f():",
        "    return 1</code></pre>",
    ]


def test_what_repeats_at_the_edges_of_pages_is_a_footer_and_paragraphs_go_on_over_it() -> None:
    pages = [
        [
            Text(770, f"The Manual {number}", 8),
            *lines(f"{word} words begin a page that is long enough, and", f"the {word} ones end it, but they", y=700),
            Text(30, f"{number}", 8),
        ]
        for number, word in enumerate(("red", "green", "blue", "black"), 1)
    ]
    found = read(pages)
    assert found.count("<footer>") == 8
    text = re.sub(r"<footer>.*?</footer>|\n", "", found)
    assert text.count("<p>") == 1
    assert "they green words begin" in text


def test_columns_are_read_one_after_the_other() -> None:
    left = lines("Left one goes on", "and ends in the", y=700)
    right = lines("right column, where", "it has its end.", y=700, x=330.0)
    assert "and ends in the right column" in read([left + right])


def test_a_table_of_contents_has_no_dots_and_no_headings() -> None:
    found = read([[Text(700, "Introduction . . . . . . . . . . . 1", 10), Text(688, "Usage ............ 12", 10)]])
    assert found.splitlines() == ["<p>Introduction … 1</p>", "<p>Usage … 12</p>"]


def test_links_have_their_text_where_they_cover_some() -> None:
    page = [
        *lines("Read on", y=700),
        Text(660, "the manual", link="https://a.example/x?a=1&b=2"),
        *lines("or not.", y=600),
    ]
    found = read([page, [Text(700, "", link="/lonely")]])
    assert '<p><a href="https://a.example/x?a=1&amp;b=2">the manual</a></p>' in found
    assert '<footer><a href="/lonely">/lonely</a></footer>' in found


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Known Title", "Known Title"),
        ("Microsoft Word - draft.doc", "The Largest"),
        ("report-final.dvi", "The Largest"),
        ("", "The Largest"),
    ],
)
def test_the_title_is_of_the_metadata_or_the_first_heading(title: str, shown: str) -> None:
    page = [Text(740, "Small Heading", 14), Text(700, "The Largest", 20), *lines(*LOREM, y=640), *lines(*LOREM, y=600)]
    found = converted("pdf", pdf([page], info={"Title": title, "Subject": "About it"}, lang="de_AT"))
    assert f"<title>{shown}</title>" in head_of(found)
    assert '<meta name="description" content="About it">' in head_of(found)
    assert found.html.startswith(b'<!DOCTYPE html><html lang="de-AT">')


def test_markup_in_a_pdf_is_text() -> None:
    hostile = '<script>alert(1)</script> & "quotes"'
    found = converted("pdf", pdf([[Text(700, hostile, link='/"><script>')]], info={"Title": "</title><script>"}))
    assert b"<script" not in found.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in found.html.decode()


def test_letters_of_old_fonts_are_joined() -> None:
    assert clean("M¨oller e\ufb03cient inter\x02esting UTF\x028 \x07") == "Möller efficient interesting UTF-8 "


def test_a_pdf_whose_end_is_lost_gives_its_pages() -> None:
    whole = pdf([lines(f"This is page {number}.") for number in range(8)])
    found = converted("pdf", whole[: whole.index(b"/Type/Pages")])
    assert found.error == "it is damaged: 8 of its pages were found"
    assert all(f"This is page {number}." in main_of(found) for number in range(8))
    packed = converted("pdf", pdf_without_end(["packed page one", "packed page two"]))
    assert packed.error == "it is damaged: 2 of its pages were found"
    assert "packed page two" in main_of(packed)


def test_what_cannot_be_read_is_an_error_and_no_exception() -> None:
    assert converted("pdf", b"<html>no PDF").error == "it is no PDF"
    assert converted("pdf", b"").error == "it is no PDF"
    assert converted("pdf", pdf([[], []])).error == "there is no text on its pages: they are empty or pictures"
    locked = encrypted("secret", user=b"password")
    assert converted("pdf", locked).error == "it is encrypted, and opens only with a password"


def test_a_pdf_whose_password_is_empty_opens() -> None:
    found = converted("pdf", encrypted("not really secret"))
    assert (found.error, main_of(found)) == (None, "<p>not really secret</p>")


def test_time_and_text_have_bounds() -> None:
    body = pdf([lines(f"Page {number} has some text.") for number in range(50)])
    asked = iter([False, False, True])
    found = convert("pdf", body, MOST, lambda: next(asked))
    assert found.error == "only 2 of its 50 pages were read in the time that a page has"
    assert "Page 1 has" in main_of(found)
    assert "Page 2 has" not in main_of(found)
    little = converted("pdf", body, most=100)
    assert 100 < len(main_of(little)) < 500
    assert little.error is None


@given(st.binary(max_size=2000), st.binary(max_size=200))
def test_a_new_root_is_found_in_anything(before: bytes, after: bytes) -> None:
    body = before + b"\n7 0 obj <</Type/Page>> endobj 8 0 obj <</Type/ObjStm/N 3/First 9>>stream\n" + after
    found = with_new_root(body)
    assert found is not None
    assert found.startswith(body)
    assert b"/Kids[" in found[len(body) :]


WORDS = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Cf", "Z"], max_codepoint=0x2FFF), min_size=1, max_size=8
)
LINES = st.builds(
    lambda words, x, y, size, mono, bold: Line(" ".join(words), x, y, x + 200, size, mono, bold),
    st.lists(WORDS, min_size=1, max_size=6),
    *(st.floats(-1e4, 1e4) for _ in "xy"),
    st.floats(0, 500),
    *(st.booleans() for _ in "mb"),
)


@given(st.lists(st.builds(PdfPage, st.lists(LINES, max_size=8), st.just([])), max_size=4))
def test_no_letter_is_lost_whatever_the_places(pages: list[PdfPage]) -> None:
    html = to_html(pages)
    text = "".join(unescape(re.sub(r"<[^<>]*>", "", html)).split())
    kept = "".join(sorted(letter for letter in text if letter.isalpha()))
    given_text = "".join(clean(line.text) for page in pages for line in page.lines)
    lost = {letter for letter in given_text if letter.isalpha()} - set(kept)
    assert not lost


# -- DOCX --------------------------------------------------------------------------------------------------------------


def test_a_docx_keeps_headings_lists_tables_code_and_links() -> None:
    cell = f"<w:tc>{paragraph('in a cell')}</w:tc>"
    body = (
        paragraph("Its Title", "Title")
        + paragraph("Chapter", "Heading1")
        + paragraph("Text &amp; more.")
        + hyperlink("a link", 0)
        + f"<w:tbl><w:tr>{cell}{cell}</w:tr></w:tbl>"
        + paragraph("x = 1", "SourceCode")
        + paragraph("y = 2", "SourceCode")
    )
    found = main_of(converted("docx", docx(body, links=["https://a.example/?a=1&amp;b=2"])))
    assert "<h1>Its Title</h1><h1>Chapter</h1><p>Text &amp; more.</p>" in found
    assert '<a href="https://a.example/?a=1&amp;b=2">a link</a>' in found
    assert "<table><tr><td><p>in a cell</p></td><td><p>in a cell</p></td></tr></table>" in found
    assert "<pre>x = 1\ny = 2</pre>" in found


def test_a_link_that_is_a_field_has_its_place_and_no_switches() -> None:
    def field(code: str) -> str:
        marks = [f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "separate", "end")]
        text = f"<w:r><w:instrText>{code}</w:instrText></w:r>{marks[1]}<w:r><w:t>link</w:t></w:r>"
        return f"<w:p>{marks[0]}{text}{marks[2]}</w:p>"

    codes = [
        'HYPERLINK "https://a.example/?x=1"',
        'HYPERLINK "page.html" \\l "place"',
        'HYPERLINK "page.html" \\o "A tip" \\t "_blank"',
    ]
    found = main_of(converted("docx", docx("".join(map(field, codes)))))
    assert re.findall('href="([^"]*)"', found) == ["https://a.example/?x=1", "page.html#place", "page.html"]


def test_the_title_of_a_docx_is_of_its_properties_or_its_first_heading() -> None:
    body = paragraph("Chapter", "Heading1")
    assert "<title>Tom &amp; Co</title>" in head_of(converted("docx", docx(body, title="Tom &amp; Co")))
    assert "<title>Chapter</title>" in head_of(converted("docx", docx(body)))


def test_a_damaged_docx_gives_the_text_before_the_damage() -> None:
    body = docx("".join(paragraph(f"Paragraph {n}, and {n * 7919} more.") for n in range(2000)))
    found = converted("docx", body[: len(body) // 2])
    assert found.error == "it is damaged: only the text before the damage was read"
    assert "<p>Paragraph 0, and 0 more.</p>" in main_of(found)
    assert 200 < main_of(found).count("<p>") < 1900


def test_a_docx_that_unpacks_to_far_too_much_is_read_as_text_up_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docx_module, "_MAX_UNPACKED", 100_000)
    body = docx("".join(paragraph(f"Paragraph {n}") for n in range(10_000)))
    found = converted("docx", body, most=5_000)
    assert found.error is not None
    assert "only its text was read" in found.error
    assert 5_000 < len(main_of(found)) < 20_000


def test_a_docx_nested_without_end_costs_only_its_form() -> None:
    deep = "<w:ins>" * 50_000 + "<w:r><w:t>inside</w:t></w:r>" + "</w:ins>" * 50_000
    found = converted("docx", docx(paragraph("before") + f"<w:p>{deep}</w:p>"))
    assert (found.error, main_of(found)) == (
        "it cannot be converted: only its text was read",
        "<p>before</p>\n<p>inside</p>",
    )


def test_no_entity_of_a_docx_is_expanded_and_no_file_is_read() -> None:
    bomb = '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    document = docx(paragraph("x"), parts={"word/document.xml": bomb + "]><w>&j;</w>"})
    assert converted("docx", document).html.count(b"aaaaaaaaaa") == 0
    outside = '<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]><w>&a;</w>'
    assert b"root:" not in converted("docx", docx("", parts={"word/document.xml": outside})).html


def test_what_is_no_docx_is_an_error() -> None:
    assert converted("docx", b"\xd0\xcf\x11\xe0" + bytes(500)).error == "it is encrypted, or in Word's older format"
    for body in (b"", b"PK\x03\x04", b"<html>", docx("")[:40]):
        assert converted("docx", body).error == "it is damaged: only the text before the damage was read"


@given(st.binary(max_size=300), st.integers(0, 5000))
def test_no_damage_of_a_docx_raises(noise: bytes, at: int) -> None:
    body = docx(paragraph("Some text"))
    broken = body[: at % len(body)] + noise + body[at % len(body) + len(noise) :]
    assert converted("docx", broken).html.startswith(b"<!DOCTYPE html>")


def test_pictures_of_a_docx_are_their_descriptions() -> None:
    main = "http://schemas.openxmlformats.org/drawingml/2006"
    blip = '<pic:blipFill><a:blip r:embed="rIdp"/></pic:blipFill>'
    picture = f'<pic:pic xmlns:pic="{main}/picture">{blip}</pic:pic>'
    graphic = f'<a:graphic xmlns:a="{main}/main"><a:graphicData>{picture}</a:graphicData></a:graphic>'
    about = '<wp:docPr id="1" name="p" descr="A black cat"/>'
    inline = f'<wp:inline xmlns:wp="{main}/wordprocessingDrawing">{about}{graphic}</wp:inline>'
    type_ = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"
    rels = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rIdp" Type="{type_}" Target="media/cat.png"/></Relationships>'
    )
    parts = {"word/_rels/document.xml.rels": rels, "word/media/cat.png": "PNG" * 1000}
    found = converted("docx", docx(f"<w:p><w:r><w:drawing>{inline}</w:drawing></w:r></w:p>", parts=parts))
    assert (found.error, main_of(found)) == (None, '<p><img alt="A black cat" /></p>')
