"""The crawl that a `Crawl` object has open: it is found, or created when something is put into it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from crawler.api.progress import NO_PROGRESS, NoProgress, Say
from crawler.config import Loaded, load
from crawler.crawl.hook_code import GivenHook
from crawler.crawl.hosts import check_of_host
from crawler.crawl.launcher import check_hook
from crawler.crawl.process import IN_WORKER
from crawler.crawl.purpose import Purpose
from crawler.crawl.rule_set import with_rules
from crawler.crawl.seeds import check_sources
from crawler.crawl.session import Session, place_of
from crawler.errors import CrawlerError, HookError, NoCrawl, UsageError
from crawler.frontier.frontier import Frontier
from crawler.logs import open_log
from crawler.settings import TABLE, Kind, coerce, stored_key
from crawler.worker.options import scope_of

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A URL, a file of URLs, `-` for stdin, or several of them."""


def say_on_stderr(line: str) -> None:
    """Print a message for people."""
    with suppress(OSError):  # nobody may be there to read it
        print(f"crawler: {line}", file=sys.stderr)


def sources_of(given: Iterable[Sources]) -> tuple[str, ...]:
    """URLs and files, taken out of lists and other iterables. UsageError for anything else."""
    found: list[str] = []
    for one in given:
        for source in (one,) if isinstance(one, str | os.PathLike) else _each(one):
            if not isinstance(source, str | os.PathLike):
                raise UsageError(f"a seed is a URL or a file of URLs, not {type(source).__name__}: {source!r:.80}")
            found.append(os.fsdecode(source))
    return tuple(found)


def _each(given: Any) -> Iterable[Any]:
    if isinstance(given, Iterable) and not isinstance(given, bytes | Mapping):
        return given
    return (given,)


def loaded_of(name: str, redis: str | None, hook: GivenHook | None, settings: Mapping[str, Any]) -> Loaded:
    """The settings of a program: its own, then those of the environment and of crawler.toml."""
    flags = {setting: coerce(setting, value) for setting, value in settings.items()}
    flags["crawl"] = coerce("crawl", name)
    if redis is not None:
        flags["redis"] = redis
    if hook is not None:
        flags["hook"] = hook.spec
    return load(flags)


