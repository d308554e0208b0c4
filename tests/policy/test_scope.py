"""Which URLs join the crawl: roots, filters, limits and traps."""

from __future__ import annotations

import re
import time
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler import pattern
from crawler import url as urls
from crawler.errors import UsageError
from crawler.policy import scope as scopes
from crawler.policy.scope import Scope

DEEP = "https://docs.example.co.uk:8443/en/latest/page.html?next=/x/y/"


@pytest.mark.parametrize(
    ("kind", "seed", "root"),
    [
        ("site", DEEP, "example.co.uk"),
        ("all", DEEP, "example.co.uk"),
        ("host", DEEP, "docs.example.co.uk:8443"),
        ("prefix", DEEP, "docs.example.co.uk:8443/en/latest/"),
        ("prefix", "http://a/docs", "a/"),
        ("prefix", "http://a/docs/", "a/docs/"),
        ("prefix", "https://a:80/", "a/"),
        ("site", "http://localhost:8000/x", "localhost:8000"),
        ("host", "http://[::1]:8000/x", "[::1]:8000"),
    ],
)
def test_the_root_of_a_seed(kind: scopes.ScopeKind, seed: str, root: str) -> None:
    scope = Scope(kind)
    assert scope.root_of(seed) == root
    assert scope.in_scope(seed, {root})
    assert root in scope.candidates(seed)


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        ("site", ["http://example.org/", "https://www.example.org:81/x"], ["http://example.com/", "http://notexample.org/"]),
        ("host", ["http://www.example.org/y", "https://www.example.org/"], ["http://example.org/", "http://www.example.org:81/"]),
        (
            "prefix",
            ["http://www.example.org/docs/", "https://www.example.org/docs/a/b?c", "http://www.example.org/docs/z"],
            ["http://www.example.org/docs", "http://www.example.org/docsx/", "http://example.org/docs/", "http://a/?/docs/"],
        ),
    ],
)  # fmt: skip
def test_links_under_a_root(kind: scopes.ScopeKind, inside: list[str], outside: list[str]) -> None:
    scope = Scope(kind)
    roots = {scope.root_of("https://www.example.org/docs/index.html"), "unrelated"}
    assert [url for url in inside if not scope.in_scope(url, roots)] == []
    assert [url for url in outside if scope.in_scope(url, roots)] == []


def test_all_needs_no_root_and_still_names_the_site() -> None:
    scope = Scope("all")
    assert scope.in_scope("http://anything.example/", set())
    assert scope.candidates("http://www.example.org/x") == ("example.org",)


def test_candidates_of_a_prefix_are_its_folders() -> None:
    candidates = Scope("prefix").candidates("http://a:81/b/c/d?e=/f/")
    assert candidates == ("a:81/", "a:81/b/", "a:81/b/c/")


@settings(deadline=None)
@given(
    st.sampled_from(["host", "site", "prefix"]),
    st.lists(st.sampled_from(["a", "b", "c.html", ""]), max_size=6).map("/".join),
    st.lists(st.sampled_from(["a", "b", "c.html", ""]), max_size=6).map("/".join),
)
def test_candidates_and_in_scope_agree(kind: scopes.ScopeKind, seed: str, link: str) -> None:
    scope = Scope(kind)
    root = scope.root_of(urls.canonicalize(f"http://www.example.org/{seed}"))
    url = urls.canonicalize(f"https://www.example.org/{link}")
    assert scope.in_scope(url, {root}) == (root in scope.candidates(url))
    if kind == "prefix":
        assert scope.in_scope(url, {root}) == (url.removeprefix("https://").startswith(root))


def test_depth_and_hops() -> None:
    scope = Scope(max_depth=2, max_hops=3)
    url = "http://a/"
    assert scope.admit(url, 2, 3) is None
    assert scope.admit(url, 3, 0) == "depth"
    assert scope.admit(url, 0, 4) == "hops"
    assert Scope(max_depth=0).admit(url, 1) == "depth"
    assert Scope().admit(url, 255, 20) is None


def test_filters() -> None:
    scope = Scope(include=(r"/docs/", r"\.pdf$"), exclude=(r"[?&]print=1", "(?i)/PRIVATE/"))
    assert scope.admit("http://a/docs/x", 1) is None
    assert scope.admit("http://a/x.pdf", 1) is None
    assert scope.admit("http://a/x.pdf?y", 1) == "include"
    assert scope.admit("http://a/docs/?print=1", 1) == "exclude"
    assert scope.admit("http://a/docs/private/", 1) == "exclude"
    assert Scope(exclude=("^http://a/$",)).admit("http://a/b", 1) is None


