"""Scrapy's CrawlSpider as its documentation has it; run by `peers.py` in an environment of Scrapy's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from scrapy.http import HtmlResponse, Response
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule


class Spider(CrawlSpider):
    """Follows every link inside the hosts of its *seeds*, and gives an item for each page."""

    name = "docs"
    rules = (Rule(LinkExtractor(), callback="parse_item", follow=True),)

    def __init__(self, *args: Any, seeds: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start_urls = seeds.split()
        self.allowed_domains = sorted({urlsplit(seed).hostname or "" for seed in self.start_urls})

    def parse_start_url(self, response: Response, **kwargs: Any) -> Iterator[dict[str, Any]]:
        """The seeds are pages as well."""
        return self.parse_item(response)

    def parse_item(self, response: Response) -> Iterator[dict[str, Any]]:
        """URL, status and title."""
        title = response.css("title::text").get() if isinstance(response, HtmlResponse) else None
        yield {"url": response.url, "status": response.status, "title": title}
