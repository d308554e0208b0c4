"""Hooks of users never fail in silence, and a crawl keeps to the hook that it was begun with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, outcomes, wait_until
from tests.stories.sites import Site, Sites, html

pytestmark = pytest.mark.slow

OPTIONS: Final = ("--delay", "0", "-n", "1")
FAILS: Final = "def item(page):\n    return page.body\n"
GOOD: Final = "def item(page):\n    return page.title\n"
TEXT: Final = "AttributeError: 'Page' object has no attribute 'body' (product.py, line 2)"


def _shop(sites: Sites, pages: int = 4) -> Site:
    site = sites.add()
    site.serve("/", html(map(str, range(pages)), title="start"))
    for n in range(pages):
        site.serve(f"/{n}", html(title=f"page {n}"))
    return site


def _refused(commands: Commands, arguments: Sequence[str], *words: str) -> None:
    done = commands.run(*arguments)
    assert (done.code, len(done.lines)) == (2, 1), done.err
    for word in words:
        assert word in done.err


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_hook_that_fails_on_every_page(commands: Commands, sites: Sites) -> None:
    """One line at once though two workers meet it, counts in the summary and in `status`, exit code 1."""
    site = _shop(sites, 12)
    commands.write("product.py", FAILS)
    going = commands.start("run", site.url("/"), "--delay", "200ms", "-n", "2", "--hook", "product.py:item")
    going.wait_to_say(f"{TEXT}\n")
    assert len(site.asked_of_pages()) < 13
    done = going.wait()
    assert done.code == 1
    said = [line for line in done.lines if line.startswith("crawler: hook failed on ")]
    assert len(said) == 1
    assert re.fullmatch(f"crawler: hook failed on {site.url('/')}\\d*: {re.escape(TEXT)}", said[0])
    assert f"  hook: 13 of 13 calls failed:\n         13  {TEXT}\n" in done.err
    assert "the hook failed in all of its 13 calls" in done.lines[-1]
    status = commands.status()
    assert (status["hook_calls"], status["hook_errors"], status["hook_failures"]) == (13, 13, {TEXT: 13})
    assert f"  hook      13 of 13 calls failed\n                 13  {TEXT}\n" in commands.run("status").out
    assert {record["error"] for record in commands.records().values()} == {f"hook: {TEXT}"}
    assert {record["outcome"] for record in commands.records().values()} == {"fetched"}


def test_a_hook_that_fails_on_some_pages(commands: Commands, sites: Sites) -> None:
    """Each kind once, with its own line; the log has them as well; the exit code is 0."""
    site = _shop(sites, 6)
    commands.write(
        "product.py",
        'def item(page):\n    n = page.url[-1]\n    if n in "12":\n        raise KeyError("price")\n'
        '    if n == "3":\n        return {"when": {"now": object()}}\n    return 1\n',
    )
    done = commands.run(
        *("run", site.url("/"), *OPTIONS, "--log-file", "log", "-o", "out.jsonl", "--hook", "product.py:item")
    )
    assert done.code == 0, done.err
    failures = ["KeyError: 'price' (product.py, line 4)", "TypeError: JSON cannot hold data['when']['now']: "]
    said = [line for line in done.lines if "hook failed" in line]
    assert len(said) == 2
    events = [json.loads(line) for line in (commands.folder / "log").read_text().splitlines()]
    logged = [event["error"] for event in events if event.get("event") == "hook-failed"]
    for failure in failures:
        assert sum(failure in line for line in said) == 1
        assert sum(failure in line for line in logged) == 1
    assert f"  hook: 3 of 7 calls failed:\n          2  {failures[0]}\n          1  {failures[1]}" in done.err
    assert [record.get("data") for record in commands.written("out.jsonl").values()].count(1) == 4


def test_that_nothing_was_fetched_weighs_more(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    bad = site.serve("/bad", html(), 500)
    commands.write("product.py", FAILS)
    done = commands.run("run", bad, *OPTIONS, "--retries", "0", "--hook-on", "all", "--hook", "product.py:item")
    assert done.code == 4, done.err
    assert "hook: 1 of 1 call failed" in done.err
    assert outcomes(commands.records()) == {bad: "failed:http"}


def test_workers_that_only_met_failures_end_with_1(commands: Commands, sites: Sites) -> None:
    site = _shop(sites)
    commands.write("product.py", FAILS)
    assert commands.run("seed", site.url("/"), "--delay", "0").code == 0
    done = commands.run("work", "--until-done", "-n", "2", "--hook", "product.py:item")
    assert done.code == 1, done.err
    assert TEXT in done.err


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (FAILS, f"the hook failed: {TEXT}"),
        ("def item(page):\n    return {'a': [open]}\n", "the hook failed: TypeError: JSON cannot hold data['a'][0]: "),
        ("def item(page):\n    return '\\ud800'\n", "the hook failed: TypeError: JSON cannot hold what it returned: "),
    ],
)
def test_a_failure_in_crawler_fetch(commands: Commands, sites: Sites, code: str, words: str) -> None:
    commands.write("product.py", code)
    done = commands.run("fetch", _shop(sites).url("/"), "--hook", "product.py:item")
    assert (done.code, len(done.lines)) == (1, 1), done.err
    assert words in done.err
    assert "defect" not in done.err


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("async def item(page):\n    return 1\n", "item is async"),
        ("def item():\n    return 1\n", "item() cannot be called with one argument, the page"),
        ("def item(page, more):\n    return 1\n", "item(page, more) cannot be called with one argument"),
    ],
)
def test_a_hook_that_could_never_work_is_refused(commands: Commands, sites: Sites, code: str, words: str) -> None:
    commands.write("product.py", code)
    _refused(commands, ("run", _shop(sites).url("/"), "--hook", "product.py:item"), words)
    assert not (commands.folder / ".crawler").exists()


# -- what it does with a page ------------------------------------------------------------------------------------------


def test_a_page_that_the_hook_drops(commands: Commands, sites: Sites) -> None:
    """Its record has the reason and no content; its links are followed."""
    site = sites.add()
    site.serve("/", html(["/kept"], title="start"))
    site.serve("/kept", html(title="kept"))
    commands.write(
        "product.py",
        "from crawler import Drop\n\ndef item(page):\n    if page.title == 'start':\n        raise Drop('no product')\n"
        "    return 1\n",
    )
    done = commands.run("run", site.url("/"), *OPTIONS, "--hook", "product.py:item", "-o", "-")
    assert done.code == 0, done.err
    dropped, kept = done.records()
    assert (dropped["outcome"], dropped["error"], dropped["status"]) == ("dropped:hook", "no product", 200)
    assert dropped.keys().isdisjoint({"title", "text", "data", "description"})
    assert (kept["outcome"], kept["data"]) == ("fetched", 1)
    assert "  hook: 2 calls, none failed\n" in done.err
    assert commands.status()["outcomes"] == {"fetched": 1, "dropped:hook": 1}


def test_a_hook_that_gets_every_answer(commands: Commands, sites: Sites) -> None:
    """404s, books and images with their bodies; each still ends as without a hook. Redirects are not for it."""
    site = sites.add()
    book, image = b"PK\3\4" + bytes(20_000), b"\x89PNG\r\n\x1a\n" + bytes(20_000)
    site.serve("/", html(["/a.epub", "/a.png", "/untyped", "/gone", "/moved"], title="start"))
    site.serve("/a.epub", book, headers=[("Content-Type", "application/epub+zip")])
    site.serve("/a.png", image, headers=[("Content-Type", "image/png")])
    site.serve("/untyped", image, headers=[("Content-Type", "")])
    site.serve("/gone", html(title="gone"), 404)
    site.redirect("/moved", "/")
    commands.write("product.py", "def item(page):\n    return [page.status, page.title, len(page.response.body)]\n")
    found = {}
    for fresh, on in (((), "pages"), (("--fresh", "--yes"), "all")):
        arguments = ("run", site.url("/"), *OPTIONS, *fresh, "--hook", "product.py:item", "--hook-on", on)
        assert commands.run(*arguments).code == 0
        found[on] = {site.path_of(url): record for url, record in commands.records().items()}
    assert outcomes(found["all"]) == outcomes(found["pages"])
    assert [path for path, record in found["pages"].items() if "data" in record] == ["/"]
    assert {path: record["data"] for path, record in found["all"].items() if "data" in record} == {
        "/": [200, "start", len(html(["/a.epub", "/a.png", "/untyped", "/gone", "/moved"], title="start"))],
        "/a.epub": [200, None, len(book)],
        "/a.png": [200, None, len(image)],
        "/untyped": [200, None, len(image)],
        "/gone": [404, "gone", len(html(title="gone"))],
    }
    assert found["all"]["/a.epub"]["size"] == len(book)
    assert outcomes(found["all"])["/a.png"] == "dropped:type"


def test_what_a_hook_prints_and_logs(commands: Commands, sites: Sites) -> None:
    """On stderr and in the log, with the worker's name; stdout has the records alone."""
    site = _shop(sites, 1)
    commands.write(
        "product.py",
        "import logging, subprocess, sys\nlogging.basicConfig(level=logging.INFO)\n\ndef item(page):\n"
        "    print('printed', page.title)\n    print('to stderr', file=sys.stderr)\n    logging.info('logged')\n"
        "    sys.stdout.buffer.write(b'bytes\\n')\n    subprocess.run(['echo', 'child'], stdout=sys.stdout)\n"
        "    print('no end', end='', flush=True)\n    return 1\n",
    )
    arguments = ("run", site.url("/"), *OPTIONS, "--hook", "product.py:item", "--log-file", "log", "-o", "-")
    done = commands.run(*arguments)
    assert (done.code, len(done.records())) == (0, 2), done.err
    logged = [json.loads(line) for line in (commands.folder / "log").read_text().splitlines()]
    worker = logged[0]["worker"]
    lines = ["printed start", "to stderr", "INFO:root:logged", "bytes", "no end", "printed page 0"]
    for line in lines:
        assert f"crawler: {worker}: {line}\n" in done.err
    assert [entry["message"] for entry in logged if "message" in entry][: len(lines)] == [
        f"{worker}: {line}" for line in lines
    ]
    assert done.err.count("child\n") == 2
    done = commands.run("fetch", site.url("/"), "--hook", "product.py:item", "--json")
    assert json.loads(done.out)["data"] == 1
    assert "printed start\n" in done.err


