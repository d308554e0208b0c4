"""Decoders of the Encoding Standard (https://encoding.spec.whatwg.org/), where Python's codecs know less.

Pure. Python decodes. A sequence that its codec does not know goes to an error handler, which looks it up in the
Standard's index. If the index has no character for it either, the handler skips as many bytes as the Standard requires.
So a wrong or unknown sequence never shifts those after it. A few characters that Python maps differently are replaced
afterwards.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

BAD: Final = "\ufffd"

Found = tuple[str, int]
"""The character of a sequence, and how many bytes it takes."""


def _control(data: bytes, at: int) -> Found:
    """The indexes of Windows code pages have C1 controls where they have no characters."""
    return (chr(data[at]) if data[at] < 0xA0 else BAD), 1


def _windows_1255(data: bytes, at: int) -> Found:
    return ("\u05ba", 1) if data[at] == 0xCA else _control(data, at)


def _stepped_over(data: bytes, at: int) -> Found:
    """A lead byte whose sequence has no meaning; an ASCII byte after it stands for itself."""
    return BAD, 2 if at + 1 < len(data) and data[at + 1] > 0x7F else 1


def _shift_jis(data: bytes, at: int) -> Found:
    return _stepped_over(data, at) if data[at] not in (0x80, 0xA0, 0xFD, 0xFE, 0xFF) else (BAD, 1)


def _euc_kr(data: bytes, at: int) -> Found:
    return _stepped_over(data, at) if 0x81 <= data[at] <= 0xFE else (BAD, 1)


def _big5(data: bytes, at: int) -> Found:
    char = _BIG5.get(data[at : at + 2])
    return (char, 2) if char else _euc_kr(data, at)


def _gb18030(data: bytes, at: int) -> Found:
    """Section 10.2.1: 0x80 is the euro sign; a sequence of four bytes has digits in its second and fourth place."""
    if data[at] == 0x80:
        return "\u20ac", 1
    if data[at] == 0xFF:
        return BAD, 1
    four = data[at : at + 4]
    if len(four) > 1 and 0x30 <= four[1] <= 0x39:
        if len(four) == 4 and 0x81 <= four[2] <= 0xFE and 0x30 <= four[3] <= 0x39:
            return BAD, 4
        cut = len(four) == 2 or (len(four) == 3 and 0x81 <= four[2] <= 0xFE)
        return BAD, len(four) if cut else 1
    return _stepped_over(data, at)


def _euc_jp(data: bytes, at: int) -> Found:
    """Section 12.1.1: two bytes for JIS X 0208 with the extensions of Windows, three (0x8F first) for JIS X 0212."""
    lead = data[at]
    if lead == 0x8F and 0xA1 <= (data[at + 1] if at + 1 < len(data) else 0) <= 0xFE:
        return BAD, 3 if at + 2 < len(data) and data[at + 2] > 0x7F else 2
    pair = data[at : at + 2]
    if len(pair) == 2 and all(0xA1 <= byte <= 0xFE for byte in pair):
        return _jis0208(pair[0] - 0x80, pair[1] - 0x80) or BAD, 2
    return _stepped_over(data, at) if lead in (0x8E, 0x8F) or 0xA1 <= lead <= 0xFE else (BAD, 1)


def _iso_2022_jp(data: bytes, at: int) -> Found:
    pair = data[at : at + 2]
    if len(pair) == 2 and all(0x21 <= byte <= 0x7E for byte in pair):
        return _jis0208(*pair) or BAD, 2
    return BAD, 1


def _jis0208(row: int, cell: int) -> str:
    """The character of a row and cell (from 0x21) in the index jis0208, which is what Windows-31J decodes."""
    lead = ((row - 0x21) >> 1) + (0x81 if row < 0x5F else 0xC1)
    trail = cell + (0x7E if row % 2 == 0 else 0x1F if cell < 0x60 else 0x20)
    try:
        return bytes((lead, trail)).decode("cp932")
    except UnicodeDecodeError:
        return ""


@dataclass(frozen=True, slots=True)
class Decoder:
    """How an encoding is decoded: Python's codec, its error handler, and the characters that it maps differently."""

    codec: str
    errors: str = "replace"
    other: dict[int, str] = field(default_factory=dict)

    def decode(self, data: bytes) -> str:
        """*data* as text; sequences without a meaning become U+FFFD. Never raises."""
        text = data.decode(self.codec, self.errors)
        if self.other and re.search(f"[{''.join(map(chr, self.other))}]", text):
            return text.translate(self.other)
        return text