@pytest.mark.parametrize(
    ("pattern", "position"),
    [("a[b", 1), ("(", 0), ("x(?=y)", 1), ("x(?<!y)", 1), (r"(a)\1", 3), ("ab{5000}", 2), ("*", 0), ("a\n(", 2)],
)
def test_a_filter_that_cannot_be_used_is_named_in_one_line(pattern: str, position: int) -> None:
    for settings_, flag in (({"include": ("ok", pattern)}, "--include"), ({"exclude": (pattern,)}, "--exclude")):
        with pytest.raises(UsageError) as caught:
            Scope(**settings_)
        message = str(caught.value)
        assert message.startswith(f"{flag} {pattern!r} ")
        assert f"position {position}" in message
        assert "\n" not in message


def test_a_filter_that_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="surrogates not allowed"):
        Scope(include=("\ud800",))


def test_a_filter_writes_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError):
        Scope(include=("(?=x)",))
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(find_spec("re2") is None, reason="google-re2 has no wheel here")
def test_no_url_hangs_a_filter() -> None:
    scope = Scope(max_url=4096, exclude=("(a+)+$", "(a|a)*b$", "(.*.*)*=$"))
    began = time.process_time()
    assert scope.admit("http://x/" + "a" * 4000 + "!", 1) is None
    assert time.process_time() - began < 5  # a backtracking engine would need longer than the sun has


def test_without_re2_the_filters_are_those_of_re(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pattern, "re2", None)
    scope = Scope(include=(r"/\d+$",))
    assert scope.admit("http://a/12", 1) is None
    assert scope.admit("http://a/b", 1) == "include"
    with pytest.raises(UsageError, match="position 0"):
        Scope(include=("[",))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a/b/c/d/e/f/g/h", None),
        ("http://a/2011/11/11/11/page", None),
        ("http://a/0/0/0", None),
        ("http://a/x/x/x/x", "trap-repeat"),
        ("http://a/x/x/x/x/", "trap-repeat"),
        ("http://a/y/x/x/x/x/z", "trap-repeat"),
        ("http://a/x/y/x/z/x/y/x", None),
        ("http://a/" + "a/b/" * 3, None),
        ("http://a/" + "a/b/" * 4, "trap-repeat"),
        ("http://a/start/" + "a/b/c/" * 4 + "end?x", "trap-repeat"),
        ("http://a/?u=/x/x/x/x/x/x/x", None),
        ("http://a/b?u=" + "/x" * 50, None),
        ("http://a/" + "/".join(map(str, range(40))), None),
        ("http://a/" + "/".join(map(str, range(41))), "trap-segments"),
        ("http://a/" + "x" * (2083 - 9), None),
        ("http://a/" + "x" * (2084 - 9), "trap-length"),
    ],
)
def test_traps(url: str, reason: str | None) -> None:
    assert urls.canonicalize(url) == url
    assert Scope().admit(url, 1) == reason


@given(st.lists(st.sampled_from("ab"), max_size=14))
def test_repetition_is_what_a_regex_would_find(segments: list[str]) -> None:
    found = re.search(r"((?:/[ab])+)\1{3}", "/" + "/".join(segments) if segments else "")
    assert (Scope().admit("http://x/" + "/".join(segments), 1) == "trap-repeat") == bool(found)


def test_each_reason_is_listed_and_reachable() -> None:
    scope = Scope(max_depth=5, include=("x",), exclude=("y",))
    reached = {
        scope.admit("http://x/", 6),
        scope.admit("http://x/", 0, 21),
        scope.admit("http://a/", 0),
        scope.admit("http://xy/", 0),
        scope.admit("http://x/" + "x" * 3000, 0),
        scope.admit("http://x" + "/x" * 5, 0),
        scope.admit("http://x/" + "/".join(map(str, range(50))), 0),
        "scope",
    }
    assert reached == set(scopes.REFUSALS)
    assert not set(scopes.REFUSALS) & set(urls.REFUSALS)


def test_equal_settings_make_equal_scopes() -> None:
    assert Scope(include=("a",)) == Scope(include=("a",))
    assert hash(Scope(include=("a",))) == hash(Scope(include=("a",)))
    assert Scope(include=("a",)) != Scope(exclude=("a",))
    with pytest.raises(AttributeError):
        Scope().kind = "all"  # type: ignore[misc]
