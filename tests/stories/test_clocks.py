"""Clocks that stand still, jump or differ between workers change nothing: leases are by the clock of Redis alone.

The clocks are changed inside real worker processes, by a hook file that puts others in the place of Python's; where
libfaketime is installed its clock serves for whole processes, libcurl included.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.servers import Call
from tests.stories.commands import Commands, wait_until
from tests.stories.sites import Graph, Site, Sites, html

pytestmark = pytest.mark.slow

DELAY: Final = 0.05
MEASURING: Final = 0.005
"""Seconds by which the server may see a request earlier or later than it was sent."""
FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

NEW_CLOCK: Final = """
import time
real_time, real_monotonic, real_gettime = time.time, time.monotonic, time.clock_gettime
calls = 0

def hook(page):
    return None

def put(new_time=real_time, ahead=lambda: 0.0):
    time.time = new_time
    time.monotonic = lambda: real_monotonic() + ahead()
    time.clock_gettime = lambda clock: real_gettime(clock) + ahead()
"""
CLOCKS: Final = {
    "frozen": "put(new_time=lambda: 978307200.0)\n",
    "jumping": """
def jumping():
    global calls
    calls += 1
    return real_time() + (3600 if calls % 2 else -3600)
put(new_time=jumping)
""",
    "an hour ahead from the tenth page on": """
pages = 0
def hook(page):
    global pages
    pages += 1
put(ahead=lambda: 3600.0 if pages >= 10 else 0.0)
""",
}
"""Clocks of one worker."""


def _check(graph: Graph, hosts: list[Site], commands: Commands, *, again: int = 0) -> None:
    """The result is that of any crawl; no URL was handed out twice (but *again*), no host was asked too early."""
    graph.check(commands.records())
    asked_twice = sum(count - 1 for host in hosts for count in host.asked_of_pages().values())
    assert asked_twice <= again
    for host in hosts:
        assert min(host.gaps()) > DELAY - MEASURING
        assert host.most_at_once == 1


@pytest.mark.parametrize(("one", "other"), [("frozen", "jumping"), ("frozen", "an hour ahead from the tenth page on")])
def test_two_workers_whose_clocks_are_wrong(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites, one: str, other: str
) -> None:
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2, 3)]
    graph = Graph(hosts, 90, seed=31)
    seeder = commands_on(redis_server.url)
    assert seeder.run("seed", *graph.seeds, "--delay", f"{DELAY}s").code == 0
    going = []
    for clock in (one, other):
        machine = commands_on(redis_server.url)
        machine.write("clock.py", NEW_CLOCK + CLOCKS[clock])
        going.append(machine.start("work", "-n", "1", "--until-done", "--hook", "clock.py:hook"))
    for running in going:
        done = running.wait()
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
    # Whose clock jumps gives the transfers up that it has in flight then: they seem to have taken an hour.
    _check(graph, hosts, seeder, again=len(hosts) if "ahead" in other else 0)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
def test_whole_processes_whose_clocks_are_wrong(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """All clocks are an hour ahead in one, an hour behind in another, and jump by four hours in the third."""
    hosts = [sites.add(f"127.0.0.{n}") for n in (1, 2, 3)]
    graph = Graph(hosts, 90, seed=32)
    seeder = commands_on(redis_server.url)
    assert seeder.run("seed", *graph.seeds, "--delay", f"{DELAY}s").code == 0
    going = []
    ahead = seeder.folder / "ahead"
    ahead.write_text("-1h\n")
    changing = {"FAKETIME_TIMESTAMP_FILE": str(ahead), "FAKETIME_NO_CACHE": "1"}
    for clock in ({"FAKETIME": "+1h"}, {"FAKETIME": "-1h"}, changing):
        machine = commands_on(redis_server.url)
        machine.env |= clock | {"LD_PRELOAD": str(FAKETIME)}
        going.append(machine.start("work", "-n", "1", "--until-done"))
    wait_until(lambda: sum(len(host.seen) for host in hosts) > 40, "the middle of the crawl")
    ahead.write_text("+3h\n")
    for running in going:
        done = running.wait()
        assert done.code == 0, done.err
    _check(graph, hosts, seeder, again=len(hosts))


STOPPED_WITH_ITS_CLOCKS: Final = """
import time
real = {"monotonic": time.monotonic, "gettime": time.clock_gettime}
last, hidden = real["monotonic"](), 0.0

def hook(page):
    return None

def shown(now):
    global last, hidden
    at = real["monotonic"]()
    if at - last > 1.5:  # the loop looks twice a second: this was no pause of its own
        hidden += at - last
    last = at
    return now - hidden

time.monotonic = lambda: shown(real["monotonic"]())
time.clock_gettime = lambda clock: shown(real["gettime"](clock))
"""


@pytest.mark.parametrize("sees", [True, False], ids=["its clock goes on", "its clock stood still as well"])
def test_a_worker_frozen_beyond_its_lease(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites, sees: bool
) -> None:
    """As a long pause of a machine does, or of a virtual one with all its clocks: another worker takes the page, and
    what the late one brings is refused."""
    site = sites.add()
    first = site.serve("/", html(["/slow", *(f"/{n}" for n in range(12))]))
    for n in range(12):
        site.serve(f"/{n}", html(title=str(n)))
    answered: list[int] = []

    def slow(call: Call) -> None:
        answered.append(len(answered))
        call.wait(0.4)
        call.answer(html(["/late"] if len(answered) == 1 else [], title=f"answer {answered[-1]}"))

    site.pages["/slow"] = slow
    seeder = commands_on(redis_server.url)
    assert seeder.run("seed", first, "--delay", f"{DELAY}s", "--lease-term", "3s").code == 0
    machines = [commands_on(redis_server.url) for _ in range(2)]
    if not sees:
        machines[0].write("clock.py", STOPPED_WITH_ITS_CLOCKS)
    frozen = machines[0].start("work", "-n", "1", "--until-done", *([] if sees else ["--hook", "clock.py:hook"]))
    (worker,) = frozen.wait_for_workers(1)
    wait_until(lambda: answered, "the slow page to be asked for")
    os.kill(worker, signal.SIGSTOP)
    other = machines[1].start("work", "-n", "1", "--until-done", "--no-hook")
    wait_until(lambda: len(answered) > 1, "another worker to ask for it, its lease having run out")
    os.kill(worker, signal.SIGCONT)
    assert (frozen.wait().code, other.wait().code) == (0, 0)
    records = seeder.records()
    assert records.keys() - {site.url("/late")} == {first, site.url("/slow"), *(site.url(f"/{n}") for n in range(12))}
    assert {record["outcome"] for record in records.values()} == {"fetched"}
    assert records[site.url("/slow")]["title"] in ("answer 0", "answer 1")
    asked = site.asked_of_pages()
    assert asked.pop("/slow") == 2
    assert set(asked.values()) == {1}
