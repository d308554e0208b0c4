"""`Crawl`: the Python API. It does what the commands do, with the same names."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from os import fsdecode
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from crawler import headers
from crawler.api.access import (
    Access,
    Sources,
    close_forgotten,
    loaded_of,
    purpose_of,
    say_on_stderr,
    sources_of,
    value_of,
    value_of_host,
)
from crawler.api.background import Background, Stops
from crawler.api.check import CheckOptions, checked
from crawler.api.progress import NO_PROGRESS, Say, progress_for
from crawler.api.recrawl import RecrawlOptions, begin_recrawl
from crawler.api.rows import ExportOptions, Path, several, stored, table, written
from crawler.crawl.hook_code import GivenHook
from crawler.crawl.hosts import listed, set_for
from crawler.crawl.purpose import Purpose
from crawler.crawl.recrawl import refuse_failed
from crawler.crawl.rule_set import read_rule_file
from crawler.crawl.seeds import Seeded, check_sources
from crawler.crawl.session import place_of
from crawler.crawl.signals import ends_in_order, forget, left_by
from crawler.crawl.supervisor import Ended, Way, run_workers
from crawler.errors import HookError, RedisUnavailable, UsageError
from crawler.export import follow, read
from crawler.export.since import When
from crawler.findings import Finding
from crawler.frontier import blocks
from crawler.frontier.frontier import Frontier
from crawler.frontier.host_facts import HostRow
from crawler.frontier.redis.connection import Backoff
from crawler.frontier.status import Monitor, Status
from crawler.keywords import Changeable, Keywords, Strings
from crawler.monitor.dead_letters import Failure, Filter, Retried, failures, letters_of, retry
from crawler.monitor.explain import Explanation, explain
from crawler.record import Record
from crawler.text import counted
from crawler.worker.hook import Hook, hook_name

T = TypeVar("T")


class Crawl:
    """A crawl by name, on an embedded Redis or on *redis*.

        from crawler import Crawl, Page

        def headings(page: Page):
            return {"h1": [node.text(strip=True) for node in page.css("h1")]}

        if __name__ == "__main__":
            with Crawl("https://example.org", hook=headings, delay=0.5, max_pages=1000) as crawl:
                for record in crawl:                 # as pages are fetched; or crawl.run(), then crawl.records()
                    print(record.url, record.data)

    Seeds are URLs or files of URLs: one, several, or lists of them. Settings have the names of the command line with
    `_` for `-`; docs/settings.md lists them, an editor completes them. Times are in seconds or have a unit ("500ms"),
    sizes are in bytes or have a unit ("10MiB"); None is "no limit".

    The crawl stays when the program ends: the same program continues it. Use the object in a `with`, or call `close`.
    All errors are CrawlerErrors with a message of one line. `stop` may be called from any thread or signal handler,
    everything else from one thread at a time.
    """

    def __init__(  # noqa: PLR0913 - one for each keyword
        self,
        *seeds: Sources,
        name: str = "default",
        redis: str | None = None,
        hook: Hook | str | None = None,
        sitemaps: Sources = (),
        add: bool = False,
        fresh: bool = False,
        say: Say = say_on_stderr,
        **settings: Unpack[Keywords],
    ) -> None:
        """Nothing is opened or stored yet.

        name: the crawl's name on its Redis.
        redis: the URL of a shared Redis; without it one is started in the folder `.crawler`.
        hook: a function that workers call with each Page, or its name as "module:function" (docs/hooks.md).
        sitemaps: URLs of sitemaps to read as well.
        add: the seeds may be of other sites than those that the crawl has.
        fresh: delete what the crawl stored before, when it is first used.
        say: gets each message for people; by default they go to stderr.
        """
        given = None if hook is None else GivenHook.of(hook)
        loaded = loaded_of(name, redis, given, settings)
        self._access = Access(loaded, purpose_of(seeds, sitemaps, add=add), given, say)
        self._access.fresh = fresh
        self._stops = Stops()
        self._background: Background | None = None
        self._is_running = False
        self._monitor: Monitor | None = None
        weakref.finalize(self, close_forgotten, self._access, os.getpid())

    def __repr__(self) -> str:
        return f"<Crawl {self._access.loaded.settings.crawl!r} {place_of(self._access.loaded)}>"

    def __enter__(self) -> Self:
        """Nothing is opened yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Stop workers that run in the background, and disconnect from Redis. What the crawl stored stays."""
        if self._background is not None:
            self._background.stop()
        self._monitor = None
        self._access.close()

    # -- crawling ------------------------------------------------------------------------------------------------------

    def seed(self, *sources: Sources, sitemaps: Sources = ()) -> Seeded:
        """Add URLs, or the lines of files, without an argument those of this object; returns how many were new.

        UsageError for a source that cannot be used.
        """
        urls, of_sitemaps = sources_of(sources), sources_of([sitemaps])
        if not (urls or of_sitemaps):
            urls, of_sitemaps = tuple(self._access.purpose.sources), tuple(self._access.purpose.sitemaps)
        check_sources(urls, of_sitemaps)
        with ends_in_order():
            frontier = self._access.join(Purpose(urls, of_sitemaps))
            return self._access.session.seed(frontier, urls, of_sitemaps)

    def run(self, *, until_done: bool = True, progress: bool = True) -> Status:
        """Seed, crawl until nothing is left, it was stopped, or Ctrl-C; returns the crawl's status.

        until_done: False waits for more URLs, which others may add, until it is stopped.
        progress: show it on the terminal or in the notebook.

        Raises HookError, before anything is stored, if workers cannot load the hook; HookFailed if it failed in all
        calls; NoNetwork if no worker could resolve or connect for too long; SystemExit if the terminal was closed.
        """
        try:
            return self._run(until_done, progress)
        except HookError as error:  # the traceback would be that of our own functions
            raise error.with_traceback(None) from None

    def _run(self, until_done: bool, progress: bool) -> Status:
        with ends_in_order(), self._running():
            frontier, before = self._begin(waits=not until_done)
            if until_done and before.done:
                if progress:
                    pages = counted(before.fetched, "page")
                    again = "recrawl() visits them again, fresh=True starts over"
                    self._access.say(f"crawl {before.crawl!r} is done with {pages}; {again}")
                return before
            ended = self._work(frontier, Way(until_done), progress)
        return self._judged(ended)

    def _work(self, frontier: Frontier, way: Way, progress: bool) -> Ended:
        """Run workers. Raises SystemExit if the terminal was closed meanwhile."""
        shown = self._access.progress = progress_for(progress, self._access.say)
        ended = None
        try:
            ended = run_workers(self._access.session, frontier, way, show=shown, stops=self._stops)
        finally:
            self._access.progress = NO_PROGRESS
            shown.close(ended)
        if (code := left_by()) is not None:
            raise SystemExit(code)
        return ended

    def recrawl(self, *, progress: bool = True, **options: Unpack[RecrawlOptions]) -> Status:
        """Queue the URLs that are due to be visited again, crawl until nothing is left; returns the crawl's status.

        Without a choice those are due whose time has come by the schedule; docs/recrawl.md has the others: older_than,
        host, match, status; queue_only, follow. `found` of the status is what the visit found. The same call continues
        a recrawl that was stopped. Raises UsageError if nothing was visited yet, or another recrawl is under way;
        NothingFetched if all that was due failed; else as `run`.
        """
        with ends_in_order(), self._running():
            frontier, way = begin_recrawl(self._access, options, self._stops, show=progress)
            if way is None:
                return self._look(frontier)
            ended = self._work(frontier, way, progress)
        if not ended.interrupted:
            refuse_failed(ended.status)
        return self._judged(ended)

    def check(self, *, progress: bool = True, **options: Unpack[CheckOptions]) -> list[Finding]:
        """What is broken on the seeds' sites, or in the folder that is the seed, and where (docs/check.md)."""
        with ends_in_order(), self._running():
            return checked(self._access, options, self._stops, lambda *run: self._work(run[0], run[1], progress))

    def __iter__(self) -> Iterator[Record]:
        """Crawl, and yield each record: what is stored already, then what comes, until the crawl is done or stopped.

        Workers run in the background meanwhile. Leaving the loop stops them in order, and so does Ctrl-C. `via` and
        `duplicate_of` of a record are URLs. A URL that comes twice was tried again: the later record holds.
        """
        with ends_in_order(), self._running():
            try:
                frontier, before = self._begin()
            except HookError as error:  # as in `run`
                raise error.with_traceback(None) from None
            if before.done:
                yield from read(frontier.crawldb.records)
                return
            with closing(self._access.session.redis.new_connection()) as connection:
                yield from self._follow(frontier.on(connection))

    def _follow(self, frontier: Frontier) -> Iterator[Record]:
        """The records of a crawl on a connection of its own, while workers run in the background."""
        session = self._access.session
        background = self._background = Background(
            lambda stops: run_workers(session, frontier, Way(), stops=stops), self._stops
        )
        patience = Backoff(lambda _: None)  # who watches the workers reports that Redis is away
        patience.stopped = lambda: background.is_over
        frontier.connection.patience = patience
        try:
            yield from follow(frontier.crawldb.records, lambda: background.is_over, background.wait)
        except RedisUnavailable:
            if self._access.is_open:  # else it was closed within the loop
                raise
        finally:
            background.stop()
            self._background = None
        if self._access.is_open:
            self._judged(background.result())

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Inside, the crawl is run and cannot be run again."""
        if self._is_running:
            raise UsageError("this crawl is running: leave its loop, or stop() it, before it is run again")
        self._stops.forget()
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False

    def _begin(self, *, waits: bool = False) -> tuple[Frontier, Status]:
        """Check everything, then join and seed the crawl; its status before any worker runs. *waits*: for more URLs."""
        access, purpose = self._access, self._access.purpose
        has_seeds = bool(purpose.sources or purpose.sitemaps)
        if access.fresh and not (has_seeds or waits):
            raise UsageError("fresh=True starts over: name the seeds to start from")
        headers.require_hosts(access.loaded.settings.header, purpose.sources or access.origins)
        access.check_hook()
        frontier = access.join(runs=True, begins=has_seeds or waits)
        if has_seeds:
            access.session.seed(frontier, purpose.sources, purpose.sitemaps)
        forget()
        before = self._look(frontier)
        if before.accepted == 0 and not waits:
            access.session.discard(frontier)
            raise UsageError("nothing to crawl: give a URL or a file of URLs")
        if before.state == "paused":
            access.say(f"crawl {before.crawl!r} is paused: resume() continues it")
        return frontier, before

    def _judged(self, ended: Ended) -> Status:
        ended.refuse_stuck()
        if not ended.interrupted:
            self._access.session.refuse_failed_hook(ended.status)
        return ended.status

    def stop(self) -> None:
        """Stop a run, or the loop over the crawl: pages in flight may finish. The second call stops at once.

        It returns at once. Without a run it does nothing.
        """
        self._stops.ask()

    def pause(self) -> None:
        """Give workers no more URLs until `resume`, on all machines. Pages in flight finish."""
        self._access.find().pause()

    def resume(self) -> None:
        """Give workers URLs again after `pause`."""
        self._access.find().resume()

    # -- changing ------------------------------------------------------------------------------------------------------

    def set(
        self,
        *,
        host: Strings | None = None,
        hook: str | None = None,
        rules: Path | None = None,
        **changes: Unpack[Changeable],
    ) -> None:
        """Change settings: `crawl.set(delay="2s")`. Workers on all machines apply them within seconds.

        With *host* (a name, name:port, or *.name for a name and all below it) they hold for that host alone, or for
        several; possible are delay, per_host and max_pages_per_host. "none" takes such a setting away. *hook* is the
        name of the crawl's hook from now on, workers with another one leave; *rules* a file of extraction rules that
        replace those of the crawl. "none" takes either away.
        """
        frontier, session = self._access.find(), self._access.session
        of_hosts = {key: value_of_host(key, value) for key, value in changes.items()} if host is not None else {}
        if host is None:
            session.change(frontier, {key: value_of(key, value) for key, value in changes.items()})
        if hook is not None:
            session.set_hook(frontier, "" if hook == "none" else hook_name(hook))
        if rules is not None:
            session.set_rules(frontier, "" if rules == "none" else read_rule_file(fsdecode(rules)))
        for key, value in of_hosts.items():
            set_for(frontier, key, value, several(host))

    def block(self, *hosts: str) -> int:
        """Hand out no URL of these hosts until `unblock`, and accept none; how many queued URLs are held."""
        return blocks.block(self._access.find(), list(map(blocks.name_of, hosts)))[1]

    def unblock(self, *hosts: str) -> int:
        """Hand out the URLs of these hosts again; how many wait. UsageError if none of them is blocked."""
        known, waiting = blocks.unblock(self._access.find(), list(map(blocks.name_of, hosts)))
        if not known:
            raise UsageError(f"{', '.join(hosts)} is not blocked: hosts(blocked=True) lists what is")
        return waiting

    def retry(
        self,
        *,
        reason: Strings = (),
        host: Strings = (),
        urls: Strings | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Retried:
        """Queue URLs that were given up again, as if never tried: these *urls*, those that match, or all.

        The rest is as in `failed`. `run` then fetches them; workers that are running do so at once.
        """
        frontier, retried = self._access.find(), Retried()
        chosen = Filter.of(frontier.crawldb, several(reason), several(host), since, until)
        if urls is not None and chosen:
            raise UsageError("retry: name urls, or choose by reason, host, since, until")
        named = None if urls is None else several(urls)
        access = self._access
        of_urls = letters_of(frontier, access.session.settings, named or (), retried, access.say)
        retry(frontier, chosen.pick(frontier.crawldb) if named is None else of_urls, retried)
        return retried

    def delete(self) -> None:
        """Delete the crawl and everything it stored. Nothing happens if there is none."""
        if self._is_running:
            raise UsageError("this crawl is running: leave its loop, or stop() it, before it is deleted")
        self._monitor = None
        self._access.delete()

    # -- looking -------------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """The crawl's status now. Its `rate` is since the last call."""
        return self._look(self._access.find())

    def _look(self, frontier: Frontier) -> Status:
        self._monitor = self._monitor or Monitor(frontier)
        return self._monitor.look()

    def records(self, *, changed_since: When | None = None) -> Iterator[Record]:
        """All records so far, in the order in which their URLs ended; `via` and `duplicate_of` are URLs.

        changed_since: only what visits found new, changed, gone or moved since then, each URL as it is now; what is
        gone or moved has no contents. A date or datetime (without a zone it is UTC), a time ago ("7d", a timedelta),
        or "last": since the latest visit began.

        Raises FrontierError at the end if some could not be read.
        """
        return self._open_while(stored(self._access.find(older=True).crawldb, changed_since))

    def _open_while(self, values: Iterable[T]) -> Iterator[T]:
        """*values*; this object is not collected, and so not closed, before they are read."""
        yield from values

    def rows(
        self,
        fields: Strings = (),
        *,
        items: bool = False,
        only: Strings = (),
        status: Strings = (),
        changed_since: When | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Records so far as dicts for a table, such as `pandas.DataFrame(crawl.rows())`.

        All have the same keys, None where a value is unknown: all fields of a record, or *fields*, of which
        "data.price" is what a hook returned as `price`. With *items* there is a row for each item that a hook
        returned, with its own keys beside `url`. *only* are outcomes ("fetched", "failed"), *status* HTTP statuses
        ("200", "4xx"). *changed_since* is as in `records`; with *items* a page that has none any more, or is gone, has
        a row with its URL alone.
        """
        crawldb = self._access.find(older=True).crawldb
        return self._open_while(table(crawldb, fields, items, only, status, changed_since))

    def hosts(
        self, match: str = "", *, failing: bool = False, blocked: bool = False, sort: str = "queued"
    ) -> Iterator[HostRow]:
        """The hosts of the crawl: those that *match* a host or a pattern such as "*.example.org", or all.

        Sorted by queued, done, errors, latency, due, or name. *failing*: only those that fail now.
        """
        return iter(listed(self._access.find().crawldb, match, failing=failing, blocked=blocked, sort=sort))

    def failed(
        self, *, reason: Strings = (), host: Strings = (), since: str | None = None, until: str | None = None
    ) -> Iterator[Failure]:
        """URLs that were given up, oldest first.

        *reason* is an outcome, with or without "failed:", *host* a host, with its port if any; both may be several.
        *since* and *until* are times ago ("2h") or dates ("2026-01-31T12:00:00Z").
        """
        crawldb = self._access.find().crawldb
        chosen = Filter.of(crawldb, several(reason), several(host), since, until)
        return self._open_while(failures(crawldb, chosen.pick(crawldb)))

    def explain(self, url: str) -> Explanation:
        """What the crawl knows of one URL, how it was found, and which rule decides; print() shows it."""
        frontier = self._access.find()
        return explain(frontier, self._access.session.settings, url)

    def export(self, output: Path, **options: Unpack[ExportOptions]) -> int:
        """Write the records so far to a file, a folder or a database; returns how many records were written.

        The ending of *output* decides the format: "pages.jsonl", "pages.csv.gz", "pages.parquet", "pages.sqlite",
        "site.md" and others (docs/formats.md); with a / at the end it is a folder; "s3://bucket/pages.parquet/"
        is in a bucket (docs/s3.md). A file appears whole at the end.

        format: its name, if the ending does not show it. fields, items, only, status: as in `rows`.
        unique: of copies and near copies the earliest page alone.
        raw_cells: CSV: do not escape cells that a spreadsheet would run.
        state: a file for the progress: the same export again adds only what is new.
        changed_since: as in `records`; with a state the next export continues where this one ends.
        drain: free Redis of each record that is safely in the output.
        """
        return written(self._access, output, options)
