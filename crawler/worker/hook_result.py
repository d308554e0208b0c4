"""What a user's hook may return: data, items, `Request` for further URLs, `Drop`; and how it is read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 254
"""Largest depth of a Request: an entry of a queue has one byte for it, in which 255 stands for any higher number."""
_WHOLE: Final = (dict, str, bytes, bytearray, int, float, bool)
"""Types of results that are stored as they are, though some of them can be iterated."""


class Drop(Exception):
    """Raised or returned by a hook to drop its page: it ends as `dropped:hook`, without content.

    `raise Drop("not about tea")` stores the reason as the record's `error`. The page's links are followed.
    """


class Request:
    """A further URL to crawl. A hook returns it, or puts it among the items that it returns or yields.

    *url* may be relative to the page. It is judged as a link of the page is: by scope, filters, robots.txt, budgets.
    *depth* is its number of links from a seed, from 1 to 254; without it, one more than that of the page. With a
    *priority* above 0 it goes to the front of its host's queue, before all pages that wait there; of several on one
    page the highest goes first.
    """

    __slots__ = ("depth", "priority", "url")

    def __init__(self, url: str, *, depth: int | None = None, priority: int = 0) -> None:
        if not isinstance(url, str):
            raise TypeError(f"Request: the URL must be a str, not {type(url).__name__}")
        if depth is not None and not (isinstance(depth, int) and 1 <= depth <= MAX_DEPTH):
            raise ValueError(f"Request: depth must be a whole number from 1 to {MAX_DEPTH}, not {depth!r}")
        if not (isinstance(priority, int) and priority >= 0):
            raise ValueError(f"Request: priority must be a whole number from 0, not {priority!r}")
        self.url, self.depth, self.priority = url, depth, priority

    def __repr__(self) -> str:
        depth = "" if self.depth is None else f", depth={self.depth}"
        return f"Request({self.url!r}{depth}{f', priority={self.priority}' if self.priority else ''})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Request):
            return NotImplemented
        return (self.url, self.depth, self.priority) == (other.url, other.depth, other.priority)

    def __hash__(self) -> int:
        return hash((self.url, self.depth, self.priority))


class HookResult(msgspec.Struct, frozen=True):
    """The result of one call, for the record, the queue and the counters."""

    data: Any = None
    error: str | None = None
    """What the hook raised, and where; or why it dropped the page."""
    is_dropped: bool = False
    requests: tuple[Request, ...] = ()
    """With canonical URLs; those with the highest priority first."""
    tallies: Mapping[str, int] = {}


NOT_CALLED: Final = HookResult()


@dataclass(slots=True)
class Returned:
    """What one call returned, taken apart. What came before an error or a Drop stays."""

    data: Any = None
    requests: list[Request] = field(default_factory=list)

    def take(self, result: Any) -> None:
        """Take a hook's return value apart. Raises Drop if it is one, or contains one.

        A list, tuple, set or generator of dicts becomes `{"items": [...]}`; of anything else, a list.
        """
        if result is None or isinstance(result, _WHOLE):
            self.data = result
        elif isinstance(result, Drop | Request):
            self._take_part(result)
        elif inspect.iscoroutine(result):
            result.close()  # else Python warns about it
            raise TypeError("it returned a coroutine: write a plain function, and asyncio.run() in it")
        else:
            self._take_parts(result)

    def _take_parts(self, result: Any) -> None:
        if not hasattr(result, "__iter__"):
            self.data = result
            return
        items = [part for part in result if not self._take_part(part)]
        if items and all(isinstance(item, dict) for item in items):
            self.data = {"items": items}
        elif items or not self.requests:
            self.data = items

    def _take_part(self, part: Any) -> bool:
        """Whether *part* is no data: a Drop, which is raised, or a Request, which is kept."""
        if isinstance(part, Drop):
            raise part
        if isinstance(part, Request):
            self.requests.append(part)
            return True
        return False
