"""Which records an export writes: by outcome and by HTTP status."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from crawler.errors import UsageError
from crawler.record import OUTCOMES, Record


@dataclass(frozen=True, slots=True)
class Selection:
    """Records with one of some outcomes, and one of some statuses; without a choice all. UsageError for unknown ones.

    An outcome may be named by its first word: `failed` is all of `failed:...`. `3xx` is all statuses of its class.
    Several of them are several values, or one with commas.
    """

    only: Collection[str] = ()
    status: Collection[str] = ()
    outcomes: frozenset[str] | None = field(init=False)
    statuses: frozenset[int] | None = field(init=False)

    def __post_init__(self) -> None:
        """Read both."""
        only, status = self.names
        outcomes = None if only is None else frozenset(found for name in only for found in _outcomes(name))
        statuses = None if status is None else frozenset(found for name in status for found in _statuses(name))
        object.__setattr__(self, "outcomes", outcomes)
        object.__setattr__(self, "statuses", statuses)

    def __contains__(self, record: Record) -> bool:
        return (self.outcomes is None or record.outcome in self.outcomes) and (
            self.statuses is None or record.status in self.statuses
        )

    @property
    def names(self) -> tuple[list[str] | None, list[str] | None]:
        """The outcomes and the statuses, as they were named; None: all."""
        return _items(self.only), _items(self.status)


def as_options(only: Collection[str] | None, status: Collection[str] | None) -> str:
    """A selection as a command has it; empty for all."""
    named = {"--only": only, "--status": status}
    return " ".join(f"{flag} {','.join(items)}" for flag, items in named.items() if items)


def _items(values: Collection[str]) -> list[str] | None:
    return sorted({item.strip() for value in values for item in value.split(",")}) or None


def _outcomes(name: str) -> list[str]:
    named = [outcome for outcome in OUTCOMES if outcome == name or outcome.startswith(f"{name}:")]
    if not named:
        meant = f" (--status {name}?)" if re.fullmatch(r"\d(?:\d\d|xx)", name) else ""
        raise UsageError(f"{name!r} is no outcome{meant}; choose from dropped, failed, {', '.join(OUTCOMES)}")
    return named


def _statuses(name: str) -> range:
    if not re.fullmatch(r"[1-9](?:[0-9]{2}|xx)", name, re.IGNORECASE):
        raise UsageError(f"--status {name}: a status such as 200, or a class such as 3xx, is needed")
    first = int(name.lower().replace("x", "0"))
    return range(first, first + (100 if name[1] in "xX" else 1))


ALL: Final = Selection()
"""Every record."""
