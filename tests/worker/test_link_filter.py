"""Which outlinks become requests: what is known is not sent again, what has no root is refused, until that changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import RedisAway
from crawler.policy.scope import Scope
from crawler.record import Request
from crawler.worker.link_filter import MAX_ASKED, LinkFilter, SeenCache, is_private_name


class Roots:
    """The roots of a crawl as Redis would tell them; counts what it is asked."""

    def __init__(self, *roots: str) -> None:
        self.roots = set(roots)
        self.asked: list[str] = []
        self.away = False

    def __call__(self, candidates: Sequence[str]) -> list[bool]:
        if self.away:
            raise RedisAway("away")
        self.asked += candidates
        return [candidate in self.roots for candidate in candidates]


def _links(roots: Roots, scope: Scope | None = None) -> LinkFilter:
    return LinkFilter(scope or Scope(), roots)


A, B, C = "http://a.example/", "http://b.example/", "http://c.example/"


def test_those_under_a_root_become_requests() -> None:
    links = _links(Roots("a.example"))
    requests, refused = links.admit([A, B, f"{A}x", "http://www.a.example/"], depth=2, via="7", hops=1)
    assert requests == [Request(url, 2, 1, "7") for url in (A, f"{A}x", "http://www.a.example/")]
    assert refused == {"scope": 1}


def test_redis_is_asked_once_about_each_root() -> None:
    roots = Roots("a.example")
    links = _links(roots)
    for _ in range(3):
        links.admit([A, f"{A}1", B, f"{B}2"], depth=1, via="0")
    assert sorted(roots.asked) == ["a.example", "b.example"]


def test_new_roots_are_asked_about_again() -> None:
    """When the crawl's roots grow, what was none may be one; what was one stays it."""
    roots = Roots("a.example")
    links = _links(roots)
    links.at_revision(1)
    assert links.admit([A, B], depth=1, via="0")[1] == {"scope": 1}
    roots.roots.add("b.example")
    links.at_revision(1)
    assert links.admit([B], depth=1, via="0")[0] == []
    links.at_revision(2)
    assert [request.url for request in links.admit([A, B], depth=1, via="0")[0]] == [A, B]
    assert roots.asked.count("a.example") == 1


def test_what_the_scope_refuses_is_counted_by_reason() -> None:
    links = _links(Roots("a.example"), Scope(max_depth=3, include=("/docs/",), exclude=("print",)))
    found = [f"{A}docs/1", f"{A}docs/print", f"{A}blog/", f"{B}docs/"]
    requests, refused = links.admit(found, depth=3, via="0")
    assert [request.url for request in requests] == [f"{A}docs/1"]
    assert refused == {"exclude": 1, "include": 1, "scope": 1}
    assert links.admit(found, depth=4, via="0") == ([], {"depth": 4})


def test_scope_all_asks_nobody() -> None:
    roots = Roots()
    requests, refused = _links(roots, Scope("all")).admit([A, B], depth=1, via="0")
    assert (len(requests), refused, roots.asked) == (2, {}, [])


def test_prefixes() -> None:
    links = _links(Roots("a.example/docs/"), Scope("prefix"))
    requests, refused = links.admit([f"{A}docs/x/y", f"{A}docs", f"{A}blog/docs/"], depth=1, via="0")
    assert ([request.url for request in requests], refused) == ([f"{A}docs/x/y"], {"scope": 2})


def test_ports_of_other_protocols_need_a_seed_that_names_them() -> None:
    """In whatever scope: that the name's site is a root says nothing of its mail server."""
    found = ["http://a.example:25/x", "http://a.example:6000/x", "http://a.example:8080/x"]
    for kind in ("site", "all"):
        links = _links(Roots("a.example", "a.example:6000"), Scope(kind))
        requests, refused = links.admit(found, depth=1, via="0")
        assert ([request.url for request in requests], refused) == (found[1:], {"port": 1})
        assert links.admit_sitemaps(found, A) == (found[1:], {"port": 1})
        assert [links.is_settled(link) for link in found] == [True, False, False]


def test_only_what_was_acknowledged_is_known() -> None:
    """A link that was handed out is handed out again, until its commit went through."""
    links = _links(Roots("a.example"))
    assert len(links.admit([A], depth=1, via="0")[0]) == 1
    assert len(links.admit([A], depth=1, via="0")[0]) == 1
    links.known.acknowledge([A])
    assert links.admit([A, f"{A}1"], depth=1, via="0")[0] == [Request(f"{A}1", 1, 0, "0")]
    links.known.forget()
    assert len(links.admit([A], depth=1, via="0")[0]) == 1


def test_another_scope_forgets_what_was_refused() -> None:
    links = _links(Roots("a.example"), Scope(include=("/x",)))
    assert links.admit([A], depth=1, via="0")[0] == []
    links.known.acknowledge([f"{A}x"])
    links.renew(Scope())
    assert len(links.admit([A, f"{A}x"], depth=1, via="0")[0]) == 2


def test_nothing_is_remembered_when_redis_is_away() -> None:
    roots = Roots("a.example")
    links = _links(roots)
    roots.away = True
    with pytest.raises(RedisAway):
        links.admit([A], depth=1, via="0")
    roots.away = False
    assert len(links.admit([A], depth=1, via="0")[0]) == 1


def test_seeds_are_known_by_their_root_in_any_scope() -> None:
    links = _links(Roots("127.0.0.1"), Scope("all"))
    assert links.is_seeded("http://127.0.0.1/x") is True
    assert links.is_seeded("http://127.0.0.2/") is False


