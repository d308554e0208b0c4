"""`Crawl` in a script of a user: what its docstring shows, and the mistake that everybody makes once."""

from __future__ import annotations

import json
import signal

import pytest

from tests.stories.commands import Commands, command_line, wait_until
from tests.stories.sites import Site, Sites, html

SCRIPT = """
import json
import sys
from crawler import Crawl

def titles(page):
    return {"h1": [node.text() for node in page.css("h1")]}

if __name__ == "__main__":
    with Crawl(sys.argv[1], hook=titles, delay=0, workers=2, name="mine") as crawl:
        status = crawl.run()
        print(json.dumps([status.state, status.fetched, crawl.status().ended]))
        for record in crawl.records():
            print(json.dumps([record.url, record.data, record.via]))
"""

NO_GUARD = """
from crawler import Crawl

def titles(page):
    return page.title

Crawl("http://127.0.0.1:9/", hook=titles, delay=0, workers=1).run()
"""

MORE = """
import sys
from crawler import Crawl, CrawlerError

if __name__ == "__main__":
    said = []
    crawl = Crawl(name="more", say=said.append, delay="10ms", workers=1, max_pages=None, include=["/"])
    print(crawl.seed(sys.argv[1]).new, crawl.seed(sys.argv[1]).seen)
    print(crawl.run().fetched, sorted(record.outcome for record in crawl.records()))
    crawl.delete()
    for wrong in (
        lambda: Crawl(colour="red"),
        lambda: Crawl(delay="soon"),
        lambda: Crawl(hook=lambda: None),
        lambda: Crawl("no such file", workers=1).run(),
        lambda: Crawl(name="a b"),
        lambda: Crawl(workers=0),
    ):
        try:
            wrong()
        except CrawlerError as error:
            print(f"{type(error).__name__}: {error}")
    print(said)
"""


def _site(sites: Sites) -> Site:
    site = sites.add()
    site.serve("/", b"<h1>Start</h1>" + html(["/a"]))
    site.serve("/a", b"<h1>A</h1><h1>B</h1>" + html(["/"]))
    return site


def test_as_the_docstring_shows(commands: Commands, sites: Sites) -> None:
    """Hook in the script itself, records with the hook's data; the command line sees the same crawl."""
    site = _site(sites)
    commands.write("mine.py", SCRIPT)
    done = commands.run(site.url("/"), python="mine.py")
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert lines == [
        ["done", 2, 2],
        [site.url("/"), {"h1": ["Start"]}, None],
        [site.url("/a"), {"h1": ["A", "B"]}, site.url("/")],
    ]
    assert commands.records("--crawl", "mine")[site.url("/a")]["data"] == {"h1": ["A", "B"]}


def test_without_the_guard(commands: Commands) -> None:
    """A worker imports the script for its hook: the crawl in it must not start again, and the error says so."""
    commands.write("bare.py", NO_GUARD)
    done = commands.run(python="bare.py")
    assert done.code != 0
    assert 'put its crawl under `if __name__ == "__main__":`' in done.err
    assert done.err.count("Traceback") <= 1
    assert "crawler.errors.HookError" in done.err.splitlines()[-1]


def test_steps_and_mistakes(commands: Commands, sites: Sites) -> None:
    site = _site(sites)
    commands.write("more.py", MORE)
    done = commands.run(site.url("/"), python="more.py")
    assert done.code == 0, done.err
    seeded, ran, *errors, said = done.out.splitlines()
    assert seeded == "1 1"
    assert ran == "2 ['fetched', 'fetched']"
    assert len(errors) == 6
    assert errors[0].startswith("UsageError: 'colour' is no setting")
    assert errors[1].startswith("UsageError: delay: 'soon'")
    assert errors[2].startswith("HookError: hook: <lambda>() cannot be called with one argument")
    assert "no such file" in errors[3]
    assert errors[4].startswith("UsageError: crawl")
    assert errors[5].startswith("UsageError: workers")
    assert said == "[]"
    assert done.err == ""


LOOP = """
import sys
from crawler import Crawl

if __name__ == "__main__":
    with Crawl(sys.argv[1], delay="50ms", workers=1) as crawl:
        try:
            for record in crawl:
                print(record.url, flush=True)
        except BaseException as error:
            print(f"{type(error).__name__}; {crawl.status().leased} leased, {crawl.status().state}", flush=True)
            raise
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "name", "code"), [(signal.SIGINT, "KeyboardInterrupt", -2), (signal.SIGTERM, "SystemExit", 143)]
)
def test_a_signal_ends_a_loop_in_order(
    commands: Commands, sites: Sites, number: signal.Signals, name: str, code: int
) -> None:
    """Its workers end first; the command line continues what is left."""
    site = sites.add()
    site.serve("/", html(f"/p{n}" for n in range(100)))
    for n in range(100):
        site.serve(f"/p{n}", html())
    commands.write("loop.py", LOOP)
    going = commands.start(site.url("/"), python="loop.py")
    wait_until(lambda: len(going.out.splitlines()) > 3, "some records")
    workers = going.workers()
    going.signal(number)
    done = going.wait()
    assert done.code == code, done.err
    assert done.out.splitlines()[-1] == f"{name}; 0 leased, waiting"
    assert not any(command_line(pid) for pid in workers)
    assert commands.run("set", "delay", "0").code == 0
    assert commands.run("run").code == 0
    assert len(commands.records()) == 101
    assert max(site.asked_of_pages().values()) == 1


def test_what_was_typed_at_a_prompt(commands: Commands, sites: Sites) -> None:
    """A hook of a session of `python -i`; without a guard, because no worker imports anything."""
    site = _site(sites)
    lines = [
        "from crawler import Crawl, Drop",
        "word = 'seen'",
        "def hook(page):",
        "    if page.url.endswith('/a'): raise Drop(word)",
        "    return {word: len(page.css('h1'))}",
        "",
        f"crawl = Crawl({site.url('/')!r}, hook=hook, delay=0, workers=1)",
        "crawl.run().outcomes",
        "[record.data for record in crawl.records()]",
        "crawl.close()",
    ]
    done = commands.run("-i", python="-q", stdin="\n".join(lines) + "\n")
    assert "{'fetched': 1, 'dropped:hook': 1}" in done.out, done.err
    assert "[{'seen': 1}, None]" in done.out


def test_no_hook_that_is_sent_gets_into_redis(commands: Commands, sites: Sites) -> None:
    site = _site(sites)
    secret = "a-word-of-the-hook-alone"
    commands.write(
        "lambda.py",
        f"from crawler import Crawl\nimport sys\n"
        f"with Crawl(sys.argv[1], hook=lambda page: len({secret!r}), delay=0, workers=1) as crawl:\n"
        f"    print(crawl.run().fetched, [record.data for record in crawl.records()])\n",
    )
    done = commands.run(site.url("/"), python="lambda.py")
    assert done.out == f"2 {[len(secret)] * 2}\n", done.err
    stored = b"".join(path.read_bytes() for path in (commands.folder / ".crawler").rglob("*") if path.is_file())
    assert site.url("/").encode() in stored
    assert secret.encode() not in stored
