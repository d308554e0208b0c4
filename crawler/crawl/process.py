"""One worker process: `main` reads its job from stdin; `live` makes its clients and runs the loop.

The job comes through a pipe, not as arguments, because it may contain passwords, which `ps` would show. The worker
writes why it ended, and what it waits for, into its watch file. So the pool reports a problem of many workers once.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from crawler.crawl import hook_code
from crawler.crawl.journal import Outlet
from crawler.errors import CrawlerError
from crawler.fetch import load_fetcher, open_fetcher
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.machine import raise_limit
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Backoff, Connection
from crawler.frontier.redis.embedded import EmbeddedRedis
from crawler.frontier.scripts import load_those_of_workers
from crawler.logs import Log, open_log
from crawler.settings import Settings
from crawler.url import load_suffixes
from crawler.worker.context import Context
from crawler.worker.engine import Engine
from crawler.worker.hook import refuse_other
from crawler.worker.hook_call import HookCalls
from crawler.worker.hook_output import capture
from crawler.worker.options import WorkerOptions, fetcher_options_of, plan_of
from crawler.worker.reporter import Reporter
from crawler.worker.watchdog import Watchdog

GRACE: Final = 10.0
"""Seconds that downloads in flight get when the worker is asked to stop."""
EXIT_CODES: Final = {"done": 10, "stopped": 11, "limit": 12, "gone": 13}
"""Exit code for each reason why the loop ended. Any other code is a death, 0 too: a hook may call exit."""
DEFECT: Final = 1
GIVES_UP: Final = 14
"""Exit code: it cannot work or continue, and neither could another worker. Its last message says why."""
LAST_WORDS: Final = 3.0
"""Seconds that a process may take to end after its loop: for threads and `atexit` functions of a hook."""

IN_WORKER: Final = "CRAWLER_IN_WORKER"
"""Set in the environment of workers: a script that is imported there for its hook must not crawl."""
_M_MMAP_THRESHOLD: Final = -3
_LARGE_BLOCK: Final = 512 << 10
NAME: Final = "crawler-worker"
"""The process name that `ps` and `top` show if they show no arguments; Linux allows 15 characters."""


class Job(msgspec.Struct, frozen=True):
    """The job of a worker process."""

    worker: str
    watch: str
    redis: str
    generation: str
    until_done: bool
    settings: Settings
    parent: int
    origins: tuple[str, ...] = ()
    """Origins that the command's SOURCEs name: they get the lines of `--header` that may be secrets."""
    events: int = -1
    """The descriptor of the pool's journal (see `journal.Outlet`); below 0: there is none."""
    hook_name: str = ""
    """The name of the hook that the command brings."""
    hook_code: bytes = b""
    """The hook itself, if it cannot be imported (see `hook_code`)."""
    embedded: tuple[bytes, int] | None = None
    """Folder of the embedded Redis, and the descriptor that keeps it alive (see `EmbeddedRedis.users_fd`)."""
    path: Sequence[str] = ()
    """Where a new interpreter searches for modules (see `hook.import_path`)."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the worker inherits."""
        return tuple(number for number in (self.events, *(self.embedded or ())[1:]) if number >= 0)


def main(job: bytes) -> int:
    """Run the worker of an encoded *job*. When this returns, the process has LAST_WORDS seconds left to end."""
    code = live(msgspec.json.decode(job, type=Job))
    end_within(LAST_WORDS, code, with_children=True)
    return code


def live(job: Job) -> int:
    """Run one worker until it is done or told to stop; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):  # its pool gets them, and decides
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(NAME)
    watch = Watchdog(Path(job.watch), hold=True)
    _keep_from_children(job, watch)
    try:
        code = _run_engine(job, watch)
    except CrawlerError as error:
        watch.say(f"{type(error).__name__} {error}")
        code = GIVES_UP
    if code != DEFECT:
        watch.enter("ended", str(code))
    if job.embedded is not None and os.getppid() != job.parent:
        with suppress(CrawlerError, OSError):  # there is nobody to report to; the next command in that folder stops it
            EmbeddedRedis.inherit(*job.embedded).leave()
    return code


def end_within(seconds: float, code: int, *, with_children: bool = False) -> None:
    """Make sure that this process ends, whatever a hook has left in it: threads, `atexit` functions, children.

    First it may end as any program does. After that it exits with *code*. *with_children*: its process group, which
    must be its own, is asked to end.
    """
    timer = threading.Timer(seconds, _exit, (code, with_children))
    timer.daemon = True
    timer.start()


def _exit(code: int, with_children: bool) -> None:
    names = [thread.name for thread in threading.enumerate() if not thread.daemon and thread.is_alive()]
    logging.getLogger("crawler").info("it does not end by itself, perhaps because of its threads: %s", ", ".join(names))
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if with_children and os.getpgrp() == os.getpid():  # they would keep inherited descriptors open
        with suppress(OSError):
            os.killpg(0, signal.SIGTERM)
    os._exit(code)


def _keep_from_children(job: Job, watch: Watchdog) -> None:
    """A hook's children inherit neither the embedded Redis nor the watch file: they may outlive this process."""
    held = [watch.fileno(), *job.descriptors]
    for number in job.descriptors:
        os.set_inheritable(number, False)

    def let_go() -> None:
        for number in held:
            with suppress(OSError):
                os.close(number)

    os.register_at_fork(after_in_child=let_go)


