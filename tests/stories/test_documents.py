"""PDF and DOCX in a crawl are read like pages; damage, crashes and a missing extra cost nothing else."""

from __future__ import annotations

import pytest

from crawler.errors import to_install
from crawler.parse.documents import are_readable
from tests.documents import DOCX_TYPE, PDF_TYPE, Text, docx, hyperlink, lines, paragraph, pdf
from tests.pdfium import write_hostile_pdfium
from tests.stories.commands import Commands, Json, outcomes
from tests.stories.sites import Site, Sites, html

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not are_readable(), reason="crawler[documents] is not installed")]

AS_PDF = [("Content-Type", PDF_TYPE)]
AS_DOCX = [("Content-Type", DOCX_TYPE)]
OPTIONS = ("--delay", "0", "--per-host", "8", "--workers", "1")
# Without pypdfium2, whatever is installed.
HIDDEN = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "pypdfium2" else real(name, *more)
"""
ARTICLE = [
    Text(740, "Der Titel", 20),
    *lines(
        "Dieser Text ist in deutscher Sprache, und er ist lang genug,",
        "dass man das auch erkennt, wenn es nicht",
        y=700,
    ),
    *lines("dabei steht: das ist nicht bei allen Texten so.", y=676),
    Text(640, "weiter", link="/from-pdf"),
    Text(620, "hinaus", link="https://elsewhere.example/"),
]


def crawl(commands: Commands, site: Site, *more: str) -> dict[str, Json]:
    done = commands.run("run", site.url("/"), *OPTIONS, *more)
    assert done.code == 0, done.err
    return {site.path_of(url): record for url, record in commands.records().items()}


def test_documents_are_pages_like_others(commands: Commands, sites: Sites) -> None:
    """Text, title, description, language, links; the header holds; where the type says nothing, the first bytes do."""
    site = sites.add()
    body = pdf([ARTICLE], info={"Subject": "Worum es geht"})
    word = docx(
        paragraph("A Heading", "Heading1") + paragraph("Words.") + hyperlink("on", 0), links=[site.url("/from-docx")]
    )
    paths = ("/a.pdf", "/b.docx", "/untyped", "/octets", "/noindex", "/nofollow", "/sheet", "/bytes")
    site.serve("/", html(paths))
    site.serve("/a.pdf", body, headers=AS_PDF)
    site.serve("/b.docx", word, headers=AS_DOCX)
    site.serve("/untyped", pdf([lines("No type is named.")]), headers=[("Content-Type", "")])
    site.serve("/octets", docx(paragraph("A file of octets.")), headers=[("Content-Type", "application/octet-stream")])
    site.serve("/sheet", word.replace(b"word/", b"xl_x/"), headers=[("Content-Type", "application/octet-stream")])
    site.serve("/bytes", b"only text" * 50_000, headers=[("Content-Type", "application/octet-stream")])
    for name in ("noindex", "nofollow"):
        page = pdf([[Text(700, name, link=f"/below-{name}")]])
        site.serve(f"/{name}", page, headers=[*AS_PDF, ("X-Robots-Tag", name)])
    found = crawl(commands, site, "--store", "text,links")
    known = {"/from-pdf": "missing", "/from-docx": "missing", "/below-noindex": "missing"}
    assert outcomes(found) == {
        **dict.fromkeys(("/", *paths), "fetched"),
        **known,
        **dict.fromkeys(("/sheet", "/bytes"), "dropped:type"),
        "/noindex": "dropped:noindex",
    }
    article = found["/a.pdf"]
    assert (article["title"], article["description"], article["lang"]) == ("Der Titel", "Worum es geht", "de")
    assert article["text"].startswith(
        "Der Titel\nDieser Text ist in deutscher Sprache, und er ist lang genug, dass man"
    )
    assert {link["url"]: link["text"] for link in article["links"]} == {
        site.url("/from-pdf"): "weiter",
        "https://elsewhere.example/": "hinaus",
    }
    assert (article["content_type"], article["link_count"], "charset" in article) == (PDF_TYPE, 2, False)
    assert (found["/b.docx"]["title"], found["/b.docx"]["text"]) == ("A Heading", "A Heading\nWords.\non")
    assert [found[path]["text"] for path in ("/untyped", "/octets")] == ["No type is named.", "A file of octets."]


def test_documents_as_main_text_and_markdown(commands: Commands, sites: Sites) -> None:
    """What repeats at the edges of a PDF's pages is text, but not main text; both kinds become Markdown."""
    site = sites.add()
    begin = [Text(740, "A Manual", 20), Text(700, "read on", link="/next"), *lines("x = 1", y=660, font="C")]
    pages = [
        [
            Text(770, f"Running head {number}", 8),
            *(begin if number == 1 else []),
            *lines(
                f"The {word} page has a paragraph of some words that", f"are {word}, and it <has> *two* lines.", y=600
            ),
        ]
        for number, word in enumerate(("red", "green", "blue"), 1)
    ]
    cells = "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in ("one", "two"))
    table = f"<w:tbl><w:tr><w:trPr><w:tblHeader/></w:trPr>{cells}</w:tr><w:tr>{cells}</w:tr></w:tbl>"
    site.serve("/", html(["/a.pdf", "/b.docx"]))
    site.serve("/a.pdf", pdf(pages), headers=AS_PDF)
    site.serve("/b.docx", docx(paragraph("Chapter", "Heading1") + paragraph("Words.") + table), headers=AS_DOCX)
    found = crawl(commands, site, "--store", "text,main,markdown")
    article = found["/a.pdf"]
    assert article["text"].count("Running head") == 3
    assert "Running head" not in article["main"] + article["markdown"]
    assert "The red page has a paragraph of some words that are red, and it <has> *two* lines." in article["main"]
    assert article["markdown"].startswith(f"# A Manual\n\n[read on]({site.url('/next')})\n\n```\nx = 1\n```\n\n")
    assert "it \\<has> \\*two\\* lines." in article["markdown"]
    assert "whole_page" not in article
    assert found["/b.docx"]["markdown"] == "# Chapter\n\nWords.\n\n| one | two |\n| --- | --- |\n| one | two |"


