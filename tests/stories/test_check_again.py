"""A second check asks only for what may have changed, and knows since when; hosts that are busy are waited for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from tests.servers import Call
from tests.stories.check_pages import Expected, Page, secure
from tests.stories.check_site import tls_of
from tests.stories.commands import Commands, Done
from tests.stories.sites import Site, Sites

pytestmark = pytest.mark.slow

OPTIONS = ("--delay", "0", "--allow-private", "--workers", "1", "--plain", "--ignore", "notice")


def revalidated(body: bytes, status: int = 200) -> Callable[[Call], object]:
    """An answer with an ETag, which is not sent again to a client that has it."""
    etag = f'"{hash(body):x}"'

    def answer(call: Call) -> None:
        known = call.seen.headers.get("if-none-match") == etag
        call.answer(b"" if known else body, 304 if known else status, [("ETag", etag)])

    return answer


def serve(site: Site, path: str, *body: str) -> None:
    """A page with nothing wrong but what is in *body*."""
    site.pages[path] = revalidated(Page(site, path, Expected(), body=list(body)).source())


def checked(commands: Commands, *arguments: str, code: int = 1) -> dict[tuple[str, str], dict[str, Any]]:
    """The findings of a check, by code and target."""
    done = commands.run("check", *arguments, *OPTIONS, "-o", "-", "--format", "json")
    assert done.code == code, done.err
    return findings(done)


def findings(done: Done) -> dict[tuple[str, str], dict[str, Any]]:
    """The findings that a command has printed."""
    return {(finding["code"], finding["target"]): finding for finding in json.loads(done.out)["findings"]}


def asked(*sites: Site) -> dict[str, int]:
    """How often each URL was asked for since the last call."""
    counts = {site.url(path): times for site in sites for path, times in site.asked_of_pages().items()}
    for site in sites:
        site.seen.clear()
    return counts


def test_a_certificate_that_expires_is_seen_where_nothing_has_changed(commands: Commands, sites: Sites) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(commands.base / "authority.pem")
    commands.env["SSL_CERT_FILE"] = str(commands.base / "authority.pem")
    site = secure(sites, "127.0.0.1", tls_of(authority, days=5))
    serve(site, "/", '<a href="/b">b</a>')
    serve(site, "/b", '<a href="/">home</a>')
    finding = ("certificate-expiring", site.url("/"))
    assert list(checked(commands, site.url("/"), code=0)) == [finding]
    time.sleep(1.1)
    assert list(checked(commands, site.url("/"), code=0)) == [finding]
    assert [seen.headers.get("if-none-match") is None for seen in site.seen if seen.path == "/"] == [True, False]


def test_another_check_reads_what_changed_and_knows_since_when(commands: Commands, sites: Sites) -> None:
    main, other = sites.add(), sites.add("127.0.0.2")
    fine, gone = other.serve("/fine", b"x"), other.url("/gone")
    serve(main, "/", '<a href="/a">a</a>', '<a href="/b">b</a>', f'<a href="{fine}">f</a>', f'<a href="{gone}">g</a>')
    serve(main, "/a", '<a href="/x">x</a>')
    serve(main, "/b", '<a href="/">home</a>')
    home = main.url("/")
    first = checked(commands, home, "-o", "first.json")
    assert set(first) == {("broken", main.url("/x")), ("broken", gone)}
    asked(main, other)
    time.sleep(1.1)
    serve(main, "/x", "it is there now")
    serve(main, "/b", "a line more", '<a href="/">home</a>', '<a href="/y">y</a>')
    new = checked(commands, home, "--baseline", "first.json", "-o", "second.json")
    assert list(new) == [("broken", main.url("/y"))]
    assert json.loads((commands.folder / "second.json").read_text())["summary"]["gone"] == 1
    counts = asked(main, other)
    assert fine not in counts, "a good target elsewhere is asked for once a day"
    assert {url for url, times in counts.items() if times > 2} == set()
    assert {home, main.url("/a"), main.url("/b"), main.url("/x"), main.url("/y"), gone} == set(counts)
    third = checked(commands)
    assert set(third) == {("broken", main.url("/y")), ("broken", gone)}
    assert third["broken", gone]["since"] == first["broken", gone]["since"]
    assert third["broken", main.url("/y")]["since"] > first["broken", gone]["since"]
    assert third["broken", main.url("/y")]["pages"][0]["url"] == main.url("/b")


class Flaky:
    """A host that lets one request through and asks each second one to wait, slowly, and sometimes hangs up."""

    def __init__(self, site: Site, wait: int) -> None:
        self.site, self.wait = site, wait
        self.gaps: list[float] = []
        """Seconds between an answer that asked to wait and the next request."""
        self._count = 0
        self._busy_at: float | None = None
        self._lock = threading.Lock()
        site.otherwise = self

    def __call__(self, call: Call) -> None:
        if call.seen.target == "/robots.txt":
            call.answer(b"", 404)
            return
        with self._lock:
            if self._busy_at is not None:
                self.gaps.append(call.seen.time - self._busy_at)
            self._count += 1
            count = self._count
        call.wait(0.3)
        if count % 2 == 0:
            call.answer(b"", 429 if count % 4 else 503, [("Retry-After", str(self.wait))])
            self._busy_at = time.monotonic()
        elif count % 7 == 0:
            call.reset()
        else:
            self._busy_at = None
            call.answer(b"fine")


def test_a_busy_host_is_waited_for_and_never_called_broken(commands: Commands, sites: Sites) -> None:
    main, other = sites.add(), sites.add("127.0.0.2")
    flaky = Flaky(other, wait=2)
    serve(main, "/", *(f'<a href="{other.url(f"/{n}")}">{n}</a>' for n in range(5)))
    found = checked(commands, main.url("/"), "--retries", "9", code=0)
    assert found == {}
    assert len(flaky.gaps) >= 2
    assert min(flaky.gaps) >= flaky.wait - 0.05
