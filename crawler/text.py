"""Text on its way to a person: from the web to a terminal or a log (CWE-150), and times."""

from __future__ import annotations

import re
import time

# C0 and C1 controls, line separators, and the bidirectional overrides that reorder what is seen
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """*text* on one line, with everything that could steer a terminal shown as U+FFFD."""
    return _UNSEEN.sub("\ufffd", text.replace("\n", " ").replace("\t", " "))


def escaped(json: str) -> str:
    """*json*, one line of it, with everything that could steer a terminal written as `\\uXXXX`: it means the same."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json)


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as a date and time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
