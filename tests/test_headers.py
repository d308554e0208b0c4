"""Lines of `--header`: which name a host, which go everywhere, and which origins get the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import UsageError
from crawler.headers import HARMLESS, divide, lost, parse, require_hosts, with_https
from crawler.settings import coerce

BOTH = frozenset({"http://api.example.org", "https://api.example.org"})


@pytest.mark.parametrize(
    ("line", "name", "value", "origins"),
    [
        ("api.example.org: Authorization: Bearer a:b", "Authorization", "Bearer a:b", BOTH),
        ("API.Example.Org.:Authorization:x", "Authorization", "x", BOTH),
        ("https://api.example.org: Cookie: a=b", "Cookie", "a=b", {"https://api.example.org"}),
        ("http://api.example.org/: Cookie: a=b", "Cookie", "a=b", BOTH),
        ("http://wiki:8080: X-Key: 1", "X-Key", "1", {"http://wiki:8080"}),
        ("wiki:8080: X-Key: 1", "X-Key", "1", {"http://wiki:8080", "https://wiki:8080"}),
        ("example.org:443: X-Key: 1", "X-Key", "1", {"http://example.org:443", "https://example.org"}),
        ("localhost: X-Key: 1", "X-Key", "1", {"http://localhost", "https://localhost"}),
        ("127.0.0.1:81: X-Key: 1", "X-Key", "1", {"http://127.0.0.1:81", "https://127.0.0.1:81"}),
        ("[::1]: X-Key: 1", "X-Key", "1", {"http://[::1]", "https://[::1]"}),
        ("[::1]:81: X-Key: 1", "X-Key", "1", {"http://[::1]:81", "https://[::1]:81"}),
        ("https://[::1]: X-Key: 1", "X-Key", "1", {"https://[::1]"}),
        ("b\u00fccher.example: X-Key: 1", "X-Key", "1", {f"{s}://xn--bcher-kva.example" for s in ("http", "https")}),
        ("api.example.org: Referer: https://a.example:8/b: c", "Referer", "https://a.example:8/b: c", BOTH),
        ("api.example.org: X-Empty:", "X-Empty", "", BOTH),
    ],
)
def test_a_line_for_one_host(line: str, name: str, value: str, origins: frozenset[str]) -> None:
    read = parse(line)
    assert (read.name, read.value, read.origins) == (name, value, origins)
    assert not read.needs_host


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("Authorization: Bearer x", "Authorization", "Bearer x"),
        ("X-Key:a:b:c", "X-Key", "a:b:c"),
        ("Name: value: with: colons", "Name", "value: with: colons"),
        ("X-Time:12:30: 45", "X-Time", "12:30: 45"),
        ("Referer: https://api.example.org: x", "Referer", "https://api.example.org: x"),
        ("Origin: http://example.org:8080", "Origin", "http://example.org:8080"),
        ("Host: example.org:8080", "Host", "example.org:8080"),
        ("X-Hosts: a.example: b.example: c", "X-Hosts", "a.example: b.example: c"),
        ("X.Dotted: value", "X.Dotted", "value"),
        ("X-Empty:", "X-Empty", ""),
    ],
)
def test_a_line_that_names_no_host(line: str, name: str, value: str) -> None:
    read = parse(line)
    assert (read.name, read.value, read.host) == (name, value, "")
    assert read.needs_host


@pytest.mark.parametrize("name", ["If-None-Match", "if-modified-since", "IF-MATCH", "If-Unmodified-Since", "If-Range"])
def test_a_condition_is_refused_for_it_holds_for_one_page(name: str) -> None:
    for line in (f'{name}: "1"', f'api.example.org: {name}: "1"'):
        with pytest.raises(ValueError, match=f"^{name} depends on the page: `crawler recrawl` sends"):
            parse(line)


@pytest.mark.parametrize(
    "line",
    [
        *("", "s3cr3t", "two words: s3cr3t", ": s3cr3t", "A: s3cr3t\r\nC: d", "A: s3cr3t\0"),
        *("*.example.org: A: s3cr3t", "999.1.1.1: A: s3cr3t", "https://a b: A: s3cr3t"),
    ],
)
def test_what_is_no_line_is_refused_without_being_shown(line: str) -> None:
    with pytest.raises(ValueError, match="header"):
        parse(line)
    with pytest.raises(UsageError) as error:
        coerce("header", [line])
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        "wiki: Authorization: Bearer s3cr3t",
        "wiki:cookie:s3cr3t",
        "Wiki: X-Api-Key: s3cr3t",
        "a: Proxy-Authorization: s3cr3t",
    ],
)
def test_a_host_without_a_dot_is_not_taken_for_the_name_of_a_header(line: str) -> None:
    with pytest.raises(ValueError, match="http://HOST: Name: value"):
        parse(line)
    with pytest.raises(UsageError) as error:
        coerce("header", [line])
    assert "s3cr3t" not in str(error.value)
    assert parse(f"http://{line}").origins == {
        f"{scheme}://{line[: line.index(':')].lower()}" for scheme in ("http", "https")
    }


@given(st.text(st.sampled_from("aZ.-:/[]1 \t@*é"), max_size=40))
def test_what_is_kept_of_a_line_reads_as_the_same_line(line: str) -> None:
    try:
        read = parse(line)
    except ValueError:
        return
    assert parse(str(read)) == read
    assert ("//" not in read.name) and read.name.isascii()


@given(st.sets(st.sampled_from(["http://a", "https://a", "http://a:81", "http://[::1]", "http://[::1]:81"])))
def test_http_names_https_of_the_same_host_and_nothing_else(origins: set[str]) -> None:
    more = {"http://a": "https://a", "http://[::1]": "https://[::1]"}
    assert with_https(origins) == origins | {more[origin] for origin in origins & more.keys()}


def test_harmless_lines_go_everywhere_and_all_others_to_named_origins() -> None:
    lines = ["accept-LANGUAGE: de", "X-Unknown: 1", "a.example: Accept: x", "a.example: X-Unknown: 2"]
    everywhere, bound = divide(lines, {"https://b.example"})
    assert everywhere == (("accept-LANGUAGE", "de"),)
    assert [(header.name, header.value, sorted(header.origins)) for header in bound] == [
        ("X-Unknown", "1", ["https://b.example"]),
        ("Accept", "x", ["http://a.example", "https://a.example"]),
        ("X-Unknown", "2", ["http://a.example", "https://a.example"]),
    ]
    assert not {"authorization", "cookie", "proxy-authorization", "host", "referer"} & HARMLESS


@pytest.mark.parametrize(
    ("line", "named", "origins"),
    [
        ("a.example: X: 1", set(), {"http://a.example", "https://a.example"}),
        ("a.example: X: 1", {"https://b.example"}, {"http://a.example", "https://a.example"}),
        ("a.example: X: 1", {"https://a.example"}, {"https://a.example"}),
        ("a.example: X: 1", {"https://a.example", "http://a.example"}, {"http://a.example", "https://a.example"}),
        ("http://a.example: X: 1", {"https://a.example"}, {"http://a.example", "https://a.example"}),
    ],
)
def test_a_host_that_the_sources_name_by_https_gets_its_line_by_https_alone(
    line: str, named: set[str], origins: set[str]
) -> None:
    assert divide([line], named)[1][0].origins == origins


def test_a_secret_needs_a_host_where_no_source_names_one() -> None:
    require_hosts(["Accept: x", "a.example: Authorization: s3cr3t"], ())
    require_hosts(["Authorization: s3cr3t"], ["https://a.example"])
    with pytest.raises(UsageError, match=r"CRAWLER_HEADER='HOST: Authorization: \.\.\.'") as error:
        require_hosts(["Authorization: s3cr3t"], ())
    assert "s3cr3t" not in str(error.value)
    assert "s3cr3t" not in repr(parse("Authorization: s3cr3t"))


def test_what_a_redirect_loses_is_named_without_its_value() -> None:
    lines = ["Authorization: s3cr3t", "X-Key: 1", "Accept: x", "b.example: X-Key: 2"]
    _, bound = divide(lines, {"http://a.example"})
    assert lost(bound, "http://a.example/", "https://a.example/x") == ""
    words = lost(bound, "http://a.example/", "https://b.example/x")
    assert "https://b.example, which does not get --header Authorization:" in words
    assert "X-Key" not in words and "s3cr3t" not in words
    assert lost(bound, "http://c.example/", "https://b.example/x") == ""
    assert lost(bound, "https://a.example/", "http://a.example:8080/")
