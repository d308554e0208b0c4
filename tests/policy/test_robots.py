"""robots.txt against Google's reference tests, RFC 9309, and whatever bytes a server sends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crawler.policy import robots
from crawler.policy.robots import (
    ALLOW_ALL,
    DISALLOW_ALL,
    MAX_BYTES,
    MAX_CRAWL_DELAY,
    Rules,
    judge,
    parse,
    product_token,
)

DATA = Path(__file__).parents[1] / "data" / "robots"


def cases(name: str) -> list[Any]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


GOOGLE = cases("google_robots_test.jsonl")
RFC = cases("rfc9309_http.jsonl")

DIFFERENT = {
    "ID_Encoding:441": "RFC 9309 section 2.2.2 decodes escaped unreserved characters before it compares: the rule "
    "/foo/bar/%62%61%7A is of /foo/bar/baz; the reference parser leaves that to its caller",
}
"""Cases that are answered otherwise, and why."""

ON_THE_WIRE = {
    **dict.fromkeys(("conn_refused", "timeout", "dns_failure", "reset_mid_body"), "no answer, so nothing to parse"),
    **dict.fromkeys(("redirect_6", "redirect_loop", "redirect_to_private"), "the caller follows redirects"),
    **dict.fromkeys(("infinite_body", "gzip", "gzip_bomb"), "the fetcher decodes and cuts"),
    **dict.fromkeys(("rules_before_500KiB", "rule_at_499KiB"), "bodies made by hand, tested below"),
    **dict.fromkeys(("per_authority", "cache_24h", "cache_stale_on_5xx"), "whoever keeps the rules decides"),
    "one_fetch_many_workers": "the frontier leases one robots.txt a host",
}
"""Behaviours that are not the parser's."""

PURE = [case for case in RFC if case["id"] not in ON_THE_WIRE]


def rules_of(response: dict[str, Any]) -> Rules:
    """What a caller does with the final answer to a request for robots.txt."""
    final = response.get("then", response)
    verdict = judge(final["status"])
    if verdict != "parse":
        return ALLOW_ALL if verdict == "allow" else DISALLOW_ALL
    if "body_latin1" in final:
        return parse(final["body_latin1"].encode("latin-1"))
    return parse(final.get("body", "").encode())


def test_the_data_is_whole() -> None:
    assert (len(GOOGLE), len(RFC), len(PURE)) == (145, 48, 32)
    assert sum(case["google_specific"] for case in GOOGLE) == 73
    assert set(ON_THE_WIRE) <= {case["id"] for case in RFC}


@pytest.mark.parametrize("case", GOOGLE, ids=lambda case: case["id"])
def test_google(case: Any) -> None:
    allowed = parse(case["robots_txt"].encode()).allowed(case["url"], case["user_agent"])
    assert allowed == (case["allowed"] != (case["id"] in DIFFERENT)), DIFFERENT.get(case["id"])


@pytest.mark.parametrize("case", PURE, ids=lambda case: case["id"])
def test_rfc9309(case: Any) -> None:
    response = case["robots_response"]
    agent = product_token(response.get("our_user_agent", "ExampleBot/1.0"))
    rules = rules_of(response)
    expected = {path: allowed for path, allowed in case["expected"].items() if allowed != "either"}
    assert expected or case["id"] == "429"
    assert {path: rules.allowed(f"http://a{path}", agent) for path in expected} == expected


def test_a_status_that_is_too_often_or_none_disallows_for_now() -> None:
    assert [judge(status) for status in (200, 204, 299)] == ["parse"] * 3
    assert [judge(status) for status in (301, 304, 400, 404, 410, 451, 499)] == ["allow"] * 7
    assert [judge(status) for status in (429, 500, 503, 599, 999, 600, 100, 0)] == ["disallow"] * 8


def test_the_constants() -> None:
    assert ALLOW_ALL.allowed("http://a/x", "bot")
    assert ALLOW_ALL.deciding_line("http://a/x", "bot") is None
    assert not DISALLOW_ALL.allowed("http://a/x", "bot")
    assert DISALLOW_ALL.deciding_line("http://a/x", "bot") == "Disallow: /"
    assert DISALLOW_ALL.allowed("http://a/robots.txt", "bot")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
