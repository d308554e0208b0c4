"""URLs against the cases of web-platform-tests and publicsuffix.org, and the promises that others build on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler import url as urls
from crawler.errors import InvalidURL

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
