"""crawlee for Python as its documentation has it: a ParselCrawler that enqueues links and pushes data, all in memory.

`python crawlee_docs.py CONCURRENCY SEED...`; run by `peers.py` in an environment of crawlee's own.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta

from crawlee import ConcurrencySettings, service_locator
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext
from crawlee.storage_clients import MemoryStorageClient


async def crawl(concurrency: int, seeds: list[str]) -> None:
    """Follow every link inside the hosts of *seeds*, and push an item for each page."""
    service_locator.set_storage_client(MemoryStorageClient())
    crawler = ParselCrawler(
        concurrency_settings=ConcurrencySettings(
            min_concurrency=concurrency, desired_concurrency=concurrency, max_concurrency=concurrency
        ),
        request_handler_timeout=timedelta(minutes=5),
        configure_logging=False,
    )

    @crawler.router.default_handler
    async def handle(context: ParselCrawlingContext) -> None:
        await context.push_data({"url": context.request.url, "title": context.selector.css("title::text").get()})
        await context.enqueue_links(strategy="same-hostname")

    await crawler.run(seeds)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(crawl(int(sys.argv[1]), sys.argv[2:]))
