"""Writes the content of a page as Markdown (GitHub Flavored), or as plain text with the same lines. Pure.

One pass over the tags. Text collects until a block ends; then it becomes a paragraph, with the prefixes of the lists
and quotes around it. Headings, terms and cells of tables are one line each, whatever blocks they contain; items in a
cell keep their bullets and numbers, and headings there are bold. No HTML is written, and a Markdown parser shows what
the page showed (see `markdown_text`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from crawler.parse.code_blocks import code_language, collect, fenced, is_code_table, is_fragment, is_numbers
from crawler.parse.main_content import Content
from crawler.parse.markdown_inline import Inline
from crawler.parse.markdown_lines import Full, Lines
from crawler.parse.markdown_table import Table, data_tables
from crawler.parse.markdown_text import (
    BREAK,
    DELETED,
    DELETED_END,
    EM,
    EM_END,
    STRONG,
    STRONG_END,
    escape_start,
)
from crawler.parse.page import valid
from crawler.parse.references import References
from crawler.parse.tokens import end_of, names, value_of

_CLOSING = re.compile("#+$")


def render(content: Content, references: References, limit: int, marks: bool = True) -> tuple[str, bool]:
    """*content* as Markdown, or without *marks* as text, cut at *limit* bytes of UTF-8, and whether it was cut."""
    writer = _Writer(content, references, Lines(limit, marks))
    try:
        for begin, end in content.ranges:
            writer.read(begin, end)
        writer._finish()
    except Full:
        return valid(writer.lines.cut()), True
    return valid(writer.lines.text()), False


class _Writer(Inline):
    def __init__(self, content: Content, references: References, lines: Lines) -> None:
        super().__init__(content.tokens, references, lines.marks)
        self.lines = lines
        self._level = 1
        """Of the heading that is open."""
        self._tables: list[Table] = []
        self._data_tables: frozenset[int] = frozenset()

    def read(self, begin: int, end: int) -> None:
        """Write the tokens from *begin* to *end*, unless a tag before has read them."""
        tokens, inline, at = self.tokens, self.inline, max(begin, self.at)
        action_of, flush = _ACTIONS.get, _Writer.flush
        while at < end:
            name, attributes, text = tokens[at]
            action = action_of(name)
            if action is flush:
                if inline:
                    self.flush()
            elif action is not None:
                self.at = at
                action(self, attributes)
                if self.at != at:
                    at = self.at
                    text = tokens[at][2]
            if text and (inline or not text.isspace()):
                self.text(text)
            at += 1
        self.at = at

    def _finish(self) -> None:
        """End what is open."""
        while self._tables:
            self.end_table("")
        self.joined = 0
        self.flush()

    # -- blocks: methods take the attributes of the tag that they are for ----------------------------------------------

    def flush(self, _: str = "") -> None:
        """End the paragraph. A link and code that are open go on behind it."""
        if not self.inline:
            return
        if self.joined:
            self.inline.append(" ")
            return
        text = self.take_paragraph()
        if BREAK not in text:
            if text:
                self.lines.add([escape_start(text) if self.marks else text])
            return
        for part in text.split(BREAK * 2):
            if part := part.strip(BREAK):
                self.lines.add(self._paragraph(part))

    def _paragraph(self, text: str) -> list[str]:
        if not self.marks:
            return text.split(BREAK)
        if BREAK not in text:
            return [escape_start(text)]
        lines = [escape_start(line.strip()) for line in text.split(BREAK)]
        return [*(f"{line}  " for line in lines[:-1]), lines[-1]]

    def heading(self, level: int) -> None:
        self.flush()
        if self._is_in_cell:
            self.mark(STRONG)
        self.joined += 1
        self._level = level

    def end_heading(self, _: str) -> None:
        self.joined = max(self.joined - 1, 0)
        if self.joined:
            if self._is_in_cell:
                self.mark(STRONG_END)
            self.inline.append(" ")
        elif text := self.take_paragraph().replace(BREAK, " "):
            if self.marks:
                text = f"{'#' * self._level} {_CLOSING.sub(_escaped, text)}"
            self.lines.add([text])

    def term(self, _: str) -> None:
        self.flush()
        self.joined += 1
        self.mark(STRONG)

    def end_term(self, _: str) -> None:
        self.joined = max(self.joined - 1, 0)
        self.end_code()
        self.end_link()
        self.mark(STRONG_END)
        self.flush()

    def quote(self, _: str) -> None:
        self.flush()
        if not self.joined:
            self.lines.quote()

    def rule(self, _: str) -> None:
        self.flush()
        if self.marks and not self.joined:
            self.lines.add(["***"])

    def list(self, is_ordered: bool, attributes: str) -> None:
        self.flush()
        start = value_of(attributes, "start") if is_ordered and attributes else None
        self.lines.list(
            is_ordered, int(start) if start and start.isascii() and start.isdigit() and len(start) < 9 else 1
        )

    def end_list(self, _: str) -> None:
        self.flush()
        self.lines.end_list()

    def item(self, _: str) -> None:
        self.flush()
        if not self.joined:
            self.lines.item()
        elif self.marks and self._is_in_cell:
            self.inline.append(self.lines.mark_of_item())

    def end_item(self, _: str) -> None:
        """End an item or a quotation."""
        self.flush()
        if not self.joined:
            self.lines.end()

    def check_box(self, attributes: str) -> None:
        if self.marks and value_of(attributes, "type") == "checkbox" and self.lines.begins_item and not self.inline:
            self.inline.append("[x] " if value_of(attributes, "checked") is not None else "[ ] ")

    def code_block(self, name: str, attributes: str) -> None:
        """Write the code block that the tag *name* begins."""
        around = " ".join(token[1] for token in self.tokens[max(self.at - 3, 0) : self.at] if not token[2].strip())
        inner = " ".join(token[1] for token in self.tokens[self.at + 1 : self.at + 2] if token[0] == "code")
        code, self.at = collect(self.tokens, self.at, name)
        if self.joined:
            self.add_code(code)
            return
        self.flush()
        code = code.strip("\n").rstrip()
        if code.strip():
            language = code_language(f"{inner} {attributes}") or code_language(around)
            self.lines.add(fenced(code, language) if self.marks else code.split("\n"))

    def division(self, attributes: str) -> None:
        self.flush()
        if attributes and "fragment" in attributes and is_fragment(self.tokens, self.at):
            self.code_block("div", attributes)
        elif attributes and "math" in attributes:
            self.source(attributes)

    # -- tables --------------------------------------------------------------------------------------------------------

    @property
    def _is_in_cell(self) -> bool:
        return bool(self._tables) and self._tables[-1].is_open

    def table(self, attributes: str) -> None:
        self.flush()
        if attributes and is_code_table(attributes):
            self.code_block("table", attributes)
            return
        if not self._tables:
            self._data_tables = data_tables(self.tokens, self.at)
        self._tables.append(Table(is_data=self.at in self._data_tables and not self.joined))

    def end_table(self, _: str) -> None:
        self.flush()
        if self._tables:
            table = self._tables.pop()
            if table.is_data and (lines := table.lines(self.marks)):
                self.lines.add(lines)

    def row(self, _: str) -> None:
        """Begin or end a row."""
        self.flush()
        if self._tables:
            self._tables[-1].row()

    def cell(self, is_head: bool, attributes: str) -> None:
        self.flush()
        if attributes and is_numbers(attributes):
            self.at = end_of(self.tokens, self.at)
        elif self._tables and self._tables[-1].is_data:
            self._tables[-1].begin(attributes, is_head)
            self.joined += 1

    def end_cell(self, _: str) -> None:
        if self._tables and self._tables[-1].is_open:
            self.joined = max(self.joined - 1, 0)
            self._tables[-1].end(self.take().replace(BREAK, " "))
        else:
            self.flush()


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found[0]


_Action = Callable[[_Writer, str], None]
_BLOCKS: Final = names(
    "address article aside body caption center dd details dialog dir fieldset figcaption figure footer form header"
    " hgroup legend main menu nav option optgroup p search section summary tbody thead tfoot"
)


def _around(tags: str, method: Callable[[_Writer, str], None], begin: str, end: str) -> dict[str, _Action]:
    """For each of *tags* what it does with *method*, which gets *begin* for a start tag and *end* for an end tag."""
    return {
        slash + tag: lambda writer, _, value=value: method(writer, value)  # type: ignore[misc]
        for tag in tags.split()
        for slash, value in (("", begin), ("/", end))
    }


def _headings() -> dict[str, _Action]:
    found: dict[str, _Action] = {}
    for level in range(1, 7):
        found[f"h{level}"] = lambda writer, _, level=level: writer.heading(level)  # type: ignore[misc]
        found[f"/h{level}"] = _Writer.end_heading
    return found


_ACTIONS: Final[dict[str, _Action]] = {
    **{slash + name: _Writer.flush for name in _BLOCKS for slash in ("", "/")},
    **_headings(),
    **_around("b strong", _Writer.mark, STRONG, STRONG_END),
    **_around("i em cite dfn var", _Writer.mark, EM, EM_END),
    **_around("del s strike", _Writer.mark, DELETED, DELETED_END),
    **_around("q", _Writer.quotation, "\u201c", "\u201d"),
    **dict.fromkeys(("code", "tt", "kbd", "samp"), _Writer.begin_code),
    **dict.fromkeys(("/code", "/tt", "/kbd", "/samp"), _Writer.end_code),
    "div": _Writer.division,
    "/div": _Writer.flush,
    "pre": lambda writer, attributes: writer.code_block("pre", attributes),
    "listing": lambda writer, attributes: writer.code_block("listing", attributes),
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
    "/blockquote": _Writer.end_item,
    "sup": _Writer.begin_script,
    "/sup": lambda writer, _: writer.end_script("^"),
    "sub": _Writer.begin_script,
    "/sub": lambda writer, _: writer.end_script("_"),
    "math": _Writer.math,
    "span": _Writer.span,
    "input": _Writer.check_box,
    "table": _Writer.table,
    "/table": _Writer.end_table,
    "tr": _Writer.row,
    "/tr": _Writer.row,
    "td": lambda writer, attributes: writer.cell(False, attributes),
    "th": lambda writer, attributes: writer.cell(True, attributes),
    "/td": _Writer.end_cell,
    "/th": _Writer.end_cell,
}
