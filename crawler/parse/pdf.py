"""PDF to lines of text with their places, and to links. The only module that uses pypdfium2 (PDFium).

PDFium is C++, and a PDF may be hostile: `worker.document_reader` runs this in a process that may die.
Source: ISO 32000-2.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from crawler.parse.pdf_line import Line, PdfPage
from crawler.parse.pdf_salvage import with_new_root

_PASSWORD: Final = 4  # FPDF_ERR_PASSWORD
_MAX_NAME: Final = 100
_MAX_URL: Final = 8192
"""Bytes of a link's target; a longer one is left out."""
_MAX_PAGE_LINKS: Final = 10_000
_MONO = re.compile(r"courier|mono|nimbusmon|cmtt|sftt|ectt|consol|menlo|inconsolata|typewriter|lettergothic|code", re.I)
_BOLD = re.compile(r"bold|black|heavy|demi|cmbx|cmssbx|sfbx|ecbx", re.I)
_FIXED_PITCH: Final = 1  # ISO 32000-2, table 121
_BREAK = re.compile(r"[\r\n]+")


@dataclass(slots=True)
class Pdf:
    """What could be read of a PDF."""

    title: str = ""
    subject: str = ""
    lang: str = ""
    pages: list[PdfPage] = field(default_factory=list)
    error: str | None = None
    """What could not be read, and why."""


def read_pdf(body: bytes, max_text: int, enough: Callable[[], bool]) -> Pdf:
    """Read the PDF *body*: at most about *max_text* bytes of text, and no further page once *enough* is true."""
    found = Pdf()
    document = _opened(body, found)
    if document is None:
        return found
    found.title, found.subject = (_meta(document, name) for name in ("Title", "Subject"))
    found.lang = _language(document)
    count, bad, room = len(document), 0, max_text
    for number in range(count):
        if enough():
            found.error = f"only {number:,} of its {count:,} pages were read in the time that a page has"
            return found
        try:
            page = _page(document, number, with_text=room >= 0)
        except pypdfium2.PdfiumError:
            bad += 1
            continue
        found.pages.append(page)
        room -= sum(len(line.text.encode("utf-8", "replace")) + 1 for line in page.lines)
    found.error = found.error or _complaint(found, count, bad)
    return found


def _opened(body: bytes, found: Pdf) -> pypdfium2.PdfDocument | None:
    """The document, also if its end is lost; None, and why in *found*, if it cannot be opened."""
    try:
        return pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if error.err_code == _PASSWORD:
            found.error = "it is encrypted, and opens only with a password"
            return None
    try:
        whole = with_new_root(body)
        document = None if whole is None else pypdfium2.PdfDocument(whole)
    except pypdfium2.PdfiumError:
        document = None
    if document is not None:
        found.error = f"it is damaged: {len(document):,} of its pages were found"
    else:
        found.error = "it is damaged: none of its pages was found" if b"%PDF-" in body[:1024] else "it is no PDF"
    return document


def _complaint(found: Pdf, count: int, bad: int) -> str | None:
    if bad:
        return f"{bad:,} of its {count:,} pages cannot be read"
    if not any(page.lines for page in found.pages):
        return "there is no text on its pages: they are empty or pictures"
    return None


def _meta(document: pypdfium2.PdfDocument, name: str) -> str:
    return _text(lambda buffer, size: pdfium.FPDF_GetMetaText(document.raw, name.encode(), buffer, size))


def _language(document: pypdfium2.PdfDocument) -> str:
    units = ctypes.POINTER(ctypes.c_ushort)
    return _text(lambda buffer, size: pdfium.FPDFCatalog_GetLanguage(document.raw, ctypes.cast(buffer, units), size))


