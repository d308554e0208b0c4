"""What a fragment asks for: the name of an element, or what only browsers and scripts read. Pure.

HTML 7.4.6.4, "find a potential indicated element"; URL Fragment Text Directives, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

_DIRECTIVE: Final = ":~:"
_ROUTE: Final = "/!?"
"""How routes begin (`/users`, `!/users`, `?page=2`), which scripts read."""
_VALUE: Final = re.compile(r"[\w.:\[\]-]*=", re.ASCII)
"""Values (`tab=2&sort=up`, `t=10`, `page=3`), which scripts, players and viewers read."""
_REMOVED: Final = {9: None, 10: None, 13: None}  # by WHATWG's parser, anywhere in a URL


def element_name(fragment: str) -> str | None:
    """The name that *fragment*, as it is written, asks for, percent-decoded; None if it asks for none.

    Empty and `top` are the top of the page. A text directive (`:~:text=`) is passed over, and what precedes it counts.
    """
    name = fragment.partition(_DIRECTIVE)[0]
    if "%" in name:
        name = unquote(name)
    if not name.isprintable():
        name = name.translate(_REMOVED)
    if not name or name.lower() == "top" or name[0] in _ROUTE or ("=" in name and _VALUE.match(name)):
        return None
    return name


def reachable(ids: Iterable[str]) -> Iterator[str]:
    """The names by which elements with *ids* can be reached, as `element_name` writes them.

    An id `a%20b` is found by the fragment as it is written, before that is decoded.
    """
    for name in ids:
        yield name
        if "%" in name:
            yield unquote(name)
