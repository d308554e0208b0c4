"""Response to Page: links, title, meta and text. Pure: no clock, no I/O; `Extractor` only caches resolved references.

This is the hot path of a worker. Lexbor parses and selects. For each link Python does one lookup in a table that all
pages of a folder share, because most links of a site repeat on all its pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from crawler import url as urls
from crawler.fetch.fetcher import Headers, Response
from crawler.parse import link_header, skim
from crawler.parse import visible_text as visible
from crawler.parse.bounds import bounded
from crawler.parse.charset import DEFAULT_CHARSET, decode, encode_query, find_charset
from crawler.parse.content import PlainContent, read_content, stored_text
from crawler.parse.language import language_of
from crawler.parse.page import (
    Node,
    Page,
    Tagged,
    Tree,
    clean,
    cut,
    open_shadow_roots,
    parse,
    read,
    source,
    tag_ids,
    valid,
)
from crawler.parse.page_data import read_data
from crawler.parse.page_links import MAX_PLACES, Place, page_links
from crawler.parse.references import References
from crawler.parse.refresh import parse_refresh
from crawler.parse.resolver import Resolver, base_of, folder_of
from crawler.parse.rules import NO_RULES, Rules
from crawler.parse.signs import scanner
from crawler.parse.skim import MARK, MAX_NEW, SettledLinks, end_of_head, look_at, reference, spellings
from crawler.parse.structured import Document
from crawler.parse.text_digest import text_digest
from crawler.parse.visible_text import find_nodes, visible_text
from crawler.parse.xhtml import is_xhtml

if TYPE_CHECKING:
    from crawler.parse.page_places import PlaceReader

_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_TEXT_TYPES = re.compile(r"text/|(?:application|image|model)/(?:[\w.+-]*\+)?(?:json|xml|javascript|x-ndjson|yaml)$")

_SELECTOR: Final = "[href],[src],meta,title,template"  # by attribute: Lexbor compares tag names at twice the cost
_LINKS, _FRAMES = tag_ids("a area"), tag_ids("iframe frame")
_LINK, _META, _TITLE, _SVG = (next(iter(tag_ids(name))) for name in ("link", "meta", "title", "svg"))
_BASE, _TEMPLATE, _MARK = (next(iter(tag_ids(name))) for name in ("base", "template", MARK))
_MARK_TAG: Final = f"<{MARK}>".encode()
_HTML_ALTERNATES = frozenset({"", "text/html", "application/xhtml+xml"})

# Directives whose value follows a colon, so that the word before it is no crawler's name.
_VALUED_DIRECTIVES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_AGENT = re.compile(r"[\w.*-]+")

_TEXTS: Final = frozenset(("text", "main", "markdown"))

_REFUSALS = frozenset(urls.REFUSALS) | {"cap"}


Ask = Callable[[Sequence[str]], bool]


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """What to read of a page, and how much."""

    want: frozenset[str]
    """Names in `record.CONTENTS`."""
    agent: str
    """The crawler's product token, as in robots.txt: names it in `<meta name=...>` and X-Robots-Tag."""
    extract: str = "fast"
    """Who finds the main content: `fast`, or `article` for trafilatura."""
    max_links: int = 6000
    max_text: int = 1024 * 1024
    """Bytes of UTF-8."""
    max_field: int = 2000
    """Characters of the title, the description and similar fields."""
    obey_nofollow: bool = True
    obey_noindex: bool = True
    follow_canonical: bool = True
    """`rel=canonical` is a link like others; it is read either way."""
    form: urls.Form = field(default_factory=urls.Form)
    """Which spellings of a URL the crawl treats as one."""
    places: frozenset[str] = frozenset()
    """Kinds of places, of `checked_page.PLACES`, that are read for `crawler check`."""
    rules: Rules = NO_RULES
    cache: int = 16 << 20
    """Approximate bytes of resolved references that are cached."""


def is_html(response: Response) -> bool:
    """Whether *response* is an HTML document: by its type, or if it has none, by how it begins."""
    return response.computed_type in _HTML_TYPES or is_xhtml(response.computed_type, response.body)


def is_text(response: Response) -> bool:
    """Whether *response* is text other than HTML: by its type, or if it has none, by the lack of binary bytes."""
    return _TEXT_TYPES.match(response.computed_type) is not None


