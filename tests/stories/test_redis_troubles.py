"""Redis in trouble in the middle of everything: what passes is waited for and told once, what does not ends at once."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest
import redis

from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, Done, Running, wait_until
from tests.stories.sites import Graph, Site, Sites, html

pytestmark = pytest.mark.slow

SHORT = """
from crawler.frontier.redis import connection

connection.ANSWER_LIMIT = 2.0
"""
"""What commands and workers import first where Redis is not to be waited for as long as people would."""
BACK = "Redis is back"


# -- what passes -------------------------------------------------------------------------------------------------------


@contextmanager
def replica(server: PrivateRedis) -> Iterator[None]:
    """A failover went by: writes are refused, reading goes on."""
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        yield
        client.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def unsaved(server: PrivateRedis) -> Iterator[None]:
    """Its snapshot cannot be written: a folder is in the way."""

    def saved(how: str) -> None:
        client.bgsave()
        wait_until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"], "the snapshot")
        assert client.info("persistence")["rdb_last_bgsave_status"] == how

    with server.client() as client:
        (server.folder / "dump.rdb").mkdir()
        client.config_set("save", "3600 1")
        saved("err")
        yield
        (server.folder / "dump.rdb").rmdir()
        saved("ok")
        client.config_set("save", "")


@contextmanager
def busy(server: PrivateRedis) -> Iterator[None]:
    """Another client's script does not end."""
    with server.client() as client:
        client.config_set("lua-time-limit", 1)
        other: Any = client.connection_pool.make_connection()
        other.send_command("EVAL", "while true do end", 0)
        yield
        client.script_kill()
        with suppress(redis.RedisError):
            other.read_response()
        other.disconnect()


@contextmanager
def alone(server: PrivateRedis) -> Iterator[None]:
    """Replicas that it has to have are away."""
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        yield
        client.config_set("min-replicas-to-write", 0)


@contextmanager
def crowded(server: PrivateRedis) -> Iterator[None]:
    """All connections are broken, and there is no room for new ones."""
    with server.client() as client:
        client.config_set("maxclients", 1)
        client.client_kill_filter(_type="normal", skipme=True)
        yield
        client.config_set("maxclients", 1000)


@contextmanager
def frozen(server: PrivateRedis) -> Iterator[None]:
    """It does not answer, and connections stay open."""
    os.kill(server.pid, signal.SIGSTOP)
    yield
    os.kill(server.pid, signal.SIGCONT)


@contextmanager
def loading(server: PrivateRedis) -> Iterator[None]:
    """It was killed, and reads its data until it is let on."""
    with server.client() as client:
        client.eval("for n = 1, 50000 do redis.call('SET', 'filler', n) end", 0)
    server.kill()
    server.more = ["--key-load-delay", "400"]
    starting = threading.Thread(target=server.start)
    starting.start()
    yield
    with server.client() as client:
        client.config_set("key-load-delay", 0)
    starting.join()
    server.more = []


@contextmanager
def quiet(server: PrivateRedis) -> Iterator[None]:
    """What is nothing to speak of: scripts are forgotten, answers come late, connections are broken."""
    with server.client() as client:
        client.script_flush()
        client.execute_command("CLIENT", "PAUSE", 600, "ALL")
        client.client_kill_filter(_type="normal", skipme=True)
        client.script_flush()
    yield


Trouble = Callable[[PrivateRedis], AbstractContextManager[None]]
TROUBLES: dict[Trouble, str] = {
    replica: "is a replica, which takes no writes",
    unsaved: "cannot save its data",
    busy: "SCRIPT KILL",
    alone: "min-replicas-to-write",
    crowded: "raise its maxclients",
    frozen: "does not answer",
    loading: "is loading its data",
    quiet: "",
}


