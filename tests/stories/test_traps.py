"""Sites without end: each crawl of one ends by itself, says what it left out, and a normal site beside it is complete.

All hosts are answered by one server on loopback that plays a proxy, so that they may have any names.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.servers import Call, Server
from tests.stories.commands import Commands, Json
from tests.stories.sites import html

pytestmark = pytest.mark.slow

NORMAL: Final = 150
ITEMS: Final = 10_000
MAX_HOSTS: Final = 40
WORDS: Final = ("amber", "birch", "cobalt", "dahlia", "ember", "fjord", "granite", "heather", "indigo", "juniper")
MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]

Pages = Callable[[str, str], bytes | None]


def word(n: int) -> str:
    """A text of its own for each number, without digits."""
    return " ".join(WORDS[int(digit)] for digit in str(n))


class Web(Server):
    """A proxy behind which all hosts are: `hosts` answers by host name, with path and query."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: dict[str, Pages] = {}
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.otherwise = self._answer

    def _answer(self, call: Call) -> None:
        url = urlsplit(call.seen.target)
        target = url.path + (f"?{url.query}" if url.query else "")
        host = url.hostname or ""
        with self._lock:
            self.asked[f"{host}{target}"] += 1
        pages = self.hosts.get(host) or self.hosts.get("*." + host.partition(".")[2])
        body = pages(host, target) if pages else None
        call.answer(body or b"not here", 200 if body else 404)

    def count(self, start: str) -> int:
        """How many requests began so."""
        return sum(n for url, n in self.asked.items() if url.startswith(start))


def calendar(_: str, target: str) -> bytes | None:
    """A month without events, and links to the next and the one before, for ever."""
    if not target.startswith("/cal"):
        return html(["/cal?year=2026&month=11"])
    year, month = (int(part.partition("=")[2]) for part in target.partition("?")[2].split("&"))
    at = year * 12 + month - 1
    links = "".join(
        f'<a href="/cal?year={n // 12}&month={n % 12 + 1}">{MONTHS[n % 12]} {n // 12}</a>'
        for n in (at - 1, at + 1, at + 12)
    )
    days = " ".join(f"<td>{day}</td>" for day in range(1, 29))
    return (
        f"<html><title>Events</title><h1>{MONTHS[month - 1]} {year}</h1>{links}<table>{days}</table>No events".encode()
    )


def sessions(_: str, target: str) -> bytes:
    """Three pages, each under a new session id with every link."""
    dice = random.SystemRandom()
    name = target.partition(";")[0]
    links = [f"/{page};jsessionid={dice.getrandbits(128):032x}" for page in ("home", "shop", "cart")]
    return html(links).replace(b"<body>", f"<body>Welcome to {name}".encode())


def repeating(_: str, target: str) -> bytes:
    """A link that is meant to be absolute and is not."""
    return html(["a/b/", "/other/"]).replace(b"<body>", f"<body>{word(len(target))}".encode())


def items(_: str, target: str) -> bytes | None:
    """Ten thousand links to one template, behind which is nothing."""
    if target == "/":
        return html(f"/item/{n}" for n in range(ITEMS))
    return b"<html><title>Item</title>This item is sold out." if target.startswith("/item/") else None


def subdomains(host: str, target: str) -> bytes:
    """Each host links to some more of its kind."""
    number = sum(map(ord, host)) * 31 % 1_000_000
    links = [f"http://h{number * 7 + n}x{len(host)}.endless.example/" for n in range(5)]
    return html(links).replace(b"<body>", f"<body>{word(number)}".encode())


def growing(_: str, target: str) -> bytes | None:
    """Links without a scheme on a page that answers for any tail, never by the same bytes."""
    if target == "/":
        return html(["/list/", *(f"/guide/x/{letter}/" for letter in "abcdefgh")])
    nonce = f"<input type=hidden value={random.SystemRandom().getrandbits(64)}>"
    if target.startswith("/guide/"):
        letters = "abcdefgh" if target.count("/") < 6 else ""
        text = word(sum((n + 1) * ord(char) for n, char in enumerate(target)))
        return html(f"{letter}/" for letter in letters).replace(b"<body>", f"<body>{nonce} A guide to {text}".encode())
    return html(["www.one.example", "www.two.example/", "help/"]).replace(b"<body>", f"<body>{nonce}The event".encode())


def escaping(_: str, target: str) -> bytes:
    """A list whose links escape what is in their query once more on each page."""
    query = target.partition("?")[2] or "p=1"
    again = query.replace("%", "%25").replace(";", "%3B")
    nonce = f"<input type=hidden value={random.SystemRandom().getrandbits(64)}>"
    links = [f"/list?{query}&amp;amp;p={len(query)}", f"/list?{again}&amp;amp;p=3", f"/list?amp;{again}"]
    return html(links).replace(b"<body>", f"<body>{nonce}A list".encode())


def normal(_: str, target: str) -> bytes | None:
    """A site whose pages differ, under one template."""
    if target == "/":
        return html(f"/page/{n}" for n in range(NORMAL))
    number = target.removeprefix("/page/")
    if number == target or not number.isdigit():
        return None
    return html(["/"]).replace(b"<body>", f"<body>{word(int(number))}".encode())


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as made:
        made.hosts |= {
            "calendar.example": calendar,
            "sessions.example": sessions,
            "repeating.example": repeating,
            "items.example": items,
            "*.endless.example": subdomains,
            "normal.example": normal,
        }
        yield made


def _seeds() -> list[str]:
    hosts = ("calendar", "repeating", "items", "www.endless", "normal")
    return [*(f"http://{host}.example/" for host in hosts), "http://sessions.example/home"]


