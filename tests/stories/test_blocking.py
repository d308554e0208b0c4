"""`crawler block` and `unblock`: nothing of a blocked host is asked for, nothing of it is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from crawler.frontier import blocks, verbs
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Limits
from crawler.frontier.overflow import compact
from crawler.frontier.redis.connection import Connection
from crawler.record import Request
from crawler.url import Form
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, Done, wait_until
from tests.stories.sites import Site, Sites, html

pytestmark = pytest.mark.slow

MANY: Final = 20_000
NOW: Final = ["--delay", "0", "--per-host", "8"]


def block(commands: Commands, *names: str) -> Done:
    """`crawler block`, which must go well."""
    done = commands.run("block", *names)
    assert done.code == 0, done.err
    return done


def filled(site: Site, count: int) -> list[str]:
    """Pages of a site."""
    return [site.serve(f"/{n}", html(title=str(n))) for n in range(count)]


def hosts(commands: Commands, *arguments: str) -> dict[str, Any]:
    """`crawler hosts --json` by host."""
    rows = commands.run("hosts", "--json", *arguments).records()
    return {row["host"]: row for row in rows}


@pytest.mark.parametrize("count", [65, MANY], ids=["65 URLs", "20,000 URLs in compressed segments"])
def test_none_is_asked_for_until_it_is_unblocked_then_each_once(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites, count: int
) -> None:
    commands = commands_on(redis_server.url)
    site, other = sites.add(), sites.add("127.0.0.2")
    site.otherwise = lambda call: call.answer(b"" if call.seen.target == "/robots.txt" else html())
    urls = [site.url(f"/{n}") for n in range(count)]
    fine = filled(other, 5)
    source = commands.write("seeds.txt", "\n".join([*urls, *fine]))
    assert commands.run("seed", source, *NOW, "--store", "meta").code == 0
    with redis_server.client() as client:
        prefix = "crawler:{default.0}:"
        packed = client.llen(f"{prefix}queue:{site.authority}:packed")
        assert bool(packed) == (count == MANY)
        before = client.dump(f"{prefix}queue:{site.authority}:1")
        assert f"(1 known host, {count:,} URLs are held)" in block(commands, site.authority).err
        assert client.dump(f"{prefix}queue:{site.authority}:1") == before
        assert client.llen(f"{prefix}queue:{site.authority}:packed") == packed
    done = commands.run("run", "--workers", "2")
    assert (done.code, site.seen) == (0, []), done.err
    status = commands.status()
    assert (status["state"], status["queued"], status["held"]) == ("done", count, count)
    assert set(commands.records()) == set(fine)
    row = hosts(commands)[site.authority]
    assert (row["blocked"], row["queued"], row["in_flight"], row["done"]) == (True, count, 0, 0)
    told = json.loads(commands.run("explain", urls[0], "--json").out)
    assert (told["state"], told["waits_for"]) == ("queued", "`crawler unblock`: its host is blocked")
    unblocked = commands.run("unblock", site.authority)
    assert (unblocked.code, f"({count:,} URLs wait again" in unblocked.err) == (0, True)
    assert commands.run("run", "--workers", "2").code == 0
    assert site.asked_of_pages() == dict.fromkeys((site.path_of(url) for url in urls), 1)
    assert (commands.status()["held"], commands.status()["outcomes"]) == (0, {"fetched": count + len(fine)})


@dataclass(frozen=True)
class Weighed:
    """What a queue of a host costs to block: the commands of the server, and what its memory grows by."""

    commands: int
    took_ms: float
    grew: int


def weigh(link: Connection, count: int) -> tuple[Weighed, Weighed]:
    """Block and unblock a host with *count* queued URLs."""
    link.client.flushdb()
    limits = Limits(delay_ms=0, robots=False, overflow=64)
    frontier = Frontier.create(link, "default", Identity.new(Form(), 1), b"{}", limits)
    shard = frontier.shards[0]
    for start in range(0, count, 500):
        requests = [Request(f"http://a.example/{n}") for n in range(start, min(start + 500, count))]
        compact(shard, shard.ask(verbs.put(shard, requests)).long, (), print)

    def measured(verb: Callable[[Frontier, list[str]], tuple[int, int]]) -> Weighed:
        memory, calls = link.client.info("memory")["used_memory_dataset"], _calls(link)
        began = time.perf_counter()
        assert verb(frontier, ["a.example"]) == (1, count)
        took = (time.perf_counter() - began) * 1000
        grew = link.client.info("memory")["used_memory_dataset"] - memory
        return Weighed(_calls(link) - calls, took, grew)

    both = measured(blocks.block), measured(blocks.unblock)
    assert len(shard.ask(verbs.lease(shard, "x", 1, 60, "w")).leases) == 1
    return both


def _calls(link: Connection) -> int:
    """Commands that the server has run, those of scripts too."""
    return sum(int(facts["calls"]) for facts in link.client.info("commandstats").values())


def test_it_takes_the_same_for_a_long_queue_as_for_a_short_one(redis_url: str) -> None:
    link = Connection(redis_url)
    weigh(link, 1)  # so that the scripts are loaded
    short, long = weigh(link, 65), weigh(link, MANY)
    for few, many in zip(short, long, strict=True):
        assert many.commands == few.commands < 40
        assert abs(many.grew) < 100_000
    link.client.flushdb()
    link.close()
    print(f"block, unblock of 65 URLs: {short}; of {MANY:,}: {long}")


def test_while_workers_run_pages_in_flight_end_and_nothing_follows(commands: Commands, sites: Sites) -> None:
    site, other = sites.add(), sites.add("127.0.0.2")
    paths = [f"/{n}" for n in range(30)]
    go_on = threading.Event()

    def slowly(call: Any) -> None:
        go_on.wait(20)
        call.answer(html([other.url("/found"), site.url("/new")]))

    for path in paths:
        site.pages[path] = slowly
    other.serve("/found", html())
    source = commands.write("seeds.txt", "\n".join([*map(site.url, paths), other.url("/")]))
    other.serve("/", html())
    going = commands.start("run", source, "--delay", "0", "--per-host", "4", "--workers", "1")
    wait_until(lambda: site.asked_of_pages().total() == 4, "four pages in flight")
    assert "(1 known host, 26 URLs are held)" in block(commands, site.authority).err
    go_on.set()
    done = going.wait()
    assert done.code == 0, done.err
    assert site.asked_of_pages().total() == 4
    outcomes = commands.status()["outcomes"]
    assert outcomes == {"fetched": 6}
    assert commands.status()["refused"]["blocked"] >= 1
    assert (commands.status()["state"], commands.status()["held"]) == ("done", 26)
    site.pages |= dict.fromkeys((*paths, "/new"), lambda call: call.answer(html()))
    going = commands.start("work", "--workers", "1")
    going.wait_for_workers(1)
    assert commands.run("unblock", site.authority).code == 0
    wait_until(lambda: commands.status()["outcomes"] == {"fetched": 32}, "what was held")
    assert set(site.asked_of_pages().values()) == {1}
    assert "/new" not in site.asked()  # a link that was refused is not remembered


def test_a_dead_letter_of_a_blocked_host_is_held(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    bad = site.serve("/bad", b"no", 500)
    assert commands.run("run", bad, *NOW, "--retries", "0", "--workers", "1").code == 4
    block(commands, site.authority)
    assert commands.run("retry", "--all").code == 0
    site.serve("/bad", html())
    assert commands.run("run", "--workers", "1").code in (0, 4)
    assert (commands.status()["held"], site.asked()["/bad"]) == (1, 1)
    assert commands.run("unblock", site.authority).code == 0
    assert commands.run("run", "--workers", "1").code == 0
    assert commands.records()[bad]["outcome"] == "fetched"


def test_a_name_with_all_below_it_in_every_shard(redis_url: str, commands_on: Callable[[str], Commands]) -> None:
    commands = commands_on(redis_url)
    below = [f"http://{name}example.org/" for name in ("", "a.", "b.", "x.a.")] + ["https://a.example.org/s"]
    outside = ["http://example.com/", "http://anexample.org/", *(f"http://h{n}.test/" for n in range(20))]
    source = commands.write("seeds.txt", "\n".join(below + outside))
    assert commands.run("seed", source, "--shards", "4").code == 0
    assert "(4 known hosts, 5 URLs are held)" in block(commands, "*.example.org").err
    blocked = {host for host, row in hosts(commands).items() if row["blocked"]}
    assert blocked == {"example.org", "a.example.org", "b.example.org", "x.a.example.org"}
    assert hosts(commands, "--blocked").keys() == blocked
    assert "1 refused" in commands.run("seed", "http://new.example.org/").lines[-1]
    done = commands.run("unblock", "*.example.org")
    assert (done.code, "(5 URLs wait again" in done.err) == (0, True)
    assert commands.status()["held"] == 0


def test_names_of_hosts(commands: Commands) -> None:
    """A name is both of its schemes; one that is not known may be blocked; what is no host is an error."""
    assert commands.run("seed", "http://example.org/1", "https://example.org/2", "http://example.org:8080/3").code == 0
    assert "(1 known host, 2 URLs are held)" in block(commands, "Example.ORG").err
    assert "(0 known hosts, 0 URLs are held)" in block(commands, "nobody.example", "*.nobody.test").err
    listed = commands.run("hosts").err
    assert "blocked: *.nobody.test, example.org, nobody.example" in listed
    for wrong in ("http://example.org/", "a b", "example.org/path", "*", "*.", "a.*.example", ""):
        done = commands.run("block", wrong)
        assert (done.code, "a host is needed" in done.lines[-1]) == (2, True), wrong
    done = commands.run("unblock", "example.com")
    assert (done.code, "is not blocked" in done.lines[-1]) == (2, True)


def test_it_survives_no_fresh_start(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    seed = site.serve("/", html())
    assert commands.run("seed", seed, *NOW).code == 0
    block(commands, site.authority)
    assert commands.run("run", seed, *NOW, "--fresh", "--yes", "--workers", "1").code == 0
    assert commands.status()["outcomes"] == {"fetched": 1}


# -- settings of single hosts ------------------------------------------------------------------------------------------


def test_a_delay_of_one_host_is_obeyed_while_workers_run(commands: Commands, sites: Sites) -> None:
    slow, fast = sites.add(), sites.add("127.0.0.2")
    urls = [url for site in (slow, fast) for url in filled(site, 12)]
    source = commands.write("seeds.txt", "\n".join(urls))
    assert commands.run("seed", source, "--delay", "0").code == 0
    done = commands.run("set", "delay", "300ms", "--host", slow.authority)
    assert (done.code, done.lines) == (0, [f"crawler: delay of {slow.authority}: 0.3s (1 known host)"])
    assert f"delay                0.3s  ({slow.authority})" in commands.run("set").out.splitlines()
    assert commands.run("set", "delay", "--host", slow.authority).out == "0.3s\n"
    assert commands.run("set", "delay", "--host", fast.authority).out == "as the crawl's\n"
    going = commands.start("run", "--workers", "2")
    wait_until(lambda: slow.asked_of_pages().total() >= 6, "six pages of the slow host")
    assert fast.asked_of_pages().total() == 12
    assert min(slow.gaps()) > 0.25
    assert commands.run("set", "delay", "none", "--host", slow.authority).code == 0
    assert going.wait().code == 0
    assert set(commands.records()) == set(urls)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "max-pages", "5", "--host", "a.example"), "a setting of the whole crawl"),
        (("set", "delay", "soon", "--host", "a.example"), "delay: "),
        (("set", "delay", "1s", "--host", "http://a.example/x"), "a host is needed"),
        (("set", "per-host", "0", "--host", "a.example"), "per-host: "),
    ],
)
def test_what_cannot_be_set_for_a_host(commands: Commands, arguments: tuple[str, ...], said: str) -> None:
    assert commands.run("seed", "http://a.example/").code == 0
    done = commands.run(*arguments)
    assert (done.code, said in done.lines[-1]) == (2, True), done.err


# -- filters that are changed ------------------------------------------------------------------------------------------


def test_a_changed_filter_reaches_what_is_queued(commands: Commands, sites: Sites) -> None:
    """Seeds excepted; `retry --reason dropped:scope` brings back what it refused."""
    site = sites.add()
    paths = [f"/a{n}" for n in range(5)] + [f"/b{n}" for n in range(5)]
    site.serve("/", html(paths))
    for path in paths:
        site.serve(path, html())
    seeds = [site.url("/"), site.serve("/seed-b", html())]
    assert commands.run("run", site.url("/"), *NOW, "--max-pages", "1", "--workers", "1").code == 0
    assert commands.status()["queued"] == len(paths)
    assert commands.run("set", "exclude", "/.*b").code == 0
    assert commands.run("run", *seeds, "--max-pages", "100", "--workers", "1").code == 0
    records = commands.records()
    for path in paths:
        outcome = "dropped:scope" if "b" in path else "fetched"
        assert records[site.url(path)]["outcome"] == outcome
    assert records[site.url("/b0")]["error"] == "the filters were changed: an --exclude pattern is found in it"
    assert {records[seed]["outcome"] for seed in seeds} == {"fetched"}
    assert not site.asked()["/b0"]
    assert commands.run("failed").out == "crawl 'default': no dead letters\n"
    assert commands.run("retry", "--all").err == "crawler: there is nothing to try again\n"
    assert commands.run("set", "exclude", "").code == 0
    assert "5 URLs queued again" in commands.run("retry", "--reason", "dropped:scope").err
    assert commands.run("run", "--workers", "1").code == 0
    assert {url: r["outcome"] for url, r in commands.records().items() if r["outcome"] != "fetched"} == {}
