"""Snapshots of crawls for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crawler.frontier.status import Status

_PLAIN = Status(
    crawl="default", state="running", accepted=1500, queued=1200, leased=16, ended=300, sources=0,
    outcomes={"fetched": 280, "missing": 12, "failed:http": 8}, statuses={"200": 280, "404": 12, "503": 8}, refused={},
    bytes=5 << 20, workers=2, silent_workers=0, hosts_waiting=13, wait_ms=0,
    limit="waiting for politeness: 13 hosts, delay 1 s", rate=12.34, redis_bytes=None, redis_limit=None,
    redis_bounded=False, needed_bytes=None, duplicates=0, near_duplicates=0, targets=0,
 documents=0, hook_errors=0,
    hook_failures={}, rules={}, rule_fields={}, rule_errors=0, rule_failures={}, quarantined=[], troubles=[], lacks=[],
    machines=[], stuck_for=0.0, held=0, failing=0, failing_hosts=[], hook_calls=0, lost=0,
    revisited=0, visit=1, found={}, sweep=None, sweeper="",
)  # fmt: skip


def status(**changed: Any) -> Status:
    """The snapshot of a crawl that runs, with some facts *changed*."""
    return replace(_PLAIN, **changed)
