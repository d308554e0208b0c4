"""URLs that grow: the crawl of pages that are alike ends, whatever their URLs add; other sites are whole.

The sites are functions, the crawl is a loop, and the frontier's part is played in a few lines.
"""

from __future__ import annotations

import random
import string
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

import pytest

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.fetch.fetcher import Headers, Response
from crawler.frontier.messages import TemplateSample
from crawler.parse.page import Page
from crawler.policy import traps
from crawler.policy.scope import Scope
from crawler.worker.trap_sampler import TrapSampler

A: Final = "http://a.example"
SAME: Final = "The same event"
MAX_PAGES: Final = 400
"""Pages after which each of these traps has ended."""

Site = Callable[[str], tuple[str, Sequence[str]]]


@dataclass(slots=True)
class Crawl:
    """One worker on one host, with what `judge_templates` would do."""

    fetched: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    traps: set[str] = field(default_factory=set)
    _counted: dict[str, list[str]] = field(default_factory=dict)

    def run(self, site: Site, start: str, most: int = 5_000) -> Crawl:
        harvest, queue, seen = TrapSampler(), deque([start]), {start}
        while queue and len(self.fetched) < most:
            url = queue.popleft()
            if traps.trap_of(url, self.traps):
                self.dropped.append(url)
                continue
            self.fetched.append(url)
            text, references = site(url)
            links = [link for link in _links(url, references) if not Scope().admit(link, 1)]
            harvest.page(url, Page(url, Response(url, 200, Headers(), b"x"), text=text, is_html=True, outlinks=links))
            self._judge(harvest.take(due=len(self.fetched) % 10 == 0))
            fresh = [link for link in links if link not in seen and not traps.trap_of(link, self.traps)]
            seen.update(fresh)
            queue.extend(dict.fromkeys(fresh))
        return self

    def _judge(self, samples: Sequence[TemplateSample]) -> None:
        """As judge_templates.lua, whose windows begin anew here with each new fingerprint that is not one of few."""
        for sample in samples:
            prints = self._counted.setdefault(sample.template, [])
            prints += sample.prints
            if len(prints) >= 100:
                if len(set(prints)) < 10:
                    self.traps.add(sample.template)
                prints.clear()


def _links(base: str, references: Sequence[str]) -> list[str]:
    found = []
    for reference in references:
        try:
            found.append(urls.canonicalize(reference, base))
        except InvalidURL:
            continue
    return [link for link in found if urls.host(link) == "a.example"]


DICE: Final = random.Random(7)


def word() -> str:
    return "".join(DICE.choices(string.ascii_lowercase, k=6))


def own(url: str) -> str:
    """A text of its own for each URL, without its words."""
    return " ".join(
        f"w{letter}" for letter in str(crc32(url.encode())).translate(str.maketrans("0123456789", "qwertyuiop"))
    )


def segments(url: str) -> list[str]:
    return [part for part in url[len(A) :].partition("?")[0].split("/") if part]


def with_query(url: str, *pairs: str) -> list[str]:
    return [f"{url}{'&' if '?' in url else '?'}{pair}" for pair in pairs]


def escaped(url: str) -> tuple[str, list[str]]:
    """Each round escapes the ampersands and percent signs once more."""
    query = url.partition("?")[2]
    again = query.replace("%", "%25").replace(";", "%3B")
    return SAME, [f"/l?{query}&amp;p={len(query)}", f"/l?{again}&amp;p={len(query)}", f"/l?amp;{again}"]


def crumbs(url: str) -> tuple[str, list[str]]:
    return f"You are at {' > '.join(segments(url))}. {SAME}", ["help/", "www.two.example/"]


def titled(url: str) -> tuple[str, list[str]]:
    """Breadcrumbs as people write them."""
    names = [name.replace("-", " ").title() for name in segments(url)]
    return f"Home / {' / '.join(names)} {SAME}", ["help-desk/", "other_news/"]


