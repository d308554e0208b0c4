"""A page: what was extracted from one response, and tools for users' own extraction, built only on demand.

The only module that uses selectolax (Lexbor) and BeautifulSoup.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode, SelectolaxError

from crawler.fetch.fetcher import Headers, Response
from crawler.parse.bounds import bounded
from crawler.parse.charset import DEFAULT_CHARSET, as_utf8, decode
from crawler.parse.places import PagePlaces
from crawler.parse.xhtml import as_html, is_xhtml
from crawler.record import Link

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

    from crawler.parse.match import Match

Tree = LexborHTMLParser
Node = LexborNode
Tagged = tuple[int, Node]
"""A node, after Lexbor's number for its element (`tag_ids`)."""

_NO_EVENTS: Final = int(LexborDocumentOptions.WO_EVENTS)


def parse(html: bytes | str) -> Tree:
    """The tree of an HTML document as a browser without scripts builds it; bytes are UTF-8, bad ones U+FFFD."""
    return LexborHTMLParser(html, options=_NO_EVENTS)


_nursery = parse("<!-- -->")


def tag_ids(names: str) -> frozenset[int]:
    """Lexbor's numbers for the HTML elements *names* (with spaces between): comparing them makes no string."""
    return frozenset(_nursery.create_node(name).tag_id for name in names.split())


# Elements that may have a shadow root (DOM 4.8, "attach a shadow root"), besides custom elements.
_HOSTS: Final = frozenset(
    ("article", "aside", "blockquote", "body", "div", "footer", "header", "main", "nav", "p", "section", "span")
) | {f"h{level}" for level in range(1, 7)}
_MAX_NESTED: Final = 32
"""How many shadow roots within each other are opened."""


def select(root: Tree | Node, selector: str) -> list[Node]:
    """The elements in *root* that match *selector*, each once. ValueError if it is not a selector."""
    try:
        nodes = root.css(selector)
    except (SelectolaxError, UnicodeEncodeError):
        raise ValueError(f"not a CSS selector: {selector!r}") from None
    # Lexbor repeats an element that several parts of a list match.
    return list({node.mem_id: node for node in nodes}.values()) if "," in selector else nodes


def check_selector(selector: str) -> None:
    """Raise ValueError if *selector* cannot be used."""
    select(_nursery, selector)


def read(html: bytes) -> tuple[Tree, bool]:
    """The tree of a whole document, UTF-8, whose shadow roots are closed; whether it was flattened (see `bounds`)."""
    html, is_flat = bounded(html)
    return parse(html), is_flat


def open_shadow_roots(tree: Tree) -> bool:
    """Put the content of declarative shadow roots where a browser shows it (HTML 4.12.3), which needs no script.

    False if there are none.
    """
    hosts: set[int] = set()
    for _ in range(_MAX_NESTED):
        found = len(hosts)
        for template in tree.css("template[shadowrootmode]"):
            host, mode = template.parent, template.attributes.get("shadowrootmode") or ""
            if host is None or mode.lower() not in ("open", "closed") or host.mem_id in hosts:
                continue
            if (name := host.tag or "") in _HOSTS or "-" in name:
                hosts.add(host.mem_id)
                _open(template, host)
        if len(hosts) == found:
            break
    return bool(hosts)


def _open(template: Node, host: Node) -> None:
    """Put the content of *template* in its place, and the children of *host* into their slots."""
    content = template.template_fragments()[0]
    slots: dict[str, Node] = {}
    for slot in content.css("slot"):
        slots.setdefault(slot.attributes.get("name") or "", slot)
    filled: set[str] = set()
    for child in list(host.iter(include_text=True, skip_empty=True)) if slots else ():
        name = (child.attributes.get("slot") or "") if child.is_element_node else ""
        into = slots.get(name)
        if into is None or child.mem_id == template.mem_id or not (child.is_element_node or child.is_text_node):
            continue
        if name not in filled:
            filled.add(name)
            for instead in list(into.iter(include_text=True)):
                instead.decompose(recursive=False)
        into.insert_child(child, move=True)
    for part in list(content.iter(include_text=True)):
        template.insert_before(part, move=True)
    template.decompose(recursive=False)


COMMENT: Final = parse("<p><!---->").css("p")[0].first_child.tag_id  # type: ignore[union-attr]
"""Lexbor's number for a comment."""


class MainContent(Protocol):
    """The main content of a page, in both forms (see `content`)."""

    @property
    def main(self) -> str: ...
    @property
    def markdown(self) -> str: ...

    whole_page: bool
    truncated: bool


