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
    r"[*`]|\\(?=[!-/:-@\[-`{-~]|\s*$)|_(?![^\W_])|(?<![^\W_])_|<(?=[a-zA-Z/!?]|$)|&(?=#?\w{1,40};)|\](?=[(\[:]|$)"
    r"|\[(?=\^)|(?<=\S)~|~(?=~|$)|^~"
)
may_be_special: Final = re.compile(r"[*`\\_<&\]\[~;]").search
"""Finds the characters without one of which `escape` changes nothing."""
_IN_LINK = re.compile(r"\\.|[\[\]]")
_LINE_START = re.compile(r"(?:#{1,6}(?=\s|$)|[-+](?=[\s|:-]|$)|>|=|\||:(?=-))|(\d{1,9})([.)](?=\s|$))")
_LONGEST: Final = 40
_REFERENCE = re.compile(r"&#?\w*$")
_END_OF_REFERENCE = re.compile(r"#?\w*;")
_ALL_MARKS = re.compile("[\x01-\x07]")
_MARKS = re.compile("[\x02-\x07]")
_OTHER: Final = r"[^ !-/:-@\[-`{-~]"
"""Neither a space nor punctuation of ASCII."""
_INNER: Final = r"([^ \x01-\x07](?:[^\x01-\x07]*[^ \x01-\x07])?)"
_PLAIN_EM, _PLAIN_STRONG = (
    re.compile(f"{begin}(?<!{_OTHER}.){_INNER}{end}(?!{_OTHER})") for begin, end in ((EM, EM_END), (STRONG, STRONG_END))
)
"""Emphasis that every parser recognises: nothing outside is a part of its words."""
_DEFINITION = re.compile(r"\[(?:[^\\\[\]]++|\\.)++\]:")
_WORD = re.compile(r"[+-]?\w+|[*\u2032\u2033\u2020\u2021\u2217]")
_TICKS = re.compile("`+")
_UNSAFE: Final = {ord(c): f"%{ord(c):02X}" for c in ' <>"\\^`{|}\x00\n\r\t'}
_OPENS: Final = {STRONG: "**", EM: "_", DELETED: "~~"}
_CLOSES: Final = {STRONG_END: STRONG, EM_END: EM, DELETED_END: DELETED}


def escape(text: str, before: list[str]) -> str:
    """*text* so that a Markdown parser shows it as it is, except at the beginning of a line.

    It follows the pieces *before*, with which it could make a reference to a character.
    """
    found = _END_OF_REFERENCE.match(text) if before and ";" in text else None
    if found is not None and _REFERENCE.search(_ALL_MARKS.sub("", "".join(before[-4:])[-_LONGEST:])):
        return text[: found.end() - 1] + "\\" + escape(text[found.end() - 1 :], [])
    return _SPECIAL.sub(_escaped, text) if may_be_special(text) else text


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found[0]


def without_marks(text: str) -> str:
    """*text* without the marks of emphasis and line breaks."""
    return text if text.isprintable() else _ALL_MARKS.sub(" ", text)


def script(sign: str, text: str, before: str, escapes: bool) -> str:
    """*text* above (`^`) or below (`_`) the line, with its meaning: 2^48, x_i. Ordinals stay."""
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
    if line[:1].isalpha():
        return line
    if line[:1] == "[" and (label := _DEFINITION.match(line)):  # its colon is in a span of code, as no text has one
        return f"{label[0][:-1]} {line[label.end() - 1 :]}"
    found = _LINE_START.match(line)
    if found is None:
        return line
    if found[1]:
        return f"{found[1]}\\{line[found.start(2) :]}"
    return "\\" + line


def escape_brackets(text: str) -> str:
    """Escaped *text* as the text of a link."""
    return _IN_LINK.sub(_escaped_bracket, text) if "[" in text or "]" in text else text


def _escaped_bracket(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) > 1 else "\\" + found[0]


def code_span(text: str, marks: bool = True) -> str:
    """*text* as code within a line; white space around it stays outside."""
    inner = " ".join(text.split())
    if not inner:
        return " " if text else ""
    if marks:
        inner = _ticked(inner) if "`" in inner else f"`{inner}`"
    return (" " if text[0].isspace() else "") + inner + (" " if text[-1].isspace() else "")


def _ticked(inner: str) -> str:
    """Code that has backticks, between more of them."""
    runs = {len(run) for run in _TICKS.findall(inner)}
    fence = "`" * next(n for n in range(1, len(runs) + 2) if n not in runs)
    pad = " " if inner[0] == "`" or inner[-1] == "`" else ""
    return f"{fence}{pad}{inner}{pad}{fence}"


def target(url: str) -> str:
    """*url* as the target of a link."""
    url = url.translate(_UNSAFE)
    return url.replace("(", "%28").replace(")", "%29") if "(" in url or ")" in url else url


