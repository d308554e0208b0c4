"""Parses and formats times, sizes, counts and switches as people write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?", re.IGNORECASE | re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)
MAX_SECONDS: Final = 3650 * 86_400.0
MAX_BYTES: Final = float(1 << 50)

_MAX_DIGITS: Final = 15
"""Digits of a count: Redis's scripts keep counts as doubles."""
_NONE: Final = ("", "none", "no", "off")


def factor(text: str) -> float:
    """A number from 0 to 100."""
    if not re.fullmatch(r"\d{1,3}(?:\.\d+)?", text.strip(), re.ASCII) or float(text) > 100:
        raise ValueError("a number from 0 to 100 is needed")
    return float(text)


def duration(text: str) -> float:
    """Seconds from `1.5`, `500ms`, `10m`, `2h`, `1d`."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError("a time such as 500ms, 1.5s, 10m, 2h or 7d is needed")
    seconds = float(match[1]) * _SECONDS[(match[2] or "s").lower()]
    if seconds > MAX_SECONDS:
        raise ValueError("at most 3650d")
    return seconds


def lasting(text: str) -> float:
    """A time over 0: 0 would mean no limit, or no page that ever ends well."""
    seconds = duration(text)
    if seconds <= 0:
        raise ValueError("more than 0 is needed")
    return seconds


def moment(text: str, now: int) -> int:
    """Milliseconds since the epoch from a date (RFC 3339; without a zone it is UTC), or a time before *now* (`2h`)."""
    text = text.strip()
    try:
        found = datetime.fromisoformat(text.upper())
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        return now - round(duration(text) * 1000)
    except ValueError:
        raise ValueError("a time ago such as 2h, or a date such as 2026-01-31T12:00:00Z is needed") from None


def size(text: str) -> int:
    """Bytes from `1024`, `10M`, `10MiB` (units are powers of 1,024, except `kB`, `MB`, ... of 1,000)."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError("a size such as 512k, 10MiB or 1G is needed")
    decimal = match[2] and not match[3] and text.strip().lower().endswith("b")
    found = float(match[1]) * (1000 if decimal else 1024) ** " kmgt".index(match[2].lower() or " ")
    if found > MAX_BYTES:
        raise ValueError("at most 1024T")
    return int(found)


def shown_time(seconds: float) -> str:
    """*seconds* in the largest unit that divides them."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def shown_size(size: int) -> str:
    """*size* bytes in the largest unit that divides them."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= length and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)


def count(text: str, least: int = 0) -> int:
    """A whole number from *least*."""
    digits = text.strip()
    if len(digits) > _MAX_DIGITS and digits.isdigit():
        raise ValueError(f"at most {_MAX_DIGITS} digits")
    if not (digits.isascii() and digits.isdigit() and int(digits) >= least):
        raise ValueError(f"a whole number from {least} is needed")
    return int(digits)


def positive(text: str) -> int:
    """A whole number from 1."""
    return count(text, 1)


def at_most(parse: Callable[[str], Any], most: int) -> Callable[[str], Any]:
    """*parse*, and at most *most*."""

    def bounded(text: str) -> Any:
        value = parse(text)
        if value > most:
            raise ValueError(f"at most {most}")
        return value

    return bounded


def flag(text: str) -> bool:
    """A switch in the environment, in a file or for `set`."""
    value = text.strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("yes or no is needed")


def optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """*parse*, with `none` for "no limit"."""
    return lambda text: None if text.strip().lower() in _NONE else parse(text)
