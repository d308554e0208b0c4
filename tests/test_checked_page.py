"""What a check keeps of a page comes back as it was, and what is damaged is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.checked_page import PLACES, CheckedPage, Named, Note, name_hash, text_hash
from crawler.findings import CODES

ids = st.integers(0, (1 << 48) - 1)
named = st.builds(
    Named, ids, st.integers(0, len(PLACES) - 1), st.integers(0, 1 << 20), st.none() | st.integers(0, 0xFFFFFF)
)
notes = st.builds(Note, st.sampled_from(list(CODES)), st.integers(0, 1 << 20), st.text(max_size=50))
pages = st.builds(
    CheckedPage,
    named=st.lists(named, max_size=20).map(lambda found: sorted(found, key=lambda one: one.line)),
    names=st.none() | st.frozensets(st.integers(0, 0xFFFFFF), max_size=20),
    notes=st.lists(notes, max_size=5),
    noindex=st.booleans(),
    title=st.none() | ids,
    description=st.none() | ids,
    elapsed_ms=st.integers(0, 1 << 30),
    size=st.integers(0, 1 << 40),
)


@given(pages)
def test_what_is_packed_comes_back(page: CheckedPage) -> None:
    assert CheckedPage.decode(page.encode()) == page


@given(pages, st.data())
def test_what_breaks_off_is_refused(page: CheckedPage, data: st.DataObject) -> None:
    raw = page.encode()
    with pytest.raises(ValueError, match=r"damaged|another version"):
        CheckedPage.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=200))
def test_foreign_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        CheckedPage.decode(raw)
    except ValueError as error:
        assert "it is" in str(error)


def test_a_link_takes_some_eight_bytes() -> None:
    links = [Named(n * 7_919_777_777 % (1 << 48), 0, 10 * n) for n in range(50)]
    assert len(CheckedPage(named=links).encode()) / 50 < 8.5


def test_hashes_have_their_widths() -> None:
    texts = [f"section-{n}" for n in range(1000)]
    assert len(set(map(name_hash, texts))) == 1000
    assert max(map(name_hash, texts)) < 1 << 24
    assert len(set(map(text_hash, texts))) == 1000
    assert max(map(text_hash, texts)) < 1 << 48
