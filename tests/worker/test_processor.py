"""What a worker's watch says while a page is handled: the pool kills by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from crawler.fetch.fetcher import Headers, Response
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Lease
from crawler.frontier.originals import Originals
from crawler.frontier.redis.connection import Connection
from crawler.record import Entry, Request
from crawler.settings import Settings
from crawler.url import Form
from crawler.worker.context import Callbacks
from crawler.worker.link_filter import LinkFilter
from crawler.worker.options import plan_of
from crawler.worker.outcome import LeasedPage
from crawler.worker.processor import Processor
from crawler.worker.watchdog import Watchdog


@pytest.mark.parametrize("answer", ["page", "skimmed", "redirect"])
def test_waiting_for_redis_is_no_hang(
    answer: str, redis_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page whose links have to be asked about is in stage `redis` meanwhile, which is never killed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    watch = Watchdog.create("generation", "machine-1-00000001")
    stages = []

    def is_root(candidates: Sequence[str]) -> list[bool]:
        stages.append(watch.look().stage)
        return [True] * len(candidates)

    plan = plan_of(Settings(store=("meta" if answer == "skimmed" else "text",)))
    frontier = Frontier(Connection(redis_url), "default", Identity("generation", b"salt", Form()))
    handler = Processor(
        Originals(frontier), LinkFilter(plan.scope, is_root, accepted=is_root), plan, Callbacks(enter=watch.enter)
    )
    host, raw = Request("http://a.example/").place()
    held = LeasedPage(Lease("t:1", "P", host, raw, 0, 0, "", 0.0), Entry.decode(host, raw), "1")
    if answer != "redirect":
        body = b"<head><title>a title</title></head><a href=//b.example/>"
        response = Response("http://a.example/", 200, Headers([("content-type", "text/html")]), body)
    else:
        response = Response("http://a.example/", 301, Headers([("location", "http://b.example/")]))
    watch.enter("handle", "t:1")
    pending = cast(Any, handler).handle(held, response, forgiving=False)
    assert stages == ["redis"]
    assert (watch.look().stage, watch.look().token) == ("handle", "t:1")
    assert list(pending.urls) == ([] if answer == "skimmed" else ["http://b.example/"])
    watch.remove()
