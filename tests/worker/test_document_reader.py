"""A document that kills its reader, hangs it or wants all memory costs itself alone; what is read comes back whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.parse.documents import are_readable
from crawler.worker.document_reader import DocumentReader
from tests.documents import docx, lines, paragraph, pdf
from tests.pdfium import write_hostile_pdfium
from tests.stories.commands import children, command_line, wait_until

pytestmark = pytest.mark.skipif(not are_readable(), reason="crawler[documents] is not installed")

MOST = 1 << 20
GOOD = pdf([lines("A good document.")])


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DocumentReader]:
    """A reader with a PDFium that does to its process what a PDF says."""
    write_hostile_pdfium(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = DocumentReader()
    yield made
    made.close()


def read(reader: DocumentReader, body: bytes, seconds: float = 60.0) -> tuple[bool, str | None]:
    """Whether its text came back, and the error."""
    found = reader.convert("pdf", body, MOST, seconds)
    return b"A good document." in found.html, found.error


@pytest.mark.parametrize(
    ("deed", "seconds", "error"),
    [
        ("CRASH", 60.0, "it is damaged: its reader was ended by SIGSEGV"),
        ("ABORT", 60.0, "it is damaged: its reader was ended by SIGABRT"),
        ("HANG", 1.0, "reading it took more than 1 s, and was broken off"),
        ("MEMORY", 60.0, "reading it took more than 512 MiB of memory, and was broken off"),
        ("EXIT", 60.0, "its reader ended with exit code 7: are the libraries of crawler[documents] whole?"),
        ("RAISE", 60.0, "it cannot be converted: ValueError: no way"),
    ],
)
def test_each_document_pays_for_itself_alone(reader: DocumentReader, deed: str, seconds: float, error: str) -> None:
    assert read(reader, GOOD) == (True, None)
    assert read(reader, f"%PDF-1.7 {deed}".encode(), seconds) == (False, error)
    assert read(reader, GOOD) == (True, None)


def test_one_helper_reads_all_and_ends_with_its_worker(reader: DocumentReader) -> None:
    read(reader, GOOD)
    helpers = _helpers()
    for _ in range(3):
        assert read(reader, GOOD) == (True, None)
    assert b"in Word" in reader.convert("docx", docx(paragraph("in Word")), MOST, 60.0).html
    assert _helpers() == helpers
    assert reader.cpu > 0
    reader.close()
    assert not set(_helpers()) & set(helpers)


def test_a_helper_that_was_killed_meanwhile_is_replaced(reader: DocumentReader) -> None:
    read(reader, GOOD)
    (helper,) = _helpers()
    os.kill(helper, signal.SIGKILL)
    wait_until(lambda: not command_line(helper), "the end of the helper")
    assert read(reader, GOOD) == (True, None)


def test_a_helper_that_took_much_memory_gives_it_back(reader: DocumentReader) -> None:
    assert read(reader, GOOD) == (True, None)
    before = _helpers()
    assert read(reader, b"%PDF-1.7 LARGE") == (False, "it is no PDF that can be read")
    assert read(reader, GOOD) == (True, None)
    assert _helpers() != before


def _helpers() -> list[int]:
    return [pid for pid in children(os.getpid()) if b"document_reader" in command_line(pid)]
