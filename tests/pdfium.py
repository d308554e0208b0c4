"""A PDFium that does what hostile PDFs do to the real one: for a helper process that finds it before that."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_CODE: Final = """
import os, signal, sys

here = __path__[0].rpartition("/")[0]
before = sys.path[:]
sys.path[:] = [place for place in sys.path if place != here]
del sys.modules["pypdfium2"]
import pypdfium2
sys.path[:] = before
Real = pypdfium2.PdfDocument
kept = []

def document(body):
    if b"CRASH" in body:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"KILL" in body:
        os.kill(os.getpid(), signal.SIGKILL)
    if b"ABORT" in body:
        os.abort()
    while b"HANG" in body:
        pass
    if b"EXIT" in body:
        os._exit(7)
    if b"RAISE" in body:
        raise ValueError("no way")
    if b"MEMORY" in body:
        bytearray(1 << 30)
    if b"LARGE" in body:
        kept.append(b"x" * (200 << 20))
    return Real(body)

pypdfium2.PdfDocument = document
"""


def write_hostile_pdfium(folder: Path) -> None:
    """Write it into *folder*, which has to come first on the helper's path."""
    package = folder / "pypdfium2"
    package.mkdir()
    (package / "__init__.py").write_text(_CODE, encoding="utf-8")
