"""The floor: what libcurl, Lexbor and a set cost without anything around them. No storage, no robots.txt, no limits.

`python -m benchmarks.floor URL...` fetches all that can be reached below the URLs, 32 at a time, and prints how many.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

import ada_url
import pycurl
from selectolax.lexbor import LexborHTMLParser

CONCURRENCY: Final = 32


def crawl(seeds: list[str]) -> set[str]:
    """All URLs found below *seeds*."""
    inside = tuple(seeds)
    seen = set(seeds)
    queue = deque(seeds)
    multi = pycurl.CurlMulti()
    free = [_handle() for _ in range(CONCURRENCY)]
    active = 0
    while queue or active:
        while queue and free:
            _begin(multi, free.pop(), queue.popleft())
            active += 1
        multi.perform()
        for handle in _ended(multi):
            for url in _links(handle):
                if url not in seen and url.startswith(inside):
                    seen.add(url)
                    queue.append(url)
            free.append(handle)
            active -= 1
        if active:
            multi.select(1.0)
    return seen


def _handle() -> Any:
    handle = pycurl.Curl()
    handle.setopt(pycurl.NOSIGNAL, 1)
    return handle


def _begin(multi: Any, handle: Any, url: str) -> None:
    handle.page = url
    handle.body = BytesIO()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.WRITEFUNCTION, handle.body.write)
    multi.add_handle(handle)


def _ended(multi: Any) -> Iterator[Any]:
    queued = 1
    while queued:
        queued, done, failed = multi.info_read()
        if failed:
            raise SystemExit(f"{failed[0][0].page}: {failed[0][2]}")
        for handle in done:
            multi.remove_handle(handle)
            yield handle


def _links(handle: Any) -> Iterator[str]:
    if handle.getinfo(pycurl.RESPONSE_CODE) == 200 and (handle.getinfo(pycurl.CONTENT_TYPE) or "").startswith(
        "text/html"
    ):
        page = handle.page
        for node in LexborHTMLParser(handle.body.getvalue()).css("a[href]"):
            yield ada_url.join_url(page, (node.attributes["href"] or "").partition("#")[0])


if __name__ == "__main__":
    print(len(crawl(sys.argv[1:])))
