"""Guesses the encoding of bytes: the only module that asks a library to guess.

chardetng is what Firefox uses. It has no wheels for Python 3.14 yet: there chardet is used, ten times slower.
"""

from __future__ import annotations

from importlib.util import find_spec

_LABELS = {"cp874": "windows-874", "cp932": "shift_jis", "cp949": "euc-kr"}
"""chardet's names that are no labels of the Encoding Standard."""
HAS_CHARDETNG = find_spec("chardetng_py") is not None


def detect(sample: bytes, country: str | None) -> str:
    """A label of the encoding that *sample* looks like; *country* is a top-level domain in ASCII, without its dot."""
    if not HAS_CHARDETNG:
        return _by_chardet(sample)
    from chardetng_py import EncodingDetector  # only workers that meet such a page pay for it

    detector = EncodingDetector()
    detector.feed(sample, last=True)
    return str(detector.guess(tld=country.encode("ascii") if country else None, allow_utf8=False))


def _by_chardet(sample: bytes) -> str:
    import chardet

    name = str(chardet.detect(sample)["encoding"] or "").lower()
    return _LABELS.get(name, name)
