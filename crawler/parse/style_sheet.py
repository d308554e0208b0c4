"""The URLs that a style sheet names: `url()`, `src()`, `image-set()` and `@import`, each with its line. Pure, linear.

Tokens are those of CSS Syntax 3: comments, strings, escapes, and `url()` without quotes are read as a browser reads
them. What names nothing is skipped within one expression, so a sheet of 200 KB takes some milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from crawler.parse.charset import decode, lookup, of_bom, of_content_type
from crawler.parse.places import Reference

_MAX_NESTED: Final = 32
"""Functions within an `image-set()`."""


def _others(but: str) -> str:
    """A class of characters: ASCII that is in no name, without those in *but*.

    Classes that reach to U+10FFFF take a hundred times as long to compile: so names are written by what they lack.
    """
    return "".join(rf"\x{n:02x}" for n in range(128) if not (chr(n).isalnum() or chr(n) in "-_" or chr(n) in but))


_IN_NAME: Final = f"[^{_others('')}]"
_ESCAPE: Final = r"\\(?:[0-9A-Fa-f]{1,6}(?:\r\n|[ \t\n\r\f])?|[^\n\r\f0-9A-Fa-f])"
_NAME: Final = rf"(?:{_IN_NAME}++|{_ESCAPE})++"
_STRINGS: Final = [rf"{quote}(?:[^{quote}\\\n\r\f]++|\\(?:\r\n|.|\Z))*+" for quote in "\"'"]
_STRING: Final = rf"{_STRINGS[0]}\"?|{_STRINGS[1]}'?"
_WHOLE_STRING: Final = rf"{_STRINGS[0]}(?:\"|\Z)|{_STRINGS[1]}(?:'|\Z)"
"""A string that does not break off at the end of its line."""
_COMMENT: Final = r"/\*.*?(?:\*/|\Z)"
_SPACE: Final = rf"(?:[ \t\n\r\f]++|{_COMMENT})*+"
_OURS: Final = r"(?i:url|src|image-set|-webkit-image-set)"
_FOUND: Final = rf"@({_NAME})|({_NAME})\("


def _skipped(stops: str) -> str:
    """What names nothing: comments, strings, names, functions of other names, characters that are not in *stops*."""
    others = _others("\"'/\\@<" + stops)
    return (
        rf"(?:[{others}]++|{_COMMENT}|/|{_STRING}|<(?:!--)?|(?!{_OURS}\(){_IN_NAME}++\("
        rf"|{_NAME}(?!\()|\\(?=[\n\r\f]|\Z)|@(?!{_NAME}))*+"
    )


_TOKEN: Final = re.compile(_skipped("") + rf"(?:{_FOUND})", re.DOTALL)
_TOKEN_OF_FONT: Final = re.compile(_skipped("}") + rf"(?:{_FOUND}|}})", re.DOTALL)
"""The same, and the end of the block."""
_IN_SETS: Final = _others("\"'/\\<()")
_TOKEN_OF_SET: Final = re.compile(
    rf"(?:[{_IN_SETS}]++|{_COMMENT}|/|<(?:!--)?|{_NAME}(?!\()|\\(?=[\n\r\f]|\Z))*+"
    rf"(?:({_WHOLE_STRING})|{_STRING}|({_NAME})?\(|(\)))",
    re.DOTALL,
)
_WHITE: Final = r"[ \t\n\r\f]*+"
_URL: Final = re.compile(
    rf"{_WHITE}(?:({_WHOLE_STRING})(?:{_WHITE}\))?|((?:[^\"'()\\\x00-\x20\x7f]++|{_ESCAPE})*+){_WHITE}(?:\)|\Z))",
    re.DOTALL,
)
_QUOTED: Final = re.compile(rf"{_SPACE}({_WHOLE_STRING})(?:{_SPACE}\))?", re.DOTALL)
_BAD_URL: Final = re.compile(r"(?![ \t\n\r\f]*+[\"'])(?:[^)\\]++|\\.|\\\Z)*+\)?", re.DOTALL)
_IMPORT: Final = re.compile(rf"{_SPACE}(?:({_WHOLE_STRING})|({_NAME})\()", re.DOTALL)
_BEFORE_IMPORT: Final = re.compile(
    rf"(?:[ \t\n\r\f;]++|{_COMMENT}|<!--|-->"
    rf"|@(?i:charset|layer)(?!{_IN_NAME}|\\)"
    rf"(?:{_COMMENT}|/|{_STRING}|[^;{{}}\"'/])*+;)*+",
    re.DOTALL,
)
"""What may stand before an `@import`: `@charset` and `@layer` without a block (CSS Cascade 5, section 3)."""
_PRELUDE: Final = re.compile(
    rf"(?:{_COMMENT}|/|{_STRING}|(?i:url)\((?:[^\"')\\]++|\\.)*+(?:\)|\Z)|\\.|[^;{{}}\"'/\\])*+", re.DOTALL
)
"""The rest of an at-rule up to its block or its end."""
_ESCAPED: Final = re.compile(r"\\(?:([0-9A-Fa-f]{1,6})(?:\r\n|[ \t\n\r\f])?|(\r\n|[\n\r\f]|\Z)|(.))", re.DOTALL)
_CHARSET: Final = re.compile(rb'@charset "([^"]{0,100})";')
_NO_RESOURCES: Final = frozenset({"namespace", "document", "-moz-document"})
"""At-rules whose `url()` is a name, and nothing that is loaded."""
_SETS: Final = frozenset({"image-set", "-webkit-image-set"})


def sheet_text(body: bytes, content_type: str) -> str:
    """The text of a style sheet (CSS Syntax 3, section 3.2): by its BOM, the header, `@charset`, else UTF-8."""
    charset = of_bom(body) or of_content_type(content_type)
    if charset is None and (declared := _CHARSET.match(body)):
        charset = lookup(declared[1].decode("latin-1"))
        if charset in ("utf-16le", "utf-16be"):
            charset = "utf-8"  # it was read as ASCII, so it cannot be
    return decode(body, charset or "utf-8")


def sheet_references(css: str) -> Iterator[Reference]:
    """What *css* names, of the kinds `style` (`@import`), `font` (in `@font-face`) and `css`. Lines are from 1."""
    if "\n" not in css:
        css = css.replace("\r", "\n")  # CR alone ends lines only where nothing else does, as in `tag_lines`
    line, counted = 1, 0
    for at, kind, url in _Reading(css).run():
        line, counted = line + css.count("\n", counted, at), at
        yield Reference(kind, url, line)


class _Reading:
    """One pass through a style sheet."""

    def __init__(self, css: str) -> None:
        self._css, self._at = css, 0
        self._imports_end = 0
        """Up to here there are only imports, and what may stand before one."""
        self._has_rules = False
        """There was a rule of another kind, so that no import counts any more."""

    def run(self) -> Iterator[tuple[int, str, str]]:
        """Offsets, kinds and URLs."""
        css, kind = self._css, "css"
        while match := (_TOKEN if kind == "css" else _TOKEN_OF_FONT).match(css, self._at):
            self._at = match.end()
            rule, function = match[1], match[2]
            if rule is not None:
                name = _plain(rule).lower()
                if name == "font-face":
                    kind = "font"
                elif name == "import":
                    yield from self._import(match.start(1) - 1)
                elif name in _NO_RESOURCES:
                    self._at = _PRELUDE.match(css, self._at).end()  # type: ignore[union-attr]
            elif function is not None:
                yield from self._function(match.start(2), _plain(function).lower(), kind)
            else:
                kind = "css"

    def _import(self, start: int) -> Iterator[tuple[int, str, str]]:
        """What an `@import` names; behind another rule it is none, and browsers pass over it."""
        end = _PRELUDE.match(self._css, self._at).end()  # type: ignore[union-attr]
        if self._has_rules or _BEFORE_IMPORT.match(self._css, self._imports_end).end() < start:  # type: ignore[union-attr]
            self._has_rules, self._at = True, end
            return
        match = _IMPORT.match(self._css, self._at)
        if match is None:
            return
        self._imports_end, self._at = end, match.end()
        if match[1]:
            yield match.start(1), "style", _unquoted(match[1])
        else:
            yield from self._function(match.start(2), _plain(match[2]).lower(), "style")
        self._at = max(self._at, end)

    def _function(self, start: int, name: str, kind: str) -> Iterator[tuple[int, str, str]]:
        """What the function *name* names, whose arguments begin here."""
        if name == "url":
            match = _URL.match(self._css, self._at)
            if match is not None:
                self._at = match.end()
                yield start, kind, _unquoted(match[1]) if match[1] else _plain(match[2] or "")
            elif bad := _BAD_URL.match(self._css, self._at):
                self._at = bad.end()
        elif name == "src":
            if match := _QUOTED.match(self._css, self._at):
                self._at = match.end()
                yield start, kind, _unquoted(match[1])
        elif name in _SETS:
            yield from self._image_set(kind)

    def _image_set(self, kind: str) -> Iterator[tuple[int, str, str]]:
        """Strings in it are URLs, except those of its functions: `type("image/png")`."""
        depth = 1
        while depth and (match := _TOKEN_OF_SET.match(self._css, self._at)):
            self._at = match.end()
            name = _plain(match[2] or "").lower()
            if match[1]:
                if depth == 1:
                    yield match.start(1), kind, _unquoted(match[1])
            elif match[3]:
                depth -= 1
            elif match[0][-1] != "(":
                continue  # a string that breaks off
            elif name in ("url", "src"):
                yield from self._function(match.start(2), name, kind)
            elif depth < _MAX_NESTED:
                depth += 1
            else:
                return


def _plain(name: str) -> str:
    """*name* with its escapes read (CSS Syntax 3, section 4.3.7)."""
    return _ESCAPED.sub(_character, name) if "\\" in name else name


def _unquoted(string: str) -> str:
    quote = string[0]
    return _plain(string[1:-1] if len(string) > 1 and string[-1] == quote else string[1:])


def _character(escape: re.Match[str]) -> str:
    if escape[1]:
        number = int(escape[1], 16)
        return chr(number) if 0 < number < 0xD800 or 0xDFFF < number <= 0x10FFFF else "\ufffd"
    return escape[3] or ""
