"""Random sites: the report finds what a naive look at the whole site finds, nothing more and nothing less."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.checked_page import name_hash
from tests.check.crawled import SITE, Crawled, Link, Page
from tests.redis_for_tests import PrivateRedis

PATHS = [f"{SITE}/{n}" for n in range(8)]
AWAY = [f"https://x{n}.example/" for n in range(3)]
NAMES = ["a", "b", "c"]
_FOLLOWED = ("link", "frame", "canonical", "hreflang")

Places = dict[tuple[str, str], set[tuple[str, int]]]


@dataclass
class Site:
    """What each URL is: a page, an error (its status), or a redirect (status and target)."""

    pages: dict[str, Page] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, tuple[int, str]] = field(default_factory=dict)
    sitemap: list[str] = field(default_factory=list)

    def chain(self, url: str) -> tuple[list[str], bool]:
        """The URLs on the way of redirects; whether it is a circle."""
        way = [url]
        while way[-1] in self.redirects:
            way.append(self.redirects[way[-1]][1])
            if way[-1] in way[:-1]:
                return way, True
        return way, False

    def trouble(self, url: str) -> str | None:
        """The code of what is wrong with the target."""
        way, is_loop = self.chain(url)
        if is_loop:
            return "redirect-loop"
        if (status := self.errors.get(way[-1])) is not None:
            return "cannot-tell" if status == 403 else "broken"
        if len(way) > 2:
            return "redirect-chain"
        return "redirect-permanent" if len(way) == 2 and self.redirects[url][0] == 301 else None


links = st.builds(
    Link,
    url=st.sampled_from([*PATHS, *AWAY]),
    line=st.integers(1, 5),
    kind=st.sampled_from([*_FOLLOWED, "link", "link", "image"]),
    fragment=st.none() | st.sampled_from(NAMES),
).map(
    lambda one: Link(
        one.url,
        one.line,
        one.kind,
        one.fragment if one.kind == "link" else None,
        is_target=one.url in AWAY or one.kind == "image",
    )
)
pages = st.builds(
    Page,
    links=st.lists(links, max_size=6),
    names=st.none() | st.lists(st.sampled_from(NAMES)),
    title=st.none() | st.sampled_from(["One", "Two"]),
    noindex=st.booleans(),
)
redirects = st.tuples(st.sampled_from([301, 302]), st.sampled_from(PATHS))


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """A site of eight URLs, and three of others."""
    site = Site(sitemap=draw(st.lists(st.sampled_from(PATHS), unique=True)))
    for url in PATHS:
        kind = draw(st.sampled_from(["page", "page", "page", "error", "redirect", "queued"]))
        if kind == "page":
            site.pages[url] = draw(pages)
        elif kind == "error":
            site.errors[url] = draw(st.sampled_from([404, 403]))
        elif kind == "redirect":
            site.redirects[url] = draw(redirects)
    for url in AWAY:
        if draw(st.booleans()):
            site.errors[url] = draw(st.sampled_from([404, 403]))
    return site


# -- what is to be found -----------------------------------------------------------------------------------------------


def expected(site: Site) -> Places:
    """Code and target -> pages and lines; of titles without the target's text."""
    found: Places = {}
    for url, page in site.pages.items():
        for link in page.links:
            for key in of_link(site, url, page, link):
                found.setdefault(key, set()).add((url, link.line))
    for line, url in enumerate(site.sitemap, 1):
        code = site.trouble(url) or ("orphan" if is_orphan(site, url) else None)
        if code:
            found.setdefault((code, url), set()).add((f"{SITE}/sitemap.xml", line))
    return found | titles(site)


def of_link(site: Site, url: str, page: Page, link: Link) -> list[tuple[str, str]]:
    """What is wrong with one place."""
    found = []
    way, is_loop = site.chain(link.url)
    end, code = way[-1], site.trouble(link.url)
    if link.kind == "canonical":
        first = site.pages.get(link.url)
        is_noindex = first is not None and first.noindex and link.url != url
        if code == "cannot-tell":
            found.append((code, link.url))
        elif code or len(way) > 1 or is_noindex:
            found.append(("canonical-broken", link.url))
        return found
    if code:
        found.append((code, link.url))
    target = site.pages.get(link.url)
    if target is not None and target.noindex and link.kind in ("link", "frame") and link.url != url:
        found.append(("linked-noindex", link.url))
    ended = None if is_loop else site.pages.get(end)
    if ended is not None and link.fragment and ended.names is not None and link.fragment not in ended.names:
        found.append(("broken-fragment", f"{link.url}#?{name_hash(link.fragment):06x}"))
    if ended is not None and ended.names is not None and link.kind == "hreflang" and not is_returned(site, url, end):
        found.append(("hreflang-unreturned", link.url))
    return found


def form(site: Site, url: str) -> str:
    """The canonical form of what a URL ends at."""
    end = site.chain(url)[0][-1]
    named = [link.url for link in canonicals(site, end)]
    return site.chain(named[0])[0][-1] if named else end


def canonicals(site: Site, url: str) -> list[Link]:
    page = site.pages.get(url)
    links = [] if page is None else sorted(page.links, key=lambda link: link.line)
    return [link for link in links if link.kind == "canonical" and link.url != url]


def is_returned(site: Site, url: str, end: str) -> bool:
    """Whether the page names the one that names it as its translation."""
    other = form(site, end)
    if other == form(site, url):
        return True
    back = [
        link.url
        for at in (end, other)
        if at in site.pages
        for link in site.pages[at].links
        if link.kind == "hreflang" and link.url != at
    ]
    return url in back or form(site, url) in [form(site, one) for one in back]


def is_orphan(site: Site, url: str) -> bool:
    if url not in site.pages:
        return False
    return not any(
        link.kind not in ("canonical", "hreflang") and site.chain(link.url)[0][-1] == url
        for at, page in site.pages.items()
        if at != url
        for link in page.links
    )


def titles(site: Site) -> Places:
    found: Places = {}
    for title in ("One", "Two"):
        having = [
            url
            for url, page in site.pages.items()
            if page.title == title and page.names is not None and not page.noindex and not canonicals(site, url)
        ]
        if len(having) > 1:
            found["title-duplicate", title] = {(url, 0) for url in having}
    return found


def fill(crawled: Crawled, site: Site) -> None:
    """Write the site into Redis, and for each URL that is an image or of another site also its target."""
    for url, page in site.pages.items():
        crawled.page(url, page)
        crawled.record(url, title=page.title)
    for url in (*site.pages, *(url for url in AWAY if url not in site.errors)):
        crawled.state(url, is_target=True)
    for url, status in site.errors.items():
        for is_target in (False, True):
            crawled.state(url, "denied" if status == 403 else "missing", status, is_target=is_target)
    for url, (status, to) in site.redirects.items():
        for is_target in (False, True):
            crawled.redirect(url, to, status, is_target=is_target)
    named = [Link(url, line, "sitemap") for line, url in enumerate(site.sitemap, 1)]
    crawled.page(f"{SITE}/sitemap.xml", Page(named, names=None, state={"sitemap": True}))


@pytest.mark.slow
@given(site=sites(), shards=st.sampled_from([1, 3]))
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_report_is_that_of_a_naive_look_at_all(redis_server: PrivateRedis, site: Site, shards: int) -> None:
    redis_server.reset()
    crawled = Crawled(redis_server.url, shards)
    try:
        fill(crawled, site)
        found = {key: {(url, line or 0) for url, line in places} for key, places in crawled.found().items()}
    finally:
        crawled.link.close()
    assert found == expected(site)
