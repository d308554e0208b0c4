"""The decoders of the Encoding Standard, against those of another implementation of it (@exodus/bytes 1.16.0)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.parse import charset, decoders

DATA = Path(__file__).parents[1] / "data" / "charset"

DIGESTS = {
    "gbk": "84772b10157a429c",
    "gb18030": "84772b10157a429c",
    "big5": "c026fb122ef7df94",
    "euc-jp": "74754b4f165dede8",
    "shift_jis": "8d2113fd25efd14f",
    "euc-kr": "470455c824e34034",
    "ibm866": "8a1ad271c8da7d03",
    "iso-8859-2": "22269412760e8f7d",
    "iso-8859-3": "eb3b90f1637c2a54",
    "iso-8859-4": "01d58e4e0413ad12",
    "iso-8859-5": "cfb8d9bdc6598584",
    "iso-8859-6": "1b0e87b5d3f1b0b7",
    "iso-8859-7": "4e39ebb3ce6ff60d",
    "iso-8859-8": "f73792c87704995a",
    "iso-8859-8-i": "f73792c87704995a",
    "iso-8859-10": "23d572ccc7ebe8e2",
    "iso-8859-13": "f0f34c2c32ba683a",
    "iso-8859-14": "955f4a7b10f1165c",
    "iso-8859-15": "973794e8ac072ebd",
    "iso-8859-16": "ef1718f7c26d2673",
    "koi8-r": "c7565a0a6e4bcc85",
    "koi8-u": "e00019c193b98c81",
    "macintosh": "85769162a627e34a",
    "windows-874": "7e41437a812501cd",
    "windows-1250": "19a379759467c59d",
    "windows-1251": "9fca45a8f09f1433",
    "windows-1252": "4a4c33730cdbf820",
    "windows-1253": "9919a5577f538461",
    "windows-1254": "3479a716f4cf2718",
    "windows-1255": "ec2597ccbc967d80",
    "windows-1256": "1266b9de27a411da",
    "windows-1257": "f2a044127f09a2fb",
    "windows-1258": "19cee5226a64fda2",
    "x-mac-cyrillic": "2a548e869fb47ba9",
    "x-user-defined": "aab287c70297abde",
}
"""Of what the other implementation makes of the sequences below, one after the other."""

MULTI_BYTE = ("gbk", "gb18030", "big5", "euc-jp", "shift_jis", "euc-kr")
ALIKE = (b"\xa2\x41", b"\xa2\x42")
"""Of Big5: Python takes these two for the full width slash and backslash that other sequences stand for."""


def sequences(name: str) -> Iterator[bytes]:
    """Each byte; for encodings of several bytes each pair and, in EUC-JP, each sequence of three."""
    yield from (bytes((byte,)) for byte in range(256))
    if name in MULTI_BYTE:
        yield from (bytes((a, b)) for a in range(0x80, 256) for b in range(256))
    if name == "euc-jp":
        yield from (bytes((0x8F, a, b)) for a in range(0xA0, 256) for b in range(0xA0, 256))


@pytest.mark.parametrize("name", DIGESTS)
def test_each_sequence_is_decoded_as_the_standard_says(name: str) -> None:
    digest = hashlib.sha256()
    for sequence in sequences(name):
        if name != "big5" or sequence not in ALIKE:
            digest.update(decoders.decode(sequence, name, charset.codec(name)).encode() + b"\0")
    assert digest.hexdigest()[:16] == DIGESTS[name]


def damaged() -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / "damaged.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", damaged(), ids=lambda case: f"{case['encoding']} {case['body']}")
def test_what_is_damaged_never_shifts_what_stands_behind_it(case: dict[str, str]) -> None:
    assert charset.decode(bytes.fromhex(case["body"]), case["encoding"]) == case["text"]


@pytest.mark.parametrize(
    ("body", "name", "text"),
    [
        (b"\xad\xa1\xad\xea\xb0\xa1", "euc-jp", "①㈱亜"),
        (b"\xa1\xc1\xa1\xdd", "euc-jp", "\uff5e\uff0d"),
        (b"\x80 12", "gbk", "€ 12"),
        (b"\x81\x30\x81\x30", "gbk", "\x80"),
        (b"\xa6\xd9\xa8\xbc", "gb18030", "\ufe10ḿ"),
        (b"\x1b$B-!0!\x1b(B ok \x1b(I12", "iso-2022-jp", "①亜 ok ｱｲ"),
        (b"a\x81b", "windows-1252", "a\x81b"),
        (b"\xe9\x80", "x-user-defined", "\uf7e9\uf780"),
        (b"~{VPND~}", "replacement", "\ufffd"),
        (b"", "replacement", ""),
    ],
)
def test_what_python_lacks(body: bytes, name: str, text: str) -> None:
    assert charset.decode(body, name) == text
    assert charset.as_utf8(body, name) == text.encode()


def test_labels_of_encodings_that_are_not_safe_mean_the_replacement() -> None:
    assert {charset.lookup(label) for label in ("hz-gb-2312", "iso-2022-kr", "iso-2022-cn")} == {"replacement"}


@pytest.mark.parametrize(
    ("reference", "name", "expected"),
    [
        ("?\u2212", "shift_jis", "?%81|"),
        ("?\u8868", "shift_jis", "?%95\\"),
        ("?\u65e5\u672c", "iso-2022-jp", "?%1B$BF|%1B(B%1B$BK\\%1B(B"),
        ("?€", "gbk", "?%80"),
        ("?€", "gb18030", "?%A2%E3"),
        ("?\uff5e①", "euc-jp", "?%A1%C1%AD%A1"),
        ("?ｱ", "euc-jp", "?%8E%B1"),
        ("?\u4e02", "euc-jp", "?%26%2319970%3B"),  # in JIS X 0212 alone
    ],
)
def test_a_query_escapes_only_the_bytes_that_may_not_stand_in_one(reference: str, name: str, expected: str) -> None:
    assert charset.encode_query(reference, name) == expected
