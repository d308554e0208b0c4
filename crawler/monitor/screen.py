"""A crawl in words: the line of its progress, the summary, `status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from crawler.errors import to_install
from crawler.frontier.status import Status
from crawler.record import Record
from crawler.text import counted

_TRAPS_SHOWN: Final = 10
_MAX_CAUSE: Final = 200
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def live(status: Status, seconds: float) -> str:
    """The line while a crawl runs: pages, rate, queue, errors, and what limits the speed now."""
    parts = [
        counted(status.ended, "page"),
        f"{status.rate:.1f}/s",
        f"queue {status.queued:,}",
        f"errors {status.failed:,}",
        *([found(status)] if found(status) else []),
        *([swept(status)] if status.sweeper else []),
        *([failing(status)] if status.failing else []),
        status.limit,
        *([time_left(status.seconds_left)] if status.seconds_left is not None else []),
        clock(seconds),
    ]
    return " | ".join(parts)


def failing(status: Status) -> str:
    """How many hosts fail, and why the first ones do: `3 hosts failing: shop.example 503 Service Unavailable`."""
    shown = "; ".join(f"{host}: {text}" for host, text in status.failing_hosts)
    more = "; ..." if status.failing > len(status.failing_hosts) else ""
    return f"{counted(status.failing, 'host')} failing: {shown}{more}"


def found(status: Status) -> str:
    """What a later visit found: `visit 3: new 5, changed 12, unchanged 3,400`; empty in the first one."""
    if status.visit < 2:
        return ""
    counts = ", ".join(f"{word} {n:,}" for word, n in status.found.items())
    return f"visit {status.visit:,}: {counts or 'nothing so far'}"


def swept(status: Status) -> str:
    """How far a recrawl is in looking for what is due; empty if none is under way."""
    if status.sweep is None:
        return ""
    return f"{status.sweep:.0%} looked at" + ("" if status.sweeper else "; interrupted: the same command goes on")


def time_left(seconds: float) -> str:
    """An estimate, no more exact than it is: `about 20 min for what is queued`."""
    for length, unit, below in ((10, "s", 90), (60, "min", 5400), (3600, "h", 172_800), (86_400, "d", float("inf"))):
        if seconds < below:
            n = max(round(seconds / length), 1) * (10 if unit == "s" else 1)
            return f"about {n:,} {unit} for what is queued"
    return ""


def hook_errors(status: Status) -> str:
    """How often the hook failed: `48 of 48 calls failed`."""
    return f"{status.hook_errors:,} of {counted(status.hook_calls, 'call')} failed"


def hook_failures(status: Status) -> list[str]:
    """The most frequent failures of the hook, each with its number."""
    return [f"{n:>7,}  {text}" for text, n in status.hook_failures.items()]


def of_rules(status: Status, names: Sequence[str] = ()) -> str:
    """On how many pages each extraction rule matched, also those of *names* that did not: `product 12 pages`."""
    found = dict.fromkeys(names, 0) | status.rules
    return ", ".join(f"{name} {counted(n, 'page')}" for name, n in found.items())


def summary(status: Status, here: int, seconds: float, losses: str = "") -> list[str]:
    """The lines at the end of a run in which *here* URLs ended."""
    rate = here / seconds if seconds > 0 else 0.0
    before = f", {status.ended:,} in all" if here < status.ended else ""
    ended = f"{counted(here, 'URL')} ended in {clock(seconds)} ({rate:.1f}/s){before}, {size(status.bytes)} read"
    lines = [f"crawl {status.crawl!r}: {_state(status)}", f"  {ended}"]
    lines += [f"  {n:>9,}  {outcome}" for outcome, n in status.outcomes.items()]
    refused = ", ".join(f"{reason} {n:,}" for reason, n in sorted(status.refused.items(), key=lambda kv: -kv[1]))
    statuses = ", ".join(f"{code}: {n:,}" for code, n in sorted(status.statuses.items()))
    visits = ", in all visits" if status.visit > 1 else ""
    notes = (
        (set(status.statuses) - {"200"}, f"answers by status{visits}: {statuses}"),
        (status.refused, f"links left out: {refused}"),
        (status.duplicates, f"pages with content seen before: {status.duplicates:,} (see `duplicate_of`)"),
        (status.near_duplicates, f"near duplicates: {status.near_duplicates:,} (see `near_duplicate_of`)"),
        (status.documents, documents_left_out(status)),
        (status.hook_calls and not status.hook_errors, f"hook: {counted(status.hook_calls, 'call')}, none failed"),
        (status.hook_errors, f"hook: {hook_errors(status)}:"),
        *((True, f"  {text}") for text in hook_failures(status)),
        (status.rules, f"rules: {of_rules(status)}"),
        (status.rule_errors, f"rules failed on {counted(status.rule_errors, 'page')}:"),
        *((True, f"  {n:>7,}  {text}") for text, n in status.rule_failures.items()),
        (status.failing, f"hosts that fail (`crawler hosts --failing`): {status.failing:,}"),
        *((True, f"  {host}: {why}") for host, why in status.failing_hosts),
        (status.visit > 1, found(status)),
        (status.held, f"not fetched: {held(status)}"),
        (status.lost, f"lost: {lost(status)}"),
    )
    lines += [f"  {text}" for is_so, text in notes if is_so]
    return [*lines, *_quarantined(status), *([f"  {losses}"] if losses else [])]


def documents_left_out(status: Status) -> str:
    """How many documents were not read, and what reads them."""
    were = "was" if status.documents == 1 else "were"
    return f"{counted(status.documents, 'document')} {were} left out; to read them {to_install('documents')}"


def cause(record: Record) -> str:
    """Why a URL failed: its error, else its status; at most 200 characters."""
    return (record.error or (f"status {record.status}" if record.status else ""))[:_MAX_CAUSE]


def held(status: Status) -> str:
    """What is kept from being fetched by `crawler block`."""
    return f"{counted(status.held, 'URL')} of blocked hosts (`crawler hosts --blocked`)"


def _quarantined(status: Status) -> list[str]:
    """The templates that were quarantined, the first few of them."""
    if not status.quarantined:
        return []
    shown = status.quarantined[:_TRAPS_SHOWN]
    more = len(status.quarantined) - len(shown)
    lines = ["  quarantined (`crawler quarantine` shows more):", *(f"    {name}" for name in shown)]
    return [*lines, f"    and {more:,} more templates"] if more else lines


def lost(status: Status) -> str:
    """What was accepted and is gone."""
    return f"{counted(status.lost, 'URL')}, which a foreign client removed from their queues in Redis"


def _state(status: Status) -> str:
    left = status.queued - status.held + status.leased
    left_over = f"{counted(left, 'URL')} {'is' if left == 1 else 'are'} left"
    return {
        "done": "done",
        "limit": f"stopped at its limit; {left_over} (a higher --max-pages or --max-time continues it)",
        "paused": f"paused; {left_over}",
        "empty": "empty: nothing was seeded",
        "deleting": "being deleted",
    }.get(status.state, f"not done; {left_over}")


def status_lines(status: Status, rules: Sequence[str] = ()) -> list[str]:
    """`crawler status` for a person. *rules* are the names of the crawl's extraction rules."""
    rows: list[tuple[str, Any]] = [
        ("state", status.state),
        ("now", status.limit),
        ("accepted", counted(status.accepted, "URL")),
        ("ended", f"{status.ended:,} ({status.rate:.1f}/s)"),
        ("queued", f"{status.queued:,} on {counted(status.hosts_waiting, 'waiting host')}"),
        ("leased", f"{status.leased:,}"),
        ("workers", _workers(status)),
        ("read", size(status.bytes)),
        ("Redis", memory(status)),
    ]
    for title, counts in (("outcomes", status.outcomes), ("statuses", status.statuses), ("left out", status.refused)):
        if counts:
            rows.append((title, ", ".join(f"{name} {n:,}" for name, n in counts.items())))
    if rules or status.rules:
        rows.append(("rules", of_rules(status, rules)))
    return [
        f"crawl {status.crawl!r}",
        *(f"  {name:<9} {value}" for name, value in (*rows, *_notes(status))),
        *_quarantined(status),
    ]


