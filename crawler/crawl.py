"""The Python face: `Crawl("https://example.org").run()` does what `crawler run` does.

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
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from crawler import seeding
from crawler.config import TABLE, Kind, Loaded, Settings, coerce, format_value, load
from crawler.errors import (
    CrawlDeleting,
    CrawlerError,
    CrawlExists,
    FixedSetting,
    NoCrawl,
    RedisAway,
    RedisUnavailable,
    UsageError,
)
from crawler.frontier.frontier import Frontier
from crawler.frontier.ledger import START, Ledger, crawls
from crawler.frontier.link import Link, Patience
from crawler.hook import Hook
from crawler.monitor.status import Monitor, Status
from crawler.plan import limits_of, plan_of, scope_of
from crawler.pool import IN_WORKER, STOP_PATIENCE, Losses, Pool
from crawler.records import Record
from crawler.redis_server import EmbeddedRedis, check_server
from crawler.seeding import Seeded

TICK: Final = 0.1
LOOK_EVERY: Final = 0.5

Say = Callable[[str], None]


class Session:
    """A command's way to its Redis, embedded or shared, and to the crawl that its settings name."""

    def __init__(self, loaded: Loaded, say: Say, *, begins: bool = True) -> None:
        """*begins*: a crawl may begin here; else no embedded Redis is made where none was."""
        self.settings = loaded.settings
        self._begins = begins
        self._made = False
        self.named = loaded.named
        self.say = say
        self.patience = Patience(say)
        self._server: EmbeddedRedis | None = None
        self._link: Link | None = None

    def __enter__(self) -> Self:
        """Reach Redis: start or join the embedded one where none is named. Raises RedisUnavailable, NoCrawl."""
        if not self._begins and not has_begun(self.settings):
            raise NoCrawl(f"there is no crawl {self.settings.crawl!r}: begin one with `crawler run` or `crawler seed`")
        if self.settings.redis is None:
            self._server = EmbeddedRedis(Path(self.settings.folder))
            self._server.__enter__()
        try:
            self._link = Link(self.url)
            warnings = self._link.ask(lambda: check_server(self.link.client))
        except BaseException:
            self.close()
            raise
        if self._server is None:
            for warning in warnings:
                self.say(f"warning: {warning}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave Redis; the last to leave an embedded one stops it."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._server is not None:
            self._server.leave()
            self._server = None

    @property
    def url(self) -> str:
        """Where Redis is."""
        if self._server is not None:
            return self._server.url
        return self.settings.redis or ""

    @property
    def link(self) -> Link:
        """The connection of this process."""
        if self._link is None:
            raise RedisUnavailable("the session is closed")
        return self._link

    @property
    def inherited(self) -> tuple[int, ...]:
        """Descriptors that workers must inherit: they keep the embedded Redis alive."""
        return () if self._server is None else (self._server.users_fd,)

    def mend(self) -> None:
        """Start the embedded Redis again if it died."""
        if self._server is not None:
            self._server.ensure()

    @property
    def ledger(self) -> Ledger:
        """What the crawl has stored."""
        return Ledger(self.link, self.settings.crawl)

    def names(self) -> list[str]:
        """All crawls on this Redis."""
        return crawls(self.link)

    # -- the crawl -----------------------------------------------------------------------------------------------------

    def find(self) -> Frontier:
        """The crawl that is there; its stored settings become this session's. Raises NoCrawl."""
        frontier = Frontier.find(self.link, self.settings.crawl)
        self.settings = self.stored()
        return frontier

    def stored(self) -> Settings:
        """This session's settings with those of the crawl as they are now."""
        return self.settings.with_stored(self.ledger.meta().get("settings", b"{}"))

    def require(self) -> None:
        """Raise NoCrawl where there is no crawl to join."""
        Frontier.find(self.link, self.settings.crawl)

    def wait_for(self, what: str, stopped: Callable[[], bool] = lambda: False) -> Frontier | None:
        """The crawl as soon as it is there, telling once that *what* waits; None when *stopped* meanwhile."""
        told = False
        while not stopped():
            try:
                frontier = self.find()
            except NoCrawl:
                self.patience.answered()
                if not told:
                    told = True
                    self.say(f"{what}: waiting for crawl {self.settings.crawl!r} to begin (`crawler seed`)")
                time.sleep(0.2)
            except RedisAway as error:
                time.sleep(self.patience.failed(error))
            else:
                self.patience.answered()
                return frontier
        return None

    def create_or_join(self) -> Frontier:
        """The crawl: made with these settings, or the one that is there with its changeable settings changed.

        Raises FixedSetting where one that is fixed was named with another value.
        """
        plan_of(self.settings)  # what cannot be used is said before anything is made
        try:
            frontier = Frontier.create(self.link, self.settings.crawl, self.settings.encode(), limits_of(self.settings))
        except CrawlExists:
            return self._join()
        self._made = True
        if self.settings.max_time is not None:
            frontier.configure(self.settings.encode(), limits_of(self.settings), self.settings.max_time)
        return frontier

    def _join(self) -> Frontier:
        asked = self.settings
        frontier = self.find()
        changed = {name: getattr(asked, name) for name in self.named if TABLE[name].kind is Kind.CHANGEABLE}
        for name in self.named:
            there, wanted = getattr(self.settings, name), getattr(asked, name)
            if TABLE[name].kind is Kind.FIXED and there != wanted:
                flag = name.replace("_", "-")
                raise FixedSetting(
                    f"crawl {asked.crawl!r} was begun with --{flag} {format_value(name, there)}, which cannot change:"
                    f" leave it out, name another --crawl, or start over with `crawler run --fresh`"
                )
        self.change(frontier, changed)
        return frontier

    def change(self, frontier: Frontier, changed: dict[str, Any]) -> None:
        """Change settings of the crawl, and say which."""
        different = {name: value for name, value in changed.items() if value != getattr(self.settings, name)}
        plan_of(replace(self.settings, **different))  # what cannot be used is said before anything is changed
        for name, value in different.items():
            before = format_value(name, getattr(self.settings, name))
            self.say(f"{name.replace('_', '-')}: {before} -> {format_value(name, value)}")
        if not different and changed.get("max_time") is None:
            return
        self.settings = replace(self.settings, **different)
        max_time = self.settings.max_time if "max_time" in changed else "-"
        frontier.configure(self.settings.encode(), limits_of(self.settings), max_time)

    def delete(self) -> int:
        """Take the crawl and all it stored away; how many keys there were."""
        frontier = self.find()
        frontier.delete()
        return self.ledger.sweep()

    def discard(self, frontier: Frontier) -> None:
        """Take a crawl away that was made by this session and got no URL: its settings should not bind the next."""
        if self._made and frontier.state().accepted == 0:
            self.delete()

    def seed(self, frontier: Frontier, sources: Sequence[str], progress: Callable[[Seeded], None]) -> Seeded:
        """Put the URLs of *sources* (URLs, files, `-`) into the frontier."""
        return seeding.seed(
            frontier, scope_of(self.settings), seeding.lines(sources), refuse=self.say, progress=progress
        )


def has_begun(settings: Settings) -> bool:
    """Whether there can be a crawl: on a shared Redis always, else when an embedded one was there before."""
    return settings.redis is not None or Path(settings.folder).is_dir()


@dataclass(frozen=True, slots=True)
class Ended:
    """How `work` ended."""

    status: Status
    losses: Losses
    seconds: float
    interrupted: bool


def work(
    session: Session, frontier: Frontier, *, until_done: bool, show: Callable[[Status, float], None] = lambda *_: None
) -> Ended:
    """Run worker processes until the crawl is over or a signal comes; *show* gets a snapshot twice a second."""
    began = time.monotonic()
    monitor = Monitor(frontier, session.ledger)
    pool = Pool(
        frontier,
        session.ledger,
        session.settings,
        redis_url=session.url,
        until_done=until_done,
        say=session.say,
        pass_fds=session.inherited,
    )
    with interrupts() as asked:
        try:
            pool.start(session.settings.workers or os.cpu_count() or 1)
            _watch(session, pool, monitor, asked, lambda status: show(status, time.monotonic() - began))
        except BaseException:
            pool.kill()
            raise
        interrupted = asked() > 0
    # Who interrupts does not want to wait for a Redis that is away: RedisAway is all there is to say then.
    status = monitor.look() if interrupted else session.patience.through(monitor.look)
    return Ended(status, pool.losses, time.monotonic() - began, interrupted)


def _watch(
    session: Session, pool: Pool, monitor: Monitor, asked: Callable[[], int], show: Callable[[Status], None]
) -> None:
    """Tick the pool until its workers are gone; the first signal asks them to leave, the second ends them."""
    told, kill_at, look_at = 0, float("inf"), 0.0
    while pool.tick():
        now = time.monotonic()
        if asked() > told:
            told = asked()
            if told == 1:
                session.say("stopping: transfers in flight may end; once more stops at once")
                pool.stop()
                kill_at = now + STOP_PATIENCE
            else:
                kill_at = now
        if now >= kill_at:
            pool.kill()
            return
        if now >= look_at:
            look_at = now + LOOK_EVERY
            _look(session, pool, monitor, show)
        time.sleep(TICK)


def _look(session: Session, pool: Pool, monitor: Monitor, show: Callable[[Status], None]) -> None:
    patience = session.patience
    if patience.since is not None and time.monotonic() < patience.again_at:
        return
    try:
        status = monitor.look()
        pool.page_timeout = session.stored().page_timeout
    except RedisAway as error:
        patience.failed(error)
        session.mend()
    except (NoCrawl, CrawlDeleting):
        return  # the workers see it as well, and leave
    else:
        patience.answered()
        show(status)


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """Count SIGINT and SIGTERM instead of dying of them, up to the third; outside the main thread none is counted."""
    count = 0

    def note(_signal: int, _frame: object) -> None:
        nonlocal count
        count += 1
        if count > 2:  # whoever counts does not look: it waits for a Redis that is away, for example
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: count
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Crawl(AbstractContextManager["Crawl"]):
    """A crawl by its name, on an embedded Redis or on *redis*. Settings are the command line's, with `_` for `-`.

    Made or joined when it is first used: `seed`, `run`, `status`, `records`. Use it in a `with`, or call `close`.
    """

    def __init__(
        self,
        *seeds: str,
        name: str = "default",
        redis: str | None = None,
        hook: Hook | str | None = None,
        say: Say = lambda line: print(f"crawler: {line}", file=sys.stderr),
        **settings: Any,
    ) -> None:
        """*seeds* are URLs or files of URLs. *hook* gets each Page in a worker and returns what `data` shall be."""
        flags = {setting: coerce(setting, value) for setting, value in settings.items()}
        flags["crawl"] = coerce("crawl", name)
        if redis is not None:
            flags["redis"] = redis
        if hook is not None:
            flags["hook"] = hook if isinstance(hook, str) else _hook_spec(hook)
        self._seeds = seeds
        self._session = Session(load(flags), say)
        self._frontier: Frontier | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave Redis; what the crawl stored stays."""
        self._frontier = None
        self._session.close()

    def _open(self) -> Frontier:
        if os.environ.get(IN_WORKER):
            raise UsageError('a worker is importing this script: put its crawl under `if __name__ == "__main__":`')
        if self._frontier is None:
            seeding.check(self._seeds)
            self._session.__enter__()
            try:
                self._frontier = self._session.create_or_join()
            except BaseException:
                self._session.close()
                raise
        return self._frontier

    def seed(self, *sources: str) -> Seeded:
        """Put URLs, or the lines of files, into the frontier. Raises UsageError for a source that cannot be used."""
        seeding.check(sources)
        return self._session.seed(self._open(), sources, lambda _: None)

    def run(self, *, until_done: bool = True) -> Status:
        """Seed, crawl until nothing is left (or Ctrl-C), and say what the crawl is at."""
        frontier = self._open()
        if self._seeds:
            self._session.seed(frontier, self._seeds, lambda _: None)
        return work(self._session, frontier, until_done=until_done).status

    def status(self) -> Status:
        """What the crawl is at now."""
        return Monitor(self._open(), self._session.ledger).look()

    def records(self) -> Iterator[Record]:
        """All records so far, in the order of their commits; `via` is a URL."""
        frontier = self._open()
        ledger, cursor = Ledger(self._session.link, frontier.crawl), START
        while True:
            found, after = ledger.records(cursor)
            if after == cursor:
                return
            via = ledger.urls(sorted({stored.record.via for stored in found if stored.record.via}))
            for stored in found:
                yield msgspec.structs.replace(stored.record, via=via.get(stored.record.via or ""))
            cursor = after

    def delete(self) -> None:
        """Take the crawl and all it stored away."""
        self._open()
        self._session.delete()
        self._frontier = None
        self._session.close()


def _hook_spec(hook: Hook) -> str:
    """A function as `module:function`, by which each worker finds it again."""
    name, module = getattr(hook, "__qualname__", ""), getattr(hook, "__module__", None)
    if not name.isidentifier() or not isinstance(module, str):
        raise CrawlerError("the hook must be a function at the top of a module: workers import it by its name")
    if module != "__main__":
        return f"{module}:{name}"
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        raise CrawlerError("the hook must be in a file: workers import it from there")
    return f"{Path(file).absolute()}:{name}"