def test_line_ends_and_marks(end: bytes, mark: bytes) -> None:
    rules = parse(mark + end.join([b"User-agent: bot", b"Disallow: /x", b"", b"Sitemap: http://a/s.xml"]))
    assert not rules.allowed("http://a/x", "bot")
    assert rules.allowed("http://a/y", "bot")
    assert rules.deciding_line("http://a/x", "bot") == "Disallow: /x"
    assert rules.sitemaps == ("http://a/s.xml",)


def test_at_least_500_kib_are_read_and_no_more() -> None:
    comments = b"# comment\n" * (499 * 1024 // 10)
    assert not parse(comments + b"User-agent: *\nDisallow: /x\n").allowed("http://a/x", "bot")
    rules = parse(b"User-agent: *\nDisallow: /x\n" + b"# comment\n" * 1_000_000)
    assert not rules.allowed("http://a/x", "bot")
    assert len(rules.body) <= MAX_BYTES


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_a_rule_that_is_cut_is_dropped(end: bytes) -> None:
    head = end.join([b"User-agent: *", b"Disallow: /x", b"#"])
    filler = b"#" * (MAX_BYTES - len(head) - len(end) - len(b"Disallow: /"))
    rules = parse(head + filler + end + b"Disallow: /only/this" + end)
    assert not rules.allowed("http://a/x", "bot")
    assert rules.allowed("http://a/y", "bot")
    assert parse(b"x" * (MAX_BYTES + 1)).body == b""


def test_an_empty_rule_ends_a_group_and_other_records_do_not() -> None:
    ended = parse(b"User-agent: a\nDisallow:\nUser-agent: b\nDisallow: /\n")
    assert ended.allowed("http://a/x", "a")
    assert not ended.allowed("http://a/x", "b")
    for other in (b"Sitemap: http://a/", b"Crawl-delay: 5", b"Host: a", b"nonsense", b""):
        merged = parse(b"User-agent: a\n" + other + b"\nUser-agent: b\nDisallow: /\n")
        assert not merged.allowed("http://a/x", "a"), other


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/%7ejoe/", "/~joe/x", True),
        ("/~joe/", "/~joe/x", True),
        ("/a%2fb", "/a/b", False),
        ("/a%2fb", "/a%2Fb", True),
        ("/a/b", "/a%2Fb", False),
        ("/caf\u00e9", "/caf%C3%A9", True),
        ("/caf%c3%a9", "/caf%C3%A9", True),
        ("/a b", "/a%20b", True),
        ("/a|b^", "/a|b%5E", True),
        ("/it's", "/?", False),
        ("/?q='x'", "/?q=%27x%27", True),
        ("/file-with-a-%2A.html", "/file-with-a-*.html", True),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/a$b", "/a$b", True),
        ("/a$b", "/a", False),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", True),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", True),
        ("*.pdf$", "/a/b.pdf", True),
        ("/**/x", "/a/b/x", True),
        ("/a*", "/a", True),
        ("/a*$", "/abc", True),
        ("/a*b*b$", "/ab", False),
        ("/a*b*b$", "/abb", True),
        ("/x", "/X", False),
        ("/index.html", "/", False),
        ("x", "/x", False),
        ("/", "", True),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    rules = parse(f"User-agent: *\nDisallow: {pattern}\n".encode())
    assert rules.allowed(f"http://host{path}", "bot") is not matches


