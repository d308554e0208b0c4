"""The demo's sites serve what they say, and what a crawl of them must find is right: an independent walk agrees."""

from __future__ import annotations

import gzip
import http.client
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote, urldefrag, urljoin, urlsplit

import pytest
from protego import Protego

from crawler.cli.demo_site import DemoSite
from crawler.cli.demo_site.pages import SITES, build
from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.record import OUTCOMES
from crawler.url import canonicalize, site

ORIGINS = {about.name: f"http://127.0.0.{n}:8000" for n, about in enumerate(SITES, 1)}


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoSite]:
    with DemoSite() as served:
        yield served


@dataclass(frozen=True)
class Got:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def connect(host: str) -> socket.socket:
    address, _, port = host.partition(":")
    return socket.create_connection((address, int(port)), timeout=20)


def get(url: str, method: str = "GET", **headers: str) -> Got:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=20)) as connection:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
        answer = connection.getresponse()
        return Got(answer.status, answer.headers, answer.read())


# -- an independent walk -----------------------------------------------------------------------------------------------


@dataclass
class Tags(HTMLParser):
    """What a page says in its tags."""

    base: str = ""
    hrefs: list[str] = field(default_factory=list)
    robots: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "base":
            self.base = said["href"]
        elif tag == "meta" and said.get("name") == "robots":
            self.robots = said["content"]
        elif tag == "a" and said.get("rel") != "nofollow":
            self.hrefs.append(said["href"])


def absolute(href: str, base: str) -> str:
    return quote(urldefrag(urljoin(base, href)).url, safe=":/?=&%~")


def end_of(url: str) -> tuple[str, list[str]]:
    """What becomes of a URL that robots.txt allows, and where it leads."""
    got = get(url)
    if 300 <= got.status < 400:
        target = absolute(got.headers["Location"], url)
        return ("failed:redirect-loop", []) if target == url else ("redirected", [target])
    if got.headers.get_content_type() != "text/html":
        return "dropped:type", []
    if got.status == 404:
        return "missing", []
    charset = re.search(rb'charset="([\w-]+)"', got.body)
    tags = Tags()
    tags.feed(got.body.decode(charset[1].decode() if charset else got.headers.get_content_charset() or "ascii"))
    base = urljoin(url, tags.base)
    links = [] if "nofollow" in tags.robots else [absolute(href, base) for href in tags.hrefs]
    return ("dropped:noindex" if "noindex" in tags.robots else "fetched"), links


def walk(seeds: list[str]) -> dict[str, str]:
    """The outcomes of a crawl, by libraries that the crawler does not use for this."""
    hosts = {urlsplit(seed).netloc: Protego.parse(robots(seed)) for seed in seeds}
    outcomes: dict[str, str] = {}
    targets: dict[str, str] = {}
    level = set(seeds)
    with ThreadPoolExecutor(8) as pool:
        while level:
            refused = {url for url in level if not hosts[urlsplit(url).netloc].can_fetch(url, "anybot")}
            outcomes |= dict.fromkeys(refused, "dropped:robots")
            asked = sorted(level - refused)
            ends = list(pool.map(end_of, asked))
            for url, (outcome, links) in zip(asked, ends, strict=True):
                outcomes[url] = outcome
                if outcome == "redirected":
                    targets[url] = links[0]
                    if url in chain_of(targets, url):
                        outcomes[url] = "failed:redirect-loop"
            found = {link for _, links in ends for link in links}
            level = {url for url in found - outcomes.keys() if urlsplit(url).netloc in hosts}
    return outcomes


def chain_of(targets: dict[str, str], url: str) -> list[str]:
    """What a redirect leads to, as far as it is known and until it repeats."""
    chain: list[str] = []
    while url in targets and targets[url] not in chain:
        url = targets[url]
        chain.append(url)
    return chain


def robots(seed: str) -> str:
    got = get(f"{seed}robots.txt")
    return got.body.decode() if got.status == 200 else ""


def test_an_independent_walk_finds_what_is_expected(demo: DemoSite) -> None:
    expected = demo.expected_outcomes()
    assert walk(demo.seeds) == expected
    assert len(demo.requests_log) >= len(expected) - 4  # all but what robots.txt keeps


# -- what there is to find ---------------------------------------------------------------------------------------------


def test_every_situation_is_there(demo: DemoSite) -> None:
    counts = Counter(demo.expected_outcomes().values())
    assert counts.keys() <= set(OUTCOMES)
    assert 280 <= counts.total() <= 330
    assert counts["redirected"] == 7
    assert counts["dropped:robots"] == 4
    assert counts["dropped:type"] == 2
    assert counts["failed:redirect-loop"] == 2
    assert counts["dropped:noindex"] == 1


def test_each_host_is_a_site_of_its_own_on_loopback(demo: DemoSite) -> None:
    assert list(demo.hosts) == [about.name for about in SITES]
    assert len({site(seed) for seed in demo.seeds}) == len(SITES) == 5
    assert all(host.startswith("127.0.0.") for host in demo.hosts.values())
    assert [f"http://{host}/" for host in demo.hosts.values()] == demo.seeds


def test_urls_are_canonical_and_lead_nowhere_but_to_the_demo(demo: DemoSite) -> None:
    for url in demo.expected_outcomes():
        assert canonicalize(url) == url
        assert site(url) in demo.hosts.values()


