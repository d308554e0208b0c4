"""What a check found, in each form: for people, for browsers, for programs that build and review sites."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, TextIO

from crawler.check.outputs.github import github
from crawler.check.outputs.html import html
from crawler.check.outputs.junit import junit
from crawler.check.outputs.rows import csv, json, json_lines
from crawler.check.outputs.sarif import sarif
from crawler.check.outputs.table import table, wants_color
from crawler.check.summary import Summary
from crawler.errors import OutputError, UsageError
from crawler.export.bucket import is_url
from crawler.export.files import mode_of, reason
from crawler.export.target import open_target
from crawler.findings import Finding
from crawler.text import did_you_mean

__all__ = ("ENDINGS", "FORMS", "Output", "outputs_of", "table", "wants_color", "write")

Form = Callable[[Sequence[Finding], Summary], Iterator[str]]
"""Makes the pieces of a file."""


def _table(findings: Sequence[Finding], summary: Summary) -> Iterator[str]:
    yield table(findings, summary)


FORMS: Final = MappingProxyType(
    {
        "table": _table,
        "html": html,
        "json": json,
        "jsonl": json_lines,
        "csv": csv,
        "junit": junit,
        "sarif": sarif,
        "github": github,
    }
)
"""By the names that `--format` takes."""
ENDINGS: Final = MappingProxyType(
    {
        **{".html": "html", ".htm": "html", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"},
        **{".csv": "csv", ".xml": "junit", ".sarif": "sarif", ".sarif.json": "sarif", ".txt": "table"},
    }
)
"""The end of a file's name, and the form that it selects."""
_BATCH: Final = 1 << 16
"""Characters that are written at once."""


class Output(NamedTuple):
    """One value of `-o`."""

    name: str
    """A file, or - for stdout."""
    form: str


def outputs_of(names: Iterable[str], form: str | None = None, baseline: str | None = None) -> list[Output]:
    """The outputs to write, one of them stdout. UsageError, before anything is checked, if one cannot be written.

    The ending of a name selects its form, else *form*, which `--format` names. Stdout gets *form* if no file does. The
    *baseline* must stay: an output lacks what it has.
    """
    if form is not None and form not in FORMS:
        known = f"one of {', '.join(FORMS)} is needed"
        raise UsageError(f"--format {form}: there is no such format; {did_you_mean(form, FORMS, known)}")
    found = [Output(name, _form_of(name, form)) for name in names]
    for number, output in enumerate(found):
        if any(_is_same(output.name, other.name) for other in found[:number]):
            raise UsageError(f"-o {output.name} is named twice: each output needs a file of its own")
        if baseline is not None and _is_same(output.name, baseline):
            raise UsageError(f"-o {output.name} would replace the baseline by what is new alone: name another file")
        _check_writable(output.name)
    if not any(output.name == "-" for output in found):
        is_taken = any(output.form == form for output in found)
        found.append(Output("-", "table" if form is None or is_taken else form))
    return found


def _form_of(name: str, form: str | None) -> str:
    lower = name.lower()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if lower.endswith(ending):
            return ENDINGS[ending]
    if form is not None or name == "-":
        return form or "table"
    raise UsageError(f"-o {name}: end the name with one of {', '.join(ENDINGS)}, or name the format with --format")


def _is_same(name: str, other: str) -> bool:
    return name == other or (name != "-" != other and os.path.realpath(name) == os.path.realpath(other))


def _check_writable(name: str) -> None:
    """UsageError if *name* cannot be written to. A pipe or a device is not opened: that may wait for its reader."""
    if name == "-" or is_url(name):
        return
    try:
        mode = mode_of(Path(name))
    except (OSError, ValueError) as error:
        raise UsageError(f"{name} cannot be written to: {reason(error)}") from None
    if not mode or stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        open_target(name, follow=False).abort()


def write(findings: Sequence[Finding], summary: Summary, place: str | Path | TextIO, form: str) -> None:
    """Write *findings* in the *form* to a file, to stdout (`-`) or to a stream. A file is replaced as a whole.

    UsageError says why it could not be written, and what is there now.
    """
    pieces = _batches(_pieces(findings, summary, place, form))
    if not isinstance(place, str | Path):
        for piece in pieces:
            place.write(piece)
        return
    target = open_target(str(place), follow=False)
    try:
        for piece in pieces:
            target.write([piece.encode("utf-8", "replace")])
        target.finish()
    except BrokenPipeError:
        target.abort()
        raise
    except (OSError, OutputError) as error:
        target.abort()
        name = "stdout" if place == "-" else place
        rest = "" if target.live else f"; {target.kept}"
        raise UsageError(f"{name} cannot be written: {reason(error)}{rest}") from None
    except BaseException:
        target.abort()
        raise


def _pieces(findings: Sequence[Finding], summary: Summary, place: str | Path | TextIO, form: str) -> Iterable[str]:
    """The pieces of the form; a terminal gets a table of its width, with colors if it wants them."""
    stream = sys.stdout if place == "-" else place
    if form == "table" and not isinstance(stream, str | Path) and stream is not None and stream.isatty():
        return [table(findings, summary, shutil.get_terminal_size((80, 24)).columns, color=wants_color(stream))]
    return FORMS[form](findings, summary)


def _batches(pieces: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _BATCH:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)
