"""The blocks of a document with the sizes of their texts, by which its main content is chosen. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate, islice
from operator import add, sub
from typing import Final

from crawler.parse.tokens import Token, end_of, names

_BLOCKS: Final = names(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hgroup legend li listing main menu nav noscript ol p pre search section"
    " summary table tbody td tfoot th thead tr ul"
)
_UNSEEN: Final = names(
    "svg head noembed noframes datalist iframe template title script style mjx-math mjx-assistive-mml"
)
_CONTROLS: Final = names("object canvas audio video select button textarea map")
_OPEN, _CLOSE, _LINK, _LINK_END, _SKIP = range(1, 6)
ALL: Final = {
    **dict.fromkeys(_BLOCKS, _OPEN),
    **dict.fromkeys((f"/{name}" for name in _BLOCKS), _CLOSE),
    **dict.fromkeys(_UNSEEN, _SKIP),
    "a": _LINK,
    "/a": _LINK_END,
}
"""What a tag means here."""
WITHOUT_CONTROLS: Final = {**ALL, **dict.fromkeys(_CONTROLS, _SKIP)}
"""The same, where controls and players are not read."""

_SHORT: Final = frozenset(("p", "pre", "blockquote"))
_MIN_PARAGRAPH: Final = 60
_MIN_SHORT: Final = 20
"""Characters from which text counts as a paragraph; the lower number for elements that are meant for one."""
_MIN_LABEL: Final = 3
"""Characters; less is the number of a row."""
_SCHEME = re.compile(r"[a-zA-Z][\w+.-]*:")


class Blocks:
    """The blocks of a document by number, parents first; number 0 is the body."""

    def __init__(self, tokens: Sequence[Token], kinds: Mapping[str, int]) -> None:
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.parents: list[int] = []
        room = len(tokens) + 1  # there are fewer blocks; the last place is for what is in none
        self.starts: list[int] = []
        self.ends = [0] * room
        """The tokens that begin and end a block."""
        self.text, self.links = [0] * room, [0] * room
        """Characters of text outside and inside links, of all that a block contains."""
        self._hrefs, self._local = [0] * room, [0] * room
        self.gaps: list[tuple[int, int]] = []
        """The tokens of elements that are not read."""
        self._behind = [0] * room
        """The number of the first block behind each one and all that it contains."""
        self._scan(tokens, kinds)
        for places in (self.ends, self.text, self.links, self._behind):
            del places[len(self.tags) :]
        self.dead = [False] * len(self.tags)
        """Whether a block is left out, by itself or with its parent."""
        self.own = list(map(add, self.text, self.links))
        self.own_weight = [
            text if text >= _MIN_PARAGRAPH or (text >= _MIN_SHORT and tag in _SHORT) else 0
            for tag, text in zip(self.tags, self.text, strict=True)
        ]
        """What a block itself has of its characters and of its weight."""
        self.weight = self._sums(self.own_weight)
        self.text, self.links = self._sums(self.text), self._sums(self.links)
        self._hrefs, self._local = [0, *accumulate(self._hrefs)], [0, *accumulate(self._local)]

    def _scan(self, tokens: Sequence[Token], kinds: Mapping[str, int]) -> None:
        kind_of, ends, parents, starts, behind = kinds.get, self.ends, self.parents, self.starts, self._behind
        current, sizes = -1, self.text
        walk = enumerate(tokens)
        for at, (name, attributes, text) in walk:
            kind = kind_of(name)
            if kind is None:
                pass
            elif kind == _OPEN:
                parents.append(current)
                current = len(starts)
                starts.append(at)
            elif kind == _CLOSE:
                ends[current], behind[current] = at, len(starts)
                current = parents[current] if current >= 0 else -1
            elif kind == _LINK:
                if "href" in attributes:  # else it is a place to link to
                    sizes = self.links
                    self._hrefs[current] += ' href="javascript:' not in attributes
                    self._local[current] += _is_local(attributes)
            elif kind == _LINK_END:
                sizes = self.text
            else:
                end = end_of(tokens, at)
                self.gaps.append((at, end))
                text = tokens[end][2]
                next(islice(walk, end - at, end - at), None)  # continue behind the end
            if text and (size := len(text.strip()) if text.isascii() else _size(text)):
                if sizes is not self.text and ("://" in text or "@" in text):
                    self.text[current] += size  # an address is text
                else:
                    sizes[current] += size
        self._close(current, len(tokens) - 1)
        self.tags, self.attributes = [tokens[at][0] for at in starts], [tokens[at][1] for at in starts]

    def _close(self, current: int, last: int) -> None:
        """Close what the limit of tags has left open."""
        while current >= 0:
            self.ends[current], self._behind[current] = max(last, self.starts[current]), len(self.starts)
            current = self.parents[current]

    def sums(self, own: Sequence[int]) -> list[int]:
        """For each block the sum over all that it contains of what each has of its *own*.

        What is left out counts nothing, nor may its children.
        """
        return self._sums([0 if dead else one for dead, one in zip(self.dead, own, strict=True)])

    def _sums(self, own: Sequence[int]) -> list[int]:
        before = [0, *accumulate(own)]
        return list(map(sub, map(before.__getitem__, self._behind), before))

    def size(self, block: int) -> int:
        """Characters of text."""
        return self.text[block] + self.links[block]

    def hrefs(self, block: int) -> tuple[int, int]:
        """The number of links that lead somewhere, and of those to the page itself or to its neighbours."""
        behind = self._behind[block]
        return self._hrefs[behind] - self._hrefs[block], self._local[behind] - self._local[block]

    def within(self, root: int) -> range:
        """The numbers of the blocks in *root*."""
        return range(root + 1, max(bisect_left(self.starts, self.ends[root]), root + 1))

    def is_labelled(self, block: int) -> bool:
        """Whether most rows of tables in *block* that have links begin with a cell that has none.

        Such a cell is a label, as in the box of an encyclopedia: what stands beside it is data, and no list of links.
        """
        end, (rows, labelled) = self._behind[block], self._rows
        return 2 * (labelled[end] - labelled[block]) > rows[end] - rows[block]

    @cached_property
    def _rows(self) -> tuple[list[int], list[int]]:
        """How many rows with links there are before each block, and how many of these with a label."""
        rows = [tag == "tr" and links > 0 for tag, links in zip(self.tags, self.links, strict=True)]
        first = zip(rows, self.text[1:], self.links[1:], strict=False)
        labelled = [is_row and not links and text >= _MIN_LABEL for is_row, text, links in first]
        return [0, *accumulate(rows)], [0, *accumulate(labelled), sum(labelled)]

    def next_to(self, block: int) -> int:
        """The token that begins the next block behind *block*, or ends the one around it."""
        after, following = self.ends[self.parents[block]], self._behind[block]
        return min(after, self.starts[following]) if following < len(self.starts) else after

    def contains(self, root: int, block: int) -> bool:
        """Whether *block* is *root* or is in it."""
        return self.starts[root] <= self.starts[block] <= self.ends[root]


def _is_local(attributes: str) -> bool:
    """Whether a link leads to the page itself or to its neighbours, but not to the next page or a table of contents."""
    at = attributes.find(' href="') + 7
    if at < 7 or ' rel="' in attributes or ' accesskey="' in attributes or attributes[at] in '"/?':
        return False
    return ":" not in attributes or _SCHEME.match(attributes, at) is None


def _size(text: str) -> int:
    """The characters of *text*; a Chinese or Japanese one counts twice, as it says as much as two letters, at least."""
    text = text.strip()
    return (len(text) + len(text.encode("utf-8", "replace"))) // 2
