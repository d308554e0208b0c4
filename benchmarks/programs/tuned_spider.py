"""Scrapy tuned by hand: a plain spider that asks lxml for the links and remembers URLs in a set of its own.

What costs and is not needed here is off: the duplicate filter, most middlewares, statistics, extensions, the feed.
Run by `peers.py`, in Scrapy's environment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar
from urllib.parse import urljoin

import scrapy
from lxml import etree
from scrapy.http import HtmlResponse, Request, Response

_MIDDLEWARES = "scrapy.downloadermiddlewares"
_SPIDERS = "scrapy.spidermiddlewares"


class Spider(scrapy.Spider):
    """Follows every link below its *seeds*."""

    name = "tuned"
    custom_settings: ClassVar[dict[str, Any]] = {
        "ROBOTSTXT_OBEY": False,
        "COOKIES_ENABLED": False,
        "RETRY_ENABLED": False,
        "REDIRECT_ENABLED": False,
        "METAREFRESH_ENABLED": False,
        "COMPRESSION_ENABLED": False,
        "HTTPPROXY_ENABLED": False,
        "HTTPCACHE_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "MEMUSAGE_ENABLED": False,
        "LOGSTATS_INTERVAL": 0,
        "LOG_ENABLED": False,
        "STATS_CLASS": "scrapy.statscollectors.DummyStatsCollector",
        "DUPEFILTER_CLASS": "scrapy.dupefilters.BaseDupeFilter",
        "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue",
        "DOWNLOADER_MIDDLEWARES": {
            f"{_MIDDLEWARES}.offsite.OffsiteMiddleware": None,
            f"{_MIDDLEWARES}.httpauth.HttpAuthMiddleware": None,
            f"{_MIDDLEWARES}.downloadtimeout.DownloadTimeoutMiddleware": None,
            f"{_MIDDLEWARES}.defaultheaders.DefaultHeadersMiddleware": None,
            f"{_MIDDLEWARES}.useragent.UserAgentMiddleware": None,
            f"{_MIDDLEWARES}.stats.DownloaderStats": None,
        },
        "SPIDER_MIDDLEWARES": {
            f"{_SPIDERS}.httperror.HttpErrorMiddleware": None,
            f"{_SPIDERS}.referer.RefererMiddleware": None,
            f"{_SPIDERS}.urllength.UrlLengthMiddleware": None,
            f"{_SPIDERS}.depth.DepthMiddleware": None,
            f"{_SPIDERS}.start.StartSpiderMiddleware": None,
        },
    }

    def __init__(self, *args: Any, seeds: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seeds = seeds.split()
        self._inside = tuple(self._seeds)
        self._seen = set(self._seeds)

    async def start(self) -> AsyncIterator[Request]:
        """The seeds."""
        for url in self._seeds:
            yield Request(url, dont_filter=True)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Request]:
        """A request for each link that was not met before."""
        if response.status != 200 or not isinstance(response, HtmlResponse):
            return
        base = response.url
        for link in {link.partition("#")[0] for link in _links(response.body, response.encoding)}:
            url = urljoin(base, link.strip())
            if url not in self._seen and url.startswith(self._inside):
                self._seen.add(url)
                yield Request(url, dont_filter=True)


def _links(body: bytes, encoding: str) -> list[str]:
    tree = etree.HTML(body, etree.HTMLParser(encoding=encoding, huge_tree=True))
    return [] if tree is None else list(tree.xpath("//a/@href"))
