"""Bounds the cost of parsing a page: flattens shapes that take a parser more than linear time. Pure.

Parsing as the HTML standard describes it searches the open elements, the attributes of a tag and the formatting
elements again and again, so a few kilobytes can take minutes. Browsers bound the depth of a document and put deeper
elements beside their parent (Chromium: 512 elements). This module does the same, on pages that seem to need it:

- An element below the greatest depth becomes empty: its content follows it. More tags allow less depth.
- A tag keeps its first attributes, a document its first names of elements and attributes.
- Formatting elements that stay open, which are copied into each paragraph, are bounded; so are `html` and `body` tags.
- Comments after the body are removed.

A page without such shapes, judged by samples (see `shapes`), stays as it was, byte by byte.
"""

from __future__ import annotations

from typing import Final

from crawler.parse.shapes import ATTRIBUTE, CLOSED, FOREIGN, RAW, RAW_ENDS, TOKEN, VOID, is_costly, names

MAX_DEPTH: Final = 512
_MAX_STEPS: Final = 100_000_000
"""Tags times depth: the cost of searching the open elements, about half a second."""
_MAX_COPIES: Final = 2_000_000
"""Tags times formatting elements that stay open: how many elements may be made of them."""
_MAX_FORMATTING: Final = 128
_MAX_CUT_TAG: Final = 4_096  # bytes of a tag in which the file ends
_MAX_ATTRIBUTES: Final = 1_000  # of one tag
_MAX_NAMES: Final = 5_000
"""Of elements, and of attributes: parsers keep them in tables that do not grow."""
_MAX_ROOTS: Final = 64  # `html` and `body` tags: all give their attributes to the same element

_FORMATTING: Final = names("a b big code em font i nobr s small strike strong tt u")
_CLOSES_P: Final = names(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer header hgroup"
    " main menu nav ol p search section summary ul h1 h2 h3 h4 h5 h6 pre listing form li dd dt plaintext xmp hr table"
)
_WITHIN_FOREIGN: Final = names("foreignobject desc title annotation-xml mi mo mn ms mtext")
_SCOPES: Final = names("applet caption table td th marquee object template select") | _WITHIN_FOREIGN
"""What ends the search for an open element (HTML 13.2.4.2)."""
_SPECIAL: Final = _CLOSES_P | _SCOPES | names("button center tbody tfoot thead tr colgroup iframe noscript")
_LOOSE: Final = names("address div p")
"""Special elements within which a list item still belongs to the outer list."""
_ROWS: Final = {
    b"td": names("tr"),
    b"th": names("tr"),
    b"tr": names("tbody thead tfoot"),
    **dict.fromkeys(names("tbody thead tfoot caption colgroup"), names("")),
}
_HEADINGS: Final = names("h1 h2 h3 h4 h5 h6")
_RUBY: Final = names("rb rt rtc rp")
_OPTIONS: Final = names("option optgroup")


def bounded(html: bytes) -> tuple[bytes, bool]:
    """*html*, UTF-8, changed so that parsing takes time linear in its size; and whether anything was changed."""
    return _flat(html) if is_costly(html) else (html, False)


def _flat(html: bytes) -> tuple[bytes, bool]:
    flat = _Flattening(html).run()
    return flat, flat != html


