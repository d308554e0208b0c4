"""What a person sees of a crawl: the live line, the summary, `status`. Nothing from the web is shown unescaped."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from typing import Any, Final, TextIO

from crawler.frontier.status import Status
from crawler.text import printable

_TRAPS_SHOWN: Final = 10
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class LiveLine:
    """One line on a terminal that is overwritten; on anything else nothing is shown."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._on = self._stream is not None and self._stream.isatty()
        self._shown = False

    def show(self, text: str) -> None:
        """Write *text* over the last one, cut to the terminal's width."""
        if self._on:
            width = shutil.get_terminal_size((80, 24)).columns - 1
            self._write(f"\r\x1b[2K{printable(text)[:width]}")
            self._shown = True

    def clear(self) -> None:
        """Clear the line for other output."""
        if self._shown:
            self._write("\r\x1b[2K")
            self._shown = False

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a terminal that is closed, or is not ready: the crawl does not wait for it
            self._stream.write(text)
            self._stream.flush()


def live(status: Status, seconds: float) -> str:
    """The line while a crawl runs: pages, rate, queue, errors, and what limits the speed now."""
    parts = [
        f"{status.ended:,} pages",
        f"{status.rate:.1f}/s",
        f"queue {status.queued:,}",
        f"errors {status.failed:,}",
        *([_failing(status)] if status.failing else []),
        status.limit,
        clock(seconds),
    ]
    return " | ".join(parts)


def _failing(status: Status) -> str:
    """How many hosts fail, and why the first ones do: `3 hosts failing: shop.example 503 Service Unavailable`."""
    shown = "; ".join(f"{host}: {text}" for host, text in status.failing_hosts)
    more = "; ..." if status.failing > len(status.failing_hosts) else ""
    return f"{status.failing:,} host{'' if status.failing == 1 else 's'} failing: {shown}{more}"


def summary(status: Status, here: int, seconds: float, losses: str = "") -> list[str]:
    """The lines at the end of a run in which *here* URLs ended."""
    lines = [f"crawl {status.crawl!r}: {_state(status)}"]
    rate = here / seconds if seconds > 0 else 0.0
    before = f", {status.ended:,} in all" if here < status.ended else ""
    lines.append(f"  {here:,} URLs ended in {clock(seconds)} ({rate:.1f}/s){before}, {size(status.bytes)} read")
    lines += [f"  {n:>9,}  {_explained(outcome, status)}" for outcome, n in status.outcomes.items()]
    if status.refused:
        refused = ", ".join(f"{reason} {n:,}" for reason, n in sorted(status.refused.items(), key=lambda kv: -kv[1]))
        lines.append(f"  links left out: {refused}")
    if status.duplicates:
        lines.append(f"  pages with content seen before: {status.duplicates:,} (see `duplicate_of`)")
    lines += [f"  {text}" for text in _hook(status)]
    if status.lost:
        lines.append(f"  lost: {_lost(status)}")
    lines += _quarantined(status)
    if losses:
        lines.append(f"  {losses}")
    return lines


def _quarantined(status: Status) -> list[str]:
    """The templates that were quarantined, the first few of them."""
    if not status.quarantined:
        return []
    shown = status.quarantined[:_TRAPS_SHOWN]
    more = len(status.quarantined) - len(shown)
    lines = ["  quarantined (`crawler quarantine` shows more):", *(f"    {name}" for name in shown)]
    return [*lines, f"    and {more:,} more templates"] if more else lines


def _hook(status: Status) -> list[str]:
    """How often the hook was called and failed, and how."""
    if not status.hook_calls:
        return []
    if not status.hook_errors:
        return [f"hook: {status.hook_calls:,} calls, none failed"]
    failures = [f"  {n:>7,}  {text}" for text, n in status.hook_failures.items()]
    return [f"hook: {status.hook_errors:,} of {status.hook_calls:,} calls failed:", *failures]


def _lost(status: Status) -> str:
    return f"{status.lost:,} URLs, which a foreign client removed from their queues in Redis"


def _state(status: Status) -> str:
    left = f"{status.queued + status.leased:,} URLs are left"
    return {
        "done": "done",
        "limit": f"stopped at its limit; {left}",
        "paused": f"paused; {left}",
        "empty": "empty: nothing was seeded",
        "deleting": "being deleted",
    }.get(status.state, f"not done; {left}")


def _explained(outcome: str, status: Status) -> str:
    if outcome != "fetched" or set(status.statuses) <= {"200"}:
        return outcome
    shown = ", ".join(f"{code}: {n:,}" for code, n in sorted(status.statuses.items()))
    return f"{outcome} (all answers by status: {shown})"


def status_lines(status: Status) -> list[str]:
    """`crawler status` for a person."""
    rows: list[tuple[str, Any]] = [
        ("state", status.state),
        ("now", status.limit),
        ("accepted", f"{status.accepted:,} URLs"),
        ("ended", f"{status.ended:,} ({status.rate:.1f}/s)"),
        ("queued", f"{status.queued:,} on {status.hosts_waiting:,} waiting hosts"),
        ("leased", f"{status.leased:,}"),
        ("workers", _workers(status)),
        ("read", size(status.bytes)),
        ("Redis", _memory(status)),
    ]
    lines = [f"crawl {status.crawl!r}", *(f"  {name:<9} {value}" for name, value in rows)]
    for title, counts in (("outcomes", status.outcomes), ("statuses", status.statuses), ("left out", status.refused)):
        if counts:
            lines.append(f"  {title:<9} " + ", ".join(f"{name} {n:,}" for name, n in counts.items()))
    if status.will_fit is False:
        whose = "Redis's maxmemory" if status.redis_bounded else "the memory of Redis's machine"
        lines.append(f"  warning   that is more than {whose}: `crawler export --drain` frees what is written")
    if status.duplicates:
        lines.append(f"  {'copies':<9} {status.duplicates:,} pages have the content of another one")
    lines += [f"  {text}" for text in _hook(status)]
    if status.failing:
        lines.append(f"  {'failing':<9} {_failing(status)} (`crawler hosts --failing`)")
    if status.held:
        lines.append(f"  {'held':<9} {status.held:,} URLs of blocked hosts (`crawler hosts --blocked`)")
    if status.lost:
        lines.append(f"  {'lost':<9} {_lost(status)}")
    return lines + _quarantined(status)


def _memory(status: Status) -> str:
    """The memory that Redis uses, its limit if it has one, and what the rest will need."""
    if status.redis_bytes is None:
        return "unknown"
    text = size(status.redis_bytes)
    if status.redis_bounded and status.redis_limit is not None:
        text += f" of {size(status.redis_limit)}"
    if status.needed_bytes is not None:
        left = status.queued + status.leased
        text += f"; the {left:,} URLs that are left will need about {size(status.needed_bytes)} more"
    return text


def _workers(status: Status) -> str:
    silent = f", {status.silent_workers} silent" if status.silent_workers else ""
    return f"{status.workers}{silent}"


def size(n: int) -> str:
    """Bytes for a person."""
    value = float(n)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def clock(seconds: float) -> str:
    """h:mm:ss for a person."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
