"""The meaning of an answer: for its URL (final or retried), and for its host (healthy, slow, failing).

Pure: the caller supplies the clock and the random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Literal

import msgspec

from crawler.fetch.fetcher import FetchError, FetchResult, Headers, Response
from crawler.policy import robots
from crawler.record import Charge, HostEvent

MAX_RETRY_AFTER: Final = 3600.0
"""Longest time, in seconds, that a host may ask us to wait (RFC 9110 section 10.2.3); more is cut."""
PATIENT_RETRIES: Final = 8
"""Tries for a URL whose host answers "too many requests" or "unavailable": the host is busy, not the URL."""
RETRY_BASE: Final = 1.0
"""Seconds before the first retry of a URL that is alone on its host; doubled with each."""
RETRY_MOST: Final = 60.0
ROBOTS_TTL: Final = 86_400.0
"""Seconds that a robots.txt is valid (RFC 9309 section 2.4: at most 24 hours)."""
MAX_ROBOTS_HOPS: Final = 5
"""Most redirects followed for robots.txt (RFC 9309 section 2.3.1.2)."""

_MAX_TROUBLE: Final = 200
_MISSING: Final = frozenset({404, 410})
_BUSY: Final = frozenset({429, 503, 999})
_PASSING: Final = frozenset({408, 425, 500, 502, 504, *range(506, 600)})
_HOPELESS: Final[dict[str, HostEvent]] = {"dns": "dead", "tls": "untrusted"}
_KINDS: Final = {"protocol": "http"}
"""Kinds of failures whose outcome has another word."""
NOT_MODIFIED: Final = 304
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a URL and of its host after one try. Times are in seconds."""

    event: HostEvent
    outcome: str | None = None
    """The final outcome; None: it is retried."""
    charge: int = Charge.NONE
    rest: float = 0.0
    """The host asked to be left alone for this long."""
    alone: float = 0.0
    """Back-off of the URL, which matters only if nothing else of its host is queued."""
    error: str | None = None
    trouble: str = ""
    """What is wrong with the host: the kind (a word behind `failed:`) and the reason in words; empty if nothing is."""


def judge(result: FetchResult, tried: int, retries: int, jitter: float) -> Verdict:
    """Judge a page's answer after *tried* retries of at most *retries*; *jitter* is a number from 0 to 1."""
    back_off = min(RETRY_BASE * 2**tried, RETRY_MOST) * (0.75 + jitter / 2)
    if isinstance(result, FetchError):
        return _judge_error(result, tried, retries, back_off)
    if result.status in _BUSY:
        rest = retry_after(result.headers)
        again = (tried, max(retries, PATIENT_RETRIES), max(back_off, rest))
        return _again("slow", "http", status_words(result.status), again, rest)
    if result.status in _PASSING:
        return _again("ok", "http", status_words(result.status), (tried, retries, back_off))
    return Verdict("ok", *_final(result))


def _final(response: Response) -> tuple[str, int, float, float, str | None, str]:
    """The rest of the verdict on an answer that is not tried again."""
    status, words, error, trouble = response.status, status_words(response.status), None, ""
    if 200 <= status < 300:
        outcome = "dropped:type" if response.skipped else "fetched"
    elif status in REDIRECTS and response.headers.get("location"):
        outcome = "redirected"
    elif status in _MISSING:
        outcome = "missing"
    elif 400 <= status < 500:
        outcome = "denied"
    else:
        outcome, error, trouble = "failed:http", words, f"http {words}" if status >= 500 else ""
    return outcome, Charge.NONE, 0.0, 0.0, error, trouble


def _judge_error(error: FetchError, tried: int, retries: int, back_off: float) -> Verdict:
    again = (tried, retries, back_off)
    match error.kind:
        case "expired":
            return Verdict("none", error=error.detail)
        case "refused":
            return Verdict("unsent", "failed:connect", error=error.detail)
        case "tls":
            return Verdict("none", "failed:tls", error=error.detail, trouble=_trouble("tls", error.detail))
        case "dns":
            if error.lack:  # no server says that the name does not exist
                return _again("fail", "connect", error.detail, again)
            return _again("dead", "dns", error.detail, (tried, 1, back_off))
        case "protocol":
            return _again("stall", "http", error.detail, again)
        case "connect" | "timeout":
            return _again("stall" if error.sent else "fail", error.kind, error.detail, again)


def _again(event: HostEvent, why: str, error: str, again: tuple[int, int, float], rest: float = 0.0) -> Verdict:
    tried, retries, back_off = again
    if tried >= retries:
        return Verdict(event, f"failed:{why}", rest=rest, error=error, trouble=_trouble(why, error))
    return Verdict(event, None, Charge.RETRY, rest=rest, alone=back_off, error=error, trouble=_trouble(why, error))


def _trouble(kind: str, words: str) -> str:
    """As it is stored, with bounded length."""
    return f"{kind} {words}"[:_MAX_TROUBLE]


def status_words(status: int) -> str:
    """A status with its phrase (RFC 9110 section 15): `503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status}"


def retry_after(headers: Headers) -> float:
    """Seconds from `Retry-After`, in either form, cut at MAX_RETRY_AFTER; 0 if it is missing or invalid.

    A date is compared with the answer's own `Date`, so no clock needs to be right.
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
    """parse its body; allow all; follow its redirect; or it failed: nothing is allowed while it is unavailable."""
    event: HostEvent = "ok"
    trouble: str = ""
    """See Verdict."""


def judge_robots(result: FetchResult, hops: int) -> RobotsVerdict:
    """Judge an answer to robots.txt after *hops* redirects.

    `robots.judge` decides by a final status; without an answer nothing is allowed for now. A name that does not exist
    or a broken certificate will not recover soon: event `dead`. An address that the guard refuses is admitted here, so
    that each page's record shows the real reason.
    """
    if isinstance(result, FetchError):
        if result.kind == "refused":
            return RobotsVerdict("allow", "none")
        if result.kind == "expired":  # nothing was sent: the host is not to blame
            return RobotsVerdict("fail", "none")
        event = "robots" if result.lack else _HOPELESS.get(result.kind, "robots")
        kind = "connect" if result.kind == "dns" and result.lack else _KINDS.get(result.kind, result.kind)
        return RobotsVerdict("fail", event, _trouble(kind, result.detail))
    if result.status in REDIRECTS and hops < MAX_ROBOTS_HOPS and result.headers.get("location"):
        return RobotsVerdict("follow")
    meaning = robots.judge(result.status)
    if meaning == "disallow":
        return RobotsVerdict("fail", "robots", f"robots robots.txt answered {status_words(result.status)}")
    return RobotsVerdict(meaning)
