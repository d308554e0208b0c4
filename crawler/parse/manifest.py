"""The URLs that a web app manifest names (W3C, Web Application Manifest), with their lines. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from crawler.parse.places import Reference

_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PICTURES: Final = {"icons": "icon", "screenshots": "image"}
_MAX_MEMBERS: Final = 1_000
"""Members of a list that are read."""


def manifest_references(text: str) -> list[Reference]:
    """What the manifest *text* names, in its order as far as lines are known; empty if it is no JSON object."""
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(manifest, dict):
        return []
    lines = _Lines(text)
    found = [Reference(kind, url, lines.of(url)) for kind, url in _named(manifest)]
    return sorted(found, key=lambda each: each.line)


def _named(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _values(manifest, "start_url", "link")
    for member, kind in _PICTURES.items():
        for picture in _list(manifest, member):
            yield from _values(picture, "src", kind)
    for shortcut in _list(manifest, "shortcuts"):
        yield from _values(shortcut, "url", "link")
        for icon in _list(shortcut, "icons"):
            yield from _values(icon, "src", "icon")
    for application in _list(manifest, "related_applications"):
        yield from _values(application, "url", "link")


def _list(value: dict[str, Any], member: str) -> Iterator[dict[str, Any]]:
    found = value.get(member)
    if isinstance(found, list):
        yield from (each for each in found[:_MAX_MEMBERS] if isinstance(each, dict))


def _values(value: dict[str, Any], member: str, kind: str) -> Iterator[tuple[str, str]]:
    found = value.get(member)
    if isinstance(found, str):
        yield kind, found


class _Lines:
    """Where strings are in a JSON text: a string that is there twice is taken in the order of the text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, list[int]] = {}
        line, counted = 1, 0
        for match in _STRING.finditer(text):
            line, counted = line + text.count("\n", counted, match.start()), match.start()
            value = match[0][1:-1]
            if "\\" in value:
                value = str(json.loads(match[0], strict=False))
            self._lines.setdefault(value, []).append(line)
        for lines in self._lines.values():
            lines.reverse()

    def of(self, value: str) -> int:
        """The next line in which *value* is; 0 if it is nowhere."""
        lines = self._lines.get(value)
        if not lines:
            return 0
        return lines.pop() if len(lines) > 1 else lines[0]
