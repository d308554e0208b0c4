"""Log, events and progress of real crawls: exact while all is well, and in nobody's way when it is not."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crawler.crawl.webhook import KEY
from crawler.events import EVENTS, Ended, Event
from crawler.frontier.keys import channel
from tests.receiver import receiving
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, kill_hard, wait_until
from tests.stories.sites import Graph, Site, Sites, closed_port, html

SIZE = 250


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def ended(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in found if "outcome" in line]


def events(found: list[dict[str, Any]], name: str = "") -> list[dict[str, Any]]:
    return [line for line in found if line.get("event", "").startswith(name) and "event" in line]


def graph_of(sites: Sites, seed: int, slow: float = 0.0) -> tuple[Graph, list[Site]]:
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2, 3)]
    return Graph(hosts, SIZE, seed, slow), hosts


def crawl(graph: Graph) -> list[str]:
    return ["run", *graph.seeds, "--delay", "0", "--per-host", "2", "-o", "out.jsonl", "--log-file", "log"]


def test_one_line_for_each_url_that_ended_as_its_record_has_it(commands: Commands, sites: Sites) -> None:
    graph, _ = graph_of(sites, 3)
    done = commands.run(*crawl(graph), "-n", "3")
    assert done.code == 0, done.err
    records = commands.written("out.jsonl")
    found = lines(commands.folder / "log")
    urls = ended(found)
    assert Counter(line["url"] for line in urls) == Counter(dict.fromkeys(records, 1))
    for line in urls:
        record = records[line["url"]]
        ours = line["outcome"], line.get("status"), line.get("elapsed_ms"), line.get("bytes"), line.get("error")
        theirs = (record.get(key) for key in ("outcome", "status", "elapsed_ms", "size", "error"))
        assert ours == tuple(theirs)
        assert line["attempt"] == record["attempts"]
    assert {key for line in urls for key in line} <= set(Ended.__struct_fields__)
    assert {key for line in events(found) for key in line} <= set(Event.__struct_fields__)
    assert len(events(found, "worker-started")) == 3
    assert {line["worker"] for line in urls} <= {line["worker"] for line in events(found, "worker-started")}


@pytest.mark.slow
def test_after_a_kill_only_lines_of_pages_in_hand_are_missing(commands: Commands, sites: Sites) -> None:
    graph, hosts = graph_of(sites, 5, slow=0.01)
    going, dice = commands.start(*crawl(graph), "-n", "4"), random.Random(5)
    going.wait_for_workers(4)
    for n in range(1, 4):
        wait_until(lambda n=n: sum(len(host.seen) for host in hosts) > n * SIZE // 6, "the crawl to get on")  # type: ignore[misc]
        kill_hard(dice.choice(going.wait_for_workers(1)))
        going.wait_to_say("was killed by SIGKILL", times=n)
    done = going.wait()
    assert done.code == 0, done.err
    records = commands.written("out.jsonl")
    found = lines(commands.folder / "log")
    counts = Counter(line["url"] for line in ended(found))
    assert max(counts.values()) == 1
    assert counts.keys() <= records.keys()
    assert len(records) - len(counts) <= 3 * 64  # transfers of each
    assert len(records) - len(counts) < len(records) // 10, "a page is reported as soon as Redis has it"
    died = events(found, "worker-died")
    assert [(line["error"], "pid" in line) for line in died] == [("was killed by SIGKILL", True)] * 3
    assert len(events(found, "worker-started")) == 7


def test_a_full_disk_does_not_stop_the_crawl_and_is_reported_once(commands: Commands, sites: Sites) -> None:
    graph, _ = graph_of(sites, 7)
    done = commands.run(*crawl(graph)[:-1], "/dev/full", "-n", "3")
    assert done.code == 0, done.err
    graph.check(commands.written("out.jsonl"))
    assert done.err.count("--log-file /dev/full: cannot be written: No space left on device") == 1
    assert "lines of --log-file could not be written" in done.err


def test_people_get_the_same_with_v(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    home = site.serve("/", html(["/gone\x1b"]))
    done = commands.run("run", home, "--delay", "0", "-n", "1", "-v")
    assert done.code == 0, done.err
    assert f"crawler: fetched 200 {home} (" in done.err
    assert "started (pid " in done.err
    assert "\x1b" not in done.err


@pytest.mark.parametrize(
    ("target", "status", "kind", "text"),
    [
        ("/", 503, "http", "503 Service Unavailable"),
        ("/", 429, "http", "429 Too Many Requests"),
        ("/robots.txt", 500, "robots", "robots.txt answered 500 Internal Server Error"),
    ],
)
def test_a_host_that_fails_is_named_with_its_cause_at_once_and_again_when_it_works(
    commands: Commands, sites: Sites, target: str, status: int, kind: str, text: str
) -> None:
    site = sites.add()
    host = f"127.0.0.1:{site.port}"
    home = site.serve("/", html())
    site.serve(target, b"no", status)
    going = commands.start("run", home, "--delay", "10ms", "-n", "2", "--log-file", "log", "--retries", "9")
    going.wait_to_say(f"{host} fails: {text}")
    site.serve(target, html() if target == "/" else b"")
    done = going.wait()
    assert done.code == 0, done.err
    failing, recovered = events(lines(commands.folder / "log"), "host-")
    assert failing["event"] == "host-failing"
    assert (failing["host"], failing["trouble"], failing["trouble_kind"]) == (host, text, kind)
    assert recovered["event"] == "host-recovered"
    assert done.err.count(" fails: ") == 1


def test_a_port_at_which_nobody_listens_is_named_at_once(commands: Commands, sites: Sites) -> None:
    sites.add()
    port = closed_port()
    going = commands.start("run", f"http://127.0.0.1:{port}/", "-n", "1", "--log-file", "log")
    going.wait_to_say(f"127.0.0.1:{port} fails: ")
    (event,) = events(lines(commands.folder / "log"), "host-failing")
    assert (event["trouble_kind"], "refused" in event["trouble"].lower()) == ("connect", True)


@pytest.mark.slow
def test_without_a_terminal_there_is_a_line_after_ten_seconds_and_no_second_one_at_once(
    commands: Commands, sites: Sites
) -> None:
    site = sites.add()
    home = site.serve("/", html([f"/{n}" for n in range(12)]))
    done = commands.run("run", home, "--delay", "1s", "-n", "1")
    assert done.code == 0, done.err
    assert len([line for line in done.lines if " pages | " in line]) == 1
    assert done.out == ""


def test_events_follow_a_crawl_until_ctrl_c(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    site, commands = sites.add(), commands_on(redis_server.url)
    home = site.serve("/", html(["/a"]))
    follower, name = commands.start("events"), channel("default")
    follower.wait_to_say("waiting for crawl 'default' to begin")
    assert commands.run("seed", home, "--delay", "0").code == 0
    with redis_server.client() as client:
        wait_until(lambda: client.pubsub_numsub(name)[0][1] == 1, "it to listen")
        client.publish(name, b"no JSON")
        client.publish(name, b'{"event":"\\u001b[2J"}')
    assert commands.run("work", "-n", "2", "--until-done", "--publish-urls").code == 0
    assert commands.run("set", "delay", "1s").code == 0
    wait_until(lambda: follower.out.count("\n") >= 5, "the events")
    follower.signal(signal.SIGINT)
    done = follower.wait()
    assert done.code == 0, done.err
    foreign, *found = done.records()
    assert foreign == {"event": "\x1b[2J"}
    assert "\x1b" not in done.out
    assert Counter(line["url"] for line in ended(found)) == Counter({home: 1, site.url("/a"): 1})
    assert [line["event"] for line in events(found)] == ["worker-started"] * 2


def test_events_wait_for_a_redis_that_goes_away(
    durable_redis: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """The pool reports both, the follower as soon as it can be reached again."""
    site, commands = sites.add(), commands_on(durable_redis.url)
    home = site.serve("/", html())
    going = commands.start("work", "-n", "1", "--log-file", "log")
    assert commands.run("seed", home, "--delay", "0").code == 0
    wait_until(lambda: site.seen, "the crawl to begin")
    follower, name = commands.start("events"), channel("default")
    with durable_redis.client() as client:
        wait_until(lambda: client.pubsub_numsub(name)[0][1] == 1, "it to listen")
    durable_redis.kill()
    going.wait_to_say("waiting for it")
    follower.wait_to_say("waiting for it")
    durable_redis.start()
    wait_until(lambda: events(lines(commands.folder / "log"), "redis-back"), "the log to say that it is back")
    with durable_redis.client() as client:
        wait_until(lambda: client.pubsub_numsub(name)[0][1] == 1, "it to listen again")
    assert commands.run("set", "delay", "2s").code == 0
    wait_until(lambda: "setting-changed" in follower.out, "the next event")
    changed = events(follower_lines(follower.out), "setting-changed")[0]
    assert (changed["setting"], changed["before"], changed["after"]) == ("delay", "0s", "2s")
    names = [line["event"] for line in events(lines(commands.folder / "log"))]
    assert names == ["worker-started", "redis-away", "redis-back", "setting-changed"]
    assert set(names) <= set(EVENTS)


def follower_lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_crawl_from_python_has_a_log_too(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    home = site.serve("/", html(["/a"]))
    commands.write(
        "script.py",
        f"""