@pytest.mark.parametrize(
    ("value", "delay"),
    [
        ("10", 10.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("10 # seconds", 10.0),
        ("86400", MAX_CRAWL_DELAY),
        ("9" * 400, MAX_CRAWL_DELAY),
        *((nonsense, None) for nonsense in ("0", "0.0", "-1", "1.5s", "10 s", "nan", "inf", "-inf", "1e3", "1,5", "")),
        ("\u0661", None),
    ],
)
def test_crawl_delay(value: str, delay: float | None) -> None:
    rules = parse(f"User-agent: *\nCrawl-delay: {value}\n".encode())
    assert rules.crawl_delay("bot") == delay


def test_crawl_delay_is_that_of_the_own_groups() -> None:
    rules = parse(
        b"User-agent: a\nCrawl-delay: 2\nDisallow: /x\n"
        b"User-agent: *\nCrawl-delay: 9\nAllow: /\n"
        b"User-agent: b\nDisallow: /\n"
        b"User-agent: a\nCrawl-delay: 5\nCrawl-delay: 3\nCrawl-delay: nonsense\n"
    )
    assert (rules.crawl_delay("A"), rules.crawl_delay("b"), rules.crawl_delay("c")) == (5.0, None, 9.0)


def test_sitemaps_stand_outside_of_groups() -> None:
    rules = parse(
        "Sitemap: https://a/1.xml\nUser-agent: x\nsitemap:https://a/é.xml\nSITE-MAP: /3\n"
        "Sitemap https://a/4.xml\nSitemap:\nSitemap: https://a/1.xml\n".encode()
    )
    assert rules.sitemaps == ("https://a/1.xml", "https://a/é.xml", "/3", "https://a/4.xml")


def test_the_line_that_decided() -> None:
    rules = parse(
        b"User-agent: bot\r\nDisallow: /x # mine\r\n  Allow:/x/open\r\nDisallow: /*.pdf$\r\n"
        b"User-agent: *\r\nDisallow: /\r\nDisallow: /caf\xe9\r\n"
    )
    assert rules.deciding_line("http://a/x/1", "Bot") == "Disallow: /x # mine"
    assert rules.deciding_line("http://a/x/open", "bot") == "Allow:/x/open"
    assert rules.deciding_line("http://a/y.pdf", "bot") == "Disallow: /*.pdf$"
    assert rules.deciding_line("http://a/y", "bot") is None
    assert rules.deciding_line("http://a/y", "other") == "Disallow: /"
    assert rules.deciding_line("http://a/caf%E9", "other") == "Disallow: /caf\ufffd"


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [
        ("ExampleBot/2.1 (+http://example.com/bot)", "ExampleBot"),
        ("example-bot_x/1", "example-bot_x"),
        ("my crawler", "my"),
        ("Crawler2/1.0", "Crawler"),
        ("Mozilla/5.0 (compatible; ExampleBot/0.1; https://www.example.com/bot.html)", "ExampleBot"),
        ("Mozilla/5.0 (X11; Linux) Gecko", "Mozilla"),
        ("  Bot ", "Bot"),
        ("007/1", ""),
        ("", ""),
    ],
)
def test_product_token(user_agent: str, token: str) -> None:
    assert product_token(user_agent) == token
    rules = parse(f"User-agent: {token.upper()}\nDisallow: /\nUser-agent: *\nAllow: /\n".encode())
    assert rules.allowed("http://a/x", product_token(user_agent)) is not bool(token)


@pytest.mark.parametrize(
    ("user_agent", "said"),
    [
        ("ExampleBot/2.1 (+http://example.com/bot)", ()),
        ("my crawler", ()),
        ("Mozilla/5.0 (compatible; ExampleBot/0.1; https://www.example.com/bot.html)", ()),
        ("Mozilla/5.0 (X11; Linux) Gecko", ()),
        ("(nobody)", ()),
        ("2bot/1.0", ("'2bot'", "only the groups for *")),
        ("bot3/1.0", ("'bot3'", "'bot'")),
        ("MJ12bot/1.0", ("'MJ12bot'", "'MJ'")),
        ("Mozilla/5.0 (compatible; 360Spider)", ("'Mozilla'",)),
        ("Mozilla/5.0 (compatible; Bot360/1; x)", ("'Bot360'", "'Bot'")),
        ("my.bot", ("'my.bot'", "'my'")),
    ],
)
def test_a_name_that_robots_txt_cannot_name_is_said(user_agent: str, said: tuple[str, ...]) -> None:
    hint = robots.hint_at_token(user_agent)
    assert (hint is not None) == bool(said)
    assert all(words in (hint or "") for words in said)


def test_a_name_without_letters_is_nobody() -> None:
    rules = parse(b"User-agent: 007\nDisallow: /\n")
    assert rules.allowed("http://a/", "") and rules.allowed("http://a/", "007")


def test_rules_are_rebuilt_from_what_is_stored() -> None:
    rules = parse(b"User-agent: *\nDisallow: /x\nCrawl-delay: 3\n" + b"# more\n" * 100_000)
    again = parse(rules.body)
    assert again == rules and hash(again) == hash(rules)
    assert not again.allowed("http://a/x", "bot")
    assert again.crawl_delay("bot") == 3.0
    assert parse(b"User-agent: *\n") != rules


