"""A hash of 64 bits by which texts that are nearly the same are found: such hashes differ in few bits.

One-permutation hashing (Li, Owen, Zhang 2012) with optimal densification (Shrivastava 2017), one bit for each bin
(b-bit minwise hashing, Li and König 2010). What counts are pairs of neighbouring words. If two texts share a part J of
all their pairs, their hashes differ in 32 (1 - J) bits on average: in 1 if 1% of the words differ, in 6 if 5% do, in 32
if the texts have nothing in common. Where words are not written apart (Chinese, Japanese, Thai, ...), pairs of
neighbouring characters are the words. Of a long text a quarter of its words count, chosen by what they are.

The value of a text is the same on every machine. `METHOD` changes where it does not stay the same for good.
"""

from __future__ import annotations

import re
from itertools import islice
from operator import add
from random import Random
from typing import Final
from zlib import crc32

METHOD: Final = 1
"""Version of the values. They are stored: hashes of two methods have nothing to do with each other."""
MIN_WORDS: Final = 30
"""A text with fewer words has no hash: too little would make it another one."""
LONG: Final = 1024
"""Words from which on a quarter of them is enough."""

_BINS: Final = 64
_ENOUGH: Final = 8 * _BINS
"""Pairs with which no bin is empty, as good as always."""
_MAX_KNOWN: Final = 32_768
_MAX_WORD: Final = 40
"""Words whose values are remembered, and the most characters of one: about 4 MB for each of two tables."""
_32: Final = (1 << 32) - 1
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer, kana, Han."""
_NOT_THEIRS: Final = bytes({*range(256)} - {0xE0, 0xE1, *range(0xE3, 0xEA), 0xF0})
"""Bytes with which none of these begins in UTF-8: what is left without them decides faster than the pattern."""
_random: Final = Random(METHOD)  # `getrandbits` of a seed is the same in all versions of Python
_FIRST, _SECOND = _random.getrandbits(30) | 1, _random.getrandbits(30) | 1
_ODD: Final = [_random.getrandbits(32) | 1 for _ in range(_BINS)]
_PROBES: Final = [[_random.getrandbits(6) for _ in range(4 * _BINS)] for _ in range(_BINS)]
"""Bin -> the bins that stand in for it if it is empty, in their order."""


class _Values(dict[str, int]):
    """Word -> a number of 30 bits that stands for it. Bounded, as pages may have any words."""

    def __missing__(self, word: str) -> int:
        value = self._value(word)
        if len(word) <= _MAX_WORD:
            if len(self) >= _MAX_KNOWN:
                self.clear()
            self[word] = value
        return value

    def _value(self, word: str) -> int:
        return (crc32(word.encode("utf-8", "surrogatepass")) * 0x9E3779B1 & _32) >> 2 | 1


class _Quarter(_Values):
    """The same for a quarter of all words; 0 for the others."""

    def _value(self, word: str) -> int:
        value = _values[word]
        return 0 if value & 6 else value


_values, _quarter = _Values(), _Quarter()


def similarity(text: str) -> int | None:
    """The hash of *text*; None for one of fewer than MIN_WORDS words."""
    words = _words(text)
    if len(words) < MIN_WORDS:
        return None
    values = map(_values.__getitem__, words) if len(words) < LONG else map(_quarter.__getitem__, words)
    return _hash(_least(_pairs([*filter(None, values)])))


def distance(one: int, other: int) -> int:
    """In how many bits two hashes differ: 0 to 64."""
    return (one ^ other).bit_count()


def _words(text: str) -> list[str]:
    if text.isascii() or not text.encode("utf-8", "surrogatepass").translate(None, _NOT_THEIRS):
        return text.split()
    runs = _UNSPACED.findall(text)
    words = _UNSPACED.sub(" ", text).split()
    for run in runs:
        words += map(add, run, run[1:])
    return words


def _pairs(values: list[int]) -> list[int]:
    """A number of 32 bits for each pair of neighbours."""
    return [a * _FIRST + b * _SECOND >> 24 & _32 for a, b in zip(values, islice(values, 1, None), strict=False)]


def _least(pairs: list[int]) -> dict[int, int]:
    """Bin -> the least of its numbers. The last six bits of a number are its bin."""
    if len(pairs) > _ENOUGH:
        most = (_ENOUGH << 32) // len(pairs)
        least = {n & 63: n for n in sorted([n for n in pairs if n < most], reverse=True)}
        if len(least) == _BINS:
            return least
    return {n & 63: n for n in sorted(pairs, reverse=True)}


def _hash(least: dict[int, int]) -> int:
    found = 0
    for number, odd in enumerate(_ODD):
        value = least.get(number)
        if value is None:
            value = next((least[other] for other in _PROBES[number] if other in least), 0)
        found = found << 1 | ((value >> 6) * odd >> 31 & 1)
    return found
