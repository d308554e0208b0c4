"""A crawl in Redis to look at: its URLs have ended as a test says, and no worker runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.config import load
from crawler.crawl.session import Session
from crawler.frontier.messages import Commit
from crawler.record import Record, Request
from crawler.worker.visit import state_of
from tests.frontier.client import Client

HOSTILE = "<script>alert(1)</script>"


def open_session(redis_url: str, **settings: object) -> Session:
    """A session as a command has one; the caller closes it. A crawl without delay and robots.txt is there."""
    given = {"redis": redis_url, "delay": 0.0, "ignore_robots": True, "per_host": 1000, **settings}
    session = Session(load(given, {}), lambda text: None)
    session.__enter__()
    session.create_or_join()
    return session


def client_of(session: Session) -> Client:
    """The crawl's verbs."""
    return Client.of(session.find())


def end(session: Session, records: Sequence[Record], **options: str) -> None:
    """Each URL of *records* is accepted, leased, and ends with its record."""
    client = client_of(session)
    client.put([Request(record.url) for record in records])
    by_url = {record.url: record for record in records}
    while leases := client.lease(500, 90.0, "tests", None).leases:
        for lease in leases:
            record = by_url[lease.entry().request.url]
            made: Any = {**_event(record), **options}
            state = state_of(lease.entry().request, lease.token, record)
            client.commit(Commit(lease, client.frontier.id(record.url), state, record.encode(), **made))


def _event(record: Record) -> dict[str, object]:
    tallies = {"bytes": record.size or 0, f"status:{record.status}": 1} if record.status else {}
    if record.outcome.startswith("failed:"):
        return {
            "event": "fail",
            "trouble": f"{record.outcome.removeprefix('failed:')} {record.error}",
            "tallies": tallies,
        }
    return {"event": "ok", "tallies": tallies}
