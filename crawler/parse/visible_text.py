"""The text that a reader of a page sees, from its parsed tree. Pure.

Elements that the HTML standard displays as blocks, table parts or list items (section 15.3) break a line. All others
are inline, also unknown ones: custom elements, MathML, ruby. Style sheets are not read.

- Scripts, styles, pictures (svg), templates, frames, `datalist` and the source that accompanies a formula are left out.
- Hidden parts (`hidden`, an inline `display: none`, a closed `dialog`, a `popover`) are left out, unless they contain
  half of the text or more: a script shows such pages. So is `noscript`, unless it contains more than the rest, or is
  never closed.
- What a reader can open or scroll to stays: `details`, `hidden=until-found`, `aria-hidden`, `visibility: hidden`; and
  `rp`, because text has no other way to set ruby apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from crawler.parse.page import COMMENT, Node, Tagged, Tree, cut, tag_ids, valid
from crawler.parse.signs import scanner

_BLOCK, _TOLD_INLINE, _UNSEEN, _TOLD_UNSEEN, _PRE, _COMMENT, _DIALOG, _NOSCRIPT, _MATH, _TIME = range(10)
_KINDS: Final = {
    _BLOCK: "html body address article aside blockquote br caption center col colgroup dd details dir div dl dt"
    " fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol"
    " optgroup option p search section summary table tbody td tfoot th thead tr ul",
    _TOLD_INLINE: "a area base frame link meta",
    _UNSEEN: "script style svg head noembed noframes datalist annotation-xml",
    _TOLD_UNSEEN: "title iframe template",
    _PRE: "pre listing xmp plaintext textarea",
    _DIALOG: "dialog",
    _NOSCRIPT: "noscript",
    _MATH: "math",
    _TIME: "time",
}
_BLOCKS, _TOLD_INLINES = tag_ids(_KINDS[_BLOCK]), tag_ids(_KINDS[_TOLD_INLINE])
_RARE: Final = {tag: kind for kind, names in _KINDS.items() if kind > _TOLD_INLINE for tag in tag_ids(names)}
_RARE[COMMENT] = _COMMENT
_BREAKS: Final = tag_ids(f"{_KINDS[_BLOCK]} {_KINDS[_PRE]} dialog")
_PRES: Final = tag_ids(_KINDS[_PRE])
_WITHOUT_TEXT: Final = tag_ids("table tbody thead tfoot tr colgroup ul ol dl select optgroup")
_HTML, _BR, _DIALOG_TAG = (next(iter(tag_ids(name))) for name in ("html", "br", "dialog"))

_HIDING: Final = '[hidden],[style*="display" i],[popover],dialog'
_HINT: Final = r"[\s\"'/](?:hidden|popover)(?:[\s/][^<>=]*)?[=>]|display\s*[:/&]"
"""How that is written: after the name of an attribute `=` or `>` comes before `<`, after a word seldom."""
_HINTS = re.compile(_HINT.encode())
SIGNS: Final = (f"(?i){_HINT}",)
"""The same, in Hyperscan's syntax (see `signs`)."""
_NOSCRIPTS = re.compile(rb"<noscript[^>]*>(.*?)</noscript", re.IGNORECASE | re.DOTALL)
_MAX_LEVELS: Final = 4
"""How many levels of hidden parts within hidden parts are examined."""
_MIN_TOGETHER: Final = 200
"""From this many characters on, hidden parts together may count as the text of the page."""
# What is no declaration within a `style`: comments, strings, and text in brackets (CSS Syntax 3, section 4).
_OPAQUE = re.compile(
    r"""/\*.*?(?:\*/|\Z)|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|\([^()]*+\)""", re.DOTALL
)


@dataclass(slots=True)
class Nodes:
    """The nodes of a document to be processed, each kind in the order of the document, found in one walk."""

    tagged: list[Tagged] = field(default_factory=list)
    """Elements with links, title and meta, and templates."""
    inline: list[Node] = field(default_factory=list)
    pre: list[Node] = field(default_factory=list)
    unseen: list[Node] = field(default_factory=list)
    dialogs: list[Node] = field(default_factory=list)
    noscripts: list[Node] = field(default_factory=list)
    times: list[Node] = field(default_factory=list)
    """Elements `time`, which are inline."""
    has_formulas: bool = False


