"""Regular expressions of users that are searched in URLs, which come from strangers.

RE2 matches them in time linear in the URL: one pattern such as `(a+)+$` would hang a backtracking engine. Only what
both RE2 and Python's `re` accept is allowed, so no look-around and no back-references. If google-re2 has no wheel
(musl), `re` itself matches.
"""

from __future__ import annotations

import re
from typing import Protocol

try:
    import re2  # type: ignore[import-untyped]
except ImportError:  # pragma: no cover - a platform without a wheel
    re2 = None


class Pattern(Protocol):
    """What `re` and `re2` have in common here."""

    def search(self, string: bytes, /) -> object: ...


def compile_pattern(pattern: str) -> Pattern:
    """*pattern*, to be searched in ASCII bytes. ValueError says why it cannot be used."""
    # Bytes, because canonical URLs are ASCII and re2's wrapper counts characters three times as slowly.
    try:
        raw = pattern.encode()
        plain = re.compile(raw)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    if re2 is None:
        return plain
    options = re2.Options()
    options.log_errors = False  # it would write to stderr by itself
    options.never_capture = True
    try:
        return re2.compile(raw, options)  # type: ignore[no-any-return]
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
    at = pattern.find(reason.rpartition(": ")[2])
    where = f" at position {at}" if at >= 0 else ""
    raise ValueError(f"{reason}{where} (look-around and back-references cannot be used)")
