"""Which references with a scheme of their own are mistakes. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from crawler.errors import without_credentials

MAX_TEXT: Final = 200
"""Characters of a reference that a note repeats."""

SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+):")
# Slips of the hand: `htp://`, `htttps://`. No scheme of IANA's registry is like these.
_SLIP: Final = re.compile(r"(?!https?:)(?=[hps]{0,8}t)[hpst]{2,8}:/", re.IGNORECASE)
_LOCAL: Final = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS: Final = re.compile(rf"(?:{_LOCAL}(?:\.{_LOCAL})*|\"[^\"]+\")@(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])")
"""An addr-spec of RFC 6068, internationalized (RFC 6532)."""


def is_mistake(scheme: str, reference: str) -> bool:
    """Whether *reference*, whose *scheme* is none of the Web, is one that leads nowhere.

    `mailto:` needs a valid address, or a field such as a subject (RFC 6068, section 2). What belongs to other programs
    (`tel:`, `javascript:`, ...) is none.
    """
    if scheme.lower() == "mailto":
        return not _is_mail(reference[len(scheme) + 1 :])
    return _SLIP.match(reference) is not None


def _is_mail(rest: str) -> bool:
    to, _, fields = rest.partition("?")
    addresses = [address.strip() for address in unquote(to).split(",")]
    if not any(addresses):
        return bool(fields)
    return all(_ADDRESS.fullmatch(address) for address in addresses[:100] if address)


def shown(reference: str) -> str:
    """*reference* as a note repeats it: short, on one line, without credentials."""
    start = reference[: 4 * MAX_TEXT]
    return " ".join((start if start[:7].lower() == "mailto:" else without_credentials(start)).split())[:MAX_TEXT]
