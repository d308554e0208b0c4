"""What holds for every script: keys are declared or touched before the first write, and all bear the shard's prefix."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from redis.exceptions import ResponseError

from crawler.frontier import keys as keys_module
from crawler.frontier import segment, visits
from crawler.frontier.keys import FIXED, Keys
from crawler.frontier.messages import TemplateSample
from crawler.frontier.redis.connection import Call
from crawler.frontier.scripts import IN_LUA, SHARED, load, needed, shared_text, verbs
from crawler.record import Request
from crawler.url_state import UrlState
from tests.frontier.crawls import CLOCK_KEY, Crawl, Make
from tests.frontier.states import ended, put_states

READS = {
    *("EXISTS", "HGET", "HMGET", "HGETALL", "HLEN", "HKEYS", "HVALS", "LINDEX", "LLEN", "LRANGE", "SISMEMBER", "XLEN"),
    *("SCARD", "SMISMEMBER"),
    *("ZCARD", "ZCOUNT", "ZRANGE", "ZRANGEBYSCORE", "ZSCORE"),
}
SOURCE = files("crawler.frontier").joinpath("lua")
VERBS = verbs()


def set_up(make: Make) -> Crawl:
    """Hosts in every state: pages and robots leases out, overdue, queued, dead letters."""
    crawl = make(robots=True, per_host=3)
    hosts = ("a.example", "b.example", "c.example:81")
    crawl.put(*(f"http://{host}/{n}" for host in hosts for n in range(6)), source="seeder", roots=["a.example"])
    for lease in crawl.lease(2):
        crawl.frontier.robots(lease, "ok", text=b"x")
    crawl.commit(crawl.lease(1)[0], "failed:http", event="slow")
    crawl.lease(2, term=5, call="old")
    crawl.advance(2)
    crawl.lease(3, call="now")
    crawl.frontier.heartbeat("w", b"{}")
    return crawl


def held(crawl: Crawl, kind: str) -> Any:
    """A lease that is out."""
    return next(lease for lease in crawl.crawldb.leases_of("w") if lease.kind == kind)


def failed(crawl: Crawl) -> dict[str, str]:
    """The dead letters: id -> URL."""
    return {letter.id: letter.record.url for letter in crawl.crawldb.records.letters() if letter.record is not None}


def with_hosts_that_are_due(crawl: Crawl) -> Crawl:
    """Three more hosts, of two the robots.txt is known."""
    for host in ("e.example", "f.example", "g.example"):
        crawl.put(*(f"http://{host}/{n}" for n in range(9)))
    leases = crawl.lease(9)
    for lease in leases:
        if lease.kind == "R" and lease.host != "g.example":
            crawl.frontier.robots(lease, "ok")
    assert {lease.host for lease in leases} >= {"e.example", "f.example", "g.example"}
    return crawl


def with_parcels(crawl: Crawl) -> list[str]:
    """What lies in the outbox for one other shard."""
    parcels = crawl.frontier.keys.parcels(1)
    crawl.link.client.xadd(parcels, {"d": "x"}, id="1-1")
    return [parcels]


LONG = "long.example"


def tail(crawl: Crawl) -> list[bytes]:
    """What the tail of a long queue began with."""
    return [Request(f"http://{LONG}/{n}").place()[1] for n in range(1, 4)]


def with_a_long_queue(crawl: Crawl) -> Crawl:
    """One more host: a page in the head, three in the tail."""
    crawl.link.client.hset(crawl.frontier.keys.meta, "overflow", 1)
    crawl.put(f"http://{LONG}/0")
    crawl.put(*(f"http://{LONG}/{n}" for n in range(1, 4)))
    return crawl


def with_a_segment(crawl: Crawl) -> Crawl:
    """Of this host two pages are packed, and the head is empty."""
    with_a_long_queue(crawl).frontier.pack(LONG, tail(crawl)[:2])
    for lease in crawl.lease(50):
        if lease.kind == "R":
            crawl.frontier.robots(lease, "ok")
    assert LONG in {lease.host for lease in crawl.lease(50)}
    return crawl


def ended_urls(crawl: Crawl) -> list[str]:
    """URLs that have ended, as their states say."""
    urls = list(failed(crawl).values())
    put_states(crawl, [UrlState(url=url, outcome="failed:http", first_seen=1, checked_at=1) for url in urls])
    return urls


LINKS = ["http://a.example/new", "https://d.example/", "http://a.example/sitemap"]

CALLS: dict[str, Callable[[Crawl], Call[Any]]] = {
    "create": lambda crawl: crawl.call("create"),
    "configure": lambda crawl: crawl.call("configure", (), ["", "delay", "5"]),
    "block": lambda crawl: crawl.frontier.block_call(["a.example"], ["a.example"]),
    "unblock": lambda crawl: crawl.frontier.unblock_call(["a.example"], ["a.example"]),
    "set_host": lambda crawl: crawl.frontier.set_host_call(["a.example"], ["a.example"], setting="delay", value="5"),
    "accepted": lambda crawl: crawl.frontier.accepted_call(LINKS),
    "mark_seen": lambda crawl: crawl.frontier.mark_seen_call([5, 1 << 62]),
    "note_findings": lambda crawl: crawl.frontier.note_findings_call({b"12345678": 5}, [b"87654321"]),
    "bound": lambda crawl: crawl.call("bound", (), ["a.example"]),
    "open": lambda crawl: crawl.call("open", (), ["seeder", 5]),
    "close": lambda crawl: crawl.call("close", (), ["seeder"]),
    "put": lambda crawl: crawl.frontier.put_call([Request(url) for url in LINKS], source="s", roots=["d.example"]),
    "lease": lambda crawl: with_hosts_that_are_due(crawl).frontier.lease_call("new", 9, 90, "w"),
    "commit": lambda crawl: crawl.frontier.commit_call(
        crawl.ending(
            held(crawl, "P"),
            "failed:http",
            event="slow",
            links=LINKS,
            latency_ms=5,
            roots=["d.example"],
            similarity=77,
        )
    ),
    "robots": lambda crawl: crawl.frontier.robots_call(held(crawl, "R"), "ok", text=b"x", crawl_delay=3.0),
    "retry": lambda crawl: crawl.frontier.retry_call(held(crawl, "P"), "fail", rest_ms=5, alone_ms=5),
    "release": lambda crawl: crawl.frontier.release_call([x.token for x in crawl.crawldb.leases_of("w")]),
    "extend": lambda crawl: crawl.frontier.extend_call([x.token for x in crawl.crawldb.leases_of("w")], 90),
    "reap": lambda crawl: crawl.frontier.reap_call(),
    "pack": lambda crawl: with_a_long_queue(crawl).frontier.pack_call(LONG, tail(crawl)),
    "unpack": lambda crawl: with_a_segment(crawl).frontier.unpack_call(LONG, segment.encode(tail(crawl)[:2])),
    "revive": lambda crawl: crawl.frontier.revive_call([Request(url) for url in failed(crawl).values()]),
    "revisit": lambda crawl: visits.revisit(crawl.frontier.shard, [ended(crawl, url) for url in ended_urls(crawl)]),
    "begin_visit": lambda crawl: visits.begin_visit(crawl.frontier.shard, 2, 60.0),
    "sweep": lambda crawl: visits.sweep(crawl.frontier.shard, visits.SweepState("w", choice="all"), 60.0),
    "drain": lambda crawl: crawl.frontier.drain_call(crawl.crawldb.records.exported("0-0", "+")[0]),
    "repair": lambda crawl: crawl.call("repair", (), ["hosts", "a.example", "c.example:81"]),
    "collect": lambda crawl: crawl.call("collect", with_parcels(crawl), ["w", 5, 5, 1]),
    "ack_delivered": lambda crawl: crawl.call("ack_delivered", with_parcels(crawl), [1, "run", "1-1"]),
    "state": lambda crawl: crawl.call("state"),
    "explain": lambda crawl: crawl.call("explain", [crawl.frontier.keys.host("a.example")], ["a.example", "a.example"]),
    "judge_templates": lambda crawl: crawl.frontier.judge_templates_call(
        [TemplateSample("a.example/0", "7", ["1"] * 100)]
    ),
    "unquarantine": lambda crawl: crawl.call("unquarantine", [crawl.frontier.keys.template("7")], ["a.example/0"]),
    "pause": lambda crawl: crawl.call("pause"),
    "resume": lambda crawl: crawl.call("resume"),
    "delete": lambda crawl: crawl.call("delete"),
    "heartbeat": lambda crawl: crawl.call("heartbeat", (), ["w", "{}"]),
}


def commands_of(crawl: Crawl, call: Call[Any]) -> list[list[str]]:
    """The commands that the script of *call* gives, as Redis saw them, split at spaces."""
    crawl.link.client.script_load(call.script.source)
    client: Any = crawl.link.client
    with client.monitor() as monitor:
        (reply,) = crawl.frontier.run([call])
        client.echo("the end")
        commands: list[list[str]] = []
        for seen in monitor.listen():
            if seen["command"].startswith("ECHO"):
                break
            if seen["client_type"] == "lua":
                commands.append(seen["command"].split(" "))
    assert not isinstance(reply, Exception)
    return [command for command in commands if command[0] != "TIME" and command[1] != CLOCK_KEY]


def keys_of(command: list[str]) -> list[str]:
    """The keys that a command names; only EXISTS names more than one."""
    return command[1:] if command[0].upper() == "EXISTS" else command[1:2]


def test_every_verb_is_here() -> None:
    assert sorted(CALLS) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_keys_are_declared_or_touched_before_the_first_write(make: Make, verb: str) -> None:
    crawl = set_up(make)
    if verb == "reap":
        crawl.advance(30)
    call = CALLS[verb](crawl)
    declared = set(call.keys)
    commands = commands_of(crawl, call)
    assert commands
    touched: set[str] = set()
    written = False
    for command in commands:
        assert all(key.startswith(crawl.frontier.keys.prefix) for key in keys_of(command)), command
        assert all(crawl.frontier.keys.kind(key) for key in keys_of(command)), command
        if written:
            assert set(keys_of(command)) <= declared | touched, command
        touched.update(keys_of(command))
        # the probe for memory is the write that writes nothing
        written = written or (command[0].upper() not in READS and command[1] != crawl.frontier.keys.probe)
    assert written == (verb not in {"state", "explain", "create", "accepted"})


@pytest.mark.parametrize("verb", ["put", "commit", "robots"])
def test_what_the_caller_can_name_is_declared(make: Make, verb: str) -> None:
    """All but what only the script knows for sure: the host that the lease was of, and which own sets of `seen` are."""
    crawl = set_up(make)
    call = CALLS[verb](crawl)
    host = "" if verb == "put" else held(crawl, "R" if verb == "robots" else "P").host
    keys = crawl.frontier.keys
    found = {keys.host(host), *(keys.queue(host, part) for part in (0, 1, 2, "packed", "tail"))}
    used = {key for command in commands_of(crawl, call) for key in keys_of(command)}
    assert {key for key in used - found if not re.search(r":seen:.*\.", key)} <= set(call.keys)


@pytest.mark.parametrize("verb", VERBS)
def test_no_command_is_unbounded_or_newer_than_the_oldest_server(verb: str) -> None:
    source = load(verb).source
    for word in ("'KEYS'", "SMEMBERS", "HGETALL", "#!lua", "LMPOP", "ZMPOP", "'SCAN'"):
        assert word not in source
    assert source.count("LRANGE") == (verb == "pack")  # of as many as its caller has read


def test_the_names_of_keys_are_those_of_the_table() -> None:
    keys = Keys("x")
    assert keys.fixed == tuple(f"crawler:{{x.0}}:{name}" for name in FIXED)
    assert tuple(getattr(keys, name) for name in FIXED) == keys.fixed
    named = {found for verb in VERBS for found in re.findall(r"local (\w+) = KEYS\[(\d+)\]\n", load(verb).source)}
    assert named == {(name.upper(), str(n)) for n, name in enumerate(FIXED, 1)}


def test_the_table_of_keys_that_is_read_has_the_types_of_the_one_that_runs() -> None:
    rows = re.findall(r"^\| (`.*`) \| ([A-Z]+) \|", str(keys_module.__doc__), re.MULTILINE)
    said = {name: kind.lower() for names, kind in rows for name in re.findall(r"`(\w+)[:`]", names)}
    assert said == {name: Keys("x").kind(name) for name in said}
    assert said.keys() >= FIXED.keys()


@pytest.mark.parametrize("verb", VERBS)
def test_a_script_names_nothing_that_it_does_not_use(verb: str) -> None:
    """Of what `scripts.py` puts above the clock."""
    named, _, rest = load(verb).source.partition("local function now_ms()")
    names = re.findall(r"^local (\w+) = ", named, re.MULTILINE)
    assert len(names) == named.count("\n")
    code = re.sub(r"--.*", "", rest)
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []
    assert [name for name in IN_LUA if name not in names and re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize("verb", verbs())
def test_a_script_uses_each_argument_that_its_header_names(verb: str) -> None:
    """Else Python would have to give what nobody reads."""
    own = files("crawler.frontier").joinpath(f"lua/{verb}.lua").read_text(encoding="utf-8")
    used = set(re.findall(r"\bARG\.(\w+)", "\n".join(line.partition("--")[0] for line in own.splitlines())))
    assert used == set(load(verb).arguments)


def test_arguments_are_named_and_none_is_missing_or_too_many() -> None:
    script = load("retry")
    named = {name: str(n) for n, name in enumerate(script.arguments)}
    assert script.ordered(dict(reversed(named.items()))) == [str(n) for n in range(9)]
    with pytest.raises(TypeError, match=r"retry takes token, held, event, .* not held"):
        script.ordered({name: value for name, value in named.items() if name != "token"})
    with pytest.raises(TypeError, match="retry takes token"):
        script.ordered(named | {"tokens": "1"})


def test_every_shared_file_is_in_the_text_once() -> None:
    names = sorted(path.name for path in SOURCE.joinpath("shared").iterdir())
    assert names == sorted(f"{name}.lua" for name in SHARED)
    assert [line for line in shared_text().splitlines() if line.startswith(tuple(f"-- {name}" for name in names))] == [
        SOURCE.joinpath(f"shared/{name}.lua").read_text(encoding="utf-8").splitlines()[0] for name in SHARED
    ]


FUNCTIONS = """local A = 1 -- four is named here, and not used

