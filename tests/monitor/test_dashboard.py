"""The dashboard: what it shows, what it does, and whom it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Final

import pytest

from crawler.crawl.session import Session
from crawler.frontier.status import Status
from crawler.monitor.dashboard.access import ACTION_HEADER, Access
from crawler.monitor.dashboard.feed import History
from crawler.monitor.watched import Watched
from crawler.record import Record, Request
from crawler.settings import Settings
from tests.monitor.crawls import HOSTILE, client_of, end, open_session
from tests.monitor.dashboards import Served, served
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import wait_until

DATA = ("/session", "/events", "/api/hosts", "/api/failures", "/api/workers", "/api/settings", "/api/url?url=http://a/")
ACTIONS = ("pause", "resume", "set", "block", "unblock", "retry")


@pytest.fixture
def session(redis_url: str) -> Iterator[Session]:
    with open_session(redis_url) as made:
        yield made


@pytest.fixture
def dashboard(session: Session) -> Iterator[Served]:
    with served(session, metrics_token="m-token") as made:
        yield made


@pytest.fixture
def inside(dashboard: Served) -> Served:
    """One with a session."""
    assert dashboard.enter().status == 200
    return dashboard


# -- who may look, and who may act -------------------------------------------------------------------------------------


def test_the_address_works_once(dashboard: Served) -> None:
    first = dashboard.enter()
    assert first.status == 200
    assert {part.strip() for part in first.headers["set-cookie"].split(";")[1:]} == {
        *("HttpOnly", "Path=/", "SameSite=strict"),
    }
    assert dashboard.enter().status == 401
    assert dashboard.get("/session") == {"action_token": dashboard.token}


def test_a_wrong_token_opens_nothing_and_does_not_spend_the_right_one(dashboard: Served) -> None:
    for token in ("", "x", "\xe9"):
        headers = {"Origin": dashboard.access.origin, ACTION_HEADER: token}
        assert dashboard.ask("POST", "/session", headers).status == 401
    assert dashboard.enter().status == 200


def test_without_the_session_nothing_is_shown(inside: Served) -> None:
    name = inside.cookie.partition("=")[0]
    for path in DATA:
        for cookie in ("", f"{name}=", f"{name}=x", inside.cookie.replace(name, "crawler-1")):
            answer = inside.ask("GET", path, {"Cookie": cookie})
            assert (path, cookie, answer.status, list(answer.json)) == (path, cookie, 401, ["error"])


def test_another_host_is_refused(inside: Served) -> None:
    port = inside.port
    hosts = ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil.example:{port}", "")
    for host in hosts:
        for path in ("/", "/app.js", "/metrics", "/events", "/api/hosts"):
            answer = inside.ask("GET", path, {"Cookie": inside.cookie, "Host": host})
            assert (host, path, answer.status) == (host, path, 421)
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert inside.ask("GET", "/", {"Host": f"{name}:{port}"}).status == 200


def _evil(origin: str) -> Callable[[Served], dict[str, str]]:
    return lambda inside: inside.own | {"Origin": origin.replace("PORT", str(inside.port))}


def _without(header: str) -> Callable[[Served], dict[str, str]]:
    return lambda inside: {name: value for name, value in inside.own.items() if name != header}


REFUSED: Final[list[tuple[Callable[[Served], dict[str, str]], int]]] = [
    (_evil("http://evil.example"), 403),
    (_evil("http://localhost:PORT"), 403),
    (_evil("https://127.0.0.1:PORT"), 403),
    (_evil("null"), 403),
    (_evil(""), 403),
    (_without("Origin"), 403),
    (_without(ACTION_HEADER), 403),
    (lambda inside: inside.own | {ACTION_HEADER: "x"}, 403),
    (lambda inside: inside.own | {ACTION_HEADER: inside.cookie.partition("=")[2]}, 403),
    (_without("Cookie"), 401),
    (lambda inside: inside.own | {"Host": "evil.example", "Origin": "http://evil.example"}, 421),
    (lambda inside: inside.own | {"Content-Type": "text/plain"}, 415),
    (lambda inside: inside.own | {"Content-Type": "application/x-www-form-urlencoded"}, 415),
]


def test_who_may_not_act(inside: Served, session: Session) -> None:
    for number, (headers, status) in enumerate(REFUSED):
        for action in ACTIONS:
            answer = inside.ask("POST", f"/api/do/{action}", headers(inside), "{}")
            assert (number, action, answer.status) == (number, action, status)
    assert session.find().state().word == "empty"


def test_only_post_acts(inside: Served, session: Session) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for action in ACTIONS:
            assert inside.ask(method, f"/api/do/{action}", inside.own, "{}").status == 405
    assert session.find().state().word == "empty"


NOT_TAKEN: Final = [
    ("pause", b"", 400),
    ("pause", b"[]", 400),
    ("pause", b'{"x": "y"}', 400),
    ("pause", b"[" * 10_000, 400),
    ("pause", b'{"x": "' + b"y" * 20_000 + b'"}', 413),
    ("delete", b"{}", 400),
    ("__class__", b"{}", 400),
    ("set", b'{"name": "delay"}', 400),
    ("set", b'{"name": "delay", "value": "fast"}', 400),
    ("set", b'{"name": "exclude", "value": ".*"}', 400),
    ("set", b'{"name": "allow-private", "value": "yes"}', 400),
    ("set", b'{"name": "insecure", "value": "yes"}', 400),
    ("set", b'{"name": "hook", "value": "os:system"}', 400),
    ("set", b'{"name": "folder", "value": "/"}', 400),
    ("set", b'{"name": "scope", "value": "all"}', 400),
    ("block", b'{"host": "a/b"}', 400),
    ("block", b'{"host": "*"}', 400),
    ("retry", b'{"outcome": "fetched"}', 400),
]


def test_what_an_action_does_not_take(inside: Served, session: Session) -> None:
    before = session.find().crawldb.settings()
    for action, body, status in NOT_TAKEN:
        answer = inside.ask("POST", f"/api/do/{action}", inside.own, body)
        assert (action, body[:60], answer.status, list(answer.json)) == (action, body[:60], status, ["error"])
    assert session.find().crawldb.settings() == before


def test_no_path_leads_to_a_file(inside: Served) -> None:
    names = ("dashboard.js", "api/do/", "docs", "app.js/..", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/evil")
    for name in names:
        answer = inside.ask("GET", f"/{name}", {"Cookie": inside.cookie})
        assert (name, answer.status in (404, 405), b"root:" in answer.body) == (name, True, False)


def test_every_answer_forbids_scripts_of_others_and_frames(inside: Served) -> None:
    paths = ("/", "/app.js", "/style.css", "/none", "/api/hosts")
    answers = [
        *(inside.ask("GET", path, {"Cookie": inside.cookie}) for path in paths),
        inside.ask("GET", "/", {"Host": "evil.example"}),
        inside.ask("POST", "/api/do/pause"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def test_metrics_need_their_own_token(inside: Served) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "m-token"}, {"Cookie": inside.cookie}):
        assert inside.ask("GET", "/metrics", headers).status == 401
    answer = inside.ask("GET", "/metrics", {"Authorization": "Bearer m-token"})
    assert (answer.status, b'crawler_up{crawl="default"} 1.0' in answer.body) == (200, True)


def test_without_a_metrics_token_nobody_reads_them(session: Session) -> None:
    with served(session) as made:
        assert made.ask("GET", "/metrics", {"Authorization": "Bearer "}).status == 401


def test_where_it_listens_on_all_addresses_an_address_is_a_name_and_a_foreign_name_is_none() -> None:
    access = Access("0.0.0.0", 8000)
    assert all(map(access.is_host, ("192.0.2.7:8000", "[2001:db8::1]:8000", "localhost:8000")))
    assert not any(map(access.is_host, ("evil.example:8000", "192.0.2.7", "192.0.2.7:1", "192.0.2.7.evil:8000", "")))
    named = Access("crawler.example", 443, tls=True)
    assert (named.is_host("crawler.example"), named.is_host("127.0.0.1")) == (True, False)
    assert named.is_own("https://crawler.example", "crawler.example")


# -- what it shows -----------------------------------------------------------------------------------------------------


def test_what_became_of_the_crawl(inside: Served, session: Session) -> None:
    error = f"{HOSTILE}\u202e"
    pages = [Record(url=f"http://a.example/{n}", outcome="fetched", depth=0, status=200, size=1) for n in range(3)]
    lost = [
        Record(url=f"http://b.example/{n}", outcome="failed:http", depth=0, status=503, error=error) for n in range(2)
    ]
    end(session, [*pages, *lost])
    hosts = inside.get("/api/hosts?sort=name")
    assert [(row["host"], row["done"]) for row in hosts["rows"]] == [("a.example", 3), ("b.example", 2)]
    failures = inside.get("/api/failures")
    (cause,) = failures["causes"]
    assert (cause["outcome"], cause["urls"], cause["error"]) == ("failed:http", 2, f"{HOSTILE}\ufffd")
    assert [(row["kind"], row["hosts"]) for row in failures["troubles"]] == [("http", 1)]
    assert inside.get("/api/url?url=http://a.example/1")["state"] == "fetched"
    assert inside.ask("GET", "/api/url?url=mailto:x", {"Cookie": inside.cookie}).status == 400
    assert inside.ask("GET", "/api/hosts?sort=__init__", {"Cookie": inside.cookie}).status == 400
    delay = next(row for row in inside.get("/api/settings") if row["name"] == "delay")
    assert (delay["value"], delay["changeable"]) == ("0s", True)
    assert inside.get("/api/workers") == {"total": 0, "rows": []}


def test_events_begin_with_the_curves_and_continue_with_snapshots(inside: Served, session: Session) -> None:
    with inside.events() as events:
        name, curves = next(events)
        assert (name, set(curves)) == ("history", {"at", "rate", "queued", "failed", "failing", "bytes", "redis"})
        assert next(events)[0] == "snapshot"
        client_of(session).put([Request("http://a.example/")])
        assert any(value["queued"] == 1 for name, value in events if name == "snapshot")


def test_twenty_who_watch_share_one_snapshot(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Watched] = []
    look = Watched.look

    def counted(watched: Watched) -> Status:
        looks.append(watched)
        return look(watched)

    monkeypatch.setattr(Watched, "look", counted)
    with served(session) as made, ExitStack() as stack:
        made.enter()
        readers = [stack.enter_context(made.events()) for _ in range(20)]
        seen = [[next(reader)[1] for _ in range(4)][-1]["point"]["at"] for reader in readers]
        assert len(set(seen)) <= 2
        assert len(looks) <= 10


def test_while_redis_is_away_it_says_so_and_returns(redis_server: PrivateRedis, session: Session) -> None:
    with served(session) as made:
        made.enter()
        with made.events() as events:
            assert any(name == "snapshot" for name, _ in events)
            redis_server.kill()
            assert any(name == "away" and value["error"] for name, value in events)
            assert made.ask("GET", "/api/hosts", {"Cookie": made.cookie}).status == 503
            redis_server.start()
            assert any(name in ("snapshot", "away") for name, value in events)
            session.create_or_join()
            assert any(name == "snapshot" for name, _ in events)


def test_curves_have_few_points_however_long_it_runs() -> None:
    history = History()
    for n in range(10_000):
        history.add((float(n), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    at = history.columns()["at"]
    assert 300 <= len(at) <= 600
    assert at[0] == 0.0
    assert at[-1] > 9_900
    assert len({later - earlier for earlier, later in pairwise(at)}) == 1


# -- what it does ------------------------------------------------------------------------------------------------------


def test_pause_and_resume(inside: Served, session: Session) -> None:
    client_of(session).put([Request("http://a.example/")])
    assert inside.do("pause").status == 200
    assert session.find().state().word == "paused"
    assert inside.do("resume").status == 200
    assert session.find().state().word == "waiting"


def test_set_changes_a_setting(inside: Served, session: Session) -> None:
    assert inside.do("set", name="delay", value="2s").json["said"].startswith("delay is 2s")
    assert Settings().with_stored(session.find().crawldb.settings()).delay == 2.0


def test_block_and_unblock(inside: Served, session: Session) -> None:
    client_of(session).put([Request("http://a.example/"), Request("http://b.example/")])
    assert inside.do("block", host="A.example").json["said"] == "a.example is blocked, 1 URLs are held"
    assert [row["host"] for row in inside.get("/api/hosts?of=blocked")["rows"]] == ["a.example"]
    assert session.find().state().held == 1
    inside.do("unblock", host="a.example")
    assert inside.get("/api/hosts?of=blocked")["rows"] == []
    assert session.find().state().held == 0


def test_retry_queues_what_failed_so_and_nothing_else(inside: Served, session: Session) -> None:
    end(
        session,
        [
            Record(url="http://a.example/1", outcome="failed:http", depth=0, status=500, error="x"),
            Record(url="http://b.example/1", outcome="failed:http", depth=0, status=500, error="x"),
            Record(url="http://a.example/2", outcome="failed:timeout", depth=0, error="x"),
        ],
    )
    assert inside.do("retry", outcome="failed:http", host="a.example").json["said"] == "1 URLs are queued again"
    assert session.find().state().queued == 1
    assert inside.do("retry", outcome="failed:http").json["said"] == "1 URLs are queued again"
    assert session.find().state().ended == 1


def test_a_crawl_that_is_deleted_is_an_answer(inside: Served, session: Session) -> None:
    session.delete()
    answer = inside.do("pause")
    assert (answer.status, list(answer.json)) == (404, ["error"])
    wait_until(lambda: inside.ask("GET", "/api/hosts", {"Cookie": inside.cookie}).status == 404, "the crawl is gone")
    assert json.loads(answer.body)["error"]
