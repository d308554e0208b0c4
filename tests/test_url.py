"""URLs against the cases of web-platform-tests and publicsuffix.org, and the promises that others build on."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.url import Form

DATA = Path(__file__).parent / "data"


def cases(name: str) -> list[Any]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


HTTP = cases("url/wpt_urltestdata_http.jsonl")
ELSEWHERE = cases("url/wpt_urltestdata_nonhttp_result.jsonl")
SUFFIXES = [case for case in cases("psl/test_psl.jsonl") if case["domain"] is not None]

EMPTY_LABELS = {".example.com", ".example.example"}
"""No names of the DNS, so no page can be had there; a browser takes them for hosts, and so do we."""

NAMELESS = {"http://./", "http://../", "http://foo.09../"}
"""Hosts whose last label is empty: a browser takes them for hosts, and we refuse them."""


def refusal(url: str, base: str | None = None) -> str:
    with pytest.raises(InvalidURL) as caught:
        urls.canonicalize(url, base)
    assert caught.value.reason in urls.REFUSALS
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_the_data_is_whole() -> None:
    assert (len(HTTP), len(ELSEWHERE), len(SUFFIXES)) == (446, 36, 77)
    assert sum(case["failure"] for case in HTTP) == 199


@pytest.mark.parametrize("case", HTTP, ids=lambda case: f"wpt{case['id']}")
def test_a_reference_resolves_as_in_a_browser(case: Any) -> None:
    if case["failure"]:
        with pytest.raises(InvalidURL, match="invalid"):
            urls.resolve(case["input"], case["base"])
        assert refusal(case["input"], case["base"]) == "invalid"
    else:
        assert urls.resolve(case["input"], case["base"]) == case["href"]


@pytest.mark.parametrize("case", [case for case in HTTP if not case["failure"]], ids=lambda case: f"wpt{case['id']}")
def test_the_canonical_form_is_a_fixed_point_without_a_fragment(case: Any) -> None:
    try:
        url = urls.canonicalize(case["input"], case["base"])
    except InvalidURL as error:
        assert error.reason == "userinfo" or case["href"] in NAMELESS
    else:
        assert urls.canonicalize(url) == url
        assert urls.join(*urls.split(url)) == url
        assert "#" not in url and url.isascii()


@pytest.mark.parametrize("case", ELSEWHERE, ids=lambda case: f"wpt{case['id']}")
def test_a_reference_that_leads_out_of_http_is_refused(case: Any) -> None:
    assert urls.resolve(case["input"], case["base"]) == case["href"]
    assert refusal(case["input"], case["base"]) == "scheme"


@pytest.mark.parametrize("case", SUFFIXES, ids=lambda case: case["domain"])
def test_the_site_is_the_registered_domain(case: Any) -> None:
    def host(domain: str) -> str:
        return urls.host(urls.canonicalize(f"http://{domain}/"))

    expected = host(case["registrable"] or case["domain"])
    if case["domain"] in EMPTY_LABELS:
        expected = expected.removeprefix(".")
    assert urls.site_of_host(host(case["domain"])) == expected


@pytest.mark.parametrize(
    ("reference", "canonical"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("http://example.org:80/", "http://example.org/"),
        ("https://example.org:/", "https://example.org/"),
        ("http://a.:80/", "http://a/"),
        ("http://a.:8080/x", "http://a:8080/x"),
        ("http://example.org./x", "http://example.org/x"),
        ("http://1.2.3.4./", "http://1.2.3.4/"),
        ("http://0x7f.1./", "http://127.0.0.1/"),
        ("http://a/ b\tc\nd", "http://a/%20bcd"),
        ("  http://a/  ", "http://a/"),
        ("http:\\\\a\\b", "http://a/b"),
        ("http://a?x", "http://a/?x"),
        ("http://a/#x", "http://a/"),
        ("http://a/?#x", "http://a/?"),
        ("http://a/%7euser/%2f%c3%a9?%2d", "http://a/~user/%2F%C3%A9?-"),
        ("http://a/%2%65", "http://a/%2%65"),
        ("http://a/%%36%31", "http://a/%%36%31"),
        ("http://a/%zz%ab", "http://a/%zz%AB"),
        ("http://a/x/%2e%2E/y", "http://a/y"),
        ("http://a/\ud800x", "http://a/%EF%BF%BDx"),
        ("http://faß.example/é", "http://xn--fa-hia.example/%C3%A9"),
        ("http://[::FFFF:127.0.0.1]:80/", "http://[::ffff:7f00:1]/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("https://:@test", "https://test/"),
    ],
)
def test_one_spelling(reference: str, canonical: str) -> None:
    assert urls.canonicalize(reference) == canonical
    assert urls.canonicalize(canonical) == canonical


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("", "invalid"),
        ("/path", "invalid"),
        ("http://", "invalid"),
        ("http:///", "invalid"),
        ("http://./", "invalid"),
        ("http://.:80/", "invalid"),
        ("http://a../", "invalid"),
        ("http://a..:8080/", "invalid"),
        ("http://1.2.3.4../", "invalid"),
        ("http://[::1/", "invalid"),
        ("http://a:99999/", "invalid"),
        ("http://\ud800/", "invalid"),
        ("javascript:alert(1)", "scheme"),
        ("mailto:a@example.org", "scheme"),
        ("data:,x", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("http://user@example.org/", "userinfo"),
        ("http://a/" + "x" * urls.MAX_URL, "too-long"),
        ("http://a/" + "x" * 2_000_000, "too-long"),
        ("data:," + "x" * 2_000_000, "too-long"),
    ],
    ids=lambda value: value[:30] or "empty",
)
def test_refusals_are_counted_words(reference: str, reason: str) -> None:
    assert refusal(reference) == reason


def test_a_refusal_does_not_repeat_the_password() -> None:
    with pytest.raises(InvalidURL) as caught:
        urls.canonicalize("http://user:s3cret@example.org/x")
    assert "s3cret" not in str(caught.value) + caught.value.url


def test_the_longest_url_is_accepted() -> None:
    longest = "http://a/" + "x" * (urls.MAX_URL - len("http://a/"))
    assert urls.canonicalize(longest) == longest
    assert refusal(longest + "x") == "too-long"


def test_an_empty_reference_is_the_base_without_its_fragment() -> None:
    assert urls.canonicalize("", "http://a/b?c#d") == "http://a/b?c"
    assert urls.canonicalize("#top", "http://a/b?c#d") == "http://a/b?c"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://a/", ("a", 0, "/")),
        ("https://a/b?c", ("a", 1, "/b?c")),
        ("http://a:443/", ("a", 2, "/")),
        ("https://a:80/", ("a", 3, "/")),
        ("http://a:8080/", ("a:8080", 0, "/")),
        ("https://a:8443/?x=https://b:80/", ("a:8443", 1, "/?x=https://b:80/")),
        ("http://[::1]:443/", ("[::1]", 2, "/")),
        ("https://[::1]:80/", ("[::1]", 3, "/")),
        ("http://[::443]/", ("[::443]", 0, "/")),
    ],
)
def test_split_and_join(url: str, parts: tuple[str, int, str]) -> None:
    assert urls.canonicalize(url) == url
    assert urls.split(url) == parts
    assert urls.join(*parts) == url
    assert urls.host(url) == parts[0]
    assert urls.origin(*parts[:2]) == url.removesuffix(parts[2])


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://a.example/", ("a.example", 80)),
        ("https://a.example:8443/x", ("a.example", 8443)),
        ("https://[::1]/", ("::1", 443)),
        ("http://[a/", ("", 0)),
        ("http://a.example:99999/", ("", 0)),
    ],
)
def test_name_and_port(url: str, place: tuple[str, int]) -> None:
    assert urls.name_and_port(url) == place


def test_ports_80_and_443_of_a_name_are_one_host() -> None:
    four = ("http://a/", "https://a/", "http://a:443/", "https://a:80/")
    assert {urls.host(url) for url in four} == {"a"}
    assert len({urls.split(url)[1] for url in four}) == 4
    assert urls.host("http://a:8080/") != "a"


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("www.example.co.uk", "example.co.uk"),
        ("www.example.co.uk:8080", "example.co.uk"),
        ("foo.github.io", "foo.github.io"),
        ("a.foo.github.io", "foo.github.io"),
        ("github.io", "github.io"),
        ("github.io:8080", "github.io:8080"),
        ("co.uk", "co.uk"),
        ("com", "com"),
        ("localhost", "localhost"),
        ("localhost:8000", "localhost:8000"),
        ("a.localhost:8000", "a.localhost:8000"),
        ("wiki.corp", "wiki.corp"),
        ("a.b.wiki.corp:81", "wiki.corp"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("[::1]", "[::1]"),
        ("[::1]:8000", "[::1]:8000"),
        ("www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("a.b.xn--fiqs8s", "b.xn--fiqs8s"),
        ("xn--fiqs8s", "xn--fiqs8s"),
        ("a_b.example.org", "example.org"),
    ],
)
def test_site_of_host(host: str, site: str) -> None:
    assert urls.site_of_host(host) == site
    assert urls.site(f"http://{host}/x") == site


def test_the_id_is_63_bits_and_keyed() -> None:
    url = "http://example.org/"
    assert urls.url_id(url, b"salt") == urls.url_id(url, b"salt")
    assert urls.url_id(url, b"salt") != urls.url_id(url, b"other")
    ids = [int(urls.url_id(f"{url}{n}", b"s" * 64)) for n in range(2000)]
    assert len(set(ids)) == len(ids)
    assert min(ids) >= 0
    assert 2**62 <= max(ids) < 2**63


HOSTS = st.sampled_from(
    ["a", "a.b", "A.b.", "1.2.3.4", "0x7f.1.", "[::1]", "xn--fa-hia.de", "é.org", "a..", "a%2eb", "."]
)
PORTS = st.sampled_from(["", ":", ":80", ":443", ":8080", ":0"])
TAILS = st.text(st.sampled_from("/.%2eEaA61?&=:;#\\ \t*~-_'é\ud800\x00|[]"), max_size=24)
ANY_URL = st.builds("{}://{}{}/{}".format, st.sampled_from(["http", "https", "HTTP"]), HOSTS, PORTS, TAILS)


@settings(deadline=None, max_examples=400)
@given(ANY_URL)
@example("http://a/%2%65%2%65/")
@example("http://a/%%%32%65")
@example("http://1.2.3.4../")
def test_canonicalizing_twice_changes_nothing(reference: str) -> None:
    try:
        url = urls.canonicalize(reference)
    except InvalidURL as error:
        assert error.reason in urls.REFUSALS
        return
    assert urls.canonicalize(url) == url
    assert urls.canonicalize(url, "https://elsewhere.example/") == url
    assert urls.join(*urls.split(url)) == url
    assert urls.host(url) == urls.split(url)[0]
    assert urls.site(url) == urls.site_of_host(urls.host(url))
    assert 0 <= int(urls.url_id(url, b"salt")) < 2**63


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60), st.sampled_from([None, "http://example.org/a/b?c", "https://[::1]:80/"]))
def test_anything_is_resolved_or_refused(reference: str, base: str | None) -> None:
    try:
        url = urls.canonicalize(reference, base)
    except InvalidURL as error:
        assert error.reason in urls.REFUSALS
    else:
        assert url.startswith(("http://", "https://"))
        assert urls.canonicalize(url) == url


# -- forms -------------------------------------------------------------------------------------------------------------

DOCS = (Path(__file__).parent.parent / "docs" / "urls.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """What stands under a heading of docs/urls.md, up to the next one."""
    return DOCS.split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]


def table(text: str, *columns: str) -> list[tuple[str, str]]:
    """The rows of the table with these *columns*."""
    rows = text.split(f"| {' | '.join(columns)} |\n|---|---|\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", rows, re.MULTILINE)


CANONICAL = table(section("The canonical form"), "found", "canonical")
APART = table(section("The canonical form"), "one", "other")
MERGED = [
    (Form(**{option: True}), url, becomes)
    for option in ("strip_tracking", "strip_sessions", "sort_query")
    for url, becomes in table(section(f"`--{option.replace('_', '-')}`"), "canonical", "becomes")
]
ONE_SCHEME = table(section("`--one-scheme`"), "canonical", "counts as")
FORMS = [Form(*options) for options in product((False, True), repeat=4)]


def test_the_examples_of_the_docs_are_read() -> None:
    assert (len(CANONICAL), len(APART), len(MERGED), len(ONE_SCHEME)) == (13, 12, 35, 6)
    assert len(CANONICAL) + len(APART) + len(MERGED) + len(ONE_SCHEME) == len(re.findall(r"^\| `", DOCS, re.MULTILINE))


@pytest.mark.parametrize(("found", "canonical"), CANONICAL)
def test_the_docs_show_the_canonical_form(found: str, canonical: str) -> None:
    assert urls.canonicalize(found) == canonical != found


@pytest.mark.parametrize(("one", "other"), APART)
def test_the_docs_show_what_stays_apart(one: str, other: str) -> None:
    assert urls.canonicalize(one) == one != other == urls.canonicalize(other)


@pytest.mark.parametrize(("form", "url", "becomes"), MERGED)
def test_the_docs_show_what_each_option_makes(form: Form, url: str, becomes: str) -> None:
    assert urls.canonicalize(url) == url
    assert form.apply(url) == form.identity(url) == becomes
    assert Form().apply(url) == url


@pytest.mark.parametrize(("url", "identity"), ONE_SCHEME)
def test_the_docs_show_what_one_scheme_merges(url: str, identity: str) -> None:
    form = Form(one_scheme=True)
    assert urls.canonicalize(url) == url == form.apply(url)
    assert form.identity(url) == identity


def test_the_docs_name_each_tracking_parameter() -> None:
    listed = section("`--strip-tracking`").split("\n\n")[1]
    assert tuple(re.findall("`([^`]+)`", listed)) == urls.TRACKING
    assert len(set(urls.TRACKING)) == len(urls.TRACKING)
    for name in urls.TRACKING:
        url = f"http://a/?x&{name.replace('*', 'anything').upper()}=1"
        assert Form(strip_tracking=True).apply(url) == "http://a/?x"


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("http://a/?q=%7E&utm_source=100%", "http://a/?q=~"),
        ("http://a/%7E;jsessionid=%", "http://a/~"),
        ("http://a/?utm%5Fsource=1&gclid=%", "http://a/"),
        ("http://a/?a;gclid=1&fbclid=2", "http://a/?a"),
        ("http://a/?gclid=1&?b&a", "http://a/??b&a"),
        ("http://a/?&gclid=1", "http://a/"),
        ("http://a/?amp;gclid=1&amp;amp;fbclid=2&amp;b", "http://a/?amp;b"),
        ("http://a/?cfid=1&amp;cfid=2", "http://a/?cfid=1&amp;cfid=2"),
        ("http://a/;jsessionid=1", "http://a/"),
        ("http://a/;jsessionid=1;phpsessid=2/;jsessionid=3/b", "http://a///b"),
        ("http://a/.;jsessionid=1", "http://a/.;jsessionid=1"),
        ("http://a/%2E.;jsessionid=1/?%", "http://a/%2E.;jsessionid=1/?%"),
        ("http://a/(S(lit3py55t21z5v55vlm25s55));jsessionid=1/x", "http://a/x"),
        ("http://a/x?y=/(S(lit3py55t21z5v55vlm25s55))/z", "http://a/x?y=/(S(lit3py55t21z5v55vlm25s55))/z"),
        ("http://a(s(lit3py55t21z5v55vlm25s55))/x", "http://a(s(lit3py55t21z5v55vlm25s55))/x"),
        ("http://a/?sid=0123456789abcdef!", "http://a/?sid=0123456789abcdef!"),
        ("http://a/?sid=0123456789abcde", "http://a/?sid=0123456789abcde"),
        ("http://a/?mysid=0123456789abcdef", "http://a/?mysid=0123456789abcdef"),
    ],
)
def test_stripping_where_it_is_delicate(url: str, becomes: str) -> None:
    assert urls.canonicalize(url) == url
    assert Form(strip_tracking=True, strip_sessions=True).apply(url) == becomes
    assert urls.canonicalize(becomes) == becomes


def test_hostile_urls_take_no_time() -> None:
    """The patterns are linear, and what was hidden twice is found in a few steps: this ends within the limit."""
    form = Form(strip_tracking=True, strip_sessions=True, sort_query=True)
    for piece in (";jsessionid=1", "/(A(a)", "/(S(0123456789abcdef01234567))", "?amp;", "?a;sid=0&", "?b&gclid=%&"):
        url = urls.canonicalize("http://a/" + piece * (4000 // len(piece)))
        for _ in range(100):
            assert len(form.apply(url)) <= len(url)


PIECES = st.sampled_from(
    [
        *("a", "b=1", "b=2", "B", "", "=", "gclid=1", "utm_x", "amp;fbclid=%", "cfid=1", "cftoken=2", "sid=3", "?"),
        *(
            "sid=0123456789abcdef",
            "PHPSESSID=x",
            "a=1;gclid=2",
            "%",
            "%7E",
            "utm%5Fy=%2",
            "amp",
            "x=%7e%zz",
            "q=\u00e9",
        ),
    ]
)
QUERIES = st.one_of(
    st.just(""),
    st.builds("?{}".format, st.lists(st.tuples(PIECES, st.sampled_from("&&&;")).map("".join), max_size=6).map("".join)),
    st.builds("?{}".format, st.lists(PIECES, max_size=6).map("&".join)),
)
SEGMENTS = st.sampled_from(
    [
        *("a", "", ".", "..", "%2e", "%2E%2e", "%7e", "%", "é", ";jsessionid=1", ";sessionid=0123456789abcdef", ";v=1"),
        *("/", "(S(lit3py55t21z5v55vlm25s55))", "(A(x)S(lit3py55t21z5v55vlm25s55))", ";phpsessid=%", "/"),
    ]
)
PATHS = st.lists(SEGMENTS, max_size=8).map("".join)
DECORATED = st.builds(
    "{}://{}{}/{}{}".format, st.sampled_from(["http", "https"]), HOSTS, PORTS, PATHS, st.one_of(QUERIES, TAILS)
)


def canonical_of(reference: str) -> str | None:
    try:
        return urls.canonicalize(reference)
    except InvalidURL:
        return None


@settings(deadline=None, max_examples=500)
@given(DECORATED, st.sampled_from(FORMS))
@example("http://a/?q=%7E&gclid=%", Form(True, True, True, True))
@example("http://a/%2e%2E;jsessionid=1/?%", Form(True, True, True, True))
def test_a_form_is_canonical_and_a_fixed_point(reference: str, form: Form) -> None:
    url = canonical_of(reference)
    if url is not None:
        applied = form.apply(url)
        assert urls.canonicalize(applied) == applied == form.apply(applied)
        assert len(applied) <= len(url)
        assert urls.split(applied)[:2] == urls.split(url)[:2]
        assert form.identity(applied) == form.identity(url)
        assert form.identity(url) in (applied, applied.replace("http:", "https:", 1))
        assert form.plain == (form == Form())


@settings(deadline=None, max_examples=200)
@given(DECORATED, DECORATED, st.sampled_from(FORMS))
def test_what_has_one_form_has_one_identity(reference: str, other: str, form: Form) -> None:
    one, two = canonical_of(reference), canonical_of(other)
    if one is not None and two is not None:
        assert form.apply(one) != form.apply(two) or form.identity(one) == form.identity(two)
        twins = {one.replace("http:", "https:", 1), one.replace("https:", "http:", 1)}
        merged = form.one_scheme and all(urls.split(url)[1] < 2 and ":" not in urls.host(url) for url in twins)
        if "[" not in one:
            assert len({form.identity(url) for url in twins}) == (1 if merged else 2)


@settings(deadline=None, max_examples=200)
@given(DECORATED)
def test_the_plain_form_changes_nothing(reference: str) -> None:
    url = canonical_of(reference)
    if url is not None:
        assert Form().apply(url) is url is Form().identity(url)
        assert Form().plain


@settings(deadline=None, max_examples=300)
@given(DECORATED)
def test_sorting_loses_no_parameter_and_keeps_those_of_a_name_in_order(reference: str) -> None:
    url = canonical_of(reference)
    if url is not None:
        base, mark, query = url.partition("?")
        applied = Form(sort_query=True).apply(url)
        before, after = query.split("&"), applied[len(base + mark) :].split("&")
        assert applied.startswith(base + mark) or not query
        assert sorted(before) == sorted(after)
        names = [pair.partition("=")[0] for pair in after]
        assert names == sorted(names)
        for name in set(names):
            assert [p for p in before if p.partition("=")[0] == name] == [
                p for p in after if p.partition("=")[0] == name
            ]


@settings(deadline=None, max_examples=300)
@given(DECORATED, st.sampled_from([form for form in FORMS if not form.sort_query]))
def test_stripping_keeps_the_order_of_what_stays(reference: str, form: Form) -> None:
    url = canonical_of(reference)
    if url is not None and not urls._STRAY_PERCENT.search(url):
        left = iter(url)
        assert all(char in left for char in form.apply(url))


@pytest.mark.parametrize(
    ("url", "bad"),
    [
        ("http://a.example/", False),
        ("http://a.example:25/", True),
        ("https://a.example:6667/x?y", True),
        ("http://a:0/", True),
        ("http://[::1]:22/", True),
        ("http://[::25]/", False),
        ("http://a.example/x:25/", False),
        ("http://a.example/?u=http://b:25/", False),
        ("https://a.example:80/", False),
        ("http://a.example:8080/", False),
        ("http://a.example:10080/", True),
        ("http://a.example:2525/", False),
    ],
)
def test_ports_that_browsers_refuse(url: str, bad: bool) -> None:
    assert urls.has_bad_port(url) is bad
    assert urls.leads_to_bad_port("http://other.example/", url) is bad
    assert urls.leads_to_bad_port(url, url) is False


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("example.org", "https://example.org"),
        ("www.example.org:443/a?b=c", "https://www.example.org:443/a?b=c"),
        ("example.org:8080", "http://example.org:8080"),
        ("localhost/a", "http://localhost/a"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000/", "http://[::1]:8000/"),
        ("builder:8000", "http://builder:8000"),
        ("http:/host/x", "http://host/x"),
        ("HTTPS//example.org", "https://example.org"),
        *(
            (text, "")
            for text in ("seeds.txt", "seeds", "/etc/hosts", "a@example.org", "two words.org", "tel:5551234", "")
        ),
    ],
)
def test_what_is_meant_where_a_scheme_is_missing(text: str, url: str) -> None:
    assert urls.meant(text) == url
    if url:
        urls.canonicalize(url)


def test_a_url_that_a_person_gives_is_guessed_only_if_it_is_none() -> None:
    assert urls.given("http:/host/x") == "http://host/x"
    with pytest.raises(InvalidURL, match=r"did you mean http://127\.0\.0\.1:8000\?") as caught:
        urls.given("127.0.0.1:8000")
    assert caught.value.reason == "invalid"
    with pytest.raises(InvalidURL, match="only http and https"):
        urls.given("ftp://example.org")
