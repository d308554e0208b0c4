"""Chooses the main content of a page: what is left without menus, teasers, banners and footers. Pure.

Blocks are judged by sums over their text, in a few passes:

1. Blocks that name themselves as something else (tag, role, class, id) are left out, unless they hold much of the text.
2. The root is the block that declares itself as the content, if it holds half of the text; within it, the deepest block
   that holds 90%.
3. Within the root, lists of links, rows of teasers and headings without text are left out. Lists whose links lead to
   the page's neighbours stay: they are the contents of a manual.

The weight of a block is its running text: characters outside links, of blocks that are long enough to be a paragraph.
If little is left, all that is not named as something else is taken; if nothing is, all text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from crawler.parse.block_names import CONTENT, HIDDEN, NOTHING, OTHER, SECONDARY, judge
from crawler.parse.blocks import ALL, WITHOUT_CONTROLS, Blocks
from crawler.parse.page import Tree
from crawler.parse.tokens import Token, names, tokens_of, value_of

_NAMED: Final = names(
    "div section ul ol dl nav header footer aside figure li main article td tr form center details menu dialog table"
)
"""Tags whose names are judged."""
_HEADINGS: Final = names("h1 h2 h3 h4 h5 h6")
_TITLES: Final = names("h1 h2")
_CONTENTS = re.compile(r'class="[^"]*\b(?:contents|local-toc)\b')
"""The table of contents of the page itself, as manuals have it."""
_NOTES = re.compile(
    r'="[^"]*\b(?:foot|end)?notes?\b|="[^"]*\b(?:admonition|callout|caution|warning|tip|important|ingredients?)\b'
)
"""Notes of the text itself, and what a recipe takes, though each may be a link."""
_SECTION = re.compile(r' class="(?:[^"]* )?(?:(?:ref)?sect|level|outline-)\d\b')
"""A section of a manual: those beside it belong to the same content."""
_OTHER_TAGS: Final = {
    **dict.fromkeys(("nav", "header", "figcaption", "dialog", "menu", "search"), OTHER),
    **dict.fromkeys(("aside", "footer"), SECONDARY),
}
_LISTS: Final = names("ul ol div section table p h2 h3 h4")
_TEASERS: Final = names("div li article a figure")
_LEAVES: Final = names("p table pre td tr tbody ul ol li dl h1 h2 h3 h4 h5 h6")
"""What is not the root of a content."""

_GUARD: Final = 0.25
_GUARD_SECONDARY: Final = 0.5
"""Shares of a page's weight up to which a block is left out for its name."""
_ROOT_SHARE: Final = 0.9
_LINK_SHARE: Final = 0.4
_LINK_SHARE_OF_P: Final = 0.8
_MAX_LIST: Final = 0.3
"""Lists of links have more than the first share of their text in links, and less than the second of the root's."""
_MAX_TEASER: Final = 400
_MAX_TEASERS: Final = 0.6
_MIN_TEASERS: Final = 4
_MIN_TEASER_LINKS: Final = 0.4
"""Of the text of items; those with less are sentences."""
_MIN_FOUND: Final = 0.25
_MIN_TEXT: Final = 150
"""A content has at least this share of the text, and characters."""


@dataclass(frozen=True, slots=True)
class Content:
    """The chosen part of a document."""

    tokens: list[Token]
    ranges: list[tuple[int, int]]
    """Which of the tokens, in the order of the document."""
    whole_page: bool = False
    """No main content was found: it is all that the page shows."""


def choose(tree: Tree) -> Content:
    """The main content of *tree*; all of it if none is found."""
    tokens = tokens_of(tree)
    blocks = Blocks(tokens, WITHOUT_CONTROLS)
    if not blocks.tags:
        return whole(tree)
    _drop_named(blocks)
    named = list(blocks.dead)
    root = _root(blocks, blocks.sums(blocks.own_weight))
    _drop_lists(blocks, root)
    _drop_teasers(blocks, root)
    _drop_headings(blocks, root, tokens)
    found = blocks.sums(blocks.own)[root]
    if found < _MIN_TEXT or found < _MIN_FOUND * blocks.size(0):
        chosen, blocks.dead = blocks.dead, named
        sizes = blocks.sums(blocks.own)
        if found < _MIN_TEXT or found < _MIN_FOUND * sizes[0]:
            root = _declared(blocks, sizes)[0]
            found = sizes[root]
        else:
            blocks.dead = chosen
    return Content(tokens, list(_ranges(blocks, root, tokens))) if found else whole(tree)


def whole(tree: Tree, with_hidden: bool = False) -> Content:
    """All that *tree* shows, or even what is hidden."""
    tokens = tokens_of(tree)
    blocks = Blocks(tokens, ALL)
    if not blocks.tags:
        return Content(tokens, [(0, len(tokens))], whole_page=True)
    if not with_hidden:
        _drop_hidden(blocks, list(map(verdict_on, blocks.tags, blocks.attributes)))
    return Content(tokens, list(_ranges(blocks, 0, tokens)), whole_page=True)


