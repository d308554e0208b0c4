"""Export: writes the records of a crawl, in the order of their commits, to files and pipes."""

from __future__ import annotations

from crawler.export.checkpoints import Checkpoints, Wanted
from crawler.export.exporter import ExportResult, export, follow, matching, read
from crawler.export.sink import FORMATS, Sink, open_sink
from crawler.export.state import ExportState

__all__ = [
    "FORMATS",
    "Checkpoints",
    "ExportResult",
    "ExportState",
    "Sink",
    "Wanted",
    "export",
    "follow",
    "matching",
    "open_sink",
    "read",
]
