"""What a stored answer says about its URL, as a report tells it apart. Pure."""

from __future__ import annotations

from typing import Final, Literal

from crawler.policy.target_answers import Ended, verdict_of_outcome

Verdict = Literal["good", "broken", "loop", "certificate", "disallowed", "not-checked", "cannot-tell"]

GOOD: Final = ("fetched", "checked")
"""Outcomes of what is there, unless its record says that nobody can tell."""


def verdict_of(ended: Ended) -> tuple[Verdict, str]:
    """What the stored answer says, and the cause in words. Its error is empty where it is not known."""
    if ended.outcome == "dropped:robots":
        return "disallowed", "robots.txt disallows it"
    judged = verdict_of_outcome(ended)
    if judged.verdict == "get":
        return "good", ""
    if judged.verdict == "broken" and ended.outcome == "failed:redirect-loop":
        return "loop", judged.cause
    if judged.verdict == "broken" and ended.outcome == "failed:tls" and "certificate" in ended.error:
        return "certificate", judged.cause
    return judged.verdict, judged.cause
