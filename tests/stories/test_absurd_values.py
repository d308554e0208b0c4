"""Redis is an input: whatever stands in any field, each reader answers, or refuses with one line; none has a defect."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.cli.failed import _rows, _summary
from crawler.errors import CrawlerError, DamagedCrawl
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.keys import crawl_of_meta
from crawler.frontier.messages import Commit, Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.seen import accepted
from crawler.frontier.shards.outbox import OutboxMessage
from crawler.frontier.shards.records import START
from crawler.frontier.status import Monitor
from crawler.monitor.dead_letters import Filter, Retried, retry
from crawler.monitor.explain import explain
from crawler.monitor.screen import status_lines
from crawler.record import Record, Request
from crawler.settings import Settings
from crawler.url_state import id_bytes
from crawler.worker.visit import state_of
from tests.frontier.client import Client
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands

pytestmark = pytest.mark.slow

URL = "http://a.example/page"
DEEP = (
    b'{"url":"http://a.example/page","outcome":"failed:http","depth":0,"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
)
ABSURD = {
    "nothing": b"",
    "negative": b"-1",
    "400 digits": b"9" * 400,
    "5,000 digits": b"9" * 5000,
    "huge": b"1e300",
    "no number": b"nan",
    "infinite": b"-inf",
    "no text": b"\xff\xfe\x00\x1b[2J",
    "deep": b"[" * 200_000,
    "deep in a record": DEEP,
    "a bomb": zlib.compress(bytes(70 << 20)),
    "a record without a URL": b'{"url":"","outcome":"failed:http","depth":0}',
    "a record of another kind of URL": b'{"url":"ftp:x","outcome":"failed:http","depth":0}',
    "a record whose numbers are none": b'{"url":"http://a.example/","outcome":"failed:http","depth":-7,"hops":-1}',
    "a record with an id that is none": b'{"url":"http://a.example/","outcome":"failed:http","depth":1,"via":"x y"}',
    "a record with a date that is none": (
        b'{"url":"http://a.example/","outcome":"failed:http","depth":1,"lastmod":"99999-99-99"}'
    ),
}


@pytest.fixture
def link(redis_url: str) -> Iterator[Connection]:
    made = Connection(redis_url)
    yield made
    made.close()


def _dead_letter(link: Connection) -> Client:
    """A crawl with one dead letter, whose `via` is itself, and one more URL."""
    frontier = Client.create(link, "default", Settings().encode(), Limits(delay_ms=0, robots=False))
    frontier.put([Request(URL), Request("http://a.example/other")])
    (lease,) = (one for one in frontier.lease(1, 90.0, "w").leases)
    url = lease.entry().request.url
    record = Record(url=url, outcome="failed:http", depth=0)
    state = state_of(lease.entry().request, lease.token, record)
    frontier.commit(Commit(lease, frontier.id(url), state, record.encode(), contents={"text": zlib.compress(b"text")}))
    return frontier


def _everywhere(link: Connection, frontier: Client, value: bytes) -> None:
    """*value* in each field that is read as something else than bytes."""
    redis: Any = link.client
    keys, url_id = frontier.keys, frontier.id(URL)
    for key, names in {
        keys.meta: ("delay", "adaptive", "per_host", "max_pages", "roots_rev", "settings_rev", "traps_rev", "until"),
        keys.host("a.example"): ("due", "delay", "latency", "backoff", "failing_since", "accepted", "asking"),
        keys.counters: ("bytes", "lost", "drained", "duplicates", "status:200", "outcome:failed:http", "refused:x"),
        keys.sites: ("a.example", "a.example hosts"),
        keys.traps: ("a.example/#", value),
        keys.workers: ("w", value),
        keys.template("1"): ("total", "fresh"),
        keys.leased: ("token", value),
        keys.page(url_id): ("m", "t", "d", "f", "n"),
        keys.ended(url_id): (id_bytes(url_id), value, id_bytes("5")),
    }.items():
        redis.hset(key, mapping=dict.fromkeys(names, value))
    redis.hset(keys.workers, mapping={"x": b"5 " + value, "y": b'5 {"limit":' + value + b"}"})
    redis.hset(keys.leased, mapping={"other": b"R0 w a.example " + value, "third": b"P1 w a.example " + value})
    redis.zadd(keys.leases, {"other": "+inf", value: "-inf"})
    redis.set(keys.robots("http://a.example"), value)
    redis.sadd(keys.roots, value)
    redis.xadd(keys.records, {"i": value})


def _readers(frontier: Frontier) -> dict[str, Callable[[], object]]:
    crawldb = frontier.crawldb
    settings = Settings()
    everything = Filter()

    def monitor() -> str:
        seen = Monitor(frontier).look()
        json.dumps(seen.to_dict())
        return "\n".join(status_lines(seen))

    def drained() -> object:
        return crawldb.records.exported(START, "+")

    return {
        "monitor": monitor,
        "explain": lambda: explain(frontier, settings, URL).lines(),
        "failed": lambda: _summary("default", everything.pick(crawldb)),
        "failed --list": lambda: list(_rows(crawldb, everything.pick(crawldb), None)),
        "retry": lambda: retry(frontier, everything.pick(crawldb), Retried()),
        "records": lambda: crawldb.records.read(),
        "urls": lambda: crawldb.records.urls([frontier.id(URL)]),
        "record": lambda: crawldb.records.get(frontier.id(URL)),
        "states": lambda: crawldb.records.states([("a.example", frontier.id(URL)), ("a.example", "x"), ("", "9" * 30)]),
        "buckets": lambda: crawldb.records.buckets(0, int(frontier.id(URL)) % 16_384),
        "drain": drained,
        "leases": lambda: [crawldb.deadline(lease.token) for _, lease in crawldb.leases()],
        "robots": lambda: crawldb.hosts.robots(["http://a.example"]),
        "template": lambda: crawldb.template("1"),
        "roots": lambda: crawldb.hosts.roots(["a.example"]),
        "accepted": lambda: accepted(frontier.shards, [URL]),
        "host": lambda: frontier.explain("a.example"),
        "hosts": lambda: crawldb.hosts.answered(9),
        "state": frontier.state,
    }


@pytest.mark.parametrize("value", ABSURD.values(), ids=ABSURD.keys())
def test_each_reader_answers_or_refuses_in_one_line(link: Connection, value: bytes) -> None:
    first = _dead_letter(link)
    _everywhere(link, first, value)
    answered = 0
    for name, read in _readers(first.frontier).items():
        try:
            read()
            answered += 1
        except CrawlerError as error:
            assert "\n" not in str(error), name
            assert len(str(error)) < 1_000, name
    assert answered > 10


@pytest.mark.parametrize(
    "generation", ["/etc", "../../x", "a" * 300, "a\0b", "", "ABCDEF0123456789", "0123456789abcdef\n", "g" * 16]
)
def test_a_generation_that_is_none_is_never_a_path(link: Connection, generation: str) -> None:
    frontier = _dead_letter(link)
    link.client.hset(frontier.keys.meta, "generation", generation)
    with pytest.raises(DamagedCrawl, match="its generation is none"):
        Frontier.find(link, "default")


def test_a_generation_that_is_a_folder_leaves_that_folder_alone(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], tmp_path: Path
) -> None:
    commands = commands_on(redis_server.url)
    assert commands.run("seed", URL).code == 0
    with redis_server.client() as client:
        client.hset("crawler:{default.0}:meta", "generation", str(tmp_path))
    (tmp_path / "report-4194000-final.txt").write_text("x" * 5000)
    done = commands.run("run", "-n", "1")
    assert (done.code, len(done.lines)) == (2, 1), done.err
    assert "its generation is none" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["report-4194000-final.txt"]


SETTINGS = {
    "timeout": (1e300, -5, 0),
    "page_timeout": (0, -1, 4e9),
    "lease_term": (0, 2.9, -90, 1e12),
    "delay": (-1, 1e300),
    "host_patience": (-1, 1e18),
    "max_time": (-1, 1e99),
    "retries": (-1, 15, 10**30),
    "per_host": (0, -1, 10**16),
    "max_depth": (-1, 10**300),
    "max_links": (-1, 10**16),
    "max_size": (-1, 1 << 51),
    "max_text": (-1, (16 << 20) + 1),
    "shards": (0, 257),
    "adaptive": (-1, 101, 1e300),
    "scope": ("everything",),
    "canonical": ("",),
    "user_agent": ("", "x\r\nHost: y", "\u00fc"),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in SETTINGS.items() for value in values])
def test_stored_settings_have_the_bounds_of_the_command_line(name: str, value: object) -> None:
    raw = msgspec.json.encode({name: value}) if not isinstance(value, int) else f'{{"{name}":{value}}}'.encode()
    with pytest.raises(DamagedCrawl) as caught:
        Settings().with_stored(raw)
    assert f"cannot be used: {name.replace('_', '-')}: " in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_a_command_may_store_is_read_back() -> None:
    odd = Settings(
        delay=1e-05, timeout=0.1 + 0.2, adaptive=0.3, max_time=315_360_000.0, max_depth=None, max_text=16 << 20,
        include=("a+", ""), max_pages=10**15 - 1, retries=14, lease_term=3.0, host_patience=0.0,
    )  # fmt: skip
    assert Settings().with_stored(odd.encode()) == odd
    assert Settings().with_stored(Settings().encode()) == Settings()


def test_a_worker_meets_no_setting_that_stops_it(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands]
) -> None:
    commands = commands_on(redis_server.url)
    assert commands.run("seed", URL).code == 0
    with redis_server.client() as client:
        client.hset(
            "crawler:{default.0}:meta", "settings", Settings().encode().replace(b'"timeout":30.0', b'"timeout":1e300')
        )
    for command in (("run", "-n", "1"), ("work", "-n", "1"), ("set",)):
        done = commands.run(*command)
        assert done.code == 2, (command, done.err)
        assert [line for line in done.lines if "warning: neither" not in line] == done.lines[-1:]
        assert "cannot be used: timeout: " in done.lines[-1]


def test_texts_are_unpacked_one_at_a_time(link: Connection) -> None:
    """Thirty-one of nearly the largest size, in a few kilobytes each, never are in memory together."""
    frontier = Client.create(link, "default", Settings().encode(), Limits(delay_ms=0, per_host=100, robots=False))
    bomb = zlib.compress(bytes(63 << 20))
    redis: Any = link.client
    for n in range(31):
        at = redis.xadd(frontier.keys.records, {"i": str(n)})
        record = Record(url=f"http://a.example/{n}", outcome="fetched", depth=0)
        redis.hset(frontier.keys.page(str(n)), mapping={"m": record.encode(), "t": bomb, "at": at})
    crawldb, cursor, met = CrawlDb(link, "default"), START, 0
    for _ in range(4):
        found, cursor = crawldb.records.read(cursor, 500)
        assert len(found) == 1
        met += len(found)
    assert met == 4


def test_a_message_of_more_than_a_script_may_take_is_none() -> None:
    whole = OutboxMessage(["a.example"], {"1 a.example": [(str(n), b"x") for n in range(1_000)]})
    assert OutboxMessage.of(whole.packed()) == whole
    whole.groups["1 b.example"] = [("1", b"x")]
    for raw in (
        whole.packed(),
        b"\x81\xa1x" + b"\x91" * 200_000,
        OutboxMessage([str(n) for n in range(1_001)]).packed(),
    ):
        with pytest.raises(ValueError, match=r"."):
            OutboxMessage.of(raw)


@pytest.mark.parametrize("url_id", ["", "x", "-1", "1.5", "1e5", " 1", "1\n", "\u0661", "1" * 20, "1\0"])
def test_a_message_with_an_id_that_is_none_is_none(url_id: str) -> None:
    with pytest.raises(ValueError, match="an id in it is none"):
        OutboxMessage.of(OutboxMessage([], {"1 a.example": [("5", b"x"), (url_id, b"x")]}).packed())


@pytest.mark.parametrize("name", ["a\x1b[2J", "a b", "", "x" * 65, "\u00fc", "a.0}:meta"])
def test_a_name_that_no_crawl_can_have_is_none(name: str) -> None:
    assert crawl_of_meta("crawler:{a-B_9.0}:meta") == "a-B_9"
    assert crawl_of_meta(f"crawler:{{{name}.0}}:meta") is None


@pytest.mark.parametrize(
    "host", [b"\xff\xfe", b"a b", b"", b"x" * 10_000, b"a\n\x1b[2J", b"[::", "\u00fc.example".encode()]
)
def test_a_host_that_is_none_holds_nobody_up(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], host: bytes
) -> None:
    """Counted and ready like any other: its entry ends or counts as lost, no worker dies of it, the crawl is done."""
    commands = commands_on(redis_server.url)
    prefix = b"crawler:{default.0}:"
    assert (
        commands.run("seed", "http://127.0.0.1:1/", "--host-patience", "1s", "--retries", "0", "--delay", "0").code == 0
    )
    with redis_server.client() as client:
        client.rpush(prefix + b"queue:" + host + b":1", bytes(12) + b"/x")
        client.hset(prefix + b"host:" + host, mapping={"queued": 1, "accepted": 1})
        client.zadd(prefix + b"ready", {host: 0})
        client.hincrby(prefix + b"counters", "queued", 1)
        client.hincrby(prefix + b"counters", "accepted", 1)
    done = commands.run("run", "-n", "1")
    assert done.code == 4, done.err
    assert "died" not in done.err
    assert "Traceback" not in done.err
    outcomes = sorted(record["outcome"] for record in commands.exported())
    status = commands.status()
    assert outcomes[-1] == "failed:connect"
    assert (status["state"], status["lost"] + outcomes.count("failed:bad-entry")) == ("done", 1)