def robots_directives(values: Iterable[str], agent: str) -> set[str]:
    """`noindex` and `nofollow`, if X-Robots-Tag headers or a meta's content ask *agent* for them.

    A crawler's name and a colon restrict what follows in the same value to that crawler; `none` is both. Source:
    https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag
    """
    found: set[str] = set()
    for value in values:
        applies = True
        for word in value.lower().split(","):
            name, colon, rest = word.strip().partition(":")
            if colon and name not in _VALUED_DIRECTIVES and _AGENT.fullmatch(name.rstrip()):
                applies = name.rstrip() in ("*", agent.lower())
                name = rest
            if applies:
                found.add(name.strip())
    if "none" in found:
        found |= {"noindex", "nofollow"}
    return found & {"noindex", "nofollow"}


class Extractor:
    """Reads responses into pages. Holds the caches of one worker; not for several threads."""

    def __init__(self, options: ExtractOptions) -> None:
        self.options = options
        self._resolver = Resolver(options.form, options.cache)
        self._places: PlaceReader | None = None
        if options.places:
            from crawler.parse.page_places import PlaceReader  # 40 ms to import, and few crawls check

            self._places = PlaceReader(options.places, self._resolver, texts="links" in options.want)
        # Later there may be no descriptor left to import it.
        scanner(*(visible.SIGNS if "text" in options.want else skim.SIGNS))

    def extract(
        self,
        response: Response,
        *,
        skims: bool = False,
        settled: SettledLinks | None = None,
        were_accepted: Ask | None = None,
    ) -> Page:
        """The page of *response*. Redirects (3xx) and bodies that are not text are recorded without being read.

        Its `Link` and `Refresh` headers mean what `<link>` and `<meta>` mean, and come before them.

        *skims*: a page may be read by its head alone (`Page.skimmed`), if each of its links is *settled*, or none is to
        be followed (None), and no text is wanted. Links that are not settled yet may be so by now: *were_accepted* is
        asked.
        """
        page = Page(response.url, response)
        if 300 <= response.status < 400:
            return page
        if response.body and is_html(response):
            page.is_html = True
            page.charset = find_charset(response.body, response.headers.combined("content-type"), url=response.url)
            html = source(response, page.charset)
            skims = skims and not self.options.places and not is_xhtml(response.computed_type, response.body)
            if skims and (skimmed := self._skim(page, html, settled, were_accepted)):
                return skimmed
            self.read_html(page, html)
        else:
            _Reader(page, self.options, self._resolver).read([], page.url)
            if response.body and is_text(response):
                self._read_text(page)
            if self._places:
                self._places.read(page)
        return page

    def _read_text(self, page: Page) -> None:
        response, options = page.response, self.options
        markup = "xml" in response.computed_type
        page.charset = find_charset(response.body, response.headers.combined("content-type"), markup, response.url)
        if not options.want.isdisjoint(_TEXTS) and not page.noindex:
            sample = response.body[: 4 * options.max_text + 4]
            text, truncated = cut(valid(decode(sample, page.charset)), options.max_text)
            page.text_truncated = truncated or len(sample) < len(response.body)
            page.text = text if "text" in options.want else None
            page.content = PlainContent(text, response.computed_type, page.text_truncated)
            page.lang = language_of(text) if response.computed_type == "text/plain" else None

    def _skim(self, page: Page, html: bytes, settled: SettledLinks | None, were_accepted: Ask | None) -> Page | None:
        """What *page* is by its head alone; None if that is not possible. *page* itself stays as it is."""
        end = end_of_head(html)
        if end < 0 or self.options.want:
            return None
        rest = html[end:]
        look = look_at(rest)
        if settled is not None:
            found = spellings(rest, look)
            if not self._is_settled(found, page.url, settled, were_accepted):
                return None
        tree = parse(bounded(html[:end])[0] + _MARK_TAG)
        mark = tree.body.first_child if tree.body is not None else None
        if mark is None or mark.tag_id != _MARK or mark.next is not None:
            return None
        tagged = _tagged(tree)
        if any(tag == _BASE for tag, _ in tagged):
            return None
        head = Page(page.url, page.response, page.charset, is_html=True, skimmed=True)
        _Reader(head, self.options, self._resolver).read(tagged, page.url, tree.root)
        if settled is not None and not all(map(settled.is_settled, head.outlinks)):
            return None
        canonical = head.canonical is not None
        if head.refresh is not None or look.affects_head(title=head.title is not None, canonical=canonical):
            return None
        head.outlinks, head.refused, head.links_total = [], {}, None
        return head

    def _is_settled(self, found: list[bytes], url: str, settled: SettledLinks, were_accepted: Ask | None) -> bool:
        """Whether all the spellings *found* on a page at *url* are settled."""
        table = settled.folder(folder_of(url))
        if table.issuperset(found):
            return True
        new = set(found) - table
        if len(new) > MAX_NEW:
            return False
        resolver, resolved = self._resolver, self._resolver.folder(url)
        opened: list[str] = []
        for spelling in new:
            link = reference(spelling, _parsed)
            if link is None:
                return False
            target = resolved.get(link) or resolver.resolve(link, url, resolved)
            if settled.is_settled(target):
                if link in resolved:  # it means the same on every page of the folder
                    settled.add(spelling, table)
            elif were_accepted is None:
                return False
            else:
                opened.append(target)
        return not opened or (were_accepted is not None and were_accepted(list(dict.fromkeys(opened))))

    def read_html(self, page: Page, html: bytes) -> None:
        """Fill *page* from its *html*, UTF-8."""
        response, options = page.response, self.options
        numbered = self._places.number(page) if self._places else None
        if numbered and numbered.is_clean and not (options.want or options.rules):
            tree, page.is_flat = numbered.tree, numbered.is_flat  # parsed once; nobody else gets a tree with numbers
        else:
            tree, page.is_flat = read(html)
            page.tree = tree
        # One walk finds both; without text, selecting in C makes far fewer objects.
        nodes = find_nodes(tree) if "text" in options.want else None
        tagged = _tagged(tree) if nodes is None else nodes.tagged
        tags = {tag for tag, _ in tagged}
        if _TEMPLATE in tags and open_shadow_roots(tree):
            nodes = None if nodes is None else find_nodes(tree)
            tagged = _tagged(tree) if nodes is None else nodes.tagged
        hrefs = (node.attributes.get("href") for tag, node in tagged if tag == _BASE)
        base = base_of(hrefs, response.url) if _BASE in tags else response.url
        reader = _Reader(page, options, self._resolver)
        reader.read(tagged, base, tree.root)
        if self._places:
            self._places.read(page, numbered)
        if page.noindex:
            return
        if not options.places:  # a check reports no changes of the text
            page.text_digest = text_digest(tree, page.title, nodes)
        if options.rules or "data" in options.want:
            document = Document(tree, base, page.lang or "")
            read_data(page, document, options.rules, structured="data" in options.want)
        if "links" in options.want:
            page.links = page_links(reader.places, html)
        read_content(page, References(response.url, base), options.max_text, options.want, options.extract)
        if nodes is not None:  # takes the tree apart
            page.text, truncated = visible_text(tree, nodes, options.max_text)
            page.text_truncated |= truncated
            page.tree = None
        page.lang = page.lang or language_of(stored_text(page, options.want))


