"""Redis is an input: whatever something else put there or took away, the crawl ends and says what it met."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis
from redis.typing import EncodableT, FieldT

from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, Running, wait_until
from tests.stories.sites import Graph, Site, Sites, html

pytestmark = pytest.mark.slow

PREFIX = "crawler:{default.0}:"


@pytest.fixture
def client(redis_server: PrivateRedis) -> Any:
    with redis_server.client() as made:
        yield made


@pytest.fixture
def commands(redis_server: PrivateRedis, commands_on: Callable[[str], Commands]) -> Commands:
    """On the Redis that `client` changes."""
    return commands_on(redis_server.url)


def _site(sites: Sites, width: int = 6) -> tuple[Site, list[str]]:
    """A page with links to others, and what is disallowed."""
    site = sites.add()
    site.robots = b"User-agent: *\nDisallow: /no\n"
    paths = [f"/{n}" for n in range(width)]
    site.serve("/", html([*paths, "/no"]))
    return site, [site.url("/"), *(site.serve(path, html()) for path in paths), site.url("/no")]


# -- queues ------------------------------------------------------------------------------------------------------------

HEAD = bytes(12)
ENTRIES: list[tuple[bytes, str]] = [
    (b"", "it is too short; 0 bytes"),
    (b"x", "it is too short; 1 bytes"),
    (HEAD, "it is too short; 12 bytes"),
    (json.dumps({"url": "http://example.org/", "depth": 1}).encode(), "it looks like JSON"),
    (pickle.dumps({"url": "http://example.org/"}), "it looks like a pickle"),
    (HEAD + b"/" + b"x" * 10_000_000, "it is too long; 10,000,013 bytes"),
    (bytes(3) + b"\xff" + HEAD[4:] + b"/flags", "its flags are not valid"),
    (bytes(3) + b"\x02" + HEAD[4:] + b"/scheme", "its flags are not valid"),
    (HEAD + "/ü".encode(), "it holds no path"),
    (HEAD + b"/a\nHost: elsewhere", "it holds no path"),
    (HEAD + b"/a\0b", "it holds no path"),
    (b"\xf0" + HEAD[1:] + b"no path", "it holds no path"),
]
"""What is put into a queue, and what is said of it."""


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
def test_what_is_no_entry_is_a_dead_letter(
    client: redis.Redis, commands: Commands, sites: Sites, counted: bool
) -> None:
    """Each ends by itself, named shortly; nothing is asked for its sake, and all others are crawled."""
    site, urls = _site(sites)
    assert commands.run("seed", urls[0], "--delay", "0").code == 0
    client.lpush(f"{PREFIX}queue:{site.authority}:1", *(raw for raw, _ in ENTRIES))
    if counted:
        client.hincrby(f"{PREFIX}host:{site.authority}", "queued", len(ENTRIES))
        client.hincrby(f"{PREFIX}counters", "queued", len(ENTRIES))
    done = commands.run("run", "--workers", "2")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "lost:" not in done.err
    records = commands.records()
    bad = [record for record in records.values() if record["outcome"] == "failed:bad-entry"]
    errors = [record["error"] for record in bad]
    assert len(errors) == len(ENTRIES)
    for _, why in ENTRIES:
        assert sum(why in error for error in errors) == sum(why in other for _, other in ENTRIES), why
    assert all(record["error"].isprintable() and len(json.dumps(record)) < 1_000 for record in bad)
    assert set(records) - {record["url"] for record in bad} == set(urls)
    assert site.asked() == {"/robots.txt": 1, "/": 1, **{site.path_of(url): 1 for url in urls[1:-1]}}
    assert commands.run("failed").code == 0
    status = commands.status()
    assert (status["state"], status["lost"], status["accepted"]) == ("done", 0, len(records))


# -- all other keys ----------------------------------------------------------------------------------------------------


def test_nonsense_wherever_it_may_lie(client: redis.Redis, commands: Commands, sites: Sites) -> None:
    """In every key of a crawl that has begun: it goes on to the same result, and every command answers."""
    site, urls = _site(sites)
    assert commands.run("seed", *urls[:3], "--delay", "0").code == 0
    names: dict[str, Mapping[FieldT, EncodableT]] = {
        f"host:{site.authority}": {
            "robots_rev": "x",
            "latency": "nan",
            "backoff": "",
            "delay": "-inf",
            "accepted": "x",
        },
        "counters": {"status:200": "many", "bytes": "1e99", b"\xff": "x"},
        "workers": {"x": "", "y": "5 [1]", b"\xff": b"7 \xff", "z": "soon {}"},
        "leased": {"x": "", "y": "P1 w b", b"\xff": b"\x80\x04\n\0"},
        "sites": {"127.0.0.1": "x"},
        "traps": {b"\xff/x": "when"},
        "meta": {"roots_rev": "x", "traps_rev": "y", "settings_rev": "z", "adaptive": "fast", "per_host": "0"},
    }
    for name, mapping in names.items():
        client.hset(PREFIX + name, mapping=mapping)
    client.zadd(f"{PREFIX}leases", {b"x": "-inf", b"\xff": "+inf"})
    client.zadd(f"{PREFIX}ready", {b"no.example": 0, b"\xff \n": 0, b"": 0, b"later.example": "+inf"})
    client.zadd(f"{PREFIX}failed", {b"no id": "+inf", b"\xff": "-inf", b"7": 5})
    client.zadd(f"{PREFIX}sources", {b"\xff": "-inf"})
    client.lpush(f"{PREFIX}wake", b"\xff" * 50)
    client.xadd(f"{PREFIX}records", {b"\xff": "x"})
    client.xadd(f"{PREFIX}records", {"i": b"\xff"})
    client.hset(f"{PREFIX}page:5", mapping={"at": "0-1"})
    client.set(f"{PREFIX}robots:http://{site.authority}", b"User-agent: *\nDisallow: /")
    client.hset(f"{PREFIX}host:{site.authority}", "robots_until:0", "9" * 15)
    done = commands.run("run", "--workers", "2")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "something else changed the crawl in Redis" in done.err
    records = commands.records()
    assert {url: record["outcome"] for url, record in records.items()} == {
        **dict.fromkeys(urls[:-1], "fetched"),
        urls[-1]: "dropped:robots",
    }
    assert site.asked_of_pages() == dict.fromkeys((site.path_of(url) for url in urls[:-1]), 1)
    status = commands.status()
    assert (status["state"], status["lost"], status["queued"], status["leased"]) == ("done", 0, 0, 0)
    for command in (("list",), ("failed", "--list"), ("explain", urls[1]), ("status",)):
        done = commands.run(*command)
        assert done.code == 0, (command, done.err)


def _in_the_middle(commands: Commands, sites: Sites, size: int = 200) -> tuple[Graph, list[Site], Running]:
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2)]
    graph = Graph(hosts, size, seed=61, slow=0.01)
    going = commands.start("run", *graph.seeds, "--delay", "0", "--per-host", "3", "--workers", "2", "--ignore-traps")
    wait_until(lambda: sum(len(host.seen) for host in hosts) > 30, "the middle of the crawl")
    return graph, hosts, going


def test_what_can_be_counted_again_is(client: redis.Redis, commands: Commands, sites: Sites) -> None:
    """The index of hosts, a host's facts, deadlines and counters vanish one after another: no URL is missed."""
    graph, hosts, going = _in_the_middle(commands, sites)
    for n, name in enumerate(("ready", f"host:{hosts[0].authority}", "leases", "counters"), 1):
        wait_until(lambda n=n: sum(len(host.seen) for host in hosts) > n * 30, "the crawl to get on")  # type: ignore[misc]
        assert going.process.poll() is None
        client.delete(PREFIX + name)
    done = going.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "lost:" not in done.err
    graph.check(commands.records())
    assert commands.status()["state"] == "done"


