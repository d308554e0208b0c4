"""Export: writes the records of a crawl, in the order of their commits, to files and pipes."""

from __future__ import annotations

from crawler.export.checkpoints import Checkpoints, Wanted
from crawler.export.exporter import Export, ExportResult, follow, read
from crawler.export.formats import open_writer
from crawler.export.selection import Selection
from crawler.export.state import ExportState
from crawler.export.writer import Writer

__all__ = [
    "Checkpoints",
    "Export",
    "ExportResult",
    "ExportState",
    "Selection",
    "Wanted",
    "Writer",
    "follow",
    "open_writer",
    "read",
]
