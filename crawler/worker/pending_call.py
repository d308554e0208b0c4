"""The end of a lease, waiting to be sent to Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from crawler.frontier.messages import Commit, LeaseEnd
from crawler.record import Request


@dataclass(slots=True)
class PendingCall:
    """What ends a lease, and what to remember once Redis has acknowledged it."""

    message: LeaseEnd
    urls: Sequence[str] = ()
    before: list[Sequence[Request]] = field(default_factory=list)
    """Requests that do not fit into one commit: they are put before it."""
    failed: bool = False

    @property
    def token(self) -> str:
        """That of the lease."""
        return self.message.lease.token

    @property
    def ends(self) -> bool:
        """Whether it ends the page; else the page is retried."""
        return isinstance(self.message, Commit)

    @property
    def size(self) -> int:
        """Bytes that were read for the page."""
        return self.message.tallies.get("bytes", 0) if isinstance(self.message, Commit) else 0
