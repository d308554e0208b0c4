"""The pages of the demo: five small sites that show common cases of crawling, generated from a seed number.

Pure: the same seed and origins give the same answers. Each answer carries the outcome that a crawler must reach.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from crawler.url import canonicalize


@dataclass(frozen=True, slots=True)
class Site:
    """One host of the demo."""

    name: str
    title: str
    colour: str
    robots: str | None = None
    """Its robots.txt; None: there is no such file."""
    disallowed: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    """Path prefixes, as in `robots`; the longest match decides (RFC 9309 section 2.2.2)."""
    wait: float = 0.0
    """Seconds before each answer."""


SITES: Final = (
    Site("docs", "The Lantern Manual", "#7a4b12"),
    Site("blog", "Notes from the Harbour", "#15527a", robots="User-agent: *\nDisallow:\n"),
    Site("shop", "Wick & Brass", "#7a1538"),
    Site(
        "town",
        "The Town of Little Ebb",
        "#1d6b3a",
        robots="User-agent: *\nDisallow: /council/\nAllow: /council/minutes/\nCrawl-delay: 0.2\n",
        disallowed=("/council/",),
        allowed=("/council/minutes/",),
    ),
    Site("observatory", "The Slow Observatory", "#43307a", wait=0.4),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A site's answer for one URL."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    location: str | None = None
    """The target of a redirect: an absolute URL."""
    gzipped: bytes | None = None
    """The body for clients that accept gzip."""
    noindex: bool = False
    links: tuple[str, ...] = ()
    """The canonical URLs that a crawler may follow from here, on any host."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a page, by its absolute URL."""

    text: str
    url: str
    rel: str = ""


def not_found(site: Site) -> Answer:
    """The answer to a URL that does not exist."""
    body = _html(site, "Nothing here", ["<p>There is no such page. The link that led here is broken.</p>"], "", [])
    return Answer(body.encode(), status=404)


def build(origins: Mapping[str, str], seed: int) -> dict[str, Answer]:
    """The answers of all sites by canonical URL. *origins* has `http://host:port` by the site's name."""
    writer = _Writer(origins, seed)
    _docs(writer)
    _blog(writer)
    _shop(writer)
    _town(writer)
    _observatory(writer)
    return writer.answers


# -- writing pages -----------------------------------------------------------------------------------------------------


def _words(text: str) -> list[str]:
    return text.split()


_ADJECTIVES: Final = _words("quiet brass northern early crooked patient amber hollow salted narrow gentle winding")
_NOUNS: Final = _words("lantern harbour window ladder compass kettle tide bridge ledger orchard beacon archive")
_VERBS: Final = _words("guides follows mends answers measures carries welcomes remembers outlasts shelters")
_ENDS: Final = (
    "before the evening ferry",
    "as it has for a hundred years",
    "whenever the wind turns",
    "without a sound",
    "though nobody asked for it",
    "in the light of a single lamp",
    "and that is reason enough",
    "so that the next one is easier",
)

_STYLE: Final = (
    "body{{font:17px/1.6 Georgia,serif;color:#222;background:#faf8f4;max-width:44em;margin:2em auto;padding:0 1em}}"
    "header{{border-bottom:3px solid {0};padding-bottom:.4em}}header b{{color:{0};font-size:1.2em}}"
    "h1{{line-height:1.2}}a{{color:{0}}}nav a{{margin-right:1em}}ul{{columns:2}}"
    "footer{{margin-top:3em;color:#777;font-size:.85em}}"
)


def _html(site: Site, heading: str, content: Iterable[str], head: str, ring: Iterable[str], lang: str = "en") -> str:
    return (
        f'<!doctype html>\n<html lang="{lang}"><head>{head}<title>{escape(heading)} · {escape(site.title)}</title>'
        f"<style>{_STYLE.format(site.colour)}</style></head>\n<body>\n"
        f"<header><b>{escape(site.title)}</b><nav>{' '.join(ring)}</nav></header>\n"
        f"<main><h1>{escape(heading)}</h1>\n" + "\n".join(content) + "\n</main>\n"
        "<footer>Part of the demo of a crawler: served by your own machine, to nobody else.</footer></body></html>\n"
    )


