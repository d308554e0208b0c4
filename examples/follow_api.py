"""A hook that asks for further URLs: a JSON API whose pages name the next one, and whose entries name their details.

python examples/follow_api.py https://example.org/api/articles

Its lists are {"items": [{"url": "/api/articles/1"}], "next": "/api/articles?page=2"}, an article is {"title": "..."}.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from crawler import Crawl, Drop, Page, Request


def follow(page: Page) -> Iterator[dict[str, Any] | Request]:
    """Articles are items. The lists lead to them, and are dropped: they hold nothing else. Runs in the workers."""
    answer = page.json()
    if "title" in answer:
        yield answer
        return
    for entry in answer.get("items", []):
        yield Request(entry["url"], priority=1)  # before the next list: then little is queued at a time
    if answer.get("next"):
        yield Request(answer["next"], depth=1)  # lists do not become deeper, however many there are
    raise Drop("a list")


def main() -> None:
    with Crawl(sys.argv[1:], name="api", hook=follow, scope="host", store="meta") as crawl:
        for record in crawl:
            if record.outcome == "fetched":
                print(record.data["items"][0]["title"])


if __name__ == "__main__":
    main()
