"""A shared Redis as it is run in earnest: behind sentinels, by TLS, for a user with few rights, beside other crawls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.servers import Call
from tests.stories.commands import PATIENCE, Commands, wait_until
from tests.stories.sentinels import Watched
from tests.stories.sites import Graph, Sites

pytestmark = pytest.mark.slow

SIZE = 200


@pytest.fixture
def watched(redis_server: PrivateRedis) -> Iterator[Watched]:
    made = Watched(redis_server.binary.path, password="a b", sentinel_password="c d")
    yield made
    made.close()


# -- Sentinel ----------------------------------------------------------------------------------------------------------


class Sluice:
    """Lets the sites of *graph* answer so many pages as it is opened for; the others wait."""

    def __init__(self, graph: Graph) -> None:
        self._room = threading.Semaphore(0)
        for node in graph.nodes:
            node.site.pages[node.target] = partial(self._pass, node.site.pages[node.target])

    def _pass(self, answer: Callable[[Call], object], call: Call) -> None:
        self._room.acquire(timeout=PATIENCE)
        answer(call)

    def open(self, pages: int) -> None:
        """So many more are answered."""
        self._room.release(pages)


@pytest.mark.parametrize("replica", ["has it all", "is behind"])
def test_a_crawl_goes_on_at_the_new_master(
    watched: Watched, commands_on: Callable[[str], Commands], sites: Sites, replica: str
) -> None:
    """The master is killed. What the replica had not yet is fetched again; with all it had, nothing is lost at all."""
    graph = Graph([sites.add(f"127.0.0.{n}") for n in (1, 2)], SIZE, 31, slow=0.01)
    sluice = Sluice(graph)
    hosts = {node.site for node in graph.nodes}

    def asked() -> int:
        return sum(host.asked_of_pages().total() for host in hosts)

    options = ["--delay", "0", "--per-host", "3", "--workers", "2", "--lease-term", "3s"]
    commands = commands_on(watched.url)
    going = commands.start("run", *graph.seeds, *options)
    sluice.open(SIZE // 4)
    wait_until(lambda: asked() >= SIZE // 4, "the middle of the crawl")
    if replica == "has it all":
        sluice.open(SIZE // 4)
        watched.catch_up_and_kill()
    else:
        watched.cut_off()
        known = asked()
        sluice.open(SIZE // 4)
        wait_until(lambda: asked() > known + 20, "what the replica never hears of")
        watched.master.kill()
    sluice.open(SIZE * 2)
    done = going.wait()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) < 20, "it repeats itself"
    graph.check(commands.records())
    again = asked() - sum(len(graph.asked_for(host)) for host in hosts)
    assert again <= 2 * 2 * 3 if replica == "has it all" else again >= 10