class _Writer:
    """Collects the answers; one method per kind of answer."""

    def __init__(self, origins: Mapping[str, str], seed: int) -> None:
        self.answers: dict[str, Answer] = {}
        self._origins = origins
        self._random = random.Random(seed)
        self._ring = [Link(site.title, self.url(site.name, "/")) for site in SITES]

    def url(self, site: str, path: str) -> str:
        """The absolute URL of a path, which may have any characters."""
        return self._origins[site] + path

    def title(self) -> str:
        """A heading such as "The Quiet Lantern"."""
        return f"The {self._random.choice(_ADJECTIVES).title()} {self._random.choice(_NOUNS).title()}"

    def paragraphs(self, count: int) -> list[str]:
        """Text that looks real."""
        pick = self._random.choice
        return [
            "<p>"
            + " ".join(
                f"The {pick(_ADJECTIVES)} {pick(_NOUNS)} {pick(_VERBS)} the {pick(_NOUNS)} {pick(_ENDS)}."
                for _ in range(self._random.randint(3, 7))
            )
            + "</p>"
            for _ in range(count)
        ]

    def page(
        self, site: str, path: str, heading: str, links: Sequence[Link], *, robots: str = "", base: str = ""
    ) -> None:
        """A page with text and *links*. *robots* is the content of its robots meta; *base* is a path for `<base>`."""
        about = next(s for s in SITES if s.name == site)
        head = f'<meta name="robots" content="{robots}">' if robots else ""
        head += f'<base href="{base}">' if base else ""
        shorten = self.url(site, base or "/")
        ring = [_anchor(link, shorten, bool(base)) for link in self._ring]
        listed = [f"<li>{_anchor(link, shorten, bool(base))}</li>" for link in links]
        content = [*self.paragraphs(self._random.randint(4, 8)), "<ul>", *listed, "</ul>"]
        body = _html(about, heading, content, head, ring).encode()
        followed = () if "nofollow" in robots else _followed([*self._ring, *links])
        self._keep(site, path, Answer(body, noindex="noindex" in robots, links=followed))

    def redirect(self, site: str, path: str, target: str, status: int = 301) -> None:
        """A redirect to the absolute URL *target*."""
        self._keep(site, path, Answer(status=status, location=target, links=(canonicalize(target),)))

    def compress(self, site: str, path: str) -> None:
        """Let the page be sent with `Content-Encoding: gzip`."""
        plain = self.answers[canonicalize(self.url(site, path))]
        packed = gzip.compress(plain.body, mtime=0)
        self._keep(site, path, Answer(plain.body, gzipped=packed, noindex=plain.noindex, links=plain.links))

    def russian(self, site: str, path: str, heading: str, links: Sequence[Link]) -> None:
        """A page in windows-1251, declared only in its `<meta>`."""
        about = next(s for s in SITES if s.name == site)
        content = ["<p>Фонарь горит у причала, и каждый вечер кто-то приходит его проверить.</p>"] * 3  # noqa: RUF001
        content += [_anchor(link, self.url(site, "/"), False) for link in links]
        text = _html(about, heading, content, '<meta charset="windows-1251">', [], "ru")
        body = text.encode("cp1251", "xmlcharrefreplace")
        self._keep(site, path, Answer(body, content_type="text/html", links=_followed(links)))

    def book(self, site: str, path: str) -> None:
        """A file that is no page: a crawler need not read it."""
        body = b"PK\x03\x04" + b"A stand-in for a large file. " * 700
        self._keep(site, path, Answer(body, content_type="application/epub+zip"))

    def _keep(self, site: str, path: str, answer: Answer) -> None:
        self.answers[canonicalize(self.url(site, path))] = answer


def _anchor(link: Link, shorten: str, bare: bool) -> str:
    """The `<a>`. URLs that begin with *shorten* are written relative to it, with a slash unless *bare*."""
    href = link.url
    if href.startswith(shorten):
        href = href[len(shorten) :] or "./" if bare else "/" + href[len(shorten) :]
    rel = f' rel="{link.rel}"' if link.rel else ""
    return f'<a href="{escape(href)}"{rel}>{escape(link.text)}</a>'


