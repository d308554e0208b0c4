"""Servers and pages made to break crawlers, and what must become of each of their URLs.

A situation sets up hosts on a `Stage` and says there what is right for each URL. `ANSWERS` are those that one answer
makes, each at a host of its own, because after a broken connection a host is left alone for a while; `hostile_scenes`
has the others. The title of a page is the path of its URL, so that a body under another URL's name is seen. The
numbers are those of the rows in docs/hostile.md.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from ssl import SSLContext
from typing import Final, NamedTuple

import trustme

from tests.fetch.hostile import CHUNKED, HTML, attributes, document, encoded, lined, one_chunk, sized, titled, zeros
from tests.servers import Behaviour, Server, broken, chunk, drip, endless, head, raw, silence
from tests.stories.commands import Json
from tests.stories.sites import Site, Sites

MAX_SIZE: Final = 10 * 1024 * 1024
"""Bytes of a body that are kept, by default."""
MAX_LINKS: Final = 200

READ, DROPPED, SENT_ON, LATE = ("fetched",), ("dropped:type",), ("redirected",), ("failed:timeout",)
GONE, BROKEN, EITHER = ("failed:connect",), ("failed:http",), ("failed:http", "failed:connect")
IGNORED = ("fetched", "failed:http")
"""An odd line is passed over by one engine, and an error for the other."""
HEAVY = ("fetched", "failed:hang")
"""Whether a page is parsed in time is a matter of how busy the machine is."""


@dataclass(frozen=True, slots=True)
class Right:
    """What is right for one URL: one of the outcomes, and where it is the first of them, what its record says."""

    outcomes: tuple[str, ...]
    says: Mapping[str, object] = field(default_factory=dict)
    optional: bool = False
    """It need not be met at all."""

    def fits(self, record: Json | None) -> bool:
        if record is None:
            return self.optional
        if record["outcome"] != self.outcomes[0]:
            return record["outcome"] in self.outcomes
        return all(record.get(name) == value for name, value in self.says.items())


class Stage:
    """Hosts for situations: `seeds` to crawl from, what is `right` for each URL, `checks` for the end."""

    def __init__(self, sites: Sites, authority: trustme.CA, stack: ExitStack) -> None:
        self.authority = authority
        self.stack = stack
        self.seeds: list[str] = []
        self.right: dict[str, Right] = {}
        self.large = sites.add("127.0.0.2")
        """The host of all bodies of megabytes: it holds no more of them in memory than its share of transfers."""
        self.checks: list[Callable[[Mapping[str, Json]], bool]] = []
        """What must be true of the records and the hosts."""
        self._sites = sites
        self._hosts = 2

    def host(self) -> Site:
        """One more, at an address of its own."""
        self._hosts += 1
        return self._sites.add(f"127.0.0.{self._hosts}")

    def secure(self, context: SSLContext) -> Server:
        """A host that speaks TLS."""
        return self.stack.enter_context(Server("127.0.0.2", context))

    def found(self, url: str, outcomes: tuple[str, ...] = READ, *, optional: bool = False, **says: object) -> str:
        """These *outcomes* are right for *url*, which some page leads to."""
        self.right[url] = Right(outcomes, says, optional)
        return url

    def seed(self, url: str, outcomes: tuple[str, ...] = READ, **says: object) -> str:
        """The same for a URL to begin with."""
        self.seeds.append(url)
        return self.found(url, outcomes, optional=False, **says)

    def closes(self, urls: Sequence[str]) -> None:
        """*urls* redirect in a circle: the one that closes it ends as a loop, the others as redirects."""
        for url in urls:
            known = self.right.get(url, Right(SENT_ON))
            self.right[url] = replace(known, outcomes=(*SENT_ON, "failed:redirect-loop"))
        self.checks.append(lambda records: [records[url]["outcome"] for url in urls].count("failed:redirect-loop") == 1)

    def never_asked(self, site: Server) -> None:
        self.checks.append(lambda _: not site.seen)

    def index(self, site: Site, links: Iterable[str]) -> None:
        """A first page of *site* with *links*."""
        self.seed(site.serve("/", document("/", links), headers=HTML), title="/")


# -- one answer --------------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """A situation that is one answer; a page that is read has its own title, if nothing else is said."""

    row: int
    words: str
    behaviour: Behaviour
    outcomes: tuple[str, ...] = READ
    says: Mapping[str, object] | None = None
    large: bool = False

    def play(self, stage: Stage) -> None:
        site = stage.large if self.large else stage.host()
        path = "/" + re.sub("[^a-z0-9]+", "-", self.words.lower())
        site.pages[path] = self.behaviour
        own = {"title": path} if self.outcomes[0] == "fetched" else {}
        stage.seed(site.url(path), self.outcomes, **(own if self.says is None else self.says))


PLAIN: Final = document("plain")
CUT: Final = {"size": MAX_SIZE, "truncated": True}
PART: Final = {"truncated": True}
NOTHING: Final = {"size": 0}
FIFTY: Final = ", ".join(["gzip"] * 50)
NO_TEXT: Final = b"<meta charset=utf-8><title>a\0b&#xD800;\xffc</title>"
LAUGHS: Final = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))

ANSWERS: Final = (
    Answer(1, "body that drips", drip(b"x" * 9999, 0.1, head(200, [*HTML, ("Content-Length", "100000")])), LATE),
    Answer(1, "chunks that drip", drip(chunk(b"x") * 9999, 0.1, CHUNKED), LATE),
    Answer(2, "header that drips", drip(b"X-A: b\r\n" * 999, 0.1, b"HTTP/1.1 200 OK\r\n"), LATE),
    Answer(2, "status line that drips", drip(b"HTTP/1.1 200 " + b"O" * 999, 0.1), LATE),
    Answer(3, "no answer", silence, LATE),
    Answer(
        5, "chunks without end", endless(chunk(b"more and more " * 4096), CHUNKED), (*HEAVY, *LATE), CUT, large=True
    ),
    Answer(
        5, "body without end or length", endless(b"and more " * 8192, head(200, HTML)), (*HEAVY, *LATE), CUT, large=True
    ),
    Answer(6, "gzip bomb", encoded("gzip", zeros("gzip")), HEAVY, CUT, large=True),
    Answer(6, "deflate bomb", encoded("deflate", zeros("deflate")), HEAVY, CUT, large=True),
    Answer(7, "brotli bomb", encoded("br", zeros("br")), HEAVY, CUT, large=True),
    Answer(8, "zstd bomb, which was not asked for", encoded("zstd", zeros("zstd")), BROKEN),
    Answer(9, "fifty encodings", encoded(FIFTY, PLAIN), BROKEN),
    Answer(10, "gzip that is none", encoded("gzip", PLAIN), BROKEN),
    Answer(10, "brotli that is none", encoded("br", PLAIN), BROKEN),
    Answer(11, "gzip cut short", encoded("gzip", lambda path: gzip.compress(document(path))[:-20]), says=PART),
    Answer(12, "body shorter than its length", sized(PLAIN, length=100_000), GONE),
    Answer(14, "chunk size that is none", raw(CHUNKED + b"zz\r\nhello\r\n"), EITHER),
    Answer(14, "negative chunk size", raw(CHUNKED + b"-5\r\nhello\r\n"), EITHER),
    Answer(15, "chunk cut short", raw(CHUNKED + b"10\r\nhello"), GONE),
    Answer(15, "no last chunk", raw(CHUNKED + chunk(PLAIN)), GONE),
    Answer(15, "trailers without end", endless(b"X: y\r\n" * 1000, CHUNKED + chunk(PLAIN) + b"0\r\n"), BROKEN),
    Answer(16, "chunk of 2^64 bytes", raw(CHUNKED + b"10000000000000000\r\nhello\r\n"), EITHER),
    Answer(17, "negative length", sized(PLAIN, length=-5), BROKEN),
    Answer(17, "two lengths", sized(PLAIN, ("Content-Length", "6")), BROKEN),
    Answer(17, "length and chunks", sized(one_chunk, ("Transfer-Encoding", "chunked"))),
    Answer(18, "reset within the body", broken(head(200, [*HTML, ("Content-Length", "9")]) + b"some"), GONE),
    Answer(18, "reset before the answer", broken(), GONE),
    Answer(20, "empty answer", raw(), GONE),
    Answer(20, "garbage", raw(b"\x16\x03\x01garbage\r\n\r\n"), EITHER),
    Answer(20, "HTTP/0.9", raw(PLAIN), EITHER),
    Answer(20, "status line of HTTP/2", lined(b"", b"HTTP/2 200 OK"), BROKEN),
    Answer(21, "switching protocols unasked", raw(head(101)), EITHER),
    Answer(22, "20,000 interim answers", raw(head(100) * 20_000, head(200, [("Content-Length", "0")])), BROKEN),
    Answer(23, "204 with a body", raw(head(204) + PLAIN), says=NOTHING | {"status": 204}),
    Answer(23, "304 unasked, with a body", raw(head(304) + PLAIN), BROKEN, NOTHING | {"status": 304}),
    Answer(23, "206 unasked", sized(document, status=206), says=PART | {"status": 206}),
    Answer(24, "status 1000", lined(b"", b"HTTP/1.1 1000 OK"), BROKEN),
    Answer(24, "status 099", lined(b"", b"HTTP/1.1 099 OK"), BROKEN),
    Answer(24, "no reason phrase", lined(b"", b"HTTP/1.1 200")),
    Answer(25, "header line of 70 kB", lined(b"X: " + b"y" * 70_000 + b"\r\n")),
    Answer(25, "header line of 150 kB", lined(b"X: " + b"y" * 150_000 + b"\r\n"), BROKEN),
    Answer(25, "header line without end", endless(b"y" * 10_000, b"HTTP/1.1 200 OK\r\nX: "), BROKEN),
    Answer(26, "300 header lines", lined(b"X: y\r\n" * 300)),
    Answer(26, "header without end", endless(b"X: y\r\n" * 100, b"HTTP/1.1 200 OK\r\n"), BROKEN),
    Answer(27, "cookies of 270 kB", lined(b"Set-Cookie: a=%b\r\n" % (b"x" * 3000) * 90), BROKEN),
    Answer(28, "NUL in the header", lined(b"X: a\0b\r\n"), IGNORED),
    Answer(28, "lone CR in the header", lined(b"X: a\rb\r\n"), IGNORED),
    Answer(28, "header line without a colon", lined(b"no colon\r\n"), IGNORED),
    Answer(39, "NUL in a Location", lined(b"Location: /a\0b\r\n", b"HTTP/1.1 302 OK"), IGNORED, {"status": 302}),
    Answer(47, "100,000 deep", sized(titled("<!doctype html>", b"<div>", 100_000)), HEAVY),
    Answer(48, "300,000 attributes", sized(attributes), HEAVY),
    Answer(49, "200,000 links that do not end", sized(titled("<!doctype html>", b'<a href="', 200_000)), HEAVY),
    Answer(51, "attribute of 20 MB", sized(titled("", b"<p title='" + b"x" * 20_000_000, 1)), HEAVY, large=True),
    Answer(51, "title of 10 MB", sized(b"<title>" + b"t" * 10_000_000), HEAVY, {"title": "t" * 2000}, large=True),
    Answer(52, "NUL, surrogates, no text", sized(NO_TEXT), says={"title": "a\ufffdb\ufffd\ufffdc"}),
    Answer(53, "a billion laughs", sized(titled(f"<!DOCTYPE x [<!ENTITY l0 'ha'>{LAUGHS}]>", b"<p>&l29;", 9)), HEAVY),
)
