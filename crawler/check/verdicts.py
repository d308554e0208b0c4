"""What a stored answer says about its URL, as a report tells it apart. Pure."""

from __future__ import annotations

from typing import Final, Literal

from crawler.policy.politeness import status_words

Verdict = Literal["good", "broken", "loop", "certificate", "disallowed", "not-checked", "cannot-tell"]

GOOD: Final = ("fetched", "checked")
"""Outcomes of what is there, unless its record says that nobody can tell."""
PREFIXES: Final[dict[str, Verdict]] = {"cannot tell: ": "cannot-tell", "not checked: ": "not-checked"}
"""How the errors of records begin that hold a verdict."""
_SOFT: Final = (401, 403, 406, 407, 429, 451, 999)
"""Statuses of answers that other clients may not get: a login (RFC 9110, 15.5.2), a refusal of robots, a rate limit
(RFC 6585, section 4), a legal demand (RFC 7725), 999 of LinkedIn."""
_OURS: Final[dict[str, tuple[Verdict, str]]] = {
    "failed:robots": ("not-checked", "its host's robots.txt could not be read"),
    "failed:bad-entry": ("not-checked", "its entry in the queue was damaged"),
    "failed:hang": ("cannot-tell", "reading it takes too long"),
    "failed:crash": ("cannot-tell", "reading it ends the crawler's worker"),
}
_WORDS: Final = {
    "failed:dns": "its host's name does not resolve",
    "failed:connect": "its host does not accept connections",
    "failed:timeout": "no answer in time",
    "failed:tls": "no TLS connection to its host",
}


def verdict_of(outcome: str, status: int, error: str) -> tuple[Verdict, str]:
    """What the stored answer says, and the cause in words. *error* is the record's, empty where that is not known."""
    if outcome == "dropped:robots":
        return "disallowed", "robots.txt disallows it"
    if outcome == "failed:redirect-loop":
        return "loop", error or "its redirects do not end"
    if outcome == "failed:tls" and "certificate" in error:
        return "certificate", error
    for prefix, verdict in PREFIXES.items():
        if error.startswith(prefix):
            return verdict, error.removeprefix(prefix)
    if outcome in _OURS:
        return _OURS[outcome]
    if outcome in (*GOOD, "redirected") or outcome.startswith("dropped:"):
        return "good", ""
    if status:
        return "cannot-tell" if status in _SOFT else "broken", status_words(status)
    return "broken", error or _WORDS.get(outcome, outcome.removeprefix("failed:"))