from crawler import Crawl

if __name__ == "__main__":
    with Crawl("{home}", delay=0, workers=2, log_file="log") as crawl:
        crawl.run()
""",
    )
    done = commands.run(python="script.py")
    assert done.code == 0, done.err
    found = lines(commands.folder / "log")
    assert {line["url"] for line in ended(found)} == {home, site.url("/a")}
    assert [line["event"] for line in events(found)] == ["worker-started"] * 2


def test_a_webhook_without_a_key_is_refused(commands: Commands, sites: Sites) -> None:
    home = sites.add().serve("/", html())
    done = commands.run("run", home, "--webhook", "https://example.org/x")
    assert (done.code, len(done.lines)) == (2, 1)
    assert KEY in done.err
    assert not (commands.folder / ".crawler").exists()


def test_a_crawl_posts_its_events_without_the_crawls_headers(commands: Commands, sites: Sites) -> None:
    commands.env[KEY] = "k"
    home = sites.add().serve("/", html())
    with receiving() as receiver:
        more = ["--webhook", receiver.url, "--header", "X-Secret: 1"]
        done = commands.run("run", home, "-n", "2", "--delay", "0", *more)
    assert done.code == 0, done.err
    assert [event["event"] for event in receiver.accepted()] == ["worker-started"] * 2, done.err
    assert not any("x-secret" in str(headers).lower() for headers, _ in receiver.posts)


@pytest.mark.parametrize("how", ["hangs", "refuses"])
def test_a_webhook_that_takes_nothing_does_not_hold_up_the_crawl(commands: Commands, sites: Sites, how: str) -> None:
    graph, _ = graph_of(sites, 9)
    commands.env[KEY] = "k"
    with receiving() as receiver:
        receiver.gate.clear()
        url = receiver.url if how == "hangs" else f"http://127.0.0.1:{closed_port()}/"
        done = commands.run(*crawl(graph), "-n", "2", "--webhook", url)
    assert done.code == 0, done.err
    graph.check(commands.written("out.jsonl"))
    assert "2 events were not posted: " in done.err
    posted = lines(commands.folder / "log")
    assert len(ended(posted)) == len(graph.nodes)
