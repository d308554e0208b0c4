"""A call that ends a lease, waiting to be sent to Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from crawler.frontier.redis.connection import Call


@dataclass(slots=True)
class PendingCall:
    """A call that ends a lease, and what to remember once Redis has acknowledged it."""

    call: Call
    token: str
    urls: Sequence[str] = ()
    before: list[Call] = field(default_factory=list)
    """Puts for the links that do not fit into one commit."""
    ends: bool = False
    """Whether it ends the page; else the page is retried."""
    failed: bool = False
    size: int = 0
