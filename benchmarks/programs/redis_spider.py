"""scrapy-redis as its documentation has it: a RedisCrawlSpider, scheduler, duplicate filter and items in Redis.

It waits for start URLs in the list `docs:start_urls` and never ends by itself: `peers.py`, which runs it in an
environment of its own, ends it when it is idle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from scrapy.http import HtmlResponse, Response
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import Rule
from scrapy_redis.spiders import RedisCrawlSpider


class Spider(RedisCrawlSpider):
    """Follows every link inside the hosts of its start URLs, and gives an item for each page."""

    name = "docs"
    redis_key = "docs:start_urls"
    rules = (Rule(LinkExtractor(), callback="parse_item", follow=True),)
    custom_settings: ClassVar[dict[str, Any]] = {
        "SCHEDULER": "scrapy_redis.scheduler.Scheduler",
        "DUPEFILTER_CLASS": "scrapy_redis.dupefilter.RFPDupeFilter",
        "SCHEDULER_PERSIST": True,
        "ITEM_PIPELINES": {"scrapy_redis.pipelines.RedisPipeline": 400},
    }

    def __init__(self, *args: Any, domains: str, **kwargs: Any) -> None:
        self.allowed_domains = domains.split()
        super().__init__(*args, **kwargs)

    def parse_start_url(self, response: Response, **kwargs: Any) -> Iterator[dict[str, Any]]:
        """The start URLs are pages as well."""
        return self.parse_item(response)

    def parse_item(self, response: Response) -> Iterator[dict[str, Any]]:
        """URL, status and title."""
        title = response.css("title::text").get() if isinstance(response, HtmlResponse) else None
        yield {"url": response.url, "status": response.status, "title": title}
