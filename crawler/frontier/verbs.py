"""What may be done with a shard: one function a script, which builds its call.

`shard.ask(verbs.pause(shard))` sends a call alone and raises what the script refuses; `shard.run` sends several in one
round trip. Every verb may be sent twice. docs/frontier.md has the contract of each.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec

from crawler.clock import since_boot
from crawler.frontier import commits, replies
from crawler.frontier import segment as segments
from crawler.frontier.host_facts import HostFacts
from crawler.frontier.messages import (
    Accepted,
    Commit,
    CrawlState,
    Exported,
    Leased,
    LeaseEnd,
    Limits,
    OfHost,
    OutboxBatch,
    Quarantined,
    Release,
    Retry,
    RobotsResult,
    Shares,
    TemplateSample,
)
from crawler.frontier.redis.connection import Call
from crawler.frontier.scripts import NEVER
from crawler.frontier.shards.outbox import Args, OutboxMessage, laid_out, site_key, sort
from crawler.frontier.shards.shard import Shard
from crawler.record import Request
from crawler.url_state import id_bytes

MAX_REQUESTS: Final = 1_000
"""Requests that one call takes: more would block Redis for too long."""
MAX_REVIVED: Final = 500
MAX_DRAINED: Final = 500

# -- the crawl as a whole ----------------------------------------------------------------------------------------------


def create(shard: Shard, meta: Mapping[str, bytes]) -> Call[Any]:
    """Make the shard, with the further fields of *meta*. Refused with CrawlExists if another crawl's is there."""
    fields = shard.identity.fields() | dict(meta)
    return shard.call("create", replies.ok, rest=_flat({name: value for name, value in fields.items() if value}))


def configure(shard: Shard, settings: bytes, limits: Limits, max_time: float | str | None = "-") -> Call[Any]:
    """Change settings; *max_time* in seconds from now, None for no limit, "-" to leave it."""
    until = "-" if max_time == "-" else "" if max_time is None else str(_ms(float(max_time)))
    changed: Mapping[str, str | bytes] = {"settings": settings, **limits.fields()}
    return shard.call("configure", replies.ok, max_time_ms=until, rest=_flat(changed))


def remember(shard: Shard, sources: Mapping[str, bytes]) -> Call[Any]:
    """Add fields to `meta` of the first shard by `configure`, which leaves all others (see `Identity.sources`)."""
    return shard.call("configure", replies.ok, max_time_ms="-", rest=_flat(sources))


def state(shard: Shard) -> Call[CrawlState]:
    """What the crawl is at."""
    return shard.call("state", replies.state)


def explain(shard: Shard, host: str) -> Call[HostFacts]:
    """The state of *host*, and how the rules judge it now. The empty name is a host that the crawl has not met."""
    return shard.call("explain", replies.explained, keys=[shard.keys.host(host)], host=host, site=site_key(host))


def pause(shard: Shard) -> Call[Any]:
    """Hand out nothing more until `resume`; what is in flight ends."""
    return shard.call("pause", replies.ok)


def resume(shard: Shard) -> Call[Any]:
    """Hand out URLs again."""
    return shard.call("resume", replies.ok)


def delete(shard: Shard) -> Call[Any]:
    """Refuse all from now on; `CrawlDb.sweep` then takes the keys away."""
    return shard.call("delete", replies.ok)


def heartbeat(shard: Shard, worker: str, text: bytes) -> Call[Any]:
    """Say what *worker* is doing (JSON); an empty text takes it off the list."""
    return shard.call("heartbeat", replies.ok, worker=worker, text=text)


def bound(shard: Shard, site: str) -> Call[Any]:
    """Name the site that fills Redis and gets no new links; empty: none."""
    return shard.call("bound", replies.ok, site=site)


def repair(
    shard: Shard, part: Literal["leases", "entries", "counts", "hosts"], values: Sequence[bytes | int]
) -> Call[tuple[int, int]]:
    """Put one part right (see repair.lua, and `repair.repair`, which does all of it): how much of it was wrong.

    Beside it: of entries how many there are (the first number is how many of them are of blocked hosts), of counts how
    many URLs are lost.
    """
    return shard.call("repair", replies.two_numbers, part=part, rest=values)


# -- seeding -----------------------------------------------------------------------------------------------------------


def open(shard: Shard, source: str, term: float) -> Call[Any]:
    """Say that *source* is seeding: the crawl is not done for *term* seconds, or until `close`."""
    return shard.call("open", replies.ok, source=source, term_ms=_ms(term))


