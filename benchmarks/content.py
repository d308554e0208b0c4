"""What text, main content and Markdown are worth, and what they cost: `make bench-content`.

Five tables, made in one run:

1. Pages with strings that their main text must and must not have (`--pages FILE`, JSON lines with `url`, `html_b64`,
   `with`, `without`; without the option this table is left out): precision, recall, F1 over all strings; CPU a page of
   the function alone, parsing included. Beside it trafilatura, readability-lxml and resiliparse, if they are installed.
2. Articles with their text (`--articles FOLDER`: `html/NAME.html` and `txt/NAME.txt`, as in `tests/data` of the source
   of newspaper4k: `pip download --no-deps --no-binary :all: newspaper4k`): precision, recall, F1 of runs of four words,
   the means over pages. A character of a script without spaces counts as a word.
3. The documentation packages of `docs.py`: F1 of runs of four words (the mean over pages) against the element that the
   generator put its content in, and the shares of that element's code blocks, headings, links, list items and table
   rows that the Markdown still shows when a parser has read it. What Markdown has no form for is not counted.
4. CPU a page of choosing the content of a parsed page of these packages and writing it as Markdown, without all else.
5. One worker per `--store`, on the same pages by nginx: pages a second and CPU a page against `--parse-all`.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import importlib
import json
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from markdown_it import MarkdownIt

from benchmarks import docs, report
from benchmarks.commands import Unexpected
from benchmarks.contenders import crawler
from benchmarks.measure import load
from benchmarks.peers import ADDRESSES, rounds
from benchmarks.site import SiteError, Sites, exit_on_sigterm
from crawler import url as urls
from crawler.crawl.process import spare_the_collector
from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.main_content import choose
from crawler.parse.markdown import render
from crawler.parse.page import Node, Page, parse
from crawler.parse.references import References

Function = Callable[[bytes, str], str]

SAMPLE: Final = 100
"""Pages of each documentation package."""
STORES: Final = ("text", "main", "markdown", "text,markdown,links")
_PARSE_ALL: Final = "--parse-all"
_NO_SPACES: Final = "\u0e00-\u0e7f\u1000-\u109f\u2e80-\u9fff\uac00-\ud7af"
_WORDS: Final = re.compile(rf"[{_NO_SPACES}]|[^\W{_NO_SPACES}]+")
_ANCHORS: Final = "script, style, a.headerlink, a.id_link"
_KINDS: Final = {"code": "pre", "headings": "h1, h2, h3, h4, h5, h6", "links": "a[href]", "items": "li", "rows": "tr"}
_ARRANGED: Final = "ul, ol, dl, pre, table"
_INNER: Final = ("ul", "ol", "table", "pre", "dl")
_READER: Final = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def page_of(html: bytes, url: str, want: str) -> Page:
    """The page that a worker would read, with the content *want*."""
    return _EXTRACTORS[want].extract(Response(url, 200, Headers([("content-type", "text/html")]), html))


_EXTRACTORS: Final = {
    want: Extractor(ExtractOptions(frozenset((want,)), "bench", obey_noindex=False))
    for want in ("main", "markdown", "")
}


def _main(html: bytes, url: str) -> str:
    return page_of(html, url, "main").main or ""


def _markdown(html: bytes, url: str) -> str:
    return page_of(html, url, "markdown").markdown or ""


def _trafilatura(html: bytes, url: str) -> str:
    return importlib.import_module("trafilatura").extract(html, url=url, fast=True) or ""


def _readability(html: bytes, url: str) -> str:
    document = importlib.import_module("readability").Document(page_of(html, url, "").html)
    return parse(document.summary()).text(separator="\n")


def _resiliparse(html: bytes, url: str) -> str:
    module = importlib.import_module("resiliparse.extract.html2text")
    text: str = module.extract_plain_text(page_of(html, url, "").html, main_content=True)
    return text


FUNCTIONS: Final[dict[str, Function]] = {
    "crawler, main": _main,
    "crawler, Markdown": _markdown,
    "trafilatura": _trafilatura,
    "readability": _readability,
    "resiliparse": _resiliparse,
}


def functions() -> Iterator[tuple[str, Function]]:
    """Those that can be had here."""
    for name, function in FUNCTIONS.items():
        if name.startswith("crawler") or find_spec(name) is not None:
            yield name, function


def timed(function: Function, html: bytes, url: str) -> tuple[str, float]:
    """The result, and ms of CPU."""
    began = time.process_time()
    try:
        text = function(html, url)
    except Exception:  # of another library: it counts as nothing found
        text = ""
    return text, 1000 * (time.process_time() - began)


# -- pages with strings ------------------------------------------------------------------------------------------------


def flat(text: str) -> str:
    return " ".join(text.split())


def of_strings(pages: Sequence[dict[str, Any]], function: Function) -> str:
    """A row of the first table."""
    hits = lost = noise = 0
    times = []
    for page in pages:
        text, took = timed(function, base64.b64decode(page["html_b64"]), page["url"])
        text = flat(text)
        found = sum(flat(one) in text for one in page["with"])
        hits, lost = hits + found, lost + len(page["with"]) - found
        noise += sum(flat(one) in text for one in page["without"])
        times.append(took)
    precision, recall = hits / max(hits + noise, 1), hits / max(hits + lost, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return f"{precision:.3f} | {recall:.3f} | {f1:.3f} | {_times(times)} |"


def _times(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.2f} | {statistics.mean(times):.2f}"


# -- articles ----------------------------------------------------------------------------------------------------------


def of_articles(folder: Path) -> None:
    """Print the second table."""
    texts = {path.stem: path.read_text("utf-8", "replace") for path in (folder / "txt").glob("*.txt")}
    pages = [path for path in sorted((folder / "html").glob("*.html")) if path.stem in texts]
    print(f"\n{len(pages)} articles\n\n| | precision | recall | F1 | ms median | mean |\n|---|--:|--:|--:|--:|--:|")
    for name, function in functions():
        found = [timed(function, path.read_bytes(), f"https://example.org/{path.name}") for path in pages]
        scores = [scored(_shown(name, text), texts[path.stem]) for path, (text, _) in zip(pages, found, strict=True)]
        means = " | ".join(f"{statistics.mean(each):.3f}" for each in zip(*scores, strict=True))
        print(f"| {name} | {means} | {_times([took for _, took in found])} |", flush=True)


# -- documentation -----------------------------------------------------------------------------------------------------


def truth(html: bytes) -> Node | None:
    """The element of the content: what Sphinx names so, else the largest part of the body that is no navigation."""
    tree = parse(html)
    found = tree.css_first("div[role=main]")
    if found is None and tree.body is not None:
        parts = [node for node in tree.body.iter() if not (node.attributes.get("class") or "").startswith("nav")]
        found = max(parts, key=lambda node: len(node.text()), default=None)
    for node in found.css(_ANCHORS) if found is not None else ():
        node.decompose()
    return found


def html_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.html") if "_" not in path.relative_to(folder).parts[0])


def sample(folder: Path) -> list[Path]:
    files = html_files(folder)
    return random.Random(5).sample(files, min(SAMPLE, len(files)))


def scored(text: str, expected: str) -> tuple[float, float, float]:
    """Precision, recall, F1 of runs of four words."""
    found, wanted = (Counter(_runs(_WORDS.findall(each))) for each in (text, expected))
    both, all_found, all_wanted = (sum(each.values()) for each in (found & wanted, found, wanted))
    return both / max(all_found, 1), both / max(all_wanted, 1), 2 * both / max(all_found + all_wanted, 1)


def _shown(label: str, text: str) -> str:
    """What a reader sees of the *text* of the function with this *label*."""
    return parse(_READER.render(text)).text(separator=" ") if label.endswith("Markdown") else text


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[n : n + 4]) for n in range(max(len(words) - 3, 1))]


def kept(markdown: str, content: Node, url: str) -> dict[str, float]:
    """For each kind of element that *content* has the share that a reader of the Markdown gets, too."""
    shown = parse(_READER.render(markdown))
    shares = {}
    for kind, selector in _KINDS.items():
        nodes = [node for node in content.css(selector) if _can_be_kept(kind, node)]
        wanted = [key for node in nodes if (key := _key(kind, node, url))]
        there = {_key(kind, node, url) for node in shown.css(selector)}
        if wanted:
            shares[kind] = sum(key in there for key in wanted) / len(wanted)
    return shares


def _can_be_kept(kind: str, node: Node) -> bool:
    """Whether Markdown has a form for the element where it stands.

    A cell is one line: it has no lists or code blocks. Code has no links. Tables that hold lists only arrange a page.
    """
    around = _around(node)
    if kind == "rows":
        table = next((each for each in around if each.tag == "table"), None)
        return table is not None and (table.css_first("th") is not None or table.css_first(_ARRANGED) is None)
    if kind == "links":
        return all(each.tag != "pre" for each in around)
    table = next((each for each in around if each.tag == "table"), None)
    return table is None or table.css_first("th") is None


def _around(node: Node) -> list[Node]:
    found = []
    while (parent := node.parent) is not None:
        found.append(node := parent)
    return found


def _own(node: Node) -> str:
    """The text of a list item, without the blocks in it."""
    if node.tag in _INNER:
        return ""
    return "".join(_own(child) if child.tag != "-text" else child.text() for child in node.iter(include_text=True))


def _key(kind: str, node: Node, url: str) -> str:
    """By what an element is recognised: where a link leads to, else its letters."""
    if kind == "links":
        target = urls.resolve(node.attributes.get("href") or "", url)
        return target.replace("(", "%28").replace(")", "%29") if node.text(strip=True) else ""
    return "".join(_WORDS.findall(_own(node) if kind == "items" else node.text()))


def of_documentation(name: str, folder: Path) -> None:
    """Print the third table for one package."""
    pages = [(path.read_bytes(), f"https://example.org/{path.relative_to(folder)}") for path in sample(folder)]
    truths = [(node, node.text(separator=" ")) if (node := truth(html)) else None for html, _ in pages]
    for label, function in functions():
        scores, times, shares = [], [], dict[str, list[float]]()
        for (html, url), content in zip(pages, truths, strict=True):
            text, took = timed(function, html, url)
            times.append(took)
            if content is None:
                continue
            if label.endswith("Markdown"):
                for kind, share in kept(text, content[0], url).items():
                    shares.setdefault(kind, []).append(share)
            scores.append(scored(_shown(label, text), content[1])[2])
        rest = ", ".join(f"{kind} {statistics.mean(each):.3f}" for kind, each in shares.items())
        print(f"| {name} | {label} | {statistics.mean(scores):.3f} | {_times(times)} | {rest} |", flush=True)


def of_markdown(folders: dict[str, Path]) -> None:
    """Print the fourth table. The garbage collector is set as in a worker."""
    spare_the_collector()
    limit = _EXTRACTORS["markdown"].options.max_text
    print("\n| site | pages | ms of choosing and writing Markdown: median | mean |\n|---|--:|--:|--:|")
    every: list[float] = []
    for name, folder in folders.items():
        times = []
        for path in html_files(folder):
            tree, url = parse(path.read_bytes()), f"https://example.org/{path.relative_to(folder)}"
            began = time.process_time()
            render(choose(tree), References(url, url), limit)
            times.append(1000 * (time.process_time() - began))
        every += times
        print(f"| {name} | {len(times):,} | {_times(times)} |", flush=True)
    print(f"| all | {len(every):,} | {_times(every)} |", flush=True)


# -- crawls ------------------------------------------------------------------------------------------------------------


def of_crawls(folders: dict[str, Path], count: int) -> None:
    """Print the fifth table."""
    often = "--follow-duplicates"
    contenders = [
        crawler(_PARSE_ALL, "-n", "1", "--store", "meta", _PARSE_ALL, often),
        *(crawler(store, "-n", "1", "--store", store, often) for store in STORES),
    ]
    with Sites(folders, [f"127.0.0.{n + 1}" for n in range(ADDRESSES)]) as sites:
        runs = rounds(contenders, sites, count)
    print("\n| --store | pages/s | CPU ms a page | times --parse-all | bytes a page in Redis |\n|---|--:|--:|--:|--:|")
    base = [run.cpu / run.pages for run in runs[_PARSE_ALL]]
    for name, each in runs.items():
        cpu = statistics.median(run.cpu / run.pages for run in each)
        times = statistics.median(run.cpu / run.pages / one for run, one in zip(each, base, strict=True))
        size = statistics.median((run.redis_kept or 0) / run.pages for run in each)
        rate = statistics.median(run.rate for run in each)
        print(f"| {name} | {rate:.0f} | {1000 * cpu:.2f} | {times:.2f} | {size:,.0f} |", flush=True)


def main() -> int:
    """Measure the contents that are stored: how good they are, what they cost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.content", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--pages", type=Path, metavar="FILE", help="pages with strings, JSON lines, also .gz")
    parser.add_argument("--articles", type=Path, metavar="FOLDER", help="articles: html/NAME.html with txt/NAME.txt")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of crawls (3); 0: none")
    args = parser.parse_args()
    exit_on_sigterm()
    print(report.machine(load()))
    try:
        folders = docs.folders(args.folder)
        if args.pages is not None:
            raw = args.pages.read_bytes()
            lines = gzip.decompress(raw) if args.pages.suffix == ".gz" else raw
            pages = [json.loads(line) for line in lines.splitlines()]
            print(f"\n{len(pages)} pages\n\n| | precision | recall | F1 | ms median | mean |")
            print("|---|--:|--:|--:|--:|--:|")
            for name, function in functions():
                print(f"| {name} | {of_strings(pages, function)}", flush=True)
        if args.articles is not None:
            of_articles(args.articles)
        print("\n| site | | F1 | ms median | mean | kept |\n|---|---|--:|--:|--:|---|")
        for name, folder in folders.items():
            of_documentation(name, folder)
        of_markdown(folders)
        if args.rounds:
            of_crawls(folders, args.rounds)
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
