"""The candidates of a `srcset`, as browsers read it (HTML 4.8.4.3.8, "parse a srcset attribute"). Pure, and linear."""

from __future__ import annotations

import re
from typing import Final

_SPACE: Final = r"\t\n\f\r "
_URL: Final = re.compile(rf"[{_SPACE},]*+([^{_SPACE}]++)")
# Up to a comma that is not in parentheses; what is not closed ends with the value.
_DESCRIPTORS: Final = re.compile(r"((?:[^,(]++|\([^)]*+(?:\)|\Z))*+),?")
_DESCRIPTOR: Final = re.compile(rf"(?:[^{_SPACE}(]++|\([^)]*+(?:\)|\Z))++")
_NUMBERS: Final = {
    "x": re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-0+(?:\.0+)?"),
    "w": re.compile(r"[0-9]+"),
    "h": re.compile(r"[0-9]+"),
}
"""What may precede a unit."""
_VALID: Final[tuple[set[str], ...]] = (set(), {"x"}, {"w"}, {"w", "h"})


def candidates(value: str) -> list[str]:
    """The URLs in *value*, in order; candidates with descriptors that are not valid are left out, as browsers do."""
    found: list[str] = []
    at = 0
    while match := _URL.match(value, at):
        url, at = match[1], match.end()
        descriptors: list[str] = []
        if url.endswith(","):
            url = url.rstrip(",")
        else:
            rest = _DESCRIPTORS.match(value, at)
            if rest is not None:
                descriptors, at = _DESCRIPTOR.findall(rest[1]), rest.end()
        if url and _are_valid(descriptors):
            found.append(url)
    return found


def _are_valid(descriptors: list[str]) -> bool:
    """Whether *descriptors* are one density, one width, or a width and a height; others are ignored, as browsers do."""
    seen: set[str] = set()
    for descriptor in descriptors:
        number, unit = descriptor[:-1], descriptor[-1]
        if not (_NUMBERS[unit].fullmatch(number) if unit in _NUMBERS else None):
            continue
        if unit in seen or (unit != "x" and not number.strip("0")):
            return False
        seen.add(unit)
    return seen in _VALID
