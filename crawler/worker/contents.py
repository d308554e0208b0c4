"""What is kept of a page itself, each part compressed on its own: so an export reads no more than it writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from crawler.parse.page import Page
from crawler.record import CONTENTS, MAX_CONTENT

try:  # the same output as zlib, in a third of the time
    from isal.isal_zlib import compress, decompress

    _LEVEL = 2
except ImportError:  # there are no wheels for rare processors
    from zlib import compress, decompress

    _LEVEL = 1

_TEXTS: Final = tuple(name for name in CONTENTS if name not in ("links", "diff", "data"))
_OF_ALL: Final = tuple(name for name in _TEXTS if name != "html")
"""What a document that is not HTML has, too."""


def contents_of(page: Page, want: Collection[str], data: Any = None) -> dict[str, bytes]:
    """What of *page* is stored, by its name in CONTENTS. *data* is the value of the record's field of that name."""
    found: dict[str, bytes] = {}
    for name in _TEXTS if page.is_html else _OF_ALL:
        if name in want and (text := getattr(page, name)) is not None:
            found[name] = text_of(text)
    if "links" in want and page.is_html:
        found["links"] = _packed(page.links)
    return found | data_of(data)


def text_of(text: str) -> bytes:
    """*text* as it is stored."""
    return compress(text.encode("utf-8", "replace")[:MAX_CONTENT], _LEVEL)


def data_of(data: Any) -> dict[str, bytes]:
    """*data* as the content of that name; empty for None."""
    return {} if data is None else {"data": _packed(data)}


def _packed(value: Any) -> bytes:
    return compress(msgspec.json.encode(value), _LEVEL)


def unpacked(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same uncompressed, as `Record.with_contents` takes them."""
    return {name: decompress(packed) for name, packed in contents.items()}
