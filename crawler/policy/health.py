"""Whether a failure is a host's, or this machine's own: what a worker may believe of what it sees.

A worker that cannot resolve or connect is the fastest one, so it would end most of a crawl's URLs. So a failure to
resolve or to connect counts for its host only if something shows that this machine is well: an answer of another host
meanwhile, or a canary (a name that is known to exist, an address that answered before) that is asked just now.

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
"""Take a result for what it is; keep it until more is known; or give its lease back, uncharged."""
Trouble = Literal["", "resolver", "network", "shortage", "proxy"]

NAMES_IN_A_ROW: Final = 4
"""Different names that cannot be connected to, none that can: the worker's own trouble, where there is no canary."""
FRESH: Final = 5.0
"""Seconds that what a canary showed holds."""
MAX_WAIT: Final = 2.0
"""Seconds that a failure to connect is kept for others to show whose fault it is."""
LATELY: Final = 60.0
"""Seconds after a connection during which an address without a route is the host's trouble (IPv6, say)."""
MIN_PAUSE: Final = 1.0
MAX_PAUSE: Final = 20.0
"""Seconds until a worker with trouble looks again, doubled each time."""
_CANARIES: Final = 3

WORDS: Final[dict[Trouble, str]] = {
    "resolver": "cannot resolve any name: no name server answers",
    "network": "cannot connect to any host",
    "shortage": "has no file descriptor or memory left: raise `ulimit -n`",
}
"""What to say of a machine with this trouble; of a proxy the failure says it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be asked of canaries: names to resolve, or addresses with their ports to connect to.

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
        """What it showed a moment ago, if anything."""
        if max(self.well_at, self.badly_at) < now - FRESH:
            return None
        return "believe" if self.well_at >= self.badly_at else "give back"


class Health:
    """What one worker has seen; `judge` says what to make of a result, `canary_said` takes a canary's answer."""

    def __init__(self, now: float) -> None:
        self.trouble: Trouble = ""
        self.words = ""
        """What to say of it."""
        self.since = 0.0
        """When it began."""
        self.again_at = 0.0
        """When the worker may look again."""
        self.question: Question | None = None
        """To be asked now."""
        self._born = now
        self._pause = MIN_PAUSE
        self._connected_at = float("-inf")
        self._failing: set[str] = set()
        """Names that could not be connected to since the last connection."""
        self._names: deque[str] = deque(maxlen=_CANARIES)
        self._addresses: deque[tuple[str, int]] = deque(maxlen=_CANARIES)
        """Of hosts that answered this worker, by different names and addresses."""
        self._canaries = {"resolver": _Canary(), "network": _Canary()}

    # -- results -------------------------------------------------------------------------------------------------------

    def judge(
        self, name: str, result: FetchResult, now: float, *, alone: bool, known: Sequence[tuple[str, int]] = ()
    ) -> Fate:
        """What to make of *result*, of the host called *name*; may be asked again for one that had to wait.

        *alone*: nothing else is in flight that could show more. *known*: names (or addresses) and ports of hosts that
        have answered others, or this crawl before.
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
        """A host answered at *address*: both may be canaries later. *name* is empty where it was an address itself."""
        if name and name not in self._names:
            self._names.append(name)
        if address and (address, port) not in self._addresses:
            self._addresses.append((address, port))

    def _unresolved(self, error: FetchError, now: float, known: Sequence[str]) -> Fate:
        """Nobody says that the name does not exist, or a name server does: which counts where there is no canary."""
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
        """A canary was found, or none: whose fault it is that others were not."""
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
        """It is this machine's own: look again later, and later still if that look has shown the same."""
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