def _followed(links: Iterable[Link]) -> tuple[str, ...]:
    web = (link.url for link in links if link.url.startswith("http") and link.rel != "nofollow")
    return tuple(dict.fromkeys(canonicalize(url) for url in web))


# -- the sites ---------------------------------------------------------------------------------------------------------


def _docs(w: _Writer) -> None:
    """Chapters with sections, a glossary with `<base>`, a Russian corner, redirects, a gzip page, a PDF."""
    chapters = _words("first-light wicks oils housings signals weather repairs history")
    for chapter in chapters:
        sections = [f"/guide/{chapter}/{n}" for n in range(1, 15)]
        links = [Link(f"Section {n}", w.url("docs", path)) for n, path in enumerate(sections, 1)]
        w.page("docs", f"/guide/{chapter}/", f"Chapter: {chapter.replace('-', ' ')}", links)
        for n, path in enumerate(sections):
            near = [Link("Contents", w.url("docs", f"/guide/{chapter}/#contents")), *links[max(n - 1, 0) : n + 2 : 2]]
            w.page("docs", path, w.title(), near)
    contents = [Link(f"Chapter: {chapter}", w.url("docs", f"/guide/{chapter}/")) for chapter in chapters]
    w.page("docs", "/glossary", "Glossary", [*contents, Link("This guide", w.url("docs", "/guide/"))], base="/guide/")
    w.page("docs", "/guide/", "Contents", contents)
    w.page("docs", "/changes", "Changes", contents)
    w.compress("docs", "/changes")
    w.russian("docs", "/ru/", "Справочник фонарщика", [Link("История", w.url("docs", "/ru/история"))])
    w.russian("docs", "/ru/история", "История", [Link("Назад", w.url("docs", "/ru/"))])
    w.book("docs", "/manual.epub")
    hops = ["/latest", "/stable", "/v4", "/guide/"]
    for here, there in pairwise(hops):
        w.redirect("docs", here, w.url("docs", there), 302)
    w.redirect("docs", "/left", w.url("docs", "/right"))
    w.redirect("docs", "/right", w.url("docs", "/left"))
    w.redirect("docs", "/mirror", w.url("docs", "/mirror"), 307)
    odd = _words("glossary changes ru/ manual.epub latest left mirror chapter-that-was-never-written")
    w.page("docs", "/", "Welcome", [*contents, *(Link(path, w.url("docs", f"/{path}")) for path in odd)])


def _blog(w: _Writer) -> None:
    """Posts, eight a page, with tags; drafts (noindex), a guestbook (nofollow), a link with rel=nofollow."""
    posts = [(f"/20{20 + n // 12}/{n % 12 + 1:02}/post-{n}", w.title()) for n in range(40)]
    tags = _words("weather ships recipes letters tools people")
    pages = [posts[start : start + 8] for start in range(0, len(posts), 8)]
    for number, listed in enumerate(pages, 1):
        links = [Link(title, w.url("blog", path)) for path, title in listed]
        if number < len(pages):
            links.append(Link("Older posts", w.url("blog", f"/page/{number + 1}")))
        if number == 1:
            links += [Link(f"#{tag}", w.url("blog", f"/tag/{tag}")) for tag in tags]
            links += [Link("Drafts", w.url("blog", "/drafts/")), Link("Guestbook", w.url("blog", "/guestbook"))]
        w.page("blog", "/" if number == 1 else f"/page/{number}", w.title(), links)
    for n, (path, title) in enumerate(posts):
        links = [Link(f"#{tags[n % 6]}", w.url("blog", f"/tag/{tags[n % 6]}"))]
        links.append(Link("Log in to comment", w.url("blog", "/login"), rel="nofollow"))
        links.append(Link("A lamp like this one", w.url("shop", f"/item/{n}")))
        if n % 13 == 5:
            links.append(Link("A post that was deleted", w.url("blog", f"/deleted/{n}")))
        w.page("blog", path, title, links)
    for n, tag in enumerate(tags):
        w.page("blog", f"/tag/{tag}", f"Posts about {tag}", [Link(t, w.url("blog", p)) for p, t in posts[n::6]])
    w.page("blog", "/drafts/", "Drafts", [Link("A sketch", w.url("blog", "/drafts/sketch"))], robots="noindex")
    w.page("blog", "/drafts/sketch", w.title(), [Link("Write to us", "mailto:harbour@example.org")])
    w.page("blog", "/guestbook", "Guestbook", [Link("Spam", w.url("blog", "/spam"))], robots="nofollow")
    w.page("blog", "/login", "Log in", [])
    w.page("blog", "/spam", "Spam", [])