def _by_host(records: dict[str, Json]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for url, record in records.items():
        found.setdefault(urlsplit(url).hostname or "", Counter())[record["outcome"]] += 1
    return found


@pytest.mark.timeout(120)
def test_sites_without_end(commands: Commands, web: Web) -> None:
    """The crawl ends within its budgets, each trap by its own rule, and tells which templates it quarantined."""
    options = ["--delay", "0", "--per-host", "8", "--workers", "2"]
    options += ["--max-hosts-per-site", str(MAX_HOSTS), "--max-links", str(ITEMS)]
    done = commands.run("run", *_seeds(), "--proxy", f"http://{web.authority}", *options, seconds=100)
    assert done.code == 0, done.err
    records = commands.records()
    found = _by_host(records)
    assert found["normal.example"] == {"fetched": NORMAL + 1}
    assert found["items.example"].keys() == {"fetched", "dropped:trap"}
    assert found["items.example"].total() == ITEMS + 1
    assert web.count("items.example/item/") < 2_000
    assert web.count("calendar.example/cal") < 1_500
    assert web.count("sessions.example/") < 3_000
    assert max(url.count("/a/b") for url in records if "repeating" in url) <= 3
    assert sum(host.endswith("endless.example") for host in found) == MAX_HOSTS
    status = commands.status()
    assert status["state"] == "done"
    assert set(status["quarantined"]) == {
        "calendar.example/cal?month=*&year=*",
        "items.example/item/#",
        *(f"sessions.example/{page};jsessionid=*" for page in ("home", "shop", "cart")),
    }
    assert {"site-hosts", "trap-repeat"} <= status["refused"].keys()
    assert "\n    items.example/item/#\n" in done.err
    assert {r["error"] for r in records.values() if r["outcome"] == "dropped:trap" and "items" in r["url"]} == {
        "quarantined: items.example/item/#"
    }


def test_a_quarantined_template_can_be_released(commands: Commands, web: Web) -> None:
    """Its URLs that were dropped are fetched after all; `explain` tells of both."""
    options = ["--delay", "0", "--per-host", "8", "--workers", "1", "--proxy", f"http://{web.authority}"]
    web.hosts["items.example"] = lambda host, target: (
        items(host, target) and (html(f"/item/{n}" for n in range(600)) if target == "/" else items(host, target))
    )
    commands.run("run", "http://items.example/", *options)
    (listed,) = commands.run("quarantine", "--json").records()
    assert listed["template"] == "items.example/item/#"
    before = web.count("items.example/item/")
    assert (before + listed["dropped"], before < 500) == (600, True)
    dropped = next(url for url, r in commands.records().items() if r["outcome"] == "dropped:trap")
    assert "quarantined: items.example/item/#" in commands.run("explain", dropped).out
    assert commands.run("quarantine", "--release", "nothing").code == 2
    done = commands.run("quarantine", "--release", "items.example/item/#")
    assert (done.code, f"{600 - before} URLs" in done.err) == (0, True)
    assert "queued" in commands.run("explain", dropped).out
    commands.run("run", *options)
    assert _by_host(commands.records())["items.example"] == {"fetched": 601}
    assert web.count("items.example/item/") == 600
    assert commands.run("quarantine").lines == ["crawler: nothing is quarantined"]


@pytest.mark.timeout(120)
def test_urls_that_grow(commands: Commands, web: Web) -> None:
    """Their crawl ends within some hundred pages; what the site has beside them is whole, and they can be released."""
    web.hosts |= {"growing.example": growing, "escaping.example": escaping}
    options = ["--delay", "0", "--per-host", "8", "--workers", "2", "--proxy", f"http://{web.authority}"]
    done = commands.run("run", "http://growing.example/", "http://escaping.example/list", *options, seconds=100)
    assert done.code == 0, done.err
    assert web.count("growing.example/list") < 700
    assert web.count("escaping.example/list") < 700
    records = commands.records()
    guide = [url for url, record in records.items() if "/guide/" in url and record["outcome"] == "fetched"]
    assert len(guide) == 8 * (1 + 8 + 64)
    status = commands.status()
    assert status["quarantined"] == ["escaping.example/list?p=*", "growing.example/list/**"]
    dropped = [url for url, record in records.items() if record["outcome"] == "dropped:trap" and "growing" in url]
    assert "quarantined: growing.example/list/**" in commands.run("explain", dropped[0]).out
    done = commands.run("quarantine", "--release", "growing.example/list/**")
    assert (done.code, f"{len(dropped)} URLs" in done.err) == (0, True)
    assert "queued" in commands.run("explain", dropped[0]).out


def test_a_site_has_a_budget_over_all_its_hosts(commands: Commands, web: Web) -> None:
    options = ["--delay", "0", "--workers", "1", "--proxy", f"http://{web.authority}", "--max-pages-per-site", "30"]
    commands.run("run", "http://www.endless.example/", "http://normal.example/", *options)
    found = _by_host(commands.records())
    assert sum(counts.total() for host, counts in found.items() if host.endswith("endless.example")) == 30
    assert found["normal.example"].total() == 30
    assert commands.status()["refused"]["site-budget"] > 100


def test_traps_can_be_ignored(commands: Commands, web: Web) -> None:
    """Then only the limits that one names hold."""
    options = ["--delay", "0", "--per-host", "8", "--workers", "1", "--proxy", f"http://{web.authority}"]
    commands.run("run", "http://items.example/", *options, "--ignore-traps", "--max-pages", "400")
    status = commands.status()
    assert (status["outcomes"], status["quarantined"]) == ({"fetched": 400}, [])