@pytest.mark.parametrize("name", ["queue", "leased"])
def test_what_is_nowhere_any_more_is_lost_and_told(
    client: redis.Redis, commands: Commands, sites: Sites, name: str
) -> None:
    """URLs are in queues and leases alone. The crawl ends, and says in its summary how many are missing."""
    graph, hosts, going = _in_the_middle(commands, sites)
    keys = [f"{PREFIX}queue:{host.authority}:1" for host in hosts] if name == "queue" else [f"{PREFIX}leased"]
    client.delete(*keys)
    done = going.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    records, status = commands.records(), commands.status()
    assert 0 < status["lost"] == status["accepted"] - len(records)
    assert f"lost: {status['lost']:,} URLs" in done.err
    assert f"{status['lost']:,} URLs, which a foreign client removed" in commands.run("status").out
    expected = graph.expected()
    assert all(record["outcome"] == expected[url][0] for url, record in records.items())


def _wrong(name: str) -> Callable[[redis.Redis, Commands], object]:
    def change(client: redis.Redis, commands: Commands) -> None:
        with client.pipeline() as pipe:
            pipe.delete(PREFIX + name)
            pipe.set(PREFIX + name, "mine")
            pipe.execute()

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda client, commands: client.flushall(), "is gone"),
        (lambda client, commands: commands.run("delete", "--yes"), "is gone"),
        (lambda client, commands: client.hset(f"{PREFIX}meta", "state", "deleting"), "being deleted"),
        (lambda client, commands: client.hset(f"{PREFIX}meta", "schema", 99), "another version of this program"),
        (
            lambda client, commands: client.hset(f"{PREFIX}meta", mapping={"settings": "[", "settings_rev": 7}),
            "the settings stored in the `meta` of crawl 'default' cannot be used",
        ),
        (_wrong("counters"), f"its key {PREFIX}counters holds a string, not a hash"),
    ],
    ids=[
        "all is flushed",
        "it is deleted",
        "it is being deleted",
        "a later version",
        "settings",
        "a key of another kind",
    ],
)
def test_what_nobody_can_go_on_with(
    client: redis.Redis,
    commands: Commands,
    sites: Sites,
    change: Callable[[redis.Redis, Commands], object],
    words: str,
) -> None:
    """It ends at once, wherever workers are, each command with one line; what is damaged can be deleted."""
    _, _, going = _in_the_middle(commands, sites, 5000)
    others = [commands.start("work", "-n", "2"), commands.start("export", "-o", "-", "--follow")]
    others[0].wait_for_workers(2)
    wait_until(lambda: others[1].out, "the first records")
    told = [running.err for running in (going, *others)]
    change(client, commands)
    for running, before in zip((going, *others), told, strict=True):
        if running is others[1] and "settings" in words:
            continue  # an export needs none
        done = running.wait()
        lines = [line for line in done.err.removeprefix(before).splitlines() if "quarantined: " not in line]
        assert done.code == 2, done.err
        assert len(lines) == 1, done.err
        assert words in lines[0] or (words == "is gone" and "there is no crawl" in lines[0])
    assert commands.run("list").code == 0
    if "is gone" not in words:
        assert commands.run("status").code in (0, 2)
        assert commands.run("delete", "--yes").code == 0
    assert client.keys("crawler:*") == []
