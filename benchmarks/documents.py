"""Two hundred PDF and DOCX files, half of them damaged, in one crawl: what comes out. `make bench-documents`.

The PDFs are those of Debian's packages; DOCX are made of their HTML by LibreOffice, if it is on PATH. Each file has a
damaged copy: cut in half, with some wrong bytes, or without its directory. First each file is read alone, as a worker
reads it, for time and memory. Then one worker crawls them all from nginx.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import docs, report
from benchmarks.commands import Home, Unexpected
from benchmarks.measure import load, rss_of, tree
from benchmarks.site import SiteError, Sites, exit_on_sigterm
from crawler.parse.documents import kind_of
from crawler.worker.document_reader import DocumentReader

PACKAGES: Final = (
    *("autoconf-doc", "bash-doc", "debian-faq", "debian-faq-de", "debian-faq-fr", "debian-faq-ru", "debian-policy"),
    *("debian-reference-en", "debian-reference-de", "debian-reference-ja", "debmake-doc", "developers-reference"),
    *("developers-reference-de", "developers-reference-ja", "gnuplot-doc", "installation-guide-amd64", "octave-doc"),
    *("libmpfr-doc", "maint-guide-es", "maint-guide-fr", "maint-guide-ja", "maint-guide-zh-cn", "r-doc-pdf"),
    *(
        "debian-faq-it",
        "debian-faq-nl",
        "debian-handbook",
        "debian-reference-fr",
        "debian-reference-zh-tw",
        "maint-guide",
    ),
    *("maint-guide-de", "maint-guide-it", "maint-guide-ru"),
)
OFFICE: Final = "soffice"
"""LibreOffice (Debian: `apt install libreoffice-writer-nogui`)."""
PDFS: Final = 65
DOCXS: Final = 35
WRONG: Final = 20_000
"""One byte of so many is wrong, and three at least."""
MAX_TEXT: Final = 1 << 20
SECONDS: Final = 22.5
HEAD: Final = "| kind | copy | files | fetched | with text | with an error | text, MB | CPU ms, median | most |"


@dataclass(frozen=True, slots=True)
class Read:
    """One file that was read alone."""

    kind: str
    copy: str
    cpu: float
    """Seconds."""


def damaged(body: bytes, how: str) -> bytes:
    """A damaged copy."""
    if how == "cut":
        return body[: len(body) // 2]
    if how == "no directory":  # an xref table, or a ZIP's central directory
        at = max(body.rfind(b"xref"), body.find(b"PK\x01\x02"))
        return body[:at] + random.Random(1).randbytes(len(body) - at)
    dice, copy = random.Random(1), bytearray(body)
    for _ in range(max(3, len(copy) // WRONG)):
        copy[dice.randrange(len(copy))] = dice.randrange(256)
    return bytes(copy)


def collect(into: Path) -> None:
    """Write the files, and a page that links to them all."""
    roots = [docs.fetched(docs.Package(name, "usr/share/doc")) for name in PACKAGES]
    files = [*_pdfs(roots), *_docxs(roots)]
    for number, (name, body) in enumerate(files):
        (into / f"{number:03}-whole-{name}").write_bytes(body)
        how = ("cut", "bytes", "no directory")[number % 3]
        (into / f"{number:03}-{how.replace(' ', '_')}-{name}").write_bytes(damaged(body, how))
    links = "".join(f"<p><a href='{path.name}'>{path.name}</a>" for path in sorted(into.iterdir()))
    (into / "index.html").write_text(f"<title>Files</title>{links}", encoding="utf-8")


def _pdfs(roots: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Of each package in turn."""
    found = [
        path for root in roots for path in sorted(root.rglob("*.pdf*")) if path.is_file() and not path.is_symlink()
    ]
    found.sort(key=lambda path: path.stat().st_size)
    step = max(len(found) / PDFS, 1.0)
    for at in range(min(PDFS, len(found))):
        path = found[int(at * step)]
        raw = path.read_bytes()
        yield f"{path.name.partition('.pdf')[0]}.pdf", gzip.decompress(raw) if path.suffix == ".gz" else raw


