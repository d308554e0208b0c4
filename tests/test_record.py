"""Requests, entries and records: what is written is read back, and anything else is refused by name."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import url as urls
from crawler.record import OUTCOMES, Entry, Record, Request

PATHS = st.text("abcXYZ019-._~/%2F?&=", max_size=40)
HOSTS = st.sampled_from(["example.org", "example.org:8080", "127.0.0.1:80", "[::1]:81", "xn--bcher-kva.example"])
URLS = st.builds(
    lambda scheme, host, path: urls.canonicalize(f"{scheme}://{host}/{path.replace('%', '%25')}"),
    st.sampled_from(["http", "https"]),
    HOSTS,
    PATHS,
)
REQUESTS = st.builds(
    Request,
    URLS,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 2**63 - 1).map(str),
    st.booleans(),
    st.none() | st.integers(0, 2**32 - 1),
) | st.builds(
    Request, URLS, st.integers(0, 255), via=st.just("7"), revisit=st.booleans(), target=st.just(True), get=st.booleans()
)


def test_the_outcomes_are_a_closed_list() -> None:
    assert len(OUTCOMES) == len(set(OUTCOMES)) == 22
    kinds = {outcome.partition(":")[0] for outcome in OUTCOMES}
    assert kinds == {"fetched", "redirected", "missing", "denied", "dropped", "failed", "checked"}
    assert OUTCOMES[-1] == "checked"  # states have their numbers


@given(REQUESTS)
def test_a_request_comes_back_from_its_queue(request: Request) -> None:
    host, raw = request.place()
    assert host == urls.host(request.url)
    assert Entry.decode(host, raw) == Entry(request, retries=0, crashes=0)


@given(REQUESTS, st.integers(0, 15), st.integers(0, 15))
def test_attempts_are_kept_in_one_byte(request: Request, retries: int, crashes: int) -> None:
    host, raw = request.place()
    entry = Entry.decode(host, bytes([crashes << 4 | retries]) + raw[1:])
    assert (entry.request, entry.retries, entry.crashes) == (request, retries, crashes)


def test_an_entry_is_short() -> None:
    """12 bytes beside path and query: the frontier's memory depends on it."""
    host, raw = Request("https://example.org/a/b?c=d", depth=3, via=str(2**63 - 1)).place()
    assert (host, len(raw), raw[12:]) == ("example.org", 12 + len("/a/b?c=d"), b"/a/b?c=d")


@pytest.mark.parametrize("lastmod", [-1, 2**32])
def test_a_date_that_does_not_fit_is_left_out(lastmod: int) -> None:
    host, raw = Request("http://example.org/x", lastmod=lastmod).place()
    assert (Entry.decode(host, raw).request.lastmod, len(raw)) == (None, 14)


def test_ids_become_urls() -> None:
    """Those that are not known are left out; what is a URL already stays."""
    record = Record(url="u", outcome="fetched", depth=1, via="7", duplicate_of="8")
    assert record.ids == ["7", "8"]
    assert record.named({"7": "http://a/"}) == msgspec.structs.replace(record, via="http://a/", duplicate_of=None)
    obeyed = msgspec.structs.replace(record, via=None, duplicate_of="http://b/")
    assert (obeyed.ids, obeyed.named({})) == ([], obeyed)
    assert Record(url="u", outcome="fetched", depth=0).named({}) == Record(url="u", outcome="fetched", depth=0)


def test_depths_beyond_a_byte_are_one() -> None:
    host, raw = Request("http://example.org/", depth=300, hops=256).place()
    request = Entry.decode(host, raw).request
    assert (request.depth, request.hops) == (255, 255)


@pytest.mark.parametrize(
    ("host", "raw", "why"),
    [
        ("example.org", b"", "it is too short; 0 bytes, b''"),
        ("example.org", b"short", "it is too short; 5 bytes, b'short'"),
        ("example.org", bytes(12), "it is too short"),
        ("example.org", b'{"url": "http://example.org/"}', "it looks like JSON"),
        ("example.org", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x07os.exit\x94.", "it looks like a pickle"),
        ("example.org", b"http://example.org/", "its flags are not valid"),
        ("example.org", bytes(3) + b"\x44" + bytes(8) + b"/", "its flags are not valid"),
        ("example.org:81", bytes(3) + b"\x02" + bytes(8) + b"/", "its flags are not valid"),
        ("example.org", bytes(3) + b"\x50" + bytes(8) + b"/", "its flags are not valid"),
        ("example.org", bytes(3) + b"\x80" + bytes(8) + b"/", "its flags are not valid"),
        ("example.org", bytes(12) + b"x", "it holds no path"),
        ("example.org", bytes(3) + b"\x20" + bytes(8) + b"/abcde", "it holds no path"),
        ("example.org", bytes(12) + b"/\n", "it holds no path"),
        ("example.org", bytes(12) + b"/\0", "it holds no path"),
        ("example.org", bytes(12) + b"/a b", "it holds no path"),
        ("example.org", bytes(12) + b"/a#b", "it holds no path"),
        ("example.org", bytes(12) + "/ü".encode(), "it holds no path"),
        ("example.org", bytes(12) + b"/" * 10_000_000, "it is too long; 10,000,012 bytes"),
        ("user@example.org", bytes(12) + b"/", "its host is not valid"),
        ("Example.org", bytes(12) + b"/", "its host is not valid"),
        ("example.org/a", bytes(12) + b"/", "its host is not valid"),
    ],
)
def test_what_is_no_entry_is_refused(host: str, raw: bytes, why: str) -> None:
    """In one short line that says what was found."""
    with pytest.raises(ValueError, match=r"^not a queue entry: ") as caught:
        Entry.decode(host, raw)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


@given(st.binary(max_size=40))
def test_no_bytes_are_worse_than_a_value_error(raw: bytes) -> None:
    try:
        Entry.decode("example.org", raw)
    except ValueError:
        return
    assert b"/" in (raw[12:13], raw[16:17] if raw[3] & 0x20 else b"")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(
    st.sampled_from(OUTCOMES), st.integers(0, 255), st.none() | st.text(st.characters(exclude_categories=["Cs"])), JSON
)
def test_a_record_comes_back(outcome: str, depth: int, title: str | None, data: object) -> None:
    record = Record(url="http://example.org/", outcome=outcome, depth=depth, title=title, data=data)
    line = record.encode()
    assert Record.decode(line) == record
    assert b"\n" not in line


def test_what_is_unknown_is_absent() -> None:
    record = Record(url="http://example.org/", outcome="fetched", depth=0, text="é\u2028")
    assert record.encode().decode() == '{"url":"http://example.org/","outcome":"fetched","depth":0,"text":"é\u2028"}'


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"url": 1, "outcome": "fetched", "depth": 0}', b"\xff"])
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        Record.decode(raw)


def test_fields_of_a_later_version_are_passed_over() -> None:
    raw = b'{"url":"http://example.org/","outcome":"fetched","depth":1,"new":[1]}'
    assert Record.decode(raw) == Record(url="http://example.org/", outcome="fetched", depth=1)
