"""The findings of an earlier check, read from its JSON or JSON Lines, to report only what is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from crawler.errors import UsageError
from crawler.export.files import reason
from crawler.findings import Finding
from crawler.text import counted

_BOM = b"\xef\xbb\xbf"


class _Counts(msgspec.Struct):
    """What is needed of a summary."""

    left_out: int = 0
    known: int = 0


class _Report(msgspec.Struct):
    findings: Sequence[Finding]
    summary: _Counts


def read_baseline(path: str) -> Iterator[Finding]:
    """The findings in the file *path*. UsageError if it is not the output of a check, or lacks some findings."""
    try:
        data = Path(path).read_bytes().removeprefix(_BOM)
    except (OSError, ValueError) as error:
        raise UsageError(f"--baseline {path} cannot be read: {reason(error)}") from None
    try:
        report = msgspec.json.decode(data, type=_Report)
    except msgspec.MsgspecError:
        return _lines(path, data)
    _check_whole(path, report.summary)
    return iter(report.findings)


def _lines(path: str, data: bytes) -> Iterator[Finding]:
    """One finding a line. An empty file is that of a check that found nothing, except where it has to be JSON."""
    if not data.strip() and path.lower().endswith(".json"):
        raise _no_baseline(path, "it is empty")
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=Finding)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise _no_baseline(path, f"line {number} is not a finding") from None


def _check_whole(path: str, counts: _Counts) -> None:
    if counts.left_out:
        missing = f"{counted(counts.left_out, 'finding')} that --max-findings left out"
        raise _no_baseline(path, f"it lacks {missing}: write it without --max-findings")
    if counts.known:
        missing = f"{counted(counts.known, 'finding')} that its own baseline has"
        raise _no_baseline(path, f"it lacks {missing}: name that one, or write this one without --baseline")


def _no_baseline(path: str, why: str) -> UsageError:
    return UsageError(f"--baseline {path} is not the whole JSON or JSON Lines of `crawler check -o`: {why}")