def test_damage_is_told_beside_what_could_be_read(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    whole = pdf([lines(f"This is page {number}.") for number in range(60)])
    word = docx("".join(paragraph(f"Paragraph {n} of {n * 7919}") for n in range(4000)))
    site.serve("/", html(("/cut.pdf", "/cut.docx", "/none.pdf")))
    site.serve("/cut.pdf", whole, headers=AS_PDF)
    site.serve("/cut.docx", word, headers=AS_DOCX)
    site.serve("/none.pdf", b"<html>Not found</html>", headers=AS_PDF)
    assert len(whole) > 12_000 < len(word)
    found = crawl(commands, site, "--max-size", "12KB")
    assert set(outcomes(found).values()) == {"fetched"}
    assert found["/cut.pdf"]["truncated"]
    assert found["/cut.pdf"]["error"].startswith("it was cut, and read as far as it goes: it is damaged: ")
    assert "This is page 3." in found["/cut.pdf"]["text"]
    assert "This is page 59." not in found["/cut.pdf"]["text"]
    assert found["/cut.docx"]["text"].startswith("Paragraph 0 of 0\nParagraph 1 of 7919\n")
    assert (found["/none.pdf"]["error"], found["/none.pdf"]["text"]) == ("it is no PDF", "")


def test_a_document_that_kills_or_hangs_its_reader_costs_itself_alone(commands: Commands, sites: Sites) -> None:
    """No worker dies, nothing is tried again, and all other pages and documents are as they would be without it."""
    site = sites.add()
    write_hostile_pdfium(commands.folder)
    commands.env["PYTHONPATH"] = str(commands.folder)
    deeds = ("CRASH", "ABORT", "HANG", "MEMORY")
    normal = [f"/good{n}.pdf" for n in range(20)] + [f"/page{n}" for n in range(20)]
    order = [*normal[::2], *(f"/{deed}" for deed in deeds), *normal[1::2]]
    site.serve("/", html(order))
    for deed in deeds:
        site.serve(f"/{deed}", f"%PDF-1.7 {deed}".encode(), headers=AS_PDF)
    for path in normal:
        is_pdf = path.endswith("pdf")
        site.serve(
            path, pdf([lines(f"This is {path}.")]) if is_pdf else html(title=path), headers=AS_PDF if is_pdf else ()
        )
    done = commands.run("run", site.url("/"), *OPTIONS, "--page-timeout", "4s")
    assert done.code == 0, done.err
    assert "worker" not in done.err
    found = {site.path_of(url): record for url, record in commands.records().items()}
    assert outcomes(found) == dict.fromkeys(("/", *order), "fetched")
    assert all(found[path]["text"] == f"This is {path}." for path in normal if path.endswith("pdf"))
    assert [found[f"/{deed}"]["error"] for deed in deeds] == [
        "its reader was ended by SIGSEGV: it is damaged, or takes more than 512 MiB of memory",
        "its reader was ended by SIGABRT: it is damaged, or takes more than 512 MiB of memory",
        "reading it took more than 3 s, and was broken off",
        "reading it took more than 512 MiB of memory, and was broken off",
    ]
    assert all(record["attempts"] == 1 for record in found.values())
    assert set(site.asked_of_pages().values()) == {1}


def test_without_the_extra_the_summary_says_once_what_to_install(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    paths = [f"/{number}.pdf" for number in range(3)]
    site.serve("/", html([*paths, "/film"]))
    for path in paths:
        site.serve(path, pdf([lines(f"This is {path}")]), headers=AS_PDF)
    site.serve("/film", b"\0" * 100, headers=[("Content-Type", "video/mp4")])
    commands.write("sitecustomize.py", HIDDEN)
    commands.env["PYTHONPATH"] = str(commands.folder)
    done = commands.run("run", site.url("/"), *OPTIONS)
    assert done.code == 0, done.err
    assert done.err.count(f"  3 documents were left out; to read them {to_install('documents')}\n") == 1
    assert commands.status()["outcomes"] == {"fetched": 1, "dropped:type": 4}
    assert "size" not in commands.records()[site.url("/0.pdf")]
    fetched = commands.run("fetch", site.url("/0.pdf"))
    assert f"{site.url('/0.pdf')} is a document; to read it {to_install('documents')}" in fetched.err + fetched.out


def test_a_crawl_that_stores_records_alone_reads_no_documents(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/a.pdf"]))
    site.serve("/a.pdf", pdf([ARTICLE]), headers=AS_PDF)
    done = commands.run("run", site.url("/"), *OPTIONS, "--store", "meta")
    assert outcomes(commands.records())[site.url("/a.pdf")] == "dropped:type"
    assert "document" not in done.err


def test_a_hook_gets_documents_as_pages(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/a.pdf"]))
    site.serve("/a.pdf", pdf([ARTICLE]), headers=AS_PDF)
    commands.write(
        "product.py", "def item(page):\n    return [node.text() for node in page.css('h1, a')] + [page.html[:15]]\n"
    )
    found = crawl(commands, site, "--store", "meta", "--hook", "product.py:item")
    assert found["/a.pdf"]["data"] == ["Der Titel", "weiter", "hinaus", "<!DOCTYPE html>"]
    fetched = commands.run("fetch", site.url("/a.pdf"), "--json").records()[0]
    assert (fetched["title"], fetched["lang"]) == ("Der Titel", "de")