def find_nodes(tree: Tree) -> Nodes:
    """All nodes that `visible_text` must process, and those with links and meta."""
    nodes = Nodes()
    tagged, inline = nodes.tagged, nodes.inline
    root = tree.root
    for node in root.traverse() if root is not None else ():
        tag = node.tag_id
        if tag in _BLOCKS:
            continue
        if tag in _TOLD_INLINES:
            tagged.append((tag, node))
            inline.append(node)
        elif tag in _RARE:
            _note(nodes, tag, _RARE[tag], node)
        else:
            inline.append(node)
    if nodes.has_formulas:  # a name that Lexbor does not know, so it has no number
        nodes.unseen += tree.css("math annotation")
    return nodes


def _note(nodes: Nodes, tag: int, kind: int, node: Node) -> None:
    """Note one of the rarer *kind*s of nodes."""
    if kind == _TOLD_UNSEEN:
        nodes.tagged.append((tag, node))
        nodes.unseen.append(node)
    elif kind == _UNSEEN:
        nodes.unseen.append(node)
    elif kind == _PRE:
        nodes.pre.append(node)
    elif kind == _COMMENT:
        parent = node.parent
        if parent is not None and parent.tag_id != _HTML:  # beside the body there may be any number, at a high cost
            nodes.inline.append(node)
    elif kind == _DIALOG:
        nodes.dialogs.append(node)
    elif kind == _NOSCRIPT:
        nodes.noscripts.append(node)
        nodes.inline.append(node)
    elif kind == _TIME:
        nodes.times.append(node)
        nodes.inline.append(node)
    else:
        nodes.inline.append(node)
        nodes.has_formulas = True


def visible_text(tree: Tree, nodes: Nodes, limit: int) -> tuple[str, bool]:
    """The text a reader sees, a line for each block, cut at *limit* bytes of UTF-8, and whether it was cut.

    *nodes* are those of *tree*. Takes the tree apart: inline elements are unwrapped, so that each text node left is a
    block's. Lexbor does nearly all of it, in linear time and without recursion.
    """
    kept: dict[str, str] = {}
    body = tree.body
    if body is None:
        return "", False
    _remove(nodes.unseen)
    _remove_hidden(tree, body, nodes)
    for node in nodes.inline:
        node.unwrap(True)
    within: set[int] = set()
    for node in nodes.pre:
        if node.mem_id in within:
            continue
        mark = f"\1{len(kept)}"
        kept[mark] = _preformatted(node, within)
        node.replace_with(f"\0{mark}\0")
    tree.merge_text_nodes()
    return cut(valid(_lines(body.text(separator="\0", skip_empty=True), kept)), limit)


def _remove(nodes: Iterable[Node]) -> None:
    for node in nodes:
        node.decompose(recursive=False)


# -- what is hidden ----------------------------------------------------------------------------------------------------


def _remove_hidden(tree: Tree, body: Node, nodes: Nodes) -> None:
    """Remove what is hidden, and substitutes for scripts, unless it is the larger part of the text."""
    source = tree.raw_html
    hidden: list[Node] = []
    if nodes.dialogs or _may_hide(source):
        hidden = [node for node in tree.css(_HIDING) if _is_hidden(node)]
    noscripts = nodes.noscripts
    if noscripts and not _are_closed(noscripts, source):
        noscripts = []
    if not (hidden or noscripts):
        return
    whole, instead = _size(body), sum(map(_size, noscripts))
    if hidden:
        _remove(_minor(hidden, whole - instead))
    if noscripts and 2 * instead <= _size(body):
        _remove(noscripts)


def _are_closed(noscripts: list[Node], source: bytes) -> bool:
    """Whether *noscripts* end where their end tags are: one that a block in it keeps open swallows the page."""
    if source.lower().count(b"<noscript") > source.lower().count(b"</noscript"):
        return False
    return sum(map(_size, noscripts)) <= sum(map(len, _NOSCRIPTS.findall(source)))


def _may_hide(html: bytes) -> bool:
    """Whether *html* may contain what `_HIDING` selects: that selector examines each element, which takes longer."""
    scan = scanner(*SIGNS)
    return bool(scan(html)) if scan is not None else _HINTS.search(html.lower()) is not None


def _size(node: Node) -> int:
    """Characters of text within *node*, without white space."""
    return sum(map(len, node.text().split()))


