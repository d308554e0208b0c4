"""DOCX to HTML. The only module that uses mammoth.

A file that mammoth cannot read (damaged, huge, nested without end) still gives the paragraphs of its text: those that
stand before the damage. Sources: ECMA-376 (Office Open XML), APPNOTE.TXT 6.3 (ZIP).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape, unescape
from io import BytesIO
from typing import Any, Final
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

import mammoth

_BODY: Final = "word/document.xml"
_MAX_UNPACKED: Final = 32 << 20
"""Bytes of XML that are given to mammoth, which needs thirty times as much memory; of more only the text is read."""
_PIECE: Final = 1 << 16
_LOCAL: Final = struct.Struct("<4xHHHHHIIIHH")  # APPNOTE 4.3.7, after its signature
_SIGNATURE: Final = b"PK\x03\x04"
_COMPOUND: Final = b"\xd0\xcf\x11\xe0"  # [MS-CFB]: an older format, or an encrypted one ([MS-OFFCRYPTO])
_STYLES: Final = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='Preformatted Text'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Code'] => pre:separator('\\n')
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
p[style-name='Quotations'] => blockquote > p:fresh
p[style-name='Block Text'] => blockquote > p:fresh
r[style-name='Verbatim Char'] => code
r[style-name='Source Text'] => code
"""
_WITH_SWITCHES = re.compile(r'href="([^"]*?)&quot;([^"]*)"')
_PLACE = re.compile(r"\\l\s+&quot;([^&]*)")
_META = re.compile(rb"<(?:\w+:)?(title|subject|description)\b[^<>]*>([^<]{1,20000})<")


@dataclass(slots=True)
class Docx:
    """What could be read of a DOCX."""

    html: str = ""
    """The content of its `<body>`."""
    title: str = ""
    subject: str = ""
    error: str | None = None
    """What could not be read, and why."""


def read_docx(body: bytes, max_text: int, enough: Callable[[], bool]) -> Docx:
    """Read the DOCX *body*. At most about *max_text* bytes of text are read of a file that mammoth cannot read."""
    if body.startswith(_COMPOUND):
        return Docx(error="it is encrypted, or in Word's older format")
    found = Docx()
    try:
        with ZipFile(BytesIO(body)) as file:
            _read_meta(found, file)
            if _unpacked(file) <= _MAX_UNPACKED:
                found.html = _converted(body)
                return found
        found.error = f"it unpacks to more than {_MAX_UNPACKED >> 20} MiB: only its text was read"
    except Exception as error:  # whatever mammoth and zipfile raise for a damaged file, deep nesting included
        found.error = _words(error)
    found.html = _text_alone(body, max_text, enough)
    return found


def _words(error: Exception) -> str:
    if isinstance(error, BadZipFile | zlib.error | EOFError | expat.ExpatError):
        return "it is damaged: only the text before the damage was read"
    return "it cannot be converted: only its text was read"


def _unpacked(file: ZipFile) -> int:
    """Bytes of all XML in *file*. Not more than these are read: `zipfile` holds each part to what is declared."""
    return sum(part.file_size for part in file.infolist() if part.filename.endswith((".xml", ".rels")))


def _converted(body: bytes) -> str:
    result = mammoth.convert_to_html(
        BytesIO(body),
        style_map=_STYLES,
        include_embedded_style_map=False,
        external_file_access=False,
        convert_image=mammoth.images.img_element(_no_source),
    )
    return _WITH_SWITCHES.sub(_link, str(result.value))


def _link(found: re.Match[str]) -> str:
    """A link whose field has switches behind its target; `\\l` names the place there (ECMA-376 part 1, 17.16.5.25)."""
    place = _PLACE.search(found[2])
    return f'href="{found[1]}#{place[1]}"' if place and "#" not in found[1] else f'href="{found[1]}"'


def _no_source(image: Any) -> dict[str, str]:
    """A picture is its description: its bytes are not read."""
    return {} if image.alt_text else {"alt": ""}


def _read_meta(found: Docx, file: ZipFile) -> None:
    """The core properties (ECMA-376 part 2, 11), but not their language: LibreOffice writes that of its own menus."""
    try:
        with file.open("docProps/core.xml") as part:
            raw = part.read(_PIECE)
    except KeyError:
        return
    values = {name.decode(): value.decode("utf-8", "replace") for name, value in reversed(_META.findall(raw))}
    found.title = unescape(values.get("title", ""))
    found.subject = unescape(values.get("subject") or values.get("description", ""))


# -- what mammoth cannot read ------------------------------------------------------------------------------------------


def _text_alone(body: bytes, max_text: int, enough: Callable[[], bool]) -> str:
    """The paragraphs of the main part, up to the first damage."""
    paragraphs = _Paragraphs(max_text)
    for piece in _main_part(body):
        if not paragraphs.feed(piece) or enough():
            break
    return paragraphs.html()


def _main_part(body: bytes) -> Iterator[bytes]:
    """The XML of the main part in pieces, as far as it unpacks. The directory at the file's end is not needed."""
    at = -1
    while (at := body.find(_SIGNATURE, at + 1)) >= 0:
        if len(body) < at + 30:
            return
        _, _, method, *_, name, more = _LOCAL.unpack_from(body, at)
        begin = at + 30 + name
        if body[at + 30 : begin] == _BODY.encode():
            yield from _unpack(memoryview(body)[begin + more :], method)
            return


def _unpack(data: memoryview, method: int) -> Iterator[bytes]:
    if method != 8:  # stored; expat stops at what follows
        yield bytes(data)
        return
    inflater = zlib.decompressobj(-15)
    try:
        for at in range(0, len(data), _PIECE):
            rest: bytes = bytes(data[at : at + _PIECE])
            while rest and not inflater.eof:
                yield inflater.decompress(rest, _PIECE)
                rest = inflater.unconsumed_tail
            if inflater.eof:
                return
    except zlib.error:
        return


class _Paragraphs:
    """Collects the text of WordprocessingML as it arrives."""

    def __init__(self, most: int) -> None:
        self._room = most
        self._done: list[str] = []
        self._now: list[str] = []
        self._is_text = False
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, piece: bytes) -> bool:
        """Take the next piece; false if no more can be read, or is wanted."""
        try:
            self._parser.Parse(piece, False)
        except (expat.ExpatError, ValueError):
            return False
        return self._room > 0

    def html(self) -> str:
        """A paragraph for each that was found, the last one as far as it was read."""
        self._close()
        return "\n".join(f"<p>{escape(text, quote=False)}</p>" for text in self._done)

    def _start(self, name: str, _attributes: object) -> None:
        name = name.rpartition(" ")[2]
        self._is_text = name == "t"
        if name in ("tab", "br", "cr"):
            self._now.append(" ")

    def _end(self, name: str) -> None:
        self._is_text = False
        if name.rpartition(" ")[2] == "p":
            self._close()

    def _text(self, data: str) -> None:
        if self._is_text and self._room > 0:
            self._now.append(data)
            self._room -= len(data)

    def _close(self) -> None:
        if text := "".join(self._now).strip():
            self._done.append(text)
        self._now = []

    def _refuse(self, *_: object) -> None:
        raise ValueError("no document of Word has a DTD")
