"""Decides whether a failure is a host's or this machine's own.

A worker that cannot resolve or connect is the fastest one, so it would end most of a crawl's URLs as failed. So a
failure to resolve or to connect counts for its host only if something shows that this machine is well. That is an
answer of another host meanwhile, or a canary: a name known to exist, or an address that answered before, checked now.

Pure: no clock, no I/O. Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from crawler.fetch.fetcher import FetchError, FetchResult, Response
from crawler.url import is_address

Fate = Literal["believe", "wait", "give back"]
"""Accept a result as it is; keep it until more is known; or return its lease without counting an attempt."""
Trouble = Literal["", "resolver", "network", "shortage", "proxy"]

NAMES_IN_A_ROW: Final = 4
"""Without a canary: if this many names, and no other, cannot be connected to, it is this machine's trouble."""
FRESH: Final = 5.0
"""Seconds for which a canary's answer holds."""
MAX_WAIT: Final = 2.0
"""A failure to connect is kept for these seconds, until other results show whose fault it is."""
LATELY: Final = 60.0
"""For these seconds after a connection, an address without a route is the host's fault (IPv6, for example)."""
MIN_PAUSE: Final = 1.0
MAX_PAUSE: Final = 20.0
"""Seconds until a worker in trouble checks again, doubled each time."""
_CANARIES: Final = 3

WORDS: Final[dict[Trouble, str]] = {
    "resolver": "cannot resolve any name: no name server answers",
    "network": "cannot connect to any host",
    "shortage": "has no file descriptor or memory left: raise `ulimit -n`",
}
"""The message for a machine with this trouble; for a proxy the failure itself says it."""


@dataclass(frozen=True, slots=True)
class Question:
    """The question for canaries: names to resolve, or addresses with their ports to connect to.

    Without a name: whether a name server answers at all.
    """

    about: Literal["resolver", "network"]
    names: Sequence[str] = ()
    addresses: Sequence[tuple[str, int]] = ()


@dataclass(slots=True)
class _Canary:
    """When its question was last answered well, and badly."""

    well_at: float = float("-inf")
    badly_at: float = float("-inf")
    asked: bool = False

    def says(self, now: float) -> Fate | None:
        """Its answer, if recent enough to count."""
        if max(self.well_at, self.badly_at) < now - FRESH:
            return None
        return "believe" if self.well_at >= self.badly_at else "give back"


class Health:
    """What one worker has seen. `judge` decides what to do with a result, `canary_said` takes a canary's answer."""

    def __init__(self, now: float) -> None:
        self.trouble: Trouble = ""
        self.words = ""
        """The message about it."""
        self.since = 0.0
        """When it began."""
        self.again_at = 0.0
        """When the worker may check again."""
        self.question: Question | None = None
        """The question to ask now."""
        self._born = now
        self._pause = MIN_PAUSE
        self._connected_at = float("-inf")
        self._failing: set[str] = set()
        """Names that could not be connected to since the last connection."""
        self._names: deque[str] = deque(maxlen=_CANARIES)
        self._addresses: deque[tuple[str, int]] = deque(maxlen=_CANARIES)
        """Of hosts that answered this worker, with different names and addresses."""
        self._canaries = {"resolver": _Canary(), "network": _Canary()}

    # -- results -------------------------------------------------------------------------------------------------------

    def judge(
        self, name: str, result: FetchResult, now: float, *, alone: bool, known: Sequence[tuple[str, int]] = ()
    ) -> Fate:
        """Decide what to do with *result*, of the host called *name*; ask again for one that had to wait.

        *alone*: nothing else is in flight that could show more. *known*: names (or addresses) and ports of hosts that
        have answered other workers, or this crawl before.
        """
        if isinstance(result, Response):
            self._connected(now)
            return "believe"
        if result.lack in ("proxy", "shortage"):
            return self._own(result.lack, result, now)
        if result.kind == "dns" or result.lack == "resolver":
            return self._unresolved(result, now, [host for host, _ in known if not is_address(host)])
        if result.kind in ("refused", "expired"):
            return "believe"
        if result.sent:
            self._connected(now)
            return "believe"
        if result.kind not in ("connect", "timeout"):
            return "believe"
        return self._unconnected(name, result, now, alone, known)

    def remember(self, name: str, address: str, port: int) -> None:
        """A host answered at *address*: both may be canaries later. *name* is empty if it was an address itself."""
        if name and name not in self._names:
            self._names.append(name)
        if address and (address, port) not in self._addresses:
            self._addresses.append((address, port))

    def _unresolved(self, error: FetchError, now: float, known: Sequence[str]) -> Fate:
        """No server says that the name does not exist, or one does: that decides if there is no canary."""
        canary = self._canaries["resolver"]
        said = canary.says(now)
        names = tuple(self._names) or tuple(known[:_CANARIES])
        if said is None and (names or error.lack):
            self._ask(Question("resolver", names=names))
            return "wait"
        if said == "give back":
            return self._own("resolver", error, now)
        if self.trouble == "resolver":
            self._recovered()
        return "believe"

    @property
    def has_addresses(self) -> bool:
        """Whether hosts have answered this worker."""
        return bool(self._addresses)

    def _unconnected(
        self, name: str, error: FetchError, now: float, alone: bool, known: Sequence[tuple[str, int]]
    ) -> Fate:
        began = error.ended - error.elapsed
        if self._connected_at >= min(began, now - FRESH):
            return "believe"
        others = [(address, port) for address, port in self._addresses or known if address != name][:_CANARIES]
        if error.lack == "network" and not others and self._connected_at < now - LATELY:
            return self._own("network", error, now)
        self._failing.add(name)
        said = self._canaries["network"].says(now)
        if said is None and others:
            self._ask(Question("network", addresses=others))
            return "wait"
        if said is None and len(self._failing) < NAMES_IN_A_ROW:
            might_be_seen = not alone or now - self._born < FRESH
            return "wait" if might_be_seen and now - error.ended < MAX_WAIT else "believe"
        return self._own("network", error, now) if said != "believe" else "believe"

    def _ask(self, question: Question) -> None:
        canary = self._canaries[question.about]
        if not canary.asked:
            canary.asked, self.question = True, question

    def canary_said(self, about: Literal["resolver", "network"], well: bool, now: float) -> None:
        """A canary answered, or none did: that decides whose fault the other failures were."""
        canary = self._canaries[about]
        canary.asked = False
        if well:
            canary.well_at = now
            if self.trouble == about:
                self._recovered()
        else:
            canary.badly_at = now

    # -- the trouble ---------------------------------------------------------------------------------------------------

    def _own(self, trouble: Trouble, error: FetchError, now: float) -> Fate:
        """It is this machine's trouble: check again later, and later still if that check showed the same."""
        if not self.trouble:
            self.since, self._pause, self.again_at = now, MIN_PAUSE, now + MIN_PAUSE
        elif error.ended - error.elapsed >= self.again_at:
            self._pause = min(self._pause * 2, MAX_PAUSE)
            self.again_at = now + self._pause
        self.trouble = trouble
        self.words = WORDS.get(trouble) or error.detail
        return "give back"

    def _connected(self, now: float) -> None:
        self._connected_at = now
        if self._failing:
            self._failing.clear()
        if self.trouble:
            self._recovered()

    def _recovered(self) -> None:
        self.trouble, self.words = "", ""
