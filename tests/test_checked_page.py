"""What a check keeps of a page comes back as it was, and what is damaged is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.checked_page import FEW_NAMES, PLACES, CheckedPage, Named, Note, name_hash, text_hash
from crawler.findings import CODES

ids = st.integers(0, (1 << 48) - 1)
named = st.builds(
    Named,
    ids | st.integers(1, 3),
    st.integers(0, len(PLACES) - 1),
    st.integers(0, 1 << 20),
    st.none() | st.integers(0, 0xFFFFFF),
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
    packed = CheckedPage.decode(page.encode())
    assert msgspec.structs.replace(packed, names=page.names) == page
    assert (packed.names is None) == (page.names is None)
    assert all(packed.has(name) for name in page.names or ())


@pytest.mark.parametrize("count", [0, 1, FEW_NAMES, FEW_NAMES + 1, 5_000])
def test_few_names_take_two_bytes_each_and_many_three(count: int) -> None:
    names = frozenset(name_hash(f"section-{n}") for n in range(count))
    page = CheckedPage(names=names)
    packed = CheckedPage.decode(page.encode())
    assert (
        len(page.encode()) - len(CheckedPage(names=frozenset()).encode())
        <= (2 if count <= FEW_NAMES else 3) * count + 2
    )
    assert all(packed.has(name) and page.has(name) for name in names)
    others = [name_hash(f"other-{n}") for n in range(2_000)]
    assert sum(map(packed.has, others)) <= 20
    assert sum(map(page.has, others)) <= 20


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


def test_a_link_to_a_target_that_was_named_before_takes_two_bytes() -> None:
    links = [Named(n % 200 * 7_919_777_777 % (1 << 48), 0, n) for n in range(400)]
    packed = CheckedPage(named=links).encode()
    assert len(packed) < 200 * 7 + 200 * 3 + 20
    assert CheckedPage.decode(packed).named == links


def test_a_link_takes_some_seven_bytes() -> None:
    links = [Named(n * 7_919_777_777 % (1 << 48), 0, 10 * n) for n in range(50)]
    assert len(CheckedPage(named=links).encode()) / 50 < 7.5


def test_hashes_have_their_widths() -> None:
    texts = [f"section-{n}" for n in range(1000)]
    assert len(set(map(name_hash, texts))) == 1000
    assert max(map(name_hash, texts)) < 1 << 24
    assert len(set(map(text_hash, texts))) == 1000
    assert max(map(text_hash, texts)) < 1 << 48