# -- one crawl, one hook -----------------------------------------------------------------------------------------------


def test_a_crawl_keeps_to_its_hook(commands: Commands, sites: Sites) -> None:
    """A run without it, or with another one, is refused and changes nothing; it may say --no-hook."""
    site = _shop(sites)
    commands.write("product.py", GOOD)
    (commands.folder / "other").mkdir()
    commands.write("other/product.py", GOOD)
    commands.write("second.py", GOOD)
    started = ("run", site.url("/"), *OPTIONS, "--max-pages", "2")
    assert commands.run(*started, "--hook", "product.py:item").code == 0
    on = ("run", "-n", "1", "--max-pages", "none")
    _refused(commands, on, "has the hook product:item, this command has none: add --hook product.py:item, or --no-hook")
    _refused(commands, ("work", "-n", "1"), "add --hook product.py:item, or --no-hook")
    _refused(
        commands, (*on, "--hook", "second.py:item"), "this command has second:item", "crawler set hook second:item"
    )
    assert commands.status()["ended"] == 2
    assert "max-pages            2\n" in commands.run("set").out
    assert commands.run("seed", site.url("/more")).code == 0
    assert commands.run(*on[:-2], "--max-pages", "3", "--hook", f"{commands.folder}/other/product.py:item").code == 0
    assert commands.run(*on, "--no-hook").code == 0
    data = [record.get("data") for record in commands.records().values()]
    assert (len(data), len([value for value in data if value])) == (6, 3)


