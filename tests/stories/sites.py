"""Sites to crawl, and what must become of each of their URLs."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Self

from tests.servers import Call, Seen, Server

ROBOTS = "/robots.txt"


def html(links: Iterable[str] = (), title: str = "", head: str = "") -> bytes:
    """A page with *links*."""
    body = "".join(f'<p><a href="{link}">link</a>' for link in links)
    return f"<!doctype html><html><head><title>{title}</title>{head}</head><body>{body}</body></html>".encode()


class Site(Server):
    """A host that can go away and come back on its port, and that counts what it answers at once.

    `pages` answers by target (path with query); what is not in it is 404. `robots` is its robots.txt, none is 404.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.pages: dict[str, Callable[[Call], object]] = {}
        self.robots: bytes | None = None
        self.most_at_once = 0
        self._at_once = 0
        self._counting = threading.Lock()
        self.otherwise = self._answer

    def serve(self, target: str, body: bytes = b"", status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> str:
        """Answer *target* so; its URL."""
        self.pages[target] = lambda call: call.answer(body, status, headers)
        return self.url(target)

    def redirect(self, target: str, location: str, status: int = 302) -> str:
        """Answer *target* by a redirect to *location*; its URL."""
        return self.serve(target, b"", status, [("Location", location)])

    def path_of(self, url: str) -> str:
        """The target of a URL of this site."""
        return url.removeprefix(self.url(""))

    def _answer(self, call: Call) -> None:
        with self._counting:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            behaviour = self.pages.get(call.seen.target)
            if behaviour is not None:
                behaviour(call)
            elif call.seen.target == ROBOTS and self.robots is not None:
                call.answer(self.robots, 200, [("Content-Type", "text/plain")])
            else:
                call.answer(b"not here", 404)
        finally:
            with self._counting:
                self._at_once -= 1

    def asked(self) -> Counter[str]:
        """How often each target was asked for."""
        return Counter(seen.target for seen in list(self.seen))

    def asked_of_pages(self) -> Counter[str]:
        """As `asked`, without robots.txt."""
        counts = self.asked()
        del counts[ROBOTS]
        return counts

    def gaps(self) -> list[float]:
        """Seconds between requests that came one after the other."""
        times = [seen.time for seen in list(self.seen)]
        return [later - earlier for earlier, later in pairwise(times)]

    def go_away(self) -> None:
        """Refuse connections and break those that are open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._news:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        """Listen on the same port again."""
        self._listener = socket.create_server((self.host, self.port))
        self._listener.listen(256)
        self._start(self._accept)


class Sites:
    """Sites that are served until the end of the `with`."""

    def __init__(self) -> None:
        self._sites: list[Site] = []

    def add(self, host: str = "127.0.0.1") -> Site:
        """A new one, on a port of its own."""
        site = Site(host)
        site.__enter__()
        self.adopt(site)
        return site

    def adopt(self, site: Site) -> None:
        """End *site*, which is served already, with the others."""
        self._sites.append(site)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for site in self._sites:
            site.__exit__()


_closed: list[socket.socket] = []


def closed_port() -> int:
    """A port at which nobody listens, and nobody will: it stays bound until the process ends."""
    bound = socket.socket()
    bound.bind(("", 0))
    _closed.append(bound)
    return int(bound.getsockname()[1])


# -- a generated graph -------------------------------------------------------------------------------------------------


OUTCOMES = {
    "redirect": "redirected",
    "missing": "missing",
    "noindex": "dropped:noindex",
    "denied": "dropped:robots",
    "book": "dropped:type",
}
"""Kind of a URL -> how it ends, if not as `fetched`."""


@dataclass(slots=True)
class Node:
    """One URL of the graph and what must become of it."""

    site: Site
    target: str
    kind: str
    depth: int
    parent: Node | None
    children: list[Node] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.site.url(self.target)

    @property
    def outcome(self) -> str:
        if self.kind == "redirect" and not self.children:  # it is served as a page
            return "fetched"
        return OUTCOMES.get(self.kind, "fetched")

    def ancestors(self) -> list[Node]:
        """The way up to the seed, itself not counted."""
        return [] if self.parent is None else [self.parent, *self.parent.ancestors()]


_LEAVES = ("missing", "denied", "book", "nofollow")
_KINDS = ("page",) * 12 + ("redirect", "noindex", *_LEAVES)
_OUT_OF_SCOPE = "http://127.0.0.99:9/elsewhere"


class Graph:
    """A random graph on some sites in which every crawl must find each URL by the same link, whatever its order.

    It is a tree of first finds and many links more, but those lead only to what was accepted before their page was:
    to ancestors and to ancestors' children.
    """

    def __init__(self, sites: Sequence[Site], size: int, seed: int, slow: float = 0.0) -> None:
        """*slow* is how many seconds each answer takes."""
        self._dice = random.Random(seed)
        self._slow = slow
        self.nodes = [Node(site, "/", "page", 0, None) for site in sites]
        self.seeds = [node.url for node in self.nodes]
        while len(self.nodes) < size:
            self._grow(sites)
        for site in sites:
            site.robots = b"User-agent: *\nDisallow: /denied/\n"
        for node in self.nodes:
            node.site.pages[node.target] = self._behaviour(node)

    def _grow(self, sites: Sequence[Site]) -> None:
        parent = self._dice.choice(self.nodes[-60:])
        if parent.kind in _LEAVES or (parent.kind == "redirect" and parent.children):
            return
        kind = self._dice.choice(_KINDS)
        target = f"/{kind}/{len(self.nodes)}" + self._dice.choice(("", "", "?q=a%20b&x=1", "/"))
        depth = parent.depth + (parent.kind != "redirect")
        node = Node(self._dice.choice(sites), target, kind, depth, parent)
        parent.children.append(node)
        self.nodes.append(node)

    def _behaviour(self, node: Node) -> Callable[[Call], object]:
        status, headers, body = 200, [("Content-Type", "text/html; charset=utf-8")], self._body(node)
        if node.kind == "missing":
            status = 404
        elif node.kind == "book":
            headers = [("Content-Type", "application/epub+zip")]
        elif node.kind == "redirect":
            status = self._dice.choice((301, 302, 303, 307, 308)) if node.children else 200
            headers += [("Location", self._spelling(node, node.children[0]))] if node.children else []

        def answer(call: Call) -> None:
            if self._slow:
                time.sleep(self._slow)
            call.answer(body, status, headers)

        return answer

    def _body(self, node: Node) -> bytes:
        if node.kind == "book":
            return b"%PDF-1.4 \0\1\2"
        directive = {"noindex": "noindex", "nofollow": "nofollow"}.get(node.kind)
        head = f'<meta name="robots" content="{directive}">' if directive else ""
        return html(self._links(node), f"{node.kind} {node.target}", head)

    def _links(self, node: Node) -> list[str]:
        """Its children, and links to what was accepted before."""
        known = [found for above in node.ancestors() for found in (above, *above.children) if found is not node]
        more = self._dice.sample(known, min(len(known), 12))
        links = [self._spelling(node, other) for other in (*node.children, *more, *node.children[:1])]
        links += ["#here", "mailto:a@b.example", "javascript:void(0)", f"{_OUT_OF_SCOPE}/{len(links)}"]
        if node.kind == "nofollow":
            links.append("/only-from-nofollow")
        self._dice.shuffle(links)
        return links

    def _spelling(self, at: Node, to: Node) -> str:
        """One of the ways to write a link."""
        ways = [to.url, to.url + "#part"]
        if at.site is to.site:
            ways += [to.target, f"//{to.site.authority}{to.target}", f"/x/../{to.target[1:]}"]
        return self._dice.choice(ways)

    # -- what must become of it ----------------------------------------------------------------------------------------

    def expected(self) -> dict[str, tuple[str, int, str | None]]:
        """URL -> outcome, depth, via."""
        return {node.url: (node.outcome, node.depth, node.parent.url if node.parent else None) for node in self.nodes}

    def found(self, records: Mapping[str, Mapping[str, object]]) -> dict[str, tuple[object, object, object]]:
        """The records as `expected` has them."""
        return {url: (r["outcome"], r["depth"], r.get("via")) for url, r in records.items()}

    def check(self, records: Mapping[str, Mapping[str, object]], *, ways: bool = True) -> None:
        """AssertionError unless every URL ended as it must, and no other is there.

        Without *ways* depth and via may be others: on its way between shards one link may overtake another.
        """
        expected, found = self.expected(), self.found(records)
        if not ways:
            expected = {url: (outcome, 0, None) for url, (outcome, _, _) in expected.items()}
            found = {url: (outcome, 0, None) for url, (outcome, _, _) in found.items()}
        wrong = {
            url: (expected.get(url), found.get(url))
            for url in expected.keys() | found.keys()
            if expected.get(url) != found.get(url)
        }
        assert not wrong, f"{len(wrong)} URLs of {len(expected)} ended otherwise: {list(wrong.items())[:5]}"
        for node in self.nodes:
            if node.kind == "page":
                assert records[node.url]["title"] == f"{node.kind} {node.target}"

    def asked_for(self, site: Site) -> set[str]:
        """The targets of *site* that must be asked for, beside robots.txt."""
        return {node.target for node in self.nodes if node.site is site and node.kind != "denied"}


def arrivals(sites: Iterable[Site]) -> list[Seen]:
    """All requests to *sites* in the order in which they came."""
    return sorted((seen for site in sites for seen in list(site.seen)), key=lambda seen: seen.time)
