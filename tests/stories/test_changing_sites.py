"""A site that changes between two visits: each change is reported once, whatever its servers say, and whatever dies."""

from __future__ import annotations

import pytest

from benchmarks.changing_site import KINDS, Kind
from benchmarks.visits import SETTINGS, play

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("setting", ["three shards", "kill -9"])
def test_each_change_is_reported_once(kind: Kind, setting: str) -> None:
    """420 pages, of which some change, some only in their footer, are gone, moved or new."""
    played = play(kind, SETTINGS[setting], 420)
    assert played.wrong == []
    assert played.first.hits.requests >= 400
    if kind in ("etag", "weak", "modified"):
        assert played.second.hits.statuses[304] >= 350