class Access:
    """Opens the crawl of a program: the existing one for looking at it, a new one if there is anything to put in."""

    def __init__(self, loaded: Loaded, purpose: Purpose, hook: GivenHook | None, say: Say) -> None:
        self.loaded, self.purpose, self._say = loaded, purpose, say
        self.progress: NoProgress = NO_PROGRESS
        """Shows messages while it draws."""
        self._hook = hook if loaded.settings.hook else None  # no_hook takes it away
        self._hook_is_fine = False
        self.fresh = False
        """What the crawl stored is deleted when it is opened."""
        self._session: Session | None = None
        self._frontier: Frontier | None = None
        self._joined = False
        if loaded.file is not None:
            say(f"settings are read from {loaded.file}")
        if loaded.settings.log_file or loaded.settings.verbose:
            open_log(loaded.settings.log_file, loaded.settings.verbose, "command")

    def say(self, text: str) -> None:
        """Show a message, above the progress if that is drawn."""
        if self._say is not say_on_stderr or not self.progress.say(text):
            self._say(text)

    @property
    def is_open(self) -> bool:
        """Whether it is connected to Redis."""
        return self._session is not None

    @property
    def session(self) -> Session:
        """The session of an open crawl."""
        assert self._session is not None
        return self._session

    @property
    def origins(self) -> tuple[str, ...]:
        """Those that the program named when it seeded."""
        return () if self._session is None else tuple(self._session.origins)

    def close(self) -> None:
        """Disconnect from Redis."""
        session, self._session, self._frontier, self._joined = self._session, None, None, False
        if session is not None:
            session.close()

    def find(self, *, older: bool = False) -> Frontier:
        """The crawl to look at; created if there are seeds for it. Raises NoCrawl.

        *older*: one of an earlier version will do.
        """
        if self._frontier is not None:
            return self._frontier
        if self.purpose.sources or self.purpose.sitemaps or self.fresh:
            return self.join()
        session = self._begin_session(begins=False)
        self._frontier = self._or_close(lambda: session.find(older=older))
        return self._frontier

    def join(self, purpose: Purpose | None = None, *, runs: bool = False, begins: bool = True) -> Frontier:
        """The crawl to work on, with the settings of the program; created if *begins*. *runs*: workers will run.

        *purpose*: what is put in now; by default the seeds of the program.
        """
        if self._frontier is not None and self._joined:
            if runs:
                self._claim(self._frontier)
            return self._frontier
        check_sources(self.purpose.sources, self.purpose.sitemaps)
        with_rules(self.loaded.settings)  # report mistakes in them before anything is created
        session = self._begin_session(begins=begins)
        session.begins = session.begins or begins
        if self.fresh:
            with suppress(NoCrawl):
                session.delete()
            self.fresh = False
        self._frontier = self._or_close(lambda: session.create_or_join(purpose or self.purpose, runs=runs))
        self._joined = True
        return self._frontier

    def _claim(self, frontier: Frontier) -> None:
        """Refuse to run a crawl of other sites, or with another hook."""
        session = self.session
        if not session.made:
            where = f"crawl {session.settings.crawl!r} {place_of(self.loaded)}"
            self.purpose.check(frontier.crawldb, scope_of(session.settings), where)
        session.claim_hook(frontier)

    def _begin_session(self, *, begins: bool) -> Session:
        if os.environ.get(IN_WORKER):
            raise HookError(
                'a worker is importing this script for its hook: put its crawl under `if __name__ == "__main__":`'
            )
        if self._session is None:
            session = Session(self.loaded, self.say, begins=begins)
            if self._hook is not None:
                session.hook_name, session.hook_code = self._hook.name, self._hook.code
            session.__enter__()
            self._session = session
        return self._session

    def _or_close(self, open_: Any) -> Frontier:
        try:
            found: Frontier = open_()
        except BaseException:
            self.close()
            raise
        return found

    @contextmanager
    def instead(self, loaded: Loaded) -> Iterator[Session]:
        """A session with other settings, which is open inside the `with`; what was open before is closed."""
        self.close()
        given, self.loaded = self.loaded, loaded
        try:
            session = self._begin_session(begins=True)
            if self.fresh:
                with suppress(NoCrawl):
                    session.delete()
                self.fresh = False
            yield session
        finally:
            self.close()
            self.loaded = given

    def check_hook(self) -> None:
        """Raise HookError if workers could not load the hook. Nothing is stored before."""
        spec = self.loaded.settings.hook
        if spec and not self._hook_is_fine and not os.environ.get(IN_WORKER):
            check_hook(spec, self._hook.code if self._hook is not None else b"")
            self._hook_is_fine = True

    def delete(self) -> None:
        """Delete the crawl and everything it stored; nothing if there is none."""
        with suppress(NoCrawl):
            self._begin_session(begins=False).delete()
        self.close()


def close_forgotten(access: Access, pid: int) -> None:
    """Close what a program forgot to close, when its Crawl is collected or the program ends; not in a fork of it."""
    if os.getpid() == pid:
        with suppress(CrawlerError, OSError):
            access.close()


def purpose_of(seeds: Iterable[Sources], sitemaps: Sources, *, add: bool) -> Purpose:
    """What a program crawls. *add*: also if the crawl is of other sites."""
    return Purpose(sources_of(seeds), sources_of([sitemaps]), add)


def value_of(key: str, value: Any) -> Any:
    """The value of a setting that may change. UsageError for others."""
    key = stored_key(key)
    if TABLE[key].kind is Kind.FIXED:
        raise UsageError(f"{key} was fixed when the crawl was created: start over with fresh=True")
    return coerce(key, value)


def value_of_host(key: str, value: Any) -> Any:
    """The same of a setting for single hosts; None takes it away."""
    check_of_host(stored_key(key))
    return None if value in (None, "none") else coerce(key, value)
