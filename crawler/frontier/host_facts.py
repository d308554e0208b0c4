"""What is known of one host, for those who look at it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from crawler.frontier.messages import HostTrouble, Trouble


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The state of a host, and how the rules of the frontier judge it now (see explain.lua)."""

    queued: int
    in_flight: int
    accepted: int
    latency_ms: int
    crawl_delay_ms: int
    """What its robots.txt asks for."""
    backoff_ms: int
    rest_ms: int
    """Until it is due."""
    failing_ms: int
    """Since it began to fail; 0 if it does not, or was given up at once."""
    delay_ms: int
    """Between two requests to it."""
    trouble: Trouble = ""
    waits: Literal["", "blocked", "robots", "slot", "due"] = ""
    """Why none of its pages is leased: its robots.txt is requested, all its slots are taken, or it is not due."""
    refusal: str = ""
    """The budget that refuses another link to it, or `blocked`; empty if nothing does."""
    cause: HostTrouble | None = None
    done: int = 0
    """Its URLs that have ended."""
    errors: int = 0
    """Those that failed."""


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host in a list. Times are in milliseconds."""

    host: str
    """Its name, with the port if that is not the one of the scheme."""
    queued: int
    """URLs that wait."""
    in_flight: int
    """URLs that workers have."""
    done: int
    """URLs that have ended."""
    errors: int
    """Those that failed."""
    latency_ms: int
    """Time to the first byte, smoothed."""
    due_in_ms: int
    """Until its next request."""
    delay_ms: int
    """What its robots.txt asks for, at least its own setting or the crawl's."""
    trouble: HostTrouble | None = None
    """What is wrong with it now; None if nothing is."""
    blocked: bool = False
    """It is blocked: none of its URLs is handed out."""

    def to_dict(self) -> dict[str, Any]:
        """The fields for programs, with the words and the kind of the trouble; None if there is none."""
        words, kind = (None, None) if self.trouble is None else (self.trouble.text, self.trouble.kind)
        return asdict(self) | {"trouble": words, "trouble_kind": kind}
