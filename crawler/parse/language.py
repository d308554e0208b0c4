"""The language of a text, by its script and its most frequent words. Pure; needs no model.

A text that is short, mixed or in a language that is not known has none: no answer is better than a wrong one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from itertools import filterfalse
from typing import Final

from crawler.parse.language_words import ARABIC, CYRILLIC, DEVANAGARI, LATIN

_SAMPLE: Final = 6000
"""Characters from the middle of a text that are looked at: its beginning is often a menu."""
_FIRST: Final = 1500
"""So many are enough where the answer is clear."""
_MIN_LETTERS: Final = 40
_MIN_SIGNS: Final = 16
"""The same where signs are words or syllables."""
_MIN_HITS: Final = 4
"""Words that have to be known."""
_MIN_SHARE: Final = 0.1
"""Share of the words: a list of names or a program has fewer."""
_CLEAR: Final = 1.5
"""How many times, for the first look."""
_MARGIN: Final = 1.05
"""The best language needs this many times the score of the second, and more where few words are known."""
_OTHERS: Final = 1.5
"""Letters of other scripts than the Latin one count so many times: texts about computers are full of names and code."""
_SIGN: Final = 3.0
"""The same where signs are words or syllables."""

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_NOISE = re.compile(r"[/\\@_=<>{}$|]")
"""In a word: it is an address or a part of a program."""

_RANGES: Final = (
    (0x0041, 0x024F, "latin"),
    (0x0370, 0x03FF, "el"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0531, 0x058F, "hy"),
    (0x0591, 0x05F4, "he"),
    (0x0600, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0980, 0x09FF, "bn"),
    (0x0A00, 0x0A7F, "pa"),
    (0x0A80, 0x0AFF, "gu"),
    (0x0B80, 0x0BFF, "ta"),
    (0x0C00, 0x0C7F, "te"),
    (0x0C80, 0x0CFF, "kn"),
    (0x0D00, 0x0D7F, "ml"),
    (0x0D80, 0x0DFF, "si"),
    (0x0E00, 0x0E7F, "th"),
    (0x0E80, 0x0EFF, "lo"),
    (0x0F00, 0x0FFF, "bo"),
    (0x1000, 0x109F, "my"),
    (0x10A0, 0x10FF, "ka"),
    (0x1100, 0x11FF, "ko"),
    (0x1200, 0x139F, "am"),
    (0x1780, 0x17FF, "km"),
    (0x1E00, 0x1EFF, "latin"),
    (0x3040, 0x30FF, "ja"),
    (0x3400, 0x4DBF, "zh"),
    (0x4E00, 0x9FFF, "zh"),
    (0xAC00, 0xD7AF, "ko"),
)
"""Blocks of Unicode, and the script or the only large language that uses them."""
_SIGNS: Final = frozenset(("ja", "zh", "ko", "th", "lo", "km", "my", "bo"))

# Letters that only some languages of a script use: each is worth as much as a word.
_LETTERS: Final[dict[str, str]] = {
    **dict.fromkeys("ß", "de"),
    **dict.fromkeys("łżśźćńąę", "pl"),
    **dict.fromkeys("řůě", "cs"),
    **dict.fromkeys("ľĺŕô", "sk"),
    **dict.fromkeys("őű", "hu"),
    **dict.fromkeys("ğı", "tr"),
    **dict.fromkeys("țţș", "ro"),
    **dict.fromkeys("ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹđư", "vi"),
    **dict.fromkeys("įųėū", "lt"),
    **dict.fromkeys("ļņķģī", "lv"),
    **dict.fromkeys("ñ¿¡", "es"),
    **dict.fromkeys("ãõ", "pt"),
    **dict.fromkeys("þð", "is"),
    **dict.fromkeys("ĉĝĵŝŭ", "eo"),
    **dict.fromkeys("їєґ", "uk"),
    **dict.fromkeys("ў", "be"),
    **dict.fromkeys("ђћ", "sr"),
    **dict.fromkeys("ѓќѕ", "mk"),
    **dict.fromkeys("әғқңұһ", "kk"),
    **dict.fromkeys("ةيكىأإ", "ar"),
    **dict.fromkeys("یکگپچژ", "fa"),
    **dict.fromkeys("ٹڈےں", "ur"),
}
_LETTER_WORTH: Final = 0.3


def _weights(words: Mapping[str, str]) -> dict[str, tuple[tuple[str, float], ...]]:
    """Word -> languages that have it, and its worth for each: less the more languages share it."""
    owners: dict[str, list[str]] = {}
    for language, line in words.items():
        for word in dict.fromkeys(line.split()):
            owners.setdefault(word, []).append(language)
    return {word: tuple((one, len(known) ** -0.7) for one in known) for word, known in owners.items()}


_KNOWN: Final = {
    "latin": _weights(LATIN),
    "cyrillic": _weights(CYRILLIC),
    "arabic": _weights(ARABIC),
    "devanagari": _weights(DEVANAGARI),
}


def language_of(text: str) -> str | None:
    """The language of *text* as a tag of BCP 47 (`de`, `zh`); None if it cannot be told."""
    if len(text) > _FIRST and (found := _language_of(text, _FIRST, _CLEAR)):
        return found
    return _language_of(text, _SAMPLE, _MARGIN)


def _language_of(text: str, size: int, margin: float) -> str | None:
    begin = max((len(text) - size) // 3, 0)
    sample = " ".join(filterfalse(_NOISE.search, text[begin : begin + size].split()))
    letters = Counter(sample)
    scripts = _scripts(letters)
    if not scripts:
        return None
    script = max(scripts, key=lambda name: scripts[name] * _weight(name))
    if scripts["zh"] + scripts["ja"] >= scripts[script] and scripts["ja"]:
        script = "ja" if scripts["ja"] * 10 > scripts["zh"] else "zh"
    if scripts[script] < (_MIN_SIGNS if script in _SIGNS else _MIN_LETTERS):
        return None
    return _by_words(sample, letters, script, margin) if script in _KNOWN else script


def _weight(script: str) -> float:
    return _SIGN if script in _SIGNS else 1.0 if script == "latin" else _OTHERS


def _scripts(letters: Mapping[str, int]) -> Counter[str]:
    """Script -> how many letters of it there are."""
    found: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha() and (script := _script(ord(letter))):
            found[script] += count
    return found


@lru_cache(maxsize=4_096)
def _script(code: int) -> str:
    return next((script for first, last, script in _RANGES if first <= code <= last), "")


def _by_words(sample: str, letters: Mapping[str, int], script: str, margin: float) -> str | None:
    known = _KNOWN[script]
    words = Counter(_WORD.findall(sample.lower().replace("’", "'")))
    scores: Counter[str] = Counter()
    hits = 0.0
    for word in filter(known.__contains__, words):
        count = words[word]
        for language, worth in known[word]:
            scores[language] += worth * count  # type: ignore[assignment]
        hits += count
    for letter, language in _LETTERS.items():
        if letter in letters and language in scores:
            scores[language] += _LETTER_WORTH * letters[letter]  # type: ignore[assignment]
            hits += _LETTER_WORTH * letters[letter]
    best = scores.most_common(2)
    if not best or hits < max(_MIN_HITS, _MIN_SHARE * words.total()):
        return None
    is_clear = len(best) == 1 or best[0][1] >= (margin + 1 / hits) * best[1][1]
    return best[0][0] if is_clear else None
