"""Checkers of links that `check.py` measures: how each is run, and what it says is broken.

LinkChecker is installed from PyPI, linkinator from npm, both into `benchmarks/.cache`.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.commands import PROGRAM
from benchmarks.contenders import Environment
from benchmarks.docs import CACHE
from crawler.errors import InvalidURL
from crawler.url import canonicalize

THREADS: Final = "20"
LINKCHECKER: Final = Environment("venv-linkchecker", ("linkchecker==10.6.0",), "linkcheck")
_LINKINATOR: Final = "linkinator@7.6.1"
_CONFIG: Final = f"""
[checking]
threads={THREADS}
maxrequestspersecond=1000
maxfilesizeparse=20000000
"""
_CODES: Final = frozenset({"broken", "broken-fragment", "canonical-broken"})


@dataclass(frozen=True, slots=True)
class Checker:
    """A program that checks links."""

    name: str
    command: Callable[[str, str, Path], Sequence[str]]
    """Of the URL of the site, that of a Redis, and the folder in which it runs."""
    broken: Callable[[Path], Iterator[str]]
    """The URLs that it says are broken, with their fragments where it names one."""
    missing: Callable[[], str] = lambda: ""
    """Why it cannot run here, or nothing."""
    ends: tuple[int, ...] = (0, 1)


def crawler(workers: int) -> Checker:
    """This crawler."""
    fast = ("--delay", "0", "--per-host", "64", "--concurrency", "32", "--no-external", "--workers", str(workers))
    return Checker(
        "crawler" if workers == 1 else f"crawler, {workers} workers",
        lambda url, redis, _: [PROGRAM, "check", url, "--redis", redis, *fast, "-o", "found.jsonl"],
        _of_crawler,
    )


def _of_crawler(folder: Path) -> Iterator[str]:
    for line in (folder / "found.jsonl").read_text(encoding="utf-8").splitlines():
        finding = json.loads(line)
        if finding["code"] in _CODES:
            yield finding["target"]


def linkchecker() -> Checker:
    """LinkChecker, without its limit of ten requests a second.

    Its plugin for fragments (AnchorCheck) is off, as by default: with it, it does not end within a quarter of an hour.
    """
    program = str(Path(LINKCHECKER.python).with_name("linkchecker"))

    def command(url: str, _: str, folder: Path) -> Sequence[str]:
        folder.chmod(0o755)  # as root it becomes another user
        (folder / "config").write_text(_CONFIG, encoding="utf-8")
        return [program, "--config", "config", "--no-status", "-o", "csv", url]

    return Checker("LinkChecker", command, _of_linkchecker, LINKCHECKER.missing)


def _of_linkchecker(folder: Path) -> Iterator[str]:
    lines = (folder / "said").read_text(encoding="utf-8", errors="replace").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("urlname;"))
    for row in csv.DictReader(lines[start:], delimiter=";"):
        if row["url"] and row["valid"] == "False":
            yield row["url"]


def linkinator() -> Checker:
    """linkinator, with fragments and style sheets checked."""
    folder = CACHE / "node-linkinator"
    program = str(folder / "node_modules" / ".bin" / "linkinator")

    def missing() -> str:
        if Path(program).exists():
            return ""
        if shutil.which("npm") is None:
            return "npm is not on PATH (Debian: apt install npm)"
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "install", "--silent", "--prefix", ".", _LINKINATOR], cwd=folder, capture_output=True, text=True
        )
        return (done.stderr.strip().splitlines() or ["npm failed"])[-1] if done.returncode else ""

    options = ("--recurse", "--check-css", "--check-fragments", "--concurrency", THREADS, "--format", "json")
    return Checker(
        "linkinator",
        lambda url, *_: [program, url, *options, "--skip", f"^(?!{url})"],
        _of_linkinator,
        missing,
    )


def _of_linkinator(folder: Path) -> Iterator[str]:
    said = (folder / "said").read_text(encoding="utf-8", errors="replace")
    for link in json.loads(said[said.index("{\n") :])["links"]:
        if link["state"] == "BROKEN":
            yield link["url"]


def canonical(urls: Iterator[str]) -> set[str]:
    """*urls* in one spelling, with their fragments; what is none stays as it is."""
    found = set()
    for url in urls:
        before, mark, fragment = url.partition("#")
        try:
            found.add(canonicalize(before) + mark + fragment)
        except InvalidURL:
            found.add(url)
    return found
