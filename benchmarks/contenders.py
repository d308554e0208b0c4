"""Who is measured by `peers.py`: how each is run, what it needs, and environments of its own in `benchmarks/.cache`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import redis

from benchmarks.commands import PROGRAM
from benchmarks.docs import CACHE

HERE: Final = Path(__file__).parent
PROGRAMS: Final = HERE / "programs"
CONCURRENCY: Final = "32"
START_KEY: Final = "docs:start_urls"
"""The list in which scrapy-redis looks for start URLs."""
_SCRAPY_SETTINGS: Final = {
    "CONCURRENT_REQUESTS": CONCURRENCY,
    "CONCURRENT_REQUESTS_PER_DOMAIN": CONCURRENCY,
    "DOWNLOAD_DELAY": "0",
    "LOG_LEVEL": "ERROR",
}
_RUN: Final = ("--store", "meta", "--delay", "0", "--per-host", "64", "--concurrency", CONCURRENCY)

Commands = Callable[[Sequence[str], str], list[list[str]]]
"""The commands for seeds and the URL of a Redis."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Packages of PyPI in a venv of their own."""

    name: str
    packages: tuple[str, ...]
    module: str
    """What can be imported when it is whole."""

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(CACHE / self.name / "bin" / "python")

    def missing(self) -> str:
        """Make it where it is not there; why it cannot be had, or nothing."""
        try:
            if not Path(self.python).exists():
                print(f"installing {' '.join(self.packages)} ...", file=sys.stderr)
                _said_by([sys.executable, "-m", "venv", str(CACHE / self.name)])
            if subprocess.run([self.python, "-c", f"import {self.module}"], capture_output=True).returncode:
                _said_by([self.python, "-m", "pip", "install", "--quiet", *self.packages])
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            return said.strip().splitlines()[-1]
        return ""

    def versions(self) -> list[str]:
        """What was installed of what was asked for."""
        wanted = [package.partition("=")[0].partition("[")[0] for package in self.packages]
        ask = f"from importlib.metadata import version as v; print(*(f'{{n}} {{v(n)}}' for n in {wanted!r}), sep='\\n')"
        return _said_by([self.python, "-c", ask]).splitlines()


SCRAPY: Final = Environment("venv-scrapy", ("scrapy==2.19.*",), "scrapy")
SCRAPY_REDIS: Final = Environment("venv-scrapy-redis", ("scrapy-redis==0.9.1", "scrapy==2.19.*"), "scrapy_redis")
CRAWLEE: Final = Environment("venv-crawlee", ("crawlee[parsel]==1.11.*",), "crawlee.crawlers")


def _said_by(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True, slots=True)
class Contender:
    """A program to measure."""

    name: str
    commands: Commands
    needs_redis: bool = False
    endless: bool = False
    """It does not end by itself: it is interrupted when it is idle."""
    ends: tuple[int, ...] = (0,)
    """Exit codes that mean success."""
    environment: Environment | None = None
    program: str = ""
    """What has to be on PATH."""
    prepare: Callable[[Sequence[str], redis.Redis], object] = lambda seeds, client: None
    """What is put into its Redis before it starts."""

    def missing(self) -> str:
        """Why it cannot run here, or nothing."""
        if self.program and shutil.which(self.program) is None:
            return f"{self.program} is not on PATH (Debian: apt install {self.program})"
        return "" if self.environment is None else self.environment.missing()

    def versions(self) -> list[str]:
        """What it runs on, as far as the machine's line does not name it anyway."""
        if self.program:
            return [_said_by([self.program, "--version"]).partition("\n")[0].partition(" - ")[0].strip()]
        return [] if self.environment is None else self.environment.versions()


def crawler(name: str, *options: str) -> Contender:
    """This crawler; *options* come after those that all its runs have."""
    return Contender(name, lambda seeds, redis: [[PROGRAM, "run", *seeds, "--redis", redis, *_RUN, *options]], True)


def floor() -> Contender:
    """The bare loop."""
    return Contender("floor", lambda seeds, _: [[sys.executable, str(HERE / "floor.py"), *seeds]])


def _spider(environment: Environment, file: str, **settings: str) -> list[str]:
    words = [word for name, value in (_SCRAPY_SETTINGS | settings).items() for word in ("-s", f"{name}={value}")]
    return [environment.python, "-m", "scrapy", "runspider", str(PROGRAMS / file), *words]


def scrapy() -> Contender:
    """Scrapy as documented; it writes its items into a JSON lines feed."""
    command = _spider(SCRAPY, "spider.py", ROBOTSTXT_OBEY="True")
    return Contender(
        "scrapy",
        lambda seeds, _: [[*command, "-a", f"seeds={' '.join(seeds)}", "-O", "items.jsonl"]],
        environment=SCRAPY,
    )


def scrapy_with_cache() -> Contender:
    """Scrapy with its HTTP cache by RFC 2616; it asks the server whether each page that it has is current."""
    cached = {
        "HTTPCACHE_ENABLED": "True",
        "HTTPCACHE_POLICY": "scrapy.extensions.httpcache.RFC2616Policy",
        "DEFAULT_REQUEST_HEADERS": '{"Cache-Control": "max-age=0"}',  # else it asks for nothing: old pages stay fresh
    }
    command = _spider(SCRAPY, "spider.py", ROBOTSTXT_OBEY="True", **cached)
    return Contender(
        "scrapy, HTTP cache",
        lambda seeds, _: [[*command, "-a", f"seeds={' '.join(seeds)}", "-O", "items.jsonl"]],
        environment=SCRAPY,
    )


def tuned_scrapy() -> Contender:
    """Scrapy tuned by hand; it stores nothing."""
    command = _spider(SCRAPY, "tuned_spider.py")
    return Contender(
        "scrapy, tuned", lambda seeds, _: [[*command, "-a", f"seeds={' '.join(seeds)}"]], environment=SCRAPY
    )


def scrapy_redis(processes: int) -> Contender:
    """scrapy-redis, its queue, duplicate filter and items in a Redis of its own."""

    def commands(seeds: Sequence[str], url: str) -> list[list[str]]:
        domains = " ".join(sorted({urlsplit(seed).hostname or "" for seed in seeds}))
        command = _spider(SCRAPY_REDIS, "redis_spider.py", ROBOTSTXT_OBEY="True", REDIS_URL=url)
        return [[*command, "-a", f"domains={domains}"]] * processes

    return Contender(
        "scrapy-redis" if processes == 1 else f"scrapy-redis, {processes} processes",
        commands,
        needs_redis=True,
        endless=True,
        environment=SCRAPY_REDIS,
        prepare=lambda seeds, client: client.lpush(START_KEY, *seeds),
    )


def crawlee() -> Contender:
    """crawlee for Python as documented."""
    command = [CRAWLEE.python, str(PROGRAMS / "crawlee_docs.py"), CONCURRENCY]
    return Contender("crawlee", lambda seeds, _: [[*command, *seeds]], environment=CRAWLEE)


def wget2(name: str, *where: str) -> Contender:
    """wget2, which follows links of `a` and `area` alone as the others do; *where* it leaves the pages.

    It ends with 8 where the site has a link to a page that is not there.
    """
    quiet = ("--quiet", "--recursive", "--level=inf", "--no-robots", f"--max-threads={CONCURRENCY}")
    tags = "--ignore-tags=img,link,script,source,video,audio,object,embed"
    return Contender(name, lambda seeds, _: [["wget2", *quiet, tags, *where, *seeds]], ends=(0, 8), program="wget2")