@pytest.mark.parametrize(
    "troubles",
    [(replica, unsaved, busy, quiet), (frozen, loading), (crowded, alone)],
    ids=lambda troubles: "-".join(trouble.__name__ for trouble in troubles),
)
def test_a_crawl_goes_on_when_they_are_over(
    durable_redis: PrivateRedis,
    commands_on: Callable[[str], Commands],
    sites: Sites,
    troubles: tuple[Trouble, ...],
) -> None:
    """One after the other: each is told once, in its own words; then nothing is missing and nothing was asked twice."""
    graph, hosts = _graph(sites, 150 * len(troubles))
    commands = _short_of_patience(commands_on(durable_redis.url))
    going = _run(commands, graph)
    for n, trouble in enumerate(troubles):
        wait_until(lambda n=n: _asked(hosts) > 30 + n * 150, "the crawl to get on")  # type: ignore[misc]
        assert going.process.poll() is None
        over = going.err.count(BACK)
        with trouble(durable_redis):
            if TROUBLES[trouble]:
                going.wait_to_say(TROUBLES[trouble])
        if TROUBLES[trouble]:
            going.wait_to_say(BACK, times=over + 1)
    done = going.wait()
    _check_told(done, [TROUBLES[trouble] for trouble in troubles])
    graph.check(commands.records())
    for host in hosts:  # an answer may have come while its end could not be told
        assert host.asked_of_pages().total() <= len(graph.asked_for(host)) + 3


def _graph(sites: Sites, size: int) -> tuple[Graph, list[Site]]:
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2)]
    return Graph(hosts, size, 51, slow=0.01), hosts


def _asked(hosts: list[Site]) -> int:
    return sum(len(host.seen) for host in hosts)


def _run(commands: Commands, graph: Graph) -> Running:
    return commands.start("run", *graph.seeds, "--delay", "0", "--per-host", "3", "--workers", "2")


def _short_of_patience(commands: Commands) -> Commands:
    commands.write("sitecustomize.py", SHORT)
    paths = [str(commands.folder), *filter(None, [commands.env.get("PYTHONPATH")])]
    commands.env["PYTHONPATH"] = ":".join(paths)
    return commands


def _check_told(done: Done, told: list[str]) -> None:
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "a worker waits" not in done.err
    for words in filter(None, told):
        assert done.err.count(words) == 1, done.err
    assert done.err.count(BACK) <= len(told) + 1


@pytest.mark.parametrize("trouble", [loading, busy])
def test_other_commands_wait_as_well(
    durable_redis: PrivateRedis, commands_on: Callable[[str], Commands], trouble: Trouble
) -> None:
    """Seeds that come slowly, an export that follows, a status that is watched: each says so once and goes on."""
    commands = commands_on(durable_redis.url)
    seeding = commands.start("seed", "-", "--delay", "1h", "--max-hosts-per-site", "none")
    seeding.stdin.write("".join(f"http://127.0.0.1:9/{n}\n" for n in range(2_000)).encode())
    seeding.stdin.flush()
    wait_until(lambda: commands.run("list").out, "the crawl to begin")
    others = commands.start("export", "-o", "-", "--follow"), commands.start("status", "--watch", "--json")
    wait_until(lambda: others[1].out, "a first status")
    with trouble(durable_redis):
        seeding.stdin.write("".join(f"http://127.0.0.1:9/{n}\n" for n in range(1_500, 4_000)).encode())
        seeding.stdin.flush()
        for waiting in (seeding, *others):
            waiting.wait_to_say(TROUBLES[trouble])
    seeding.feed("http://127.0.0.1:9/last\n")
    for waiting in (seeding, *others):
        waiting.wait_to_say(BACK)
    done = seeding.wait()
    assert (done.code, "4,001 new URLs, 500 known" in done.lines[-1]) == (0, True), done.err
    wait_until(lambda: '"accepted":4001' in others[1].out, "the status to see it")
    for waiting, code in zip(others, (130, 0), strict=True):
        waiting.signal(signal.SIGINT)
        done = waiting.wait()
        assert done.code == code, done.err
        assert done.err.count("; waiting for it") <= 2


def test_a_full_redis(durable_redis: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites) -> None:
    """No new page begins and seeds wait; all else goes on, and with more memory the crawl, to the same result."""
    graph, hosts = _graph(sites, 200)
    commands = commands_on(durable_redis.url)
    going = _run(commands, graph)
    wait_until(lambda: _asked(hosts) > 60, "the middle of the crawl")
    with durable_redis.client() as client:
        client.config_set("maxmemory", 1)
        going.wait_to_say("is full: raise its maxmemory")
        seeding = commands.start("seed", *graph.seeds)
        wait_until(lambda: commands.status()["leased"] == 0, "what is in flight to end")
        asked = _asked(hosts)
        assert commands.status()["limit"] == "Redis is full"
        for command in (("pause",), ("resume",), ("explain", graph.seeds[0]), ("failed",), ("export", "-o", "a.jsonl")):
            done = commands.run(*command)
            assert done.code == 0, (command, done.err)
        seeding.wait_to_say("0 seeds are in, the others wait for room")
        seeding.signal(signal.SIGINT)
        done = seeding.wait()
        assert (done.code, done.lines[-1]) == (130, "crawler: interrupted")
        assert "0 seeds are in; give the same ones again" in done.err
        assert _asked(hosts) == asked
        client.config_set("maxmemory", 0)
    done = going.wait()
    assert done.code == 0, done.err
    assert done.err.count("is full: raise its maxmemory") == 1
    assert "Redis has room again" in done.err
    graph.check(commands.records())
    assert all(set(host.asked_of_pages().values()) == {1} for host in hosts)


