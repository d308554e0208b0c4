"""Seeds from URLs, files and stdin: every line is put in or told of, in whatever file it stands."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from crawler import seeding
from crawler.errors import UsageError
from crawler.frontier.frontier import Frontier
from crawler.frontier.leases import Limits
from crawler.frontier.ledger import Ledger
from crawler.frontier.link import Link
from crawler.scope import Scope
from crawler.seeding import Line, Seeded
from tests.redis_for_tests import PrivateRedis


def _file(folder: Path, text: bytes, name: str = "urls.txt") -> str:
    (folder / name).write_bytes(text)
    return str(folder / name)


def _stdin(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


# -- reading -----------------------------------------------------------------------------------------------------------


def test_lines_of_all_kinds_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs, a file, a compressed one, and stdin, in their order, each line with its place."""
    plain = _file(tmp_path, b"# comment\n\n  http://a/  \r\nhttp://b/#part\n \t \n#http://c/")
    packed = _file(tmp_path, gzip.compress(b"http://d/\n"), "urls.txt.gz")
    _stdin(monkeypatch, b"http://e/\n")
    assert list(seeding.lines(["http://z/#x", plain, packed, "-"])) == [
        Line("http://z/#x", "http://z/#x"),
        Line("http://a/", f"{plain}:3"),
        Line("http://b/#part", f"{plain}:4"),
        Line("http://d/", f"{packed}:1"),
        Line("http://e/", "stdin:1"),
    ]


def test_marks_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A byte order mark is no part of the first URL; what is not UTF-8 is kept as far as it goes."""
    source = _file(tmp_path, b"\xef\xbb\xbf# mark\nhttp://a/\xff\n\xef\xbb\xbfhttp://b/\n")
    assert [line.text for line in seeding.lines([source])] == ["http://a/\ufffd", "\ufeffhttp://b/"]


def test_lines_stream(tmp_path: Path) -> None:
    """A list longer than memory: the first line is there before the last is read."""
    lines = seeding.lines([_file(tmp_path, b"http://a/\n" * 10_000), _file(tmp_path, b"not gzip", "bad.gz")])
    assert next(lines).text == "http://a/"
    assert sum(1 for _ in zip(range(9_999), lines, strict=False)) == 9_999
    with pytest.raises(UsageError):
        next(lines)


def test_a_compressed_file_that_is_broken(tmp_path: Path) -> None:
    whole = gzip.compress(b"http://a/\n" * 1000)
    for text, name in ((whole[:-10], "cut.gz"), (b"http://a/\n", "plain.gz"), (whole[:30] + b"\0" * 30, "bad.gz")):
        source = _file(tmp_path, text, name)
        with pytest.raises(UsageError, match=f"{name}: cannot be read to its end"):
            list(seeding.lines([source]))


def test_sources_are_checked_before_any_is_used(tmp_path: Path) -> None:
    good = _file(tmp_path, b"")
    seeding.check(["-", good, "https://example.org/", "http://example.org/a b"])
    for wrong, words in (
        ("nothing.txt", "there is no such file; a URL begins with"),
        ("example.org", "there is no such file; a URL begins with"),
        (str(tmp_path), "is not a file of URLs"),
        ("ftp://example.org/", "only http and https"),
        ("http://user:MARK@example.org/", "credentials"),
        ("http://[/", "does not parse"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            seeding.check([good, wrong])
        assert "MARK" not in str(caught.value)


# -- putting -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def frontier(redis_url: str) -> Frontier:
    return Frontier.create(Link(redis_url), "default", b"{}", Limits())


def _seed(frontier: Frontier, texts: Iterable[str], scope: Scope | None = None) -> tuple[Seeded, list[str]]:
    told: list[str] = []
    lines = (Line(text, f"list:{number}") for number, text in enumerate(texts, 1))
    return seeding.seed(frontier, scope or Scope(), lines, refuse=told.append), told


def test_each_line_is_counted_once(frontier: Frontier) -> None:
    texts = ["http://a.example/", "http://A.example/#x", "http://b.example/x", "nonsense", "ftp://c/", "http://u:p@d/"]
    seeded, told = _seed(frontier, texts)
    assert (seeded.new, seeded.seen, seeded.refused, seeded.given) == (2, 1, 3, 6)
    assert seeded.reasons == {"invalid": 1, "scheme": 1, "userinfo": 1}
    assert [line.partition(" ")[0] for line in told] == ["list:4:", "list:5:", "list:6:"]
    assert "https://" in told[0]
    assert "u:p" not in " ".join(told)
    assert frontier.state().queued == 2
    assert frontier.state().sources == 0
    again, _ = _seed(frontier, texts)
    assert (again.new, again.seen) == (0, 3)


def test_seeds_bring_their_roots(frontier: Frontier) -> None:
    _seed(frontier, ["http://www.a.example/docs/x", "http://b.example/"], Scope("prefix"))
    assert set(Ledger(frontier.link, "default").all_roots()) == {
        *("www.a.example/docs/", "b.example/"),
        *("www.a.example", "b.example"),  # so that sitemaps and robots.txt of these hosts count
    }


def test_many_go_in_batches_while_the_crawl_counts_as_open(frontier: Frontier) -> None:
    """2,500 lines are three calls; meanwhile a crawl that has nothing queued is not done."""
    seen: list[tuple[int, int]] = []
    lines = (Line(f"http://a.example/{n}", str(n)) for n in range(2_500))
    seeded = seeding.seed(
        frontier,
        Scope(),
        lines,
        refuse=lambda _: None,
        progress=lambda so_far: seen.append((so_far.new, frontier.state().sources)),
    )
    assert seeded.new == 2_500
    assert seen == [(1_000, 1), (2_000, 1), (2_500, 1)]
    assert frontier.state().sources == 0


def test_slow_lines_do_not_wait_for_a_full_batch(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came minutes ago is queued already, and the seeding still counts as open."""
    clock = [0.0]
    monkeypatch.setattr("crawler.seeding.time.monotonic", lambda: clock[0])
    seen = []

    def lines() -> Iterable[Line]:
        for n in range(4):
            yield Line(f"http://a.example/{n}", str(n))
            seen.append(frontier.state().accepted)
            clock[0] += 4.0

    seeding.seed(frontier, Scope(), lines(), refuse=lambda _: None)
    assert seen == [0, 0, 3, 3]
    assert frontier.state().accepted == 4