def emphasise(text: str) -> str:
    """A paragraph's *text* with its marks of emphasis as Markdown, where a parser recognises them; else without."""
    if _MARKS.search(text) is None:
        return text
    plain = text
    if f"{STRONG} " in text or f" {STRONG_END}" in text:  # the text has no two spaces in a row
        plain = text.replace(f"{STRONG} ", f" {STRONG}").replace(f" {STRONG_END}", f"{STRONG_END} ").replace("  ", " ")
    plain = _PLAIN_STRONG.sub(_strong, _PLAIN_EM.sub(_em, plain))
    return plain if _MARKS.search(plain) is None else _emphasise(text)


def _em(found: re.Match[str]) -> str:
    return f"_{found[1]}_"


def _strong(found: re.Match[str]) -> str:
    return f"**{found[1]}**"


def _emphasise(text: str) -> str:
    parts, marks = _MARKS.split(text), _MARKS.findall(text)
    written = [""] * len(marks)
    opened: list[int] = []
    kinds: list[str] = []
    """The marks of those."""
    for at, mark in enumerate(marks):
        if mark in _OPENS:
            opened.append(at)
            kinds.append(mark)
            continue
        kind = _CLOSES[mark]
        if kind not in kinds[-_MAX_NESTED:]:
            continue
        while kinds.pop() != kind:
            opened.pop()
        begin = opened.pop()
        if kind not in kinds[-_MAX_NESTED:]:
            written[begin] = written[at] = _delimiter(parts, begin, at, _OPENS[kind])
    return _joined(parts, marks, written)


def _joined(parts: list[str], marks: list[str], written: list[str]) -> str:
    """The parts with the delimiters that are *written* between them.

    Emphasis that ends and begins again at once does neither. Spans of code with nothing between get a space.
    """
    ended: list[int] = []
    """The delimiters that have ended emphasis, as long as no text has followed."""
    for at, delimiter in enumerate(written):
        if parts[at]:
            ended.clear()
        if not delimiter:
            continue
        if ended and marks[at] in _OPENS and delimiter == written[ended[-1]]:
            written[ended.pop()] = written[at] = ""
        elif marks[at] in _CLOSES:
            ended.append(at)
        else:
            ended.clear()
    found = [parts[0]]
    for part, delimiter in zip(parts[1:], written, strict=True):
        if delimiter:
            found.append(delimiter)
        if part:
            found.append(" " + part if part[0] == "`" == found[-1][-1:] else part)
    return "".join(found)


def _delimiter(parts: list[str], begin: int, end: int, usual: str) -> str:
    """What stands at both ends of the emphasis between the marks *begin* and *end*; "" if none would be recognised.

    The rules of flanking (CommonMark 6.2), with the unknown taken for the worse: a letter inside, or none outside.
    """
    if usual == "**" and parts[begin + 1][:1].isalnum() and parts[end][-1:].isalnum():
        return usual
    _move_out(parts, begin, end)
    first, is_nested = _after(parts, begin + 1, end + 1)
    last, is_nested_too = _before(parts, begin + 1, end + 1)
    if not first or first in _BLANK or last in _BLANK:
        return ""
    before, is_beside = _before(parts, max(begin + 1 - _MAX_NESTED, 0), begin + 1)
    after, is_beside_too = _after(parts, end + 1, end + 1 + _MAX_NESTED)
    if not (_may_begin("" if is_nested else first, before) and _may_begin("" if is_nested_too else last, after)):
        return ""
    if usual == "~~" and "~" in (first, last, before, after):
        return ""
    if usual == "_" and (before.isalnum() or after.isalnum()):
        return "" if is_beside or is_beside_too or is_nested or is_nested_too else "*"
    return usual


def _move_out(parts: list[str], begin: int, end: int) -> None:
    """Move white space at both ends of what is emphasised out of it."""
    inner = parts[begin + 1]
    if bare := len(inner) - len(inner.lstrip(_BLANK)):
        parts[begin] += inner[:bare].lstrip(" ") if parts[begin].endswith(" ") else inner[:bare]
        parts[begin + 1] = inner[bare:]
    inner = parts[end]
    if bare := len(inner) - len(inner.rstrip(_BLANK)):
        space = inner[-bare:]
        parts[end + 1] = (space.rstrip(" ") if parts[end + 1].startswith(" ") else space) + parts[end + 1]
        parts[end] = inner[:-bare]


def _after(parts: list[str], begin: int, end: int) -> tuple[str, bool]:
    """The first character of *parts* from *begin* to *end*, and whether a mark stands before it."""
    return (parts[begin][0], False) if parts[begin] else _outside(parts[begin:end], 0)


def _before(parts: list[str], begin: int, end: int) -> tuple[str, bool]:
    """The last character of *parts* from *begin* to *end*, and whether a mark stands behind it."""
    return (parts[end - 1][-1], False) if parts[end - 1] else _outside(parts[begin:end][::-1], -1)


def _outside(parts: list[str], at: int) -> tuple[str, bool]:
    """The nearest character of *parts*, and whether another mark stands before it."""
    for i, part in enumerate(parts[:_MAX_NESTED]):
        if part:
            return part[at], i > 0
    return "", len(parts) > 1


def _may_begin(inside: str, outside: str) -> bool:
    return inside.isalnum() or not outside or outside.isspace() or outside == BREAK or outside in string.punctuation


_MAX_NESTED: Final = 64
_BLANK: Final = " \n\t" + BREAK
