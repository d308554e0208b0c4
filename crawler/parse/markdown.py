"""Writes the content of a page as Markdown (GitHub Flavored), or as plain text with the same lines. Pure.

One pass over the tags. Text collects until a block ends; then it becomes a paragraph, with the prefix of the lists and
quotes around it. Headings, terms and cells of tables are one line each, whatever blocks they contain. No HTML is
written, and a parser shows what the page showed (see `markdown_text`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.parse.code_blocks import collect, fenced, is_code_table, is_fragment, language_of
from crawler.parse.formulas import formula
from crawler.parse.main_content import Content
from crawler.parse.markdown_table import Table, data_tables
from crawler.parse.markdown_text import (
    BREAK,
    DELETED,
    DELETED_END,
    EM,
    EM_END,
    STRONG,
    STRONG_END,
    code_span,
    emphasise,
    escape,
    escape_brackets,
    escape_start,
    script,
    target,
    without_marks,
)
from crawler.parse.tokens import Token, unescape, value_of

_MAX_NESTED: Final = 16
"""Lists and quotes within each other that are shown as such."""
_MAX_ALT: Final = 500
_PERMALINK = re.compile(r'class="[^"]*\b(?:headerlink|header-anchor|anchor|permalink|hash-link|headeranchor|anchorjs-link|id_link|heading-anchor|headline-anchor)\b|aria-hidden="true"')
_SIGNS: Final = frozenset("¶ # § 🔗 ⚓ ∞ \\# \ue9cb ☍ ⌗ \u200b".split())
_BREAKS = re.compile(f" ?{BREAK} ?")
_NO_LINK = re.compile(r"(?:javascript|data|vbscript|about|blob):", re.IGNORECASE)
_SIMPLE = re.compile(r"(?!\.)[\w-]+(?:[./][\w-]+)*/?(?:#[\w.:%-]*)?", re.ASCII)
_ABSOLUTE = re.compile(r"https?://[a-z0-9.-]+(?::\d+)?/[^\s\\<>\"`{}|^]*", re.ASCII)


class Full(Exception):
    """The text has reached its limit."""


class Links:
    """Makes the references of one page absolute."""

    def __init__(self, url: str, base: str) -> None:
        self._url, self._base = url.partition("#")[0], base
        self._folder = base.partition("?")[0].partition("#")[0].rpartition("/")[0] + "/"
        self._known: dict[str, str] = {}

    def absolute(self, reference: str) -> str:
        """*reference* as an absolute URL; "" if it leads nowhere."""
        known = self._known.get(reference)
        if known is None:
            known = self._known[reference] = self._resolve(reference.strip())
        return known

    def _resolve(self, reference: str) -> str:
        if _SIMPLE.fullmatch(reference):
            return self._folder + reference
        if reference[:1] == "#" and self._base == self._url:
            return self._base + target(reference)
        if _ABSOLUTE.fullmatch(reference):
            return target(reference)
        if not reference or _NO_LINK.match(reference):
            return ""
        try:
            return target(urls.resolve(reference, self._base))
        except InvalidURL:
            return ""


def render(content: Content, links: Links, limit: int, marks: bool = True) -> tuple[str, bool]:
    """*content* as Markdown, or without *marks* as text, cut at *limit* bytes of UTF-8, and whether it was cut."""
    writer = _Writer(content.tokens, links, limit, marks)
    try:
        for begin, end in content.ranges:
            writer.read(begin, end)
        writer.flush()
    except Full:
        return writer.cut(), True
    return "\n".join(writer.lines), False


class _Writer:
    def __init__(self, tokens: list[Token], links: Links, limit: int, marks: bool) -> None:
        self.tokens, self.links, self.room, self.marks = tokens, links, limit, marks
        self.at = 0
        self.lines: list[str] = []
        self.inline: list[str] = []
        """The pieces of the paragraph that has begun."""
        self.prefix = ""
        self.first: str | None = None
        """The prefix of the next line, if it is the first one of an item."""
        self.gap: str | None = None
        """The prefix of the empty line before the next block."""
        self.within: list[tuple[str, str | None]] = []
        self.lists: list[_List] = []
        self.ended: tuple[int, _List] | None = None
        """The last list that ended, and the number of lines then."""
        self.joined = 0
        """Headings, terms and cells that are open: in them blocks are joined by spaces."""
        self.link: tuple[int, str, str] | None = None
        self.code: int | None = None
        """Where in `inline` the text of a link, and code, begins."""
        self.scripts: list[int] = []
        self.tables: list[Table] = []
        self.data_tables: frozenset[int] | None = None

    # -- reading -------------------------------------------------------------------------------------------------------

    def read(self, begin: int, end: int) -> None:
        """Write the tokens from *begin* to *end*, unless a tag before has read them."""
        tokens, action_of, at = self.tokens, _ACTIONS.get, max(begin, self.at)
        while at < end:
            name, attributes, text = tokens[at]
            action = action_of(name)
            if action is not None:
                self.at = at
                action(self, attributes)
                if self.at != at:
                    at = self.at
                    text = tokens[at][2]
            if text:
                self.text(text)
            at += 1
        self.at = at

    def text(self, text: str) -> None:
        if text.isspace():
            if self.inline:
                self.inline.append(" ")
            return
        if "&" in text:
            text = unescape(text)
        if self.marks and self.code is None:
            text = escape(text, self.inline)
            if self.link is not None:
                text = escape_brackets(text)
        self.inline.append(text)

    # -- blocks --------------------------------------------------------------------------------------------------------

    def flush(self, _: str = "") -> None:
        """End the paragraph."""
        if not self.inline:
            return
        if self.joined:
            self.inline.append(" ")
            return
        link, code = self.link, self.code
        text = self.take()
        if text:
            for part in text.split(BREAK * 2):
                if part := part.strip(BREAK):
                    self.emit(self.paragraph(part))
        if link is not None:
            self.link = (0, *link[1:])
        self.code = None if code is None else 0

    def paragraph(self, text: str) -> list[str]:
        lines = text.split(BREAK)
        if not self.marks:
            return lines
        lines = [escape_start(line) for line in lines]
        return [*(f"{line}  " for line in lines[:-1]), lines[-1]]

    def take(self) -> str:
        """The text that has collected, as one line, or several with marks between."""
        self.end_code()
        self.end_link()
        text = "".join(self.inline)
        self.inline.clear()
        self.scripts.clear()
        text = " ".join(text.split())
        if BREAK in text:
            text = _BREAKS.sub(BREAK, text)
        return emphasise(text).strip(f" {BREAK}") if self.marks else text.strip(BREAK)

    def emit(self, lines: list[str]) -> None:
        """Write the *lines* of one block."""
        if self.gap is not None and self.marks:
            self.line(self.gap.rstrip())
        self.line((self.prefix if self.first is None else self.first) + lines[0])
        for line in lines[1:]:
            self.line(self.prefix + line if line else self.prefix.rstrip())
        self.first, self.gap = None, self.prefix

    def line(self, line: str) -> None:
        self.room -= len(line) + 1 if line.isascii() else len(line.encode()) + 1
        self.lines.append(line)
        if self.room < -1:
            raise Full

    def cut(self) -> str:
        """The text up to the limit: whole lines, or the beginning of the only one."""
        last = self.lines.pop()
        room = self.room + len(last.encode()) + 1
        if not self.lines:
            return last.encode()[: max(room, 0)].decode("utf-8", "ignore")
        return "\n".join(self.lines)

    def push(self, marker: str, rest: str) -> None:
        """Begin an item or a quote: *marker* stands before its first line, *rest* before the others."""
        self.within.append((self.prefix, self.first))
        self.first = (self.prefix if self.first is None else self.first) + marker
        if len(self.within) <= _MAX_NESTED:
            self.prefix += rest

    def pop(self) -> None:
        if self.within:
            prefix, first = self.within.pop()
            self.prefix = prefix
            self.first = first if self.first is not None else None
            if self.gap is not None and len(prefix) < len(self.gap):
                self.gap = prefix

    def heading(self, level: int) -> None:
        self.flush()
        self.joined += 1
        self.level = level

    def end_heading(self, _: str) -> None:
        self.joined = max(self.joined - 1, 0)
        if self.joined:
            self.inline.append(" ")
        elif text := self.take().replace(BREAK, " "):
            if self.marks:
                text = f"{'#' * self.level} {re.sub('(#+)$', _escaped, text)}"
            self.emit([text])

    def term(self, _: str) -> None:
        self.flush()
        self.joined += 1
        if self.marks:
            self.inline.append(STRONG)

    def end_term(self, _: str) -> None:
        self.joined = max(self.joined - 1, 0)
        if self.marks:
            self.end_code()
            self.end_link()
            self.inline.append(STRONG_END)
        self.flush()

    def quote(self, _: str) -> None:
        self.flush()
        if not self.joined:
            self.push("> " if self.marks else "", "> " if self.marks else "")

    def end_quote(self, _: str) -> None:
        self.flush()
        if not self.joined:
            self.pop()

    def rule(self, _: str) -> None:
        self.flush()
        if self.marks and not self.joined:
            self.emit(["***"])

    # -- lists ---------------------------------------------------------------------------------------------------------

    def list(self, is_ordered: bool, attributes: str) -> None:
        self.flush()
        start = value_of(attributes, "start") if is_ordered and attributes else None
        new = _List(is_ordered, int(start) if start and start.isdecimal() and len(start) < 9 else 1)
        if self.ended is not None and self.ended[0] == len(self.lines) and self.ended[1].is_ordered == is_ordered:
            new.second = not self.ended[1].second  # else a parser takes both for one list
        self.lists.append(new)

    def end_list(self, _: str) -> None:
        self.flush()
        if self.lists:
            self.ended = (len(self.lines), self.lists.pop())

    def item(self, attributes: str) -> None:
        self.flush()
        if self.joined:
            return
        here = self.lists[-1] if self.lists else _List(False, 1)
        if here.items or (len(self.lists) > 1 and here.number == 1 and not here.second):
            self.gap = None
        here.items += 1
        marker = here.marker()
        self.push(marker, " " * len(marker))

    def end_item(self, _: str) -> None:
        self.flush()
        if not self.joined:
            self.pop()

    # -- code ----------------------------------------------------------------------------------------------------------

    def pre(self, name: str, attributes: str) -> None:
        around = " ".join(token[1] for token in self.tokens[max(self.at - 3, 0) : self.at] if not token[2].strip())
        after = self.tokens[self.at + 1 : self.at + 2]
        inner = after[0][1] if after and after[0][0] == "code" else ""
        code, self.at = collect(self.tokens, self.at, name)
        if self.joined:
            self.inline.append(code_span(code, self.marks) + " ")
            return
        self.flush()
        code = code.strip("\n").rstrip()
        if code.strip():
            language = language_of(f"{inner} {attributes}") or language_of(around)
            self.emit(fenced(code, language) if self.marks else code.split("\n"))

    def division(self, attributes: str) -> None:
        self.flush()
        if attributes and "fragment" in attributes and is_fragment(attributes):
            self.pre("div", attributes)

    def begin_code(self, _: str) -> None:
        if self.code is None:
            self.code = len(self.inline)

    def end_code(self, _: str = "") -> None:
        """Write the code that has collected, if any, as a span."""
        if self.code is not None:
            text = "".join(self.inline[self.code :])
            del self.inline[self.code :]
            if text:
                self.inline.append(code_span(without_marks(text), self.marks))
            self.code = None

    # -- within a line -------------------------------------------------------------------------------------------------

    def anchor(self, attributes: str) -> None:
        in_code = self.code is not None
        self.end_code()
        reference = value_of(attributes, "href")
        url = self.links.absolute(reference) if reference is not None and self.marks else ""
        self.link = (len(self.inline), url, attributes)
        if in_code:
            self.code = len(self.inline)

    def end_anchor(self, _: str) -> None:
        in_code = self.code is not None
        self.end_code()
        self.end_link()
        if in_code:
            self.code = len(self.inline)

    def end_link(self) -> None:
        """Write the text that has collected as the text of the link, if one is open."""
        if self.link is None:
            return
        mark, url, attributes = self.link
        self.link = None
        text = "".join(self.inline[mark:])
        inner = " ".join(text.replace(BREAK, " ").split())
        if "#" in attributes and (inner in _SIGNS or (len(inner) < 3 and _PERMALINK.search(attributes))):
            del self.inline[mark:]
        elif url and inner:
            del self.inline[mark:]
            before, after = " " * text[0].isspace(), " " * text[-1].isspace()
            self.inline.append(f"{before}[{emphasise(inner)}]({url}){after}")

    def image(self, attributes: str) -> None:
        if not self.marks or self.code is not None:
            return
        source = value_of(attributes, "src") or ""
        for name in _LAZY:
            if (not source or source.startswith("data:")) and name in attributes:
                source = (value_of(attributes, name) or "").split(" ")[0].rstrip(",")
        url = self.links.absolute(source)
        if url and 'width="1"' not in attributes:
            alt = " ".join((value_of(attributes, "alt") or "").split())[:_MAX_ALT]
            self.inline.append(f"![{escape_brackets(escape(alt, []))}]({url})")

    def line_break(self, _: str) -> None:
        in_code = self.code is not None
        self.end_code()
        self.inline.append(" " if self.joined else BREAK)
        if in_code:
            self.code = len(self.inline)

    def mark(self, mark: str) -> None:
        if self.marks and self.code is None:
            self.inline.append(mark)

    def begin_script(self, _: str) -> None:
        self.scripts.append(len(self.inline))

    def end_script(self, sign: str) -> None:
        if self.scripts:
            at = self.scripts.pop()
            if self.link is not None and self.link[0] > at:
                return
            text = "".join(self.inline[at:])
            del self.inline[at:]
            before = next((piece[-1] for piece in reversed(self.inline[-3:]) if piece), "")
            self.inline.append(script(sign, text, before, self.marks and self.code is None))

    def math(self, attributes: str) -> None:
        tex, self.at = formula(self.tokens, self.at)
        self.inline.append(tex if self.marks or tex[:1] != "$" else tex.strip("$`"))

    def quotation(self, sign: str) -> None:
        self.inline.append(sign)

    def input(self, attributes: str) -> None:
        if self.marks and value_of(attributes, "type") == "checkbox" and self.first is not None and not self.inline:
            self.inline.append("[x] " if value_of(attributes, "checked") is not None else "[ ] ")

    def span(self, attributes: str) -> None:
        """The part of a formula that is only for the eye, and what is hidden."""

    # -- tables --------------------------------------------------------------------------------------------------------

    def table(self, attributes: str) -> None:
        self.flush()
        if self.data_tables is None:
            self.data_tables = data_tables(self.tokens)
        if self.tables and self.tables[-1].is_open:
            self.tables.append(Table(is_data=False))
        else:
            self.tables.append(Table(is_data=self.at in self.data_tables and not self.joined))

    def end_table(self, _: str) -> None:
        self.flush()
        if self.tables:
            table = self.tables.pop()
            if table.is_data and (lines := table.lines(self.marks)):
                self.emit(lines)

    def row(self, _: str) -> None:
        self.flush()
        if self.tables:
            self.tables[-1].row()

    def cell(self, is_head: bool, attributes: str) -> None:
        self.flush()
        if self.tables and self.tables[-1].is_data:
            self.tables[-1].begin(attributes, is_head)
            self.joined += 1

    def end_cell(self, _: str) -> None:
        if self.tables and self.tables[-1].is_data and self.tables[-1].is_open:
            self.joined = max(self.joined - 1, 0)
            self.tables[-1].end(self.take().replace(BREAK, " "))
        else:
            self.flush()


class _List:
    """A list that is open."""

    __slots__ = ("is_ordered", "items", "number", "second")

    def __init__(self, is_ordered: bool, number: int) -> None:
        self.is_ordered, self.number = is_ordered, number
        self.items = 0
        self.second = False
        """It follows a list of the same kind, so it needs the other marker."""

    def marker(self) -> str:
        if not self.is_ordered:
            return "* " if self.second else "- "
        self.number += 1
        return f"{self.number - 1}{')' if self.second else '.'} "


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found[0]


_Action = Callable[[_Writer, str], None]
_LAZY: Final = ("data-src", "data-original", "data-lazy-src", "srcset", "data-srcset")
_BLOCKS: Final = (
    "address article aside body caption center dd details dialog dir fieldset figcaption figure footer form header"
    " hgroup legend main menu nav option optgroup p search section summary tbody thead tfoot"
).split()


def _constant(method: Callable[[_Writer, str], None], value: str) -> _Action:
    return lambda writer, _: method(writer, value)


_ACTIONS: Final[dict[str, _Action]] = {
    **{f"{slash}{name}": _Writer.flush for name in _BLOCKS for slash in ("", "/")},
    **{f"h{level}": (lambda writer, _, level=level: writer.heading(level)) for level in range(1, 7)},  # type: ignore[misc]
    **{f"/h{level}": _Writer.end_heading for level in range(1, 7)},
    **{name: _constant(_Writer.mark, STRONG) for name in ("b", "strong")},
    **{f"/{name}": _constant(_Writer.mark, STRONG_END) for name in ("b", "strong")},
    **{name: _constant(_Writer.mark, EM) for name in ("i", "em", "cite", "dfn", "var")},
    **{f"/{name}": _constant(_Writer.mark, EM_END) for name in ("i", "em", "cite", "dfn", "var")},
    **{name: _constant(_Writer.mark, DELETED) for name in ("del", "s", "strike")},
    **{f"/{name}": _constant(_Writer.mark, DELETED_END) for name in ("del", "s", "strike")},
    **{name: _Writer.begin_code for name in ("code", "tt", "kbd", "samp")},
    **{f"/{name}": _Writer.end_code for name in ("code", "tt", "kbd", "samp")},
    "div": _Writer.division,
    "/div": _Writer.flush,
    "pre": lambda writer, attributes: writer.pre("pre", attributes),
    "listing": lambda writer, attributes: writer.pre("listing", attributes),
    "a": _Writer.anchor,
    "/a": _Writer.end_anchor,
    "br": _Writer.line_break,
    "img": _Writer.image,
    "hr": _Writer.rule,
    "ul": lambda writer, attributes: writer.list(False, attributes),
    "ol": lambda writer, attributes: writer.list(True, attributes),
    "/ul": _Writer.end_list,
    "/ol": _Writer.end_list,
    "li": _Writer.item,
    "/li": _Writer.end_item,
    "dt": _Writer.term,
    "/dt": _Writer.end_term,
    "blockquote": _Writer.quote,
    "/blockquote": _Writer.end_quote,
    "q": _constant(_Writer.quotation, "“"),
    "/q": _constant(_Writer.quotation, "”"),
    "sup": _Writer.begin_script,
    "/sup": _constant(_Writer.end_script, "^"),
    "sub": _Writer.begin_script,
    "/sub": _constant(_Writer.end_script, "_"),
    "math": _Writer.math,
    "input": _Writer.input,
    "table": _Writer.table,
    "/table": _Writer.end_table,
    "tr": _Writer.row,
    "/tr": _Writer.row,
    "td": lambda writer, attributes: writer.cell(False, attributes),
    "th": lambda writer, attributes: writer.cell(True, attributes),
    "/td": _Writer.end_cell,
    "/th": _Writer.end_cell,
}
