"""The pool's journal: what workers report reaches people and listeners once, and nobody waits for a listener."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import redis

from crawler.crawl import journal as journals
from crawler.crawl.journal import MAX_HOST_LINES, Journal, Outlet
from crawler.events import Ended, Event
from crawler.frontier.redis import channel as channels
from crawler.frontier.redis.channel import Publisher
from tests.redis_for_tests import PrivateRedis

TROUBLE: Final = "503 Service Unavailable"


class Kept:
    """A listener that keeps what it gets."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.patient: bool | None = None

    def send(self, line: bytes) -> None:
        self.lines.append(json.loads(line))

    def flush(self) -> None: ...

    def close(self, *, patient: bool) -> str:
        self.patient = patient
        return ""

    @property
    def names(self) -> list[str]:
        return [line["event"] for line in self.lines if "event" in line]


class Setting:
    """A journal with two listeners, and what it said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.channel, self.webhook = Kept(), Kept()
        self.journal = Journal("pool", self.channel, self.webhook, self.said.append)
        self.outlets = [Outlet(os.dup(self.journal.fd)) for _ in range(2)]

    def close(self) -> None:
        self.journal.close()
        for outlet in self.outlets:
            os.close(outlet._fd)


@pytest.fixture
def setting() -> Iterator[Setting]:
    setting = Setting()
    yield setting
    setting.close()


def host(name: str, event: str = "host-failing", worker: str = "w") -> Event:
    return Event(time="t", event=event, worker=worker, host=name, trouble=TROUBLE)


def ended(url: str) -> Ended:
    return Ended(time="t", url=url, host="a.example", outcome="fetched", attempt=1, worker="w")


def test_a_host_that_fails_for_all_workers_is_one_event_and_one_line(setting: Setting) -> None:
    for outlet in setting.outlets:
        outlet.event(host("a.example"))
    setting.journal.look()
    for outlet in setting.outlets:
        outlet.event(host("a.example", "host-recovered"))
    setting.journal.look()
    assert setting.channel.names == setting.webhook.names == ["host-failing", "host-recovered"]
    assert setting.said == ["a.example fails: 503 Service Unavailable"]


def test_a_hook_that_fails_in_all_workers_is_one_event_for_each_way(setting: Setting) -> None:
    for outlet in setting.outlets:
        for error in ("KeyError: 'x'", "KeyError: 'y'"):
            outlet.event(Event(time="t", event="hook-failed", worker="w", url="http://a.example/", error=error))
    setting.journal.look()
    assert [line["error"] for line in setting.channel.lines] == ["KeyError: 'x'", "KeyError: 'y'"]


def test_how_long_a_host_failed_is_measured_by_the_pool_and_flapping_is_damped(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for _ in range(100):
        setting.outlets[0].event(host("a.example"))
        setting.journal.look()
        now += 0.5
        setting.outlets[1].event(host("a.example", "host-recovered"))
        setting.journal.look()
        now += 0.5
    assert setting.channel.names == ["host-failing", "host-recovered"] * 2
    assert [line["elapsed_ms"] for line in setting.channel.lines if "elapsed_ms" in line] == [500, 500]


def test_a_host_that_works_all_the_time_does_not_recover(setting: Setting) -> None:
    setting.outlets[0].event(host("a.example", "host-recovered"))
    setting.journal.look()
    assert setting.channel.names == []


def test_of_many_failing_hosts_ten_are_named_and_the_others_counted(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(35):
        setting.outlets[0].event(host(f"h{n}.example"))
    setting.journal.look()
    assert len(setting.said) == MAX_HOST_LINES
    assert len(setting.channel.names) == 35
    monkeypatch.setattr(journals, "MINUTE", 0.0)
    setting.journal.look()
    assert setting.said[MAX_HOST_LINES:] == ["25 more hosts fail"]
    setting.outlets[0].event(host("new.example"))
    setting.journal.look()
    assert setting.said[-1].startswith("new.example fails")


def test_on_a_terminal_hosts_are_left_to_the_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    setting = Setting()
    setting.outlets[0].event(host("a.example"))
    setting.journal.look()
    assert (setting.said, setting.channel.names) == ([], ["host-failing"])
    setting.close()


def test_urls_go_to_the_channel_alone(setting: Setting) -> None:
    setting.outlets[0].urls([ended("http://a.example/")])
    setting.journal.look()
    assert [line["url"] for line in setting.channel.lines] == ["http://a.example/"]
    assert setting.webhook.lines == []


def test_equal_messages_of_workers_are_said_once(setting: Setting) -> None:
    for outlet in setting.outlets:
        outlet.message("--log-file x: cannot be written")
    setting.journal.look()
    assert setting.said == ["--log-file x: cannot be written"]


def test_what_does_not_fit_is_dropped_and_counted_and_nobody_waits(setting: Setting) -> None:
    began = time.monotonic()
    for n in range(50_000):
        setting.outlets[0].urls([ended(f"http://a.example/{n}")])
    assert time.monotonic() - began < 10
    setting.journal.look()
    kept = len(setting.channel.lines)
    assert 100 < kept < 50_000
    setting.outlets[0].urls([ended("http://a.example/" + "x" * select.PIPE_BUF)])  # may not arrive in one piece
    setting.outlets[0].leave(7)
    setting.journal.look()
    setting.journal.close()
    assert f"{50_001 - kept:,} events of workers were dropped: there were too many at once" in setting.said
    assert "7 lines of --log-file could not be written" in setting.said
    assert setting.channel.patient is False
    setting.journal = Journal("pool", setting.channel, None, setting.said.append)


def test_a_worker_whose_pool_is_gone_goes_on() -> None:
    setting = Setting()
    os.close(setting.journal._reads)
    setting.outlets[0].event(host("a.example"))
    assert setting.outlets[0]._dropped == 1
    os.close(setting.journal.fd)
    Outlet(-1).event(host("a.example"))


# -- the channel -------------------------------------------------------------------------------------------------------


@pytest.fixture
def heard(redis_server: PrivateRedis) -> Iterator[Callable[[], list[bytes]]]:
    """What was published on the channel `events` since the last call."""
    with redis_server.client() as client, client.pubsub() as pubsub:
        pubsub.subscribe("events")
        assert pubsub.get_message(timeout=10)["type"] == "subscribe"

        def messages() -> list[bytes]:
            found = []
            while (message := pubsub.get_message(timeout=0.2)) is not None:
                found.append(message["data"])
            return found

        yield messages


def test_lines_are_published_in_order(redis_url: str, heard: Callable[[], list[bytes]]) -> None:
    said: list[str] = []
    publisher = Publisher(redis_url, "events", said.append)
    lines = [str(n).encode() for n in range(2_500)]
    for line in lines:
        publisher.send(line)
    publisher.flush()
    assert heard() == lines
    assert (publisher.close(patient=True), said) == ("", [])


def test_a_redis_that_hangs_costs_one_short_attempt(
    redis_server: PrivateRedis, heard: Callable[[], list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "TIME_OUT", 0.2)
    publisher = Publisher(redis_server.url, "events", lambda _: None)
    publisher.send(b"1")
    publisher.flush()
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        publisher.send(b"2")
        began = time.monotonic()
        for _ in range(100):
            publisher.flush()
        assert time.monotonic() - began < 2
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    publisher._again_at = 0.0
    publisher.flush()
    assert set(heard()) == {b"1", b"2"}
    publisher.close(patient=True)


def test_the_oldest_lines_are_dropped_and_counted(redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_WAITING", 10)
    redis_server.kill()
    publisher = Publisher(redis_server.url, "events", lambda _: None)
    for n in range(25):
        publisher.send(str(n).encode())
    publisher.flush()
    assert list(publisher._waiting) == [str(n).encode() for n in range(15, 25)]
    assert publisher.close(patient=False) == "25 events were not published: Redis did not take them"
    redis_server.start()


def test_without_the_right_one_line_says_so(redis_server: PrivateRedis) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "mute", "on", ">x", "~*", "+@all", "-publish")
    said: list[str] = []
    publisher = Publisher(redis_server.url.replace("unix://", "unix://mute:x@"), "events", said.append)
    for _ in range(3):
        publisher.send(b"1")
        publisher.flush()
    assert len(said) == 1
    assert said[0].startswith("events are not published: ")
    assert said[0].endswith("the right is `+publish &crawler:*`")
    assert publisher.close(patient=True) == ""
    with redis_server.client() as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command("AUTH", "mute", "x")
        client.publish("events", "1")