def _docxs(roots: list[Path]) -> Iterator[tuple[str, bytes]]:
    if shutil.which(OFFICE) is None:
        print(f"no DOCX: {OFFICE} is not on PATH (Debian: apt install libreoffice-writer-nogui)", file=sys.stderr)
        return
    every = [path for root in roots for path in sorted(root.rglob("*.html")) if path.is_file()]
    pages = [path for path in every if 8_000 < path.stat().st_size < 200_000]
    with tempfile.TemporaryDirectory(prefix="crw-office-") as folder:
        sources = [Path(folder) / f"{number}.html" for number in range(DOCXS)]
        for source, page in zip(sources, pages[:: max(len(pages) // DOCXS, 1)], strict=False):
            source.write_bytes(page.read_bytes())
        made = [f"-env:UserInstallation=file://{folder}/profile", "--convert-to", "docx:MS Word 2007 XML"]
        command = [OFFICE, "--headless", *made, "--outdir", folder, *map(str, sources)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        for path in sorted(Path(folder).glob("*.docx")):
            yield path.name, path.read_bytes()


def read_alone(folder: Path) -> tuple[list[Read], int]:
    """Each file by itself; and the most memory that the helper held, in bytes."""
    reader, found, most = DocumentReader(), [], 0
    for path in sorted(folder.glob("*-*.*")):
        kind = kind_of("", path.read_bytes()) or ("pdf" if path.suffix == ".pdf" else "docx")
        reader.convert(kind, path.read_bytes(), MAX_TEXT, SECONDS)
        found.append(Read(kind, path.name.split("-")[1], reader.cpu))
        most = max(most, *(rss_of(pid) for pid in tree(os.getpid())[1:]), 0)
    reader.close()
    return found, most


def crawl(folder: Path) -> tuple[list[dict[str, Any]], float, int]:
    """The records of one worker's crawl, its seconds, and the most memory of the worker and its helper, in bytes."""
    most, began = 0, time.monotonic()
    with Sites({"site": folder}) as sites, Home() as home:
        going = home.start("run", *sites.urls, "-n", "1", "--delay", "0", "--per-host", "8", "-o", "pages.jsonl")
        while going.process.poll() is None:
            most = max([most, *(rss_of(pid) for worker in going.workers() for pid in tree(worker))])
            time.sleep(0.05)
        took = time.monotonic() - began
        going.wait()
        if "worker" in going.err:
            raise Unexpected(f"a worker died: {going.err}")
        return home.records(), took, most


def rows(records: list[dict[str, Any]], alone: list[Read]) -> Iterator[str]:
    """The table's lines."""
    named = {record["url"].rpartition("/")[2]: record for record in records if "-" in record["url"]}
    for kind in ("pdf", "docx"):
        for copy in ("whole", "cut", "bytes", "no_directory"):
            own = [record for name, record in named.items() if name.endswith(kind) and name.split("-")[1] == copy]
            cpu = sorted(1000 * each.cpu for each in alone if (each.kind, each.copy) == (kind, copy))
            text = sum(len(record.get("text", "").encode()) for record in own) / 1e6
            yield (
                f"| {kind} | {copy.replace('_', ' ')} | {len(own)} "
                f"| {sum(record['outcome'] == 'fetched' for record in own)} "
                f"| {sum(bool(record.get('text')) for record in own)} | {sum('error' in record for record in own)} "
                f"| {text:.1f} | {statistics.median(cpu) if cpu else 0:.0f} | {max(cpu, default=0):.0f} |"
            )


def main() -> int:
    """Read and crawl whole and damaged documents."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.documents", description=main.__doc__)
    parser.parse_args()
    exit_on_sigterm()
    print(report.machine(load()))
    try:
        with tempfile.TemporaryDirectory(prefix="crw-files-") as folder:
            collect(Path(folder))
            alone, most_alone = read_alone(Path(folder))
            records, took, most = crawl(Path(folder))
    except (SiteError, Unexpected) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{HEAD}\n|---|---|--:|--:|--:|--:|--:|--:|--:|", *rows(records, alone), sep="\n")
    errors = Counter(re.sub(r"[\d,]+", "N", record["error"]) for record in records if "error" in record)
    print("\nerrors:", *(f"{count:>5}  {words}" for words, count in errors.most_common()), sep="\n")
    print(
        "\nlanguages:",
        ", ".join(f"{name} {n}" for name, n in Counter(r.get("lang") for r in records if r.get("text")).most_common()),
    )
    print(f"\n{len(alone)} files, {len(records)} URLs crawled in {took:.0f} s by one worker; no worker died")
    print(
        f"most memory: the helper {most_alone / 1e6:.0f} MB, in the crawl the worker or its helper {most / 1e6:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