def close(shard: Shard, source: str) -> Call[Any]:
    """*source* has put all it had."""
    return shard.call("close", replies.ok, source=source)


def put(
    shard: Shard, requests: Sequence[Request], *, source: str = "", term: float = 60.0, roots: Sequence[str] = ()
) -> Call[Accepted]:
    """Accept up to MAX_REQUESTS requests, and the *roots* that they bring; extends *source* by *term* seconds.

    Refused with OutOfMemory when Redis is full: nothing was accepted then.
    """
    keys, args = _sorted(shard, requests, roots)
    return shard.call("put", replies.accepted, keys=keys, source=source, term_ms=_ms(term), rest=args)


def put_message(shard: Shard, message: OutboxMessage) -> Call[Accepted]:
    """`put` of what lay in another shard's outbox."""
    keys, args = message.laid_out(shard.keys)
    rest: Args = [len(message.roots), *message.roots, 0, *args]
    return shard.call("put", replies.accepted, keys=keys, source="", term_ms=0, rest=rest)


def _sorted(shard: Shard, requests: Sequence[Request], roots: Sequence[str]) -> tuple[list[str], Args]:
    """Roots, messages to other shards and requests of this one, as `post` and `look_up` in lua/shared read them."""
    _at_most(len(requests), MAX_REQUESTS)
    messages = sort(requests, roots, shard.number, shard.identity.shards, shard.id_of)
    own = messages.pop(shard.number)
    keys, args = own.laid_out(shard.keys)
    away = [part for target, message in messages.items() for part in (target, message.packed())]
    return [*map(shard.keys.parcels, messages), *keys], [len(own.roots), *own.roots, len(messages), *away, *args]


def accepted(shard: Shard, urls: Sequence[str], *, target: bool = False) -> Call[list[bool]]:
    """Which of up to MAX_REQUESTS canonical URLs were ever accepted; *target*: as targets."""
    _at_most(len(urls), MAX_REQUESTS)
    keys, args, order = laid_out([Request(url, target=target) for url in urls], shard.keys, shard.id_of)
    return shard.call("accepted", lambda reply: replies.flags(reply, order), keys=keys, rest=args)


def mark_seen(shard: Shard, numbers: Sequence[int]) -> Call[int]:
    """Refuse links with these fingerprints from now on, at most MAX_REQUESTS a call; how many of them are new.

    Refused with OutOfMemory when Redis is full.
    """
    _at_most(len(numbers), MAX_REQUESTS)
    return shard.call("mark_seen", replies.number, keys=list(map(shard.keys.seen_before, numbers)), rest=numbers)


def note_findings(shard: Shard, since: Mapping[bytes, int], gone: Sequence[bytes] = ()) -> Call[Any]:
    """Note since when (seconds) each finding of a check is there, by its digest, and forget those that are *gone*.

    At most MAX_REQUESTS of both. Refused with OutOfMemory when Redis is full.
    """
    _at_most(len(since) + len(gone), MAX_REQUESTS)
    rest: Args = [*gone, *(part for pair in since.items() for part in pair)]
    return shard.call("note_findings", replies.ok, keys=[shard.keys.findings], gone=len(gone), rest=rest)


def collect(shard: Shard, relay: str, term: float, most: int, targets: Sequence[int]) -> Call[list[OutboxBatch]]:
    """Up to *most* messages of the outbox for each of *targets*; no other relay gets any for *term* seconds."""
    keys = [shard.keys.parcels(target) for target in targets]
    return shard.call("collect", replies.collected, keys=keys, relay=relay, term_ms=_ms(term), most=most, rest=targets)


def ack_delivered(shard: Shard, target: int, run: str, at: bytes = b"") -> Call[int]:
    """Messages up to *at* were put into *target*, whose server's run id was *run* before; 1 if all go again."""
    return shard.call("ack_delivered", replies.number, keys=[shard.keys.parcels(target)], target=target, run=run, at=at)


# -- leases ------------------------------------------------------------------------------------------------------------


def lease(shard: Shard, name: str, shares: Shares | int, term: float, worker: str) -> Call[Leased]:
    """Ask for leases of *term* seconds. *name* is that of this call (`new_call`); a repetition keeps it.

    *shares* is how many, or how many of whatever is due.
    """
    asked, shares = since_boot(), Shares.any(shares) if isinstance(shares, int) else shares
    sites = [part for site in shares.sites for part in site]
    return shard.call(
        "lease",
        lambda reply: replies.leased(reply, asked + term),
        rest=sites,
        call=name,
        term_ms=_ms(term),
        worker=worker,
        want=shares.want,
        new=shares.new,
        failing=shares.failing,
        most=shares.most,
        reserve=shares.reserve,
        most_new=shares.most_new,
        half=shares.half,
        sees_addresses=int(shares.sees_addresses),
    )


