"""A check from its beginning to its report: another visit of what was checked before, else the first one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from crawler import url as urls
from crawler.check.folder import ORIGIN, Folder
from crawler.check.report import ReportOptions, findings_of
from crawler.check.source import Source
from crawler.check.summary import Summary
from crawler.crawl.choice import Choice
from crawler.crawl.recrawl import finds_nothing, sweep_of
from crawler.crawl.session import Session
from crawler.crawl.sweep import Sweep
from crawler.errors import NoCrawl, UsageError
from crawler.findings import Finding, FoundOn
from crawler.frontier import verbs
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import OVER
from crawler.frontier.status import Monitor, Status
from crawler.policy.politeness import status_words
from crawler.text import printable
from crawler.worker.options import scope_of

_FOLDER: Final = "folder"
"""The field of `meta` that names the folder which is checked."""
_MAX_HOPS: Final = 20


@dataclass(frozen=True, slots=True)
class Begun:
    """A check that may be run."""

    frontier: Frontier
    sweep: Sweep | None = None
    """What queues the URLs of an earlier check again; None: it is the first, or all are queued."""
    is_done: bool = False
    """Nothing is due: it has just been checked."""


def find(session: Session) -> Frontier:
    """The crawl of a check that is there. NoCrawl if there is none; UsageError if it is no check."""
    frontier = session.find()
    if not session.settings.check:
        name = session.settings.crawl
        raise UsageError(f"crawl {name!r} is no check, so it has no findings: name another one with --crawl NAME")
    return frontier


def refuse_other(session: Session, source: Source) -> None:
    """Raise UsageError if the crawl is there, but is no check, or is that of a folder which is not named."""
    asked = session.settings
    try:
        frontier = find(session)
    except NoCrawl:
        return
    if source.folder is None and (folder := frontier.crawldb.meta().get(_FOLDER)):
        shown = printable(folder.decode("utf-8", "replace"))[:200]
        raise UsageError(f"crawl {asked.crawl!r} is the check of the folder {shown}: name that folder")
    session.settings = asked


def begin(session: Session, source: Source, *, add: bool, stopped: Callable[[], bool]) -> Begun:
    """Create the crawl of a check, or join it: one that is done is visited again, another one continued."""
    frontier = session.create_or_join(source.purpose(add=add), runs=True)
    if source.folder is not None:
        source.unhurried(frontier)
        where = str(source.folder.root).encode("utf-8", "replace")
        frontier.shards[0].ask(verbs.remember(frontier.shards[0], {_FOLDER: where}))
    is_again = not session.made and _is_over(frontier)
    seeded = session.seed(frontier, source.urls, source.sitemaps)
    if not seeded.accepted and not frontier.state().accepted:
        session.discard(frontier)
        raise UsageError("nothing to check: name a URL, or the folder of a site")
    if not is_again:
        return Begun(frontier)
    sweep = sweep_of(session, frontier, Choice.of_check())
    is_over = finds_nothing(sweep, stopped)
    return Begun(frontier, None if is_over else sweep, is_done=is_over and frontier.state().idle)


def _is_over(frontier: Frontier) -> bool:
    """Whether the latest visit is done, or another one was interrupted before all was queued."""
    sweep = frontier.crawldb.visit().sweep
    return bool(frontier.state().ended) and (frontier.state().word in OVER or (sweep.began > 0 and not sweep.is_over))


def summary_of(session: Session, frontier: Frontier, source: Source, given_up: str = "") -> Summary:
    """What the latest visit has seen. *given_up*: why it could not ask for all."""
    status, counters = Monitor(frontier).look(), frontier.crawldb.counters()
    began = frontier.crawldb.visit().began_ms / 1000
    ended = frontier.crawldb.clock() / 1000
    return Summary(
        site=source.shown or status.crawl,
        pages=status.fetched,
        targets=counters.get("targets", 0),
        external=_external(session, frontier),
        seconds=max(ended - began, 0.0),
        began=began,
        ended=ended,
        is_complete=_is_complete(status),
        start_trouble=_start_trouble(frontier, source.urls),
        given_up=given_up,
    )


def _external(session: Session, frontier: Frontier) -> int:
    """How many URLs of hosts that are none of the crawl's have ended."""
    hosts, scope = frontier.crawldb.hosts, scope_of(session.settings)
    own = {root.partition("/")[0] for root in hosts.every_root()}
    return sum(row.done for row in hosts.all() if scope.root_of(f"http://{row.host}/").partition("/")[0] not in own)


def _start_trouble(frontier: Frontier, given: Sequence[str]) -> str:
    """Why a start page could not be read, in words; empty if all were."""
    records = frontier.crawldb.records
    pages = [frontier.form.apply(urls.canonicalize(url.strip())) for url in given]
    for state in records.states([(urls.host(url), frontier.id(url)) for url in pages]):
        for _ in range(_MAX_HOPS):
            if state is None or state.outcome != "redirected" or state.target is None:
                break
            state = records.state(state.target)
        if state is not None and state.outcome.startswith(("missing", "denied", "failed")):
            return f"{state.url}: {status_words(state.status) if state.status else state.outcome}"
    return ""


def _is_complete(status: Status) -> bool:
    return status.done and status.sweep is None


def why_incomplete(frontier: Frontier) -> str:
    """Why a check has not looked at all, and what to do about it."""
    if frontier.state().word == "limit":
        return "--max-pages or --max-time has ended the check"
    return "the check was interrupted, or runs now; the same command without --report-only continues it"


def findings(session: Session, frontier: Frontier, source: Source, options: ReportOptions) -> list[Finding]:
    """All that is wrong, with the places in a folder as its files. Pages are read again as this session would."""
    settings, origins = session.settings, tuple(session.origins)
    found = findings_of(frontier, replace(options, settings=settings, origins=origins, say=session.say))
    folder = source.folder
    return list(found) if folder is None else [_of_folder(finding, folder) for finding in found]


def _of_folder(finding: Finding, folder: Folder) -> Finding:
    return msgspec.structs.replace(
        finding,
        target=folder.short(finding.target),
        cause=finding.cause.replace(ORIGIN, ""),
        pages=[_in_folder(place, folder) for place in finding.pages],
    )


def _in_folder(place: FoundOn, folder: Folder) -> FoundOn:
    used_by = [folder.file_of(url) or folder.short(url) for url in place.used_by]
    return msgspec.structs.replace(place, url=folder.file_of(place.url) or folder.short(place.url), used_by=used_by)
