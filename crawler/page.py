"""A page: what was extracted of one response, and the tools for users' own extraction, built only when asked for.

The one door to selectolax (Lexbor) and to BeautifulSoup.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode, SelectolaxError

from crawler import charset as charsets
from crawler.fetch.fetcher import Headers, Response

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

Tree = LexborHTMLParser
Node = LexborNode
Tagged = tuple[int, Node]
"""A node behind Lexbor's number for its element (`tag_ids`)."""

_NO_EVENTS: Final = int(LexborDocumentOptions.WO_EVENTS)


def parse(html: bytes | str) -> Tree:
    """The tree of an HTML document as a browser without scripts builds it; bytes are UTF-8, bad ones U+FFFD."""
    return LexborHTMLParser(html, options=_NO_EVENTS)


_nursery = parse("<!-- -->")


def tag_ids(names: str) -> frozenset[int]:
    """Lexbor's numbers for the HTML elements *names* (with spaces between): comparing them makes no string."""
    return frozenset(_nursery.create_node(name).tag_id for name in names.split())


_COMMENT: Final = parse("<p><!---->").css("p")[0].first_child.tag_id  # type: ignore[union-attr]
_PRE: Final = next(iter(tag_ids("pre")))
_UNSEEN: Final = tag_ids("script style noscript template svg head title iframe noembed noframes")
_INLINE: Final = {_COMMENT} | tag_ids(
    "a abbr acronym area b base bdi bdo big button cite code data del dfn em font frame i img input ins kbd label link"
    " map mark meta nobr q ruby s samp small span strike strong sub sup time tt u var wbr"
)
_TOLD: Final = tag_ids("a area base frame iframe link meta title")
_OF_INTEREST: Final = _UNSEEN | _INLINE | {_PRE}


@dataclass(slots=True)
class Page:
    """One response, read. Fields are None where unknown; every string is valid UTF-8 without NUL."""

    url: str
    response: Response
    charset: str | None = None
    """The encoding's WHATWG name; None where the body is not text."""
    title: str | None = None
    description: str | None = None
    lang: str | None = None
    canonical: str | None = None
    """The canonical form of the URL that the page calls its own (`rel=canonical`)."""
    noindex: bool = False
    """The page asks not to be kept, and this crawl obeys (`ExtractOptions.obey_noindex`)."""
    nofollow: bool = False
    """The page asks that none of its links be followed, and this crawl obeys; `outlinks` is empty then."""
    text: str | None = None
    text_truncated: bool = False
    outlinks: list[str] = field(default_factory=list)
    """Canonical URLs, distinct, in the order of the document, at most `ExtractOptions.max_links`."""
    links_total: int | None = 0
    """Links on the page, repeated and refused ones too; those to a place within the page itself do not count.
    None where they were not counted."""
    refused: dict[str, int] = field(default_factory=dict)
    """Links refused, by reason: `url.REFUSALS`, `nofollow`, and `cap`: those met after max_links
    in a spelling not met before."""
    refresh: str | None = None
    """Where a `Refresh` header or a `<meta http-equiv=refresh>` leads: a redirect. It is among the outlinks too unless
    nofollow."""
    is_html: bool = False
    """The body is HTML and was parsed."""
    skimmed: bool = False
    """Only the head was parsed, since no link leads to anything new: `outlinks` and `refused` are empty."""
    tree: Tree | None = None
    """The parsed document, as long as nothing has changed it; use `css`."""
    _soup: BeautifulSoup | None = None

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def headers(self) -> Headers:
        return self.response.headers

    @property
    def html(self) -> str:
        """The body as text in the encoding found."""
        return charsets.decode(self.response.body, self.charset or charsets.DEFAULT)

    def json(self) -> Any:
        """The body parsed as JSON (RFC 8259); ValueError if it is none."""
        return json.loads(self.response.body)

    def css(self, selector: str) -> list[Node]:
        """The nodes that match *selector*, in the order of the document; none where the body is not HTML.

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
            self.tree = parse(charsets.as_utf8(self.response.body, self.charset or charsets.DEFAULT))
        return self.tree

    @property
    def soup(self) -> BeautifulSoup:
        """The body as BeautifulSoup sees it (html.parser), in the encoding found; 27 to 39 ms for a page of 36 KB."""
        if self._soup is None:
            from bs4 import BeautifulSoup

            self._soup = BeautifulSoup(self.html, "html.parser")
        return self._soup


def clean(text: str, limit: int) -> str | None:
    """*text* with its white space collapsed, cut at *limit* characters; None if nothing is left."""
    text = " ".join(text[: 8 * limit].split())[:limit].rstrip()
    return valid(text) or None


def valid(text: str) -> str:
    """Decoded *text* with NULs as U+FFFD: C strings and JSON readers choke on them. Decoding left no surrogates."""
    return text.replace("\0", "\ufffd")


def cut(text: str, limit: int) -> tuple[str, bool]:
    """*text* cut at *limit* bytes of UTF-8, and whether it was."""
    if 4 * len(text) <= limit:
        return text, False
    raw = text[: limit + 1].encode()
    if len(raw) <= limit:
        return text, False
    return raw[:limit].decode("utf-8", "ignore"), True


@dataclass(slots=True)
class Nodes:
    """What is to be touched of a document, each kind in the order of the document, found in one walk."""

    told: list[Tagged]
    """What bears links, title and meta."""
    inline: list[Node]
    pre: list[Node]
    unseen: list[Node]


def find_nodes(tree: Tree) -> Nodes:
    """All nodes that `visible_text` must touch, and those that tell something else."""
    told: list[Tagged] = []
    inline: list[Node] = []
    pre: list[Node] = []
    unseen: list[Node] = []
    root = tree.root
    for node in root.traverse() if root is not None else ():
        tag = node.tag_id
        if tag in _OF_INTEREST:
            if tag in _TOLD:
                told.append((tag, node))
            if tag in _INLINE:
                inline.append(node)
            elif tag == _PRE:
                pre.append(node)
            else:
                unseen.append(node)
    return Nodes(told, inline, pre, unseen)


def visible_text(tree: Tree, nodes: Nodes, limit: int) -> tuple[str, bool]:
    """The text a reader sees, a line for each block, cut at *limit* bytes of UTF-8, and whether it was cut.

    *nodes* are those of *tree*. Takes the tree apart: inline elements are unwrapped, so that each text node left is a
    block's. Lexbor does nearly all of it, in linear time and without recursion.
    """
    kept: dict[str, str] = {}
    for node in nodes.inline:
        node.unwrap(True)
    for node in nodes.pre:
        mark = f"\1{len(kept)}"
        kept[mark] = node.text()
        node.replace_with(f"\0{mark}\0")
    for node in nodes.unseen:
        node.decompose(recursive=False)
    body = tree.body
    if body is None:
        return "", False
    tree.merge_text_nodes()
    return cut(valid(_lines(body.text(separator="\0", skip_empty=True), kept)), limit)


def _lines(raw: str, kept: dict[str, str]) -> str:
    """Blocks between NULs as lines, white space collapsed; *kept* holds preformatted ones by their marks."""
    for space in "\n\t\r\f\xa0":
        raw = raw.replace(space, " ")
    lines: list[str] = []
    for line in map(str.strip, raw.split("\0")):
        if "  " in line:
            line = " ".join(filter(None, map(str.strip, line.split("  "))))  # much cheaper than word by word
        if line[:1] == "\1" and line in kept:
            line = kept.pop(line).strip("\r\n").rstrip()
        if line:
            lines.append(line)
    return "\n".join(lines)
