"""The webhook: signed, complete in spite of failures, and never in the way of the crawl."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from crawler.crawl import webhook
from crawler.crawl.webhook import KEY, Poster, Target, Webhook, target_of
from crawler.errors import UsageError
from crawler.settings import Settings, parse
from tests.receiver import Receiver, receiving
from tests.stories.commands import wait_until

SECRET: Final = "s3cret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(webhook, "GATHER", 0.01)


@pytest.fixture
def post(receiver: Receiver, quick: None) -> Callable[[int], tuple[Poster, list[str]]]:
    """Posts so many events from a thread until all are accepted or dropped."""

    def posted(count: int) -> tuple[Poster, list[str]]:
        poster, said = Poster(Target(f"{receiver.url}/in?a=1", SECRET)), list[str]()
        for n in range(count):
            poster.put(b'{"event":"x","n":%d}\n' % n)
        poster.end()
        poster.run(said.append)
        return poster, said

    return posted


def test_events_are_posted_in_signed_batches(receiver: Receiver, post: Callable[[int], Any]) -> None:
    post(250)
    assert [len(json.loads(body)) for _, body in receiver.posts] == [100, 100, 50]
    assert [event["n"] for event in receiver.accepted()] == list(range(250))
    for headers, body in receiver.posts:
        assert headers["X-Crawler-Signature"] == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["Content-Type"] == "application/json"


def test_a_batch_that_fails_is_sent_again_with_the_same_ids(receiver: Receiver, post: Callable[[int], Any]) -> None:
    receiver.answers = [500, 302, 429]
    poster, said = post(3)
    assert len({body for _, body in receiver.posts}) == 1
    assert len(receiver.posts) == 4
    assert poster.lost() == 0
    assert said == [
        "--webhook: it answered 500; events wait, it is tried again",
        "--webhook: events are accepted again",
    ]


def test_a_batch_that_is_refused_is_dropped_in_the_end(receiver: Receiver, post: Callable[[int], Any]) -> None:
    receiver.answers = [400] * webhook.FINAL_TRIES
    poster, _ = post(150)
    assert [len(json.loads(body)) for _, body in receiver.posts] == [100] * webhook.FINAL_TRIES + [50]
    assert poster.lost() == 100


def test_the_proxy_of_the_environment_is_not_used(
    receiver: Receiver, post: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    post(1)
    assert len(receiver.posts) == 1


def test_the_oldest_events_are_dropped_while_it_is_slow(
    receiver: Receiver, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "MAX_WAITING", 50)
    receiver.gate.clear()
    poster = Poster(Target(receiver.url, SECRET))
    poster.put(b'{"n":0}')
    thread = threading.Thread(target=poster.run, args=(lambda _: None,))
    thread.start()
    wait_until(lambda: receiver.posts, "the first post")
    for n in range(1, 200):
        poster.put(b'{"n":%d}' % n)
    receiver.gate.set()
    poster.end()
    thread.join()
    assert [event["n"] for event in receiver.accepted()] == [0, *range(150, 200)]
    assert poster.lost() == 150


def test_the_process_posts_and_ends(receiver: Receiver) -> None:
    made = Webhook(Target(receiver.url, SECRET))
    for n in range(10):
        made.send(b'{"n":%d}' % n)
    made.flush()
    assert made.close(patient=True) == ""
    assert [event["n"] for event in receiver.accepted()] == list(range(10))


def test_a_receiver_that_hangs_holds_up_neither_events_nor_the_end(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.gate.clear()
    made = Webhook(Target(receiver.url, SECRET))
    began = time.monotonic()
    for n in range(30_000):
        made.send(b'{"n":%d,"x":"%b"}' % (n, b"x" * 100))
        made.flush()
    assert time.monotonic() - began < 10
    wait_until(lambda: receiver.posts, "the first post")
    began = time.monotonic()
    made.close(patient=True)
    assert time.monotonic() - began < 2 * webhook.LAST_SECONDS + 2
    assert "events were not posted" in capfd.readouterr().err


def test_the_process_that_is_killed_takes_nothing_with_it(receiver: Receiver) -> None:
    made = Webhook(Target(receiver.url, SECRET))
    made._process.kill()
    made._process.wait()
    made.send(b'{"n":1}')
    made.flush()
    assert made.close(patient=True) == "--webhook: 2 events were not posted: its process did not take them"


def test_a_key_is_needed() -> None:
    settings = Settings(webhook="https://example.org/hook")
    assert target_of(Settings(), {}) is None
    assert target_of(settings, {KEY: "k"}) == Target("https://example.org/hook", "k")
    with pytest.raises(UsageError, match=f"environment variable {KEY}"):
        target_of(settings, {})


@pytest.mark.parametrize(
    "url",
    ["example.org", "ftp://example.org/", "https://u:p@example.org/", "https://x/a b", "https://x:99999/", "http://"],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="the value cannot be used"):
        parse("webhook", url)
