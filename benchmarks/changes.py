"""Whether a change is one of the main text: how often the digest is wrong, and what it costs.

`python -m benchmarks.changes`. In real pages one text at a time is changed. Of the documentation packages the
generator's own markup says what the main text is. `--labelled FILE` takes pages whose texts people have marked: JSON
lines with `html_b64`, and lists of texts that belong to the main text (`with`) and that do not (`without`). Beside the
digest the choice of the main content (`--store main`) is judged in the same way, as something to compare with.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import docs
from benchmarks.site import SiteError
from benchmarks.skim import pages
from crawler.parse.charset import as_utf8, find_charset
from crawler.parse.main_content import choose
from crawler.parse.page import Node, Tree, parse, read
from crawler.parse.text_digest import text_digest
from crawler.parse.visible_text import find_nodes, visible_text

PAGES: Final = 100
CHANGES: Final = 5
"""Of each kind in each page."""
ROUNDS: Final = 15
TIMED: Final = 40
_UNSEEN: Final = ("script", "style", "noscript", "template", "textarea")
_MAIN: Final = {"python": "div[role=main]"}
_AROUND: Final = {"postgresql": ".navheader,.navfooter,#docFooter"}
"""The main text, or what is not."""


class Variant(NamedTuple):
    """A page of which one text was changed."""

    page: bytes
    changed: bytes
    is_main: bool


def texts(tree: Tree) -> list[Node]:
    """The nodes with text that a reader may see."""
    body = tree.body
    found = body.traverse(include_text=True) if body is not None else ()
    return [node for node in found if node.is_text_node and (node.text_content or "").strip() and _is_seen(node)]


def _is_seen(node: Node) -> bool:
    return node.parent is None or node.parent.tag not in _UNSEEN


def _is_in(node: Node | None, ids: set[int]) -> bool:
    while node is not None:
        if node.mem_id in ids:
            return True
        node = node.parent
    return False


def _change(node: Node) -> None:
    node.replace_with(f"{node.text_content} another text")


def of_package(name: str, folder: Path) -> Iterator[Variant]:
    """Changes of the documentation *name*."""
    dice = random.Random(1)
    found = sorted(pages(folder))
    for path in dice.sample(found, min(PAGES, len(found))):
        html = (parse(path.read_bytes()).html or "").encode()
        for is_main in (True, False):
            for _ in range(CHANGES):
                tree = parse(html)
                marked = {node.mem_id for node in tree.css(_MAIN.get(name) or _AROUND[name])}
                fit = [
                    node for node in texts(tree) if _is_in(node, marked) is (is_main if name in _MAIN else not is_main)
                ]
                if marked and fit:
                    _change(dice.choice(fit))
                    yield Variant(html, (tree.html or "").encode(), is_main)


def of_labelled(path: Path) -> Iterator[Variant]:
    """Changes of pages whose texts are marked."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            page = json.loads(line)
            raw = base64.b64decode(page["html_b64"])
            html = (read(as_utf8(raw, find_charset(raw, None)))[0].html or "").encode()
            for name, is_main in (("with", True), ("without", False)):
                for text in page[name]:
                    yield from _of_text(html, " ".join(text.split()), is_main)


def _of_text(html: bytes, text: str, is_main: bool) -> Iterator[Variant]:
    """A change of each place where *text* stands."""
    tree = parse(html)
    hits = 0
    for node in texts(tree):
        own = " ".join((node.text_content or "").split())
        if text in own or (len(own) >= 15 and own in text):
            _change(node)
            hits += 1
    if hits:
        yield Variant(html, (tree.html or "").encode(), is_main)


def chosen(tree: Tree) -> str:
    """The main content, as `--store main` chooses it."""
    content = choose(tree)
    found = "".join(token[2] for begin, end in content.ranges for token in content.tokens[begin:end])
    return "".join(found.split())


def judge(name: str, variants: list[Variant]) -> None:
    """Print how often each method is wrong."""
    ways: dict[str, Callable[[Tree], Any]] = {"digest": text_digest, "main content": chosen}
    for way, read_page in ways.items():
        known: dict[bytes, Any] = {}
        found: Counter[tuple[bool, bool]] = Counter()
        for variant in variants:
            if variant.page not in known:
                known[variant.page] = read_page(parse(variant.page))
            found[variant.is_main, read_page(parse(variant.changed)) != known[variant.page]] += 1
        wrong, right = found[False, True], found[False, False]
        missed, seen = found[True, False], found[True, True]
        print(
            f"{name}, {way}: boilerplate reported as changed {wrong} of {wrong + right}"
            f" ({wrong / max(wrong + right, 1):.1%}), main text as boilerplate {missed} of {missed + seen}"
            f" ({missed / max(missed + seen, 1):.1%})"
        )


def cost(name: str, found: list[bytes]) -> None:
    """Print what the digest costs beside what a crawl with `--store text` does with a page."""
    steps: dict[str, Callable[[bytes], float]] = {"parsing and text": _text, "digest": _digest, "main content": _chosen}
    took = {
        step: sum(min(work(html) for _ in range(ROUNDS)) for html in found) / len(found) for step, work in steps.items()
    }
    shown = ", ".join(f"{step} {seconds * 1e6:.0f} µs" for step, seconds in took.items())
    print(f"{name}, {sum(map(len, found)) // len(found):,} bytes a page, of {len(found)}: {shown}")


def _text(html: bytes) -> float:
    began = time.perf_counter()
    tree = parse(html)
    visible_text(tree, find_nodes(tree), 1 << 20)
    return time.perf_counter() - began


def _digest(html: bytes) -> float:
    tree = parse(html)
    nodes = find_nodes(tree)
    began = time.perf_counter()
    text_digest(tree, "", nodes)
    return time.perf_counter() - began


def _chosen(html: bytes) -> float:
    tree = parse(html)
    began = time.perf_counter()
    choose(tree)
    return time.perf_counter() - began


def main() -> None:
    """Judge, then time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--labelled", type=Path, help="JSON lines with html_b64, with and without; may end in .gz")
    options = parser.parse_args()
    try:
        found = {name: list(of_package(name, folder)) for name, folder in docs.folders(()).items()}
    except SiteError as error:
        sys.exit(str(error))
    if options.labelled:
        found["labelled"] = list(of_labelled(options.labelled))
    for name, variants in found.items():
        judge(name, variants)
    for name, variants in found.items():
        cost(name, list(dict.fromkeys(variant.page for variant in variants))[:: max(len(variants) // 400, 1)][:TIMED])


if __name__ == "__main__":
    main()
