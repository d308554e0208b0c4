"""The table of export formats, one module each. Options, help and messages take their names from here."""

from __future__ import annotations

from typing import Final

from crawler.errors import UsageError
from crawler.export.formats import csv, jsonl, llms, markdown, parquet, sitemap, sqlite
from crawler.export.packers import PACKERS
from crawler.export.shape import ALL_FIELDS, Shape
from crawler.export.writer import Format, Writer

FORMATS: Final[dict[str, Format]] = {
    "jsonl": jsonl.FORMAT,
    "ndjson": jsonl.FORMAT,
    "csv": csv.FORMAT,
    "sqlite": sqlite.FORMAT,
    "db": sqlite.FORMAT,
    "parquet": parquet.FORMAT,
    "md": markdown.FORMAT,
    "xml": sitemap.FORMAT,
    "llms.txt": llms.FORMAT,
}
"""By the ending of an output and for `--format`."""
_ALIASES: Final = {"markdown": "md", "sitemap": "xml", "sitemap.xml": "xml", "llms": "llms.txt", "sqlite3": "sqlite"}
"""Other names for `--format`, and endings."""


def open_writer(output: str, format: str | None = None, shape: Shape = ALL_FIELDS, *, follow: bool = False) -> Writer:
    """A writer to the file *output*, or to stdout for `-`; UsageError if it cannot be written to. See `Format.open`."""
    return format_of(output, format, shape).open(output, follow=follow)


def format_of(output: str, format: str | None = None, shape: Shape = ALL_FIELDS) -> Format:
    """The format of *output*, with rows of *shape*; UsageError if neither its ending nor *format* names one.

    *format* is one of FORMATS, with or without `.gz` or `.zst`. Without it the ending decides, and stdout gets JSONL.
    """
    if not output:
        raise UsageError("name a file to write to, or - for stdout")
    kind, packing = _kind(output, format)
    plain = FORMATS[kind].shaped(shape)
    form = plain.packed(packing) if packing else plain
    if form is None or (output == "-" and plain.packed("gz") is None):
        raise UsageError(f"{plain.name} is no stream of bytes: name an output that is not stdout, without .gz and .zst")
    return form


def format_named(name: str) -> Format | None:
    """The format that a state names."""
    plain = [*FORMATS.values(), csv.FORMAT.shaped(Shape(defuse=False))]
    packed = [form for one in plain for ending in PACKERS if (form := one.packed(ending))]
    return next((form for form in (*plain, *packed) if form.name == name), None)


def endings(dot: str = "") -> str:
    """What may be asked for, for people."""
    return ", ".join(f"{'' if '.' in kind else dot}{kind}{_packings(form)}" for kind, form in FORMATS.items())


def _packings(form: Format) -> str:
    found = "|".join(f".{ending}" for ending in PACKERS if form.packed(ending))
    return f"[{found}]" if found else ""


def _kind(output: str, format: str | None) -> tuple[str, str]:
    """The format's key in FORMATS, and the ending of how it is compressed."""
    file = output.rstrip("/").rpartition("/")[2].lower()
    plain, packing = _unpacked(file)
    if format is not None:
        name, asked = _unpacked(format.lower().removeprefix("."))
        kind = _ALIASES.get(name, name)
        if kind not in FORMATS:
            raise UsageError(f"--format {format!r} is not known; choose from {endings()}")
        return kind, asked or packing
    if output == "-":
        return "jsonl", ""
    _, dot, ending = plain.rpartition(".")
    kind = "llms.txt" if f".{plain}".endswith(".llms.txt") else _ALIASES.get(ending, ending)
    if not dot or kind not in FORMATS:
        what = f"{dot}{ending} is no format here" if dot and ending else "it has no ending that names a format"
        raise UsageError(f"{output}: {what}: end it in {endings('.')}, or name one, as in --format jsonl")
    return kind, packing


def _unpacked(name: str) -> tuple[str, str]:
    """A name without the ending of how it is compressed, and that ending."""
    ending = next((ending for ending in PACKERS if name.endswith(f".{ending}")), "")
    return name.removesuffix(f".{ending}"), ending
