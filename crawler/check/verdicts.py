"""What a stored answer says about its URL: whether it is there. Pure."""

from __future__ import annotations

from typing import Final, Literal

from crawler.policy.politeness import status_words

Verdict = Literal["good", "broken", "loop", "certificate", "disallowed", "not-checked", "cannot-tell"]

GOOD: Final = ("fetched", "checked")
"""Outcomes of what is there."""
_SOFT: Final = (401, 403, 406, 407, 429, 451, 999)
"""Statuses of answers that other clients may not get: a login (RFC 9110, 15.5.2), a refusal of robots, a rate limit
(RFC 6585, section 4), a legal demand (RFC 7725), 999 of LinkedIn."""
_OURS: Final = {
    "failed:hang": "it takes too long to be processed",
    "failed:crash": "it cannot be processed",
    "failed:bad-entry": "its entry in the queue was damaged",
}
"""Failures that are not the server's."""


def verdict_of(outcome: str, status: int, error: str, *, is_target: bool = False) -> tuple[Verdict, str]:
    """What the stored answer says, and the cause in words. *error* is the record's, empty where that is not known."""
    if outcome in GOOD:
        return ("cannot-tell", error) if is_target and error else ("good", "")
    if outcome == "redirected":  # to what was not asked
        return ("broken", error) if error else ("good", "")
    if outcome == "dropped:robots":
        return "disallowed", error or "robots.txt disallows it"
    if outcome == "failed:robots":
        return "not-checked", error or "its robots.txt is unavailable"
    if outcome == "failed:redirect-loop":
        return "loop", error or "it redirects in a circle"
    if outcome in _OURS:
        return "cannot-tell", error or _OURS[outcome]
    if status in _SOFT:
        return "cannot-tell", error or status_words(status)
    if outcome == "failed:tls" and (not error or "certificate" in error):
        return "certificate", error or "its host's certificate is not valid"
    if outcome.startswith("dropped:"):
        return "good", ""
    return "broken", error or (status_words(status) if status else _words(outcome))


def _words(outcome: str) -> str:
    return {
        "failed:dns": "its host's name does not resolve",
        "failed:connect": "its host does not accept connections",
        "failed:timeout": "no answer in time",
        "missing": "it is not there",
    }.get(outcome, outcome.removeprefix("failed:"))