def _notes(status: Status) -> Iterator[tuple[str, str]]:
    """What is not so in every crawl."""
    if status.will_fit is False:
        whose = "Redis's maxmemory" if status.redis_bounded else "the memory of Redis's machine"
        yield "warning", f"that is more than {whose}: `crawler export --drain` frees what is written"
    if status.duplicates:
        copies = counted(status.duplicates, "page")
        yield "copies", f"{copies} {'has' if status.duplicates == 1 else 'have'} the content of another one"
    if status.near_duplicates:
        near = counted(status.near_duplicates, "page")
        yield "near", f"{near} {'has' if status.near_duplicates == 1 else 'have'} nearly the text of another one"
    if status.documents:
        yield "documents", documents_left_out(status)
    yield from _notes_of_extraction(status)
    yield from _notes_of_visit(status)
    if status.failing:
        yield "failing", f"{counted(status.failing, 'host')} (`crawler hosts --failing`)"
    for host, why in status.failing_hosts:
        yield "", f"  {host}: {why}"
    if status.held:
        yield "held", held(status)
    if status.lost:
        yield "lost", lost(status)


def _notes_of_visit(status: Status) -> Iterator[tuple[str, str]]:
    """What later visits found."""
    if status.visit > 1:
        yield "visit", found(status).removeprefix("visit ")
    if status.sweep is not None:
        yield "recrawl", swept(status)


def _notes_of_extraction(status: Status) -> Iterator[tuple[str, str]]:
    """What the user's hook and rules did."""
    if status.hook_errors:
        yield "hook", hook_errors(status)
        yield from (("", text) for text in hook_failures(status))
    if status.rule_errors:
        yield "rules", f"they failed on {counted(status.rule_errors, 'page')}"
        yield from (("", f"{n:>7,}  {text}") for text, n in status.rule_failures.items())


def memory(status: Status) -> str:
    """The memory that Redis uses, its limit if it has one, and what the rest will need."""
    if status.redis_bytes is None:
        return "unknown"
    text = size(status.redis_bytes)
    if status.redis_bounded and status.redis_limit is not None:
        text += f" of {size(status.redis_limit)}"
    if status.needed_bytes is not None:
        left = status.queued + status.leased
        are = "is" if left == 1 else "are"
        text += f"; the {counted(left, 'URL')} that {are} left will need about {size(status.needed_bytes)} more"
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
