"""The texts that stand under the fields of a class, put where `help()` looks: into its docstring."""

from __future__ import annotations

import ast
import inspect
from contextlib import suppress
from textwrap import fill
from typing import Final, TypeVar

T = TypeVar("T", bound=type)

_MARK: Final = "\n\nFields:\n"
_WIDTH: Final = 100


def texts_of(cls: type) -> dict[str, str]:
    """Field -> the text under it, on one line; empty if it has none. OSError if the source is not there."""
    body = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for node, following in zip(body.body, [*body.body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            value = following.value if isinstance(following, ast.Expr) else None
            found[node.target.id] = " ".join(str(value.value).split()) if isinstance(value, ast.Constant) else ""
    return found


def described(cls: T) -> T:
    """*cls* with its public fields in its docstring."""
    doc = inspect.getdoc(cls) or ""
    if _MARK not in doc:
        with suppress(OSError, SyntaxError):
            rows = {name: text for name, text in texts_of(cls).items() if not name.startswith("_")}
            cls.__doc__ = doc + _MARK + "\n".join(_line(name, text) for name, text in rows.items())
    return cls


def _line(name: str, text: str) -> str:
    return fill(f"{name}: {text}", _WIDTH, initial_indent="    ", subsequent_indent="        ")
