"""What an export says of names in `--fields` that nothing has, and how it counts items."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.errors import UsageError
from crawler.export.shape import Shape, fields_of
from crawler.export.tally import Tally
from crawler.record import Link
from tests.export.conftest import page

OFFERS = {
    "name": "tea",
    "price": 3.5,
    "shop": {"city": "Bonn"},
    "items": [{"seller": "a"}, {"seller": "b", "amount": 2}],
}
LINK = Link(url="http://example.org/a", text="a")


def absent(*fields: str, items: bool = False, data: Any = OFFERS, stored: tuple[str, ...] = ("text", "links")) -> str:
    tally = Tally(Shape(fields, items), stored)
    tally.add([page(1, data=None, links=None), page(2, data=data, links=[LINK])])
    return tally.absent()


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("data.nix", ""),
        ("data.prise", " (did you mean data.price?)"),
        ("data.city", " (did you mean data.shop.city?)"),
        ("data.seller", " (did you mean data.items.seller?)"),
        ("links.ulr", " (did you mean links.url?)"),
        ("markdown", " (the crawl does not keep it: --store markdown)"),
        ("canonical", ""),
    ],
)
def test_a_field_that_no_record_has(field: str, words: str) -> None:
    assert absent("url", field) == f"no record has {field}{words}"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("data.seller", " (with --items name the item's own field: seller)"),
        ("data.items.seller", " (with --items name the item's own field: seller)"),
        ("sellr", " (did you mean seller?)"),
        ("title", " (that of its page is page.title)"),
        ("page.data.prise", " (did you mean page.data.price?)"),
        ("page.html", " (the crawl does not keep it: --store html)"),
        ("nix", ""),
    ],
)
def test_a_field_that_no_item_has(field: str, words: str) -> None:
    assert absent("url", field, items=True) == f"no item has {field}{words}"


def test_what_one_record_has_is_there() -> None:
    assert absent("url", "data.price", "data.items.amount", "links.text", "text") == ""
    assert absent("seller", "amount", "page.data.shop.city", "url", items=True) == ""


def test_several_are_one_line() -> None:
    assert absent("data.a", "url", "data.b") == "no record has data.a, data.b"


def test_nothing_is_said_of_nothing() -> None:
    assert Tally(Shape(("data.a",)), ()).absent() == ""
    assert absent("nix", items=True, data=None) == ""


def test_of_a_later_export_it_speaks_of_new_records() -> None:
    tally = Tally(Shape(("data.a",)), ())
    tally.add([page(1)])
    assert tally.absent(new=True) == "no new record has data.a"


def test_names_from_the_web_are_bounded_and_cannot_steer_a_terminal() -> None:
    data: dict[str, Any] = {f"key\x1b{n}": {} for n in range(10)} | {
        f"k{n}": {"k": {"k": {"k": {"k": 1}}}} for n in range(10_000)
    }
    assert "\x1b" not in absent("data.key1", data=data)
    assert absent("data.kx9999", data=data) in (
        "no record has data.kx9999",
        "no record has data.kx9999 (did you mean data.k99?)",
    )


def test_items_are_counted() -> None:
    tally = Tally(Shape((), items=True), ())
    tally.add([page(1, data=OFFERS), page(2, data=[1, 2, 3]), page(3, data={"price": 1})])
    assert (tally.items, tally.records) == (5, 3)


@pytest.mark.parametrize("values", [("",), (" , ",), ("", "")])
def test_no_names_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--fields is empty"):
        fields_of(values)


def test_without_the_option_there_are_all() -> None:
    assert fields_of(()) == ()
    assert fields_of(("title,,url", "url")) == ("title", "url")
