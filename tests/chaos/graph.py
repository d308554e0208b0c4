"""A random site of known graph on several hosts: what each URL answers, and what must become of it in every crawl.

It is a tree of first finds and many links more, but those lead only to what was accepted before their page was: to
ancestors and to ancestors' children. So outcome, depth and via of a URL are certain, whatever the order and whatever
is done twice. Some hosts belong to chains, where each page leads to the next: their queues run empty after every page.
Pure: the same seed makes the same graph; only its ports differ.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

ROBOTS: Final = "/robots.txt"
RULES: Final = b"User-agent: *\nDisallow: /denied/\n"
DEEPEST: Final = 255
"""A depth that stands for any more, as entries have it."""
SLOW: Final = 0.25
"""Seconds that a slow answer takes."""
_LEAVES: Final = ("missing", "denied", "book", "nofollow")
_KINDS: Final = ("page",) * 14 + ("redirect", "redirect", "noindex", *_LEAVES)
_LINK_KINDS: Final = ("page",) * 8 + ("redirect", "noindex")
_WINDOW: Final = 120
"""The latest pages of the tree, of which the next one's parent is chosen."""
_NEAR: Final = 8
_MORE_LINKS: Final = 6
_CHAIN_PART: Final = 0.6
"""So much of a host's share of pages are a chain's: its pages come one after the other."""
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_OUT_OF_SCOPE: Final = "http://127.0.0.99:9/elsewhere"
_CHANGING: Final = 0.15
"""Of the pages, those that are not at the second visit what they were at the first."""
_LEADS_TO_NEW: Final = 0.3
_CHANGES_OF_PARENTS: Final = ("changed", "changed", "boilerplate")
_CHANGES: Final = (*_CHANGES_OF_PARENTS, "gone", "moved")
_AFTER: Final = {"gone": "missing", "moved": "redirected"}
_OUTCOMES: Final = {
    "redirect": "redirected",
    "noindex": "dropped:noindex",
    "denied": "dropped:robots",
    "book": "dropped:type",
    "missing": "missing",
}


@dataclass(slots=True)
class Node:
    """One URL of the graph."""

    number: int
    host: int
    target: str
    kind: str
    depth: int
    parent: Node | None
    slow: bool = False
    busy: bool = False
    """It answers 503 the first time that it is asked for."""
    change: str = ""
    """What the second visit has to find: a word of CHANGES; `new` is there from then on."""
    children: list[Node] = field(default_factory=list)

    def ancestors(self, most: int) -> list[Node]:
        """The way up to the seed, at most so far; itself not counted."""
        found: list[Node] = []
        node = self.parent
        while node is not None and len(found) < most:
            found.append(node)
            node = node.parent
        return found


