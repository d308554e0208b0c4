"""A hook that yields items: each row of each table on a site, written as CSV.

python examples/hook_items.py https://example.org tables.csv
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from crawler import Crawl, Page


def table_rows(page: Page) -> Iterator[dict[str, str | int]]:
    """A dict for each row of a table with a head: its cells by the words above them. Runs in the workers."""
    for number, table in enumerate(page.css("table"), 1):
        names = [cell.text(strip=True) or f"column {n}" for n, cell in enumerate(table.css("th"), 1)]
        for row in table.css("tr"):
            cells = [cell.text(strip=True) for cell in row.css("td")]
            if cells and len(cells) == len(names):
                yield {"table": number} | dict(zip(names, cells, strict=True))


def main() -> None:
    site, output = sys.argv[1:]
    with Crawl(site, name="tables", hook=table_rows, store="meta", max_pages=500) as crawl:
        crawl.run()
        pages = crawl.export(output, items=True)
    print(f"the tables of {pages} pages are in {output}")


if __name__ == "__main__":
    main()
