"""Chooses the main content of a page: what is left without menus, teasers, banners and footers. Pure.

Blocks are judged by sums over their text, in a few passes:

1. Blocks that name themselves as something else (tag, role, class, id) are left out, unless they hold much of the text.
2. The root is the block that declares itself as the content, if it holds half of the text; within it, the deepest block
   that holds 90%.
3. Within the root, lists of links, rows of teasers and headings without text are left out.

The weight of a block is its running text: characters outside links, of blocks that are long enough to be a paragraph.
If nothing is found, all text is the content.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from crawler.parse.block_names import CONTENT, HIDDEN, NOTHING, OTHER, SECONDARY, judge
from crawler.parse.page import Tree
from crawler.parse.tokens import Token, tokens_of, value_of

_BLOCKS: Final = (
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hgroup legend li listing main menu nav noscript ol p pre search section"
    " summary table tbody td tfoot th thead tr ul"
).split()
_UNSEEN: Final = "svg head noembed noframes datalist iframe template title script style mjx-math".split()
_CONTROLS: Final = "object canvas audio video select button textarea map".split()
"""Left out of the content, but not of all text."""
_OPEN, _CLOSE, _LINK, _LINK_END, _SKIP = range(1, 6)
_KINDS: Final = {
    **dict.fromkeys(_BLOCKS, _OPEN),
    **{f"/{name}": _CLOSE for name in _BLOCKS},
    **dict.fromkeys(_UNSEEN + _CONTROLS, _SKIP),
    "a": _LINK,
    "/a": _LINK_END,
}
_NAMED: Final = frozenset(
    "div section ul ol dl nav header footer aside figure li main article td tr form center details menu dialog table".split()
)
"""Tags whose names are judged."""
_HEADINGS: Final = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_SHORT: Final = frozenset(("p", "pre", "blockquote"))
_OTHER_TAGS: Final = {
    "nav": OTHER,
    "aside": SECONDARY,
    "footer": SECONDARY,
    "header": OTHER,
    "figcaption": OTHER,
    "dialog": OTHER,
    "menu": OTHER,
    "search": OTHER,
}
_LISTS: Final = frozenset("ul ol div section table p dl li h2 h3 h4".split())
_TEASERS: Final = frozenset("div li article a figure".split())

_LOCAL = re.compile(r'(?!.* (?:accesskey|rel)=")(?:.*?) href="(?:#|(?![a-zA-Z][\w+.-]*:)[^"/?])')

_MIN_PARAGRAPH: Final = 60
_MIN_SHORT: Final = 20
_GUARD: Final = 0.1
_GUARD_SECONDARY: Final = 0.6
_ROOT_SHARE: Final = 0.9
_LINK_SHARE: Final = 0.4
_MAX_LIST: Final = 0.3
_MIN_FOUND: Final = 0.25
_MIN_TEXT: Final = 150


@dataclass(slots=True)
class Content:
    """The chosen part of a document."""

    tokens: list[Token]
    ranges: list[tuple[int, int]]
    """Which of the tokens, in the order of the document."""
    whole_page: bool = False


@dataclass(slots=True)
class _Blocks:
    """The blocks of a document by number, parents first; the first one is the body."""

    tags: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    text: list[int] = field(default_factory=list)
    """Characters outside links: first of the block's own text, then of all in it."""
    links: list[int] = field(default_factory=list)
    hrefs: list[int] = field(default_factory=list)
    local: list[int] = field(default_factory=list)
    """Links, and those of them that lead to the page itself or to its neighbours."""
    weight: list[float] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    """Characters of the block's own text, links included."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Tokens of elements that are left out in any case."""
    dead: list[bool] = field(default_factory=list)


def _scan(tokens: list[Token], kinds: dict[str, int]) -> _Blocks:
    """The blocks of a document."""
    blocks = _Blocks()
    own, links, parents, starts, ends, gaps = (
        blocks.text, blocks.links, blocks.parents, blocks.starts, blocks.ends, blocks.gaps,
    )
    hrefs, neighbours, local = blocks.hrefs, blocks.local, _LOCAL.match
    current, in_link, skipped, depth, since = -1, False, "", 0, 0
    for i, (name, attributes, text) in enumerate(tokens):
        kind = kinds.get(name)
        if skipped:
            if name == skipped:
                depth += 1
            elif name[0] == "/" and name[1:] == skipped:
                depth -= 1
                if not depth:
                    skipped = ""
                    gaps.append((since, i))
            if skipped:
                continue
        elif kind == _OPEN:
            blocks.tags.append(name)
            blocks.attributes.append(attributes)
            parents.append(current)
            current = len(starts)
            starts.append(i)
            ends.append(i)
            own.append(0)
            links.append(0)
            hrefs.append(0)
            neighbours.append(0)
        elif kind == _CLOSE:
            ends[current] = i
            if current:
                current = parents[current]
        elif kind == _LINK:
            in_link = True
            if "href" in attributes:
                hrefs[current] += 1
                if local(attributes):
                    neighbours[current] += 1
        elif kind == _LINK_END:
            in_link = False
        elif kind == _SKIP:
            skipped, depth, since = name, 1, i
            continue
        if text and (size := len(text.strip())):
            if in_link:
                links[current] += size
            else:
                own[current] += size
    return blocks


