"""The Python API: `Crawl("https://example.org").run()` does the same as `crawler run` does.

from crawler import Crawl

def titles(page):
    return {"h1": [node.text() for node in page.css("h1")]}

if __name__ == "__main__":
    with Crawl("https://example.org", hook=titles, delay=0.5) as crawl:
        print(crawl.run())
        for record in crawl.records():
            print(record.url, record.data)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Unpack

from crawler import headers
from crawler.crawl.launcher import check_hook
from crawler.crawl.process import IN_WORKER
from crawler.crawl.purpose import Purpose
from crawler.crawl.redis_access import Say
from crawler.crawl.rule_set import with_rules
from crawler.crawl.seeds import Seeded, check_sources
from crawler.crawl.session import Session
from crawler.crawl.signals import ends_in_order, forget, left_by
from crawler.crawl.supervisor import run_workers
from crawler.errors import UsageError
from crawler.export import read
from crawler.frontier.frontier import Frontier
from crawler.frontier.status import Monitor, Status
from crawler.keywords import Keywords
from crawler.logs import open_log
from crawler.record import Record
from crawler.settings import coerce, load
from crawler.worker.hook import Hook, name_of, spec_of


def _say(line: str) -> None:
    with suppress(OSError):  # nobody may be there to read it
        print(f"crawler: {line}", file=sys.stderr)


class Crawl(AbstractContextManager["Crawl"]):
    """A crawl by name, on an embedded Redis or on *redis*. Settings are named as on the command line, with `_` for `-`.

    It is created or joined on first use of `seed`, `run`, `status` or `records`. Use it in a `with`, or call `close`.
    """

    def __init__(
        self,
        *seeds: str,
        name: str = "default",
        redis: str | None = None,
        hook: Hook | str | None = None,
        sitemaps: Sequence[str] = (),
        say: Say = _say,
        **settings: Unpack[Keywords],
    ) -> None:
        """*seeds* are URLs or files of URLs, *sitemaps* URLs of sitemaps.

        *hook* gets each Page in a worker and returns the value of the record's `data`.
        """
        flags: dict[str, Any] = {setting: coerce(setting, value) for setting, value in settings.items()}
        flags["crawl"] = coerce("crawl", name)
        if redis is not None:
            flags["redis"] = redis
        if hook is not None:
            flags["hook"] = hook if isinstance(hook, str) else spec_of(hook)
        self._seeds = seeds
        self._sitemaps = (sitemaps,) if isinstance(sitemaps, str) else tuple(sitemaps)
        loaded = load(flags)
        if loaded.file is not None:
            say(f"settings are read from {loaded.file}")
        if loaded.settings.log_file or loaded.settings.verbose:
            open_log(loaded.settings.log_file, loaded.settings.verbose, "command")
        self._session = Session(loaded, say)
        if hook is not None and not isinstance(hook, str) and loaded.settings.hook:  # no_hook takes it away
            self._session.hook_name = name_of(hook)
        self._frontier: Frontier | None = None
        self._hook_is_fine = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect from Redis; what the crawl stored stays."""
        self._frontier = None
        self._session.close()

    def _open(self, *, runs: bool = False) -> Frontier:
        if os.environ.get(IN_WORKER):
            raise UsageError('a worker is importing this script: put its crawl under `if __name__ == "__main__":`')
        if self._frontier is None:
            check_sources(self._seeds, self._sitemaps)
            with_rules(self._session.settings)  # report mistakes in them before anything is created
            self._session.__enter__()
            try:
                self._frontier = self._session.create_or_join(Purpose(self._seeds, self._sitemaps), runs=runs)
            except BaseException:
                self._session.close()
                raise
        elif runs:
            self._session.claim_hook(self._frontier)
        return self._frontier

    def seed(self, *sources: str) -> Seeded:
        """Add URLs, or the lines of files, to the frontier. Raises UsageError for a source that cannot be used."""
        check_sources(sources)
        with ends_in_order():
            return self._session.seed(self._open(), sources)

    def run(self, *, until_done: bool = True) -> Status:
        """Seed, crawl until nothing is left (or Ctrl-C), and return the crawl's status.

        Raises HookError, before anything is stored, if workers could not load the hook. Raises NoNetwork if no working
        machine could resolve or connect for too long. Raises SystemExit if the terminal was closed meanwhile (SIGHUP),
        or on SIGQUIT.
        """
        headers.require_hosts(self._session.settings.header, self._seeds or tuple(self._session.origins))
        with ends_in_order():
            self._check_hook()
            frontier = self._open(runs=True)
            if self._seeds or self._sitemaps:
                self._session.seed(frontier, self._seeds, self._sitemaps)
            forget()
            ended = run_workers(self._session, frontier, until_done=until_done)
        if (code := left_by()) is not None:
            raise SystemExit(code)
        ended.refuse_stuck()
        return ended.status

    def _check_hook(self) -> None:
        hook = self._session.settings.hook
        if hook and not self._hook_is_fine and not os.environ.get(IN_WORKER):
            check_hook(hook)
            self._hook_is_fine = True

    def status(self) -> Status:
        """The crawl's status now."""
        return Monitor(self._open()).look()

    def records(self) -> Iterator[Record]:
        """All records so far, in the order of their commits; `via` is a URL.

        Raises FrontierError at the end if some could not be read.
        """
        yield from read(self._open().crawldb.records)

    def delete(self) -> None:
        """Delete the crawl and everything it stored."""
        self._open()
        self._session.delete()
        self._frontier = None
        self._session.close()