def _shop(w: _Writer) -> None:
    """Categories of two pages, items, some sold out (404), old addresses that redirect, a catalogue as PDF."""
    categories = _words("lamps oils wicks glass tools gifts")
    for c, category in enumerate(categories):
        items = [Link(f"Item {n}", w.url("shop", f"/item/{n}")) for n in range(c, 54, len(categories))]
        second = Link("More", w.url("shop", f"/category/{category}?page=2"))
        w.page("shop", f"/category/{category}", category.title(), [*items[:5], second])
        w.page("shop", f"/category/{category}?page=2", f"{category.title()}, page 2", items[5:])
    for n in set(range(54)) - {7, 23, 41}:
        category = categories[n % len(categories)]
        links = [Link(category.title(), w.url("shop", f"/category/{category}#top"))]
        links.append(Link("How to use it", w.url("docs", f"/guide/wicks/{n % 14 + 1}")))
        links.append(Link("The maker", "https://example.org/maker"))  # out of scope: never requested
        w.page("shop", f"/item/{n}", w.title(), links)
    w.redirect("shop", "/sale", w.url("shop", "/offers"))
    w.redirect("shop", "/offers", w.url("shop", "/category/gifts"), 302)
    w.redirect("shop", "/help", w.url("docs", "/guide/"), 308)
    w.book("shop", "/catalogue.epub")
    links = [Link(category.title(), w.url("shop", f"/category/{category}")) for category in categories]
    w.page("shop", "/category/", "All categories", [*links, Link("Catalogue", w.url("shop", "/catalogue.epub"))])
    odd = [Link(path, w.url("shop", f"/{path}")) for path in ("sale", "help", "category/")]
    w.page("shop", "/", "Fine lamps", [*links, *odd])


def _town(w: _Writer) -> None:
    """Notices, a calendar that ends, and a part that robots.txt disallows, except for the minutes."""
    months = [f"/calendar/{year}-{month:02}" for year in (2025, 2026) for month in range(1, 13)]
    for n, path in enumerate(months):
        near = [Link(p.rpartition("/")[2], w.url("town", p)) for p in months[max(n - 1, 0) : n + 2 : 2]]
        w.page("town", path, f"Calendar {path[-7:]}", near)
    council = [Link(f"Papers {n}", w.url("town", f"/council/papers/{n}")) for n in range(1, 5)]
    minutes = [Link(f"Minutes {n}", w.url("town", f"/council/minutes/{n}")) for n in range(1, 4)]
    for link in (*council, *minutes):
        w.page("town", link.url.removeprefix(w.url("town", "")), link.text, [])
    notices = [f"/notices/{n}" for n in range(1, 9)]
    for path in notices:
        w.page("town", path, w.title(), [Link("Calendar", w.url("town", months[12]))])
    links = [Link(f"Notice {path[-1]}", w.url("town", path)) for path in notices]
    links += [*council, *minutes, Link("Calendar", w.url("town", months[0]))]
    w.page("town", "/", "Welcome to Little Ebb", links)


def _observatory(w: _Writer) -> None:
    """A few slow pages."""
    nights = [Link(f"Night {n}", w.url("observatory", f"/night/{n}")) for n in range(1, 8)]
    for n, link in enumerate(nights):
        w.page("observatory", f"/night/{n + 1}", link.text, nights[n + 1 : n + 2])
    w.page("observatory", "/", "Observations", nights[:3])