# -- what does not pass ------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(redis_server: PrivateRedis) -> Iterator[tuple[redis.Redis, str]]:
    """An administrator's client, and the URL of a user who may do all that is needed."""
    with redis_server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "bob", "reset", "on", ">good", "~crawler:*", "+@all")
        yield admin, redis_server.url.replace("unix://", "unix://bob:good@")
        admin.execute_command("ACL", "DELUSER", "bob")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (("resetpass", ">other"), "refuses this name and password"),
        (("-evalsha",), "'evalsha' command"),
        (("-setrange",), "ACL LOG|'setrange' command"),  # within a script Redis does not say which one it was
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_refusal_ends_it_at_once(
    guarded: tuple[redis.Redis, str],
    commands_on: Callable[[str], Commands],
    sites: Sites,
    rules: tuple[str, ...],
    words: str,
) -> None:
    """In the middle and at the start: one line for all workers, exit code 3; put right, the same command goes on."""
    admin, url = guarded
    graph, hosts = _graph(sites, 150)
    commands = commands_on(url)
    going = _run(commands, graph)
    wait_until(lambda: _asked(hosts) > 40, "the middle of the crawl")
    before = going.err
    admin.execute_command("ACL", "SETUSER", "bob", *rules)
    if "resetpass" in rules:
        admin.client_kill_filter(_type="normal", skipme=True)
    _refused(going.wait(), before, words)
    _refused(_run(commands, graph).wait(), "", words)
    admin.execute_command("ACL", "SETUSER", "bob", "resetpass", ">good", "+@all")
    done = _run(commands, graph).wait()
    assert done.code == 0, done.err
    graph.check(commands.records())


def _refused(done: Done, before: str, words: str) -> None:
    assert done.code == 3, done.err
    told = [line for line in done.err.removeprefix(before).splitlines() if "warning: " not in line]
    assert len(told) == 1, done.err
    assert re.search(words, told[0])
    assert "defect" not in told[0]


# -- at the start ------------------------------------------------------------------------------------------------------


def test_a_replica_is_named_at_the_start_and_waited_for_if_asked(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Reading commands take a replica as it is."""
    site = sites.add()
    url = site.serve("/", html())
    commands = commands_on(redis_server.url)
    assert commands.run("run", url, "--delay", "0", "-n", "1").code == 0
    with replica(redis_server):
        for command in (("run", url), ("seed", url), ("work",)):
            done = commands.run(*command)
            assert (done.code, len(done.lines)) == (3, 1), done.err
            assert TROUBLES[replica] in done.lines[0]
        assert commands.status()["ended"] == 1
        assert commands.run("export", "-o", "-").code == 0
        waiting = commands.start("run", url, "--wait", "-n", "1")
        waiting.wait_to_say(TROUBLES[replica])
    done = waiting.wait()
    assert done.code == 0, done.err
    assert BACK in done.err


def test_who_crawls_is_warned_of_a_redis_that_forgets(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Before anything is put there; who only looks is not."""
    url = sites.add().serve("/", html())
    commands = commands_on(redis_server.url)
    with redis_server.client() as client:
        changes = {"save": "3600 1", "maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"}
        before = {name: client.config_get(name)[name] for name in changes}
        for name, value in changes.items():
            client.config_set(name, value)
        for command in (("seed", url, "--delay", "0"), ("work", "-n", "1", "--until-done"), ("run", url)):
            done = commands.run(*command)
            assert done.code == 0, done.err
            assert "warning: maxmemory-policy is allkeys-lru" in done.err
            assert "warning: appendonly is off" in done.err
        assert commands.run("status").lines == []
        for name, value in before.items():
            client.config_set(name, value)
