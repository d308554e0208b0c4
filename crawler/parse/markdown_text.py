"""Text within Markdown: what must be escaped, emphasis that a parser recognises, code spans, link targets. Pure.

GitHub Flavored Markdown 0.29 with CommonMark 0.31.2. The rule of this module: whatever a page says, a Markdown parser
shows the same characters. Where emphasis would not be recognised, it is left out.
"""

from __future__ import annotations

import re
import string
from typing import Final

BREAK: Final = "\x01"
"""A line break within a paragraph."""
STRONG, STRONG_END, EM, EM_END, DELETED, DELETED_END = "\x02", "\x03", "\x04", "\x05", "\x06", "\x07"
"""Emphasis, until the whole paragraph is known. A page cannot contain these characters: `tokens` removes them."""

_SPECIAL = re.compile(
    r"[*`]|\\(?=[!-/:-@\[-`{-~]|$)|_(?![^\W_])|(?<![^\W_])_|<(?=[a-zA-Z/!?]|$)|&(?=#?\w{1,40};)|\](?=[(\[:]|$)"
    r"|\[(?=\^)|!(?=\[|$)|(?<=\S)~|~(?=~|$)|^~"
)
_IN_LINK = re.compile(r"(?<!\\)[\[\]]")
_LINE_START = re.compile(r"(?:#{1,6}(?=\s|$)|[-+](?=[\s|:-]|$)|>|=|\||:(?=-))|(\d{1,9})([.)](?=\s|$))")
_LONGEST: Final = 40
_REFERENCE = re.compile(r"(?<!\\)&#?\w+;")
_OPEN_REFERENCE = re.compile(r"(?<!\\)&(?=#?\w*$)")
_ALL_MARKS = re.compile("[\x01-\x07]")
_WORD = re.compile(r"[+−-]?\w+|[*′″†‡∗]")
_MARKS = re.compile("[\x02-\x07]")
_TICKS = re.compile("`+")
_UNSAFE: Final = {ord(c): f"%{ord(c):02X}" for c in ' <>"\\^`{|}\x00\n\r\t'}
_OPENS: Final = {STRONG: "**", EM: "_", DELETED: "~~"}
_CLOSES: Final = {STRONG_END: STRONG, EM_END: EM, DELETED_END: DELETED}


def escape(text: str, before: list[str]) -> str:
    """*text* so that a Markdown parser shows it as it is, except at the beginning of a line.

    It follows the pieces *before*, with which it could make a reference to a character.
    """
    if before and "&" in (last := before[-1][-_LONGEST:]) and _REFERENCE.search(last + text[:_LONGEST]):
        before[-1] = _OPEN_REFERENCE.sub(r"\\\g<0>", before[-1])
    return _SPECIAL.sub(r"\\\g<0>", text) if _SPECIAL.search(text) else text


def without_marks(text: str) -> str:
    """*text* without the marks of emphasis and line breaks."""
    return _ALL_MARKS.sub(" ", text)


def script(sign: str, text: str, before: str, escapes: bool) -> str:
    """*text* above (`^`) or below (`_`) the line, so that it keeps its meaning: 2^48, x_i. Ordinals stay as they are."""
    inner = text.strip()
    if not inner or (len(inner) > 1 and inner.isalpha()) or inner[0] in "^[" or inner in "®™©":
        if sign == "^" and inner[:1] == "[" and "](" in inner and not inner.startswith(("[\\", "[[", "[^")):
            return f"[^{inner[1:]}"
        return text
    if not _WORD.fullmatch(inner):
        inner = f"({inner})"
    if sign == "_" and escapes and not (before.isalnum() and inner[0].isalnum()):
        sign = "\\_"
    return f"{sign}{inner}"


def escape_start(line: str) -> str:
    """A *line* of a paragraph, so that it does not begin a heading, a list, a quote or a table."""
    found = _LINE_START.match(line)
    if found is None:
        return line
    if found[1]:
        return f"{found[1]}\\{line[found.start(2):]}"
    return "\\" + line


