"""The lines of a PDF's pages."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """One line of text. Places and sizes are in points; y grows upwards."""

    text: str
    """As PDFium gives it: a hyphen at the end of a line is U+0002 or U+FFFE, and the next line follows it directly."""
    x: float
    y: float
    """Of the baseline."""
    right: float
    size: float
    """Of its letters."""
    is_mono: bool = False
    is_bold: bool = False
    links: tuple[tuple[int, int, str], ...] = ()
    """Begin and end in `text`, and the target as it is written."""
    last_y: float | None = None
    """Of the baseline at its end, if that is another one: several lines are one where words are divided."""


class PdfPage(NamedTuple):
    """The lines of a page in the order of its content, and the targets of links that cover no text."""

    lines: list[Line]
    links: list[str]