PATTERNS = st.text(st.sampled_from("/ab*$"), min_size=1, max_size=7)
RULES = st.lists(st.tuples(st.booleans(), PATTERNS), max_size=8)
PATHS = st.text(st.sampled_from("/ab"), max_size=8).map("/{}".format)
LONG_PATTERNS = st.text(st.sampled_from("ab*"), min_size=4, max_size=14).map("/{}".format)
LONG_PATHS = st.text(st.sampled_from("ab"), min_size=8, max_size=24).map("/{}".format)


def oracle(rules: list[tuple[bool, str]], path: str) -> bool:
    """The definition of RFC 9309 section 2.2.2, spelled out."""
    best = (0, True)
    for allow, pattern in rules:
        anchored = pattern.endswith("$")
        body = pattern[:-1] if anchored else pattern
        literal = body.replace("$", "%24")
        wanted = ".*".join(re.escape(part) for part in literal.split("*")) + ("$" if anchored else "")
        if re.match(wanted, path):
            best = max(best, (len(literal) + anchored, allow))
    return best[1]


@settings(deadline=None, max_examples=500)
@given(RULES, PATHS)
@example([(False, "/a*"), (True, "/a")], "/ab")
@example([(False, "/a"), (True, "/*")], "/ab")
def test_the_longest_match_decides_and_its_line_is_named(rules: list[tuple[bool, str]], path: str) -> None:
    lines = [f"{'Allow' if allow else 'Disallow'}: {pattern}" for allow, pattern in rules]
    parsed = parse("\n".join(["User-agent: *", *lines]).encode())
    url = f"http://host{path}"
    assert parsed.allowed(url, "bot") == oracle(rules, path)
    line = parsed.deciding_line(url, "bot")
    assert line is None or line in lines
    assert parsed.allowed(url, "bot") == (line is None or line.startswith("Allow"))


@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), PATTERNS | LONG_PATTERNS), max_size=12), PATHS | LONG_PATHS)
@example([(False, "/*aab*"), (True, "/*abba")], "/aabba")
@example([(False, "*"), (True, "**")], "/")
def test_many_wildcards_are_found_by_an_index(
    monkeypatch: pytest.MonkeyPatch, rules: list[tuple[bool, str]], path: str
) -> None:
    """It leaves nothing out that decides."""
    monkeypatch.setattr(robots, "_FEW", 0)
    lines = [f"{'Allow' if allow else 'Disallow'}: {pattern}" for allow, pattern in rules]
    parsed = parse("\n".join(["User-agent: *", *lines]).encode())
    assert parsed.allowed(f"http://host{path}", "bot") == oracle(rules, path)


@pytest.mark.parametrize("pattern", ["/*aaaaab{n}", "/*a*b{n}$", "/aa*a{n}aaaa", "/a*q{n}?*", "*{n}x"])
@pytest.mark.parametrize("path", ["/" + "a" * 2070, "/" + "a" * 4080, "/" + "ab0?" * 1000])
def test_of_very_many_wildcards_few_are_tried(pattern: str, path: str) -> None:
    """A file of 500 KiB of them costs no URL more than some milliseconds."""
    lines = [f"Disallow: {pattern.format(n=n)}\n" for n in range(100_000, 121_000)]
    rules = parse(b"User-agent: *\n" + "".join(lines).encode())
    assert len(list(rules._view("bot").wildcards._candidates(path))) < 100
    assert rules.allowed(f"http://host{path}", "bot")
    url = "http://host/" + pattern.strip("/$").replace("*", "-").format(n=100_777)
    assert rules.deciding_line(url, "bot") == lines[777].strip()


def test_rules_that_would_cost_too_much_are_taken_to_disallow() -> None:
    """Each of them may match as far as an index can say, and none does: they are not all tried."""
    letters = "abcdefghijklmnop"
    some = ["".join(letters[n >> shift & 15] for shift in (0, 4, 8, 12)) for n in range(20_000)]
    path = "/" + letters * 250
    for kind, allowed in (("Disallow", False), ("Allow", True)):
        rules = parse("".join(["User-agent: *\n", *(f"{kind}: /*{'*'.join(four)}*z\n" for four in some)]).encode())
        assert rules.allowed(f"http://host{path}", "bot") is allowed
        assert rules.allowed("http://host/abc", "bot")