def test_another_hook_by_crawler_set(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Workers with the former hook end with one line; those with the new one work on."""
    site = _shop(sites, 30)
    commands = commands_on(redis_server.url)
    commands.write("product.py", GOOD)
    commands.write("second.py", GOOD)
    assert commands.run("seed", site.url("/"), "--delay", "100ms").code == 0
    going = commands.start("work", "-n", "2", "--hook", "product:item")
    wait_until(lambda: len(site.asked_of_pages()) > 2, "the crawl to be under way")
    assert f"{'hook':<20} product:item\n" in commands.run("set").out
    changed = commands.run("set", "hook", "second.py:item")
    assert (changed.code, changed.lines) == (0, ["crawler: hook: product:item -> second:item"])
    done = going.wait()
    assert done.code == 2
    assert done.lines[-1].startswith("crawler: crawl 'default' has the hook second:item, this command has product:item")
    done = commands.run("work", "-n", "1", "--until-done", "--hook", "second:item")
    assert done.code == 0, done.err
    assert set(site.asked_of_pages().values()) <= {1, 2}  # twice: in flight when its worker left
    assert commands.run("set", "hook", "none").code == 0
    assert commands.run("run", "-n", "1").code == 0


def test_a_worker_that_came_without_a_hook_leaves_when_the_crawl_gets_one(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    site = _shop(sites, 30)
    first, second = (commands_on(redis_server.url) for _ in range(2))
    second.write("product.py", GOOD)
    assert first.run("seed", site.url("/"), "--delay", "100ms").code == 0
    going = first.start("work", "-n", "1")
    staying = first.start("work", "-n", "1", "--no-hook")
    wait_until(lambda: len(site.asked_of_pages()) > 2, "the crawl to be under way")
    done = second.run("work", "-n", "1", "--until-done", "--hook", "product.py:item")
    assert done.code == 0, done.err
    left = going.wait()
    assert left.code == 2
    assert "has the hook product:item, this command has none" in left.err
    assert staying.process.poll() is None, staying.wait().err


SCRIPT: Final = """
import sys
from crawler import Crawl, CrawlerError

def titles(page):
    return page.title

if __name__ == "__main__":
    hook = {"titles": titles, "none": None}[sys.argv[2]]
    try:
        more = {"max_pages": int(sys.argv[3]), "no_hook": len(sys.argv) > 4}
        with Crawl(sys.argv[1], hook=hook, delay=0, workers=1, **more) as crawl:
            print(crawl.run().hook_calls)
    except CrawlerError as error:
        print(f"{type(error).__name__}: {error}")
"""


def test_a_hook_of_the_script_that_is_run_has_no_file_in_its_name(commands: Commands, sites: Sites) -> None:
    site = _shop(sites)
    commands.write("script.py", SCRIPT)
    first = commands.run(site.url("/"), "titles", "2", python="script.py")
    assert (first.code, first.out) == (0, "2\n"), first.err
    assert f"{'hook':<20} titles\n" in commands.run("set").out
    refused = commands.run(site.url("/"), "none", "3", python="script.py")
    assert refused.out.startswith("HookError: crawl 'default' has the hook titles, this command has none")
    _refused(commands, ("run", "-n", "1"), "add --hook FILE.py:titles")
    without = commands.run(site.url("/"), "titles", "2", "no hook", python="script.py")
    assert (without.code, without.out) == (0, "2\n"), without.err
    done = commands.run("run", "-n", "1", "--max-pages", "3", "--hook", "script.py:titles")
    assert done.code == 0, done.err
    again = commands.run(site.url("/"), "titles", "9", python="script.py")
    assert (again.code, again.out) == (0, "5\n"), again.err