def _text(call: Callable[[Any, int], int]) -> str:
    """A string by one of PDFium's functions that fill a buffer with UTF-16; empty if it is very long."""
    size = call(None, 0)
    if not 2 < size <= 1 << 16:
        return ""
    buffer = ctypes.create_string_buffer(size)
    call(buffer, size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace").strip()


def _page(document: pypdfium2.PdfDocument, number: int, *, with_text: bool) -> PdfPage:
    page = document[number]
    try:
        text = page.get_textpage()
        try:
            lines = _lines(text) if with_text else []
            return _with_links(lines, _links(document, page, text))
        finally:
            text.close()
    finally:
        page.close()


# -- lines -------------------------------------------------------------------------------------------------------------


def _lines(text: pypdfium2.PdfTextPage) -> list[Line]:
    whole = text.get_text_range()
    lines, begin = [], 0
    sample = _Sampler(text)
    for end in [*_BREAK.finditer(whole), None]:
        piece = whole[begin : end.start() if end else len(whole)]
        if piece.strip():
            lines.append(sample.line(piece, begin))
        begin = end.end() if end else 0
    return lines


class _Sampler:
    """Asks PDFium for the font and place of single characters. Three a line are enough, and all would take longer."""

    def __init__(self, text: pypdfium2.PdfTextPage) -> None:
        self._raw = text.raw
        self._name = ctypes.create_string_buffer(_MAX_NAME)
        self._flags = ctypes.c_int()
        self._numbers = [ctypes.c_double() for _ in range(4)]
        self._matrix = pdfium.FS_MATRIX()

    def line(self, piece: str, begin: int) -> Line:
        """The line *piece*, whose first character has the index *begin*."""
        first = begin + len(piece) - len(piece.lstrip())
        last = begin + len(piece.rstrip()) - 1
        middle = next((at for at in range((first + last) // 2, last) if not piece[at - begin].isspace()), last)
        fonts = [self._font(at) for at in (first, middle, last)]
        x, y = self._numbers[:2]
        pdfium.FPDFText_GetCharOrigin(self._raw, first, x, y)
        place = x.value, y.value
        pdfium.FPDFText_GetCharOrigin(self._raw, last, x, y)
        last_y = y.value
        sizes = sorted(self._size(at) for at in (first, middle, last))
        return Line(
            piece.strip(),
            *place,
            right=self._right(last),
            size=sizes[1],
            is_mono=all(mono for mono, _ in fonts),
            is_bold=all(bold for _, bold in fonts),
            last_y=last_y,
        )

    def _font(self, at: int) -> tuple[bool, bool]:
        """Whether the font at *at* is monospaced, and whether it is bold."""
        pdfium.FPDFText_GetFontInfo(self._raw, at, self._name, _MAX_NAME, self._flags)
        mono, bold = _kind(self._name.value)
        return mono or bool(self._flags.value & _FIXED_PITCH), bold

    def _size(self, at: int) -> float:
        """In points: the font's size times the scale of its text."""
        size = float(pdfium.FPDFText_GetFontSize(self._raw, at))
        if pdfium.FPDFText_GetMatrix(self._raw, at, self._matrix):
            size *= (self._matrix.c**2 + self._matrix.d**2) ** 0.5
        return size

    def _right(self, at: int) -> float:
        left, right, bottom, top = self._numbers
        pdfium.FPDFText_GetCharBox(self._raw, at, left, right, bottom, top)
        return float(right.value)


@lru_cache(maxsize=256)
def _kind(name: bytes) -> tuple[bool, bool]:
    shown = name.decode("latin-1")
    return _MONO.search(shown) is not None, _BOLD.search(shown) is not None


# -- links -------------------------------------------------------------------------------------------------------------


class _Link(NamedTuple):
    url: str
    bottom: float
    top: float
    text: str
    """What its rectangle covers."""


def _links(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, text: pypdfium2.PdfTextPage) -> list[_Link]:
    """The links of a page that lead to a URI (ISO 32000-2, 12.6.4.8)."""
    found: list[_Link] = []
    at, link, place = ctypes.c_int(), pdfium.FPDF_LINK(), pdfium.FS_RECTF()
    while len(found) < _MAX_PAGE_LINKS and pdfium.FPDFLink_Enumerate(page.raw, at, link):
        url = _target(document, link)
        if url and pdfium.FPDFLink_GetAnnotRect(link, place):
            covered = text.get_text_bounded(place.left, place.bottom, place.right, place.top)
            found.append(_Link(url, place.bottom, place.top, _BREAK.sub(" ", covered).strip("\x02\ufffe ")))
        elif url:
            found.append(_Link(url, 0.0, 0.0, ""))
    return found


def _target(document: pypdfium2.PdfDocument, link: object) -> str:
    action = pdfium.FPDFLink_GetAction(link)
    if not action or pdfium.FPDFAction_GetType(action) != pdfium.PDFACTION_URI:
        return ""
    size = pdfium.FPDFAction_GetURIPath(document.raw, action, None, 0)
    if not 1 < size <= _MAX_URL:
        return ""
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDFAction_GetURIPath(document.raw, action, buffer, size)
    return buffer.value.decode("utf-8", "replace").strip()


def _with_links(lines: list[Line], links: list[_Link]) -> PdfPage:
    """Give each line the links whose text it has. Of a line's links the first one that covers a place holds."""
    lines, rest = list(lines), []
    by_height: dict[int, list[int]] = {}
    for number, line in enumerate(lines):
        by_height.setdefault(round(line.y), []).append(number)
    for link in links:
        low, high = int(link.bottom) - 2, min(int(link.top) + 2, int(link.bottom) + 200)
        near = (number for height in range(low, high) for number in by_height.get(height, ()))
        if not (link.text and any(_place(lines, number, link) for number in near)):
            rest.append(link.url)
    return PdfPage(lines, list(dict.fromkeys(rest)))


def _place(lines: list[Line], number: int, link: _Link) -> bool:
    line, begin = lines[number], 0
    while (begin := line.text.find(link.text, begin)) >= 0:
        end = begin + len(link.text)
        if all(end <= other[0] or begin >= other[1] for other in line.links):
            lines[number] = line._replace(links=tuple(sorted((*line.links, (begin, end, link.url)))))
            return True
        begin += 1
    return False
