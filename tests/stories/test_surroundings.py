"""Where a command finds itself: streams that are closed or full, a log whose disk is full, locales, names of files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.stories.commands import PROGRAM, Commands, by_url
from tests.stories.sites import Site, Sites, html

pytestmark = pytest.mark.slow

BROKEN = """
from crawler.parse.extract import Extractor
extract = Extractor.extract

def broken(self, response, **more):
    if response.url.endswith("/b"):
        raise ValueError("no")
    return extract(self, response, **more)

Extractor.extract = broken

def hook(page):
    return None
"""
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def _site(sites: Sites) -> Site:
    site = sites.add()
    site.serve("/", html(["/b", "/c"], title="caf\u00e9 \u4e2d"))
    site.serve("/b", html(title="b"))
    site.serve("/c", html(title="c"))
    return site


def _shell(commands: Commands, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `crawler` is the program."""
    return subprocess.run(
        ["sh", "-c", f'crawler() {{ "{PROGRAM}" "$@"; }}; {line}'],
        cwd=commands.folder,
        env=commands.env,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_streams_that_are_closed(commands: Commands, sites: Sites) -> None:
    """With nobody to read what it says a command works all the same, and no file or socket gets their numbers."""
    seed = _site(sites).url("/")
    assert _shell(commands, f"crawler run {seed} --delay 0 -n 1 2>&-").returncode == 0
    assert _shell(commands, "crawler status <&- >&- 2>&-").returncode == 0
    done = _shell(commands, f"crawler run {seed} --fresh --yes --delay 0 -n 2 -o all.jsonl <&- >&- 2>&-")
    assert done.returncode == 0
    assert len(commands.written("all.jsonl")) == 3
    closed = _shell(commands, "crawler export -o - >&-")
    assert (closed.returncode, closed.stderr) == (2, "crawler: there is no stdout: name a file\n")


@pytest.mark.parametrize("command", ["status --json", "--help", "explain http://a.example/"])
def test_a_reader_that_leaves_and_a_disk_that_is_full(commands: Commands, sites: Sites, command: str) -> None:
    assert commands.run("seed", _site(sites).url("/")).code == 0
    left = _shell(commands, f"crawler {command} | true")
    assert "Traceback" not in left.stderr
    assert "defect" not in left.stderr
    full = _shell(commands, f"crawler {command} > /dev/full")
    assert full.returncode == 5
    assert full.stderr == "crawler: output cannot be written: No space left on device\n"
    nowhere = _shell(commands, f"crawler {command} 2> /dev/full")
    assert (nowhere.returncode, bool(nowhere.stdout)) == (0, True)


def test_a_log_whose_disk_is_full(commands: Commands, sites: Sites) -> None:
    """Its lines are dropped, which is said, and the crawl continues."""
    commands.write("hook.py", BROKEN)
    seed = _site(sites).url("/")
    commands.run("seed", seed, "--delay", "0")
    done = commands.run("run", "-n", "1", "--log-file", "/dev/full", "-v", "--hook", "hook.py:hook", "-o", "-")
    assert done.code == 0, done.err
    records = by_url(done.records())
    assert sorted(record["outcome"] for record in records.values()) == ["failed:crash", "fetched", "fetched"]
    assert done.err.count("handling http") == 3
    assert done.err.count("cannot be written: No space left on device; its lines are dropped") >= 1
    assert "Traceback" not in done.err


def test_a_plain_locale_and_names_that_are_no_text(commands: Commands, sites: Sites) -> None:
    """Bytes in a name are bytes; what is written is UTF-8 whatever the locale says."""
    seed = _site(sites).url("/")
    commands.env |= PLAIN
    name = os.fsdecode(b"s\xe9eds.txt")
    (commands.folder / name).write_text(f"{seed}\n# caf\u00e9\n", encoding="utf-8")
    out = os.fsdecode(b"\xfe.jsonl")
    done = commands.run("run", name, "--delay", "0", "-n", "1", "-o", out)
    assert done.code == 0, done.err
    lines = Path(commands.folder, out).read_text(encoding="utf-8")
    assert "caf\u00e9 \u4e2d" in lines
    assert (
        "caf\u00e9 \u4e2d".encode()
        in subprocess.run(
            [PROGRAM, "export", "-o", "-"], cwd=commands.folder, env=commands.env, capture_output=True, check=True
        ).stdout
    )
    missing = commands.run("seed", os.fsdecode(b"n\xf6.txt"))
    assert missing.code == 2
    assert "there is no such file" in missing.err


def test_as_a_module(commands: Commands) -> None:
    """`python -m crawler` is `crawler`."""
    commands.write(
        "main.py",
        "import runpy, sys\nsys.argv = ['crawler', '--version']\nrunpy.run_module('crawler', run_name='__main__')\n",
    )
    done = commands.run(python="main.py")
    assert done.out.startswith("crawler, version ")
