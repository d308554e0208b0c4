"""Exports as functions, as the tests like to call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crawler.export import Export, ExportResult, Writer
from crawler.frontier.shards.records import START


def export(records: Any, writer: Writer, *, after: str = START, **options: Any) -> ExportResult:
    """Write all records after a cursor."""
    return Export(records, writer, **options).run(after)


def follow(
    records: Any,
    writer: Writer,
    is_over: Callable[[], bool],
    pause: Callable[[float], None],
    *,
    after: str = START,
    **options: Any,
) -> ExportResult:
    """Write all records, and those that come."""
    return Export(records, writer, **options).follow(is_over, pause, after)
