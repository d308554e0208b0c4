"""Makes text from the web safe for a terminal or a log (CWE-150); formats times and counts; guesses misspelt names."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

CONTROLS: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029"
"""C0 and C1 controls and line separators, for a character class of a regular expression."""
_JOINERS: Final = "\u200c\u200d\ufe0e\ufe0f"
INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Invisible characters, in the same form: Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties), and the marks
of annotations. They include characters that reorder the text, and tags, in which text can hide.
"""

_STEERING: Final = f"{CONTROLS}{INVISIBLE}\ud800-\udfff"
_UNSEEN: Final = re.compile(f"[{_STEERING}]")
# Joiners and variation selectors are part of how Persian, Hindi or emoji are written: they stay after
# a letter or sign that is not Latin.
_WORD: Final = f"[^\x00-\u02ff\ufffd{_STEERING}]"
_IN_WORDS: Final = re.compile(f"(?<={_WORD})[{_JOINERS}]|(?<={_WORD}\ufe0f)\u200d|([{_STEERING}])")


def printable(text: str) -> str:
    """*text* on one line, with everything that could control a terminal, or hide there, shown as U+FFFD."""
    return _IN_WORDS.sub(_shown, text.replace("\n", " ").replace("\t", " "))


def _shown(found: re.Match[str]) -> str:
    return "\ufffd" if found[1] else found[0]


def escaped(json: str) -> str:
    """*json*, one line of it, with all of that written as `\\uXXXX`: it means the same."""
    return _UNSEEN.sub(_escape, json)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 1 << 16:
        return f"\\u{code:04x}"
    high, low = divmod(code - (1 << 16), 1 << 10)  # a pair of surrogates (RFC 8259, section 7)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as a date and time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def lasting(seconds: float) -> str:
    """A time in the unit that fits: `40 s`, `5 min`, `3 h`, `7 days`."""
    for length, unit, below in ((1, "s", 90), (60, "min", 5_400), (3_600, "h", 172_800)):
        if seconds < below:
            return f"{max(round(seconds / length), 0):,} {unit}"
    return f"{round(seconds / 86_400):,} days"


def counted(n: int, noun: str) -> str:
    """*n* of something: `1 URL`, `2,000 URLs`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def guess(name: str, known: Iterable[str]) -> str:
    """The one of *known* that *name* probably means: it is misspelt, or the last word alone. Else empty."""
    plain, name = {_plain(one): one for one in known}, _plain(name)
    if close := get_close_matches(name, plain, 1, 0.75):
        return plain[close[0]]
    named = [one for one in plain if one.endswith(f"-{name}") and not one.startswith(("ignore-", "no-"))]
    return plain[named[0]] if len(named) == 1 else ""


def _plain(name: str) -> str:
    return name.strip("-").replace("_", "-").lower()


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """The end of a message about an unknown *name*: the guess, or *otherwise*."""
    found = guess(name, known)
    return f"did you mean {found}?" if found else otherwise


def option_name(setting: str) -> str:
    """The name of a setting as a person writes it, on the command line and in `crawler.toml`: `per-host`."""
    return setting.replace("_", "-")
