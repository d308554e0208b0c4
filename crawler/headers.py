"""Lines of `--header`: which of them go to every host, and to which origins the others go.

Pure. A line is `Name: value`, or `HOST: Name: value` for one host. Lines of HARMLESS go to every host. Any other line
may be a secret. It goes to the origins (RFC 6454) of the host that it names, or else to those that the SOURCEs of the
same command name, and never to an origin known only from a redirect, a link, a sitemap or Redis. The origin of each
request decides (`fetch.request_headers.own_headers`), so a redirect from https to http loses the line too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from crawler import url as urls
from crawler.errors import InvalidURL, UsageError

HARMLESS: Final = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language"),
        *("cache-control", "pragma"),
        *("dnt", "sec-gpc", "save-data", "upgrade-insecure-requests"),
        *("from", "user-agent"),
    }
)
"""Names, in lower case, of lines that go to every host.

They state which form of a page is wanted (RFC 9110 section 12.5), how fresh it must be (RFC 9111), what a reader
prefers, and who asks (RFC 9110 section 10.1). They are the same for each host, and meant for each. The list is closed:
`Referer` may contain a private URL, `Host` belongs to one server, and a site's own header may mean anything.
"""

CONDITIONS: Final = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"})
"""Names, in lower case, of lines that are refused: a condition (RFC 9110 section 13.1) holds for one page alone."""

MAX_ORIGINS: Final = 10_000
"""Most origins that the SOURCEs of one command can name: workers keep them in memory."""

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PLAIN = re.compile(rf"({_TOKEN}):([^\r\n\0]*)")
# A first word is a host if it has a scheme, brackets, a port or a dot, or is localhost, and a name with a colon
# follows. Names of header fields have none of these, except for a rare dot.
_NAME: Final = r"[^\s/:@\[\]]"
_HOST: Final = rf"(?:https?://{_NAME}+|(?:https?://)?\[[0-9A-Fa-f:.]+\]|{_NAME}+(?=:\d)|{_NAME}*\.{_NAME}*|localhost)"
_FOR_A_HOST = re.compile(rf"({_HOST}(?::\d{{1,5}})?)/?[ \t]*:[ \t]*((?=[A-Za-z]){_TOKEN}:[^\r\n\0]*)", re.IGNORECASE)
# After one word that looks like a header's name: it would send this secret to the SOURCEs of the command.
_LIKE_A_HEADER = re.compile(r"[ \t]*(?:(?:proxy-)?authorization|cookie|x-[a-z0-9-]+)[ \t]*:", re.IGNORECASE)
_PORT = re.compile(r":\d+\Z")


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """One parsed line of the setting. The value may be a secret: it does not appear in a traceback."""

    name: str
    value: str = field(repr=False)
    host: str = ""
    """The host as the line names it; empty if it names none."""
    origins: frozenset[str] = frozenset()
    """The origins of that host."""

    @property
    def needs_host(self) -> bool:
        """Whether it may be a secret, and only the SOURCEs of the command decide where it goes."""
        return not self.host and self.name.lower() not in HARMLESS

    def __str__(self) -> str:
        line = f"{self.name}: {self.value}"
        return f"{self.host}: {line}" if self.host else line


@dataclass(frozen=True, slots=True)
class OriginHeader:
    """A header field that only requests to *origins* carry."""

    name: str
    value: str = field(repr=False)
    origins: frozenset[str]


def parse(text: str) -> HeaderLine:
    """Parse a line. Raises ValueError, which does not repeat it, if it is not valid (RFC 9110 section 5)."""
    match = _FOR_A_HOST.fullmatch(text)
    host, rest = (match[1], match[2]) if match else ("", text)
    plain = _PLAIN.fullmatch(rest)
    if plain is None or (plain[1].lower() in ("http", "https") and plain[2].startswith("//")):
        raise ValueError("a header as 'Name: value' or 'HOST: Name: value' is needed")
    if plain[1].lower() in CONDITIONS:
        raise ValueError(f"{plain[1]} depends on the page: `crawler recrawl` sends the right one for each")
    if not host and _LIKE_A_HEADER.match(plain[2]):
        raise ValueError(
            "a header's value looks like a header: a host without a dot is named as 'http://HOST: Name: value'"
        )
    try:
        origins = _origins_of_host(host) if host else frozenset()
    except InvalidURL:
        raise ValueError("the part before the header's name is no host") from None
    return HeaderLine(plain[1], plain[2].strip(), host, origins)


def _origins_of_host(host: str) -> frozenset[str]:
    if "*" in host:
        raise InvalidURL(host, "invalid")
    if "://" in host:
        return with_https({origin_of(urls.canonicalize(f"{host}/"))})
    return frozenset(origin_of(urls.canonicalize(f"{scheme}://{host}/")) for scheme in ("http", "https"))


def origin_of(url: str) -> str:
    """The origin of a canonical URL: scheme, host, and a port other than the scheme's default."""
    end = url.find("/", 8)
    return url if end < 0 else url[:end]


def with_https(origins: Collection[str]) -> frozenset[str]:
    """*origins*, plus for each http origin on its default port the https one of the same host. Never the reverse."""
    return frozenset(origins) | {
        f"https{origin[4:]}" for origin in origins if origin.startswith("http:") and not _PORT.search(origin)
    }


def divide(
    lines: Iterable[str], named: Collection[str]
) -> tuple[tuple[tuple[str, str], ...], tuple[OriginHeader, ...]]:
    """Split the lines: for every host, and for some origins. *named* are the origins of the command's SOURCEs.

    A line for one host comes after those for all, so it wins over one of the same name. If the SOURCEs name its host by
    https only, it is sent by https only.
    """
    everywhere, bound, own = [], [], []
    sources = with_https(named)
    for line in map(parse, lines):
        if line.host:
            secure = {origin for origin in line.origins if origin.startswith("https:")}
            by_https = "://" not in line.host and secure & {*named} and not (line.origins - secure) & {*named}
            own.append(OriginHeader(line.name, line.value, frozenset(secure) if by_https else line.origins))
        elif line.needs_host:
            bound.append(OriginHeader(line.name, line.value, sources))
        else:
            everywhere.append((line.name, line.value))
    return tuple(everywhere), (*bound, *own)


def require_hosts(lines: Iterable[str], sources: Sequence[object]) -> None:
    """UsageError for a line that must not go to foreign hosts, if neither it nor a SOURCE names a host."""
    for line in map(parse, lines):
        if line.needs_host and not sources:
            raise UsageError(
                f"--header {line.name}: it goes only to hosts that are named, and this command has no SOURCE that names"
                f" one: write CRAWLER_HEADER='HOST: {line.name}: ...'"
            )


def lost(headers: Sequence[OriginHeader], before: str, after: str) -> str:
    """The message about a redirect from *before*, a URL that gets some of *headers*, to *after*, which does not.

    Empty if *after* gets them all.
    """
    here, there = origin_of(before), origin_of(after)
    names = [header.name for header in headers if here in header.origins and there not in header.origins]
    names = [name for name in dict.fromkeys(names) if not any(_has(header, name, there) for header in headers)]
    if not names:
        return ""
    listed = ", ".join(names)
    return (
        f"a redirect leads to {there}, which does not get --header {listed}:"
        f" name it if it should: CRAWLER_HEADER='{there}: {names[0]}: ...'"
    )


def _has(header: OriginHeader, name: str, origin: str) -> bool:
    return header.name.lower() == name.lower() and origin in header.origins
