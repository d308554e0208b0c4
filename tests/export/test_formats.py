"""JSON Lines and CSV say what a record says, whatever is in it; a spreadsheet runs none of it."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.export.formats import csv as csv_format
from crawler.export.formats import jsonl
from crawler.record import OUTCOMES, Link, Record
from tests.export.conftest import page

WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
NASTY = st.one_of(WORDS, st.text("=+-@\t\r\n\0\"', ;'a1\ufeff\u200b\u2028\uff1d\x1b\x85", max_size=8))
NUMBERS = st.integers(0, 2**53)
DATA = st.recursive(
    st.none() | st.booleans() | NUMBERS | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=6,
)


exact = settings(derandomize=True, deadline=None)


def field_values(name: str) -> st.SearchStrategy[Any]:
    kinds: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(
            ("status", "size", "link_count", "elapsed_ms", "attempts", "visits", "changes"), st.none() | NUMBERS
        ),
        "depth": NUMBERS,
        "hops": NUMBERS,
        "sitemap": st.booleans(),
        "target": st.booleans(),
        "outcome": st.sampled_from(OUTCOMES),
        "truncated": st.booleans(),
        "whole_page": st.booleans(),
        "diff_missing": st.booleans(),
        "links": st.none() | st.lists(st.builds(Link, url=NASTY, text=st.none() | NASTY), max_size=3),
        "data": DATA,
        "url": NASTY,
    }
    return kinds.get(name, st.none() | NASTY)


RECORDS = st.builds(Record, **{name: field_values(name) for name in Record.__struct_fields__})


def rows(raw: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(raw.decode("utf-8"), newline="")))


def only(raw: bytes) -> dict[str, str]:
    (row,) = rows(raw)
    return dict(zip(csv_format.FIELDS, row, strict=True))


def shown(record: Record) -> dict[str, str]:
    """What each cell says."""
    cells = {}
    for name in csv_format.FIELDS:
        value = getattr(record, name)
        if value is None:
            cells[name] = ""
        elif isinstance(value, str) and name != "data":
            cells[name] = value.replace("\0", "\ufffd")
        else:
            cells[name] = msgspec.json.encode(value).decode()
    return cells


@exact
@given(RECORDS)
def test_jsonl_round_trip(record: Record) -> None:
    line = jsonl.encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    assert Record.decode(line) == record
    assert len(line.decode().splitlines()) == 1


def test_what_ends_a_line_for_some_or_steers_a_terminal_is_escaped_in_jsonl() -> None:
    """`str.splitlines` of Python, editors and JavaScript end lines at more than LF; `cat` shows what it is given."""
    title = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029))) + "é\xa0漢\u2027"
    for record in (page(1, title=title), page(1, title=None, error="\x7f"), page(1, data={"\x85": ["\u2028"]})):
        line = jsonl.encode(record)
        assert Record.decode(line) == record
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", line.decode().removesuffix("\n"))
    assert "é\xa0漢\u2027".encode() in jsonl.encode(page(1, title=title))


@exact
@given(st.lists(RECORDS, max_size=3))
def test_csv_round_trip_of_raw_values(records: list[Record]) -> None:
    raw = csv_format.FORMAT.head + b"".join(map(csv_format.encode_raw, records))
    header, *body = rows(raw)
    assert tuple(header) == csv_format.FIELDS
    for record, row in zip(records, body, strict=True):
        cells, wanted = dict(zip(header, row, strict=True)), shown(record)
        for name in ("data", "links"):
            assert json.loads(cells.pop(name) or "null") == json.loads(wanted.pop(name) or "null")
        assert cells == wanted


@exact
@given(RECORDS)
def test_csv_that_is_defused_can_be_restored(record: Record) -> None:
    safe, raw = only(csv_format.encode(record)), only(csv_format.encode_raw(record))
    assert {name: csv_format.restore(cell) for name, cell in safe.items()} == raw


@exact
@given(st.text(st.sampled_from("a ;\t\r\n,\"'=-\u00ad\u200b\x0b\ufffd")))
def test_what_is_defused_anywhere_can_be_restored(cell: str) -> None:
    safe = csv_format.defuse(cell)
    assert csv_format.restore(safe) == cell
    assert csv_format.defuse(csv_format.restore(safe)) == safe
    for part in re.split("[;\t\r\n]", safe):
        assert part.strip(' "\u00ad\u200b\x0b\ufffd')[:1] not in ("=", "-")


@exact
@given(RECORDS)
def test_no_cell_begins_like_a_formula(record: Record) -> None:
    for cell in only(csv_format.encode(record)).values():
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
        assert cell.strip("\"' \t\r\n\0\ufeff\u200b")[:1] not in ("=", "+", "-", "@") or cell[:1] == "'"


@pytest.mark.parametrize(
    "title",
    [
        "=1+1",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "\tplain",
        "\rplain",
        "  =1",
        '"=1',
        "'=1",
        "' \"=1",
        "\0=1",
        "\ufeff=1",
        "\u200b=1",
        "\u00ad=1",
        "\u2061=1",
        "\u180e=1",
        "\u3164=1",
        "\u202e=1",
        "\U000e0041=1",
        "\xa0=1",
        "\uff1d1",
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://example.org","x")',
    ],
)
def test_cells_that_a_spreadsheet_would_run_are_defused(title: str) -> None:
    record = page(1, title=title)
    plain = title.replace("\0", "\ufffd")
    assert only(csv_format.encode(record))["title"] == f"'{plain}"
    assert only(csv_format.encode_raw(record))["title"] == plain
    assert json.loads(jsonl.encode(record))["title"] == title


@pytest.mark.parametrize(
    ("title", "cell"),
    [
        ("a;=1+1", '"a;\'=1+1"'),
        ("a;;\u00ad @x", '"a;;\'\u00ad @x"'),
        ('a;"=1', '"a;\'""=1"'),
        ("a\t-1", '"a\t\'-1"'),
        ("a\r+1", '"a\r\'+1"'),
        ("a\n=1", '"a\n\'=1"'),
        ("\t=1", "\"'\t'=1\""),
        ("a;b\tc=1", '"a;b\tc=1"'),
        ("a,=1", '"a,=1"'),
    ],
)
def test_where_another_separator_begins_a_cell_it_is_quoted_and_defused(title: str, cell: str) -> None:
    """Spreadsheets of half the world part cells at `;` or TAB, and take a quote within one for a letter."""
    record = page(1, title=title, text=None)
    assert f",{cell},".encode() in csv_format.encode(record)
    assert only(csv_format.encode_raw(record))["title"] == title


@pytest.mark.parametrize("title", ["Plain", "a=b", "1-2", "'quoted'", '"quoted"', "", " ", "http://example.org/?a=b"])
def test_other_cells_stay_as_they_are(title: str) -> None:
    assert only(csv_format.encode(page(1, title=title)))["title"] == title


@pytest.mark.parametrize(
    ("data", "cell"),
    [
        (-5, "-5"),
        (-1.5, "-1.5"),
        (0, "0"),
        (True, "true"),
        (None, ""),
        ("=1", '\'"=1"'),
        ("-5", '\'"-5"'),
        (["=1"], '["=1"]'),
        ({"a": "=1\0"}, '{"a":"=1\\u0000"}'),
    ],
)
def test_numbers_stay_numbers_and_data_is_json(data: Any, cell: str) -> None:
    assert only(csv_format.encode(page(1, data=data)))["data"] == cell


def test_truth_values_and_what_is_unknown() -> None:
    cells = only(csv_format.encode(page(1, truncated=True)))
    assert (cells["truncated"], cells["error"], cells["links"]) == ("true", "", "")
    assert only(csv_format.encode(page(1)))["truncated"] == "false"


def test_lines_end_and_quotes_are_doubled_as_rfc_4180_says() -> None:
    raw = csv_format.encode(page(1, title='He said "no", and\nleft'))
    assert b'"He said ""no"", and\nleft"' in raw
    assert raw.endswith(b",\r\n")
    assert csv_format.FORMAT.head.endswith(b"data\r\n")


def test_control_characters_and_lines_inside_stay_one_row() -> None:
    nasty = "".join(map(chr, range(1, 32))) + "\x7f\x85\u2028\u2029"
    record = page(1, title=f"x{nasty}", text="a\r\nb\rc\n\n,\"'")
    assert only(csv_format.encode(record))["title"] == f"x{nasty}"
    assert only(csv_format.encode(record))["text"] == record.text
    assert len(jsonl.encode(record).decode().split("\n")) == 2


def test_csv_has_a_column_for_each_field_of_a_record() -> None:
    assert sorted(csv_format.FIELDS) == sorted(field.name for field in msgspec.structs.fields(Record))
    assert csv_format.FORMAT.head.decode().strip().split(",") == list(csv_format.FIELDS)
