"""A worker is killed by SIGKILL at each step of a page's way: the page is done again, and stored once.

The hook file of the crawl puts the kill into the worker's own process, so that it comes at that very step.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.stories.commands import Commands
from tests.stories.sites import Sites, html

pytestmark = pytest.mark.slow

KILL: Final = """
import os, pathlib, signal
from crawler.fetch.curl import CurlFetcher
from crawler.frontier.frontier import Frontier
from crawler.frontier.redis.connection import Connection
from crawler.parse.extract import Extractor
from crawler.worker.processor import Processor

MARK = pathlib.Path(__file__).with_name("killed")

def hook(page):
    return None

def kill():
    if not MARK.exists():
        MARK.touch()
        os.kill(os.getpid(), signal.SIGKILL)

def before(owner, name, when=lambda *args: True):
    real = getattr(owner, name)
    def step(*args, **kwargs):
        if when(*args):
            kill()
        return real(*args, **kwargs)
    setattr(owner, name, step)

def after(owner, name, when=lambda *args: True):
    real = getattr(owner, name)
    def step(*args, **kwargs):
        result = real(*args, **kwargs)
        if when(*args):
            kill()
        return result
    setattr(owner, name, step)

def is_middle(*args):
    return any("/3" in str(getattr(arg, "url", arg)) for arg in args)

def commits(link, calls):
    args = [arg for call in calls if call.script.verb == "commit" for arg in call.args]
    return any(b"/3" in arg for arg in args if isinstance(arg, bytes))

def leases(link, calls):
    return is_started() and any(call.script.verb == "lease" for call in calls)

turns = 0

def is_started():
    global turns
    turns += 1
    return turns > 3
"""
STEPS: Final = {
    "leased, and the answer is lost": "after(Connection, 'execute', leases)",
    "about to send the request": "before(CurlFetcher, 'submit', is_middle)",
    "the request is on its way": "after(CurlFetcher, 'submit', is_middle)",
    "about to read the page": "before(Extractor, 'extract', is_middle)",
    "the page is read": "after(Extractor, 'extract', is_middle)",
    "about to store it": "before(Connection, 'execute', commits)",
    "stored, and the answer is lost": "after(Connection, 'execute', commits)",
}


@pytest.mark.parametrize("step", list(STEPS))
def test_killed_at(commands: Commands, sites: Sites, step: str) -> None:
    site = sites.add()
    site.serve("/", html(f"/{n}" for n in range(6)))
    for n in range(6):
        site.serve(f"/{n}", html([f"/{n}/below"], title=str(n)))
        site.serve(f"/{n}/below", html(title="below"))
    commands.write("kill.py", f"{KILL}\n{STEPS[step]}\n")
    done = commands.run(
        *("run", site.url("/"), "--delay", "0", "--workers", "1", "--hook", "kill.py:hook", "-o", "out.jsonl")
    )
    assert done.code == 0, done.err
    assert "was killed by SIGKILL" in done.err
    records = commands.written("out.jsonl")
    assert records.keys() == {site.url("/")} | {site.url(f"/{n}{end}") for n in range(6) for end in ("", "/below")}
    assert {record["outcome"] for record in records.values()} == {"fetched"}
    status = commands.status()
    assert (status["accepted"], status["ended"], status["leased"], status["queued"]) == (13, 13, 0, 0)
    # Stored already, it is not asked for again; a page that was being read is charged, nobody else is.
    assert site.asked()["/3"] <= 2
    charged = [url for url, record in records.items() if record["attempts"] != 1]
    assert charged == ([site.url("/3")] if "read" in step else [])