def _sum_up(blocks: _Blocks) -> None:
    """Weights, and the sums over all that each block contains."""
    text, links, parents = blocks.text, blocks.links, blocks.parents
    hrefs, local = blocks.hrefs, blocks.local
    blocks.weight = weight = [
        float(size) if size >= _MIN_PARAGRAPH or (size >= _MIN_SHORT and tag in _SHORT) else 0.0
        for size, tag in zip(text, blocks.tags, strict=True)
    ]
    blocks.own = [a + b for a, b in zip(text, links, strict=True)]
    for block in range(len(parents) - 1, 0, -1):
        parent = parents[block]
        weight[parent] += weight[block]
        text[parent] += text[block]
        links[parent] += links[block]
        hrefs[parent] += hrefs[block]
        local[parent] += local[block]
    blocks.dead = [False] * len(parents)


def choose(tree: Tree) -> Content:
    """The main content of *tree*; all of it if none is found."""
    tokens = tokens_of(tree)
    blocks = _scan(tokens, _KINDS)
    if not blocks.tags:
        return Content(tokens, [(0, len(tokens))], whole_page=True)
    _sum_up(blocks)
    _drop_named(blocks)
    named = list(blocks.dead)
    root = _root(blocks, _alive(blocks, blocks.weight))
    _drop_lists(blocks, root)
    _drop_teasers(blocks, root)
    _drop_headings(blocks, root)
    kept = _kept(blocks, root)
    blocks_dead = blocks.dead
    blocks.dead = named
    if kept < _MIN_TEXT or kept < _MIN_FOUND * _kept(blocks, 0):
        root = _declared(blocks)
    else:
        blocks.dead = blocks_dead
    return Content(tokens, list(_ranges(blocks, root, tokens)))


def _kept(blocks: _Blocks, root: int) -> float:
    """Characters of text in *root*, without what was left out."""
    return _alive(blocks, [a + b for a, b in zip(blocks.text, blocks.links, strict=True)])[root]


def _declared(blocks: _Blocks) -> int:
    """The block that declares itself the content of a page of links; else the body."""
    sizes = _alive(blocks, [a + b for a, b in zip(blocks.text, blocks.links, strict=True)])
    best = 0
    for block, tag in enumerate(blocks.tags):
        if blocks.dead[block] or 2 * sizes[block] <= sizes[0] or not _within(blocks.parents, block, best):
            continue
        if tag in ("article", "main") or judge(blocks.attributes[block]) == CONTENT:
            best = block
    return best


def _drop_named(blocks: _Blocks) -> None:
    """Leave out blocks that say they are something else.

    Never what holds much of the page's weight, alone or with all others of its name: the posts of a forum are comments.
    """
    weight, parents, dead = blocks.weight, blocks.parents, blocks.dead
    total = weight[0]
    verdicts = list(map(_verdict, blocks.tags, blocks.attributes))
    together: dict[str, float] = defaultdict(float)
    for block, verdict in enumerate(verdicts):
        if OTHER <= verdict < HIDDEN:
            together[_kind(blocks, block)] += weight[block]
    hidden: list[int] = []
    for block, verdict in enumerate(verdicts):
        if block and dead[parents[block]]:
            dead[block] = True
        elif verdict < OTHER or not block:
            continue
        elif verdict == HIDDEN:
            dead[block] = 2 * (blocks.text[block] + blocks.links[block]) < blocks.text[0] + blocks.links[0]
            if dead[block]:
                hidden.append(block)
        elif blocks.tags[block] == "header":
            dead[block] = not weight[block]
        else:
            share = _GUARD if verdict == OTHER else _GUARD_SECONDARY
            dead[block] = together[_kind(blocks, block)] <= share * total
    if 2 * sum(weight[block] for block in hidden if blocks.tags[block] != "noscript") > total:
        _show(blocks, hidden)


def _verdict(tag: str, attributes: str) -> int:
    if tag == "noscript":
        return HIDDEN
    named = judge(attributes) if attributes and tag in _NAMED else NOTHING
    return named or _OTHER_TAGS.get(tag, NOTHING)


def _kind(blocks: _Blocks, block: int) -> str:
    """What blocks of one kind have in common: the tag and the first class."""
    attributes = blocks.attributes[block]
    name = (value_of(attributes, "class") or str(block)).partition(" ")[0] if attributes else ""
    return f"{blocks.tags[block]}.{name}"


def _show(blocks: _Blocks, hidden: list[int]) -> None:
    """Take back that the *hidden* blocks are left out: tabs and accordions hide most of a page."""
    for top in hidden:
        if blocks.tags[top] != "noscript":
            for block in range(top, len(blocks.dead)):
                if blocks.starts[block] > blocks.ends[top]:
                    break
                blocks.dead[block] = False


