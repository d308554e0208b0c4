"""Export: writes the records of a crawl, in the order of their commits, to files, folders, databases and pipes."""

from __future__ import annotations

from crawler.export.checkpoints import Checkpoints, Wanted
from crawler.export.exporter import Export, ExportResult, follow, read
from crawler.export.formats import open_writer
from crawler.export.output import How, Output, Written
from crawler.export.selection import Selection
from crawler.export.shape import Shape
from crawler.export.state import ExportState
from crawler.export.writer import Writer

__all__ = [
    "Checkpoints",
    "Export",
    "ExportResult",
    "ExportState",
    "How",
    "Output",
    "Selection",
    "Shape",
    "Wanted",
    "Writer",
    "Written",
    "follow",
    "open_writer",
    "read",
]
