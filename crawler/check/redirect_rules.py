"""The redirects of a static site in a file: lines of `FROM TO [STATUS]`, as Netlify and Cloudflare read them. Pure.

`/news/*` takes all below it, which `:splat` in TO names; `:name` takes one segment. `!` after the status: also where a
file is there. Lines with conditions (a country, a language, parameters of the query) are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from re import Pattern
from typing import Final

MAX_RULES: Final = 10_000
_STATUS: Final = re.compile(r"(200|301|302|303|307|308|404)(!?)")
_PART: Final = re.compile(r"(\*)|:([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class RedirectRules:
    """The lines of the file, in their order: the first that fits counts."""

    rules: tuple[tuple[Pattern[str], str, int, bool], ...] = ()
    """What a path must be, where it leads, the status, and whether it counts where a file is there."""

    @classmethod
    def parse(cls, text: str) -> RedirectRules:
        """Read the file; what is no rule is passed over."""
        rules = []
        for line in text.splitlines()[:MAX_RULES]:
            words = line.partition(" #")[0].split()
            if not words or words[0].startswith("#"):
                continue
            rules += list(_rule(words))
        return cls(tuple(rules))

    def of(self, path: str, *, forced: bool = False) -> tuple[int, str] | None:
        """Status and target of the first rule that fits *path*. *forced*: only of those that pass over files."""
        for pattern, to, status, is_forced in self.rules:
            if forced and not is_forced:
                continue
            if found := pattern.fullmatch(path):
                parts = found.groupdict()
                return status, _PART.sub(lambda part, parts=parts: parts.get(part[2] or "splat") or "", to)  # type: ignore[misc]
        return None


NO_RULES: Final = RedirectRules()


def _rule(words: list[str]) -> Iterator[tuple[Pattern[str], str, int, bool]]:
    """The rule of a line, if it is one that can be followed."""
    source, to, *rest = [*words, ""]
    rest = rest[:-1]
    found = _STATUS.fullmatch(rest[0]) if rest else _STATUS.fullmatch("301")
    if not source.startswith("/") or not to.startswith(("/", "http://", "https://")) or found is None or rest[1:]:
        return
    if (pattern := _pattern(source)) is not None:
        yield re.compile(pattern), to, int(found[1]), bool(found[2])


def _pattern(source: str) -> str | None:
    """The regular expression of a FROM; None where a name is in it twice."""
    pattern, at, names = "", 0, set()
    for part in _PART.finditer(source):
        pattern += re.escape(source[at : part.start()])
        name = part[2] or "splat"
        if name in names:
            return None
        names.add(name)
        if part[2]:
            pattern += f"(?P<{name}>[^/]+)"
        elif pattern.endswith("/"):
            pattern = f"{pattern[:-1]}(?:/(?P<splat>.*))?"
        else:
            pattern += "(?P<splat>.*)"
        at = part.end()
    return pattern + re.escape(source[at:])