class _Flattening:
    """One pass through a document, with the elements that are open about as a parser would have them."""

    def __init__(self, html: bytes) -> None:
        self.html = html
        tags = html.count(b"<") or 1
        self.max_depth = max(min(MAX_DEPTH, _MAX_STEPS // tags), 64)
        self.max_formatting = max(min(_MAX_FORMATTING, _MAX_COPIES // tags), 4)
        self.open: list[tuple[bytes, bool]] = []
        """Names; whether the element is also in the output."""
        self.where: dict[bytes, list[int]] = {}
        self.scopes: list[int] = []
        self.special: list[int] = []
        self.items: list[int] = []
        """Special elements except those in which a list item still belongs to the outer list."""
        self.depth = self.roots = 0
        self.formatting: list[tuple[bytes, bytes]] = []
        self.names: set[bytes] = set()
        self.attributes: set[bytes] = set()
        self.ended = self.in_foreign = False

    def run(self) -> bytes:
        """The flattened document."""
        html, out, done, at = self.html, list[bytes](), 0, 0
        while match := TOKEN.search(html, at):
            start, at = match.span()
            written: bytes | None = None
            if match[2] is None:
                if html.startswith(b"<![CDATA[", start) and self._is_foreign():
                    found_end = html.find(b"]]>", start)
                    at = len(html) if found_end < 0 else found_end + 3
                written = b"" if self.ended else None
            elif not match[3]:  # the file ends within the tag, so it is none; its attributes may still take long
                written = b"" if at - start > _MAX_CUT_TAG else None
            elif (name := self._known(match[2].lower())) == b"":
                written = b""
            elif match[1]:
                written = self._end(name)
            else:
                written = self._start(name, match[0])
                if name in RAW and not self.in_foreign:
                    found = RAW_ENDS[name].search(html, at)
                    at = found.start() if found else len(html)
                elif name == b"plaintext":
                    at = len(html)
            if written is not None:
                out += (html[done:start], written)
                done = match.end()
        out.append(html[done:])
        return b"".join(out)

    def _known(self, name: bytes) -> bytes:
        """*name*, or nothing if the document has too many names: such elements are dropped."""
        if name not in self.names:
            if len(self.names) >= _MAX_NAMES and name not in _SPECIAL | CLOSED | _FORMATTING:
                return b""
            self.names.add(name)
        return name

    # Each of the following returns what is written in place of a tag; None: the tag as it is.

    def _start(self, name: bytes, tag: bytes) -> bytes | None:
        if name in (b"html", b"body"):
            self.roots += 1
            if self.roots > _MAX_ROOTS:
                return b""
        foreign = self._is_foreign()
        while foreign and name in _BREAKOUT:
            self._cut(max(self._last(each) for each in FOREIGN))
            foreign = self._is_foreign()
        self.in_foreign = foreign
        if name in VOID or name in _NO_ELEMENTS or (foreign and _is_closed(name, tag)):
            return self._bounded_tag(name, tag)
        if not foreign:
            if (name in _ROWS and self._table() < 0) or (name == b"form" and self._last(name) >= 0):
                return self._bounded_tag(name, tag)  # parts of no table are ignored, as are forms in forms
            within = self._last(b"select")
            self._close_before(name)
            if name == b"select" and within > self._last(name):  # within another select it is that one's end
                return self._bounded_tag(name, tag)
        flat = self.depth >= self.max_depth or not self._may_format(name, tag)
        self._push(name, not flat)
        written = self._bounded_tag(name, tag)
        if not flat or (not foreign and (name in RAW or name == b"plaintext")):
            return written
        return (tag if written is None else written) + b"</%b>" % name

    def _bounded_tag(self, name: bytes, tag: bytes) -> bytes | None:
        """*tag* with its first attributes, of names that the document may have."""
        begin = 1 + len(name)
        if len(tag) - begin < 4:
            return None
        found = ATTRIBUTE.findall(tag, begin, len(tag) - 1)
        kept = []
        for attribute in found[:_MAX_ATTRIBUTES]:
            key = attribute.partition(b"=")[0].strip()
            if key in self.attributes or len(self.attributes) < _MAX_NAMES or key.lower() in _READ:
                self.attributes.add(key)
                kept.append(attribute)
        if len(kept) == len(found):
            return None
        return b"<%b %b>" % (name, b" ".join(kept))

    def _end(self, name: bytes) -> bytes | None:
        if name in (b"html", b"body"):
            self.ended = True
            return None
        if name in _FORMATTING:
            self._end_formatting(name)
        at = self._last(name)
        if at < 0:
            return None
        barrier = self.scopes if name in _SPECIAL else self.special
        around = self._last(b"table") if name in _TABLE_PARTS else barrier[-1] if barrier else -1
        if at < around:
            return None
        real = self.open[at][1]
        if name == b"form" or (name in _FORMATTING and any(each in _SPECIAL for each, _ in self.open[at + 1 : at + 3])):
            self._take_out(at)  # blocks in it stay open
        else:
            self._cut(at)
        return None if real else b""

    def _end_formatting(self, name: bytes) -> None:
        for i in range(len(self.formatting) - 1, -1, -1):
            if self.formatting[i][0] == name:
                del self.formatting[i]
                return

    def _may_format(self, name: bytes, tag: bytes) -> bool:
        """Whether *name* is no formatting element, or one more may stay open; of equal ones three count."""
        if name not in _FORMATTING:
            return True
        if name in (b"a", b"nobr"):
            self._end_formatting(name)
        entry = (name, tag)
        if self.formatting.count(entry) >= 3:
            self.formatting.remove(entry)
        if len(self.formatting) >= self.max_formatting:
            return False
        self.formatting.append(entry)
        return True

    def _close_before(self, name: bytes) -> None:
        """Close what the start tag *name* closes (HTML 13.2.6.4.7 and the table modes)."""
        scope = self.scopes[-1] if self.scopes else -1
        if name in _CLOSES_P and (at := self._last(b"p")) > max(scope, self._last(b"button")):
            self._cut(at)
        top = self.open[-1][0] if self.open else b""
        if name in (b"li", b"dd", b"dt"):
            self._close_item(name)
        elif name in _ROWS:
            table = self._table()
            inner = [at for each in _ROWS[name] if (at := self._last(each)) > table]
            if len(self.open) > max([table, *inner]) + 1:
                self._cut(max([table, *inner]) + 1)
        elif any(name in group and top in group for group in (_HEADINGS, _RUBY)):
            self._cut(len(self.open) - 1)
        elif name in _OPTIONS:
            self._close_options(name)
        elif name in (b"button", b"select") and (at := self._last(name)) >= max(scope, 0):
            self._cut(at)
        elif name in (b"a", b"nobr") and (at := self._last(name)) > scope:
            if at == len(self.open) - 1:
                self._cut(at)
            else:
                self._take_out(at)

    def _close_item(self, name: bytes) -> None:
        """Close the item of a list before *name*; dd and dt close each other."""
        at = self.items[-1] if self.items else -1
        if at >= 0 and (self.open[at][0] == name or (name != b"li" and self.open[at][0] in (b"dd", b"dt"))):
            self._cut(at)

    def _close_options(self, name: bytes) -> None:
        """Close the option before *name*, and within a select the group before a group."""
        if self.open and self.open[-1][0] == b"option":
            self._cut(len(self.open) - 1)
        if name == b"optgroup" and self.open and self.open[-1][0] == name and self._last(b"select") >= 0:
            self._cut(len(self.open) - 1)

    def _is_foreign(self) -> bool:
        """Whether the current tags are those of svg or MathML."""
        within = max(map(self._last, FOREIGN))
        return within >= 0 and within > max(map(self._last, _WITHIN_FOREIGN))

    def _table(self) -> int:
        """The table, or template, that a row or cell is part of; -1 if there is none."""
        return max(self._last(b"table"), self._last(b"template"))

    # -- the open elements ---------------------------------------------------------------------------------------------

    def _last(self, name: bytes) -> int:
        places = self.where.get(name)
        return places[-1] if places else -1

    def _push(self, name: bytes, real: bool) -> None:
        at = len(self.open)
        self.open.append((name, real))
        self.depth += real
        self.where.setdefault(name, []).append(at)
        if name in _SPECIAL:
            self.special.append(at)
            if name not in _LOOSE:
                self.items.append(at)
            if name in _SCOPES:
                self.scopes.append(at)

    def _cut(self, at: int) -> None:
        """Close the element at *at* and all within it."""
        while len(self.open) > at:
            name, real = self.open.pop()
            self.depth -= real
            if name:
                self.where[name].pop()
        for places in (self.special, self.items, self.scopes):
            while places and places[-1] >= at:
                places.pop()

    def _take_out(self, at: int) -> None:
        """Close the element at *at*, but not those within it."""
        name, real = self.open[at]
        self.open[at] = (b"", False)
        self.where[name].pop()
        self.depth -= real


def _is_closed(name: bytes, tag: bytes) -> bool:
    """Whether a slash closes *tag*: behind a value without quotes it is a part of that (HTML 13.2.5.38)."""
    if not tag.endswith(b"/>"):
        return False
    found = ATTRIBUTE.findall(tag, 1 + len(name), len(tag) - 1)
    return not (found and found[-1].endswith(b"/"))


_TABLE_PARTS: Final = names("table caption colgroup tbody tfoot thead tr td th")
_NO_ELEMENTS: Final = names("html head body frameset frame image")
_BREAKOUT: Final = names(
    "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta"
    " nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"
)
"""HTML elements that end svg and MathML (HTML 13.2.6.5)."""
_READ: Final = names("href src rel content name http-equiv property lang hidden style type")
"""Attributes that mean something here."""
