"""The answers of scripts as values: what a verb gives, or the error of ours that its refusal is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, NoReturn

from crawler.errors import CrawlDeleting, CrawlExists, DamagedCrawl, FrontierError, LeaseLost, NoCrawl, OutOfMemory
from crawler.frontier.host_facts import HostFacts
from crawler.frontier.messages import Accepted, CrawlState, HostTrouble, Lease, Leased, OutboxBatch, Quarantined

_REFUSALS: Final[dict[str, tuple[type[FrontierError], str]]] = {
    "NO_CRAWL": (NoCrawl, "the crawl is gone: it was deleted, or begun anew"),
    "EXISTS": (CrawlExists, "a crawl of this name exists already"),
    "DELETING": (CrawlDeleting, "the crawl is being deleted"),
    "OOM": (OutOfMemory, "Redis is full: raise its maxmemory, or make room with `crawler export --drain`"),
    "LEASE_LOST": (LeaseLost, "the lease ended and is no longer ours"),
    "OTHER_SCHEMA": (
        DamagedCrawl,
        "another version of this program has taken the crawl over: stop what runs of this one, and use that one",
    ),
    "REMAINS": (
        DamagedCrawl,
        "there are remains of a crawl of this name, but its `meta` is damaged or gone: `crawler delete` takes them"
        " away, or name another with --crawl",
    ),
}


def refuse(status: str) -> NoReturn:
    """Raise what a refusal means."""
    error, text = _REFUSALS.get(status, (FrontierError, f"the frontier answered {status}"))
    raise error(text)


def ok(reply: list[Any]) -> list[Any]:
    """The answer, if it is OK."""
    status = reply[0]
    if status != b"OK":
        refuse(status.decode())
    return reply


def accepted(reply: list[Any]) -> Accepted:
    """Of put."""
    new, seen, over, long = ok(reply)[1:5]
    return Accepted(new, seen, over, long=_names(long))


def committed(reply: list[Any]) -> Accepted:
    """Of commit."""
    if reply[0] == b"DONE_ALREADY":
        return Accepted(left_out=bool(reply[1]))
    new, seen, over, left_out, long = ok(reply)[1:6]
    return Accepted(new, seen, over, bool(left_out), _names(long))


def _names(hosts: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(host.decode() for host in hosts)


def number(reply: list[Any]) -> int:
    """The number that follows the OK."""
    return int(ok(reply)[1])


def two_numbers(reply: list[Any]) -> tuple[int, int]:
    """The two numbers that follow the OK."""
    return int(ok(reply)[1]), int(reply[2])


def flags(reply: list[Any], order: Sequence[int]) -> list[bool]:
    """Lists of 1 and 0, one after the other, each at the place that *order* has for it."""
    found = dict(zip(order, chain.from_iterable(ok(reply)[1:]), strict=True))
    return [bool(found[place]) for place in range(len(order))]


def tokens(reply: list[Any]) -> frozenset[str]:
    """Of extend."""
    return frozenset(_names(ok(reply)[1:]))


def quarantined(reply: list[Any]) -> Quarantined:
    """Of judge_templates."""
    return Quarantined(_names(ok(reply)[1:]))


def collected(reply: list[Any]) -> list[OutboxBatch]:
    """Of collect."""
    return [OutboxBatch(int(target), list(zip(rest[::2], rest[1::2], strict=True))) for target, *rest in ok(reply)[1:]]


def state(reply: list[Any]) -> CrawlState:
    """Of state."""
    word, accepted, queued, leased, ended, sources, wait_ms, odd, pending, fetched, most, held = ok(reply)[1:13]
    word = word.decode("utf-8", "replace")
    most = None if most < 0 else most
    return CrawlState(word, accepted, queued, leased, ended, sources, wait_ms, bool(odd), pending, fetched, most, held)


def explained(reply: list[Any]) -> HostFacts:
    """Of explain."""
    words: list[Any] = [word.decode("utf-8", "replace") for word in ok(reply)[10:14]]
    facts: list[Any] = [*reply[1:10], *words[:3], HostTrouble.of(words[3], reply[14]), *reply[15:17]]
    return HostFacts(*facts)


def _lease(row: list[Any], deadline: float) -> Lease:
    token, kind, host, raw, rev, delay, trouble, standing, cause, no_validators = row
    names = token.decode(), kind.decode(), host.decode()
    words = cause.decode("utf-8", "replace")
    of_host = standing.decode(), words, no_validators == 1
    return Lease(*names, raw, int(rev), int(delay), trouble.decode(), deadline, *of_host)


def leased(reply: list[Any], deadline: float) -> Leased:
    """Of lease; its leases run until *deadline*."""
    if len(reply) < 14:
        refuse(reply[0].decode())
    leases = [_lease(row, deadline) for row in reply[14:]]
    return Leased(leases, reply[0].decode(), _names(reply[11]), *(int(n) for n in (*reply[1:11], *reply[12:14])))