def _parsed(value: bytes) -> str:
    """An attribute's *value* in double quotes, as the parser reads it."""
    link = parse(b'<a href="' + value + b'">').css_first("a")
    return (link and link.attributes.get("href")) or ""


def _tagged(tree: Tree) -> list[Tagged]:
    """Elements with links, title and meta, and templates."""
    return [(node.tag_id, node) for node in tree.css(_SELECTOR)]


class _Reader:
    """Reads the links, title and meta of one document, or of its head alone, in the order of the document."""

    def __init__(self, page: Page, options: ExtractOptions, resolver: Resolver) -> None:
        self.page, self.options, self.resolver = page, options, resolver
        self.asked = robots_directives(page.response.headers.all("x-robots-tag"), options.agent)
        self.agents = ("robots", options.agent.lower())
        self.out: dict[str, None] = {}
        self.refused: dict[str, int] = {}
        self.total = 0
        self.social: str | None = None
        self.refreshed = False
        self.places: list[Place] = []
        self.keeps_places = "links" in options.want

    def _relative_to(self, base: str, legacy: bool) -> None:
        """References are relative to *base* from here on; *legacy*: their queries are in the page's own encoding."""
        self.base, self.legacy = base, legacy
        self.table = self.resolver.folder(base)
        self.local = base == self.page.url  # references to the document itself are no links, unless <base> leads away

    def read(self, tagged: list[Tagged], base: str, root: Node | None = None) -> None:
        """Fill the page from its header, then from the document's elements, whose references are relative to *base*.

        *root*: the `<html>` element, if the page has one.
        """
        headers = self.page.response.headers
        if headers.get("link") or headers.get("refresh"):
            self._relative_to(self.page.url, legacy=False)
            self._header(headers)
        self._relative_to(base, legacy=self.page.charset != "utf-8")
        take = self.take
        for tag, node in tagged:
            if tag in _LINKS:
                attributes = node.attributes
                href = attributes.get("href")
                if href is not None:
                    take(href, attributes.get("rel"), node)
            elif tag == _META:
                self._meta(node.attributes, node)
            elif tag == _LINK:
                self._link(node.attributes, node)
            elif tag == _TITLE:
                self._title(node)
            elif tag in _FRAMES and (src := node.attributes.get("src")):
                take(src, None, node)
        self._finish(root)

    def _header(self, headers: Headers) -> None:
        """`Link` does what `<link>` does (HTML 4.2.4.4), `Refresh` what `<meta>` does (HTML 7.4.7)."""
        for attributes in link_header.parse(headers.combined("link")):
            self._link(attributes)
        if refresh := headers.get("refresh"):
            self._refresh(refresh)

    def take(self, reference: str, rel: str | None, node: Node | None = None) -> str | None:
        """Add one link, of the element *node* or of the header; returns its canonical URL if it has one."""
        if self.local and (not reference or reference[0] == "#"):
            return None
        if self.legacy:
            reference = encode_query(reference, self.page.charset or DEFAULT_CHARSET)
        self.total += 1
        full = len(self.out) >= self.options.max_links
        target = self.table.get(reference) or ("cap" if full else self._resolve(reference))
        if self.keeps_places and target not in _REFUSALS and len(self.places) < MAX_PLACES:
            self.places.append((target, reference, rel, node))
        if target in self.out:
            return target
        if target in _REFUSALS:
            self._refuse(target)
            return None
        if rel and self.options.obey_nofollow and "nofollow" in rel.lower().split():
            self._refuse("nofollow")
        elif full:
            self._refuse("cap")
        else:
            self.out[target] = None
        return target

    def _resolve(self, reference: str) -> str:
        bare = reference.partition("#")[0]  # an index has thousands of places, and few pages: only those are kept
        if bare[-1:] <= " ":
            bare = urls.without_fragment(reference)
        return self.table.get(bare) or self.resolver.resolve(bare, self.base, self.table)

    def _refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _link(self, attributes: dict[str, str | None], node: Node | None = None) -> None:
        """`<link>`: next, prev, canonical, and alternates that are HTML (feeds have no links that are read here)."""
        rel, href = attributes.get("rel"), attributes.get("href")
        if not rel or not href:
            return
        words = set(rel.lower().split())
        kind = (attributes.get("type") or "").partition(";")[0].strip().lower()
        alternate = "alternate" in words and "stylesheet" not in words and kind in _HTML_ALTERNATES
        if alternate or not words.isdisjoint(("next", "prev", "canonical")):
            if words == {"canonical"} and not self.options.follow_canonical:
                found = self._resolve(href)
                target = None if found in _REFUSALS else found
            else:
                target = self.take(href, rel, node)
            if "canonical" in words and self.page.canonical is None:
                self.page.canonical = target

    def _meta(self, attributes: dict[str, str | None], node: Node) -> None:
        content = attributes.get("content")
        if not content:
            return
        name = (attributes.get("name") or attributes.get("property") or "").strip().lower()
        if name in self.agents:
            self.asked |= robots_directives((content,), self.options.agent)
        elif name == "description":
            self.page.description = self.page.description or clean(content, self.options.max_field)
        elif name == "og:description":
            self.social = self.social or clean(content, self.options.max_field)
        elif (attributes.get("http-equiv") or "").lower() == "refresh" and not self.refreshed:
            self._refresh(content, node)

    def _refresh(self, content: str, node: Node | None = None) -> None:
        parsed = parse_refresh(content)
        self.refreshed = parsed is not None
        if parsed and parsed[1]:
            target = self.take(parsed[1], "refresh", node)
            self.page.refresh = target if target != self.page.url else None
            self.page.refresh_after = parsed[0]

    def _title(self, node: Node) -> None:
        if self.page.title is None and not _in_svg(node):
            self.page.title = clean(node.text(), self.options.max_field)

    def _finish(self, root: Node | None) -> None:
        page, options = self.page, self.options
        page.lang = None if root is None else clean(root.attributes.get("lang") or "", options.max_field)
        page.description = page.description or self.social
        page.asks_noindex = "noindex" in self.asked
        page.noindex = options.obey_noindex and page.asks_noindex
        page.nofollow = options.obey_nofollow and "nofollow" in self.asked
        if page.nofollow:
            if self.out:
                self.refused["nofollow"] = self.refused.get("nofollow", 0) + len(self.out)
        else:
            page.outlinks = list(self.out)
        page.links_total, page.refused = self.total, self.refused


def _in_svg(title: Node) -> bool:
    """Whether a title is that of a picture. Only its nearest ancestors are searched: deep nesting costs nothing."""
    node = title.parent
    for _ in range(32):
        if node is None or node.tag_id == _SVG:
            break
        node = node.parent
    return node is not None and node.tag_id == _SVG
