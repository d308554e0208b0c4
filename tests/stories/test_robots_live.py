"""The behaviours of RFC 9309 in live crawls: what an answer to robots.txt means for the pages, by the hosts' logs.

`tests/policy/test_robots.py` asks the parser; here each behaviour is a host of its own, all but three
in one crawl.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from crawler.frontier.keys import Keys
from tests.redis_for_tests import PrivateRedis
from tests.servers import Behaviour, Call, broken, endless, head, page, silence
from tests.stories.commands import Commands, Running, by_url, outcomes, peak_memory, wait_until
from tests.stories.sites import ROBOTS, Site, Sites, closed_port, html

pytestmark = pytest.mark.slow

DATA: Final = Path(__file__).parent.parent / "data" / "robots" / "rfc9309_http.jsonl"
CASES: Final[dict[str, Any]] = {
    case["id"]: case for case in map(json.loads, DATA.read_text(encoding="utf-8").splitlines())
}
ELSEWHERE: Final = {
    **dict.fromkeys(("cache_24h", "cache_stale_on_5xx"), "test_rules_hold_for_a_day"),
    "one_fetch_many_workers": "test_many_workers_ask_once",
}
"""Behaviours that need a crawl of their own, and the test that has it."""

OURS: Final = {
    "429": "failed:robots",
    "redirect_6": "fetched",
    "redirect_loop": "fetched",
    "redirect_to_private": "fetched",
    "gzip_bomb": "fetched",
}
"""What we do where the RFC leaves it open."""

BY_FAULT: Final = {
    "conn_refused": "failed:connect",
    "timeout": "failed:timeout",
    "dns_failure": "failed:dns",
    "reset_mid_body": "failed:connect",
}
"""How the pages of a host end whose robots.txt is not answered: as its last trouble."""

AGENT: Final = "ExampleBot/2.1 (+http://example.com/bot)"
TIMEOUT: Final = 4.0
"""Seconds a fetch may take: none does on loopback, however busy the machine, but the one that is never answered."""
RULE: Final = b"User-agent: *\nDisallow: /x\n"
COMMENT: Final = b"# comment\n"
PLAIN: Final = ("Content-Type", "text/plain")
MAX_MEMORY: Final = 200 << 20
"""Bytes that a worker may need beside a bomb of 1 GiB."""


def _bomb(size: int) -> bytes:
    """gzip of *size* zeros, made of one block many times, without its checksum."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * (size >> 20)


