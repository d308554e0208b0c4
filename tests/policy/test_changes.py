"""What a visit has found: words, states, and that whoever follows the changes has what the site has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.policy.changes import Finding, compare
from crawler.record import CHANGES
from crawler.url_state import UrlState

URL = "http://a.example/p"


def visit(outcome: str = "fetched", *, at: int = 1000, **fields: Any) -> UrlState:
    """A visit as if it were the first one."""
    good = {"changed_at": at} if fields.get("digest") else {}
    return UrlState(url=URL, outcome=outcome, first_seen=at, checked_at=at, **{**good, **fields})


def page(digest: int = 1, text: int | None = 10, *, at: int = 1000, **fields: Any) -> UrlState:
    return visit(at=at, status=200, digest=digest, text_digest=text, text_method=0 if text is None else 1, **fields)


def missing(at: int = 1000) -> UrlState:
    return visit("missing", at=at, status=404)


def moved(target: str = "7", at: int = 1000) -> UrlState:
    return visit("redirected", at=at, status=301, target=target)


def failed(at: int = 1000, outcome: str = "failed:timeout") -> UrlState:
    return visit(outcome, at=at)


def after(*visits: UrlState) -> Finding:
    """What the last of *visits* finds."""
    finding = compare(None, visits[0])
    for one in visits[1:]:
        finding = compare(finding.state, one)
    return finding


@pytest.mark.parametrize(
    ("visits", "word"),
    [
        ([page()], "new"),
        ([missing()], None),
        ([moved()], None),
        ([failed()], "failed"),
        ([visit("dropped:type", status=200)], None),
        ([page(), page()], "unchanged"),
        ([page(1, 10), page(2, 11)], "changed"),
        ([page(1, 10), page(2, 10)], "boilerplate"),
        ([page(1, None), page(2, 10)], "changed"),
        ([page(1, 10), page(2, None)], "changed"),
        ([page(1, 10), visit(digest=2, text_digest=10, text_method=2)], "changed"),
        ([page(), missing()], "gone"),
        ([page(), visit("dropped:noindex", status=200)], "gone"),
        ([page(), missing(), missing()], "unchanged"),
        ([page(), missing(), visit("dropped:noindex", status=200)], "gone"),
        ([page(), moved()], "moved"),
        ([page(), moved("7"), moved("7")], "unchanged"),
        ([page(), moved("7"), moved("8")], "moved"),
        ([page(), missing(), moved()], "moved"),
        ([page(), moved(), missing()], "gone"),
        ([page(), missing(), page()], "back"),
        ([page(), moved(), page(2, 11)], "back"),
        ([page(), missing(), failed(), missing()], "unchanged"),
        ([page(), moved("7"), failed(), moved("7")], "unchanged"),
        ([page(), missing(), failed(), page()], "back"),
        ([page(), failed(), missing()], "gone"),
        ([page(), failed()], "failed"),
        ([page(), visit("denied", status=403)], "failed"),
        ([page(), visit("dropped:robots")], "failed"),
        ([page(), failed(), page()], "unchanged"),
        ([page(1, 10), failed(), page(2, 11)], "changed"),
        ([missing(), missing()], "unchanged"),
        ([missing(), page()], "new"),
        ([moved("7"), moved("8")], None),
        ([failed(), failed()], "failed"),
        ([failed(), page()], "new"),
    ],
)
def test_each_visit_has_its_word(visits: list[UrlState], word: str | None) -> None:
    assert after(*visits).word == word


def test_an_answer_that_nothing_was_modified_is_compared_like_the_same_page() -> None:
    first = compare(None, page(etag='"a"', similarity=5)).state
    same = compare(first, visit(at=2000, status=304, etag='"b"'), not_modified=True)
    assert (same.word, same.state.digest, same.state.text_digest, same.state.similarity) == ("unchanged", 1, 10, 5)
    assert (same.state.etag, same.state.checked_at, same.state.changed_at, same.state.visits) == ('"b"', 2000, 1000, 2)
    gone = compare(same.state, missing(3000)).state
    back = compare(gone, visit(at=4000, status=304), not_modified=True)
    assert (back.word, back.state.digest, back.state.is_gone, back.state.changed_at) == ("back", 1, False, 4000)


def test_a_failed_visit_leaves_what_the_last_good_answer_left() -> None:
    good = compare(None, page(etag='"a"', last_modified=9, similarity=5, at=1000)).state
    found = compare(good, failed(2000))
    kept = ("digest", "text_digest", "text_method", "etag", "last_modified", "similarity", "changed_at", "changes")
    assert [getattr(found.state, name) for name in kept] == [getattr(good, name) for name in kept]
    assert (found.state.outcome, found.state.checked_at, found.state.visits, found.keeps) == (
        *("failed:timeout", 2000, 2),
        True,
    )
    assert compare(good, missing(2000)).state.etag == '"a"'
    assert compare(compare(good, missing(2000)).state, failed(3000)).keeps  # what says that it is gone stays
    assert not compare(compare(None, missing()).state, failed(2000)).keeps


def test_a_page_whose_text_changed_remembers_the_text_before() -> None:
    text = compare(compare(None, page(1, 10)).state, page(2, 11)).state
    assert (text.previous_text_digest, text.text_digest) == (10, 11)
    assert compare(text, page(3, 11)).state.previous_text_digest == 10


def test_the_schedule_learns_of_changes_of_the_text_alone() -> None:
    seen: list[tuple[int, bool]] = []

    def reschedule(before: int, changed: bool) -> int:
        seen.append((before, changed))
        return len(seen)

    state = compare(None, page(1, 10), reschedule=reschedule).state
    for one in (page(1, 10), page(2, 10), page(3, 11), failed(), missing(), page(4, 12)):
        state = compare(state, one, reschedule=reschedule).state
    assert seen == [(0, False), (1, False), (2, True), (3, False), (4, True)]
    assert state.interval == 5


# -- whatever a site does ----------------------------------------------------------------------------------------------


@dataclass
class Follower:
    """Keeps a copy of one page in step, by the records with a change alone."""

    copy: tuple[str, object] | None = None
    records: int = 0
    words: set[str] = field(default_factory=set)

    def follow(self, finding: Finding) -> None:
        state = finding.state
        assert not (finding.change and (finding.is_unchanged or finding.keeps))
        if finding.change is None:
            return
        self.words.add(finding.change)
        self.records += 1
        is_there = finding.change not in ("gone", "moved")
        self.copy = ("page", state.digest) if is_there else (finding.change, state.target)


def _visits() -> st.SearchStrategy[UrlState]:
    return st.one_of(
        st.builds(page, st.integers(1, 3), st.sampled_from([None, 10, 11])),
        st.builds(missing),
        st.builds(moved, st.sampled_from("78")),
        st.builds(failed, outcome=st.sampled_from(["failed:http", "denied", "dropped:robots", "dropped:type"])),
        st.just(visit("dropped:noindex", status=200)),
    )


@given(st.lists(_visits(), min_size=1, max_size=30))
def test_whoever_follows_the_changes_has_what_the_site_has(visits: list[UrlState]) -> None:
    follower = Follower()
    state: UrlState | None = None
    good = 0
    answered: UrlState | None = None
    for n, one in enumerate(visits):
        finding = compare(state, _at(one, n))
        assert finding.change is None or finding.change in CHANGES
        before, state = state, finding.state
        follower.follow(finding)
        good = one.digest or good
        if one.outcome in ("fetched", "missing", "redirected", "dropped:noindex"):
            answered = one
        assert (state.visits, state.checked_at, state.first_seen) == (n + 1, n, 0)
        assert state.outcome == one.outcome
        assert state.digest == good
        assert state.is_gone == bool(good and answered is not None and not answered.digest)
        assert finding.change is None or state.changed_at == n
        assert state.changes == (0 if before is None else before.changes) + (finding.change not in (None, "new"))
        assert UrlState.decode(state.encode()) == state
        if good and answered is not None:
            word = "moved" if answered.outcome == "redirected" else "gone"
            assert follower.copy == (("page", good) if answered.digest else (word, answered.target))
        else:
            assert follower.copy is None


def _at(one: UrlState, at: int) -> UrlState:
    return msgspec.structs.replace(one, first_seen=at, checked_at=at, changed_at=at if one.digest else 0)


@given(st.lists(_visits(), min_size=1, max_size=10))
def test_the_same_visit_again_finds_nothing_unless_it_fails(visits: list[UrlState]) -> None:
    state = after(*visits).state
    again = compare(state, visits[-1])
    failing = visits[-1].outcome in ("failed:http", "denied", "dropped:robots", "dropped:type")
    assert again.is_unchanged is not failing
    assert again.change is None