def test_of_many_refusals_ten_are_told(frontier: Frontier) -> None:
    seeded, told = _seed(frontier, ["nonsense"] * 50)
    assert seeded.refused == 50
    assert len(told) == 11
    assert "counted" in told[-1]


def test_a_source_that_breaks_closes_the_seeding(frontier: Frontier, tmp_path: Path) -> None:
    """What was read before stays; the crawl does not count as being seeded for a minute."""
    source = _file(tmp_path, gzip.compress(b"http://a.example/\n" * 10_000)[:-10], "cut.gz")
    with pytest.raises(UsageError):
        seeding.seed(frontier, Scope(), seeding.lines([source]), refuse=lambda _: None)
    assert frontier.state().sources == 0


def test_a_long_queue_is_packed_by_who_seeds_it(frontier: Frontier) -> None:
    """No worker needs to run: a million URLs of one host must not fill Redis before one comes."""
    urls = [f"http://a.example/{n}" for n in range(30_000)]
    seeded, _ = _seed(frontier, urls)
    client = frontier.link.client
    assert seeded.new == 30_000
    head, packed, tail = (client.llen(key) for key in frontier.keys.pages("a.example"))
    assert (head, packed, tail) == (9_000, 5, 30_000 - 9_000 - 5 * 4_096)
    ledger = Ledger(frontier.link, frontier.crawl)
    assert [b"http://a.example" + entry[12:] for entry in ledger.queued("a.example", 1)] == [u.encode() for u in urls]


def test_a_full_redis_is_waited_for(
    frontier: Frontier, redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once; the crawl counts as being seeded meanwhile, and all seeds are in at the end."""
    sources = []
    with redis_server.client() as client:

        def sleep(seconds: float) -> None:
            assert 0 < seconds <= seeding.ROOM_AGAIN
            sources.append(frontier.state().sources)
            if len(sources) == 3:
                client.config_set("maxmemory", 0)

        monkeypatch.setattr("crawler.seeding.time.sleep", sleep)
        _seed(frontier, ["http://a.example/"])
        client.config_set("maxmemory", 1)
        seeded, told = _seed(frontier, ["http://a.example/", "http://b.example/"])
    assert (seeded.new, seeded.seen, sources) == (1, 1, [1, 1, 1])
    assert len(told) == 2
    assert "raise its maxmemory" in told[0]
    assert "0 seeds are in, the others wait" in told[0]
    assert "goes on" in told[1]
    assert frontier.state().sources == 0


def test_who_interrupts_is_told_how_far_it_came(frontier: Frontier) -> None:
    def lines() -> Iterable[Line]:
        for n in range(1_500):
            yield Line(f"http://a.example/{n}", str(n))
        raise KeyboardInterrupt

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        seeding.seed(frontier, Scope(), lines(), refuse=told.append)
    assert told == ["1,000 seeds are in; give the same ones again for the rest"]
    assert frontier.state().sources == 0
