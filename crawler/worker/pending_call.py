"""What ends a lease, on its way to Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from crawler.frontier.redis.connection import Call


@dataclass(slots=True)
class PendingCall:
    """A call that ends a lease, and what is remembered once it is acknowledged."""

    call: Call
    token: str
    urls: Sequence[str] = ()
    before: list[Call] = field(default_factory=list)
    """Puts of the links beyond what one commit takes."""
    ends: bool = False
    """It is the end of a page, not another try."""
    failed: bool = False
    size: int = 0
