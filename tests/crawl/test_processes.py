"""`seed`, `work` and `export --follow` as processes of their own, whichever starts first, on either kind of Redis."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.crawl.commands import Commands, Running, by_url, wait_until
from tests.crawl.sites import Graph, Sites, html
from tests.crawl.tcp_redis import TcpRedis

EMBEDDED = (("work", "seed", "export"), ("export", "work", "seed"))
SHARED = (("seed", "export", "work"), ("export", "seed", "work"))


def _start_all(commands: list[Commands], graph: Graph, order: tuple[str, ...]) -> dict[str, Running]:
    arguments = {
        "seed": ("seed", "--delay", "0", "--per-host", "4", *graph.seeds),
        "work": ("work", "-n", "2", "--until-done"),
        "export": ("export", "-o", "-", "--follow"),
    }
    started = {}
    for who, name in zip(commands, order, strict=True):
        started[name] = who.start(*arguments[name])
        if name != "seed" and "seed" not in started:  # it must be waiting when the next one comes
            started[name].wait_to_say("waiting for crawl")
    return started


def _check(started: dict[str, Running], graph: Graph) -> None:
    done = {name: running.wait() for name, running in started.items()}
    assert {name: end.code for name, end in done.items()} == {"seed": 0, "work": 0, "export": 0}, done
    graph.check(by_url(done["export"].records()))
    for name in ("work", "export"):
        assert done[name].err.count("waiting for crawl") <= 1
        assert "Traceback" not in done[name].err


@pytest.mark.parametrize("order", EMBEDDED, ids=" ".join)
def test_on_the_embedded_redis(commands: Commands, sites: Sites, order: tuple[str, ...]) -> None:
    """The first to come starts the server, the last to leave stops it."""
    graph = Graph([sites.add(), sites.add("127.0.0.2")], 120, seed=7)
    _check(_start_all([commands] * 3, graph, order), graph)
    assert not (commands.folder / ".crawler" / "redis.pid").exists()


@pytest.mark.parametrize("order", SHARED, ids=" ".join)
def test_on_a_shared_redis(
    tcp_redis: Callable[..., TcpRedis],
    commands_on: Callable[[str], Commands],
    sites: Sites,
    order: tuple[str, ...],
) -> None:
    """Three folders, as three machines would be; nothing is written into them."""
    redis = tcp_redis()
    graph = Graph([sites.add(), sites.add("127.0.0.2")], 120, seed=8)
    machines = [commands_on(redis.url) for _ in range(3)]
    _check(_start_all(machines, graph, order), graph)
    for machine in machines:
        assert not (machine.folder / ".crawler").exists()


def test_workers_wait_for_more(commands: Commands, sites: Sites) -> None:
    """Without --until-done they outlive a crawl that is done, and take what is seeded later."""
    site = sites.add()
    first, later = site.serve("/", html(["/a"])), site.serve("/later", html(["/b"]))
    site.serve("/a", html())
    site.serve("/b", html())
    working = commands.start("work", "-n", "1")
    assert commands.run("seed", first, "--delay", "0").code == 0
    wait_until(lambda: commands.status()["state"] == "done", "the end of the first batch")
    assert working.process.poll() is None
    assert commands.run("seed", later).code == 0
    wait_until(lambda: site.asked()["/b"], "the last page of the second batch")
    working.signal(signal.SIGINT)
    assert working.wait().code == 0
    assert {site.url(path) for path in ("/", "/a", "/later", "/b")} == set(commands.records())
