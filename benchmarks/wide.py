"""Many hosts and many workers, without fetching: `make bench-wide`.

Does a lease cost more where more hosts are ready, and what does waiting cost? Hosts with three URLs each, robots.txt
known, on a `redis-server` of its own: in crawls with 100, 1,000, 10,000 and 100,000 ready hosts, by turns, what a call
of `lease` takes for one URL and for 64 (of Redis's CPU, and for the client), and what a host costs in memory. Then 200
connections that ask for one URL each in the same moment; 200 workers that wait (`idle.py`: the loop of the worker
itself, each with a connection for its calls and one to block on); and the CPU of four worker processes that wait.
"""

from __future__ import annotations

import argparse
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import report, targets
from benchmarks.commands import PROGRAM, Home, Redis, Unexpected, environment, wait_until
from benchmarks.crawls import Web, answer_robots, create, fill, lease, packed
from benchmarks.frontier import seen_bytes, usage
from benchmarks.measure import cpu_of, load
from benchmarks.site import exit_on_sigterm
from crawler.frontier import replies, verbs
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.shards.shard import Shard

LEVELS: Final = (100, 1_000, 10_000, 100_000)
URLS_A_HOST: Final = 3
WANTS: Final = (1, 64)
CALLS: Final = 25
REPEATS: Final = 60
WORKERS: Final = 200
PROCESSES: Final = 4
"""Real worker processes whose idleness is measured."""
IDLE_SECONDS: Final = 30.0
LIMITS: Final = Limits(delay_ms=1, per_host=1)
"""A delay, so that every host has to rest, but one that is over when the next call comes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call of `lease` takes. Microseconds."""

    cpu: float
    """Redis's, that of asking for it included (INFO cpu: some 100)."""
    whole: float
    """For the client: the reply is there and read."""


def cost_of_lease(redis: Redis, shard: Shard, want: int) -> Cost:
    """Lease *want* URLs and give them back; calls for one are made CALLS times in a row."""
    wait_until(lambda: shard.ask(verbs.state(shard)).wait_ms == 0, "a host that is due")
    tokens: list[str] = []
    calls = CALLS if want == 1 else 1
    before, began = redis.cpu(), time.perf_counter()
    for _ in range(calls):
        tokens += [each.token for each in lease(shard, want).leases]
    whole = time.perf_counter() - began
    cpu = redis.cpu() - before
    if len(tokens) != want * calls:
        raise Unexpected(f"{len(tokens)} URLs were leased of {want * calls} in {shard.keys.crawl}")
    shard.ask(verbs.release(shard, tokens))
    return Cost(1e6 * cpu / calls, 1e6 * whole / calls)


def leases(redis: Redis, wide: dict[int, Shard], figures: dict[str, float]) -> list[str]:
    """What a lease takes at each number of ready hosts, measured by turns; rows of a table."""
    found: dict[tuple[int, int], list[Cost]] = {(level, want): [] for level in wide for want in WANTS}
    for _ in range(REPEATS):
        for (level, want), costs in found.items():
            costs.append(cost_of_lease(redis, wide[level], want))
    rows = []
    for level in wide:
        cells = [f"{level:,}"]
        for want in WANTS:
            cpu = statistics.median(cost.cpu for cost in found[level, want])
            figures[f"lease_{want}_at_{level}"] = cpu
            cells += [f"{cpu:,.0f}", f"{statistics.median(cost.whole for cost in found[level, want]):,.0f}"]
        rows.append(f"| {' | '.join(cells)} |")
    least, most = min(wide), max(wide)
    for want in WANTS:
        pairs = zip(found[most, want], found[least, want], strict=True)
        figures[f"lease_spread_{want}"] = statistics.median(wider.cpu / narrow.cpu for wider, narrow in pairs)
    return rows


