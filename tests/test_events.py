"""Events and URLs that ended: one line of JSON for programs, one sentence for people."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from crawler.events import EVENTS, MAX_ERROR, Ended, Event, cut, encoded, stamp

ENDED: Final[dict[str, Any]] = {
    "time": "2026-01-02T03:04:05.678Z",
    "url": "https://a.example/x",
    "host": "a.example",
    "outcome": "fetched",
    "attempt": 1,
    "worker": "w",
}
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "worker-started": {"worker": "w", "pid": 7},
    "worker-died": {"worker": "w", "pid": 7, "error": "was killed by SIGKILL"},
    "host-failing": {"host": "a.example", "trouble": "503 Service Unavailable"},
    "host-recovered": {"host": "a.example"},
    "redis-away": {"error": "it does not answer"},
    "redis-back": {},
    "setting-changed": {"setting": "delay", "before": "1s", "after": "2s"},
    "trap-found": {"template": "a.example/p#"},
    "hook-failed": {"url": "https://a.example/x", "error": "hook: KeyError"},
}


def test_a_time_has_milliseconds_and_is_in_utc() -> None:
    assert stamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert stamp(1_767_322_245.6789) == "2026-01-02T02:50:45.678Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp())


def test_unknown_values_are_left_out() -> None:
    assert json.loads(encoded(Ended(**ENDED))) == ENDED
    more: dict[str, Any] = {"status": 200, "elapsed_ms": 0, "bytes": 0, "error": "x"}
    assert json.loads(encoded(Ended(**ENDED, **more))) == ENDED | more


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "fetched https://a.example/x"),
        ({"status": 200, "elapsed_ms": 12, "bytes": 3456}, "fetched 200 https://a.example/x (12 ms, 3,456 bytes)"),
        (
            {"outcome": "failed:timeout", "attempt": 3, "error": "no answer"},
            "failed:timeout https://a.example/x (attempt 3): no answer",
        ),
    ],
)
def test_an_ended_url_as_a_sentence(facts: dict[str, Any], text: str) -> None:
    assert str(Ended(**ENDED | facts)) == text


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_has_a_sentence_that_shows_its_facts(name: str) -> None:
    facts: dict[str, Any] = EXAMPLES[name]
    more: dict[str, Any] = {"elapsed_ms": 1500} if name in ("host-recovered", "redis-back") else {}
    text = str(Event(**{"time": stamp(), "event": name, "worker": "w"} | facts | more))
    assert name not in text
    assert all(str(value) in text for value in facts.values()), text
    assert "1.5 s" in text or not more


def test_what_a_site_wrote_cannot_control_a_terminal() -> None:
    line = encoded(Ended(**ENDED | {"error": "\x1b[2J\u202e\n"}))
    assert line.isascii() and b"\n" not in line and b"\x1b" not in line
    assert json.loads(line)["error"] == "\x1b[2J\u202e\n"


def test_a_long_text_is_cut() -> None:
    assert cut("x" * MAX_ERROR) == "x" * MAX_ERROR
    assert len(cut("x" * MAX_ERROR + "x")) == MAX_ERROR
