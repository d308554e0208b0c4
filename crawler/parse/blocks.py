"""The blocks of a document with the sizes of their texts, by which its main content is chosen. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
# A link to the page itself or to its neighbours, but not to the next page or a table of contents.
_LOCAL = re.compile(r'(?!.* (?:accesskey|rel)=").*? href="(?:#|(?![a-zA-Z][\w+.-]*:)[^"/?])')


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
        self.hrefs, self.local = [0] * room, [0] * room
        """Links, and those of them that lead to the page itself or to its neighbours."""
        self.gaps: list[tuple[int, int]] = []
        """The tokens of elements that are not read."""
        self._current, self._in_link = -1, False
        self._scan(tokens, kinds)
        for places in (self.ends, self.text, self.links, self.hrefs, self.local):
            del places[len(self.tags) :]
        self.dead = [False] * len(self.tags)
        """Whether a block is left out, by itself or with its parent."""
        self.own = [text + links for text, links in zip(self.text, self.links, strict=True)]
        self.own_weight = list(map(_weight, self.tags, self.text))
        """What a block itself has of its characters and of its weight."""
        self.weight = self.sums(self.own_weight)
        for sizes in (self.text, self.links, self.hrefs, self.local):
            sizes[:] = self.sums(sizes)

    def _scan(self, tokens: Sequence[Token], kinds: Mapping[str, int]) -> None:
        kind_of, until = kinds.get, -1
        for at, (name, attributes, text) in enumerate(tokens):
            if at < until:
                continue
            kind = kind_of(name)
            if kind is not None and at != until:
                if kind == _SKIP:
                    until = end_of(tokens, at)
                    self.gaps.append((at, until))
                    continue
                self._note(kind, name, attributes, at)
            if text and (size := len(text.strip())):
                if self._in_link:
                    self.links[self._current] += size
                else:
                    self.text[self._current] += size
        while self._current >= 0:  # the limit of tags may have left some open
            self.ends[self._current] = max(len(tokens) - 1, self.starts[self._current])
            self._current = self.parents[self._current]

    def _note(self, kind: int, name: str, attributes: str, at: int) -> None:
        current = self._current
        if kind == _OPEN:
            self.tags.append(name)
            self.attributes.append(attributes)
            self.parents.append(current)
            self._current = len(self.starts)
            self.starts.append(at)
        elif kind == _CLOSE:
            if current >= 0:
                self.ends[current] = at
                self._current = self.parents[current]
        elif kind == _LINK:
            self._in_link = True
            if "href" in attributes:
                self.hrefs[current] += 1
                self.local[current] += _LOCAL.match(attributes) is not None
        else:
            self._in_link = False

    def sums(self, own: Sequence[int]) -> list[int]:
        """For each block the sum over all that it contains, without what is left out, of what each has of its *own*."""
        parents, dead = self.parents, self.dead
        found = list(own)
        for block in range(len(parents) - 1, 0, -1):
            if not dead[block]:
                found[parents[block]] += found[block]
        return found

    def size(self, block: int) -> int:
        """Characters of text."""
        return self.text[block] + self.links[block]

    def within(self, root: int) -> range:
        """The numbers of the blocks in *root*."""
        end, last = self.ends[root], root + 1
        while last < len(self.starts) and self.starts[last] < end:
            last += 1
        return range(root + 1, last)

    def contains(self, root: int, block: int) -> bool:
        """Whether *block* is *root* or is in it."""
        return self.starts[root] <= self.starts[block] <= self.ends[root]


def _weight(tag: str, text: int) -> int:
    return text if text >= _MIN_PARAGRAPH or (text >= _MIN_SHORT and tag in _SHORT) else 0
