"""Which records an export writes: by outcome and by HTTP status, without copies, only pages, with items, of changes."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from crawler.errors import UsageError
from crawler.export.shape import items_of
from crawler.record import CONTENTS, OUTCOMES, Record

REMOVED: Final = ("gone", "moved")
"""Changes after which a page is no more at its URL."""
_NEW: Final = "new"
_OUTCOMES_OF_REMOVED: Final = frozenset({"missing", "redirected", "dropped:noindex"})
_STATUSES_OF_REMOVED: Final = frozenset({*range(300, 400), 404, 410})
_NO_CONTENTS: Final[dict[str, Any]] = dict.fromkeys(CONTENTS)


@dataclass(frozen=True, slots=True)
class Selection:
    """Records with one of some outcomes, and one of some statuses; without a choice all. UsageError for unknown ones.

    An outcome may be named by its first word: `failed` is all of `failed:...`. `3xx` is all statuses of its class.
    Several of them are several values, or one with commas.
    """

    only: Collection[str] = ()
    status: Collection[str] = ()
    unique: bool = False
    """Of copies and near copies the earliest."""
    pages: bool = False
    """Only what a reader would call a page of the site: see `is_page`."""
    items: bool = False
    """Only records in which a hook or a rule found items."""
    changes: bool = False
    """Only what a visit found to be new, changed or gone; visits that failed found nothing."""
    removes: bool = False
    """What is no more there, or no more one of these, comes as a removal, so that a copy elsewhere can drop it."""
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
        return self.pick(record) is not None

    def pick(self, record: Record) -> Record | None:
        """*record* as it is to be written, which may be as a removal; None if it is not to be written."""
        if (self.changes and record.change is None) or not self._is_named(record):
            return None
        if self.removes and record.change in REMOVED:
            return msgspec.structs.replace(record, **_NO_CONTENTS)
        if self._is_kind(record):
            return record
        if self.removes and record.change not in (None, _NEW):
            return msgspec.structs.replace(record, **_NO_CONTENTS, change=REMOVED[0])
        return None

    def _is_named(self, record: Record) -> bool:
        """Targets of links, which were not read, only where their outcome or status is named."""
        if record.target and self.outcomes is None and self.statuses is None:
            return False
        return (self.outcomes is None or record.outcome in self.outcomes) and (
            self.statuses is None or record.status in self.statuses
        )

    def _is_kind(self, record: Record) -> bool:
        return (
            not (self.unique and is_copy(record))
            and not (self.pages and not is_page(record))
            and not (self.items and items_of(record.data) is None)
        )

    @property
    def by_outcome(self) -> bool:
        """Whether the outcome alone decides."""
        return self.statuses is None and not (self.unique or self.pages or self.items or self.changes)

    @property
    def hides_removals(self) -> bool:
        """Whether nothing that is gone or moved can be one of these."""
        return (self.outcomes is not None and self.outcomes.isdisjoint(_OUTCOMES_OF_REMOVED)) or (
            self.statuses is not None and self.statuses.isdisjoint(_STATUSES_OF_REMOVED)
        )

    @property
    def names(self) -> tuple[list[str] | None, list[str] | None]:
        """The outcomes and the statuses, as they were named; None: all."""
        return _items(self.only), _items(self.status)


def is_removed(record: Record) -> bool:
    """Whether a visit found that the page is no more at its URL."""
    return record.change in REMOVED


def is_copy(record: Record) -> bool:
    """Whether an earlier page of the crawl has the same content, or nearly the same."""
    return record.duplicate_of is not None or record.near_duplicate_of is not None


def is_page(record: Record) -> bool:
    """Whether it was fetched, is no copy and no sitemap, and names no other page as its canonical one."""
    return (
        record.outcome == "fetched"
        and record.duplicate_of is None
        and not record.sitemap
        and record.canonical in (None, record.url)
    )


def as_options(only: Collection[str] | None, status: Collection[str] | None, unique: bool = False) -> str:
    """A selection as a command has it; empty for all."""
    named = {"--only": only, "--status": status}
    options = [f"{flag} {','.join(items)}" for flag, items in named.items() if items]
    return " ".join([*options, *(["--unique"] if unique else [])])


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