def test_what_must_not_be_followed_is_not_expected(demo: DemoSite) -> None:
    found = demo.expected_outcomes()
    for path in ("/login", "/spam"):
        assert get(f"http://{demo.hosts['blog']}{path}").status == 200
        assert f"http://{demo.hosts['blog']}{path}" not in found
    assert found[f"http://{demo.hosts['blog']}/drafts/sketch"] == "fetched"  # noindex still lets links be followed
    assert found[f"http://{demo.hosts['town']}/council/minutes/1"] == "fetched"
    assert found[f"http://{demo.hosts['town']}/council/papers/1"] == "dropped:robots"


def test_the_crawlers_own_eyes_see_the_same_links() -> None:
    extractor = Extractor(ExtractOptions(want=frozenset({"text"}), agent="anybot"))
    pages = {url: answer for url, answer in build(ORIGINS, 1).items() if answer.content_type.startswith("text/html")}
    for url, answer in pages.items():
        if answer.location is None:
            headers = Headers([("Content-Type", answer.content_type)])
            page = extractor.extract(Response(url, 200, headers, answer.body))
            assert tuple(page.outlinks) == answer.links, url
            assert page.noindex is answer.noindex
            assert page.title
            assert page.text or answer.noindex
            assert "\ufffd" not in page.title + (page.text or "")
    assert len(pages) > 290


def test_the_seed_number_decides_what_pages_say_and_nothing_else() -> None:
    first, again, other = build(ORIGINS, 1), build(ORIGINS, 1), build(ORIGINS, 2)
    assert first == again
    assert {url: answer.links for url, answer in first.items()} == {url: answer.links for url, answer in other.items()}
    assert sum(first[url].body != other[url].body for url in first) > 280


# -- how it is served --------------------------------------------------------------------------------------------------


def test_a_broken_link_is_a_404_page(demo: DemoSite) -> None:
    got = get(f"http://{demo.hosts['shop']}/item/7")
    assert got.status == 404
    assert b"<h1>Nothing here</h1>" in got.body
    assert demo.expected_outcomes()[f"http://{demo.hosts['shop']}/item/7"] == "missing"


def test_gzip_is_for_those_who_accept_it(demo: DemoSite) -> None:
    url = f"http://{demo.hosts['docs']}/changes"
    plain, packed = get(url), get(url, **{"Accept-Encoding": "gzip, br"})
    assert (plain.headers["Content-Encoding"], packed.headers["Content-Encoding"]) == (None, "gzip")
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    assert get(demo.seeds[0], **{"Accept-Encoding": "gzip"}).headers["Content-Encoding"] is None


def test_the_russian_page_is_windows_1251_and_only_its_meta_says_so(demo: DemoSite) -> None:
    got = get(f"http://{demo.hosts['docs']}/ru/")
    assert got.headers["Content-Type"] == "text/html"
    assert "Справочник фонарщика" in got.body.decode("cp1251")
    assert get(f"http://{demo.hosts['docs']}/ru/{quote('история')}").status == 200


def test_robots_txt(demo: DemoSite) -> None:
    rules = Protego.parse(robots(demo.seeds[3]))
    assert rules.crawl_delay("anybot") == 0.2
    assert [get(f"{seed}robots.txt").status for seed in demo.seeds] == [404, 200, 404, 200, 404]


def test_a_connection_serves_many_requests_and_head_has_no_body(demo: DemoSite) -> None:
    asked = [("HEAD", "/"), ("GET", "/latest"), ("GET", "/missing"), ("GET", "/manual.epub"), ("GET", "/")]
    with closing(http.client.HTTPConnection(demo.hosts["docs"], timeout=20)) as connection:
        connection.connect()
        first_socket = connection.sock
        for method, path in asked:
            connection.request(method, path)
            answer = connection.getresponse()
            assert len(answer.read()) == (0 if method == "HEAD" else int(answer.headers["Content-Length"]))
            assert connection.sock is first_socket


def test_the_slow_site_takes_its_time(demo: DemoSite) -> None:
    began = time.monotonic()
    assert get(f"http://{demo.hosts['observatory']}/").status == 200
    assert time.monotonic() - began >= 0.4


def test_requests_are_logged(demo: DemoSite) -> None:
    began = time.monotonic()
    get(f"{demo.seeds[1]}about?x=1", **{"User-Agent": "me/1.0"})
    (hit,) = [hit for hit in demo.requests_log if hit.agent == "me/1.0"]
    assert (hit.url, hit.status) == (f"{demo.seeds[1]}about?x=1", 404)
    assert began <= hit.at <= time.monotonic()


# -- starting and stopping ---------------------------------------------------------------------------------------------


def test_stop_leaves_no_threads_and_no_listeners() -> None:
    before = set(threading.enumerate())
    demo = DemoSite().start()
    assert demo.start() is demo
    assert len(set(threading.enumerate()) - before) == 5
    with closing(http.client.HTTPConnection(demo.hosts["docs"], timeout=20)) as idle:
        idle.request("GET", "/")
        idle.getresponse().read()
        with connect(demo.hosts["observatory"]) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            demo.stop()
            demo.stop()
    assert set(threading.enumerate()) <= before
    for host in demo.hosts.values():
        with pytest.raises(ConnectionRefusedError):
            connect(host)


def test_a_client_that_leaves_or_talks_nonsense_does_no_harm(demo: DemoSite, capfd: pytest.CaptureFixture[str]) -> None:
    for sent in (b"", b"\r\n", b"GET /manual.epub HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01nonsense\r\n\r\n"):
        with connect(demo.hosts["docs"]) as client:
            client.sendall(sent)
    assert get(demo.seeds[0]).status == 200
    assert capfd.readouterr().err == ""
