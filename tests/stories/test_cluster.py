"""A crawl of several shards: on one Redis, and on a cluster whose nodes die and whose slots move meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from crawler.frontier.keys import Keys, slot_of
from tests.cluster import RedisCluster
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, wait_until
from tests.stories.sites import Graph, Sites

pytestmark = pytest.mark.slow

HOSTS: Final = 12
SHARDS: Final = 6
SIZE: Final = 400
OPTIONS: Final = ("--shards", str(SHARDS), "--delay", "0", "--per-host", "3", "--workers", "2", "--lease-term", "5s")


@pytest.fixture
def cluster(redis_server: PrivateRedis) -> Iterator[RedisCluster]:
    made = RedisCluster(redis_server.binary.path)
    yield made
    made.close()


def graph_on(sites: Sites, seed: int, slow: float = 0.0) -> Graph:
    """A graph over many hosts, each a site of its own, with links in all directions."""
    return Graph([sites.add(f"127.0.0.{n + 1}") for n in range(HOSTS)], SIZE, seed, slow)


def asked(graph: Graph) -> int:
    """How many pages were asked for."""
    return sum(site.asked_of_pages().total() for site in {node.site for node in graph.nodes})


def refetched(graph: Graph) -> int:
    """How many requests were made beyond one for each page."""
    return asked(graph) - sum(len(graph.asked_for(site)) for site in {node.site for node in graph.nodes})


def test_several_shards_on_one_redis_find_the_same(commands: Commands, sites: Sites) -> None:
    graph = graph_on(sites, 5)
    done = commands.run("run", *graph.seeds, *OPTIONS)
    assert done.code == 0, done.err
    graph.check(commands.records(), ways=False)
    assert refetched(graph) == 0
    status = commands.status()
    assert (status["state"], status["accepted"], status["ended"]) == ("done", SIZE, SIZE)


def test_a_cluster_finds_the_same(cluster: RedisCluster, commands_on: Callable[[str], Commands], sites: Sites) -> None:
    """Every command works on it; each master holds a part of the crawl."""
    graph = graph_on(sites, 6)
    commands = commands_on(cluster.url)
    done = commands.run("run", *graph.seeds, *OPTIONS)
    assert done.code == 0, done.err
    graph.check(commands.records(), ways=False)
    assert refetched(graph) == 0
    assert all(master.client.dbsize() for master in cluster.masters)
    assert "done" in commands.run("list").out
    told = commands.run("explain", graph.nodes[-1].url)
    assert told.code == 0 and graph.nodes[-1].outcome in told.out, told
    assert commands.run("delete", "--yes").code == 0
    assert [master.client.dbsize() for master in cluster.masters] == [0, 0, 0]


def test_a_master_dies_and_slots_move(
    cluster: RedisCluster, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """What a replica had not yet, and what was in flight, is fetched again; nothing is lost, nothing stored twice."""
    graph = graph_on(sites, 7, slow=0.02)
    commands = commands_on(cluster.url)
    going = commands.start("run", *graph.seeds, *OPTIONS)
    wait_until(lambda: asked(graph) > SIZE // 5, "a fifth of the crawl")
    cluster.move(slot_of(Keys("default", 1, SHARDS).meta))
    wait_until(lambda: asked(graph) > SIZE // 3, "a third of the crawl")
    cluster.kill(cluster.owner(slot_of(Keys("default", 0, SHARDS).meta)))
    cluster.move(slot_of(Keys("default", 2, SHARDS).meta))
    done = going.wait(90)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    graph.check(commands.records(), ways=False)
    assert refetched(graph) < SIZE // 4


def test_a_cluster_is_named_as_one(cluster: RedisCluster, commands_on: Callable[[str], Commands]) -> None:
    """By the URL of one node nothing can be done; the message says how to name it."""
    node = cluster.masters[0]
    slot = slot_of(Keys("default").meta)
    other = next(master for master in cluster.masters if master is not cluster.owner(slot))
    done = commands_on(f"redis://127.0.0.1:{other.port}").run("run", "http://127.0.0.1:9/")
    assert done.code == 3
    assert "redis+cluster://" in done.err
    assert node.client.dbsize() == 0


def test_a_redis_that_is_no_cluster_is_told(
    tcp_redis: Callable[..., object], commands_on: Callable[[str], Commands]
) -> None:
    server = tcp_redis()
    done = commands_on(f"redis+cluster://127.0.0.1:{server.port}").run("status")  # type: ignore[attr-defined]
    assert done.code == 3
    assert "is no cluster" in done.err and "redis://" in done.err
