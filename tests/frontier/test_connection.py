"""The connection: one round trip for many calls; every trouble of Redis as our error, in one line, without secrets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis
from redis import exceptions

from crawler.errors import (
    DamagedCrawl,
    FrontierError,
    LeaseLost,
    NoCrawl,
    OutOfMemory,
    RedisAway,
    RedisUnavailable,
    UsageError,
)
from crawler.frontier import verbs
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Accepted, Limits
from crawler.frontier.redis.connection import Backoff, Connection
from crawler.frontier.redis.errors import translate
from crawler.frontier.shards.shard import Shard
from crawler.record import Request
from crawler.url import Form
from tests.frontier.client import Client
from tests.frontier.crawls import Crawl

SECRET = "geheim-73"
A = "http://a.example/"


@contextmanager
def linked(url: str, timeout: float | None = None) -> Iterator[Connection]:
    """A link that is closed again."""
    link = Connection(url, timeout=timeout)
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
    stranger = Shard(crawl.link, crawl.name, Identity("another", b"", Form()))
    results = frontier.run(
        [
            frontier.put_call([Request(f"{A}3")]),
            frontier.commit_call(crawl.ending(lost)),
            verbs.put(stranger, [Request(f"{A}4")]),
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
        assert Shard(link, "test", Identity("0", b"", Form())).run([]) == []


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


@pytest.mark.parametrize("key", ["meta", "ready", "leased", "host:a.example", "queue:a.example:1"])
def test_a_key_of_another_kind_is_named(crawl: Crawl, key: str) -> None:
    crawl.put(f"{A}1", f"{A}2")
    crawl.one()
    name = crawl.frontier.keys.prefix + key
    client = crawl.link.client
    client.rename(name, "kept")
    client.set(name, "x")
    try:
        error = trouble(lambda: crawl.frontier.lease(1, 90, "w"))
    finally:
        client.rename("kept", name)
    assert type(error) is DamagedCrawl
    assert f"its key {name} holds a string, not a " in str(error)
    assert "crawler delete" in str(error)


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
        shard = Shard(link, crawl.name, crawl.frontier.identity, clock=crawl.frontier.shard.clock)
        calls = [verbs.lease(shard, "c", 1, 90, "w")]
        client.execute_command("CLIENT", "PAUSE", 400, "ALL")
        assert type(trouble(lambda: shard.run(calls))) is RedisAway
    (leased,) = crawl.frontier.run(calls)
    assert [x.token for x in leased.leases] == ["c:1"]
    assert crawl.snapshot().counters["leased"] == 1


@pytest.fixture
def guarded(link: Connection) -> Iterator[str]:
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
        other = trouble(lambda: Client.create(link, "test", b"{}", Limits()))
        assert type(other) is RedisUnavailable


def test_the_right_password_is_let_in(guarded: str) -> None:
    with linked(guarded.replace("unix://", f"unix://:{SECRET}@")) as link:
        assert Client.create(link, "test", b"{}", Limits()).state().word == "empty"


@pytest.mark.parametrize("rights", [["+@read"], ["+@read", "+@scripting", "+@connection"]])
def test_a_user_without_the_rights_is_told_so(link: Connection, rights: list[str]) -> None:
    client: Any = link.client
    client.execute_command("ACL", "SETUSER", "bob", "on", f">{SECRET}", "~*", "+@connection", *rights)
    try:
        with linked(link.url.replace("unix://", f"unix://bob:{SECRET}@")) as poor:
            error = trouble(lambda: Client.create(poor, "test", b"{}", Limits()))
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


def test_who_waits_when_redis_becomes_a_replica_asks_again(crawl: Crawl) -> None:
    """Redis ends the wait with an error of its own."""
    with redis.Redis.from_url(crawl.link.url) as admin, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(crawl.link.wait, crawl.frontier.keys.wake, 20)
        while not admin.info("clients")["blocked_clients"]:
            pass
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            assert type(trouble(waiting.result)) is RedisAway
        finally:
            admin.execute_command("REPLICAOF", "NO", "ONE")
    assert crawl.link.wait(crawl.frontier.keys.wake, 0) is False


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


WHERE = "redis://h:1/0"


@pytest.mark.parametrize(
    ("error", "ours", "words"),
    [
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), RedisAway, "is loading its data"),
        (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), RedisAway, "its log says"),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), RedisAway, "min-replicas-to-write"),
        (exceptions.ResponseError("BUSY Redis is busy running a script."), RedisAway, "SCRIPT KILL"),
        (exceptions.ResponseError("UNKILLABLE Sorry the script already executed write"), RedisAway, "cannot be killed"),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), RedisAway, "REPLICAOF NO ONE"),
        (exceptions.MasterDownError("Link with MASTER is down"), RedisAway, "cannot reach its master"),
        (exceptions.ClusterDownError("The cluster is down"), RedisAway, "not whole"),
        (exceptions.TryAgainError("Multiple keys request during rehashing of slot"), RedisAway, "moving our keys"),
        (
            exceptions.ResponseError("Error running script: Script attempted to access a non local key in a cluster"),
            RedisAway,
            "moving our keys",
        ),
        (exceptions.ConnectionError("max number of clients reached"), RedisAway, "maxclients"),
        (exceptions.ConnectionError("Connection refused."), RedisAway, "Connection refused; start it"),
        (exceptions.ConnectionError(""), RedisAway, "no answer"),
        (exceptions.TimeoutError("Timeout reading from socket"), RedisAway, "does not answer"),
        (exceptions.AuthenticationError("Authentication required."), RedisUnavailable, "wants a password"),
        (exceptions.AuthenticationError("invalid username-password pair"), RedisUnavailable, "name and password"),
        (exceptions.NoPermissionError("no permissions to run the 'set' command"), RedisUnavailable, "'set' command"),
        (
            exceptions.NoPermissionError("Command # 2 (SET a (b) c) of pipeline caused error: no right to 'set'"),
            RedisUnavailable,
            "needed: no right to 'set'",
        ),
        (exceptions.ResponseError("ACL failure in script: User bob may not 'set'"), RedisUnavailable, "ACL LOG"),
        (exceptions.OutOfMemoryError("command not allowed"), OutOfMemory, "maxmemory"),
        (exceptions.ResponseError("user_script:3: attempt to index a nil value\nstack"), FrontierError, "nil value"),
    ],
)
def test_what_cannot_be_brought_about_here_is_translated(
    error: exceptions.RedisError, ours: type[Exception], words: str
) -> None:
    told = translate(error, WHERE)
    assert type(told) is ours
    assert str(told).startswith(f"Redis at {WHERE} ")
    assert words in str(told)
    assert "\n" not in str(told)
    assert not isinstance(told, RedisAway) or told.why


@pytest.mark.parametrize(
    ("greeting", "ours", "words"),
    [
        (b"-ERR max number of clients reached\r\n", RedisAway, "maxclients"),
        (b"-DENIED Redis is running in protected mode because\r\n", RedisUnavailable, "protected mode"),
        (b"", RedisAway, "cannot be reached"),
    ],
)
def test_who_hangs_up_on_us_is_heard(greeting: bytes, ours: type[Exception], words: str) -> None:
    """The reason comes before we have asked, and the library may not get to read it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()

        def refuse() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    client.sendall(greeting)
                    client.close()

        threading.Thread(target=refuse, daemon=True).start()
        told = translate(exceptions.ConnectionError("Error 32 while writing to socket. Broken pipe."), WHERE, place)
        server.shutdown(socket.SHUT_RDWR)
    assert type(told) is ours
    assert words in str(told)


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
    """And of each other kind of trouble that comes in between: refused, then loading."""
    said: list[str] = []
    patience = Backoff(said.append, first=0.1, most=0.4)
    pauses = [patience.failed(RedisAway("away")) for _ in range(6)]
    assert len(said) == 1
    for pause, most in zip(pauses, (0.1, 0.2, 0.4, 0.4, 0.4, 0.4), strict=True):
        assert most / 2 <= pause <= most
    for _ in range(2):
        patience.failed(RedisAway("is loading", "LOADING"))
        patience.failed(RedisAway("away"))
    assert said == ["away; waiting for it", "is loading; waiting for it"]
    assert patience.answered() is True
    assert patience.answered() is False
    assert len(said) == 3
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
    assert Backoff(said.append).through(question) == 7
    assert len(said) == 2


def test_a_question_of_several_commands_is_repeated_whole(link: Connection) -> None:
    """Redis refuses it while it is a replica without a master; then it is the master again."""
    link.client.config_set("replica-serve-stale-data", "no")
    link.client.replicaof("127.0.0.1", "1")
    said: list[str] = []

    def repair() -> None:
        link.client.replicaof("NO", "ONE")

    link.patience = Backoff(said.append, first=0.01, before_retry=repair)
    assert CrawlDb(link, "test").workers() == []
    assert "is a replica that cannot reach its master" in said[0]
    assert len(said) == 2
    link.client.config_set("replica-serve-stale-data", "yes")


def test_patience_does_not_wait_for_what_will_not_come() -> None:
    def question() -> None:
        raise RedisUnavailable("wrong password")

    with pytest.raises(RedisUnavailable):
        Backoff(lambda text: None).through(question)
