"""What a visit has found: the word for the change, and the state of the URL after it. Pure.

A visit is compared with the last good answer (2xx, not refused), also if later visits failed or found the page gone:
its digests, validators and `changed_at` stay in the state until the next good answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from crawler.url_state import UrlState

Change = Literal["new", "changed", "boilerplate", "gone", "moved", "back"]

_GONE: Final = ("missing", "dropped:noindex")
_WITHOUT: Final = (*_GONE, "redirected")
"""Outcomes of answers that say that there is no page at the URL."""
_STAYS: Final = (
    *("digest", "text_digest", "text_method", "previous_text_digest", "similarity", "etag", "last_modified"),
    *("changed_at", "changes", "target", "interval", "is_gone"),
)
"""What a visit without a good answer leaves as it was."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a visit has found."""

    state: UrlState
    """Of the URL from now on."""
    change: Change | None = None
    """None: nothing has changed, or the visit failed, or there never was a page."""
    is_unchanged: bool = False
    """It found what the visit before had found, so there is nothing new to store."""
    keeps: bool = False
    """It failed, and there is a record of a change: that stays."""

    @property
    def word(self) -> str | None:
        """What it counts as: the change, `unchanged` or `failed`; None for what there never was a page at."""
        if self.change is not None or self.is_unchanged:
            return self.change or "unchanged"
        return "failed" if self.keeps or self.state.outcome.startswith("failed:") else None


def compare(
    before: UrlState | None,
    visit: UrlState,
    *,
    not_modified: bool = False,
    reschedule: Callable[[int, bool], int] | None = None,
) -> Finding:
    """What a visit has found in a URL whose state was *before*; None: it is the first visit.

    *visit* is the state as if this visit were the first one; it has a digest if the answer was good. *not_modified*:
    the answer was 304, so it has none; its validators are those that hold now. *reschedule* gives the next interval,
    from the last one and whether the page had changed.
    """
    is_good = not_modified or visit.digest != 0
    if before is None:
        return Finding(visit, "new" if is_good else None)
    if is_good:
        return _of_good(before, visit, not_modified, reschedule)
    if visit.outcome in _WITHOUT:
        return _of_none(before, visit, reschedule)
    return Finding(_next(before, visit), keeps=before.digest != 0)


def _of_good(
    before: UrlState, visit: UrlState, not_modified: bool, reschedule: Callable[[int, bool], int] | None
) -> Finding:
    """There is a page."""
    is_same = before.digest != 0 and (not_modified or visit.digest == before.digest)
    change = _change(before, visit, is_same)
    fields: dict[str, Any] = {"is_gone": False, "target": None, "digest": before.digest if is_same else visit.digest}
    fields |= {"etag": visit.etag, "last_modified": visit.last_modified}
    if not is_same or visit.text_digest is not None:
        fields |= {"text_digest": visit.text_digest, "text_method": visit.text_method}
        if change == "changed" or (change == "back" and not is_same):
            fields["previous_text_digest"] = before.text_digest
    if not is_same or visit.similarity is not None:
        fields["similarity"] = visit.similarity
    if change is not None:
        fields |= {"changed_at": visit.checked_at, "changes": before.changes + (change != "new")}
    if reschedule is not None and change != "new":
        fields["interval"] = reschedule(before.interval, change in ("changed", "back"))
    return Finding(_next(before, visit, **fields), change, is_unchanged=change is None)


def _change(before: UrlState, visit: UrlState, is_same: bool) -> Change | None:
    if not before.digest:
        return "new"
    if before.is_gone:
        return "back"
    if is_same:
        return None
    by_text = before.text_digest is not None and before.text_method == visit.text_method
    return "boilerplate" if by_text and before.text_digest == visit.text_digest else "changed"


def _of_none(before: UrlState, visit: UrlState, reschedule: Callable[[int, bool], int] | None) -> Finding:
    """There is no page: it is missing, not to be stored, or elsewhere."""
    fields: dict[str, Any] = {"target": visit.target}
    if reschedule is not None:
        fields["interval"] = reschedule(before.interval, False)
    # Failures in between do not count: the target is that of the last answer.
    is_same = before.target == visit.target and (
        before.outcome == visit.outcome or (before.is_gone and before.outcome not in _WITHOUT)
    )
    if is_same or not before.digest:
        return Finding(_next(before, visit, **fields), is_unchanged=is_same)
    fields |= {"is_gone": True, "changed_at": visit.checked_at, "changes": before.changes + 1}
    return Finding(_next(before, visit, **fields), "moved" if visit.outcome == "redirected" else "gone")


def _next(before: UrlState, visit: UrlState, **fields: Any) -> UrlState:
    """The state after a later visit: *fields* are those that it changes of what else stays."""
    stays = {name: getattr(before, name) for name in _STAYS}
    counted = {"first_seen": before.first_seen, "visits": before.visits + 1}
    return msgspec.structs.replace(visit, **{**stays, **counted, **fields})