def escape_brackets(text: str) -> str:
    """Escaped *text* as the text of a link."""
    return _IN_LINK.sub(r"\\\g<0>", text) if "[" in text or "]" in text else text


def code_span(text: str, marks: bool = True) -> str:
    """*text* as code within a line; white space around it stays outside."""
    inner = " ".join(text.split())
    if not inner:
        return " " if text else ""
    if marks:
        runs = {len(run) for run in _TICKS.findall(inner)} if "`" in inner else set()
        fence = "`" * next(n for n in range(1, len(runs) + 2) if n not in runs)
        pad = " " if inner[0] == "`" or inner[-1] == "`" else ""
        inner = f"{fence}{pad}{inner}{pad}{fence}"
    return (" " if text[0].isspace() else "") + inner + (" " if text[-1].isspace() else "")


def target(url: str) -> str:
    """*url* as the target of a link."""
    url = url.translate(_UNSAFE)
    return url.replace("(", "%28").replace(")", "%29") if "(" in url or ")" in url else url


def emphasise(text: str) -> str:
    """A paragraph's *text* with its marks of emphasis as Markdown, where a parser recognises them; else without."""
    if _MARKS.search(text) is None:
        return text
    for again in _AGAIN:
        text = text.replace(again, "")
    parts, marks = _MARKS.split(text), _MARKS.findall(text)
    written = [""] * len(marks)
    opened: list[int] = []
    for at, mark in enumerate(marks):
        if mark in _OPENS:
            opened.append(at)
            continue
        kind = _CLOSES[mark]
        if kind not in (marks[one] for one in opened[-_MAX_NESTED:]):
            continue
        while marks[begin := opened.pop()] != kind:
            pass
        if kind not in (marks[one] for one in opened[-_MAX_NESTED:]):
            written[begin] = written[at] = _delimiter(parts, begin, at, _OPENS[kind])
    return "".join(part + mark for part, mark in zip(parts, [*written, ""], strict=True))


def _delimiter(parts: list[str], begin: int, end: int, usual: str) -> str:
    """What stands at both ends of the emphasis between the marks *begin* and *end*; "" if none would be recognised.

    The rules of flanking (CommonMark 6.2), with the unknown taken for the worse: a letter inside, or none outside.
    """
    first, last = parts[begin + 1], parts[end]
    if (first and first[0] in _BLANK) or (not first and begin + 1 < end):  # white space goes out, to the left and to the right
        parts[begin] += first[: len(first) - len(first.lstrip(_BLANK))]
        parts[begin + 1] = first = first.lstrip(_BLANK)
    if begin + 1 == end:
        last = first
    if last and last[-1] in _BLANK:
        parts[end + 1] = last[len(last.rstrip(_BLANK)) :] + parts[end + 1]
        parts[end] = last = last.rstrip(_BLANK)
        first = last if begin + 1 == end else first
    if not "".join(parts[begin + 1 : end + 1]).strip(_BLANK):
        return ""
    before, is_beside = _outside(parts[max(begin + 1 - _MAX_NESTED, 0) : begin + 1][::-1], -1)
    after, is_beside_too = _outside(parts[end + 1 : end + 1 + _MAX_NESTED], 0)
    if not (_may_begin(first[:1], before) and _may_begin(last[-1:], after)):
        return ""
    if usual == "_" and (before.isalnum() or after.isalnum()):
        return "" if is_beside or is_beside_too or not (first and last) else "*"
    return usual


def _outside(parts: list[str], at: int) -> tuple[str, bool]:
    """The nearest character of *parts*, and whether another mark stands before it."""
    for i, part in enumerate(parts[:_MAX_NESTED]):
        if part:
            return part[at], i > 0
    return "", len(parts) > 1


def _may_begin(inside: str, outside: str) -> bool:
    return inside.isalnum() or not outside or outside.isspace() or outside == BREAK or outside in string.punctuation


_AGAIN: Final = (STRONG_END + STRONG, EM_END + EM, DELETED_END + DELETED)
_MAX_NESTED: Final = 64
_BLANK: Final = " \n\t" + BREAK
