"""`seed`, `work` and `export --follow` as processes of their own, whichever starts first, on either kind of Redis."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.servers import Call
from tests.stories.commands import Commands, Running, by_url, wait_until
from tests.stories.sites import Graph, Sites, html
from tests.stories.tcp_redis import TcpRedis

pytestmark = pytest.mark.slow

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


def test_workers_that_have_nothing_to_do_wait_for_the_one_that_has(commands: Commands, sites: Sites) -> None:
    """A chain: only ever one page is known, whose end brings the next. Seven workers of eight are always idle."""
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2, 3)]
    chain = [hosts[n % 3].url(f"/{n}") for n in range(25)]

    def link(n: int) -> Callable[[Call], None]:
        def answer(call: Call) -> None:
            call.wait(0.05)
            call.answer(html(chain[n + 1 : n + 2]))

        return answer

    for n in range(25):
        hosts[n % 3].pages[f"/{n}"] = link(n)
    done = commands.run("run", chain[0], "--scope", "all", "--allow-private", "--delay", "0", "--workers", "8")
    assert done.code == 0, done.err
    assert commands.records().keys() == set(chain)
    assert all(host.asked_of_pages().total() == len(host.asked_of_pages()) for host in hosts)


def test_no_worker_has_the_id_of_another(commands: Commands, sites: Sites) -> None:
    """Machine, process and chance: also in containers, where every pool is process 1."""
    site = sites.add()
    site.pages["/"] = lambda call: call.wait(20)
    going = commands.start("run", site.url("/"), "--workers", "3")
    more = commands.start("work", "--workers", "3")
    wait_until(lambda: len(commands.watch_files()) == 6, "six workers")
    names = {path.name for path in commands.watch_files()}
    assert len({name.rpartition("-")[2] for name in names}) == 6
    assert len({name.rpartition("-")[0] for name in names}) == 2
    for running in (going, more):
        running.kill()