def with_hosts(redis: Redis, link: Connection, hosts: int) -> Shard:
    """A crawl with so many ready hosts, each with some URLs and a robots.txt that is known."""
    shard = create(link, LIMITS, f"wide{hosts}")
    fill(redis.url, Web(hosts=hosts, run=1), 0, URLS_A_HOST * hosts, crawl=shard.keys.crawl)
    answer_robots(shard)
    return shard


def memory_of_hosts(link: Connection, shard: Shard, hosts: int) -> dict[str, float]:
    """Bytes a host of three URLs."""
    names = [f"www.host{n}.example" for n in range(hosts)]
    return {
        "host_hash": usage(link, [shard.keys.host(name) for name in names]) / hosts,
        "host_ready": usage(link, [shard.keys.ready]) / hosts,
        "host_queue": usage(link, [shard.keys.queue(name, 1) for name in names]) / hosts,
        "host_robots": usage(link, [shard.keys.robots(f"https://{name}") for name in names]) / hosts,
        "host_seen": seen_bytes(link, shard, hosts),
    }


# -- many workers ------------------------------------------------------------------------------------------------------


def at_once(redis: Redis, link: Connection, shard: Shard, count: int) -> dict[str, float]:
    """That many connections ask for one URL in the same moment: milliseconds until each has it."""
    calls = packed(link, [verbs.lease(shard, verbs.new_call(), 1, 600, f"worker{n}") for n in range(count)])
    took: list[float] = []
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        connections: list[Any] = []
        for _ in range(count):
            each = Connection(redis.url)
            stack.callback(each.close)
            connections.append(each.client.connection_pool.get_connection())
        began = time.perf_counter()
        for connection, call in zip(connections, calls, strict=True):
            connection.send_packed_command([call])
            selector.register(connection._sock, selectors.EVENT_READ, connection)
        while len(took) < count:
            for key, _ in selector.select(30):
                reply = key.data.read_response()
                took.append(time.perf_counter() - began)
                selector.unregister(key.fileobj)
                if len(replies.leased(reply, 0.0).leases) != 1:
                    raise Unexpected(f"a worker got no URL: {reply[:2]}")
    return {"at_once_median_ms": statistics.median(took) * 1000, "at_once_last_ms": max(took) * 1000}


def idle_connections(redis: Redis, link: Connection, count: int) -> dict[str, float]:
    """What Redis spends on workers that wait: their loops run in one process."""
    command = [sys.executable, "-m", "benchmarks.idle", redis.url, str(count)]
    watched = tempfile.TemporaryDirectory(prefix="crw-idle-")
    loops = subprocess.Popen(command, env=environment() | {"TMPDIR": watched.name}, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: loops.poll() is not None or _waiting(link) >= count, f"{count} workers that wait", 120)
        if loops.poll() is not None:
            raise Unexpected(f"the workers that should wait ended with {loops.returncode}")
        time.sleep(2)  # the last one has just begun
        cpu, calls = redis.cpu(), link.client.info("stats")["total_commands_processed"]
        time.sleep(IDLE_SECONDS)
        cpu, calls = redis.cpu() - cpu, link.client.info("stats")["total_commands_processed"] - calls
        if _waiting(link) < count / 2:
            raise Unexpected("the workers do not wait")
    finally:
        loops.kill()
        loops.wait()
        watched.cleanup()
    return {"idle_redis_percent": 100 * cpu / IDLE_SECONDS, "idle_commands_per_second": calls / IDLE_SECONDS}


def _waiting(link: Connection) -> int:
    return int(link.client.info("clients")["blocked_clients"])


