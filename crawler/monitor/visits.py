"""The visits of one URL, for `crawler explain`: how many, when, what changed, and when it is due again."""

from __future__ import annotations

from collections.abc import Mapping

from crawler.policy.schedule import Intervals, due_at
from crawler.text import counted, lasting, rfc3339
from crawler.url_state import UrlState


def visits_of(state: UrlState, settings: Intervals, now: int) -> dict[str, int | str]:
    """What is known of the visits of a URL that has ended; *now* in seconds since the epoch. Times are RFC 3339, UTC.

    `due` says in words why a recrawl takes it now, or why not.
    """
    at = due_at(state, settings)
    found: dict[str, int | str] = {
        "visits": state.visits,
        "changes": state.changes,
        "first_seen": rfc3339(state.first_seen),
        "checked_at": rfc3339(state.checked_at),
        "changed_at": rfc3339(state.changed_at) if state.changed_at else "",
        "next_due": rfc3339(at) if at is not None else "",
        "due": _why(state, at, now),
    }
    return {name: value for name, value in found.items() if value not in ("", 0) or name == "changes"}


def _why(state: UrlState, at: int | None, now: int) -> str:
    if state.is_queued:
        return "it waits to be visited again"
    if at is None:
        return f"no recrawl takes it by schedule: it ended as {state.outcome}"
    if at <= now:
        return "`crawler recrawl` takes it now"
    every = f"it is visited every {lasting(at - state.checked_at)}"
    return f"not before {rfc3339(at)}: {every}" + ("" if state.interval else ", as long as nothing else is known")


def visit_lines(visits: Mapping[str, int | str]) -> list[str]:
    """The same for a person."""
    if not visits:
        return []
    n = int(visits["visits"])
    first = f", the first ended {visits['first_seen']}" if n > 1 else ""
    changes = f"; {counted(int(visits['changes']), 'change')}" if n > 1 else ""
    last = f", the last {visits['changed_at']}" if n > 1 and visits["changes"] and "changed_at" in visits else ""
    return [
        f"{counted(n, 'visit')}{first}; last checked {visits['checked_at']}{changes}{last}",
        f"due: {visits['due']}",
    ]
