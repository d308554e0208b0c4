"""The patterns of `--only` and `--ignore`: words for kinds of findings, and globs for their targets and pages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from crawler.errors import UsageError
from crawler.findings import CODES, SEVERITIES, Finding
from crawler.text import did_you_mean

WORDS: Final = (*CODES, *SEVERITIES)
_WORD: Final = re.compile(r"[a-z0-9*-]*[a-z-][a-z0-9*-]*", re.IGNORECASE)
"""What can only be meant as a code or a severity: without a dot, a slash, and not only stars."""
_ASCII: Final = "".join(map(chr, range(128)))
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class Glob:
    """A pattern for a whole text in which `*` is any characters; all others stand for themselves, `?` too.

    It takes time linear in the text for each of its parts, whatever the text.
    """

    def __init__(self, pattern: str) -> None:
        self._first, *self._rest = pattern.split("*")
        self._escaped = None if pattern.isascii() else Glob(quote(pattern, safe=_ASCII))

    def matches(self, text: str) -> bool:
        """Whether it matches all of *text*."""
        if not self._rest:
            return text == self._first
        *middle, last = self._rest
        if not text.startswith(self._first):
            return False
        at = len(self._first)
        for part in middle:
            at = text.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return text.endswith(last) and len(text) - len(last) >= at

    def matches_url(self, url: str) -> bool:
        """Whether it matches *url*: with its scheme, without it, its host, or its path with what follows."""
        spellings = _spellings(url)
        return any(map(self.matches, spellings)) or bool(self._escaped and any(map(self._escaped.matches, spellings)))


def _spellings(url: str) -> list[str]:
    """What a glob may match of a URL, a file, or the text of a title."""
    parts = _ORIGIN.match(url)
    if not parts:
        return [url, f"/{url}"]
    host, path = parts[1], parts[2] or "/"
    return [url, f"{host}{path}", host, path]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One value of `--only` or `--ignore`."""

    words: frozenset[str]
    """Codes and severities."""
    glob: Glob | None

    def covers(self, finding: Finding) -> bool:
        """Whether the whole of *finding* is meant, whatever pages hold it."""
        return self.is_about(finding) and (self.glob is None or self.glob.matches_url(finding.target))

    def is_about(self, finding: Finding) -> bool:
        """Whether the code or severity of *finding* is meant."""
        return finding.code in self.words or finding.severity in self.words


def parse_patterns(option: str, values: Iterable[str]) -> tuple[Pattern, ...]:
    """The patterns of the *option*. UsageError names the one that is wrong."""
    return tuple(_pattern(option, one) for value in values for one in _split(value))


def _split(value: str) -> list[str]:
    """Words may be given in one value, with commas between. A comma in a URL is part of it."""
    value = value.strip()
    parts = [part.strip() for part in value.split(",")]
    return parts if all(map(_WORD.fullmatch, parts)) else [value]


def _pattern(option: str, text: str) -> Pattern:
    if not text:
        raise UsageError(f"{option} needs a code, a severity, or a pattern of a URL")
    before, colon, after = text.partition(":")
    if _WORD.fullmatch(text):
        return Pattern(_words(option, text), None)
    if colon and _WORD.fullmatch(before) and not after.startswith("//") and not after[:1].isdigit():
        if not after:
            raise UsageError(f"{option} {text}: a pattern of a URL must follow the colon, such as {text}*/old/*")
        return Pattern(_words(option, before), Glob(after))
    return Pattern(frozenset(WORDS), Glob(text))


def _words(option: str, word: str) -> frozenset[str]:
    glob = Glob(word.lower())
    if found := frozenset(filter(glob.matches, WORDS)):
        return found
    known = f"the codes are {', '.join(CODES)}; the severities {', '.join(SEVERITIES)};"
    known += " a pattern of a URL has a dot or a slash"
    raise UsageError(f"{option} {word}: there is no such code or severity; {did_you_mean(word, WORDS, known)}")


def narrowed(finding: Finding, only: Sequence[Pattern], ignore: Sequence[Pattern]) -> Finding | None:
    """*finding* with the pages that are selected; None if it is not selected at all."""
    if any(pattern.covers(finding) for pattern in ignore):
        return None
    globs = _globs(finding, ignore)
    pages = [page for page in finding.pages if not any(glob.matches_url(page.url) for glob in globs)]
    if only and not any(pattern.covers(finding) for pattern in only):
        globs = _globs(finding, only)
        pages = [page for page in pages if any(glob.matches_url(page.url) for glob in globs)]
        if not pages:
            return None
    if len(pages) == len(finding.pages):
        return finding
    return msgspec.structs.replace(finding, pages=pages) if pages else None


def _globs(finding: Finding, patterns: Sequence[Pattern]) -> list[Glob]:
    return [pattern.glob for pattern in patterns if pattern.glob is not None and pattern.is_about(finding)]
