"""Steering a crawl while it runs, ending it early, starting it over."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.stories.commands import Commands, wait_until
from tests.stories.sites import Graph, Site, Sites, html

pytestmark = pytest.mark.slow


def _wide(site: Site, width: int) -> list[str]:
    site.serve("/", html(f"/{n}" for n in range(width)))
    return [site.url("/"), *(site.serve(f"/{n}", html()) for n in range(width))]


def test_a_changed_delay_is_obeyed(commands: Commands, sites: Sites) -> None:
    """A crawl that would take minutes is done within seconds of `set delay 0`."""
    site = sites.add()
    urls = _wide(site, 40)
    going = commands.start("run", urls[0], "--delay", "3s", "--workers", "1")
    wait_until(lambda: len(site.seen) >= 1, "the first request")
    done = commands.run("set", "delay", "0")
    assert (done.code, done.lines) == (0, ["crawler: delay: 3s -> 0s"])
    done = going.wait(30)
    assert done.code == 0, done.err
    assert set(commands.records()) == set(urls)


def test_pause_and_resume(commands: Commands, sites: Sites) -> None:
    """While it is paused nothing is asked for; then it goes on to its end."""
    site = sites.add()
    urls = _wide(site, 25)
    going = commands.start("run", urls[0], "--delay", "100ms", "--workers", "1")
    wait_until(lambda: len(site.seen) >= 3, "the third request")
    assert commands.run("pause").code == 0
    asked = len(site.seen)  # all that will come: `pause` took longer to end than any answer takes
    status = commands.status()
    assert (status["state"], status["limit"], status["leased"], len(site.seen)) == ("paused", "paused", 0, asked)
    again = commands.start("run", "--workers", "1")
    again.wait_to_say("is paused: `crawler resume`")
    assert commands.run("resume").code == 0
    assert (going.wait().code, again.wait().code) == (0, 0)
    assert set(commands.records()) == set(urls)


def test_paused_all_workers_stopped_and_resumed_with_others(commands: Commands, sites: Sites) -> None:
    """With no process left, not even Redis; later more workers, on other settings, bring it to the same result."""
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2, 3)]
    graph = Graph(hosts, 150, seed=41, slow=0.01)
    going = commands.start("run", *graph.seeds, "--delay", "500ms", "--workers", "3")
    wait_until(lambda: sum(len(host.seen) for host in hosts) > 12, "the crawl to get on")
    assert commands.run("pause").code == 0
    going.signal(signal.SIGTERM)
    assert going.wait().code == 130
    asked = sum(len(host.seen) for host in hosts)
    status = commands.status()
    assert (status["state"], status["leased"], status["workers"]) == ("paused", 0, 0)
    waiting = commands.start("work", "--workers", "1", "--until-done")
    waiting.wait_for_workers(1)
    assert "continues" in commands.run("resume").err
    more = commands.start("run", "--workers", "5", "--concurrency", "2", "--delay", "20ms")
    assert (waiting.wait().code, more.wait().code) == (0, 0)
    assert sum(len(host.seen) for host in hosts) > asked
    graph.check(commands.records())
    for host in hosts:
        assert set(host.asked_of_pages().values()) == {1}


def test_a_time_limit(commands: Commands, sites: Sites) -> None:
    """A time limit ends it in state `limit`; another one lets it go on."""
    site = sites.add()
    urls = _wide(site, 12)
    going = commands.start("run", urls[0], "--delay", "2s", "--workers", "1")
    wait_until(lambda: site.asked_of_pages().total() > 1, "the first page to have ended")
    assert commands.run("set", "max-time", "1s").code == 0
    done = going.wait()
    assert done.code == 0, done.err
    assert "stopped at its limit" in done.err
    status = commands.status()
    assert status["state"] == "limit"
    assert status["leased"] == 0
    assert 0 < status["ended"] < len(urls)
    assert commands.run("run", "--max-time", "1h", "--delay", "0", "--workers", "1").code == 0
    assert set(commands.records()) == set(urls)


def test_done_fresh_and_more(commands: Commands, sites: Sites) -> None:
    """A done crawl says so; new sources are crawled; --fresh starts over, with other fixed settings if wanted."""
    site, other = sites.add(), sites.add("127.0.0.2")
    urls, more = _wide(site, 3), _wide(other, 2)
    options = ["--delay", "0", "--workers", "1"]
    assert commands.run("run", urls[0], *options).code == 0
    asked = len(site.seen)
    done = commands.run("run", urls[0], *options, "-o", "again.jsonl")
    assert done.code == 0
    assert "is done with 4 pages" in done.err
    assert len(site.seen) == asked
    assert len((commands.folder / "again.jsonl").read_text().splitlines()) == 4
    done = commands.run("run", more[0], "--add", *options)
    assert done.code == 0
    assert set(commands.records()) == {*urls, *more}
    done = commands.run("run", urls[1], *options, "--fresh", "--yes", "--scope", "prefix")
    assert done.code == 0, done.err
    assert "its 7 records are deleted" in done.err
    assert set(commands.records()) == {urls[1]}


def test_two_crawls_on_one_redis(commands: Commands, sites: Sites) -> None:
    """They do not see each other's URLs, settings or records, and deleting one leaves the other."""
    site = sites.add()
    urls = _wide(site, 5)
    first = commands.start("run", urls[0], "--delay", "0", "--workers", "1", "--crawl", "one")
    second = commands.start("run", urls[1], "--delay", "10ms", "--workers", "1", "--crawl", "one_", "--max-depth", "0")
    assert (first.wait().code, second.wait().code) == (0, 0)
    listed = commands.run("list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["one", "one_"]
    assert commands.run("delete", "--yes", "--crawl", "one").code == 0
    assert set(commands.records("--crawl", "one_")) == {urls[1]}


def test_deleted_while_it_runs(commands: Commands, sites: Sites) -> None:
    """Its workers leave by themselves, and nothing of it is left."""
    site = sites.add()
    urls = _wide(site, 40)
    going = commands.start("run", urls[0], "--delay", "200ms", "--workers", "1")
    wait_until(lambda: len(site.seen) >= 3, "the third request")
    assert commands.run("delete", "--yes").code == 0
    done = going.wait()
    assert done.code != 0
    assert "Traceback" not in done.err
    assert "the crawl is gone" in done.err or "there is no crawl" in done.err
    assert commands.run("list").out == ""
    assert commands.watch_files() == []


def test_what_sites_say_cannot_steer_a_terminal(commands: Commands, sites: Sites) -> None:
    """Titles, types and redirects with escapes: none of their control characters reaches stdout or stderr."""
    site = sites.add()
    evil = "\x1b]0;pwn\x07\x1b[2J\u202e"
    site.serve("/", f"<title>{evil}</title><a href='/go'>x</a>".encode(), headers=[("Content-Type", "text/html")])
    site.pages["/go"] = lambda call: call.send(
        b"HTTP/1.1 302 \x1b[2J\r\nLocation: /\x1b]0;x\r\nContent-Type: \x1b[31m\r\nContent-Length: 0\r\n\r\n"
    )
    done = commands.run("run", site.url("/"), "--delay", "0", "--workers", "1", "-v", "--log-file", "log.jsonl")
    assert done.code == 0, done.err
    fetched = commands.run("fetch", site.url("/"), "--links")
    assert fetched.code == 0
    told = [done.err, done.out, fetched.out, fetched.err, commands.run("status").out]
    told.append(Path(commands.folder / "log.jsonl").read_text())
    assert not [text for text in told if "\x1b" in text or "\x07" in text or "\u202e" in text]


def test_settings_from_the_environment_and_a_file(commands: Commands, sites: Sites) -> None:
    """Flag over environment over crawler.toml, by what the crawl obeys."""
    site = sites.add()
    urls = _wide(site, 5)
    commands.write("crawler.toml", 'user-agent = "file/1.0"\nmax-depth = 0\nscope = "host"\n[redis]\n')
    done = commands.run("run", urls[0])
    assert done.code == 2
    assert "crawler.toml" in done.lines[-1]
    commands.write("crawler.toml", 'user-agent = "file/1.0"\nmax-depth = 0\nscope = "host"\n')
    commands.env |= {"CRAWLER_USER_AGENT": "env/1.0", "CRAWLER_DELAY": "0", "CRAWLER_WORKERS": "1"}
    assert commands.run("run", urls[0], "--user-agent", "flag/1.0").code == 0
    assert {seen.headers["user-agent"] for seen in site.seen} == {"flag/1.0"}
    assert len(commands.records()) == 1
    assert "scope                host  (fixed)" in commands.run("set").out
    assert os.environ.get("CRAWLER_DELAY") is None