def _handler(name: str, look_up: Callable[[bytes, int], Found]) -> str:
    def handle(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        text, length = look_up(error.object, error.start)
        return text, error.start + length

    codecs.register_error(f"crawler.{name}", handle)
    return f"crawler.{name}"


def _map(*pairs: tuple[int, str]) -> dict[int, str]:
    """Characters from a code point on -> those of the string."""
    return {first + i: char for first, chars in pairs for i, char in enumerate(chars)}


_JIS_OTHER = _map(*zip((0x301C, 0x2016, 0x2212, 0xA2, 0xA3, 0xAC), "\uff5e\u2225\uff0d\uffe0\uffe1\uffe2", strict=True))
_GB_OTHER = _map(  # GB 18030-2022, and characters that have a code point by now
    (0xE5E5, "\u3000"),
    (0xE78D, "\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19"),
    (0xE7C7, "\u1e3f"),
    *zip(
        (0xE81E, 0xE826, 0xE82B, 0xE82C, 0xE832, 0xE843, 0xE854, 0xE864), map(chr, range(0x9FB4, 0x9FBC)), strict=True
    ),
)
_BIG5_OTHER = _map(
    *zip(
        (0x2022, 0xFF64, 0x203E, 0x223C, 0x2641, 0x2609, 0xA5, 0xA2, 0xA3),
        "\u2027\ufe51\u00af\uff5e\u2295\u2299\uffe5\uffe0\uffe1",
        strict=True,
    )
)
_GB18030 = Decoder("gb18030", _handler("gb18030", _gb18030), _GB_OTHER)
_C1 = _handler("c1", _control)

DECODERS: Final = {
    "gbk": _GB18030,  # section 10.1.1: GBK's decoder is that of gb18030
    "gb18030": _GB18030,
    "big5": Decoder("big5hkscs", _handler("big5", _big5), _BIG5_OTHER),
    "euc-jp": Decoder("euc_jp", _handler("euc_jp", _euc_jp), _JIS_OTHER),
    "iso-2022-jp": Decoder(
        "iso2022_jp_ext", _handler("iso_2022_jp", _iso_2022_jp), _JIS_OTHER | dict.fromkeys((0x0E, 0x0F), BAD)
    ),
    "shift_jis": Decoder("cp932", _handler("shift_jis", _shift_jis), dict.fromkeys(range(0xF8F0, 0xF8F4), BAD)),
    "euc-kr": Decoder("cp949", _handler("euc_kr", _euc_kr)),
    "koi8-u": Decoder("koi8-u", other={0x255D: "\u045e", 0x256C: "\u040e"}),
    "x-user-defined": Decoder("latin-1", other=_map((0x80, "".join(map(chr, range(0xF780, 0xF800)))))),
    **{f"windows-{page}": Decoder(f"cp{page}", _C1) for page in (874, *range(1250, 1259)) if page != 1255},
    "windows-1255": Decoder("cp1255", _handler("windows_1255", _windows_1255)),
}
"""Encodings that Python lacks or decodes differently, by the Standard's names."""


def decode(data: bytes, name: str, codec: str) -> str:
    """*data* in the encoding *name*, which is Python's *codec* if it is not among DECODERS. Never raises."""
    if name == "replacement":  # section 14.1.1: encodings that are not safe to read (HZ, ISO-2022-KR, ...)
        return BAD if data else ""
    if name == "euc-jp":  # the tilde of JIS X 0212, which Python reads as the ASCII one
        data = data.replace(b"\x8f\xa2\xb7", b"\xa1\xc1")
    decoder = DECODERS.get(name)
    return decoder.decode(data) if decoder else data.decode(codec, "replace")


def encode(char: str, name: str, codec: str) -> bytes:
    """One character in the encoding *name*; UnicodeEncodeError if it lacks it."""
    if name == "gbk" and char == "\u20ac":
        return b"\x80"
    if name == "euc-jp":
        return _encode_euc_jp(char)
    return char.encode(codec)


def _encode_euc_jp(char: str) -> bytes:
    """Section 12.1.2: JIS X 0208 with the extensions of Windows, nothing of JIS X 0212."""
    pair = char.encode("cp932")
    if len(pair) == 1:
        return pair if pair < b"\x80" else b"\x8e" + pair
    lead, trail = pair
    row = 2 * (lead - (0x81 if lead < 0xA0 else 0xC1)) + (trail >= 0x9F) + 0xA1
    if row > 0xFE:
        raise UnicodeEncodeError("euc-jp", char, 0, 1, "not in JIS X 0208")
    cell = trail + 2 if trail >= 0x9F else trail + (0x60 if trail > 0x7F else 0x61)
    return bytes((row, cell))


_BIG5_MISSING: Final = """
92448503 94476d67 9644975d 877a3875 877b21d53 877c2369e 877d26021 877e3eec 87a1258de 87a23af5 87a37afc
87a49f97 87a524161 87a62890d 87a7231ea 87a820a8a 87a92325e 87aa430a 87ab8484 87ac9f96 87ad942f 87ae4930
87af8613 87b05896 87b1974a 87b29218 87b379d0 87b47a32 87b56660 87b66a29 87b7889d 87b8744c 87b97bc5 87ba6782
87bb7a2c 87bc524f 87bd9046 87be34e6 87bf73c4 87c025db9 87c174c6 87c29fc7 87c357b3 87c4492f 87c5544c 87c64131
87c72368e 87c85818 87c97a72 87ca27b65 87cb8b8f 87cc46ae 87cd26e88 87ce4181 87cf25d99 87d07bae 87d1224bc
87d29fc8 87d3224c1 87d4224c9 87d5224cc 87d69fc9 87d78504 87d8235bb 87d940b4 87da9fca 87db44e1 87dc2adff
87dd62c1 87de706e 87df9fcb 8e697bb8 8e6f7c06 8e7e7cce 8eab7dd2 8eb47e1d 8ecd8005 8ed08028 8f5783c1 8f6984a8
8f6e840f 8fcb89a6 8fcc89a9 8ffe8d77 906d90fd 907a92b9 90dc975c 90f197ff 91bf9f16 92af5159 92b0515b 92b1515d
92b2515e 92c8936e 92d17479 94ca799b 95d99097 96ed701e 96fc5b28 9b767201 9b7877d7 9b7b7e87 9bc699d6 9bde91d4
9bec60de 9bf66fb6 9c428f36 9c534fbb 9c6271df 9c689104 9c6b9df0 9c7783cf 9cbc5c10 9cbd79e3 9cd05a67 9d578f0b
9d5a7b51 9dc462d0 9ea96062 9eef75f9 9efd6c4a 9f609b2e 9f669f17 9fcb50ed 9fd85f0c a063880f a07762ce a0d57468
a0df7162 a0e47250 a3c02400 a3c12401 a3c22402 a3c32403 a3c42404 a3c52405 a3c62406 a3c72407 a3c82408 a3c92409
a3ca240a a3cb240b a3cc240c a3cd240d a3ce240e a3cf240f a3d02410 a3d12411 a3d22412 a3d32413 a3d42414 a3d52415
a3d62416 a3d72417 a3d82418 a3d92419 a3da241a a3db241b a3dc241c a3dd241d a3de241e a3df241f a3e02421 a3e120ac
c6cf5ef4 c6d365e0 c6d57676 c6d796b6 c6de3003 c6df4edd fa5f5029 fa66507d fabd5305 fac55344 fad5537f fb485605
fbb85a77 fbf35e75 fbf95ed0 fc4f5f58 fc6c60a4 fcb96490 fce26674 fcf1675e fdb76c9c fdb86e1d fdbb6e2f fdf1716e
fe52732a fe6f745c feaa74e9 fedd7809
"""
"""Two bytes and a code point each, in hexadecimal: what Python lacks of the Hong Kong supplement and of ETEN."""

_BIG5: Final = {bytes.fromhex(pair[:4]): chr(int(pair[4:], 16)) for pair in _BIG5_MISSING.split()}