BY_HAND: Final[dict[str, Behaviour]] = {
    "timeout": silence,
    "reset_mid_body": broken(head(200, [PLAIN, ("Content-Length", "1000")]) + RULE),
    "rules_before_500KiB": page(RULE + COMMENT * (1 << 20), headers=[PLAIN]),
    "rule_at_499KiB": page(COMMENT * (499 * 1024 // len(COMMENT)) + RULE, headers=[PLAIN]),
    "infinite_body": endless(COMMENT * 4096, head(200, [PLAIN]) + RULE),
    "gzip_bomb": page(_bomb(1 << 30), headers=[PLAIN, ("Content-Encoding", "gzip")]),
}
"""Answers that the data describe in words."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host that answers as one behaviour says: of each URL whether it may be asked for, or "either"."""

    case: str
    expected: Mapping[str, bool | str]
    site: Site | None = None
    """None where nobody can answer."""

    @property
    def denied(self) -> str:
        """The outcome of a page that may not be asked for."""
        response = CASES[self.case]["robots_response"]
        if "fault" in response:
            return BY_FAULT[self.case]
        return "failed:robots" if response.get("status", 200) >= 500 else "dropped:robots"

    def check(self, found: Mapping[str, str]) -> None:
        """AssertionError unless each page ended as it must and only those were asked for that may be."""
        for url, allowed in self.expected.items():
            outcome = OURS[self.case] if allowed == "either" else "fetched" if allowed else self.denied
            assert found[url] == outcome, f"{self.case}: {url}"
        if self.site is not None:
            targets = [self.site.path_of(url) for url in self.expected if found[url] == "fetched"]
            asked = {target: count for target, count in self.site.asked().items() if "/robots-" not in target}
            assert asked == {ROBOTS: 1} | {target: 1 + (target == ROBOTS) for target in targets}, self.case


def _answer(case: str, response: Mapping[str, Any]) -> Behaviour:
    """The final answer to robots.txt."""
    if case in BY_HAND:
        return BY_HAND[case]
    body = response["body_latin1"].encode("latin-1") if "body_latin1" in response else response.get("body", "").encode()
    headers = [("Content-Type", response.get("content_type", "text/plain"))]
    if response.get("content_encoding") == "gzip":
        body, headers = gzip.compress(body), [*headers, ("Content-Encoding", "gzip")]
    return page(body, response["status"], headers)


def _redirects(site: Site, last: Site, case: str, response: Mapping[str, Any]) -> None:
    """robots.txt redirects from hop to hop on *site*; the last one leads to *last*."""
    loop = response["redirects"] == "loop"
    hops = 2 if loop else response["redirects"]
    targets = [ROBOTS, *(f"/robots-{case}-{n}" for n in range(1, hops + 1))]
    for here, there in pairwise(targets):
        site.redirect(here, (last if there == targets[-1] else site).url(there))
    last.pages[targets[-1]] = page(b"", 302, [("Location", targets[1])]) if loop else _answer(case, response["then"])


def _host(case: str, sites: Sites, other: Site, private: Site) -> list[Host]:
    """The hosts of a behaviour, served."""
    response, expected = CASES[case]["robots_response"], CASES[case]["expected"]
    if case in ("conn_refused", "dns_failure"):
        authority = f"127.0.0.1:{closed_port()}" if case == "conn_refused" else "nosuch.invalid"
        return [Host(case, {f"http://{authority}{path}": may for path, may in expected.items()})]
    if case == "per_authority":
        pair = [sites.add(), sites.add()]
        pair[0].robots = b"User-agent: *\nDisallow: /\n"
        return [Host(case, {pair[n].serve("/x", html()): bool(n)}, pair[n]) for n in (0, 1)]
    site = sites.add()
    urls = {site.url(path) if path == ROBOTS else site.serve(path, html()): may for path, may in expected.items()}
    if case == "redirect_to_private":
        site.redirect(ROBOTS, private.url(ROBOTS))
    elif "redirects" in response:
        _redirects(site, other if "to" in response else site, case, response)
    else:
        site.pages[ROBOTS] = _answer(case, response)
    return [Host(case, urls, site)]


def _measuring(peaks: list[int], running: list[Running]) -> Behaviour:
    """A page during whose transfer the memory of all workers is looked at."""

    def answer(call: Call) -> None:
        wait_until(lambda: running, "the command to be known")
        peaks.extend(peak_memory(pid) for pid in running[0].workers())
        call.answer(html())

    return answer


def test_each_behaviour_is_crawled() -> None:
    """The data are whole, and each of their cases is met by one of the tests here."""
    assert len(CASES) == 48
    assert ELSEWHERE.keys() < CASES.keys()
    assert set(ELSEWHERE.values()) <= globals().keys()
    assert OURS.keys() == {
        case for case in CASES.keys() - ELSEWHERE.keys() if "either" in CASES[case]["expected"].values()
    }


def test_behaviours_of_rfc_9309(commands: Commands, sites: Sites) -> None:
    """One crawl of all hosts, each of which answers in a way of its own: nothing that is disallowed is asked for."""
    other, private = sites.add(), sites.add("127.0.0.9")
    hosts = [host for case in CASES.keys() - ELSEWHERE.keys() for host in _host(case, sites, other, private)]
    hosts.append(Host("redirect_cross_authority", {other.serve("/x", html()): True}, other))
    peaks: list[int] = []
    running: list[Running] = []
    for bombed in (host.site for host in hosts if host.case == "gzip_bomb" and host.site):
        bombed.pages["/x"] = _measuring(peaks, running)
    began = time.monotonic()
    options = ("--delay", "0", "--timeout", f"{TIMEOUT:g}s", "--host-patience", "2s", "--user-agent", AGENT)
    urls = [url for host in hosts for url in host.expected]
    running.append(commands.start("run", *urls, *options, "--workers", "4", "-o", "-"))
    done = running[0].wait()
    assert done.code == 0, done.err
    found = outcomes(by_url(done.records()))
    assert found.keys() == set(urls)
    for host in hosts:
        host.check(found)
    assert private.connections == 0
    assert peaks and max(peaks) < MAX_MEMORY
    cases = {host.case for host in hosts}
    print(f"{len(cases)} behaviours of robots.txt in one crawl of {time.monotonic() - began:.1f} s")


def test_many_workers_ask_once(commands: Commands, sites: Sites) -> None:
    """While four workers, each with one transfer at most, are at work, one of them asks for a host's robots.txt."""
    together = threading.Barrier(4)
    site, gates = sites.add(), [sites.add() for _ in range(3)]

    def meet(body: bytes) -> Behaviour:
        def answer(call: Call) -> None:
            together.wait(TIMEOUT * 4)
            call.answer(body)

        return answer

    for gate in gates:
        gate.pages["/"] = meet(html())
    site.pages[ROBOTS] = meet(b"User-agent: *\nDisallow: /9\n")
    pages = [site.serve(f"/{n}", html()) for n in range(12)]
    urls = [*pages, *(gate.url("/") for gate in gates)]
    options = ("--delay", "0", "--workers", "4", "--concurrency", "1", "--per-host", "4")
    done = commands.run("run", *urls, *options, "-o", "-")
    assert done.code == 0, done.err
    assert outcomes(by_url(done.records())) == dict.fromkeys(urls, "fetched") | {pages[9]: "dropped:robots"}
    assert not together.broken
    assert site.asked() == {ROBOTS: 1} | {f"/{n}": 1 for n in range(12) if n != 9}


def test_a_user_agent_that_robots_txt_cannot_name_is_said(commands: Commands, sites: Sites) -> None:
    """By each command that takes one, with the name that its groups are read for; the rules stay those of the RFC."""
    site = sites.add()
    site.robots = b"User-agent: bot\nDisallow: /x\n"
    url, agent = site.serve("/y", html()), ["--user-agent", "bot3/1.0"]
    for command in (["fetch", url, *agent], ["seed", url, *agent], ["run", *agent], ["set", "user-agent", "bot3/2.0"]):
        done = commands.run(*command)
        assert done.code == 0, done.err
        assert "robots.txt cannot name 'bot3'" in done.err
        assert "groups for 'bot'" in done.err
    assert "cannot name" not in commands.run("fetch", url, "--user-agent", "bot/3").err
    assert site.asked()["/y"] == 3


def test_rules_hold_for_a_day(redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites) -> None:
    """For 24 hours nobody asks again; then it is asked for, and while it cannot be had nothing more is."""
    commands = commands_on(redis_server.url)
    fresh, stale = sites.add(), sites.add()
    for site in (fresh, stale):
        site.robots = b""
        for path in ("/x", "/y", "/z"):
            site.serve(path, html())

    def crawl(path: str, robots_asked: int) -> list[str]:
        urls = [site.url(path) for site in (fresh, stale)]
        done = commands.run("run", *urls, "--delay", "0", "--host-patience", "1s", "--workers", "1", "-o", "-")
        assert done.code == 0, done.err
        assert [site.asked()[ROBOTS] for site in (fresh, stale)] == [robots_asked] * 2
        found = outcomes(by_url(done.records()))
        return [found[url] for url in urls]

    assert crawl("/x", 1) == ["fetched", "fetched"]
    with redis_server.client() as client:
        _let_pass(client, 23 * 3600, fresh, stale)
        assert crawl("/y", 1) == ["fetched", "fetched"]
        _let_pass(client, 2 * 3600, fresh, stale)
    fresh.robots = b"User-agent: *\nDisallow: /z\n"
    stale.serve(ROBOTS, b"", 503)
    assert crawl("/z", 2) == ["dropped:robots", "failed:robots"]
    assert [site.asked()["/z"] for site in (fresh, stale)] == [0, 0]


def _let_pass(client: Any, seconds: int, *sites: Site) -> None:
    """Make what is known of robots.txt older, as if time had passed."""
    for site in sites:
        assert client.hincrby(Keys("default").host(site.authority), "robots_until:0", -seconds * 1000) > 0


def test_after_a_day_it_is_asked_whether_the_rules_have_changed(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """A 304 renews them for another day; new rules hold at once. What is stored outlives its day for that."""
    commands, site = commands_on(redis_server.url), sites.add()
    rules = [b"User-agent: *\nDisallow: /private\n"]
    for path in ("/a", "/b", "/c", "/private"):
        site.serve(path, html())

    def robots(call: Call) -> None:
        tag = f'"{zlib.crc32(rules[0])}"'
        known = call.seen.headers.get("if-none-match") == tag
        call.send(head(304, [("ETag", tag)])) if known else call.answer(rules[0], 200, [PLAIN, ("ETag", tag)])

    site.pages[ROBOTS] = robots

    def crawl(*paths: str) -> list[str]:
        urls = [site.url(path) for path in paths]
        done = commands.run("run", *urls, "--delay", "0", "--workers", "1", "-o", "-")
        assert done.code == 0, done.err
        found = outcomes(by_url(done.records()))
        return [found[url] for url in urls]

    assert crawl("/a") == ["fetched"]
    with redis_server.client() as client:
        key = Keys("default").robots(site.url("").rstrip("/"))
        assert client.pttl(key) > 7 * 24 * 3_600_000
        _let_pass(client, 25 * 3600, site)
        assert crawl("/b", "/private") == ["fetched", "dropped:robots"]
        assert crawl("/b") == ["fetched"], "the rules hold for another day"
        _let_pass(client, 25 * 3600, site)
    known = f'"{zlib.crc32(rules[0])}"'
    rules[0] = b"User-agent: *\nDisallow: /c\n"
    assert crawl("/c") == ["dropped:robots"]
    tags = [seen.headers.get("if-none-match") for seen in site.seen if seen.target == ROBOTS]
    assert tags == [None, known, known]
