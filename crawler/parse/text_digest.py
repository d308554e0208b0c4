"""A digest of a page's main text, by which a change of its boilerplate alone is no change of its content. Pure.

It is made at every first visit, so it must cost little: unlike `main_content` it looks at the containers of a page
only. Left out are scripts, what names itself as something else by tag, role, class or id (menus, banners, footers,
sidebars, comments, share buttons), unless it holds much of the page's running text, and what stands outside the `main`
element. Of what remains, ages ("3 minutes ago") do not count, and of a `time` element its machine-readable value does.
White space does not count; the title does.

Nothing that was learnt from other pages goes in, and no setting of the crawl.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from crawler.parse.block_names import HIDDEN, OTHER, SECONDARY
from crawler.parse.main_content import verdict_on
from crawler.parse.page import Node, Tree, tag_ids
from crawler.parse.visible_text import Nodes

METHOD: Final = 1
"""Version of the digests, below 256. They are stored: those of two versions have nothing to do with each other."""

_NAMED: Final = tag_ids(
    "div section article main header footer nav aside form center details table ul ol menu dialog search figure"
    " figcaption"
)
"""Elements whose names are judged."""
_ENTERED: Final = tag_ids("div section article form center header")
"""Those in which others are looked for: the containers of a page's layout."""
_MAX_LEVELS: Final = 12
_MAX_ROUNDS: Final = 4
"""How often what is too heavy to be left out is entered."""
_SCRIPTS: Final = tag_ids("script style")
_MAIN, _HEADER, _TIME = (next(iter(tag_ids(name))) for name in ("main", "header", "time"))

_SHARES: Final = {OTHER: 0.25, SECONDARY: 0.5, HIDDEN: 0.5}
"""Up to which share of the page's weight an element is left out for what it says of itself; a `header`: only if it has
none."""
_MIN_PARAGRAPH: Final = 60
"""Characters from which a text is running text: its characters are the weight of an element."""
_SMALL: Final = 200
"""A weight up to which an element is left out without a comparison; a `main` element with less text is empty."""

_AGO: Final = " ago"
_AGE = re.compile(r"\b(?:an?|\d+) (?:sec|min|hour|hr|day|week|month|year)\w* ago\b")
_SPACE: Final = b"\0 \t\n\r\f"

Named = tuple[Node, float, str | int]
"""An element that is something else by its name; up to which share of the page's weight; and its class, or its number
if it has none."""


def text_digest(tree: Tree, title: str | None = None, nodes: Nodes | None = None) -> int | None:
    """64 bits of the digest of the main text of *tree* and of its *title*; None if it has no text.

    *nodes* are those of *tree*, where they are known.
    """
    body = tree.body
    if body is None:
        return None
    text = _Reading(body, body.css("script,style,time") if nodes is None else nodes.unseen + nodes.times).main_text()
    if _AGO in text:
        text = _AGE.sub("", text)
    raw = text.encode("utf-8", "replace").translate(None, _SPACE)
    if not raw:
        return None
    return int.from_bytes(hashlib.sha256(b"%b\n%b" % (raw, (title or "").encode("utf-8", "replace"))).digest()[:8])


class _Reading:
    """Reads the text of a body, which stays as it is, without some of its elements."""

    def __init__(self, body: Node, nodes: Iterable[Node]) -> None:
        """*nodes*: among them are all scripts, style sheets and times."""
        self._body = body
        self._instead: dict[int, str] = {}
        """Elements that are left out, and what stands for their text."""
        self._opened: set[int] = set()
        """The elements around them."""
        for node in nodes:
            tag = node.tag_id
            if tag in _SCRIPTS:
                self._leave_out(node)
            elif tag == _TIME and (time := node.attributes.get("datetime")):
                self._leave_out(node, time)

    def main_text(self) -> str:
        """What remains; that of the main part alone, if there is one and it is not empty."""
        named, mains = _named(self._body)
        if len(mains) == 1:
            text = self._remaining(mains[0], _named(mains[0])[0])
            if len(text) > _SMALL:
                return text
        return self._remaining(self._body, named)

    def _remaining(self, root: Node, named: list[Named]) -> str:
        """The text of *root* without those in it that are *named* something else, unless they are most of the page.

        Those of one class are judged together: the posts of a forum are comments.
        """
        for _ in range(_MAX_ROUNDS):
            weights = [self._weight(node) for node, _, _ in named]
            together: Counter[str | int] = Counter()
            for (_, _, kind), weight in zip(named, weights, strict=True):
                together[kind] += weight
            for node, _, _ in named:
                self._leave_out(node)
            text = self._text(root)
            heavy = [
                (node, share, together[kind]) for node, share, kind in named if together[kind] > _SMALL * (share > 0)
            ]
            whole = _weigh(text) + sum(weights) if heavy else 0
            back = [node for node, share, weight in heavy if weight > share * whole]
            if not back:
                return text
            named = []
            for node in back:
                del self._instead[node.mem_id]
                named += _named(node)[0]
        return self._text(root)

    def _weight(self, node: Node) -> int:
        weight = _weigh(node.text(separator="\0", skip_empty=True))
        return _weigh(self._text(node)) if weight > _SMALL else weight  # without scripts

    def _leave_out(self, node: Node, instead: str = "") -> None:
        self._instead[node.mem_id] = instead
        opened, around = self._opened, node.parent
        while around is not None and around.mem_id not in opened:
            opened.add(around.mem_id)
            around = around.parent

    def _text(self, root: Node) -> str:
        """The text of *root* without what is left out, with NULs between its parts."""
        instead, opened = self._instead, self._opened
        if root.mem_id not in opened:
            return root.text(separator="\0", skip_empty=True)
        texts: list[str] = []
        left = [root.first_child]
        while left:
            node = left.pop()
            while node is not None:
                number = node.mem_id
                if number in instead:
                    texts.append(instead[number])
                elif number in opened:
                    left.append(node.next)
                    node = node.first_child
                    continue
                elif node.is_element_node:
                    texts.append(node.text(separator="\0", skip_empty=True))
                elif node.is_text_node:
                    texts.append(node.text_content or "")
                node = node.next
        return "\0".join(texts)


def _named(root: Node) -> tuple[list[Named], list[Node]]:
    """The elements in *root* that say that they are something else, and those that say that they are the main part."""
    named: list[Named] = []
    mains: list[Node] = []
    left = [(root, 0)]
    while left:
        around, level = left.pop()
        for node in around.iter():
            tag = node.tag_id
            if tag in _NAMED:
                get = node.attributes.get
                role = get("role")
                if tag == _MAIN or role == "main":
                    mains.append(node)
                    continue
                verdict = _judged(node.tag or "", get("class"), get("id"), role, get("style"), get("hidden", "-") or "")
                if verdict >= OTHER:
                    share = _SHARES[verdict] if tag != _HEADER else 0.0
                    named.append((node, share, get("class") or node.mem_id))
                elif tag in _ENTERED and level < _MAX_LEVELS:
                    left.append((node, level + 1))
    return named, mains


@lru_cache(maxsize=8_192)
def _judged(tag: str, *values: str | None) -> int:
    """The verdict on an element with these *values* of class, id, role, style and hidden."""
    names = ("class", "id", "role", "style", "hidden")
    given = [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
    return verdict_on(tag, "".join(f' {name}="{value}"' for name, value in given if (name, value) != ("hidden", "-")))


def _weigh(text: str) -> int:
    """The characters of running text."""
    if len(text) < _MIN_PARAGRAPH:
        return 0
    return sum([size for size in map(len, text.split("\0")) if size >= _MIN_PARAGRAPH])
