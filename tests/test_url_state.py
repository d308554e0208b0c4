"""The packed state of a URL that has ended: what goes in comes out, in few bytes, and damage is noticed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.record import OUTCOMES
from crawler.url_state import LAYOUT, MAX_TAG, Glance, UrlState, id_bytes

U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
IDS = U64.map(str)

STATES = st.builds(
    UrlState,
    url=st.text("abcdefgh/?=&%", max_size=300).map(lambda path: f"https://example.org/{path}"),
    outcome=st.sampled_from(OUTCOMES),
    status=U16,
    depth=st.integers(0, 255),
    hops=st.integers(0, 255),
    via=IDS,
    token=U32,
    first_seen=U32,
    checked_at=U32,
    changed_at=U32,
    visits=U16,
    changes=U16,
    digest=U64,
    copy_of=st.none() | IDS,
    target=st.none() | IDS,
    similarity=st.none() | U64,
    text_digest=U64,
    text_method=st.integers(0, 255),
    previous_text_digest=st.none() | U64,
    last_modified=st.none() | U32,
    certificate_expires=st.none() | st.integers(0, 0xFFFF_FFFF),
    etag=st.none() | st.text(st.characters(max_codepoint=255), min_size=1, max_size=MAX_TAG),
    interval=U32,
    sitemap=st.booleans(),
    is_target=st.booleans(),
    is_gone=st.booleans(),
    is_noted=st.booleans(),
    is_queued=st.booleans(),
)

PLAIN = UrlState(
    url="https://www.example.org/guide/chapter-07/section-12.html?p=1",
    outcome="fetched",
    status=200,
    first_seen=1_800_000_000,
    checked_at=1_800_000_000,
    changed_at=1_800_000_000,
    digest=1 << 63,
    text_digest=1 << 62,
    text_method=1,
    last_modified=1_790_000_000,
    etag='"5f3a-61c2d7"',
)


@given(STATES)
def test_a_state_comes_back(state: UrlState) -> None:
    assert UrlState.decode(state.encode()) == state


def test_a_usual_state_is_short() -> None:
    assert len(PLAIN.url) == 60
    assert len(PLAIN.encode()) <= 140


def test_scripts_find_what_they_read() -> None:
    state = msgspec.structs.replace(PLAIN, copy_of="77", is_queued=True, token=5)
    raw = state.encode()
    assert OUTCOMES[raw[LAYOUT["OUTCOME"] - 1]] == "fetched"
    assert raw[LAYOUT["MARKS"] - 1] == LAYOUT["COPY"] | LAYOUT["QUEUED"]
    assert raw[LAYOUT["TOKEN"] - 1 :][:4] == (5).to_bytes(4, "big")
    assert raw[LAYOUT["DIGEST"] - 1 :][:8] == (1 << 63).to_bytes(8, "big")
    assert raw[LAYOUT["HEAD"] :][:8] == id_bytes("77")


@pytest.mark.parametrize(
    ("etag", "kept"),
    [('W/"abc"', 'W/"abc"'), ("", None), ('"' + "x" * 300 + '"', None), ('"\u20ac"', None), ('"\xe9"', '"\xe9"')],
)
def test_an_etag_is_kept_as_it_came_or_not_at_all(etag: str, kept: str | None) -> None:
    state = msgspec.structs.replace(PLAIN, etag=etag)
    assert UrlState.decode(state.encode()).etag == kept


def test_numbers_that_do_not_fit_are_cut() -> None:
    state = msgspec.structs.replace(PLAIN, visits=70_000, depth=300, checked_at=1 << 40, first_seen=-5)
    found = UrlState.decode(state.encode())
    assert (found.visits, found.depth, found.checked_at, found.first_seen) == (65_535, 255, (1 << 32) - 1, 0)


BROKEN = st.tuples(STATES.map(UrlState.encode), st.integers(0, 400)).map(lambda pair: pair[0][: pair[1]])


@given(st.binary(max_size=400) | BROKEN)
def test_damage_is_a_value_error_or_another_state(raw: bytes) -> None:
    try:
        found = UrlState.decode(raw)
    except ValueError:
        return
    assert found.url.startswith("http")


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="another version"):
        UrlState.decode(b"\x02" + PLAIN.encode()[1:])


@given(STATES)
def test_a_glance_sees_what_the_whole_state_says(state: UrlState) -> None:
    is_seed = state.depth == 0 and state.via == "0"
    is_expiring = state.certificate_expires is not None
    seen = Glance(state.outcome, state.status, is_seed, state.is_target, state.sitemap, is_expiring, state.digest)
    assert Glance.of(state.encode()) == seen


@pytest.mark.parametrize("raw", [b"", PLAIN.encode()[:44], b"\2" + PLAIN.encode()[1:], b"\1\xff" + PLAIN.encode()[2:]])
def test_a_glance_at_what_is_no_state(raw: bytes) -> None:
    with pytest.raises(ValueError, match="it is"):
        Glance.of(raw)