@dataclass(frozen=True, slots=True)
class Expected:
    """What must become of a URL."""

    outcome: str
    depth: int
    via: str | None
    title: str | None
    asked: bool
    """It must be asked for."""
    busy: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sends."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Graph:
    """Hosts, their pages, and their links. Hosts are numbers until `placed` tells where they are."""

    def __init__(self, seed: int, hosts: int, pages: int) -> None:
        self.seed = seed
        self.hosts = hosts
        self._dice = random.Random(f"graph {seed}")
        self.authorities: Sequence[str] = [f"127.0.{n}.1:1" for n in range(hosts)]
        self.nodes = [Node(n, n, "/", "page", 0, None) for n in range(hosts)]
        chains = _chains(hosts)
        tree = [n for n in range(hosts) if not any(n in chain for chain in chains)]
        for chain in chains:
            self._grow_chain(chain, round(pages * len(chain) * _CHAIN_PART / hosts))
        self._grow_tree(tree, pages)
        for node in self.nodes:
            if node.kind == "redirect" and not node.children:
                node.kind = "page"
        self.visit = 1
        self._changed = self._plan_changes()
        self._by_target = {(node.host, node.target): node for node in (*self.nodes, *self._changed)}

    def placed(self, authorities: Sequence[str]) -> Graph:
        """This graph, its hosts at these addresses with their ports."""
        self.authorities = authorities
        return self

    # -- growing -------------------------------------------------------------------------------------------------------

    def _add(self, host: int, kind: str, parent: Node) -> Node:
        suffix = self._dice.choice(("", "", "?q=a%20b&x=1", "/"))
        number = len(self.nodes)
        depth = parent.depth + (parent.kind != "redirect")
        node = Node(number, host, f"/{kind}/{number}{suffix}", kind, depth, parent)
        parent.children.append(node)
        self.nodes.append(node)
        return node

    def _grow_chain(self, hosts: Sequence[int], length: int) -> None:
        """Each page leads to the next: on one host, or to and fro between two, so that each queue runs empty."""
        last = self.nodes[hosts[0]]
        for n in range(1, length):
            kind = self._dice.choice(_LINK_KINDS) if last.kind == "page" else "page"
            last = self._add(hosts[n % len(hosts)], kind, last)

    def _grow_tree(self, hosts: Sequence[int], pages: int) -> None:
        grown = [self.nodes[host] for host in hosts]
        while len(self.nodes) < pages:
            parent = self._dice.choice(grown[-_WINDOW:])
            if parent.kind in _LEAVES or (parent.kind == "redirect" and parent.children):
                continue
            node = self._add(self._dice.choice(hosts), self._dice.choice(_KINDS), parent)
            node.slow = self._dice.random() < 0.15
            node.busy = node.kind == "page" and self._dice.random() < 0.004
            grown.append(node)

    def _plan_changes(self) -> list[Node]:
        """Choose what changes before the second visit; the pages that are new then."""
        dice, new = random.Random(f"changes {self.seed}"), list[Node]()
        for node in self.nodes[self.hosts :]:
            if node.kind != "page" or dice.random() > _CHANGING:
                continue
            node.change = dice.choice(_CHANGES if not node.children else _CHANGES_OF_PARENTS)
            if node.change == "moved" or (node.change == "changed" and dice.random() < _LEADS_TO_NEW):
                number = len(self.nodes) + len(new)
                depth = node.depth + (node.change == "changed")
                new.append(Node(number, node.host, f"/new/{number}", "page", depth, node, change="new"))
        return new

    def changes(self) -> dict[str, str]:
        """What the second visit has to report, by URL."""
        return {self.url(node): node.change for node in (*self.nodes, *self._changed) if node.change}

    # -- what it answers -----------------------------------------------------------------------------------------------

    def url(self, node: Node) -> str:
        """Where a page is."""
        return f"http://{self.authorities[node.host]}{node.target}"

    @property
    def seeds(self) -> list[str]:
        """The URLs to begin with: one of each host."""
        return [self.url(node) for node in self.nodes[: self.hosts]]

    def node(self, host: int, target: str) -> Node | None:
        """The page that this host has at *target* now."""
        found = self._by_target.get((host, target))
        return None if found is None or self._changes_now(found) in ("gone", "unborn") else found

    def _changes_now(self, node: Node) -> str:
        """How it differs from the first visit: a word of CHANGES, `unborn` for what is to be new, or nothing."""
        if self.visit > 1:
            return node.change
        return "unborn" if node.change == "new" else ""

    def answer(self, node: Node) -> Answer:
        """What its server sends, the first 503 of a busy one and 304 aside."""
        page_type = ("Content-Type", "text/html; charset=utf-8")
        if self._changes_now(node) == "moved":
            (target,) = (one for one in self._changed if one.parent is node)
            return Answer(301, [page_type, ("Location", self.url(target))], b"")
        if node.kind == "book":
            return Answer(200, [("Content-Type", "application/epub+zip")], b"PK\3\4 \0\1\2")
        dice = random.Random(f"{self.seed} {node.number}")
        body = self._body(node, dice)
        if node.kind == "missing":
            return Answer(404, [page_type], body)
        if node.kind == "redirect":
            status = dice.choice((301, 302, 303, 307, 308))
            return Answer(status, [page_type, ("Location", self._spelling(node, node.children[0], dice))], body)
        return Answer(200, [page_type, *_validators(node, body)], body)

    def _body(self, node: Node, dice: random.Random) -> bytes:
        directive = {"noindex": "noindex", "nofollow": "nofollow"}.get(node.kind)
        head = f'<meta name="robots" content="{directive}">' if directive else ""
        words = " ".join("".join(dice.choices(_LETTERS, k=7)) for _ in range(8))  # no two pages hold the same
        links, change = self._links(node, dice), self._changes_now(node)
        if change == "changed":
            words += " and more than before"
            links += [self.url(one) for one in self._changed if one.parent is node]
        items = "".join(f'<li><a href="{link}">link</a>' for link in links)
        year = 2025 + (change == "boilerplate")
        return (
            f"<!doctype html><html><head><title>{self.title(node)}</title>{head}</head>"
            f"<body><p>{words}<ul>{items}</ul><footer>Copyright {year}</footer></body></html>"
        ).encode()

    def title(self, node: Node) -> str:
        """The title of a page: it names its URL."""
        return f"host {node.host} page {node.number}"

    def _links(self, node: Node, dice: random.Random) -> list[str]:
        """Its children, and links to what was accepted before it."""
        if node.kind == "redirect":
            return []
        above = node.ancestors(_NEAR)
        known = [found for one in above for found in (one, *one.children) if found is not node]
        more = dice.sample(known, min(len(known), _MORE_LINKS))
        links = [self._spelling(node, other, dice) for other in (*node.children, *more, *node.children[:1])]
        links += ["#here", "mailto:a@b.example", f"{_OUT_OF_SCOPE}/{len(links)}"]
        if node.kind == "nofollow":
            links.append("/only-from-nofollow")
        dice.shuffle(links)
        return links

    def _spelling(self, at: Node, to: Node, dice: random.Random) -> str:
        """One of the ways to write a link."""
        ways = [self.url(to), self.url(to) + "#part"]
        if at.host == to.host:
            ways += [to.target, f"//{self.authorities[to.host]}{to.target}", f"/x/../{to.target[1:]}"]
        return dice.choice(ways)

    # -- what must become of it ----------------------------------------------------------------------------------------

    def expected(self) -> dict[str, Expected]:
        """What must have become of each URL at the end of this visit."""
        return {
            self.url(node): Expected(
                outcome=_AFTER.get(self._changes_now(node)) or _OUTCOMES.get(node.kind, "fetched"),
                depth=min(node.depth, DEEPEST),
                via=None if node.parent is None else self.url(node.parent),
                title=self._title_of_record(node),
                asked=node.kind != "denied",
                busy=node.busy,
            )
            for node in (*self.nodes, *(self._changed if self.visit > 1 else ()))
        }

    def _title_of_record(self, node: Node) -> str | None:
        is_read = node.kind in ("page", "nofollow") and self._changes_now(node) not in ("gone", "moved")
        return self.title(node) if is_read else None


def _validators(node: Node, body: bytes) -> list[tuple[str, str]]:
    """A third of the pages has an ETag, another one a weak one."""
    tag = f'"{crc32(body):08x}"'
    return [[("ETag", tag)], [("ETag", f"W/{tag}")], []][node.number % 3]


def _chains(hosts: int) -> list[list[int]]:
    """The hosts of each chain, counted from the end: pairs, and from eight hosts on one that is alone."""
    last = hosts - 1
    chains = [[last - 1, last]]
    if hosts >= 8:
        chains.append([last - 2])
    if hosts >= 12:
        chains.append([last - 4, last - 3])
    return chains
