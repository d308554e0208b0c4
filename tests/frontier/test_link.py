"""The link: one round trip for many calls; every trouble of Redis as an error of ours, in one line, without secrets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from redis import exceptions

from crawler.errors import (
    FrontierError,
    LeaseLost,
    NoCrawl,
    OutOfMemory,
    RedisAway,
    RedisUnavailable,
    UsageError,
)
from crawler.frontier.frontier import Frontier
from crawler.frontier.leases import Accepted, Limits
from crawler.frontier.link import Link, Patience, shown, translate
from crawler.records import Request
from tests.frontier.crawls import Crawl

SECRET = "geheim-73"
A = "http://a.example/"


@contextmanager
def linked(url: str, **options: float) -> Iterator[Link]:
    """A link that is closed again."""
    link = Link(url, **options)
    try:
        yield link
    finally:
        link.close()


def trouble(ask: Callable[[], Any]) -> Exception:
    """The error of ours that *ask* raises: one line, no secret."""
    with pytest.raises((FrontierError, RedisUnavailable, UsageError)) as caught:
        ask()
    text = str(caught.value)
    assert text
    assert "\n" not in text
    assert len(text) < 400
    assert SECRET not in text
    assert SECRET not in repr(caught.value.__cause__)
    return caught.value


# -- pipelines ---------------------------------------------------------------------------------------------------------


def test_one_refusal_does_not_hide_the_others(crawl: Crawl) -> None:
    crawl.put(f"{A}1", f"{A}2")
    kept, lost = crawl.lease(2)
    crawl.frontier.release([lost.token])
    frontier = crawl.frontier
    stranger = Frontier(crawl.link, crawl.name, "another", b"")
    results = frontier.run(
        [
            frontier.put_call([Request(f"{A}3")]),
            frontier.commit_call(crawl.ending(lost)),
            stranger.put_call([Request(f"{A}4")]),
            frontier.commit_call(crawl.ending(kept, links=[f"{A}5"])),
            frontier.extend_call([kept.token], 90),
            frontier.release_call([lost.token]),
        ]
    )
    assert results[0] == Accepted(1, 0, 0)
    assert isinstance(results[1], LeaseLost)
    assert isinstance(results[2], NoCrawl)
    assert results[3:] == [Accepted(1, 0, 0), {kept.token}, 0]


def test_no_calls_are_no_round_trip() -> None:
    with linked("unix:///nowhere") as link:
        assert Frontier(link, "test", "0", b"").run([]) == []


def test_scripts_that_redis_forgot_are_sent_again(crawl: Crawl) -> None:
    crawl.link.client.script_flush()
    crawl.put(f"{A}1")
    crawl.link.client.script_flush()
    lease = crawl.one()
    crawl.link.client.script_flush()
    crawl.commit(lease, links=[f"{A}2"])
    assert crawl.snapshot().counters["ended"] == 1


def test_scripts_that_are_forgotten_within_a_pipeline_do_no_harm(crawl: Crawl) -> None:
    """Those that were not known are sent again; the others keep their answers."""
    crawl.put(f"{A}1", f"{A}2")
    lease = crawl.one()
    calls = [
        crawl.frontier.commit_call(crawl.ending(lease, links=[f"{A}3"])),
        crawl.frontier.lease_call("c", 1, 90, "w"),
        crawl.frontier.state_call(),
    ]
    crawl.link.client.script_flush()
    for call in calls[:2]:
        crawl.link.client.script_load(call.script.source)
    accepted, leased, state = crawl.frontier.run(calls)
    assert accepted == Accepted(1, 0, 0)
    assert [x.token for x in leased.leases] == ["c:1"]
    assert (state.accepted, state.queued, state.leased, state.ended) == (3, 1, 1, 1)
    crawl.snapshot()


# -- troubles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["meta", "ready", "leased"])
def test_a_key_of_another_kind_is_named(crawl: Crawl, key: str) -> None:
    crawl.put(f"{A}1", f"{A}2")
    crawl.one()
    name = getattr(crawl.frontier.keys, key)
    client = crawl.link.client
    client.rename(name, "kept")
    client.set(name, "x")
    try:
        error = trouble(lambda: crawl.frontier.lease(1, 90, "w"))
    finally:
        client.rename("kept", name)
    assert type(error) is FrontierError
    assert "another kind" in str(error)


def test_a_redis_that_refuses_connections_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with linked(f"redis://:{SECRET}@127.0.0.1:{port}/0") as link:
        error = trouble(lambda: Frontier.find(link, "test"))
    assert type(error) is RedisAway
    assert f"redis://127.0.0.1:{port}/0" in str(error)


def test_a_socket_that_is_not_there_is_away() -> None:
    with linked(f"unix://:{SECRET}@/nowhere/at/all") as link:
        error = trouble(lambda: Frontier.find(link, "test"))
    assert type(error) is RedisAway
    assert "unix:///nowhere/at/all" in str(error)


def test_a_redis_that_does_not_answer_in_time_is_away_and_the_call_may_be_sent_again(crawl: Crawl) -> None:
    crawl.put(f"{A}1")
    client: Any = crawl.link.client
    with linked(crawl.link.url, timeout=0.1) as link:
        frontier = Frontier(
            link, crawl.name, crawl.frontier.generation, crawl.frontier.salt, clock=crawl.frontier._clock
        )
        calls = [frontier.lease_call("c", 1, 90, "w")]
        client.execute_command("CLIENT", "PAUSE", 400, "ALL")
        assert type(trouble(lambda: frontier.run(calls))) is RedisAway
    (leased,) = crawl.frontier.run(calls)
    assert [x.token for x in leased.leases] == ["c:1"]
    assert crawl.snapshot().counters["leased"] == 1


@pytest.fixture
def guarded(link: Link) -> Iterator[str]:
    """The URL of a Redis whose password is SECRET, without it."""
    admin = redis.Redis.from_url(link.url, password=SECRET)
    link.client.config_set("requirepass", SECRET)
    yield link.url
    admin.config_set("requirepass", "")
    admin.close()


@pytest.mark.parametrize("user", ["", ":wrong@", f":{SECRET}9@", f"nobody:{SECRET}@"])
def test_a_redis_that_refuses_us_is_not_asked_again(guarded: str, user: str) -> None:
    with linked(guarded.replace("unix://", f"unix://{user}")) as link:
        error = trouble(lambda: Frontier.find(link, "test"))
        assert type(error) is RedisUnavailable
        assert "password" in str(error)
        other = trouble(lambda: Frontier.create(link, "test", b"{}", Limits()))
        assert type(other) is RedisUnavailable


def test_the_right_password_is_let_in(guarded: str) -> None:
    with linked(guarded.replace("unix://", f"unix://:{SECRET}@")) as link:
        assert Frontier.create(link, "test", b"{}", Limits()).state().word == "empty"


@pytest.mark.parametrize("rights", [["+@read"], ["+@read", "+@scripting", "+@connection"]])
def test_a_user_without_the_rights_is_told_so(link: Link, rights: list[str]) -> None:
    client: Any = link.client
    client.execute_command("ACL", "SETUSER", "bob", "on", f">{SECRET}", "~*", "+@connection", *rights)
    try:
        with linked(link.url.replace("unix://", f"unix://bob:{SECRET}@")) as poor:
            error = trouble(lambda: Frontier.create(poor, "test", b"{}", Limits()))
    finally:
        client.execute_command("ACL", "DELUSER", "bob")
    assert type(error) is RedisUnavailable
    assert "permissions" in str(error)


def test_a_replica_is_away_until_it_is_master_again(crawl: Crawl) -> None:
    client: Any = crawl.link.client
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        assert type(trouble(lambda: crawl.put(A))) is RedisAway
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert crawl.put(A) == Accepted(1, 0, 0)


def test_a_redis_that_is_busy_with_a_script_is_away(crawl: Crawl) -> None:
    client: Any = crawl.link.client
    client.config_set("lua-time-limit", 1)
    endless: Any = redis.Redis.from_url(crawl.link.url).connection_pool.get_connection()
    endless.send_command("EVAL", "while true do end", 0)
    try:
        assert type(trouble(lambda: until_refused(crawl))) is RedisAway
    finally:
        client.script_kill()
        with pytest.raises(exceptions.ResponseError):
            endless.read_response()
        client.config_set("lua-time-limit", 5000)
        endless.disconnect()


def until_refused(crawl: Crawl) -> None:
    """Ask until the endless script has begun and Redis says that it is busy."""
    for _ in range(10_000):
        crawl.frontier.state()


def test_a_full_redis_is_told_by_scripts_that_do_not_ask_first(crawl: Crawl) -> None:
    crawl.link.client.config_set("maxmemory", 1)
    error = trouble(lambda: crawl.frontier.configure(b"{}", Limits()))
    assert type(error) is OutOfMemory
    assert "maxmemory" in str(error)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), RedisAway),
        (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), RedisAway),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), RedisAway),
        (exceptions.ResponseError("UNKILLABLE Sorry the script already executed write commands"), RedisAway),
        (exceptions.MasterDownError("Link with MASTER is down"), RedisAway),
        (exceptions.ClusterDownError("The cluster is down"), RedisAway),
        (exceptions.TryAgainError("Multiple keys request during rehashing of slot"), RedisAway),
        (
            exceptions.ResponseError("Error running script: Script attempted to access a non local key in a cluster"),
            RedisAway,
        ),
        (exceptions.ResponseError("ACL failure in script: User bob has no permissions to run 'set'"), RedisUnavailable),
        (exceptions.ResponseError("user_script:3: attempt to index a nil value\nstack"), FrontierError),
        (exceptions.ConnectionError(""), RedisAway),
    ],
)
def test_what_cannot_be_brought_about_here_is_translated(error: exceptions.RedisError, ours: type[Exception]) -> None:
    told = translate(error, f"redis://:{SECRET}@h:1/0")
    assert type(told) is ours
    assert SECRET not in str(told)
    assert "\n" not in str(told)


# -- URLs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h", "redis://h:6379"),
        (f"redis://user:{SECRET}@h:7000/3", "redis://h:7000/3"),
        (f"rediss://:{SECRET}@h/0?ssl_cert_reqs=none&password={SECRET}", "rediss://h:6379/0"),
        (f"unix://:{SECRET}@/run/r.sock?db=2&password={SECRET}", "unix:///run/r.sock"),
        (f"redis://:12/{SECRET}@h:1/0", "redis://localhost:12"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, told: str) -> None:
    assert shown(url) == told


@pytest.mark.parametrize(
    "url",
    ["http://h", "localhost:6379", "", f"redis://:{SECRET}/x@h:6379", f"redis://:x{SECRET}#y@h", f"redis://h:{SECRET}"],
)
def test_a_url_that_cannot_be_used_is_a_usage_error(url: str) -> None:
    assert type(trouble(lambda: Link(url))) is UsageError


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_a_wait_ends_with_a_hint(crawl: Crawl) -> None:
    crawl.put(A)
    assert crawl.link.wait(crawl.frontier.keys.wake, 30) is True
    assert crawl.snapshot().wake == 0


def test_a_wait_ends_without_one(crawl: Crawl) -> None:
    assert crawl.link.wait(crawl.frontier.keys.wake, 0) is False
    crawl.frontier.wait(0)


def test_a_wait_has_a_connection_of_its_own_that_outlasts_the_time_out(crawl: Crawl) -> None:
    with linked(crawl.link.url, timeout=0.05) as link:
        assert link.wait(crawl.frontier.keys.wake, 0.2) is False


def test_patience_tells_once_when_it_begins_and_once_when_it_ends() -> None:
    said: list[str] = []
    patience = Patience(said.append, first=0.1, most=0.4)
    pauses = [patience.failed(RedisAway("away")) for _ in range(6)]
    assert len(said) == 1
    for pause, most in zip(pauses, (0.1, 0.2, 0.4, 0.4, 0.4, 0.4), strict=True):
        assert most / 2 <= pause <= most
    assert patience.answered() is True
    assert patience.answered() is False
    assert len(said) == 2
    assert patience.failed(RedisAway("away")) <= 0.1


def test_patience_goes_through_with_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers: list[Any] = [RedisAway("away"), RedisAway("away"), 7]

    def question() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    said: list[str] = []
    assert Patience(said.append).through(question) == 7
    assert len(said) == 2


def test_patience_does_not_wait_for_what_will_not_come() -> None:
    def question() -> None:
        raise RedisUnavailable("wrong password")

    with pytest.raises(RedisUnavailable):
        Patience(lambda text: None).through(question)
