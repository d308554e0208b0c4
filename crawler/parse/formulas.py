"""Formulas in pages, as TeX: of MathML with its source, KaTeX, MathJax. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from crawler.parse.markdown_text import escape
from crawler.parse.tokens import Token, unescape, value_of

_UNSAFE = re.compile(r"[*<`~\[\]&]|\\[!-/:-@\[-`{-~]|(?<![^\W_])_|^\s|\s$")
_MAX: Final = 10_000


def formula(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    """The formula of the tag `math` at *at*, and where it ends: TeX between dollars if its source is there, else text.

    What a Markdown parser without formulas would change is written as GitHub reads it: $`...`$.
    """
    end = at
    tex = value_of(tokens[at][1], "alttext") or ""
    text = [tokens[at][2]]
    in_source = False
    for end in range(at + 1, len(tokens)):
        name, attributes, inner = tokens[end]
        if name == "/math":
            break
        if name == "annotation" or name == "annotation-xml":
            in_source = True
            if "tex" in attributes.lower() and not tex:
                tex = unescape(inner)
        elif name == "/annotation" or name == "/annotation-xml":
            in_source = False
        if not in_source:
            text.append(inner)
    tex = " ".join(tex[:_MAX].split())
    if not tex:
        return escape(unescape("".join(" ".join(text).split())), []), end
    tex = tex.removeprefix("{\\displaystyle").removesuffix("}").strip() if tex.startswith("{\\displaystyle") else tex
    return dollars(tex, 'display="block"' in tokens[at][1]), end


def dollars(tex: str, is_block: bool) -> str:
    """*tex* as a formula."""
    if _UNSAFE.search(tex):
        return f"$`{tex}`$" if "`" not in tex else escape(tex, [])
    return f"$${tex}$$" if is_block else f"${tex}$"