def _minor(hidden: list[Node], whole: int) -> list[Node]:
    """Those of the *hidden* nodes that are left out: a part with half of the *whole* text, or more, is shown.

    If they contain more than half of it together, as tabs and accordions do, all are shown; this rule skips texts of a
    few words. What is hidden within a part that is shown is judged by itself.
    """
    every = {node.mem_id for node in hidden}
    minor: list[Node] = []
    together = 0
    for _ in range(_MAX_LEVELS):
        within: set[int] = set()
        shown: list[Node] = []
        for node in hidden:
            if node.mem_id in within:
                continue
            inner = [child for child in node.css(_HIDING) if child.mem_id in every and child.mem_id != node.mem_id]
            within.update(child.mem_id for child in inner)
            size = _size(node)
            if 2 * size >= whole:
                shown += inner
            else:
                minor.append(node)
                together += size
        hidden = shown
    return [] if together >= _MIN_TOGETHER and 2 * together > whole else minor


def _is_hidden(node: Node) -> bool:
    """Whether the attributes of *node* keep it from being displayed: an inline style wins over `hidden`."""
    attributes = node.attributes
    if node.tag_id == _DIALOG_TAG and "open" not in attributes:
        return True
    display = _display(attributes.get("style") or "")
    if display:
        return display == "none"
    if "popover" in attributes:
        return True
    return "hidden" in attributes and (attributes["hidden"] or "").lower() != "until-found"


def _display(style: str) -> str:
    """The value of `display` that a `style` attribute declares, in lower case; "" if there is none."""
    found, is_important = "", False
    if any(mark in style for mark in "\"'(/"):
        style = _OPAQUE.sub(" ", style)
    for declaration in style.lower().split(";"):
        name, colon, value = declaration.partition(":")
        if colon and name.strip() == "display":
            value, _, priority = value.partition("!")
            important = priority.strip() == "important"
            if value.strip() and important >= is_important:
                found, is_important = value.strip(), important
    return found


# -- lines -------------------------------------------------------------------------------------------------------------


def _preformatted(pre: Node, within: set[int]) -> str:
    """The text of *pre*, whose inline elements are unwrapped: lines as they are, and each block in it separately.

    Those *within* it that are preformatted too are noted. A line end between two blocks is the end of the first one's
    last line and makes no empty line.
    """
    if next(pre.iter(), None) is None:
        return pre.text()
    pre.merge_text_nodes()
    parts: list[str] = []
    begun = behind_block = False  # the line has text; a block has just ended
    for node, ends in _walk(pre):
        tag = node.tag_id
        if tag == _BR:
            if not ends:
                parts.append("\n")
                begun = behind_block = False
        elif tag in _BREAKS:
            if begun:
                parts.append("\n")
            begun, behind_block = False, ends
            if tag in _PRES:
                within.add(node.mem_id)
        elif not ends and (text := _own_text(node, behind_block)):
            parts.append(text)
            begun, behind_block = not text.endswith("\n"), False
    return "".join(parts)


def _own_text(node: Node, behind_block: bool) -> str:
    """What the text *node* shows within preformatted text; "" if it is none."""
    text, parent = node.text_content or "", node.parent
    if text.isspace():
        following = node.next
        between = behind_block and (following is None or following.tag_id in _BREAKS) and text.count("\n") < 2
        if between or (parent is not None and parent.tag_id in _WITHOUT_TEXT):
            return ""
    return text[1:] if behind_block and text.startswith("\n") else text


def _walk(top: Node) -> Iterator[tuple[Node, bool]]:
    """All nodes within *top*, each when it begins and when it ends (true)."""
    node, end = top.first_child, top.mem_id
    while node is not None:
        yield node, False
        within = node.first_child
        while within is None:
            yield node, True
            within = node.next
            if within is None:
                parent = node.parent
                if parent is None or parent.mem_id == end:
                    return
                node = parent
        node = within


def _lines(raw: str, kept: dict[str, str]) -> str:
    """Blocks between NULs as lines, white space collapsed; *kept* holds preformatted ones by their marks."""
    for space in "\n\t\r\f\xa0":
        raw = raw.replace(space, " ")
    lines: list[str] = []
    for line in filter(None, map(str.strip, raw.split("\0"))):
        if "  " in line:
            line = " ".join(filter(None, map(str.strip, line.split("  "))))  # much cheaper than word by word
        if line[0] == "\1" and line in kept:
            line = kept.pop(line).strip("\r\n").rstrip()
            if not line:
                continue
        lines.append(line)
    return "\n".join(lines)