@pytest.mark.parametrize("agents", [b"User-agent: bot\n", b"User-agent: *\n", b"User-agent: bot\nUser-agent: *\n"])
def test_a_name_that_is_repeated_repeats_no_rule(agents: bytes) -> None:
    """Neither within its group nor over many groups: memory and time are those of the text."""
    body = agents * 3000 + b"".join(b"Disallow: /%d\n" % n for n in range(3000))
    section = robots._section(body, "bot")
    assert len(section.rules) == 3000
    assert len(robots._section((agents + b"Allow: /\n") * 3000, "bot").rules) == 3000
    assert not parse(body).allowed("http://a/2999", "bot")


def test_a_delay_is_for_the_names_before_it_alone() -> None:
    """A user-agent line behind a delay begins anew for delays; the rules that follow are for all of the group."""
    rules = parse(
        b"User-agent: a\nCrawl-delay: 1\nUser-agent: b\nUser-agent: c\nSitemap: /x\nCrawl-delay: 20\nCrawl-delay: 4\n"
        b"User-agent: *\nDisallow: /x\nCrawl-delay: 7\n"
    )
    assert [rules.crawl_delay(name) for name in "abcd"] == [1.0, 20.0, 20.0, 7.0]
    assert [rules.allowed("http://h/x", name) for name in "abcd"] == [False] * 4


@pytest.mark.parametrize(
    "around",
    ["\xa0", "\u2003", "\u3000", "\u200b", "\ufeff", "\u2060", "\x0b", "\x1c", "\u202a", "\u00ad", " \xa0\t\xa0"],
)
def test_white_space_of_any_kind_is_no_part_of_a_sitemap(around: str) -> None:
    for text in (f"Sitemap:{around}https://h/s.xml{around}\n", f"Sitemap: {around}https://h/s.xml {around}\r\n"):
        assert parse(text.encode()).sitemaps == ("https://h/s.xml",)
    assert parse(f"Sitemap:{around}\n".encode()).sitemaps == ()
    assert parse(b"Sitemap:\xa0https://h/s.xml\n").sitemaps == ("https://h/s.xml",)


WORDS = [
    b"User-agent: *",
    b"Disallow: /",
    b"Allow: /%",
    b"Crawl-delay: ",
    b"Sitemap:",
    b"\n",
    b"\r",
    b"\0",
    b"\xef\xbb\xbf",
]
GARBAGE = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(WORDS) | st.binary(max_size=6)).map(b"".join))


@settings(deadline=None, max_examples=300)
@given(GARBAGE, st.text(max_size=12))
@example(b"<!DOCTYPE html><html><a href='/x'>Disallow: /</a></html>", "bot")
@example("User-agent: *\nDisallow: /".encode("utf-16"), "bot")
def test_no_bytes_do_harm(body: bytes, agent: str) -> None:
    rules = parse(body)
    assert parse(rules.body) == rules
    line = rules.deciding_line("http://a/x%20y", agent)
    assert rules.allowed("http://a/x%20y", agent) == (line is None or not re.match(r"\W*di?s?", line, re.IGNORECASE))
    delay = rules.crawl_delay(agent)
    assert delay is None or 0 < delay <= MAX_CRAWL_DELAY
    assert all(isinstance(sitemap, str) and sitemap for sitemap in rules.sitemaps)
    assert rules.allowed("http://a/robots.txt", agent)


def test_html_allows_all() -> None:
    rules = parse(b"<!DOCTYPE html>\n<html><body>User-agent: *\n<p>Disallow: /</p></body></html>")
    assert rules.allowed("http://a/x", "bot")


def test_a_long_line_is_cut_as_google_cuts_it() -> None:
    rules = parse(b"User-agent: *\nDisallow: /" + b"a" * 100_000)
    assert rules.deciding_line("http://host/" + "a" * (robots._MAX_LINE - len("Disallow: /")), "bot")
    assert rules.allowed("http://host/" + "a" * (robots._MAX_LINE - len("Disallow: /") - 1), "bot")
