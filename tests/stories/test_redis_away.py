"""Redis goes away in the middle of a crawl and comes back: the crawl waits for it and loses nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, Running, command_line, kill_hard, wait_until
from tests.stories.sites import Graph, Site, Sites, html

pytestmark = pytest.mark.slow

SIZE = 200


def _graph(sites: Sites, seed: int) -> tuple[Graph, list[Site]]:
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2)]
    return Graph(hosts, SIZE, seed, slow=0.01), hosts


def _start(commands: Commands, graph: Graph) -> Running:
    return commands.start("run", *graph.seeds, "--delay", "0", "--per-host", "3", "--workers", "2")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_shared_redis_is_restarted(
    durable_redis: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites, how: str
) -> None:
    """In order or by kill -9, with all it acknowledged kept: one line when it goes, one when it is back."""
    graph, hosts = _graph(sites, 21)
    commands = commands_on(durable_redis.url)
    going = _start(commands, graph)
    wait_until(lambda: sum(len(host.seen) for host in hosts) > SIZE // 4, "the middle of the crawl")
    getattr(durable_redis, how)()
    going.wait_to_say("waiting for it")
    if how == "kill":  # a worker that is lost meanwhile is replaced by one that waits as well
        kill_hard(going.workers()[0])
        going.wait_to_say("was killed by SIGKILL")
    durable_redis.start()
    done = going.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "Redis is back" in done.err
    assert len(done.err.splitlines()) < 20, "it repeats itself"
    graph.check(commands.records())
    for host in hosts:  # an answer may have come while its end could not be told; nothing is asked for without need
        assert host.asked_of_pages().total() <= len(graph.asked_for(host)) + 2 * 3


def test_killed_twenty_times(durable_redis: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites) -> None:
    """With `appendfsync always` the result is that of an undisturbed crawl, and nobody is charged."""
    graph, hosts = _graph(sites, 24)
    commands = commands_on(durable_redis.url)
    going = commands.start("run", *graph.seeds, "--delay", "30ms", "--per-host", "1", "--workers", "2")
    for n in range(20):
        wait_until(lambda n=n: sum(len(host.seen) for host in hosts) > (n + 1) * SIZE // 24, "the crawl to get on")  # type: ignore[misc]
        assert going.process.poll() is None
        durable_redis.kill()
        durable_redis.start()
    done = going.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    records = commands.records()
    graph.check(records)
    assert {record["attempts"] for record in records.values()} == {1}
    for host in hosts:
        assert host.asked_of_pages().total() == len(graph.asked_for(host)), "a page was fetched again"


def test_the_embedded_redis_is_killed(commands: Commands, sites: Sites) -> None:
    """The command that uses it starts it again; up to a second of acknowledgements may be lost, not a URL."""
    graph, hosts = _graph(sites, 22)
    going = _start(commands, graph)
    wait_until(lambda: sum(len(host.seen) for host in hosts) > SIZE // 4, "the middle of the crawl")
    pid = int((commands.folder / ".crawler" / "redis.pid").read_text())
    assert b"redis-server" in command_line(pid)
    kill_hard(pid)
    done = going.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    records = commands.records()
    expected = {url: outcome for url, (outcome, _, _) in graph.expected().items()}
    assert {url: record["outcome"] for url, record in records.items()} == expected


def test_interrupted_while_redis_is_away(
    durable_redis: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Ctrl-C twice does not wait for Redis; when it is back, the same command goes on at once and finds every URL."""
    graph, hosts = _graph(sites, 23)
    commands = commands_on(durable_redis.url)
    going = _start(commands, graph)
    wait_until(lambda: sum(len(host.seen) for host in hosts) > SIZE // 4, "the middle of the crawl")
    durable_redis.kill()
    going.wait_to_say("waiting for it")
    going.signal(signal.SIGINT)
    going.wait_to_say("stopping")
    going.signal(signal.SIGINT)
    done = going.wait(20)
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    durable_redis.start()
    done = _start(commands, graph).wait()
    assert done.code == 0, done.err
    records = commands.records()
    graph.check(records)
    assert sum(record["attempts"] != 1 for record in records.values()) <= 2  # what its two workers had in hand


def test_export_goes_on(durable_redis: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites) -> None:
    """`export --follow` and `work` wait for it too, before a crawl has begun and while it runs."""
    site = sites.add()
    site.serve("/", html())
    commands = commands_on(durable_redis.url)
    exporting = commands.start("export", "-o", "-", "--follow")
    working = commands.start("work", "-n", "1", "--until-done")
    for waiting in (exporting, working):
        waiting.wait_to_say("waiting for crawl")
    durable_redis.kill()
    for waiting in (exporting, working):
        waiting.wait_to_say("waiting for it")
    durable_redis.start()
    assert commands.run("seed", site.url("/"), "--delay", "0").code == 0
    assert (working.wait().code, exporting.wait().code) == (0, 0)
    assert [record["outcome"] for record in exporting.wait().records()] == ["fetched"]
