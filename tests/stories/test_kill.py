"""kill -9 and Ctrl-C in the middle of a crawl: nothing is lost, nothing is stored twice, nobody innocent is charged."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.stories.commands import Commands, Running, by_url, command_line, kill_hard, wait_until
from tests.stories.sites import ROBOTS, Graph, Site, Sites, html

pytestmark = pytest.mark.slow

SIZE = 250
SLOW = 0.01
"""Seconds an answer takes, so that a crawl is long enough to be caught in its middle."""


def _graph(sites: Sites, seed: int) -> tuple[Graph, list[Site]]:
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2, 3)]
    return Graph(hosts, SIZE, seed, SLOW), hosts


def _asked(hosts: list[Site]) -> int:
    return sum(len(host.seen) for host in hosts)


def _run(commands: Commands, graph: Graph, *more: str) -> Running:
    return commands.start(
        "run", *graph.seeds, "--delay", "0", "--per-host", "2", "--workers", "4", "-o", "out.jsonl", *more
    )


def _check_attempts(records: dict[str, dict[str, object]], deaths: int) -> None:
    """Only a page that a worker was handling when it was killed may have cost it an attempt."""
    charged = [record["attempts"] for record in records.values() if record["attempts"] != 1]
    assert len(charged) <= deaths
    assert all(isinstance(attempts, int) and attempts <= 1 + deaths for attempts in charged)


def test_workers_killed_one_after_another(commands: Commands, sites: Sites) -> None:
    """Five times one of four workers; the pool says so, starts others, and the crawl ends as if nothing had been."""
    graph, hosts = _graph(sites, 11)
    going, dice = _run(commands, graph), random.Random(5)
    going.wait_for_workers(4)
    for n in range(1, 6):
        wait_until(lambda n=n: _asked(hosts) > n * SIZE // 8, "the crawl to get on")  # type: ignore[misc]
        kill_hard(dice.choice(going.wait_for_workers(1)))
        going.wait_to_say("was killed by SIGKILL", times=n)
    done = going.wait()
    assert done.code == 0, done.err
    assert "workers: 5 died" in done.err
    records = commands.written("out.jsonl")
    graph.check(records)
    _check_attempts(records, 5)
    assert commands.watch_files() == []


def test_all_killed_then_the_same_command_again(commands: Commands, sites: Sites) -> None:
    """Pool and workers die at once; the next start settles their leases at once, long before their term of 90 s."""
    graph, hosts = _graph(sites, 12)
    going = _run(commands, graph)
    wait_until(lambda: _asked(hosts) > SIZE // 3, "the middle of the crawl")
    going.kill()
    began = time.monotonic()
    done = _run(commands, graph).wait()
    assert done.code == 0, done.err
    assert time.monotonic() - began < 60, "the leases of the dead were waited out"
    records = commands.written("out.jsonl")
    graph.check(records)
    _check_attempts(records, 4)
    assert commands.watch_files() == []
    for host in hosts:  # what was in flight when all died is asked for again, nothing else
        assert sum(count - 1 for target, count in host.asked().items() if target != ROBOTS) <= 4 * 2


def test_the_pool_killed_alone(commands: Commands, sites: Sites) -> None:
    """Its workers see that they are orphans and leave; the same command goes on."""
    graph, hosts = _graph(sites, 13)
    going = _run(commands, graph)
    workers = going.wait_for_workers(4)
    wait_until(lambda: _asked(hosts) > SIZE // 4, "the crawl to get on")
    kill_hard(going.pid)
    going.process.wait()
    done = _run(commands, graph).wait()
    assert done.code == 0, done.err
    wait_until(lambda: not any(command_line(pid) for pid in workers), "the orphans to leave")
    records = commands.written("out.jsonl")
    graph.check(records)
    assert all(record["attempts"] == 1 for record in records.values())


def _interrupt(commands: Commands, graph: Graph, hosts: list[Site], number: signal.Signals) -> None:
    """Start, stop it in the middle, and see that it left in order: 130, nothing leased, no output written."""
    going = _run(commands, graph)
    wait_until(lambda: _asked(hosts) > SIZE // 3, "the middle of the crawl")
    began = time.monotonic()
    going.signal(number)
    done = going.wait(20)
    assert done.code == 130, done.err
    assert time.monotonic() - began < 10
    assert "continue with `crawler run -o out.jsonl" in done.err
    assert "Traceback" not in done.err
    assert not (commands.folder / "out.jsonl").exists()
    status = commands.status()
    assert (status["leased"], status["state"]) == (0, "waiting")
    assert status["queued"] > 0
    assert commands.watch_files() == []


def test_interrupted_then_the_same_command_again(commands: Commands, sites: Sites) -> None:
    """It goes on where it was: nothing is charged, and nothing that was fetched is asked for again."""
    graph, hosts = _graph(sites, 14)
    _interrupt(commands, graph, hosts, signal.SIGINT)
    before = _asked(hosts)
    done = _run(commands, graph).wait()
    assert done.code == 0, done.err
    records = commands.written("out.jsonl")
    graph.check(records)
    assert all(record["attempts"] == 1 for record in records.values())
    assert before < _asked(hosts) <= before + SIZE
    for host in hosts:
        assert set(host.asked_of_pages().values()) == {1}


def test_terminated(commands: Commands, sites: Sites) -> None:
    """SIGTERM is as good as Ctrl-C."""
    graph, hosts = _graph(sites, 15)
    _interrupt(commands, graph, hosts, signal.SIGTERM)


def test_interrupted_twice_stops_at_once(commands: Commands, sites: Sites) -> None:
    """A transfer that would take its grace time is broken off; its URL is queued again, not charged."""
    site = sites.add()
    slow = site.url("/slow")
    site.pages["/slow"] = lambda call: call.wait(30)
    going = commands.start("run", slow, "--delay", "0", "--workers", "2")
    wait_until(lambda: site.asked()["/slow"], "the request")
    going.signal(signal.SIGINT)
    going.wait_to_say("stopping")
    began = time.monotonic()
    going.signal(signal.SIGINT)
    done = going.wait(20)
    assert done.code == 130, done.err
    assert time.monotonic() - began < 5
    assert "Traceback" not in done.err
    status = commands.status()
    assert (status["queued"], status["leased"], status["ended"]) == (1, 0, 0)
    site.serve("/slow", b"at last")
    done = commands.run("run", slow, "-o", "-")
    assert done.code == 0, done.err
    assert by_url(done.records())[slow]["attempts"] == 1


def test_interrupted_with_a_slow_answer_in_flight(commands: Commands, sites: Sites) -> None:
    """Within the grace time a transfer may end, and its page is stored."""
    site = sites.add()
    slow = site.url("/slow")

    def answer(call: object) -> None:
        call.wait(1.5)  # type: ignore[attr-defined]
        call.answer(b"<p>done")  # type: ignore[attr-defined]

    site.pages["/slow"] = answer
    going = commands.start("run", slow, "--delay", "0", "--workers", "1")
    wait_until(lambda: site.asked()["/slow"], "the request")
    going.signal(signal.SIGINT)
    assert going.wait(20).code == 130
    assert commands.records()[slow]["outcome"] == "fetched"
    assert site.asked()["/slow"] == 1


def test_a_page_that_hangs_with_no_pool_left(commands: Commands, sites: Sites) -> None:
    """The fuse burns down: SIGALRM ends the worker though a regular expression holds the GIL, and nobody watches."""
    site = sites.add()
    seed = site.serve("/", html())
    hanging = commands.folder / "hanging"
    commands.write(
        "hook.py",
        f"""
import pathlib, re
import crawler.worker.engine
crawler.worker.engine.FUSE_MARGIN = 0.5
def hang(page):
    pathlib.Path({str(hanging)!r}).touch()
    re.match("(a*)*b", "a" * 60)
""",
    )
    going = commands.start("run", seed, "--workers", "1", "--page-timeout", "2s", "--hook", "hook.py:hang")
    (worker,) = going.wait_for_workers(1)
    wait_until(hanging.exists, "the page to be handled")
    kill_hard(going.pid)
    going.process.wait()
    wait_until(lambda: not command_line(worker), "the worker to end itself")
    assert not command_line(worker)