def extend(shard: Shard, tokens: Sequence[str], term: float) -> Call[frozenset[str]]:
    """Keep leases for another *term* seconds; the result is the tokens that are no longer held."""
    return shard.call("extend", replies.tokens, term_ms=_ms(term), rest=tokens)


def release(shard: Shard, tokens: Sequence[str]) -> Call[int]:
    """Give leases back unused, in the order in which they were leased; the result is how many were still held."""
    return shard.call("release", replies.number, rest=tokens)


def reap(shard: Shard, most: int = 50) -> Call[tuple[int, int]]:
    """Take back leases past their deadline: how many, and milliseconds to the next deadline (-1: none)."""
    return shard.call("reap", replies.two_numbers, most=most)


def end(shard: Shard, message: LeaseEnd) -> Call[Any]:
    """End a lease in one of the four ways."""
    match message:
        case Commit():
            return commit(shard, message)
        case Retry():
            return retry(shard, message)
        case RobotsResult():
            return robots(shard, message)
        case Release():
            return release(shard, [message.lease.token])


def commit(shard: Shard, page: Commit) -> Call[Accepted]:
    """End a page's lease with its outcome, record and requests. Refused with LeaseLost.

    A repetition of a commit that went through succeeds with nothing new.
    """
    keys, groups = _sorted(shard, page.requests, page.roots)
    return shard.call(
        "commit",
        replies.committed,
        keys=[*commits.keys(shard.keys, page), *keys],
        rest=[*commits.contents(page), *_flat(page.tallies), *groups],
        **commits.arguments(page),
    )


def retry(shard: Shard, page: Retry) -> Call[Any]:
    """Try a page again later. Refused with LeaseLost, which is harmless: another worker tries it."""
    return shard.call(
        "retry",
        replies.ok,
        token=page.lease.token,
        held=page.lease.what,
        event=page.event,
        rest_ms=page.rest_ms,
        charge=page.charge,
        alone_ms=page.alone_ms,
        entry=b"" if page.respelled is None else page.respelled.place()[1],
        handling_ms=page.handling_ms,
        trouble=page.trouble,
    )


def robots(shard: Shard, result: RobotsResult) -> Call[Any]:
    """End a robots lease. Refused with LeaseLost, which is harmless."""
    lease = result.lease
    return shard.call(
        "robots",
        replies.ok,
        keys=[shard.keys.robots(lease.origin)],
        rest=_flat(result.tallies),
        token=lease.token,
        held=lease.what,
        scheme=lease.scheme,
        event=result.event,
        text=result.text,
        ttl_ms=_ms(result.ttl),
        spare_ms=_ms(result.spare),
        crawl_delay_ms="" if result.crawl_delay is None else _ms(result.crawl_delay),
        rest_ms=result.rest_ms,
        ip=result.ip,
        handling_ms=result.handling_ms,
        trouble=result.trouble,
    )


# -- what has ended ----------------------------------------------------------------------------------------------------


def revive(shard: Shard, requests: Sequence[Request], latest: int = NEVER) -> Call[int]:
    """Put dead letters back into their queues, at most MAX_REVIVED a call; how many there were.

    What failed after *latest* (ms, server's clock) stays: a repetition does not bring back what failed once more.
    """
    _at_most(len(requests), MAX_REVIVED)
    keys: list[str] = []
    args: Args = []
    for request in requests:
        url_id = shard.id_of(request)
        keys += shard.keys.page(url_id), shard.keys.ended(url_id)
        args += url_id, id_bytes(url_id), *msgspec.structs.replace(request, revisit=True).place()
    return shard.call("revive", replies.number, keys=keys, latest=latest, rest=args)


def drain(shard: Shard, exported: Sequence[Exported]) -> Call[int]:
    """Free records that were exported, at most MAX_DRAINED a call; how many there were. The states of their URLs stay.

    A page that was committed again since stays whole; a dead letter keeps its record.
    """
    _at_most(len(exported), MAX_DRAINED)
    keys = [shard.keys.page(one.id) for one in exported]
    args: Args = [part for one in exported for part in (one.at, one.id)]
    return shard.call("drain", replies.number, keys=keys, rest=args)