@given(st.lists(st.lists(st.integers(0, 60), max_size=10), max_size=40), st.integers(1, 20))
def test_known_is_bounded_and_never_invents(batches: list[list[int]], size: int) -> None:
    """Twice so many are remembered at most, 150 bytes each; the last ones are; what was not acknowledged is unknown."""
    known, told = SeenCache(size * 2 * 150), set[str]()
    for batch in batches:
        urls = [str(n) for n in batch]
        known.acknowledge(urls)
        told.update(urls)
        if len(set(urls)) <= size:
            assert known.unknown(urls) == []
    everything = [str(n) for n in range(61)]
    unknown = known.unknown(everything)
    assert set(everything) - told <= set(unknown)
    assert len(everything) - len(unknown) <= 2 * (size + 10)
    assert all(int(a) < int(b) for a, b in pairwise(unknown))


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1/", True),
        ("http://127.0.0.1:8080/x", True),
        ("https://10.1.2.3/", True),
        ("http://8.8.8.8/", True),
        ("http://[::1]:99/", True),
        ("http://localhost/", True),
        ("http://localhost:8080/", True),
        ("http://a.localhost/", True),
        ("http://example.org/", False),
        ("http://127.0.0.1.example/", False),
        ("http://notlocalhost/", False),
        ("http://intranet/", False),
    ],
)
def test_names_that_ask_for_private_addresses(url: str, private: bool) -> None:
    assert is_private_name(url) is private


# -- what is settled ---------------------------------------------------------------------------------------------------


def _settled(links: LinkFilter) -> list[str]:
    """Which of three links are settled: one that was acknowledged, one under a root, one under none."""
    return [url for url in (A, f"{A}new", B) if links.is_settled(url)]


def test_a_link_is_settled_when_following_it_does_nothing() -> None:
    links = _links(Roots("a.example"), Scope(exclude=("/private/",)))
    assert _settled(links) == []  # of a root that was not looked up nobody is asked
    links.admit([A, B], depth=1, via="0")
    links.known.acknowledge([A])
    assert _settled(links) == [A, B]
    assert links.is_settled(f"{A}private/x") and links.is_settled(f"{A}x/x/x/x/x/x")
    assert links.is_settled("scheme") and links.is_settled("too-long")
    links.set_quarantined(["a.example/cal/#"])
    assert links.is_settled(f"{A}cal/7") and not links.is_settled(f"{A}cal/x")


def test_what_a_page_or_its_place_refuses_is_not_settled() -> None:
    """Nofollow, the cap of links, depth and redirects say nothing of the URL: another page may lead to it."""
    links = _links(Roots("a.example"), Scope(max_depth=1))
    assert links.admit([A], depth=2, via="0") == ([], {"depth": 1})
    links.admit([f"{A}seen"], depth=1, via="0")
    assert _settled(links) == []


def test_everything_is_in_scope_where_all_is() -> None:
    links = _links(Roots(), Scope("all"))
    links.admit([A, B], depth=1, via="0")
    assert _settled(links) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda links: links.known.forget(),
        lambda links: links.at_revision(7),
        lambda links: links.set_quarantined(["a.example/cal/#"]),
        lambda links: links.set_quarantined([]),
        lambda links: links.renew(Scope(exclude=("x",))),
    ],
    ids=["a reconnect", "other roots", "a quarantine", "a pardon", "other settings"],
)
def test_spellings_are_forgotten_when_what_was_settled_may_have_changed(change: Callable[[LinkFilter], None]) -> None:
    links = _links(Roots("a.example"))
    links.at_revision(1)
    table = links.settled.folder(A)
    links.settled.add(b'="x', table)
    links.at_revision(1)
    assert b'="x' in links.settled.folder(A)
    change(links)
    assert b'="x' not in links.settled.folder(A)


# -- what others found -------------------------------------------------------------------------------------------------


class Store:
    """Redis, as far as it has accepted URLs."""

    def __init__(self, *accepted: str) -> None:
        self.there = set(accepted)
        self.questions: list[list[str]] = []

    def __call__(self, links: Sequence[str]) -> list[bool]:
        self.questions.append(list(links))
        return [link in self.there for link in links]


def test_what_redis_has_accepted_from_others_is_known_from_then_on() -> None:
    store = Store(A, B)
    links = LinkFilter(Scope(kind="all"), Roots(), accepted=store)
    assert links.were_accepted([A, B])
    assert links.is_settled(A)
    assert links.is_settled(B)
    assert not links.were_accepted([A, C])
    assert not links.is_settled(C)
    assert store.questions == [[A, B], [A, C]]


def test_a_page_of_very_many_links_is_parsed_unasked() -> None:
    store = Store()
    links = LinkFilter(Scope(), Roots(), accepted=store)
    assert not links.were_accepted([f"{A}{n}" for n in range(MAX_ASKED + 1)])
    assert store.questions == []


def test_nobody_is_asked_where_nobody_can_be() -> None:
    assert not _links(Roots("a.example")).were_accepted([A])


def test_questions_in_vain_become_few_and_more_when_they_are_worth_it_again() -> None:
    store = Store()
    links = LinkFilter(Scope(), Roots(), accepted=store)
    for _ in range(1_000):
        assert not links.were_accepted([A])
    assert 50 < len(store.questions) < 150
    store.there.add(A)
    told = [links.were_accepted([A]) for _ in range(1_000)]
    assert sum(told) > 800
    assert all(told[-100:])
