"""Servers made to break crawlers, beside a hundred normal pages: one outcome each, and the others do not notice."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

import pytest
import trustme

from crawler import fetch as engines
from crawler.record import OUTCOMES
from tests.fetch.hostile import HTML, digest, document
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, Json, Running, peak_memory, wait_until
from tests.stories.hostile import ANSWERS, MAX_LINKS, Answer, Stage
from tests.stories.hostile_scenes import SCENES, Scene
from tests.stories.sites import Site, Sites

pytestmark = pytest.mark.slow

NORMAL: Final = 100
MAX_MEMORY: Final = 400 * 1024 * 1024
"""Bytes a worker may have in memory at most, whatever comes."""
LIMITS: Final = {
    "--timeout": "8s",
    "--page-timeout": "3s",  # less than --timeout: a page that hangs must not be the end of what loads beside it
    "--host-patience": "4s",
    "--retries": "0",
    "--max-links": str(MAX_LINKS),
}

each_fetcher = pytest.mark.parametrize("fetcher", engines.ENGINES)


class _Memory(threading.Thread):
    """Looks at the workers' peaks until told to stop."""

    def __init__(self, going: Running) -> None:
        super().__init__(daemon=True)
        self._going = going
        self._over = threading.Event()
        self.peaks: dict[int, int] = {}

    def run(self) -> None:
        while not self._over.wait(0.05):
            for pid in self._going.workers():
                self.peaks[pid] = max(self.peaks.get(pid, 0), peak_memory(pid))

    def stop(self) -> int:
        """The highest peak, in bytes."""
        self._over.set()
        self.join()
        return max(self.peaks.values())


@pytest.fixture
def stage(commands: Commands, sites: Sites) -> Iterator[Stage]:
    """All situations, and an authority that the commands trust."""
    authority = trustme.CA()
    bundle = commands.base / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    commands.env["SSL_CERT_FILE"] = str(bundle)
    with ExitStack() as stack:
        made = Stage(sites, authority, stack)
        situations: list[Answer | Scene] = [*ANSWERS, *SCENES]
        for situation in situations:
            situation.play(made)
        yield made


def _normal(stage: Stage, site: Site) -> None:
    """A hundred pages as they should be."""
    paths = [f"/{n}" for n in range(NORMAL)]
    for path in paths:
        body = document(path)
        stage.found(site.serve(path, body, headers=HTML), title=path, digest=digest(body), attempts=1)
    stage.index(site, paths)


def _wrong(stage: Stage, records: Mapping[str, Json]) -> list[str]:
    """The records that say what is not right, or are missing or too many; a line each."""
    urls = stage.right.keys() | records.keys()
    return [
        f"{url}: {str(records.get(url))[:500]}, not {stage.right.get(url)}"
        for url in sorted(urls)
        if url not in stage.right or not stage.right[url].fits(records.get(url))
    ]


def _mistaken(stage: Stage, records: Mapping[str, Json]) -> list[str]:
    """The URLs whose record has the title of another page."""
    return [
        url
        for url, record in records.items()
        if record.get("title") not in (None, "/" + url.split("/", 3)[3], stage.right[url].says.get("title"))
    ]


def _run(commands: Commands, stage: Stage, fetcher: str) -> tuple[dict[str, Json], int]:
    """Crawl all of it; the records, and the most memory that a worker had."""
    options = [word for option in LIMITS.items() for word in option]
    seeds = commands.write("seeds.txt", "\n".join(stage.seeds))
    going = commands.start(
        *("run", seeds, "--fetcher", fetcher, "--delay", "0", "--per-host", "4", "--workers", "2", *options),
        *("-o", "out.jsonl"),
    )
    memory = _Memory(going)
    memory.start()
    try:
        done = going.wait(100)
    finally:
        peak = memory.stop()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err and "defect" not in done.err, done.err
    return commands.written("out.jsonl"), peak


@each_fetcher
@pytest.mark.timeout(600)
def test_each_situation_has_its_outcome_beside_normal_pages(
    commands: Commands, sites: Sites, stage: Stage, fetcher: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing hangs or crashes, no body comes under another URL's name, no worker takes more than 400 MiB."""
    _normal(stage, sites.add("127.0.0.2"))
    began = time.monotonic()
    records, peak = _run(commands, stage, fetcher)
    seconds = time.monotonic() - began
    with capsys.disabled():
        situations = f"{len(ANSWERS) + len(SCENES)} hostile situations ({len(stage.right)} URLs) by {fetcher}"
        print(f"\n{situations}: {seconds:.1f} s, {peak >> 20} MiB at most in a worker")
    assert {record["outcome"] for record in records.values()} <= set(OUTCOMES)
    assert not (wrong := _wrong(stage, records)), "\n".join(wrong)
    assert not _mistaken(stage, records)
    assert all(check(records) for check in stage.checks)
    assert peak < MAX_MEMORY, f"{peak >> 20} MiB"


@each_fetcher
@pytest.mark.parametrize("retry_after", ["99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_host_that_sends_us_away_for_ages(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites, fetcher: str, retry_after: str
) -> None:
    """Its URL waits in the queue for an hour at most, and the worker crawls another host meanwhile."""
    busy, site = sites.add(), sites.add("127.0.0.2")
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    busy.serve("/", b"busy", 503, [("Retry-After", retry_after), ("Date", now)])
    for n in range(30):
        site.serve(f"/{n}", document(f"/{n}", [f"/{n + 1}"]), headers=HTML)
    options = ["--fetcher", fetcher, "--delay", "0", "--per-host", "4", "--workers", "1", "--concurrency", "1"]
    going = commands_on(redis_server.url).start("run", busy.url("/"), site.url("/0"), *options)
    with redis_server.client() as client:
        rest = _Rest(client, busy.authority)
        wait_until(lambda: rest.seconds() > 60, "the host to be left alone")
        wait_until(lambda: site.asked()["/29"], "the end of the other host")
        assert 3_000 < rest.seconds() <= 3_600
        assert rest.queued() == 1
    going.signal(signal.SIGINT)
    assert going.wait().code == 130
    assert busy.asked()["/"] == 1


class _Rest:
    """How long a host is left alone, and what waits there."""

    def __init__(self, client: Any, host: str) -> None:
        self._client = client
        self._key = f"crawler:{{default.0}}:host:{host}"

    def seconds(self) -> float:
        seconds, microseconds = self._client.time()
        now: float = seconds + microseconds / 1e6
        return int(self._client.hget(self._key, "due") or 0) / 1000 - now

    def queued(self) -> int:
        return int(self._client.hget(self._key, "queued"))
