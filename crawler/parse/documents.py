"""PDF and DOCX to HTML, which is then read like any page: text, main content, Markdown, links, title, language.

Pure, but for the libraries' own faults: they run in a process that may die (`worker.document_reader`). Needs the extra
`documents`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape
from importlib.util import find_spec
from typing import Final, Literal

from crawler.fetch.mime import DOCX, PDF

Kind = Literal["pdf", "docx"]

_KINDS: Final[dict[str, Kind]] = {
    PDF: "pdf",
    "application/x-pdf": "pdf",
    DOCX: "docx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.template": "docx",
    "application/vnd.ms-word.document.macroenabled.12": "docx",
}
UNSURE: Final = (
    "application/octet-stream",
    "binary/octet-stream",
    "application/zip",
    "application/x-zip-compressed",
    "application/download",
    "application/x-download",
    "application/force-download",
    "application/msword",
)
"""Types by which a server says only that it is a file: its first bytes decide."""
TYPES: Final = tuple(_KINDS)
"""Media types of documents."""
_NEEDED: Final = ("pypdfium2", "mammoth")

_MAIN_PART: Final = b"word/document"
_MAX_OFFSET: Final = 1024
"""Bytes that may stand before a PDF's header: readers accept that many."""
_HEADING = re.compile(r"<h([1-6])>(.*?)</h\1>", re.DOTALL)
_EDGE = re.compile(rb"<footer>.*?</footer>", re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_FILE_NAME = re.compile(
    r"(?:microsoft word - .*|untitled.*|\S*\.(?:docx?|dvi|tex|pdf|odt|indd|fm|pages|rtf|xml))", re.I
)
"""Titles that a program wrote, not a person."""
_LANG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,4}")
_FIRST: Final = 20_000
"""The title is looked for among the first characters of the content."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A document as an HTML page."""

    html: bytes
    """UTF-8."""
    error: str | None = None
    """What of the document could not be read, and why."""


def are_readable() -> bool:
    """Whether the libraries of the extra `documents` are installed."""
    return all(find_spec(name) is not None for name in _NEEDED)


def kind_of(content_type: str, body: bytes = b"") -> Kind | None:
    """Which document *body* is, whose header names *content_type* (lower case, "" for none); None if it is none."""
    if kind := _KINDS.get(content_type):
        return kind
    if content_type and content_type not in UNSURE:
        return None
    if b"%PDF-" in body[:_MAX_OFFSET]:
        return "pdf"
    return "docx" if body.startswith(b"PK\x03\x04") and _MAIN_PART in body else None


def convert(kind: Kind, body: bytes, max_text: int, enough: Callable[[], bool]) -> Converted:
    """*body* as HTML with about *max_text* bytes of text. Once *enough* is true, the rest is left out.

    Never raises for a damaged document. Uses memory and time without bound if the document wants it.
    """
    if kind == "pdf":
        from crawler.parse.pdf import read_pdf
        from crawler.parse.pdf_layout import clean, to_html

        pdf = read_pdf(body, max_text, enough)
        content = to_html(pdf.pages)
        return Converted(_page(content, clean(pdf.title), clean(pdf.subject), pdf.lang), pdf.error)
    from crawler.parse.docx import read_docx

    docx = read_docx(body, max_text, enough)
    return Converted(_page(docx.html, docx.title, docx.subject), docx.error)


def without_edges(html: bytes) -> bytes:
    """The *html* of a document without what repeats at the edges of its pages."""
    return _EDGE.sub(b"", html)


def _page(content: str, title: str, description: str, lang: str = "") -> bytes:
    """The whole HTML page. A document without a title of its own is named by its first heading."""
    if not title.strip() or _FILE_NAME.fullmatch(title.strip()):
        title = _first_heading(content) or title
    declared = f' lang="{lang.replace("_", "-")}"' if _LANG.fullmatch(lang) else ""
    head = f"<title>{escape(title, quote=False)}</title>" if title.strip() else ""
    if description.strip():
        head += f'<meta name="description" content="{escape(description)}">'
    page = f"<!DOCTYPE html><html{declared}><head>{head}</head><body><main>{content}</main></body></html>"
    return page.encode("utf-8", "replace")


def _first_heading(content: str) -> str:
    """The first heading of the highest level among those at the beginning."""
    found = _HEADING.findall(content[:_FIRST])
    level = min((level for level, _ in found), default="")
    texts = (unescape(_TAG.sub("", text)).strip() for own, text in found if own == level)
    return next((text for text in texts if text), "")