def many_parents(url: str) -> tuple[str, list[str]]:
    """Forty folders with a page of their own, below each of which any tail is answered."""
    parts = segments(url)
    if not parts:
        return "home", [f"/docs/p{letter}{n}/" for letter in "abcdefghij" for n in "wxyz"]
    return (own(url) if len(parts) == 2 else SAME), ["help/", "www.two.example/"]


TRAPS: Final[dict[str, tuple[Site, str]]] = {
    "tails": (lambda _: (SAME, ["www.one.example", "www.two.example/", "help/"]), "/list/"),
    "ten tails": (lambda _: (SAME, [f"{name}/" for name in "abcdefghij"]), "/list/"),
    "tails at the root": (lambda _: (SAME, ["www.two.example/", "help/"]), "/"),
    "tails of other words": (lambda _: (SAME, [f"{DICE.choice('abcdefgh') * 3}/", f"{word()}/"]), "/list/"),
    "tails with numbers": (lambda url: (SAME, [f"{len(url)}/", "help/"]), "/list/"),
    "tails below many folders": (many_parents, "/"),
    "breadcrumbs": (crumbs, "/list/"),
    "breadcrumbs as titles": (titled, "/list/"),
    "matrix parameters": (lambda url: (SAME, [f"{url};{word()}", f"{url};{word()}"]), "/list"),
    "more and more parameters": (lambda url: (SAME, with_query(url, f"{word()}=1", f"{word()}=2")), "/l?p=1"),
    "parameters of any name": (lambda _: (SAME, [f"/l?{word()}=1", f"/l?{word()}"]), "/l?p=1"),
    "a hundred tails": (lambda _: (SAME, [f"{a}{b}/" for a in "abcdefghij" for b in "klmnopqrst"]), "/list/"),
    "names of any kind": (lambda _: (SAME, [f"/tags/{word()}", f"/tags/{word()}/"]), "/tags/"),
    "names at the root": (lambda _: (SAME, [f"/{word()}", f"/{word()}"]), "/x"),
    "names in folders of any name": (lambda _: (SAME, [f"/l/{word()}/{word()}" for _ in "ab"]), "/l/"),
    "names that come again": (lambda _: (SAME, [f"/l/{word()}/", "../other/", f"{word()}/"]), "/l/"),
    "ampersands escaped again": (escaped, "/l?p=1"),
    "path and query": (
        lambda url: (SAME, [f"{url.partition('?')[0]}{name}/?{word()}={word()}" for name in ("help", "more")]),
        "/list/",
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_whose_urls_grow_ends_by_itself(name: str) -> None:
    site, start = TRAPS[name]
    crawl = Crawl().run(site, A + start)
    assert len(crawl.fetched) < MAX_PAGES
    assert crawl.traps
    assert crawl.dropped, "it can be released again"


def tree(url: str) -> tuple[str, list[str]]:
    """A documentation: much text that all pages share, a sentence of their own, five levels."""
    level = len(segments(url))
    letters = "abcde" if level < 6 else ""
    return f"Documentation of the library. {own(url)} Copyright, imprint", [
        f"{letter}{'x' * level}/" for letter in letters
    ]


def filters(url: str) -> tuple[str, list[str]]:
    """A shop's filters in many combinations, each with results of its own."""
    rest = "abcdefgh"["abcdefgh".find(url[-3]) + 1 :]
    return f"Results {own(url)}", with_query(url, *(f"{letter}=x" for letter in rest))


def pagination(url: str) -> tuple[str, list[str]]:
    if "post" in url:
        return own(url), []
    number = int(segments(url)[-1])
    return own(url), [f"/blog/page/{number % 300 + 1}", *(f"/blog/post/{number}-{letter}/talk" for letter in "abc")]


def stubs(url: str) -> tuple[str, list[str]]:
    """A wiki: one page of five is written, the others say that they are not."""
    here = crc32(url.encode())
    links = [f"/wiki/{''.join(chr(97 + (here >> shift & 7)) for shift in (n, n + 5, n + 9, n + 15))}" for n in range(6)]
    return (own(url) if here % 5 == 0 or len(url) < 20 else SAME), links


def empty_shop(url: str) -> tuple[str, list[str]]:
    """Six hundred of seven hundred pages say the same, but they do not grow."""
    if url == f"{A}/":
        return "home", [f"/shop/item/{word()}" for _ in range(600)] + [f"/shop/kind/{word()}/about" for _ in range(100)]
    return (SAME if "item" in url else own(url)), ["/"]


def listings(url: str) -> tuple[str, list[str]]:
    """An index of folders, of which the innermost are empty: all that these have is a link to the folder above."""
    parts = segments(url)
    children = [f"{letter}{crc32(url.encode()):x}/" for letter in "vwxyz"] if len(parts) < 5 else []
    return f"Index of /{'/'.join(parts)} {' '.join(children)}", ["../" if len(parts) > 1 else "./", *children]


def plain_shop(url: str) -> tuple[str, list[str]]:
    """Products that differ in nothing but their name, and name each other."""
    if url == f"{A}/":
        return "home", [f"/shop/coats/{a}{b}-coat/" for a in "abcdefghijklmnopqrst" for b in "uvwxyzabcdefghi"]
    name = segments(url)[-1].replace("-", " ").title()
    return f"{name}. Add to cart. Shipping", [f"/shop/coats/{'abcdefghijklmnopqrst'[len(own(url)) % 20]}u-coat/"]


WHOLE: Final[dict[str, tuple[Site, str, int]]] = {
    "documentation": (tree, "/docs/", 3906),
    "filters": (filters, "/find?q=x", 256),
    "pagination": (pagination, "/blog/page/1", 300 * 4),
    "a wiki with stubs": (stubs, "/wiki/a", 4083),
    "pages that say the same": (empty_shop, "/", 701),
    "empty folders": (listings, "/files/", 781),
    "a shop of few words": (plain_shop, "/", 301),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_site_that_does_not_repeat_itself_is_whole(name: str) -> None:
    site, start, pages = WHOLE[name]
    crawl = Crawl().run(site, A + start)
    assert (len(crawl.fetched), crawl.traps) == (pages, set())


def test_what_lies_beside_a_trap_is_left_alone() -> None:
    """The trap's own folder is found, not one above it that has good pages."""

    def site(url: str) -> tuple[str, list[str]]:
        if "trap" in segments(url):
            return SAME, ["help/", "www.two.example/"]
        return tree(url)[0], [*tree(url)[1], "/docs/trap/"]

    crawl = Crawl().run(site, f"{A}/docs/")
    assert crawl.traps == {"a.example/docs/trap/**"}
    assert sum("trap" not in url for url in crawl.fetched) == 3906
    assert sum("trap" in url for url in crawl.fetched) < MAX_PAGES


def test_only_urls_two_segments_below_are_of_a_glob() -> None:
    found = ("a.example/list/**",)
    assert [traps.trap_of(f"{A}{path}", found) for path in ("/list/", "/list/a", "/list/a/", "/other/a/b")] == [
        None
    ] * 4
    assert {traps.trap_of(f"{A}{path}", found) for path in ("/list/a/b", "/list/a/b/c/?q", "/list/a;b")} == {*found}
    of_query = ("a.example/item/#?**",)
    assert traps.trap_of(f"{A}/item/7?x", of_query) == "a.example/item/#?**"
    assert traps.trap_of(f"{A}/item/7", of_query) is None


@pytest.mark.parametrize(
    "query",
    [
        "p=1",
        "amp;p=1",
        "amp%3Bp=2",
        "amp%253Bp=3",
        "amp;amp;p=1&amp;p=2",
        "amp%25253Bamp%3Bp=1",
        "p=1&amp;amp%3Bp",
        "p=1&amp%253B%3Bp=2",
    ],
)
def test_names_that_were_escaped_again_are_one(query: str) -> None:
    assert traps.template(f"{A}/l?{query}") == "a.example/l?p=*"
