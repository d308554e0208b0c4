"""What it costs to read all places of a page, and whether each is found, in its line. No network, no Redis.

The pages are those of Debian's documentation packages (see docs.py), or of any folder. Python's html.parser, which
knows its lines, reads them too: what it finds in `href` and `src` must be among the places, in the same line, and the
names of elements must be the same. Ends with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from benchmarks.docs import add_options, folders
from benchmarks.site import SiteError
from crawler.checked_page import PLACES
from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.places import PagePlaces

KINDS: Final = frozenset(PLACES) - {"ping", "cite", "lazy", "other"}
"""What a check reads by default."""
URL: Final = "https://a.example/folder/page"
_ATTRIBUTES: Final = {"a": "href", "area": "href", "img": "src", "script": "src"}


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.places", description=main.__doc__)
    add_options(parser)
    parser.add_argument("--pages", type=int, default=500, help="pages of each site")
    options = parser.parse_args()
    try:
        differing = sum(
            measure(name, sorted(folder.rglob("*.html"))[: options.pages])
            for name, folder in folders(options.folder).items()
        )
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if differing else 0


def measure(name: str, paths: list[Path]) -> int:
    """Print what places cost on the pages at *paths*, and what differs; the number of pages that do."""
    if not paths:
        raise SiteError(f"{name}: there are no *.html")
    plain = Extractor(ExtractOptions(want=frozenset(), agent="benchmark"))
    checking = Extractor(ExtractOptions(want=frozenset(), agent="benchmark", places=KINDS))
    rows, places, differing, size = [], 0, 0, 0
    for path in paths:
        body = path.read_bytes()
        response = Response(URL, 200, Headers([("content-type", "text/html; charset=utf-8")]), body)
        rows.append([min(_milliseconds(one, response) for _ in range(5)) for one in (plain, checking)])
        found = checking.extract(response).places or PagePlaces()
        places, size = places + len(found.places), size + len(body)
        if words := difference(found, body.decode("utf-8", "replace")):
            differing += 1
            print(f"  {path}: {words}")
    more = [row[1] - row[0] for row in rows]
    print(f"{name}: {len(paths):,} pages, {size / len(paths) / 1024:.0f} KiB and {places / len(paths):.0f} places each")
    print(f"  without places    mean {statistics.mean(row[0] for row in rows):.2f} ms")
    print(f"  places cost       mean {statistics.mean(more):.2f} ms, median {statistics.median(more):.2f} ms more")
    print(f"  differing         {differing} pages")
    return differing


def _milliseconds(extractor: Extractor, response: Response) -> float:
    """CPU time of one page."""
    began = time.process_time()
    extractor.extract(response)
    return 1000 * (time.process_time() - began)


def difference(found: PagePlaces, html: str) -> str:
    """What html.parser finds and *found* lacks, in words; empty if it lacks nothing."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    missed = Counter(reader.lines) - Counter(place.line for place in found.places)
    if missed:
        return f"places in lines {sorted(missed)[:5]} were not found"
    other = reader.names ^ set(found.names or ())
    return f"names {sorted(other)[:5]} differ" if other else ""


class _Reader(HTMLParser):
    """The lines of references to other pages, and the names of elements."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names."""
        attributes = dict(reversed(attrs))
        self.names |= {attributes.get("id") or "", (attributes.get("name") or "") if tag in ("a", "map") else ""} - {""}
        reference = (attributes.get(_ATTRIBUTES.get(tag, "")) or "").strip()
        scheme = reference.partition(":")[0].lower() if ":" in reference.partition("/")[0] else "http"
        if reference and reference[0] != "#" and scheme in ("http", "https"):
            self.lines.append(self.getpos()[0])


if __name__ == "__main__":
    sys.exit(main())
