"""Text within a block, until it becomes a line: escaped, with links, code, emphasis, images. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from crawler.parse.block_names import HIDDEN, judge
from crawler.parse.formulas import dollars, formula
from crawler.parse.markdown_text import (
    BREAK,
    code_span,
    emphasise,
    escape,
    escape_brackets,
    may_be_special,
    script,
    without_marks,
)
from crawler.parse.references import References
from crawler.parse.tokens import Token, end_of, names, unescape, value_of

_MAX_SPAN: Final = 500
"""Characters up to which neighbouring spans of code become one."""
_MAX_ALT: Final = 500
_PERMALINK = re.compile(
    r'class="[^"]*\b(?:headerlink|header-anchor|anchor|permalink|hash-link|headeranchor|anchorjs-link|id_link'
    r'|heading-anchor|headline-anchor)\b|aria-hidden="true"'
)
_SIGNS: Final = names("¶ # § 🔗 ⚓ \u221e \\# \ue9cb \u200b")
"""Links that lead to the heading before them."""
_CODE_ENDS: Final = names("/code /tt /kbd /samp")
_BREAKS = re.compile(f" ?{BREAK} ?")
_TEX = re.compile(r"\\\((.+)\\\)|\\\[(.+)\\\]", re.DOTALL)
_LAZY: Final = ("data-src", "data-original", "data-lazy-src", "srcset", "data-srcset")


class Inline:
    """Collects text; without *marks* it stays plain. Methods take the attributes of the tag that they are for."""

    def __init__(self, tokens: Sequence[Token], references: References, marks: bool) -> None:
        self.tokens, self.marks = tokens, marks
        self.at = 0
        """The token that is read; a method may move it to the end of what it has read."""
        self.joined = 0
        """Headings, terms and cells that are open: in them blocks are joined by spaces."""
        self.inline: list[str] = []
        """The pieces of the text."""
        self._references = references
        self._link: tuple[int, str, str] | None = None
        self._code: int | None = None
        """Where the pieces of a link, and of code, begin."""
        self._span_before = ("", "")
        """The last span of code as it was written, and its text."""
        self._is_marked = False
        """The text has marks of emphasis."""
        self._scripts: list[int] = []

    def text(self, text: str) -> None:
        if text.isspace():
            if self.inline:
                self.inline.append(" ")
            return
        if "&" in text:
            text = unescape(text)
        if self._code is None and self.marks and may_be_special(text):
            text = escape(text, self.inline)
            if self._link is not None:
                text = escape_brackets(text)
        self.inline.append(text)

    def take(self) -> str:
        """The text that has collected, as one line, or several with marks between."""
        if self._code is not None:
            self.end_code()
        if self._link is not None:
            self.end_link()
        if self._scripts:
            self._scripts.clear()
        inline = self.inline
        text = " ".join((inline[0] if len(inline) == 1 else "".join(inline)).split())
        inline.clear()
        if BREAK in text:
            text = _BREAKS.sub(BREAK, text).strip(BREAK)
        if self._is_marked:
            self._is_marked = False
            text = (BREAK * 2).join(map(emphasise, text.split(BREAK * 2))).strip(f" {BREAK}")
        return text

    def take_paragraph(self) -> str:
        """The same; a link and code that are open go on in the next one."""
        link, code = self._link, self._code
        if link is None and code is None:
            return self.take()
        text = self.take()
        self._link = None if link is None else (0, *link[1:])
        self._code = None if code is None else 0
        return text

    def add_code(self, code: str) -> None:
        """Add *code* that is none within the HTML."""
        self.end_code()
        self._code = len(self.inline)
        self.inline.append(code)
        self.end_code()

    def begin_code(self, _: str) -> None:
        if self._code is not None:
            return
        text = self.tokens[self.at][2]
        if text and not text.isspace() and self.tokens[self.at + 1][0] in _CODE_ENDS:  # it is most of the code
            self._write_code(unescape(text))
            self.at += 1
        else:
            self._code = len(self.inline)

    def end_code(self, _: str = "") -> None:
        """Write the code that has collected, if any, as a span."""
        if self._code is not None:
            text = "".join(self.inline[self._code :])
            del self.inline[self._code :]
            self._code = None
            if text:
                self._write_code(without_marks(text))

    def _write_code(self, text: str) -> None:
        """Write *text* as a span of code; right behind another one they become one."""
        if self.inline and self._is_behind_code():
            self.inline.pop()
            text = self._span_before[1] + text
        written = code_span(text, self.marks)
        self.inline.append(written)
        self._span_before = (written, text)

    def _is_behind_code(self) -> bool:
        """Whether nothing is between here and the last span of code, not even the beginning of a link."""
        at, (written, code) = len(self.inline), self._span_before
        begins_link = self._link is not None and self._link[0] == at
        return self.inline[-1] is written and not begins_link and len(code) < _MAX_SPAN

    def anchor(self, attributes: str) -> None:
        in_code = self._code is not None
        if in_code:
            self.end_code()
        reference = value_of(attributes, "href")
        url = self._references.absolute(reference) if reference is not None and self.marks else ""
        self._link = (len(self.inline), url, attributes)
        if in_code:
            self._code = len(self.inline)

    def end_anchor(self, _: str) -> None:
        if self._code is None:
            self.end_link()
        else:
            self.end_code()
            self.end_link()
            self._code = len(self.inline)

    def end_link(self) -> None:
        """Write the text that has collected as the text of the link, if one is open."""
        if self._link is None:
            return
        mark, url, attributes = self._link
        self._link = None
        text = "".join(self.inline[mark:])
        inner = " ".join((text.replace(BREAK, " ") if BREAK in text else text).split())
        before, after = text[:1].isspace(), text[-1:].isspace()
        if self._is_marked:  # what is empty, as an icon, goes, and spaces appear at the ends
            inner = emphasise(inner)
            before, after = before or inner[:1] == " ", after or inner[-1:] == " "
            inner = inner.strip()
        if ' href="#' in attributes and len(inner) < 3 and (inner in _SIGNS or _PERMALINK.search(attributes)):
            del self.inline[mark:]
        elif url and inner:
            del self.inline[mark:]
            if not before and mark and self.inline[mark - 1][-1:] == "!":
                self.inline[mark - 1] = self.inline[mark - 1][:-1] + "\\!"  # else it were an image
            self.inline.append(f"{' ' * before}[{inner}]({url}){' ' * after}")

    def image(self, attributes: str) -> None:
        if not self.marks or self._code is not None or "mwe-math-fallback" in attributes:
            return
        source = value_of(attributes, "src") or ""
        for name in _LAZY:
            if (not source or source.startswith("data:")) and name in attributes:
                source = (value_of(attributes, name) or "").split(" ")[0].rstrip(",")
        url = self._references.absolute(source)
        if url and 'width="1"' not in attributes:
            alt = " ".join((value_of(attributes, "alt") or "").split())[:_MAX_ALT]
            self.inline.append(f"![{escape_brackets(escape(alt, []))}]({url})")

    def line_break(self, _: str) -> None:
        in_code = self._code is not None
        self.end_code()
        self.inline.append(" " if self.joined else BREAK)
        if in_code:
            self._code = len(self.inline)

    def mark(self, mark: str) -> None:
        if self.marks and self._code is None:
            self.inline.append(mark)
            self._is_marked = True

    def begin_script(self, _: str) -> None:
        self._scripts.append(len(self.inline))

    def end_script(self, sign: str) -> None:
        if self._scripts:
            at = self._scripts.pop()
            if self._link is not None and self._link[0] > at:
                return
            text = "".join(self.inline[at:])
            del self.inline[at:]
            before = next((piece[-1] for piece in reversed(self.inline[-3:]) if piece), "")
            self.inline.append(script(sign, text, before, self.marks and self._code is None))

    def math(self, attributes: str) -> None:
        tex, self.at = formula(self.tokens, self.at)
        self.inline.append(tex if self.marks or tex[:1] != "$" else tex.strip("$`"))

    def quotation(self, sign: str) -> None:
        self.inline.append(sign)

    def span(self, attributes: str) -> None:
        """A formula, a part of one that is only for the eye, or what is hidden."""
        if "katex-html" in attributes or "MathJax_Preview" in attributes or "editsection" in attributes:
            self.at = end_of(self.tokens, self.at)
        elif "math" in attributes:
            self.source(attributes)
        elif judge(attributes) == HIDDEN:
            end = end_of(self.tokens, self.at)
            if not any(name == "math" for name, _, _ in self.tokens[self.at : end]):
                self.at = end

    def source(self, attributes: str) -> None:
        """A formula as TeX that a script of the page would show."""
        if self.marks and "math" in (value_of(attributes, "class") or "").split() and self._code is None:
            found = _TEX.fullmatch(unescape(self.tokens[self.at][2]).strip())
            if found is not None and self.tokens[self.at + 1][0].startswith("/"):
                self.inline.append(dollars(" ".join((found[1] or found[2]).split()), found[1] is None))
                self.at += 1