def _drop_named(blocks: Blocks) -> None:
    """Leave out blocks that say they are something else.

    Never what holds much of the page's weight, alone or with all others of its name: the posts of a forum are comments.
    """
    weight, parents, total = blocks.weight, blocks.parents, blocks.weight[0]
    verdicts = list(map(verdict_on, blocks.tags, blocks.attributes))
    if HIDDEN in verdicts:
        _drop_hidden(blocks, verdicts)
    dead, main = blocks.dead, _main(blocks)
    together: dict[str, int] = defaultdict(int)
    kinds: dict[int, str] = {}
    for block, verdict in enumerate(verdicts):
        if OTHER <= verdict < HIDDEN:
            kinds[block] = kind = _kind(blocks, block, str(block))
            together[kind] += weight[block]
    for block, verdict in enumerate(verdicts):
        if block and dead[parents[block]]:
            dead[block] = True
        elif not OTHER <= verdict < HIDDEN or not block:
            continue
        elif verdict == OTHER and not blocks.hrefs(block)[0] and "teaser" in blocks.attributes[block]:
            continue  # the lead of an article: teasers have links
        elif blocks.tags[block] == "header":
            dead[block] = not weight[block]
        else:
            share = _GUARD if verdict == OTHER else _GUARD_SECONDARY
            is_most = 2 * blocks.text[block] > max(blocks.text[0], _MIN_TEXT)
            is_small = together[kinds[block]] <= share * total and not is_most
            dead[block] = is_small or _is_beside(blocks, block, main)


def _main(blocks: Blocks) -> int | None:
    """The only block that says it is the main one, if it has a paragraph or as much text as a content has."""
    named = [
        block for block, tag in enumerate(blocks.tags) if tag == "main" or ' role="main"' in blocks.attributes[block]
    ]
    found = [block for block in named if blocks.weight[block] or blocks.size(block) >= _MIN_TEXT]
    return found[0] if len(found) == 1 else None


def _is_beside(blocks: Blocks, block: int, main: int | None) -> bool:
    """Whether *block* is neither in *main* nor around it."""
    return main is not None and not blocks.contains(main, block) and not blocks.contains(block, main)


def _drop_hidden(blocks: Blocks, verdicts: list[int]) -> None:
    """Leave out what is hidden, unless it is half of the text, by itself or together, as tabs and accordions are."""
    parents, dead = blocks.parents, blocks.dead
    together, all_text = 0, blocks.size(0)
    for block, verdict in enumerate(verdicts):
        if block and dead[parents[block]]:
            dead[block] = True
        elif verdict == HIDDEN and block and 2 * blocks.size(block) < all_text:
            dead[block] = True
            together += blocks.size(block) * (blocks.tags[block] != "noscript")
    if together > _MIN_TEXT and 2 * together > all_text:
        blocks.dead = [False] * len(dead)


def verdict_on(tag: str, attributes: str) -> int:
    if tag == "noscript":
        return HIDDEN
    named = judge(attributes, tag == "section") if attributes and tag in _NAMED else NOTHING
    if (tag == "nav" and _CONTENTS.search(attributes)) or (tag == "aside" and _NOTES.search(attributes)):
        return NOTHING
    return named or _OTHER_TAGS.get(tag, NOTHING)


def _kind(blocks: Blocks, block: int, without: str) -> str:
    """What blocks of one kind have in common: the tag and the first class, or *without* one that."""
    attributes = blocks.attributes[block]
    name = ((value_of(attributes, "class") if attributes else "") or without).partition(" ")[0]
    return f"{blocks.tags[block]}.{name}"


def _root(blocks: Blocks, weights: Sequence[int]) -> int:
    """The block that contains the main content."""
    scope, is_named = _declared(blocks, weights)
    return scope if is_named or not weights[0] else _with_title(blocks, scope, _deepest(blocks, weights, scope))


def _declared(blocks: Blocks, sizes: Sequence[int]) -> tuple[int, bool]:
    """The deepest block that declares itself the content and holds half of all, else the body; whether by its name."""
    root, is_named = 0, False
    for block, tag in enumerate(blocks.tags):
        if blocks.dead[block] or 2 * sizes[block] <= sizes[0] or not blocks.contains(root, block):
            continue
        named = tag in _NAMED and judge(blocks.attributes[block]) == CONTENT
        if named or tag in ("article", "main"):
            root, is_named = block, named
    return root, is_named


