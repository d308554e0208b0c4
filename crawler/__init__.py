"""A distributed web crawler on a Redis queue."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crawler.api.crawl import Crawl
    from crawler.errors import CrawlerError
    from crawler.frontier.host_facts import HostRow
    from crawler.frontier.status import Status
    from crawler.monitor.dead_letters import Failure
    from crawler.monitor.explain import Explanation
    from crawler.parse.page import Page
    from crawler.record import Link, Record
    from crawler.worker.hook_result import Drop, Request

__version__: str

__all__ = [
    "Crawl",
    "CrawlerError",
    "Drop",
    "Explanation",
    "Failure",
    "HostRow",
    "Link",
    "Page",
    "Record",
    "Request",
    "Status",
    "__version__",
]

_FACE = {
    "Crawl": "api.crawl",
    "CrawlerError": "errors",
    "Drop": "worker.hook_result",
    "Explanation": "monitor.explain",
    "Failure": "monitor.dead_letters",
    "HostRow": "frontier.host_facts",
    "Link": "record",
    "Page": "parse.page",
    "Record": "record",
    "Request": "worker.hook_result",
    "Status": "frontier.status",
}
_WITH_FIELDS = ("Explanation", "Failure", "HostRow", "Link", "Page", "Record", "Status")
"""Classes whose fields `help()` shows with their texts."""


def __getattr__(name: str) -> Any:
    """Import what is asked for only now (PEP 562): a worker process needs none of it, and starts sooner.

    `python -m crawler` runs this before its main module, with the current folder first on the import path.
    """
    if name == "__version__":
        return import_module(f"{__name__}.settings").VERSION
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_FACE[name]}"), name)
    if name in _WITH_FIELDS:
        from crawler.fielddocs import described

        described(found)
    return found
