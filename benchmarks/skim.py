"""Does skimming ever lose a link? Real pages, and the same pages damaged, read both ways and compared.

Each document is read by the parser and, as far as it can be, by its head alone. Of a page that was skimmed every link
that the parser found must have been asked about, and all that the head tells must be the same. Prints what was
compared; ends with 1 if anything differs. `python -m benchmarks.skim --help`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import docs
from benchmarks.site import SiteError
from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.page import Page
from crawler.parse.skim import SettledLinks

SUFFIXES: Final = (".html", ".htm", ".xhtml")
OF_WHOLE: Final = {
    *("response", "text", "text_truncated", "outlinks", "links_total", "refused", "is_flat", "skimmed"),
    *("tree", "content", "text_digest", "_soup"),
}
"""What may differ in a page that was skimmed: all else is in its head."""
OF_HEAD: Final = [name for name in Page.__dataclass_fields__ if name not in OF_WHOLE]
TYPES: Final = ("text/html", "text/html; charset=utf-8", "text/html; charset=windows-1252", "text/html; charset=gbk")
PIECES: Final = tuple(
    piece.encode("latin-1")
    for piece in (
        *('<a href="new">', "<a href=new>", "<A HREF='new'>", "<a\thref\n=\n'new'>", '<a href="new', "<a hRef=new/>"),
        *(
            '<a href="n&#101;w">',
            '<a href="n?&copy=1&#35;x#y">',
            '<a href="new?a=1&amp;b=2">',
            '<a href="?new">',
            '<a href=" new ">',
            '<a href="n\xe9w">',
        ),
        *('<a href="new#a href="other">', "<a href='new#\"'>", '<a title="<!--" href=new>', '<area href="new">'),
        *("<base href=/other/>", "<iframe src=new>", "<FRAMESET><frame src=new>", '<link rel=next href="new">'),
        *(
            '<link rel=canonical href="new">',
            "<meta name=robots content=nofollow>",
            "<meta name=description content=new>",
        ),
        *('<meta http-equiv=refresh content="0;url=new">', "<title>new</title>", "<svg><title>new</title></svg>"),
        *("<html lang=de>", "</head>", "</HEAD >", "<head>", "<body>", "</body></html>", "<template>", "</template>"),
        *(
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<style>",
            "</style>",
            "<title>",
            "</title>",
            "<textarea>",
            "<noscript>",
        ),
        *(
            "</noscript>",
            "<plaintext>",
            "<![CDATA[",
            "]]>",
            "<select>",
            "<table>",
            "<svg>",
            "<math>",
            "</svg>",
            "<xmp>",
        ),
        *(
            '"',
            "'",
            "<",
            ">",
            "&",
            "#",
            "=",
            "\0",
            "\xff",
            "\x81",
            "\x1b$B",
            "href",
            "href=",
            'HREF="',
            " ",
            "\r\n",
            "/",
        ),
    )
)
"""What may be put anywhere into a page: whatever makes links, or makes bytes mean something else."""


@dataclass(slots=True)
class Tally:
    """What was compared."""

    documents: int = 0
    cases: int = 0
    skimmed: int = 0
    links: int = 0
    wrong: list[str] = field(default_factory=list)


def compare(url: str, response: Response, options: ExtractOptions) -> tuple[Page, Page, list[str]]:
    """The page as the parser reads it, as it is skimmed where all links are settled, and what is wrong with that."""
    asked: set[str] = set()

    def is_settled(target: str) -> bool:
        asked.add(target)
        return True

    whole = Extractor(options).extract(response)
    page = Extractor(options).extract(response, skims=True, settled=SettledLinks(is_settled))
    if not page.skimmed:
        return whole, page, []
    wrong = [f"lost {link}" for link in whole.outlinks if link not in asked and link != url]
    values = [(name, getattr(whole, name), getattr(page, name)) for name in OF_HEAD]
    wrong += [f"{name}: {skimmed!r} instead of {right!r}" for name, right, skimmed in values if right != skimmed]
    return whole, page, wrong


def damaged(html: bytes, chance: random.Random) -> bytes:
    """*html* with up to six things put in, taken out or written over, most of them near its head."""
    for _ in range(chance.randint(1, 6)):
        most = min(len(html), 3000) if chance.random() < 0.6 else len(html)
        at = chance.randint(0, most)
        way = chance.random()
        piece = chance.choice(PIECES)
        if way < 0.6:
            html = html[:at] + piece + html[at:]
        elif way < 0.8:
            html = html[:at] + html[at + chance.randint(1, 30) :]
        else:
            html = html[:at] + piece + html[at + len(piece) :]
    return html


def pages(folder: Path) -> Iterator[Path]:
    """The HTML files below *folder*, in a fixed order."""
    return iter(sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()))


def check(folder: Path, seed: int, most: int, times: int, tally: Tally) -> None:
    """Compare up to *most* pages of *folder*, each as it is and damaged so many *times*."""
    found = list(pages(folder))
    chance = random.Random(seed)
    if len(found) > most:
        found = sorted(chance.sample(found, most))
    options = ExtractOptions(want=frozenset(), agent="crawler")
    for path in found:
        html = path.read_bytes()
        url = f"http://site.example/{path.relative_to(folder).as_posix()}".replace("#", "%23").replace("?", "%3F")
        tally.documents += 1
        for n in range(times + 1):
            body = damaged(html, chance) if n else html
            kind = chance.choice(TYPES) if n else TYPES[0]
            response = Response(url, 200, Headers([("content-type", kind)]), body)
            whole, page, wrong = compare(url, response, options)
            tally.cases += n > 0
            tally.skimmed += page.skimmed
            tally.links += len(whole.outlinks) if page.skimmed else 0
            tally.wrong += [f"{path} (damage {n}): {each}" for each in wrong]


def main() -> int:
    """Compare skimming with parsing on real pages and on damaged ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skim", description=main.__doc__)
    docs.add_options(parser)
    parser.add_argument("--times", type=int, default=10, metavar="N", help="damaged copies of each page (10)")
    parser.add_argument("--most", type=int, default=100_000, metavar="N", help="pages of a folder at most")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the damage (0)")
    args = parser.parse_args()
    try:
        folders = docs.folders(args.folder)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2
    wrong = 0
    for name, folder in folders.items():
        tally, began = Tally(), time.monotonic()
        check(folder, args.seed, args.most, args.times, tally)
        print(
            f"{name}: {tally.documents:,} documents and {tally.cases:,} damaged ones, {tally.skimmed:,} of all skimmed;"
            f" {tally.links:,} links compared, {len(tally.wrong)} differences; {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for line in tally.wrong[:20]:
            print(f"  {line}")
        wrong += len(tally.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
