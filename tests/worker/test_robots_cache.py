"""The rules that a worker remembers: bounded, and always those of the leases at hand."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.frontier.crawldb import Hosts
from crawler.frontier.messages import Lease
from crawler.worker.robots_cache import RobotsCache

TEXT = b"User-agent: *\n" + b"".join(b"Disallow: /%d\n" % n for n in range(100))


class Stored(Hosts):
    """Hosts of which every origin has the same robots.txt; counts for how many it is asked."""

    def __init__(self) -> None:
        super().__init__(())
        self.asked = 0

    def robots(self, origins: Sequence[str]) -> list[bytes | None]:
        self.asked += len(origins)
        return [TEXT for _ in origins]


def _leases(first: int, n: int) -> list[Lease]:
    raw = bytes(3) + b"\x01" + bytes(8) + b"/7"
    return [Lease(f"t{k}", "P", f"h{k}.example", raw, 1, 0, "", 0.0) for k in range(first, first + n)]


def test_what_is_remembered_is_bounded() -> None:
    """Of a size, about: 14 bytes for each of a text, as was measured, and some for each origin."""
    stored = Stored()
    rules = RobotsCache(stored, "ourbot", 20 * (14 * len(TEXT) + 500))
    for first in range(0, 200, 4):
        leases = _leases(first, 4)
        rules.learn(leases)
        assert all(rules.knows(lease) and not rules.allows(lease, f"https://{lease.host}/7") for lease in leases)
        assert len(rules._rules) <= 24
    assert stored.asked == 200
    rules.learn(_leases(196, 4))
    assert stored.asked == 200


def test_without_any_room_the_rules_at_hand_are_known() -> None:
    rules = RobotsCache(Stored(), "ourbot", 0)
    for first in (0, 5, 0):
        leases = _leases(first, 5)
        rules.learn(leases)
        assert all(rules.knows(lease) for lease in leases)
