"""A document that kills its reader, hangs it or wants all memory costs itself alone; what is read comes back whole."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.parse.documents import are_readable
from crawler.worker.document_reader import DocumentReader
from tests.documents import docx, lines, paragraph, pdf, raw_pdf, stream
from tests.pdfium import write_hostile_pdfium
from tests.stories.commands import command_line, wait_until

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
        ("CRASH", 60.0, "its reader was ended by SIGSEGV: it is damaged, or takes more than 512 MiB of memory"),
        ("ABORT", 60.0, "its reader was ended by SIGABRT: it is damaged, or takes more than 512 MiB of memory"),
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
    assert reader.pid is None
    read(reader, GOOD)
    helper = reader.pid
    assert helper is not None
    for _ in range(3):
        assert read(reader, GOOD) == (True, None)
    assert b"in Word" in reader.convert("docx", docx(paragraph("in Word")), MOST, 60.0).html
    assert reader.pid == helper
    assert reader.cpu > 0
    reader.close()
    assert not command_line(helper)


def test_a_helper_that_was_killed_meanwhile_is_replaced(reader: DocumentReader) -> None:
    read(reader, GOOD)
    helper = reader.pid
    assert helper is not None
    os.kill(helper, signal.SIGKILL)
    wait_until(lambda: not command_line(helper), "the end of the helper")
    assert read(reader, GOOD) == (True, None)
    assert read(reader, b"%PDF-1.7 KILL") == (False, "reading it took more than 512 MiB of memory, and was broken off")
    assert reader.start()
    assert not reader.start()


def test_a_helper_that_took_much_memory_gives_it_back(reader: DocumentReader) -> None:
    assert read(reader, GOOD) == (True, None)
    helper = reader.pid
    assert read(reader, b"%PDF-1.7 LARGE") == (False, "it is damaged: none of its pages was found")
    assert helper is not None
    assert not command_line(helper)
    assert read(reader, GOOD) == (True, None)


def _bombs() -> dict[str, bytes]:
    """PDFs that are small and want everything, each for PDFium itself."""
    nested = [
        (10 + at, stream("/X Do /X Do" if at < 29 else "", f"/Subtype/Form/BBox[0 0 9 9]{_xobject(11 + at)}"))
        for at in range(30)
    ]
    links = "".join(f"<</Subtype/Link/Rect[1 1 2 2]/A<</S/URI/URI(/{n})>>>>" for n in range(50_000))
    return {
        "text": raw_pdf(stream("BT /F 10 Tf 72 700 Td " + "(abcdefgh) Tj " * 5_000_000 + " ET")),
        "forms": raw_pdf(stream("/X Do"), f"{_xobject(10)}", nested),
        "links": raw_pdf(stream("BT /F 10 Tf 72 700 Td (few words) Tj ET"), f"/Annots[{links}]"),
        "pages": raw_pdf(stream(""), kids="3 0 R " * 300_000),
        "loop": raw_pdf(stream(""), kids="2 0 R 2 0 R"),
        "arrays": b"%PDF-1.7\n1 0 obj\n" + b"[" * 500_000 + b"\nendobj\ntrailer <</Root 1 0 R>>",
    }


def _xobject(number: int) -> str:
    return f"/Resources<</Font<</F 5 0 R>>/XObject<</X {number} 0 R>>>>"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(_bombs()))
def test_bombs_end_in_time_and_the_next_document_is_read(name: str) -> None:
    reader = DocumentReader()
    body, began = _bombs()[name], time.monotonic()
    found = reader.convert("pdf", body, MOST, 10.0)
    took = time.monotonic() - began
    assert took < 60.0  # 10 s, and what a busy machine adds to start and end a process
    assert len(found.html) < 20 * MOST
    assert found.error is not None or name == "links"
    assert read(reader, GOOD) == (True, None)
    reader.close()