def idle_processes(redis: Redis, link: Connection) -> dict[str, float]:
    """CPU and memory of worker processes that wait, in percent of a core and MB each."""
    with Home(redis.url) as home:
        going = home.start("work", "--workers", str(PROCESSES))
        wait_until(lambda: going.process.poll() is not None or _waiting(link) >= PROCESSES, "workers that wait", 60)
        if going.process.poll() is not None:
            raise Unexpected(f"`{PROGRAM} work` ended: {going.err}")
        time.sleep(2)
        pids, pool = going.workers(), going.process.pid
        before, of_pool = sum(map(cpu_of, pids)), cpu_of(pool)
        time.sleep(IDLE_SECONDS)
        used = sum(map(cpu_of, pids)) - before
        if len(pids) != PROCESSES or going.workers() != pids:
            raise Unexpected(f"the workers died: {going.err}")
        of_pool = cpu_of(pool) - of_pool
        own = [_own_memory(pid) for pid in pids]
    percent = 100 / IDLE_SECONDS
    return {
        "idle_worker_percent": percent * used / PROCESSES,
        "idle_pool_percent": percent * of_pool,
        "idle_worker_mb": statistics.median(own) / 1e6,
    }


def _own_memory(pid: int) -> float:
    """Bytes of a process, its part of what it shares with others."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


# -- all ---------------------------------------------------------------------------------------------------------------

HEAD: Final = (
    "| ready hosts | lease of 1 URL: µs of Redis's CPU | for the client | of 64: µs of Redis's CPU | for the client |\n"
    "|--:|--:|--:|--:|--:|"
)


def told(most: int, figures: dict[str, float]) -> str:
    """The rest in words."""
    cores = WORKERS * figures["idle_worker_percent"] / 100
    return "\n".join(
        [
            f"A host with {URLS_A_HOST} queued URLs: {figures['host_all']:,.0f} bytes in all; of it its hash"
            f" {figures['host_hash']:.0f}, its place in `ready` {figures['host_ready']:.0f}, its queue"
            f" {figures['host_queue']:.0f}, its robots.txt {figures['host_robots']:.0f}.",
            f"{WORKERS} connections that ask for one URL in the same moment at {most:,} ready hosts: half have it after"
            f" {figures['at_once_median_ms']:.1f} ms, the last after {figures['at_once_last_ms']:.1f} ms.",
            f"{WORKERS} waiting workers cost Redis {figures['idle_redis_percent']:.2f}% of a core"
            f" ({figures['idle_commands_per_second']:.0f} commands a second).",
            f"A waiting worker process costs {figures['idle_worker_percent']:.2f}% of a core and"
            f" {figures['idle_worker_mb']:.0f} MB, its pool {figures['idle_pool_percent']:.2f}%; measured on"
            f" {PROCESSES}, {WORKERS} would cost {cores:.2f} cores.",
        ]
    )


def measured(most: int, figures: dict[str, float]) -> list[str]:
    """All of it; rows of the table."""
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        link = Connection(redis.url, timeout=60)
        stack.callback(link.close)
        wide = {level: with_hosts(redis, link, level) for level in LEVELS if level < most}
        before = redis.memory()
        wide[most] = with_hosts(redis, link, most)
        figures["host_all"] = (redis.memory() - before) / most
        figures |= memory_of_hosts(link, wide[most], most)
        rows = leases(redis, wide, figures)
        print("\n".join(rows), flush=True)
        figures |= at_once(redis, link, wide[most], WORKERS)
        redis.flush()
        create(link, LIMITS)  # nothing to do: workers wait for it
        figures |= idle_connections(redis, link, WORKERS)
        figures |= idle_processes(redis, link)
    return rows


def main() -> int:
    """Measure many hosts and many workers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wide", description=main.__doc__)
    parser.add_argument("--most", type=int, default=LEVELS[-1], metavar="N", help="ready hosts in the end (100000)")
    targets.add_option(parser)
    args = parser.parse_args()
    exit_on_sigterm()
    where = report.machine(load())
    print(f"{where}\n\n{HEAD}", flush=True)
    figures: dict[str, float] = {}
    try:
        rows: Sequence[str] = measured(args.most, figures)
    except Unexpected as error:
        print(error, file=sys.stderr)
        return 2
    text = told(args.most, figures)
    folder = targets.folder(args, whole=args.most == LEVELS[-1])
    if folder is not None:
        targets.write(folder, "wide", where, figures, "\n".join([HEAD, *rows, "", text]))
    print(f"\n{text}\n\n{targets.table(targets.of_figures('wide', figures))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