@dataclass(slots=True, weakref_slot=True)
class Page:
    """One answer, read: what a hook gets. Fields are None if unknown; every string is valid UTF-8 without NUL.

    For what the fields do not have: `css` selects elements, `json` and `soup` parse the body, `html` is its text, and
    `response.body` its bytes.
    """

    url: str
    """The URL in its canonical form."""
    response: Response
    """The answer: status, headers, body (bytes, decoded by Content-Encoding), truncated, content_type, elapsed."""
    charset: str | None = None
    """The encoding's WHATWG name; None if the body is not text."""
    title: str | None = None
    """The text of `<title>`."""
    description: str | None = None
    """The page's own description (`<meta name=description>`, else that of OpenGraph)."""
    lang: str | None = None
    """The language that the page declares (BCP 47)."""
    canonical: str | None = None
    """The canonical form of the URL that the page names as its own (`rel=canonical`)."""
    noindex: bool = False
    """The page asks not to be stored, and this crawl obeys (`ExtractOptions.obey_noindex`)."""
    asks_noindex: bool = False
    """The page asks not to be stored, whether this crawl obeys or not."""
    nofollow: bool = False
    """The page asks that none of its links be followed, and this crawl obeys; `outlinks` is empty then."""
    text: str | None = None
    """The visible text; None unless the crawl stores it."""
    text_truncated: bool = False
    """A text was cut at `--max-text`."""
    whole_page: bool = False
    """No main content was found: `main` and `markdown` have all of the text. Known once one of them was asked for."""
    links: list[Link] = field(default_factory=list)
    """All links in the order of the document, also repeated and refused ones; only where the crawl stores them."""
    outlinks: list[str] = field(default_factory=list)
    """Canonical URLs, distinct, in the order of the document, at most `ExtractOptions.max_links`."""
    links_total: int | None = 0
    """Links on the page, including repeated and refused ones, but not those to a place within the page itself. None if
    they were not counted.
    """
    refused: dict[str, int] = field(default_factory=dict)
    """Links refused, by reason: `url.REFUSALS`, `nofollow`, and `cap` (found after max_links in a new spelling)."""
    refresh: str | None = None
    """The target of a `Refresh` header or a `<meta http-equiv=refresh>`: a redirect. It is also among the outlinks
    unless nofollow.
    """
    refresh_after: int = 0
    """Seconds that the page is shown before."""
    is_flat: bool = False
    """The document was too deep, or had too many names, to be parsed as it is (`bounds`)."""
    is_html: bool = False
    """The body is HTML, or a document that was converted to it, and was parsed."""
    skimmed: bool = False
    """Only the head was parsed, since no link leads to anything new: `outlinks` and `refused` are empty."""
    places: PagePlaces | None = None
    """What it names and what may be named on it, of a page, a style sheet or a manifest; only for `crawler check`."""
    data: dict[str, Any] | None = None
    """What is known of it as named values: structured data (with `--store data`), and what a rule found."""
    match: Match | None = None
    """What the rule found that matches its URL."""
    text_digest: int | None = None
    """64 bits of the digest of its main text (see `parse.text_digest`); None if it was not parsed as a whole."""
    made: bytes | None = None
    """The HTML that a document (PDF, DOCX) was converted to, in UTF-8; it stands for the body."""
    damage: str | None = None
    """What of a document could not be read, and why."""
    tree: Tree | None = None
    """The parsed document, as long as nothing has changed it; use `css`."""
    content: MainContent | None = field(default=None, compare=False, repr=False)
    """The main content; use `main` and `markdown`."""
    _soup: BeautifulSoup | None = None

    @property
    def main(self) -> str | None:
        """The text of the main content, without navigation; read when it is asked for, unless it is stored."""
        return self._of_content("main")

    @property
    def markdown(self) -> str | None:
        """The main content as Markdown (GFM), with absolute links. Read when it is asked for, as `main` is."""
        return self._of_content("markdown")

    def _of_content(self, name: Literal["main", "markdown"]) -> str | None:
        if self.content is None:
            return None
        text: str = getattr(self.content, name)
        self.whole_page = self.content.whole_page
        self.text_truncated |= self.content.truncated
        return text

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self.response.status

    @property
    def headers(self) -> Headers:
        """The header of the answer: `headers.get("etag")` in any case, `headers.all(name)` for all lines."""
        return self.response.headers

    @property
    def html(self) -> str:
        """The body as text in the encoding found; of a document, the HTML that it was converted to."""
        return (
            self.made.decode() if self.made is not None else decode(self.response.body, self.charset or DEFAULT_CHARSET)
        )

    def json(self) -> Any:
        """The body parsed as JSON (RFC 8259); ValueError if it is none."""
        return json.loads(self.response.body)

    def css(self, selector: str) -> list[Node]:
        """The nodes that match *selector*, in the order of the document; empty if the body is not HTML.

        ValueError for a selector that cannot be parsed.
        """
        if not self.is_html:
            return []
        try:
            return self.document().css(selector)
        except SelectolaxError:
            raise ValueError(f"not a CSS selector: {selector!r}") from None

    def document(self) -> Tree:
        """The parsed document of a page that is HTML."""
        if self.tree is None:
            html = source(self.response, self.charset or DEFAULT_CHARSET) if self.made is None else self.made
            self.tree = read(html)[0]
            open_shadow_roots(self.tree)
        return self.tree

    @property
    def soup(self) -> BeautifulSoup:
        """The body as BeautifulSoup parses it (html.parser), in the encoding found; 27 to 39 ms for a page of 36 KB."""
        if self._soup is None:
            from bs4 import BeautifulSoup

            self._soup = BeautifulSoup(self.html, "html.parser")
        return self._soup


def source(response: Response, charset: str) -> bytes:
    """The HTML of *response*, whose encoding is *charset*, as UTF-8; XHTML is written as HTML."""
    html = as_utf8(response.body, charset)
    return as_html(html) if is_xhtml(response.computed_type, response.body) else html


def clean(text: str, limit: int) -> str | None:
    """*text* with its white space collapsed, cut at *limit* characters; None if nothing is left."""
    text = " ".join(text[: 8 * limit].split())[:limit].rstrip()
    return valid(text) or None


def valid(text: str) -> str:
    """Decoded *text* with NULs as U+FFFD: C strings and JSON readers cannot take them. Decoding left no surrogates."""
    return text.replace("\0", "\ufffd")


def cut(text: str, limit: int) -> tuple[str, bool]:
    """*text* cut at *limit* bytes of UTF-8, and whether it was."""
    if 4 * len(text) <= limit:
        return text, False
    raw = text[: limit + 1].encode()
    if len(raw) <= limit:
        return text, False
    return raw[:limit].decode("utf-8", "ignore"), True