def _deepest(blocks: Blocks, weights: Sequence[int], root: int) -> int:
    """The deepest block in *root* that holds 90% of its weight."""
    least = _ROOT_SHARE * weights[root]
    for block in blocks.within(root):
        if weights[block] >= least and not blocks.dead[block] and blocks.parents[block] == root:
            if blocks.tags[block] in _LEAVES or _SECTION.search(blocks.attributes[block]):
                break
            root = block
    return root


def _with_title(blocks: Blocks, scope: int, root: int) -> int:
    """*root*, or the block around it, within *scope*, that has its title: a first heading before it."""
    if any(blocks.tags[block] in _TITLES for block in blocks.within(root)):
        return root
    around = root
    while around > scope:
        around = blocks.parents[around]
        for block in range(around + 1, root):
            if blocks.tags[block] in _TITLES and not blocks.dead[block] and blocks.own[block]:
                return around
    return root


def _drop_lists(blocks: Blocks, root: int) -> None:
    """Leave out lists of links within *root*."""
    links, dead, parents = blocks.links, blocks.dead, blocks.parents
    most = _MAX_LIST * blocks.size(root)
    for block in blocks.within(root):
        if dead[parents[block]]:
            dead[block] = True
        elif links[block] and not dead[block] and blocks.tags[block] in _LISTS:
            size = blocks.size(block)
            is_list = size <= most and links[block] > max(_LINK_SHARE * size, blocks.weight[block])
            is_text = blocks.tags[block] == "p" and links[block] <= _LINK_SHARE_OF_P * size
            is_text = is_text or _is_part(blocks, block) or _is_part(blocks, parents[block])
            if is_list and not is_text:
                dead[block] = not _is_manual(blocks, block) and not blocks.is_labelled(block)


def _is_part(blocks: Blocks, block: int) -> bool:
    """Whether *block* is a definition or a note: a link is part of its text."""
    return blocks.tags[block] in ("dd", "td", "th") or _is_note(blocks, block)


def _is_note(blocks: Blocks, block: int) -> bool:
    return _NOTES.search(blocks.attributes[block]) is not None


def _is_manual(blocks: Blocks, block: int) -> bool:
    """Whether all links in *block* lead to places on the page or to its neighbours, as those of manuals do."""
    hrefs, local = blocks.hrefs(block)
    return 0 < local == hrefs


def _drop_teasers(blocks: Blocks, root: int) -> None:
    """Leave out rows of short siblings alike, each with a link."""
    rows: dict[tuple[int, str], list[int]] = defaultdict(list)
    dead, parents, links, tags = blocks.dead, blocks.parents, blocks.links, blocks.tags
    for block in blocks.within(root):
        if dead[parents[block]]:
            dead[block] = True
        elif links[block] and tags[block] in _TEASERS and not dead[block] and blocks.hrefs(block)[0]:
            rows[parents[block], _kind(blocks, block, "")].append(block)
    for row in rows.values():
        around = parents[row[0]]
        if len(row) < _MIN_TEASERS or _is_note(blocks, around) or _is_note(blocks, parents[around]):
            continue
        sizes = list(map(blocks.size, row))
        if max(sizes) >= _MAX_TEASER or sum(sizes) >= _MAX_TEASERS * blocks.size(root):
            continue
        if blocks.tags[row[0]] == "li" and sum(map(blocks.links.__getitem__, row)) < _MIN_TEASER_LINKS * sum(sizes):
            continue  # sentences
        for block in row:
            dead[block] = not _is_manual(blocks, block)


def _drop_headings(blocks: Blocks, root: int, tokens: list[Token]) -> None:
    """Leave out headings at the end of *root* with no text behind them."""
    dead = blocks.dead
    for block in blocks.within(root):
        dead[block] = dead[block] or dead[blocks.parents[block]]
    for block in reversed(blocks.within(root)):
        if not dead[block] and blocks.tags[block] in _HEADINGS:
            if _has_text(blocks, block, tokens):
                break
            dead[block] = True
        elif not dead[block] and blocks.own[block]:
            break


def _has_text(blocks: Blocks, heading: int, tokens: list[Token]) -> bool:
    """Whether text follows a *heading* directly; a link to another place is none."""
    for name, _, text in tokens[blocks.ends[heading] : blocks.next_to(heading)]:
        if name == "a":
            return _is_manual(blocks, blocks.parents[heading])
        if text.strip():
            return True
    return False


def _ranges(blocks: Blocks, root: int, tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """The tokens of *root* without what is left out. What stands behind a part that is left out stays."""
    begin, end = blocks.starts[root], blocks.ends[root] + 1
    parts = [block for block in blocks.within(root) if blocks.dead[block]]
    for since, until in sorted([*blocks.gaps, *((blocks.starts[block], blocks.ends[block]) for block in parts)]):
        if since < begin:
            continue
        if since >= end:
            break
        yield begin, since
        tokens[until] = ("/div", "", tokens[until][2])
        begin = until
    yield begin, end
