"""A distributed web crawler on a Redis queue."""

from crawler.config import VERSION
from crawler.crawl import Crawl
from crawler.errors import CrawlerError
from crawler.page import Page
from crawler.records import Record

__version__ = VERSION

__all__ = ["Crawl", "CrawlerError", "Page", "Record", "__version__"]
