"""JMESPath expressions (https://jmespath.org), the only use of that library."""

from __future__ import annotations

from typing import Any, Final, Protocol

MAX_LENGTH: Final = 1_000
"""Characters of an expression."""


class JsonPath(Protocol):
    """A compiled expression."""

    def search(self, value: Any) -> Any:
        """What it selects of *value*; None if nothing. ValueError if a function does not take what *value* has."""


def compile_path(expression: str) -> JsonPath:
    """*expression*, to be searched in JSON values. ValueError says why it cannot be used."""
    import jmespath  # which takes 10 ms or more: only crawls with such a rule pay for it
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions

    if len(expression) > MAX_LENGTH:
        raise ValueError(f"it has more than {MAX_LENGTH:,} characters")
    try:
        compiled = jmespath.compile(expression)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except JMESPathError as error:
        raise ValueError(" ".join(str(error).split("\n")[0].split()).rstrip(":")) from None
    known: dict[str, Any] = Functions.FUNCTION_TABLE
    if unknown := _functions(dict(compiled.parsed)) - known.keys():
        raise ValueError(f"it has no function {min(unknown)}: JMESPath knows {', '.join(sorted(known))}")
    return compiled


def _functions(parsed: dict[str, Any]) -> set[str]:
    """The names of the functions that an expression calls."""
    found, stack = set(), [parsed]
    while stack:
        node = stack.pop()
        if node["type"] == "function_expression":
            found.add(node["value"])
        stack += [child for child in node["children"] if isinstance(child, dict)]
    return found