# -- traps -------------------------------------------------------------------------------------------------------------


def judge_templates(shard: Shard, samples: Sequence[TemplateSample]) -> Call[Quarantined]:
    """Count what pages of templates held; the result is which are quarantined from now on."""
    keys = [key for one in samples for key in (shard.keys.template(one.id), shard.keys.prints(one.id))]
    args: Args = []
    for one in samples:
        args += one.template, len(one.prints), *one.prints
    return shard.call("judge_templates", replies.quarantined, keys=keys, rest=args)


def unquarantine(shard: Shard, template: str, template_id: str) -> Call[int]:
    """Let the URLs of a quarantined template be fetched again; 0 where it is not quarantined."""
    return shard.call("unquarantine", replies.number, keys=[shard.keys.template(template_id)], template=template)


# -- blocked hosts -----------------------------------------------------------------------------------------------------


def block(shard: Shard, names: Sequence[str], hosts: Sequence[str] = ()) -> Call[tuple[int, int]]:
    """Hand out no URL of the hosts in *names* (`*.name` is a name with all below it), and accept none.

    *hosts* are known ones that match; the result is how many of them were not blocked, and how many URLs they hold.
    """
    return _of_hosts(shard, "block", names, hosts)


def unblock(shard: Shard, names: Sequence[str], hosts: Sequence[str] = ()) -> Call[tuple[int, int]]:
    """The reverse of `block`: how many of *names* were blocked, and how many URLs of *hosts* wait again."""
    return _of_hosts(shard, "unblock", names, hosts)


def set_host(
    shard: Shard, names: Sequence[str], hosts: Sequence[str] = (), *, setting: OfHost, value: str
) -> Call[tuple[int, int]]:
    """Set what counts for the hosts in *names* in place of the crawl's own setting; an empty *value* takes it away.

    *hosts* are known ones that match; the second number is how many there are.
    """
    return _of_hosts(shard, "set_host", names, hosts, setting=setting, value=value)


def _of_hosts(shard: Shard, verb: str, names: Sequence[str], hosts: Sequence[str], **named: str) -> Call[Any]:
    keys, rest = list(map(shard.keys.host, hosts)), [*names, *hosts]
    return shard.call(verb, replies.two_numbers, keys=keys, names=len(names), rest=rest, **named)


# -- long queues (see overflow.py) -------------------------------------------------------------------------------------


def pack(shard: Shard, host: str, entries: Sequence[bytes]) -> Call[bool]:
    """Make a segment of *entries*, with which the tail of *host* begins; whether more of it is to be packed.

    Nothing changes where the tail begins otherwise: another client has packed or moved it.
    """
    _, packed, tail = shard.keys.pages(host)
    return shard.call(
        "pack",
        lambda reply: bool(replies.number(reply)),
        keys=[tail, packed],
        count=len(entries),
        sha1=segments.digest(entries),
        segment=segments.encode(entries),
    )


def unpack(shard: Shard, host: str, segment: bytes) -> Call[int]:
    """Move the entries of *segment*, the oldest of *host*, to its head; how many URLs are lost, if it is damaged.

    Nothing changes where another one is the oldest, or when the head is not low (any more). Refused with OutOfMemory
    when Redis is full: nothing is leased then either.
    """
    entries: list[bytes] = []
    with suppress(ValueError):
        entries = segments.decode(segment)
    keys = [shard.keys.host(host), *shard.keys.pages(host)[:2]]
    return shard.call("unpack", replies.number, keys=keys, host=host, sha1=segments.digest([segment]), rest=entries)


def new_call(shard: int = 0) -> str:
    """A name for one call of `lease`: 64 random bits, never a counter (a counter rolls back with Redis).

    Behind the first shard's it says which shard gave the lease (see `shard_of_token`).
    """
    return f"{shard}.{secrets.token_hex(8)}" if shard else secrets.token_hex(8)


def shard_of_token(token: str) -> int:
    """The shard that a lease is of; 0 of what is no token."""
    shard, dot, _ = token.partition(".")
    return int(shard) if dot and shard.isdecimal() else 0


def _flat(pairs: Mapping[str, Any]) -> list[Any]:
    return [part for pair in pairs.items() for part in pair]


def _at_most(n: int, most: int) -> None:
    if n > most:
        raise ValueError(f"{n} requests in one call: at most {most}, more go into further calls")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
