"""robots.txt: what it says of one URL and one crawler (RFC 9309), and which of its lines said it.

Pure, and nothing in a file can make it raise: `parse` takes any bytes. `Rules` keeps those bytes, so what is stored of
them parses to equal rules, and reads them for one product token at a time: a crawl has one, some files name hundreds.

Why the matcher is our own: Protego 0.7 answers 10 of the 72 cases of Google's reference tests that follow the RFC
otherwise (an unknown record ends a group, `FOO BAR` is not the token `FOO`), and cannot name the line that decided.
Read beyond the RFC, as Google's parser does: a missing colon, frequent misspellings, lines cut at 16,663 bytes, and an
allowed `/index.html` that allows its folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

MAX_BYTES: Final = 500 * 1024
"""Bytes of a robots.txt that are read (RFC 9309 section 2.5: at least 500 KiB); a line that is cut there is dropped.
Fetch one byte more, or such a cut goes unnoticed."""

MAX_CRAWL_DELAY: Final = 300.0
"""Seconds between two requests that a Crawl-delay can ask for (Heritrix has the same); more is this much."""

_MAX_LINE: Final = 2083 * 8 - 1  # Google's limit; what is longer is cut
_BOM: Final = b"\xef\xbb\xbf"
_KEYS: Final = {
    b"user-agent": "agent",
    b"useragent": "agent",
    b"user agent": "agent",
    b"allow": "allow",
    b"disallow": "disallow",
    b"dissallow": "disallow",
    b"dissalow": "disallow",
    b"disalow": "disallow",
    b"diasllow": "disallow",
    b"disallaw": "disallow",
    b"crawl-delay": "delay",
    b"crawl delay": "delay",
    b"sitemap": "sitemap",
    b"site-map": "sitemap",
}
_TOKEN = re.compile(r"[A-Za-z_-]+")
_TOKEN_BYTES = re.compile(rb"[A-Za-z_-]*")
_COMPATIBLE = re.compile(r"Mozilla/\S+ \(compatible; *([A-Za-z_-]+)")
_SECONDS = re.compile(rb"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What is compared percent-encoded whatever the spelling: all that RFC 3986 keeps out of a path, and the three
# characters that are special here or that browsers encode in a query alone. In a rule `*` stays what it is, and bytes
# beyond ASCII are encoded; in a URL they never are plain.
_ODD_IN_URL = re.compile("%([0-9A-Fa-f]{2})|[\x00- \"$'*<>\\\\^`{|}\x7f]")
_ODD_IN_RULE = re.compile("%([0-9A-Fa-f]{2})|[\x00- \"$'<>\\\\^`{|}\x7f-\xff]")


def parse(body: bytes) -> Rules:
    """The rules of a robots.txt; of anything else, rules that allow all. Never raises."""
    if len(body) > MAX_BYTES:
        cut = body[:MAX_BYTES]
        body = cut[: max(cut.rfind(b"\n"), cut.rfind(b"\r")) + 1]
    return Rules(body)


@dataclass(frozen=True, slots=True)
class Rules:
    """A robots.txt. URLs are canonical; an *agent* is a product token as `product_token` makes it, in any case."""

    body: bytes
    """What was parsed, at most MAX_BYTES: `parse(rules.body) == rules`."""
    _views: dict[str, _View] = field(default_factory=dict, init=False, repr=False, compare=False)

    def allowed(self, url: str, agent: str) -> bool:
        """Whether *agent* may fetch *url*."""
        rule = self._view(agent).find(_path(url))
        return rule is None or rule.allow

    def crawl_delay(self, agent: str) -> float | None:
        """Seconds that *agent* is asked to leave between requests, over 0 and at most MAX_CRAWL_DELAY."""
        return self._view(agent).delay

    def deciding_line(self, url: str, agent: str) -> str | None:
        """The line that allows or disallows *url*; None where no line does, so that it is allowed."""
        rule = self._view(agent).find(_path(url))
        return None if rule is None else _lines(self.body)[rule.line].strip().decode("utf-8", "replace")

    @property
    def sitemaps(self) -> tuple[str, ...]:
        """The values of the Sitemap records, in order and as written: not yet resolved, perhaps no URLs."""
        found = (value for _, key, value in _records(self.body) if key == "sitemap" and value)
        return tuple(dict.fromkeys(value.decode("utf-8", "replace") for value in found))

    def _view(self, agent: str) -> _View:
        view = self._views.get(agent)
        if view is None:
            view = self._views[agent] = _View.of(self.body, agent)
        return view


def judge(status: int) -> Literal["parse", "allow", "disallow"]:
    """What the final status of a request for robots.txt means (RFC 9309 section 2.3.1), redirects being followed.

    A redirect too many is "unavailable" as 4xx is: all is allowed. "disallow" holds only until it can be had: try
    again later. 429 counts as a server error, as Google has it: who is asked too often has not said yes; the RFC
    leaves it open. So does everything that is no status of HTTP.
    """
    if 200 <= status < 300:
        return "parse"
    return "allow" if 300 <= status < 500 and status != 429 else "disallow"


def product_token(user_agent: str) -> str:
    """The name by which robots.txt knows us: what the User-Agent's first product begins with, of letters, `-` and `_`.

    Behind `Mozilla/5.0 (compatible; ` it is the name that follows (the example of RFC 9309 section 2.2.1). May be
    empty: then only the groups for `*` apply.
    """
    user_agent = user_agent.strip()
    match = _COMPATIBLE.match(user_agent)
    if match:
        return match[1]
    match = _TOKEN.match(user_agent)
    return match[0] if match else ""


@dataclass(frozen=True, slots=True)
class _Rule:
    allow: bool
    line: int


@dataclass(slots=True)
class _Section:
    """All that is said to one name, its groups merged (RFC 9309 section 2.2.1)."""

    named: bool = False
    delay: float | None = None
    rules: list[tuple[bytes, _Rule]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Wildcard:
    """A pattern with `*` or a final `$`. Time to match is linear in the path: the parts are found one after another."""

    length: int
    start: str
    """What stands before the first `*`."""
    parts: list[str]
    """What stands between, and after, the others."""
    anchored: bool
    rule: _Rule

    @classmethod
    def of(cls, path: str, anchored: bool, rule: _Rule) -> _Wildcard:
        start, *parts = path.split("*")
        return cls(len(path) + anchored, start, parts, anchored, rule)

    def matches(self, path: str) -> bool:
        """Whether *path*, which begins with `start`, matches to the end of the pattern."""
        at = len(self.start)
        if not self.parts:
            return len(path) == at
        for part in self.parts[:-1]:
            at = path.find(part, at)
            if at < 0:
                return False
            at += len(part)
        last = self.parts[-1]
        if self.anchored:
            return len(path) - len(last) >= at and path.endswith(last)
        return path.find(last, at) >= 0


@dataclass(frozen=True, slots=True)
class _View:
    """A robots.txt as one agent reads it. The longest pattern decides; of two as long, the one that allows."""

    delay: float | None
    prefixes: dict[str, _Rule]
    """Patterns without a wildcard; looked up by length, because one file may hold 30,000 but of few lengths."""
    lengths: tuple[int, ...]
    """Of the prefixes, the longest first."""
    wildcards: tuple[_Wildcard, ...]
    """The longest first; of those as long, the ones that allow."""

    @classmethod
    def of(cls, body: bytes, agent: str) -> _View:
        section = _section(body, agent)
        rules: dict[tuple[str, bool], _Rule] = {}
        for pattern, rule in section.rules:
            for spelling in _spellings(pattern, rule.allow):
                if rule.allow or spelling not in rules:
                    rules[spelling] = rule
        prefixes = {path: rule for (path, anchored), rule in rules.items() if not anchored and "*" not in path}
        wildcards = [_Wildcard.of(*key, rule) for key, rule in rules.items() if key[1] or "*" in key[0]]
        wildcards.sort(key=lambda wildcard: (-wildcard.length, not wildcard.rule.allow))
        lengths = sorted({len(path) for path in prefixes}, reverse=True)
        return cls(section.delay, prefixes, tuple(lengths), tuple(wildcards))

    def find(self, path: str) -> _Rule | None:
        """The rule that decides about *path*, if one does."""
        if path == "/robots.txt":  # always allowed (RFC 9309 section 2.2.2)
            return None
        best, best_length = None, 0
        for length in self.lengths:
            best = self.prefixes.get(path[:length])
            if best is not None:
                best_length = min(length, len(path))
                break
        for wildcard in self.wildcards:
            if wildcard.length < best_length or (wildcard.length == best_length and not wildcard.rule.allow):
                break
            if path.startswith(wildcard.start) and wildcard.matches(path):
                return wildcard.rule
        return best


def _section(body: bytes, agent: str) -> _Section:
    """What is said to *agent*, or to `*` if nothing is."""
    general, own = _Section(), _Section()
    sections = {b"*": general}
    if _TOKEN.fullmatch(agent):
        sections[agent.lower().encode()] = own
    current: list[_Section] = []
    closed = True  # a rule was read since the last user-agent line: only that ends a group (section 2.2.4)
    for line, key, value in _records(body):
        if key == "agent":
            if closed:
                current, closed = [], False
            section = sections.get(_named(value))
            if section is not None:
                section.named = True
                current.append(section)
        elif key in ("allow", "disallow"):
            closed = True
            for section in current if value else ():
                section.rules.append((value, _Rule(key == "allow", line)))
        elif key == "delay" and _SECONDS.fullmatch(value) and float(value):
            for section in current:  # it does not end the group, and holds for those named so far
                section.delay = min(max(float(value), section.delay or 0.0), MAX_CRAWL_DELAY)
    return own if own.named else general


def _records(body: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Each record that we know: its line's index, kind and value. Empty values count: they end a group as others do."""
    for index, line in enumerate(_lines(body)):
        line = line[:_MAX_LINE].partition(b"#")[0].strip()
        name, colon, value = line.partition(b":")
        key = _KEYS.get(name.strip().lower()) if colon else None
        if key is None:
            words = line.split()
            if len(words) != 2:
                continue
            key, value = _KEYS.get(words[0].lower()), words[1]
        if key is not None:
            yield index, key, value.strip()


