"""A parsed document as a list of tags and texts, which Python reads much faster than a tree of nodes. Pure.

Lexbor writes its tree as well-formed HTML: every element is closed, and `<`, `>` and quotes in values are escaped. So
one regular expression can cut it. Scripts, styles and comments are left out, as are the `span` elements of pages where
none of them means anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from crawler.parse.page import Tree

Token = tuple[str, str, str]
"""The name of a tag, with a slash if it closes; its attributes as they are written; the text behind it."""

_TOKEN = re.compile(r"<(/?[a-zA-Z][^ >]*+)([^>]*+)>([^<]*+)")
_RAW = re.compile(
    r"<(?:(script|style|xmp|plaintext|iframe|noembed|noframes)(?=[ >])([^>]*)>(.*?)</\1>|!--.*?-->)", re.DOTALL
)
"""What is no HTML in HTML."""
_SPAN = re.compile(r"<(?:/span|span((?: [^>]*+)?))>")
_NUMBERED = re.compile(
    r'<span [^>]*class="[^">]*\b(?:linenos?|line-?numbers?|lnt?|hljs-ln-numbers)\b[^>]*>'
    r"(?:<a [^>]*>)?[^<]*(?:</a>)?</span>"
    r"|</?span(?: [^>]*)?>"
)
_NUMBERS: Final = ("lineno", "line-n", 'class="ln', "hljs-ln")
_MEANINGS: Final = (
    *("katex", "MathJax", "mwe-math", 'class="math', "editsection", "<span hidden", "<span style="),
    *("d-none", "sr-only", "visually-hidden", "visuallyhidden", "screen-reader-text", "v-visible-sr"),
)
"""What gives a `span` a meaning."""
_MAX_TOKENS: Final = 500_000
"""Tags that are read: at some 200 bytes each this bounds the memory. More text than may be stored stands before."""
_TEX: Final = "math/tex"
_CONTROLS: Final = "\x01\x02\x03\x04\x05\x06\x07"
"""Characters that no page needs; the writer of Markdown marks its own text with them."""


def tokens_of(tree: Tree) -> list[Token]:
    """The tags of the body of *tree*, with their texts."""
    body = tree.body
    html = (body.html if body is not None else "") or ""
    html = _RAW.sub(_raw, html)
    if any(map(html.__contains__, _CONTROLS)):
        html = html.translate(dict.fromkeys(map(ord, _CONTROLS)))
    if "<span" in html:
        parts = _SPAN.split(html)  # every second one is what a tag has of attributes
        tags = "".join(f"<span{attributes}>" for attributes in set(parts[1::2]) if attributes)
        if not any(map(tags.__contains__, _MEANINGS)):
            is_numbered = any(map(tags.__contains__, _NUMBERS))
            html = _NUMBERED.sub("", html) if is_numbered else "".join(parts[::2])
    if len(html) > _MAX_TOKENS and (count := html.count("<")) > _MAX_TOKENS:
        html = html[: len(html) * _MAX_TOKENS // count].rpartition("<")[0] + "</body>"
    return _TOKEN.findall(html)


def _raw(found: re.Match[str]) -> str:
    """Nothing, the text that stands for itself, or the formula that MathJax reads from a script."""
    name, attributes, text = found.groups()
    if name in ("xmp", "plaintext"):
        text = text.replace("<", "&lt;").replace(">", "&gt;")
        return f"<pre>{text}</pre>"
    if name != "script" or _TEX not in attributes:
        return ""
    tex = text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    display = ' display="block"' if "mode=display" in attributes else ""
    return f'<math alttext="{tex}"{display}></math>'


def value_of(attributes: str, name: str) -> str | None:
    """The value of the attribute *name* among *attributes* as they are written; None if it is not there."""
    at = attributes.find(f' {name}="')
    if at < 0:
        return "" if f" {name} " in f"{attributes} " else None
    begin = at + len(name) + 3
    return unescape(attributes[begin : attributes.find('"', begin)])


def names(text: str) -> frozenset[str]:
    """The names of tags or classes in *text*, which have spaces between."""
    return frozenset(text.split())


def end_of(tokens: Sequence[Token], at: int) -> int:
    """Where the element that begins at *at* ends."""
    name = tokens[at][0]
    closing, depth = f"/{name}", 1
    for end in range(at + 1, len(tokens)):
        tag = tokens[end][0]
        if tag == name:
            depth += 1
        elif tag == closing:
            depth -= 1
            if not depth:
                return end
    return len(tokens) - 1


def unescape(text: str) -> str:
    """*text* without the four references that Lexbor writes, and the one of quotes."""
    if "&" not in text:
        return text
    for reference, character in _REFERENCES:
        text = text.replace(reference, character)
    return text


_REFERENCES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\xa0"), ("&quot;", '"'), ("&amp;", "&"))