def _run_engine(job: Job, watch: Watchdog) -> int:
    raise_limit()
    outlet, settings = Outlet(job.events), job.settings
    report = outlet.message if job.events >= 0 else None
    log = open_log(settings.log_file, settings.verbose, job.worker, report, plain=settings.plain)
    if job.settings.hook:
        capture(lambda line: log.say(f"{job.worker}: {line}"))
    worker = build(job, watch, log, outlet)
    spare_the_collector()
    _keep_memory_flat()
    signal.signal(signal.SIGTERM, _stopper(worker))
    try:
        return EXIT_CODES[worker.run()]
    except CrawlerError as error:
        log.note(str(error))
        raise
    except Exception as error:  # a defect of ours: the pool settles what this worker held and starts another
        log.say(
            f"this is a defect of the crawler: {type(error).__name__}: {error}; the log has more with --log-file -v"
        )
        log.note(traceback.format_exc())
        return DEFECT
    finally:
        outlet.leave(0 if log.file is None else log.file.lost)


def spare_the_collector() -> None:
    """Objects of now stay to the end, and pages leave few cycles: the collector need not search either often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _keep_memory_flat() -> None:
    """Make glibc allocate large blocks (bodies, documents) from the system, and return them to it.

    By default it raises the size for which it does so (mallopt(3), M_MMAP_THRESHOLD), and holes stay in the heap.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def _stopper(worker: Engine) -> Callable[[int, object], None]:
    asked = 0

    def stop(_signal: int, _frame: object) -> None:
        nonlocal asked
        asked += 1
        worker.stop(GRACE if asked == 1 else 0.0)

    return stop


def load_for_workers(fetcher: str) -> None:
    """Load what every worker with this *fetcher* needs; copies of the pool's process inherit it."""
    load_those_of_workers()
    load_suffixes()
    load_fetcher(fetcher)


def _plan_of(job: Job, settings: Settings) -> WorkerOptions:
    """The options of a worker. Raises HookError if the crawl has another hook by now."""
    if not settings.no_hook:
        refuse_other(settings.crawl, job.hook_name, settings.hook_name)
    return plan_of(settings, job.origins)


def _hook_of(job: Job, watch: Watchdog, reporter: Reporter) -> HookCalls:
    def report(url: str, error: str) -> None:
        watch.say_failure(url, error)  # its pool says it once for all workers
        reporter.hook_failed(url, error)

    return HookCalls(hook_code.load(job.settings.hook or "", job.hook_code), report)


def build(job: Job, watch: Watchdog, log: Log, outlet: Outlet) -> Engine:
    """The worker and its own clients. Waits while Redis is away: that is no reason to give up the crawl."""
    own = job.settings
    patience = Backoff(log.note, trouble=watch.say)  # its pool reports that Redis is away
    patience.stopped = lambda: os.getppid() != job.parent
    connection = Connection(job.redis, patience=patience)
    load_for_workers(own.fetcher)
    frontier = Frontier.find(connection, own.crawl)
    settings = own.with_stored(frontier.crawldb.settings())
    connection.patience = None  # from now on the loop does other work meanwhile
    plan, reporter = _plan_of(job, settings), reporter_of(job, log, outlet)

    def replan(raw: bytes) -> WorkerOptions:
        return _plan_of(job, own.with_stored(raw))

    def refit(raw: bytes) -> Fetcher:
        return open_fetcher(own.fetcher, fetcher_options_of(own.with_stored(raw), job.origins))

    tools = Context(
        frontier=frontier,
        fetcher=open_fetcher(own.fetcher, fetcher_options_of(settings, job.origins)),
        watch=watch,
        say=log.say,
        note=log.note,
        patience=patience,
        replan=replan,
        refit=refit,
        orphaned=lambda: os.getppid() != job.parent,
        # SIGALRM kills by default, also while a parser holds the GIL.
        fuse=lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds),
        hook=_hook_of(job, watch, reporter) if own.hook else None,
        reporter=reporter,
    )
    return Engine(job.worker, tools, plan, until_done=job.until_done)


def reporter_of(job: Job, log: Log, outlet: Outlet) -> Reporter:
    """Reports what the worker of *job* saw: events to its pool, URLs that ended to the log and to those who listen."""
    own = job.settings
    lines = [*([log.write] if own.log_file or own.verbose else []), *([outlet.urls] if own.publish_urls else [])]
    return Reporter(job.worker, outlet.event, lines)
