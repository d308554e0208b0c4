"""A distributed web crawler on a Redis queue."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crawler.api.crawl import Crawl
    from crawler.errors import CrawlerError
    from crawler.parse.page import Page
    from crawler.record import Record
    from crawler.worker.hook_result import Drop, Request

__version__: str

__all__ = ["Crawl", "CrawlerError", "Drop", "Page", "Record", "Request", "__version__"]

_FACE = {
    "Crawl": "api.crawl",
    "CrawlerError": "errors",
    "Drop": "worker.hook_result",
    "Page": "parse.page",
    "Record": "record",
    "Request": "worker.hook_result",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only now (PEP 562): a worker process needs none of it, and starts sooner.

    `python -m crawler` runs this before its main module, with the current folder first on the import path.
    """
    if name == "__version__":
        return import_module(f"{__name__}.settings").VERSION
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FACE[name]}"), name)
