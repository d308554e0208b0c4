"""PDF and DOCX files for tests, written by hand: every line of text is where the test puts it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from hashlib import md5
from io import BytesIO
from typing import Final, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

PDF_TYPE: Final = "application/pdf"
DOCX_TYPE: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
FONTS: Final = {"F": "Helvetica", "B": "Helvetica-Bold", "C": "Courier"}


class Text(NamedTuple):
    """A line of text on a page, in points from its lower left corner; *link* covers all of it."""

    y: float
    text: str
    size: float = 10.0
    x: float = 72.0
    font: str = "F"
    link: str = ""


def pdf(pages: Sequence[Sequence[Text]], *, info: Mapping[str, str] | None = None, lang: str = "") -> bytes:
    """A PDF of these pages; *info* has its metadata (`Title`, ...)."""
    writer = _Pdf()
    fonts = " ".join(f"/{name} {writer.add(_font(base))} 0 R" for name, base in FONTS.items())
    tree = len(writer.objects) + 1 + 2 * len(pages) + sum(bool(line.link) for page in pages for line in page)
    kids = [_page(writer, page, fonts, tree) for page in pages]
    listed = " ".join(f"{kid} 0 R" for kid in kids)
    assert writer.add(f"<</Type/Pages/Count {len(kids)}/Kids[{listed}]>>") == tree
    root = writer.add(f"<</Type/Catalog/Pages {tree} 0 R{f'/Lang ({lang})' if lang else ''}>>")
    about = writer.add("<<" + "".join(f"/{name} ({value})" for name, value in (info or {}).items()) + ">>")
    return writer.whole(f"/Root {root} 0 R/Info {about} 0 R")


def raw_pdf(content: bytes, page: str = "", more: Sequence[tuple[int, bytes]] = (), kids: str = "3 0 R") -> bytes:
    """A PDF of one page with this *content* and further keys of the *page*, without a directory."""
    objects = [
        (1, b"<</Type/Catalog/Pages 2 0 R>>"),
        (2, f"<</Type/Pages/Count {len(kids) // 6}/Kids[{kids}]>>".encode()),
        (3, f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R{page}>>".encode()),
        (4, content),
        (5, _font("Helvetica").encode()),
        *more,
    ]
    body = b"".join(b"%d 0 obj\n%b\nendobj\n" % pair for pair in objects)
    return b"%PDF-1.7\n" + body + b"trailer\n<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n"


def stream(content: str, keys: str = "") -> bytes:
    """A stream, compressed."""
    packed = zlib.compress(content.encode(), 9)
    head = f"<</Length {len(packed)}/Filter/FlateDecode{keys}>>".encode()
    return head + b"\nstream\n" + packed + b"\nendstream"


def lines(*texts: str, y: float = 700.0, gap: float = 12.0, **more: float | str) -> list[Text]:
    """Lines of a paragraph, one below the other."""
    return [Text(y - number * gap, text, **more) for number, text in enumerate(texts)]  # type: ignore[arg-type]


def _font(base: str) -> str:
    return f"<</Type/Font/Subtype/Type1/BaseFont/{base}/Encoding/WinAnsiEncoding>>"


def _page(writer: _Pdf, page: Sequence[Text], fonts: str, tree: int) -> int:
    shown = "\n".join(
        f"BT /{line.font} {line.size} Tf {line.x} {line.y} Td ({_literal(line.text)}) Tj ET" for line in page
    )
    content = writer.add(f"<</Length {len(shown.encode('cp1252'))}>>\nstream\n{shown}\nendstream")
    links = [writer.add(_link(line)) for line in page if line.link]
    annots = " ".join(f"{link} 0 R" for link in links)
    return writer.add(
        f"<</Type/Page/Parent {tree} 0 R/MediaBox[0 0 612 792]/Contents {content} 0 R"
        f"/Resources<</Font<<{fonts}>>>>/Annots[{annots}]>>"
    )


def _link(line: Text) -> str:
    width = len(line.text) * line.size
    box = f"{line.x - 1} {line.y - 3} {line.x + width} {line.y + line.size}"
    return f"<</Type/Annot/Subtype/Link/Rect[{box}]/A<</S/URI/URI({_literal(line.link)})>>>>"


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


class _Pdf:
    def __init__(self) -> None:
        self.objects: list[bytes] = []

    def add(self, content: str) -> int:
        """Add an object; its number."""
        self.objects.append(content.encode("cp1252"))
        return len(self.objects)

    def whole(self, trailer: str) -> bytes:
        body, places = bytearray(b"%PDF-1.7\n"), []
        for number, content in enumerate(self.objects, 1):
            places.append(len(body))
            body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
        begin, count = len(body), len(places) + 1
        table = "".join(f"{place:010} 00000 n \n" for place in places)
        body += f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<<{trailer}/Size {count}>>\n".encode()
        return bytes(body) + b"startxref\n%d\n%%%%EOF\n" % begin


def pdf_without_end(pages: Sequence[str]) -> bytes:
    """A PDF as newer programs write it, its pages packed in an object stream, that was cut before its directory."""
    parts, packed = [b"%PDF-1.7\n1 0 obj\n" + _font("Helvetica").encode() + b"\nendobj\n"], []
    for at, text in enumerate(pages):
        content, page = 10 + at, 100 + at
        shown = zlib.compress(f"BT /F 10 Tf 72 700 Td ({text}) Tj ET".encode())
        parts.append(
            b"%d 0 obj\n<</Length %d/Filter/FlateDecode>>\nstream\n%b\nendstream\nendobj\n"
            % (content, len(shown), shown)
        )
        packed.append(
            (page, f"<</Type/Page/MediaBox[0 0 612 792]/Contents {content} 0 R/Resources<</Font<</F 1 0 R>>>>>>")
        )
    offsets, place = [], 0
    for number, page_object in packed:
        offsets.append(f"{number} {place}")
        place += len(page_object) + 1
    head = (" ".join(offsets) + " ").encode()
    stream = zlib.compress(head + " ".join(page_object for _, page_object in packed).encode())
    about = b"<</Type/ObjStm/N %d/First %d/Filter/FlateDecode/Length %d>>" % (len(packed), len(head), len(stream))
    return b"".join((*parts, b"50 0 obj\n", about, b"\nstream\n", stream, b"\nendstream\nendobj\n51 0 obj\n<</Ty"))


_PAD: Final = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def encrypted(text: str, *, user: bytes = b"") -> bytes:
    """A PDF of one line, encrypted by RC4 with 40 bits and the password *user* (ISO 32000-1, 7.6.3)."""
    padded = (user + _PAD)[:32]
    owner = _rc4(md5(_PAD).digest()[:5], padded)
    key = md5(padded + owner + struct.pack("<i", -4) + b"id").digest()[:5]
    content = _rc4(md5(key + b"\x01\0\0" + b"\0\0").digest()[:10], f"BT /F 10 Tf 72 700 Td ({text}) Tj ET".encode())
    filled = f"<</Filter/Standard/V 1/R 2/P -4/O<{owner.hex()}>/U<{_rc4(key, _PAD).hex()}>>>"
    writer = _Pdf()
    writer.objects.append(b"<</Length %d>>\nstream\n%b\nendstream" % (len(content), content))
    writer.add(_font("Helvetica"))
    writer.add("<</Type/Pages/Count 1/Kids[4 0 R]>>")
    writer.add("<</Type/Page/Parent 3 0 R/MediaBox[0 0 612 792]/Contents 1 0 R/Resources<</Font<</F 2 0 R>>>>>>")
    writer.add("<</Type/Catalog/Pages 3 0 R>>")
    return writer.whole(f"/Root 5 0 R/Encrypt {filled}/ID[<{b'id'.hex()}><{b'id'.hex()}>]")


def _rc4(key: bytes, data: bytes) -> bytes:
    box, swap = list(range(256)), 0
    for at in range(256):
        swap = (swap + box[at] + key[at % len(key)]) % 256
        box[at], box[swap] = box[swap], box[at]
    out, one, two = bytearray(), 0, 0
    for byte in data:
        one = (one + 1) % 256
        two = (two + box[one]) % 256
        box[one], box[two] = box[two], box[one]
        out.append(byte ^ box[(box[one] + box[two]) % 256])
    return bytes(out)


# -- DOCX --------------------------------------------------------------------------------------------------------------

_W: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_R: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES: Final = """<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/></Types>"""
_RELS: Final = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
)


def docx(body: str, *, title: str = "", links: Sequence[str] = (), parts: Mapping[str, str] | None = None) -> bytes:
    """A DOCX with this content of `<w:body>`; link number n has the id `rIdn`. *parts* are further files."""
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{_R}/hyperlink" Target="{link}" TargetMode="External"/>'
        for n, link in enumerate(links)
    )
    core = f'<c:p xmlns:c="c" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></c:p>'
    document = f'<?xml version="1.0"?><w:document xmlns:w="{_W}" xmlns:r="{_R}"><w:body>{body}</w:body></w:document>'
    main = "word/document.xml"
    files = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": f'{_RELS}<Relationship Id="r" Type="{_R}/officeDocument" Target="{main}"/></Relationships>',
        "docProps/core.xml": core,
        main: document,
        "word/_rels/document.xml.rels": f"{_RELS}{related}</Relationships>",
        "word/styles.xml": _styles(),
    }
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as file:
        for name, content in (files | dict(parts or {})).items():
            file.writestr(name, content)
    return out.getvalue()


def paragraph(text: str, style: str = "") -> str:
    """A `<w:p>`."""
    look = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{look}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def hyperlink(text: str, number: int) -> str:
    """A `<w:p>` that is the link of this *number*."""
    return f'<w:p><w:hyperlink r:id="rId{number}"><w:r><w:t>{text}</w:t></w:r></w:hyperlink></w:p>'


def _styles() -> str:
    named = {"Heading1": "heading 1", "Heading2": "heading 2", "Title": "Title", "SourceCode": "Source Code"}
    found = "".join(
        f'<w:style w:type="paragraph" w:styleId="{key}"><w:name w:val="{name}"/></w:style>'
        for key, name in named.items()
    )
    return f'<?xml version="1.0"?><w:styles xmlns:w="{_W}">{found}</w:styles>'
