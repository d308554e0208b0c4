"""A parsed document as a list of tags and texts, which Python reads much faster than a tree of nodes. Pure.

Lexbor writes its tree as well-formed HTML: every element is closed, and `<`, `>` and quotes in values are escaped. So
one regular expression can cut it. Scripts, styles and comments are left out, as are the `span` elements of pages where
none of them means anything.
"""

from __future__ import annotations

import re
from typing import Final

from crawler.parse.page import Tree

Token = tuple[str, str, str]
"""The name of a tag, with a slash if it closes; its attributes as they are written; the text behind it."""

_TOKEN = re.compile(r"<(/?[a-zA-Z][^\s>]*)([^>]*)>([^<]*)")
_RAW = re.compile(r"<(script|style)(?=[\s>])([^>]*)>(.*?)</\1>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_XMP = re.compile(r"<(xmp|plaintext|listing)(?=[\s>])[^>]*>(.*?)</\1>", re.DOTALL)
_SPAN = re.compile(r"</?span(?: [^>]*)?>")
_NUMBERED = re.compile(
    r'<span [^>]*class="[^">]*\b(?:linenos?|line-?numbers?|lnt?|hljs-ln-numbers)\b[^>]*>[^<]*</span>|</?span(?: [^>]*)?>'
)
_NUMBERS: Final = ("lineno", "line-n", 'class="ln', "hljs-ln")
_SPAN_TAG = re.compile(r"<span [^>]*>")
_MEANINGS: Final = ("katex", "math", "mwe-", "hidden", "editsection", "display:")
"""What gives a `span` a meaning, among its attributes in lower case, without spaces."""
_TEX: Final = "math/tex"
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f]")


def tokens_of(tree: Tree) -> list[Token]:
    """The tags of the body of *tree*, with their texts."""
    body = tree.body
    html = (body.html if body is not None else "") or ""
    if "<script" in html or "<style" in html:
        html = _RAW.sub(_raw, html)
    if "<!--" in html:
        html = _COMMENT.sub("", html)
    if "<xmp" in html or "<plaintext" in html:
        html = _XMP.sub(_preformatted, html)
    if _CONTROLS.search(html):
        html = _CONTROLS.sub("", html)
    if "<span" in html and not _spans_mean(html):
        html = (_NUMBERED if any(map(html.__contains__, _NUMBERS)) else _SPAN).sub("", html)
    return _TOKEN.findall(html)


def _spans_mean(html: str) -> bool:
    """Whether a `span` of *html* is a formula or hidden."""
    if not any(map(html.__contains__, _MEANINGS)):
        return False
    tags = "".join(set(_SPAN_TAG.findall(html))).lower().replace(" ", "").replace("aria-hidden", "")
    return any(map(tags.__contains__, _MEANINGS))


def _raw(found: re.Match[str]) -> str:
    """Nothing, or the formula that MathJax reads from a script."""
    if _TEX not in found[2]:
        return ""
    tex = found[3].replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    display = ' display="block"' if "mode=display" in found[2] else ""
    return f'<math alttext="{tex}"{display}></math>'


def _preformatted(found: re.Match[str]) -> str:
    text = found[2].replace("<", "&lt;").replace(">", "&gt;")
    return f"<pre>{text}</pre>"


def value_of(attributes: str, name: str) -> str | None:
    """The value of the attribute *name* among *attributes* as they are written; None if it is not there."""
    at = attributes.find(f' {name}="')
    if at < 0:
        return "" if f" {name} " in f"{attributes} " else None
    begin = at + len(name) + 3
    return unescape(attributes[begin : attributes.find('"', begin)])


def unescape(text: str) -> str:
    """*text* without the four references that Lexbor writes, and the one of quotes."""
    if "&" not in text:
        return text
    for reference, character in _REFERENCES:
        text = text.replace(reference, character)
    return text


_REFERENCES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\xa0"), ("&quot;", '"'), ("&amp;", "&"))
