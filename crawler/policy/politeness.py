"""What an answer means: for its URL (final, or tried again), and for its host (healthy, slow, failing).

Pure: the clock and the dice are the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import msgspec

from crawler.fetch.fetcher import FetchError, FetchResult, Headers, Response
from crawler.policy import robots
from crawler.record import Charge, HostEvent

MAX_RETRY_AFTER: Final = 3600.0
"""Seconds a host may send us away for (RFC 9110 section 10.2.3); more is cut."""
PATIENT_RETRIES: Final = 8
"""Tries for a URL whose host says "too many requests" or "unavailable": it is the host that is busy, not the URL."""
RETRY_BASE: Final = 1.0
"""Seconds before the first retry of a URL that is alone on its host; doubled with each."""
RETRY_MOST: Final = 60.0
ROBOTS_TTL: Final = 86_400.0
"""Seconds that a robots.txt holds (RFC 9309 section 2.4: at most 24 hours)."""
MAX_ROBOTS_HOPS: Final = 5
"""Redirects followed for robots.txt (RFC 9309 section 2.3.1.2)."""

_BUSY: Final = frozenset({429, 503, 999})
_PASSING: Final = frozenset({408, 425, 500, 502, 504, *range(506, 600)})
_HOPELESS: Final[dict[str, HostEvent]] = {"dns": "dead", "tls": "untrusted"}
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a URL and of its host after one try. Times are in seconds."""

    event: HostEvent
    outcome: str | None = None
    """The final outcome; none: it is tried again."""
    charge: int = Charge.NONE
    rest: float = 0.0
    """The host asked to be left alone for so long."""
    alone: float = 0.0
    """Back-off of the URL, which matters only when nothing else of its host is queued."""
    error: str | None = None


def judge(result: FetchResult, tried: int, retries: int, jitter: float) -> Verdict:
    """Judge a page's answer after *tried* retries of at most *retries*; *jitter* is a number from 0 to 1."""
    back_off = min(RETRY_BASE * 2**tried, RETRY_MOST) * (0.75 + jitter / 2)
    if isinstance(result, FetchError):
        return _judge_error(result, tried, retries, back_off)
    if result.status in _BUSY:
        rest = retry_after(result.headers)
        return _again(
            "slow", "http", _status(result), (tried, max(retries, PATIENT_RETRIES), max(back_off, rest)), rest
        )
    if result.status in _PASSING:
        return _again("ok", "http", _status(result), (tried, retries, back_off))
    if result.status >= 500 or result.status < 200:
        return Verdict("ok", "failed:http", error=_status(result))
    if result.status in REDIRECTS and result.headers.get("location"):
        return Verdict("ok", "redirected")
    return Verdict("ok", "dropped:type" if result.skipped else "fetched")


def _judge_error(error: FetchError, tried: int, retries: int, back_off: float) -> Verdict:
    again = (tried, retries, back_off)
    match error.kind:
        case "expired":
            return Verdict("none", error=error.detail)
        case "refused":
            return Verdict("unsent", "failed:connect", error=error.detail)
        case "tls":
            return Verdict("none", "failed:tls", error=error.detail)
        case "dns":
            if error.lack:  # nobody says that the name does not exist
                return _again("fail", "connect", error.detail, again)
            return _again("dead", "dns", error.detail, (tried, 1, back_off))
        case "protocol":
            return _again("stall", "http", error.detail, again)
        case "connect" | "timeout":
            return _again("stall" if error.sent else "fail", error.kind, error.detail, again)


def _again(event: HostEvent, why: str, error: str, again: tuple[int, int, float], rest: float = 0.0) -> Verdict:
    tried, retries, back_off = again
    if tried >= retries:
        return Verdict(event, f"failed:{why}", rest=rest, error=error)
    return Verdict(event, None, Charge.RETRY, rest=rest, alone=back_off, error=error)


def _status(response: Response) -> str:
    return f"status {response.status}"


def retry_after(headers: Headers) -> float:
    """Seconds from `Retry-After`, in either form, cut at MAX_RETRY_AFTER; 0 where it is missing or nonsense.

    A date is read against the answer's own `Date`, so that nobody's clock matters.
    """
    value = (headers.get("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), MAX_RETRY_AFTER)
    try:
        seconds = (_date(value) - _date(headers.get("date") or "")).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _date(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


RobotsStep = Literal["parse", "allow", "follow", "fail"]


@dataclass(frozen=True, slots=True)
class RobotsVerdict:
    """What an answer to a request for robots.txt means (RFC 9309 section 2.3.1)."""

    step: RobotsStep
    """parse its body; allow all; follow its redirect; or it failed: nothing is allowed until it can be had."""
    event: HostEvent = "ok"


def judge_robots(result: FetchResult, hops: int) -> RobotsVerdict:
    """Judge an answer to robots.txt after *hops* redirects.

    A final status means what `robots.judge` says; no answer disallows all for now. A name that
    does not exist or a broken certificate will not mend itself soon: event `dead`. An address that the guard refuses
    is let through, so that each page's record tells the real reason.
    """
    if isinstance(result, FetchError):
        if result.kind == "refused":
            return RobotsVerdict("allow", "none")
        if result.kind == "expired":  # nothing was sent: the host is not to blame
            return RobotsVerdict("fail", "none")
        return RobotsVerdict("fail", "robots" if result.lack else _HOPELESS.get(result.kind, "robots"))
    if result.status in REDIRECTS and hops < MAX_ROBOTS_HOPS and result.headers.get("location"):
        return RobotsVerdict("follow")
    meaning = robots.judge(result.status)
    return RobotsVerdict("fail", "robots") if meaning == "disallow" else RobotsVerdict(meaning)
