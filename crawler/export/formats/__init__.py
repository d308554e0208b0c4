"""The table of export formats, one module each. Options, help and messages take their names from here."""

from __future__ import annotations

from typing import Final

from crawler.errors import UsageError
from crawler.export.formats import csv, jsonl
from crawler.export.writer import Format, Writer

FORMATS: Final[dict[str, Format]] = {
    "jsonl": jsonl.FORMAT,
    "ndjson": jsonl.FORMAT,
    "csv": csv.FORMAT,
}
"""By the ending of an output and for `--format`."""


def open_writer(output: str, format: str | None = None, *, follow: bool = False, defuse: bool = True) -> Writer:
    """A writer to the file *output*, or to stdout for `-`; UsageError if it cannot be written to. See `Format.open`."""
    return format_of(output, format, defuse=defuse).open(output, follow=follow)


def format_of(output: str, format: str | None = None, *, defuse: bool = True) -> Format:
    """The format of *output*; UsageError if neither its ending nor *format* names one.

    *format* is one of FORMATS, with or without `.gz`. Without it the ending decides, and stdout gets JSONL. *defuse*
    keeps spreadsheets from running cells of a CSV file, see csv.py.
    """
    if not output:
        raise UsageError("name a file to write to, or - for stdout")
    kind, compressed = _kind(output, format)
    plain = FORMATS[kind] if defuse else FORMATS[kind].raw
    form = plain.gzip if compressed else plain
    if form is None or (output == "-" and plain.gzip is None):
        raise UsageError(f"{plain.name} is no stream of bytes: name an output that is not stdout, without .gz")
    return form


def format_named(name: str) -> Format | None:
    """The format that a state names."""
    plain = [form for one in FORMATS.values() for form in (one, one.raw)]
    return next((form for one in plain for form in (one, one.gzip) if form and form.name == name), None)


def endings(dot: str = "") -> str:
    """What may be asked for, for people."""
    return ", ".join(f"{dot}{kind}[.gz]" if form.gzip else f"{dot}{kind}" for kind, form in FORMATS.items())


def _kind(output: str, format: str | None) -> tuple[str, bool]:
    """The format's key in FORMATS, and whether to compress."""
    file = output.rpartition("/")[2].lower()
    if format is not None:
        name = format.lower().removeprefix(".")
        kind = name.removesuffix(".gz")
        if kind not in FORMATS:
            raise UsageError(f"--format {format!r} is not known; choose from {endings()}")
        return kind, ".gz" in (name[-3:], file[-3:])
    if output == "-":
        return "jsonl", False
    _, dot, kind = file.removesuffix(".gz").rpartition(".")
    if not dot or kind not in FORMATS:
        what = f"{dot}{kind} is no format here" if dot and kind else "it has no ending that names a format"
        raise UsageError(f"{output}: {what}: end it in {endings('.')}, or name one, as in --format jsonl")
    return kind, file.endswith(".gz")
