"""Findings in the making: what is wrong, and the places that hold it, packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from crawler.check.places import Places
from crawler.findings import CODES, NUMBERS, SEVERITIES


@dataclass(slots=True)
class Draft:
    """One finding."""

    code: str
    target: str
    """As in Finding; of a broken fragment without it."""
    cause: str
    places: list[Places] = field(default_factory=list)
    pages: list[tuple[int, int]] = field(default_factory=list)
    """Further places: page and line."""
    urls: set[str] = field(default_factory=set)
    """The URLs by which pages name it; of those the text is shown."""
    fragment: int | None = None
    """24 bits of the name of a broken fragment."""
    name: str | None = None
    """That name, once it is known."""

    @property
    def order(self) -> tuple[int, int, str]:
        """By which findings are sorted: severity, from the worst on; code; target."""
        return SEVERITIES.index(CODES[self.code].severity), NUMBERS[self.code], self.shown

    @property
    def digest(self) -> bytes:
        """What makes it the same in another report: 8 bytes."""
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        return blake2b(f"{self.code} {self.target}{fragment}".encode("utf-8", "replace"), digest_size=8).digest()

    @property
    def shown(self) -> str:
        """The target as the finding names it. The name of a fragment that is not known is shown by its hash."""
        if self.fragment is None:
            return self.target
        return f"{self.target}#{f'?{self.fragment:06x}' if self.name is None else self.name}"

    def all_places(self) -> Iterator[tuple[int, int]]:
        """Page and line of each place; one may come twice."""
        for places in self.places:
            yield from places
        yield from self.pages


class Drafts:
    """All of a report: one for each code and target."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str, int | None], Draft] = {}

    def add(self, code: str, target: str, cause: str, fragment: int | None = None) -> Draft:
        """The finding of that code and target: a new one, or the one that is there."""
        return self._by_key.setdefault((code, target, fragment), Draft(code, target, cause, fragment=fragment))

    def all(self) -> list[Draft]:
        """All of them, in no order."""
        return list(self._by_key.values())


def of_pages(pages: Iterable[int]) -> list[tuple[int, int]]:
    """Places that are whole pages."""
    return [(page, 0) for page in pages]
