"""robots.txt (RFC 9309): what it allows one crawler for one URL, and which of its lines decides.

Pure, and no file can make it raise: `parse` takes any bytes. `Rules` keeps those bytes, so stored rules parse to equal
ones. It reads them for one product token at a time: a crawl has one, some files name hundreds.

Why we have our own matcher: Protego 0.7 fails 10 of the 72 cases of Google's reference tests that follow the RFC (an
unknown record ends a group, `FOO BAR` is not the token `FOO`), and cannot name the line that decided. In addition to
the RFC it accepts, as Google's parser does: a missing colon, frequent misspellings, lines cut at 16,663 bytes, and an
allowed `/index.html` that allows its folder.

A file is hostile input: reading it takes time and memory linear in its size, and judging one URL a few milliseconds,
whatever the rules and the URL are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

MAX_BYTES: Final = 500 * 1024
"""Most bytes of a robots.txt that are read (RFC 9309 section 2.5: at least 500 KiB); a line cut there is dropped. Fetch
one byte more, or such a cut goes unnoticed.
"""

MAX_CRAWL_DELAY: Final = 300.0
"""Most seconds between two requests that a Crawl-delay can ask for (as in Heritrix); a longer one is cut to this."""

_MAX_LINE: Final = 2083 * 8 - 1  # Google's limit; a longer line is cut
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
_PRODUCT = re.compile(r"(?:Mozilla/\S+ \(compatible; *)?([^\s/;,()]+)")
_SECONDS = re.compile(rb"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What is compared percent-encoded whatever the spelling: all that RFC 3986 excludes from a path, and the three
# characters that are special here or that browsers encode only in a query. In a rule `*` stays what it is, and bytes
# beyond ASCII are encoded; in a URL they never are plain.
_ODD_IN_URL = re.compile("%([0-9A-Fa-f]{2})|[\x00- \"$'*<>\\\\^`{|}\x7f]")
_ODD_IN_RULE = re.compile("%([0-9A-Fa-f]{2})|[\x00- \"$'<>\\\\^`{|}\x7f-\xff]")
# All kinds of white space, zero-width characters, and what is not UTF-8: editors leave it around URLs of sitemaps.
_UNSEEN: Final = "\x7f\x85\xa0\xad\u061c\u1680\u180e\u3000\ufeff\ufffd" + "".join(
    map(chr, (*range(0x21), *range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x205F, 0x2070)))
)
_FEW: Final = 64
"""Up to this many wildcards are tried one by one; of more only those that an index says may match."""
_GRAM: Final = 4
"""Length of the character sequences by which the index finds a rule."""
_MAX_WORK: Final = 1_000_000
"""For one URL, all wildcards together may examine this many characters of a path: some milliseconds."""
_OF_RULE, _OF_PART = 100, 50
"""The cost of trying a rule, and of each part searched for, in such characters."""


def parse(body: bytes) -> Rules:
    """The rules of a robots.txt; for anything else, rules that allow all. Never raises."""
    if len(body) > MAX_BYTES:
        cut = body[:MAX_BYTES]
        body = cut[: max(cut.rfind(b"\n"), cut.rfind(b"\r")) + 1]
    return Rules(body)


@dataclass(frozen=True, slots=True)
class Rules:
    """A robots.txt. URLs are canonical; an *agent* is a product token from `product_token`, in any case."""

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
        """The line that allows or disallows *url*; None if no line applies, so that it is allowed."""
        rule = self._view(agent).find(_path(url))
        return None if rule is None else _lines(self.body)[rule.line].strip().decode("utf-8", "replace")

    @property
    def sitemaps(self) -> tuple[str, ...]:
        """The values of the Sitemap records, in order and as written: not yet resolved, perhaps no URLs."""
        values = (value.decode("utf-8", "replace") for _, key, value in _records(self.body) if key == "sitemap")
        return tuple(dict.fromkeys(url for value in values if (url := value.strip(_UNSEEN))))

    def _view(self, agent: str) -> _View:
        view = self._views.get(agent)
        if view is None:
            view = self._views[agent] = _View.of(self.body, agent)
        return view


def judge(status: int) -> Literal["parse", "allow", "disallow"]:
    """What the final status of a request for robots.txt means (RFC 9309 section 2.3.1), redirects being followed.

    A redirect too many is "unavailable" like 4xx: all is allowed. "disallow" holds only while it is unavailable: try
    again later. 429 counts as a server error, as in Google's parser: a host that is asked too often has not said yes;
    the RFC leaves it open. So does any number that is no HTTP status.
    """
    if 200 <= status < 300:
        return "parse"
    return "allow" if 300 <= status < 500 and status != 429 else "disallow"


def product_token(user_agent: str) -> str:
    """Our name in robots.txt: the beginning of the User-Agent's first product, of letters, `-` and `_`.

    After `Mozilla/5.0 (compatible; ` it is the name that follows (the example of RFC 9309 section 2.2.1). May be empty:
    then only the groups for `*` apply.
    """
    user_agent = user_agent.strip()
    match = _COMPATIBLE.match(user_agent)
    if match:
        return match[1]
    match = _TOKEN.match(user_agent)
    return match[0] if match else ""


def hint_at_token(user_agent: str) -> str | None:
    """A hint about a User-Agent whose product name cannot appear in robots.txt; None if all is well.

    Names in robots.txt consist of letters, `-` and `_` (RFC 9309 section 2.2.1), so the group `2bot` matches nobody.
    """
    match = _PRODUCT.match(user_agent.strip())
    product, token = match[1] if match else "", product_token(user_agent)
    if not product or product == token:
        return None
    read = f"the groups for {token!r}, or else for *, are" if token else "only the groups for * are"
    return (
        f"robots.txt cannot name {product!r}, because a name there has only letters, - and _: {read} obeyed; "
        "to be named choose another --user-agent"
    )


@dataclass(slots=True)
class _Rule:
    allow: bool
    line: int


@dataclass(slots=True)
class _Section:
    """All lines for one name, its groups merged (RFC 9309 section 2.2.1)."""

    named: bool = False
    delay: float | None = None
    rules: list[tuple[bytes, _Rule]] = field(default_factory=list)


@dataclass(slots=True)  # not frozen: that would take half of the time for a long file
class _Wildcard:
    """A pattern with `*`. Matching takes time linear in the path: the parts are found one after another."""

    length: int
    start: str
    """The part before the first `*`."""
    parts: list[str]
    """The parts between the others, and after the last."""
    anchored: bool
    rule: _Rule

    @classmethod
    def of(cls, path: str, anchored: bool, rule: _Rule) -> _Wildcard:
        start, *parts = path.split("*")
        return cls(len(path) + anchored, start, parts, anchored, rule)

    def matches(self, path: str) -> tuple[bool, int]:
        """Whether *path*, which begins with `start`, matches to the end; and how many parts were searched for."""
        at = len(self.start)
        for tried, part in enumerate(self.parts[:-1], 1):
            at = path.find(part, at)
            if at < 0:
                return False, tried
            at += len(part)
        last = self.parts[-1]
        if self.anchored:
            return len(path) - len(last) >= at and path.endswith(last), len(self.parts)
        return path.find(last, at) >= 0, len(self.parts)


class _Wildcards:
    """The patterns with a wildcard: the longest first; of equal length, the ones that allow."""

    def __init__(self, rules: Iterable[_Wildcard]) -> None:
        self._rules = sorted(rules, key=lambda rule: (-rule.length, not rule.rule.allow))

    @cached_property
    def _index(self) -> dict[str, list[int]] | None:
        """Built for the first path: a caller that needs only the delay needs no index."""
        return _index(self._rules) if len(self._rules) > _FEW else None

    @cached_property
    def _sizes(self) -> set[int]:
        return {len(gram) for gram in self._index or ()}

    def find(self, path: str, least: int) -> _Rule | None:
        """The first rule that matches *path*, of those longer than *least*, or as long if they allow.

        Beyond _MAX_WORK no more rules are tried: the next one that disallows and may match counts as a match.
        """
        left = _MAX_WORK
        for wildcard in self._candidates(path):
            if wildcard.length < least or (wildcard.length == least and not wildcard.rule.allow):
                return None
            left -= _OF_RULE
            if not path.startswith(wildcard.start):
                continue
            if left > 0:
                matches, tried = wildcard.matches(path)
                left -= len(path) + _OF_PART * tried
            else:
                matches = not wildcard.rule.allow
            if matches:
                return wildcard.rule
        return None

    def _candidates(self, path: str) -> Iterable[_Wildcard]:
        """Those that may match *path*, in order."""
        index = self._index
        if index is None:
            return self._rules
        grams = {path[at : at + size] for size in self._sizes for at in range(len(path) - size + 1)}
        found = sorted(place for gram in grams & index.keys() for place in index[gram])
        return (self._rules[place] for place in found)


def _index(rules: Iterable[_Wildcard]) -> dict[str, list[int]]:
    """For some character sequences: the places of the rules that match no path without them.

    Of the sequences that a rule needs, the ones that fewest rules need. A rule that needs none is under "".
    """
    needed = [_grams(rule) for rule in rules]
    often = Counter(gram for grams in needed for gram in grams)
    index: dict[str, list[int]] = {}
    for place, grams in enumerate(needed):
        index.setdefault(min(grams, key=often.__getitem__), []).append(place)
    return index


def _grams(rule: _Wildcard) -> list[str]:
    """All sequences of _GRAM characters that a path needs to match *rule*; the longest parts, if all are shorter."""
    pieces = [rule.start, *rule.parts]
    grams = [piece[at : at + _GRAM] for piece in pieces for at in range(len(piece) - _GRAM + 1)]
    longest = 0 if grams else max(map(len, pieces))
    return grams or [piece for piece in pieces if len(piece) == longest]


@dataclass(frozen=True, slots=True)
class _View:
    """A robots.txt as one agent reads it. The longest pattern decides; of two as long, the one that allows."""

    delay: float | None
    prefixes: dict[str, _Rule]
    """Patterns without a wildcard; looked up by length, because a file may have 30,000 of them but of few lengths."""
    lengths: tuple[int, ...]
    """Of the prefixes, the longest first."""
    whole: dict[str, _Rule]
    """Patterns with nothing but a final `$`."""
    wildcards: _Wildcards

    @classmethod
    def of(cls, body: bytes, agent: str) -> _View:
        section = _section(body, agent)
        rules: dict[tuple[str, bool], _Rule] = {}
        for pattern, rule in section.rules:
            for spelling in _spellings(pattern, rule.allow):
                if rule.allow or spelling not in rules:
                    rules[spelling] = rule
        prefixes: dict[str, _Rule] = {}
        whole: dict[str, _Rule] = {}
        wildcards = []
        for (path, anchored), rule in rules.items():
            if "*" in path:
                wildcards.append(_Wildcard.of(path, anchored, rule))
            else:
                (whole if anchored else prefixes)[path] = rule
        lengths = sorted({len(path) for path in prefixes}, reverse=True)
        return cls(section.delay, prefixes, tuple(lengths), whole, _Wildcards(wildcards))

    def find(self, path: str) -> _Rule | None:
        """The rule that decides about *path*, if one does."""
        if path == "/robots.txt":  # always allowed (RFC 9309 section 2.2.2)
            return None
        best, best_length = self.whole.get(path), len(path) + 1
        for length in () if best else self.lengths:
            best = self.prefixes.get(path[:length]) if length <= len(path) else None
            if best is not None:
                best_length = length
                break
        return self.wildcards.find(path, best_length if best else 0) or best


def _section(body: bytes, agent: str) -> _Section:
    """The lines for *agent*, or for `*` if it has none."""
    general, own = _Section(), _Section()
    sections = {b"*": general} | ({agent.lower().encode(): own} if _TOKEN.fullmatch(agent) else {})
    # Each section is once in a group, however often the group names it: by name.
    group: dict[bytes, _Section] = {}
    waiting: dict[bytes, _Section] = {}  # those that the next delay is for
    closed = True  # a rule was read since the last user-agent line: only that ends a group (section 2.2.4)
    delayed = True  # so does a delay, but only for delays: a file that lists names with a delay each means each of them
    for line, key, value in _records(body):
        if key == "agent":
            if closed:
                group = {}
            if closed or delayed:
                waiting = {}
            closed = delayed = False
            name = _named(value)
            if name in sections:
                sections[name].named = True
                group[name] = waiting[name] = sections[name]
        elif key in ("allow", "disallow"):
            closed = True
            for section in group.values() if value else ():
                section.rules.append((value, _Rule(key == "allow", line)))
        elif key == "delay" and _SECONDS.fullmatch(value) and float(value):
            delayed = True
            for section in waiting.values():
                section.delay = min(max(float(value), section.delay or 0.0), MAX_CRAWL_DELAY)
    return own if own.named else general


def _records(body: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Each known record: its line's index, kind and value. Empty values count: they end a group like others."""
    for index, line in enumerate(_lines(body)):
        if not line:
            continue
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
    for mark in (_BOM, _BOM[:2], _BOM[:1]):  # broken ones occur too
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
    """A rule's pattern in comparable form, and whether it must match to the end; several if it is ambiguous."""
    anchored = pattern.endswith(b"$")
    text = pattern.removesuffix(b"$").decode("latin-1")  # one character per byte
    path = _ODD_IN_RULE.sub(_comparable, text)
    yield path, anchored
    before, mark, query = path.partition("?")
    if "/" in query or ":" in query:  # in a query these two may be escaped (the table of RFC 9309 section 2.2.2)
        yield before + mark + query.replace("/", "%2F").replace(":", "%3A"), anchored
    folder, slash, page = path.rpartition("/")
    if allow and slash and page.startswith("index.htm"):
        yield folder + slash, True


def _path(url: str) -> str:
    """Path and query of a URL in comparable form."""
    start = url.find("/", 8)
    path = url[start:].partition("#")[0] if start > 0 else "/"
    return _ODD_IN_URL.sub(_comparable, path)


def _comparable(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16)) if match[1] else match[0]
    return char if char in _UNRESERVED else f"%{ord(char):02X}"


ALLOW_ALL: Final = parse(b"")
"""The rules of a robots.txt that does not exist."""

DISALLOW_ALL: Final = parse(b"User-agent: *\nDisallow: /\n")
"""The rules of a robots.txt that is unavailable for now."""