local function one()
  return A
end

-- two: what three needs
local function two()
  return one()
end
local function three()
  return two()
end
local function four()
  return 4
end
"""


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("return three()", ["one", "two", "three"]),
        ("return one() -- not two", ["one"]),
        ("return A + for_one", []),
        ("return four()\n", ["four"]),
    ],
)
def test_a_script_has_what_it_needs_of_the_shared_files(own: str, kept: list[str]) -> None:
    left = needed(FUNCTIONS, own)
    assert [name for name in ("one", "two", "three", "four") if f"local function {name}()" in left] == kept
    assert "local A = 1" in left
    assert ("-- two: what three needs" in left) == ("two" in kept)


def command(*args: str) -> tuple[int, str, str]:
    """The exit code of `python -m crawler.frontier.scripts` with *args*, what it printed, and its errors."""
    ended = subprocess.run(
        [sys.executable, "-m", "crawler.frontier.scripts", *args], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_the_command_prints_the_text_of_a_verb_with_the_lines_that_errors_name(make: Make) -> None:
    code, text, errors = command("extend")
    assert (code, errors) == (0, "")
    numbered = [(line[:4].strip(), line[5:]) for line in text.splitlines()]
    assert numbered == [(str(n), line) for n, line in enumerate(load("extend").source.splitlines(), 1)]
    crawl = make()
    crawl.link.client.set(crawl.frontier.keys.leases, "no set")
    with pytest.raises(ResponseError, match="WRONGTYPE") as raised:
        call = crawl.frontier.extend_call(["token"], 5)
        crawl.link.client.eval(load("extend").source, len(call.keys), *call.keys, *call.args)
    crawl.link.client.delete(crawl.frontier.keys.leases)
    (line,) = re.findall(r"user_script:(\d+)|on @user_script:(\d+)", str(raised.value))
    assert "redis.call('ZREM', LEASES, ARGV[i])" in dict(numbered)["".join(line)]


def test_the_command_lists_the_verbs() -> None:
    assert command() == (0, "\n".join(VERBS) + "\n", "")


@pytest.mark.parametrize("args", [("juggle",), ("shared/head",), ("",), ("put", "lease")])
def test_the_command_refuses_what_is_no_verb_in_one_line(args: tuple[str, ...]) -> None:
    code, text, errors = command(*args)
    assert (code, text) == (2, "")
    assert errors == f"no such verb: {' '.join(args)} (one of {', '.join(VERBS)})\n"


def test_the_command_ends_where_nobody_reads_on() -> None:
    shown = subprocess.run(
        f"{sys.executable} -u -m crawler.frontier.scripts lease | head -n 1", shell=True, capture_output=True, text=True
    )
    assert (shown.stdout, shown.stderr) == (f"   1 {load('lease').source.splitlines()[0]}\n", "")
