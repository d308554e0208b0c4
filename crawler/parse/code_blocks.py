"""Code blocks of site generators: what is one, in which language, and which parts are line numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from crawler.parse.tokens import Token, names, unescape

_LANGUAGE = re.compile(
    r"\b(?:language|lang|highlight-source|highlight-text|highlight|brush|src)-([A-Za-z][\w+#.-]*)"
    r"|\bbrush:\s*([\w+#.-]+)|\b(?:sourceCode|hljs|prettyprint|rust|language)\s+([A-Za-z][\w+#.]*)(?![\w-])"
    r"|\bdata-lang(?:uage)?=\"([\w+#.-]+)"
)
_NONE: Final = names(
    "default none text plain plaintext notranslate highlight txt code no nohighlight wrapper block"
    " container html-basic source"
)
_SAME: Final = {
    "python3": "python",
    "ipython3": "python",
    "ipython": "python",
    "py": "python",
    "shell-session": "console",
}
_NUMBERS = re.compile(
    r'class="[^"]*\b(?:linenos?|linenodiv|blob-num|gutter|line-?numbers?|lnt|rouge-gutter|hljs-ln-numbers)\b'
)
_CODE_TABLE = re.compile(
    r'class="[^"]*\b(?:highlighttable|rouge-table|codehilitetable|syntaxhighlighter|js-file-line-container|hljs-ln|lntable)\b'
)
_LINE = re.compile(r'class="line\b')
_FRAGMENT = re.compile(r'class="[^"]*\bfragment\b')


def code_language(attributes: str) -> str:
    """The language that *attributes* of a block and of those around it name; "" if none."""
    for found in _LANGUAGE.finditer(attributes):
        name: str = next(filter(None, found.groups())).lower()
        if name not in _NONE:
            return _SAME.get(name, name)
    return ""


def is_numbers(attributes: str) -> bool:
    """Whether a cell holds line numbers."""
    return _NUMBERS.search(attributes) is not None


def is_code_table(attributes: str) -> bool:
    """Whether a table shows code beside its line numbers."""
    return _CODE_TABLE.search(attributes) is not None


def is_fragment(tokens: Sequence[Token], at: int) -> bool:
    """Whether the block that begins at *at* is a listing of Doxygen, whose lines are blocks."""
    return _FRAGMENT.search(tokens[at][1]) is not None and _LINE.search(tokens[at + 1][1]) is not None


def fenced(code: str, language: str) -> list[str]:
    """The lines of *code* in a fence that it does not contain."""
    longest = max(map(len, re.findall("`{3,}", code)), default=2) if "```" in code else 2
    fence = "`" * (longest + 1)
    return [fence + language, *code.split("\n"), fence]


_LINES: Final = names("div p li tr table tbody ol ul h1 h2 h3 h4 h5 h6 dt dd section")
_SKIPPED: Final = names("button svg style script select template")


def collect(tokens: Sequence[Token], at: int, name: str, skips: frozenset[str] = _SKIPPED) -> tuple[str, int]:
    """The text of the code block that the tag *name* at *at* begins, and where its end tag is.

    Lines that are blocks end in a line break; cells with line numbers and buttons are left out. If nothing else is in
    it, buttons are its text.
    """
    parts, depth, skipped = [tokens[at][2]], 1, ""
    end = at
    for end in range(at + 1, len(tokens)):
        tag, attributes, text = tokens[end]
        if tag == name:
            depth += 1
        elif tag[0] == "/" and tag[1:] == name:
            depth -= 1
            if not depth:
                break
        if skipped:
            if tag != "/" + skipped:
                continue
            skipped = ""
        elif tag in skips or _is_number(tag, attributes):
            skipped = tag
            continue
        if tag == "br" or (tag.lstrip("/") in _LINES and parts and not "".join(parts[-2:]).endswith("\n")):
            parts.append("\n")
        if text:
            parts.append(text)
    text = "".join(parts)
    return (unescape(text), end) if text.strip() or not skips else collect(tokens, at, name, skips=frozenset())


def _is_number(tag: str, attributes: str) -> bool:
    return bool(attributes) and tag in ("td", "span") and is_numbers(attributes)