def _alive(blocks: _Blocks, weight: Sequence[float]) -> list[float]:
    """The weights without what was left out."""
    parents, dead = blocks.parents, blocks.dead
    alive = list(weight)
    for block in range(len(parents) - 1, 0, -1):
        if dead[block] and not dead[parents[block]]:
            lost, parent = weight[block], parents[block]
            while parent >= 0:
                alive[parent] -= lost
                parent = parents[parent]
    return alive


def _root(blocks: _Blocks, alive: list[float]) -> int:
    """The block that contains the main content."""
    parents, dead = blocks.parents, blocks.dead
    total, root, named = alive[0], 0, False
    for block, tag in enumerate(blocks.tags):
        if dead[block] or 2 * alive[block] <= total or not _within(parents, block, root):
            continue
        declared = tag in _NAMED and judge(blocks.attributes[block]) == CONTENT
        if declared or tag in ("article", "main"):
            root, named = block, declared
    if total and not named:
        root = _deepest(blocks, alive, root)
    return root


def _within(parents: list[int], block: int, root: int) -> bool:
    while block > root:
        block = parents[block]
    return block == root


def _deepest(blocks: _Blocks, alive: list[float], root: int) -> int:
    """The deepest block in *root* that holds 90% of its weight."""
    least = _ROOT_SHARE * alive[root]
    for block in range(root + 1, len(alive)):
        if alive[block] >= least and not blocks.dead[block] and blocks.parents[block] == root:
            if blocks.tags[block] in ("p", "table", "pre", "td", "tr", "tbody", "ul", "ol", "li", "dl"):
                break
            root = block
    return root


def _drop_lists(blocks: _Blocks, root: int) -> None:
    """Leave out lists of links within *root*."""
    text, links, dead, parents = blocks.text, blocks.links, blocks.dead, blocks.parents
    most = _MAX_LIST * (text[root] + links[root])
    for block in range(root + 1, len(dead)):
        if blocks.starts[block] > blocks.ends[root]:
            break
        if dead[parents[block]]:
            dead[block] = True
        elif not dead[block] and blocks.tags[block] in _LISTS:
            size = text[block] + links[block]
            if size <= most and links[block] > _LINK_SHARE * size:
                dead[block] = not _is_manual(blocks, block)


def _is_manual(blocks: _Blocks, block: int) -> bool:
    """Whether most links in *block* lead to places on the page or to its neighbours, as those of manuals do."""
    return 2 * blocks.local[block] > blocks.hrefs[block]


def _drop_teasers(blocks: _Blocks, root: int) -> None:
    """Leave out rows of short siblings alike, each with a link."""
    text, links, dead = blocks.text, blocks.links, blocks.dead
    rows: dict[tuple[int, str, str], list[int]] = defaultdict(list)
    for block in range(root + 1, len(dead)):
        if blocks.starts[block] > blocks.ends[root]:
            break
        if not dead[block] and links[block] and blocks.tags[block] in _TEASERS and not _is_manual(blocks, block):
            attributes = blocks.attributes[block]
            kind = (value_of(attributes, "class") or "").partition(" ")[0] if attributes else ""
            rows[blocks.parents[block], blocks.tags[block], kind].append(block)
    whole = text[root] + links[root]
    for row in rows.values():
        sizes = [text[block] + links[block] for block in row]
        if len(row) >= 4 and max(sizes) < 400 and sum(sizes) < 0.6 * whole:
            for block in row:
                dead[block] = True


def _drop_headings(blocks: _Blocks, root: int) -> None:
    """Leave out headings at the end of *root* with no text behind them."""
    dead, parents = blocks.dead, blocks.parents
    last = len(dead) - 1
    while last > root and blocks.starts[last] > blocks.ends[root]:
        last -= 1
    for block in range(last, root, -1):
        parent = parents[block]
        while parent > root and not dead[parent]:
            parent = parents[parent]
        if dead[block] or (parent > root and dead[parent]):
            continue
        if blocks.tags[block] in _HEADINGS:
            dead[block] = True
        elif blocks.own[block]:
            break


def _ranges(blocks: _Blocks, root: int, tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """The tokens of *root* without what is left out. What stands behind a part that is left out stays."""
    begin, end = blocks.starts[root], blocks.ends[root] + 1
    gaps = list(blocks.gaps)
    gaps += [
        (blocks.starts[block], blocks.ends[block])
        for block in range(root + 1, len(blocks.dead))
        if blocks.dead[block] and not blocks.dead[blocks.parents[block]]
    ]
    gaps.sort()
    for since, until in gaps:
        if since < begin:
            continue
        if since >= end:
            break
        yield begin, since
        name, attributes, text = tokens[until]
        tokens[until] = ("/div", "", text)
        begin = until
    yield begin, end