def _lines(body: bytes) -> list[bytes]:
    for mark in (_BOM, _BOM[:2], _BOM[:1]):  # broken ones are met too
        if body.startswith(mark):
            body = body[len(mark) :]
            break
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


def _named(value: bytes) -> bytes:
    if value[:1] == b"*" and not value[1:2].strip():
        return b"*"
    match = _TOKEN_BYTES.match(value)
    return match[0].lower() if match else b""


def _spellings(pattern: bytes, allow: bool) -> Iterator[tuple[str, bool]]:
    """A rule's pattern as it is compared, and whether it must reach to the end; more than one where it means more."""
    anchored = pattern.endswith(b"$")
    text = pattern.removesuffix(b"$").decode("latin-1")  # one character a byte
    path = _ODD_IN_RULE.sub(_comparable, text)
    yield path, anchored
    before, mark, query = path.partition("?")
    if "/" in query or ":" in query:  # in a query these two may be escaped (the table of RFC 9309 section 2.2.2)
        yield before + mark + query.replace("/", "%2F").replace(":", "%3A"), anchored
    folder, slash, page = path.rpartition("/")
    if allow and slash and page.startswith("index.htm"):
        yield folder + slash, True


def _path(url: str) -> str:
    """Path and query of a URL as they are compared."""
    start = url.find("/", 8)
    path = url[start:].partition("#")[0] if start > 0 else "/"
    return _ODD_IN_URL.sub(_comparable, path)


def _comparable(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16)) if match[1] else match[0]
    return char if char in _UNRESERVED else f"%{ord(char):02X}"


ALLOW_ALL: Final = parse(b"")
"""Rules of a robots.txt that does not exist."""

DISALLOW_ALL: Final = parse(b"User-agent: *\nDisallow: /\n")
"""Rules of a robots.txt that cannot be had for now."""
