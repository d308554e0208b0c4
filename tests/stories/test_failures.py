"""Dead letters: `crawler failed` lists them by reason, host and time; `crawler retry` brings back just those, once."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, Json, wait_until
from tests.stories.sites import Sites, html

pytestmark = pytest.mark.slow

OPTIONS = ["--delay", "0", "--per-host", "8", "--retries", "0", "--workers", "2", "--page-timeout", "2s"]
HOOK = """
import os, pathlib
MENDED = pathlib.Path(__file__).with_name("mended")

def hook(page):
    if "/kills" in page.url and not MENDED.exists():
        os.abort()
    while "/hangs" in page.url and not MENDED.exists():
        pass
"""


def listed(commands: Commands, *filters: str) -> list[Json]:
    """`failed --json`."""
    done = commands.run("failed", "--json", *filters)
    assert done.code == 0, done.err
    return done.records()


class Broken:
    """Two hosts with pages that fail in several ways, and some that do not, crawled to the end."""

    def __init__(self, commands: Commands, sites: Sites) -> None:
        self.commands = commands
        self.one, self.two = sites.add("127.0.0.1"), sites.add("127.0.0.2")
        self.paths = {
            self.one: ["/kills", "/hangs", "/500?a", "/500?b\x1b[31m", "/loop"],
            self.two: ["/500?c", "/500?d"],
        }
        self.urls = {
            site: [site.url(path.replace("\x1b[31m", "%1B[31m")) for path in self.paths[site]] for site in self.paths
        }
        for site in (self.one, self.two):
            site.serve("/", html(["/fine", *self.paths[site]], title="home"))
            for path in ("/fine", "/kills", "/hangs"):
                site.serve(path, html(title=path))
            for mark in "abcd":
                site.serve(f"/500?{mark}", b"no", 500)
            site.serve("/500?b%1B[31m", b"no", 500)
        self.one.redirect("/loop", "/loop")
        commands.write("hook.py", HOOK)
        self.hook = ["--hook", "hook.py:hook", "--workers", "2"]
        done = commands.run("run", self.one.url("/"), self.two.url("/"), *OPTIONS, *self.hook, seconds=60)
        assert done.code == 0, done.err
        assert "`crawler failed` lists those that failed" in done.err

    def mend(self) -> None:
        """From now on every page can be had."""
        (self.commands.folder / "mended").touch()
        for site, paths in self.paths.items():
            for path in paths:
                site.serve(path.replace("\x1b[31m", "%1B[31m"), html(title="mended"))
            site.seen.clear()

    def go_on(self) -> None:
        done = self.commands.run("run", *self.hook)
        assert done.code == 0, done.err

    def check_counts(self) -> None:
        """Each URL has ended once, and the counters say so."""
        status, records = self.commands.status(), self.commands.records()
        assert status["accepted"] == status["ended"] == len(records) == 11
        assert (status["queued"], status["leased"], status["state"]) == (0, 0, "done")
        outcomes = [record["outcome"] for record in records.values()]
        assert status["outcomes"] == {word: outcomes.count(word) for word in status["outcomes"]}


def test_listed_by_reason_host_and_time_and_tried_again(commands: Commands, sites: Sites) -> None:
    broken = Broken(commands, sites)
    one, two = broken.urls[broken.one], broken.urls[broken.two]
    letters = listed(commands)
    assert {letter["url"]: letter["outcome"] for letter in letters} == dict(
        zip(
            one + two,
            ["failed:crash", "failed:hang", "failed:http", "failed:http", "failed:redirect-loop", *["failed:http"] * 2],
            strict=True,
        )
    )
    by_url = {letter["url"]: letter for letter in letters}
    assert by_url[two[0]] | {"id": 0, "failed_at": 0} == {
        **{
            "id": 0,
            "failed_at": 0,
            "url": two[0],
            "outcome": "failed:http",
            "status": 500,
            "error": "500 Internal Server Error",
            "attempts": 1,
            "depth": 1,
        },
        **{"host": broken.two.authority, "via": broken.two.url("/")},
    }
    assert "3 workers died" in by_url[one[0]]["error"]
    # by filter
    assert {letter["url"] for letter in listed(commands, "--reason", "crash", "--reason", "failed:hang")} == set(
        one[:2]
    )
    of_two = listed(commands, "--host", broken.two.authority)
    assert sorted(letter["url"] for letter in of_two) == two
    assert {letter["url"] for letter in listed(commands, "--host", broken.two.authority, "--reason", "dns")} == set()
    assert len(listed(commands, "--limit", "3")) == 3
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for since, until, n in (("1h", "0s", 7), ("0s", "1h", 0), (past, "0s", 7)):
        assert len(listed(commands, "--since", since, "--until", until)) == n
    # for a person
    said = commands.run("failed").out
    assert said.startswith("crawl 'default': 7 dead letters, from 20")
    for line in ("        4  failed:http", f"        2  {broken.two.authority}", "`crawler retry --all`"):
        assert line in said
    lines = commands.run("failed", "--list").out.splitlines()
    assert len(lines) == 7
    assert sum(line.endswith("  500 Internal Server Error") for line in lines) == 4
    assert "\x1b" not in commands.run("failed", "--list").out
    # tried again, by each way to name them
    broken.mend()
    assert "4 URLs would be queued again" in commands.run("retry", "--reason", "http", "--dry-run").err
    assert len(listed(commands)) == 7
    done = commands.run("retry", one[0], one[0], one[4], one[0])
    assert (done.code, done.lines[-1].partition(";")[0]) == (0, "crawler: 2 URLs queued again")
    again = commands.run("retry", one[0])
    assert (again.code, again.lines) == (2, [f"crawler: {one[0]} is no dead letter, it is queued"])
    explained = json.loads(commands.run("explain", one[0], "--json").out)
    assert (explained["state"], explained["origins"]) == ("queued", [broken.one.url("/")])
    assert explained["waits_for"].startswith("workers: none is alive")
    assert commands.run("retry", "--host", broken.two.authority, "--reason", "http").code == 0
    both = [commands.start("retry", "--all", "--json") for _ in range(2)]
    assert sum(json.loads(running.wait().out)["queued"] for running in both) == 3
    assert commands.run("retry", "--all").err == "crawler: there is nothing to try again\n"
    assert listed(commands) == []
    broken.go_on()
    for site, paths in broken.paths.items():
        assert site.asked_of_pages() == {path.replace("\x1b[31m", "%1B[31m"): 1 for path in paths}
    broken.check_counts()
    records = commands.records()
    assert {records[url]["outcome"] for url in one + two} == {"fetched"}
    assert all(records[url]["attempts"] == 1 for url in one + two)
    assert commands.run("failed").out == "crawl 'default': no dead letters\n"


def test_while_the_crawl_runs_and_is_paused(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Its workers take them up by themselves; a host that was given up is asked again."""
    site, away = sites.add("127.0.0.1"), sites.add("127.0.0.2")
    site.serve("/", html(title="home"))
    bad = site.serve("/bad", b"no", 500)
    gone = away.url("/")
    away.go_away()
    commands = commands_on(redis_server.url)
    options = ["--delay", "0", "--retries", "0", "--host-patience", "1s"]
    assert commands.run("seed", site.url("/"), bad, gone, *options).code == 0
    going = commands.start("work", "--workers", "1")
    wait_until(lambda: commands.status()["state"] == "done", "the crawl to end")
    assert {letter["outcome"] for letter in listed(commands)} == {"failed:http", "failed:connect"}
    site.serve("/bad", html(title="good"))
    away.come_back()
    away.serve("/", html(title="back"))
    assert commands.run("pause").code == 0
    assert "the crawl is paused, `crawler resume` continues it" in commands.run("retry", "--all").err
    told = json.loads(commands.run("explain", gone, "--json").out)
    assert (told["state"], told["waits_for"]) == ("queued", "`crawler resume`: the crawl is paused")
    assert commands.run("resume").code == 0
    wait_until(lambda: commands.status()["state"] == "done", "the crawl to end again")
    assert {record["outcome"] for record in commands.records().values()} == {"fetched"}
    going.signal(signal.SIGTERM)
    assert going.wait().code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name URLs, or pick dead letters by --reason, --host, --since, --until, or take --all"),
        (["--all", "--reason", "http"], None),
        (["http://127.0.0.1:9/", "--all"], "name URLs, or pick"),
        (["--reason", "tarp"], "--reason 'tarp': there are dns, connect"),
        (["--reason", "trap"], "`crawler quarantine` has traps"),
        (["--host", "a b"], "--host 'a b': a host such as example.org"),
        (["--since", "soon"], "--since 'soon': a time ago such as 2h, or a date"),
        (["http://127.0.0.1:9/never"], "is no dead letter, it is unknown"),
        (["nonsense"], "is not a URL to crawl"),
    ],
)
def test_mistakes(commands: Commands, sites: Sites, arguments: list[str], said: str | None) -> None:
    assert commands.run("seed", sites.add().url("/")).code == 0
    done = commands.run("retry", *arguments)
    if said is None:
        assert (done.code, done.lines) == (0, ["crawler: there is nothing to try again"])
    else:
        assert (done.code, len(done.lines)) == (2, 1)
        assert said in done.err


def test_of_a_crawl_that_is_not_there(commands: Commands, sites: Sites) -> None:
    for command in (["failed"], ["retry", "--all"]):
        done = commands.run(*command)
        assert (done.code, len(done.lines)) == (2, 1)
        assert "there is no crawl 'default'" in done.err
