"""Pages made to break crawlers, beside a hundred normal ones: one outcome each, and the others do not notice."""

from __future__ import annotations

import gzip
import threading
from typing import Final

import pytest

from tests.crawl.commands import Commands, Running, outcomes, peak_memory
from tests.crawl.sites import Site, Sites, html
from tests.servers import chunk, drip, endless, head

NORMAL: Final = 100
MOST_MEMORY: Final = 400 * 1024 * 1024
"""Bytes a worker may have in memory at most, whatever comes."""
MOST_LINKS: Final = 200

_HTML: Final = [("Content-Type", "text/html")]


def _gzip_bomb(size: int) -> bytes:
    """*size* bytes of zeros, as few of gzip: members one behind the other, each of a megabyte."""
    member = gzip.compress(bytes(1 << 20), 9)
    return member * (size >> 20)


def _hostile(site: Site) -> dict[str, set[str]]:
    """URL -> the outcomes that are right for it."""
    many = b"<!doctype html>" + b"".join(b"<a href=/many/%d>x</a>" % n for n in range(1_000_000))
    deep = b"<!doctype html>" + b"<div>" * 100_000 + b"deep" + b'<a href="/from-the-deep">x</a>'
    wide = b"<!doctype html><p " + b" ".join(b"a%d=x" % n for n in range(300_000)) + b">wide"
    bomb = _gzip_bomb(300 << 20)
    read = {"fetched", "failed:hang"}  # a matter of how busy the machine is: the limit is 3 s
    site.pages["/never"] = endless(
        chunk(b"more and more " * 512), head(200, [*_HTML, ("Transfer-Encoding", "chunked")])
    )
    site.pages["/drip"] = drip(b"x" * 10_000, each=0.1, before=head(200, [*_HTML, ("Content-Length", "10000")]))
    return {
        site.serve("/many", many, headers=_HTML): read,
        site.serve("/deep", deep, headers=_HTML): read,
        site.serve("/wide", wide, headers=_HTML): read,
        site.serve("/bomb", bomb, headers=[*_HTML, ("Content-Encoding", "gzip")]): read,
        site.url("/never"): {"fetched", "failed:hang", "failed:timeout"},
        site.url("/drip"): {"failed:timeout"},
    }


class _Memory(threading.Thread):
    """Looks at the workers' peaks until told to stop."""

    def __init__(self, going: Running) -> None:
        super().__init__(daemon=True)
        self._going = going
        self._over = threading.Event()
        self.peaks: dict[int, int] = {}

    def run(self) -> None:
        while not self._over.wait(0.05):
            for pid in self._going.workers():
                self.peaks[pid] = max(self.peaks.get(pid, 0), peak_memory(pid))

    def stop(self) -> int:
        """The highest peak, in bytes."""
        self._over.set()
        self.join()
        return max(self.peaks.values())


@pytest.mark.timeout(120)
def test_hostile_pages_beside_normal_ones(commands: Commands, sites: Sites) -> None:
    hostile_site, site = sites.add(), sites.add("127.0.0.2")
    expected = _hostile(hostile_site)
    site.serve("/", html(f"/{n}" for n in range(NORMAL)))
    normal = [site.url("/"), *(site.serve(f"/{n}", html(title=str(n))) for n in range(NORMAL))]
    limits = [
        "-o",
        "out.jsonl",
        "--timeout",
        "3s",
        "--page-timeout",
        "3s",
        "--max-links",
        str(MOST_LINKS),
        "--retries",
        "0",
    ]
    going = commands.start("run", *expected, normal[0], "--delay", "0", "--per-host", "4", "--workers", "2", *limits)
    memory = _Memory(going)
    memory.start()
    done = going.wait(100)
    peak = memory.stop()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    found = outcomes(commands.written("out.jsonl"))
    assert {url: found[url] for url in normal} == dict.fromkeys(normal, "fetched")
    wrong = {url: found.get(url) for url, right in expected.items() if found.get(url) not in right}
    assert not wrong
    assert peak < MOST_MEMORY, f"{peak >> 20} MiB"
    followed = sum(url.startswith(hostile_site.url("/many/")) for url in found)
    assert followed == (MOST_LINKS if found[hostile_site.url("/many")] == "fetched" else 0)
