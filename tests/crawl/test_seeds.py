"""Seeds from URLs, files and stdin: every line is put in or told of, in whatever file it stands."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.crawl import seed_list, seeds
from crawler.crawl.seed_list import Line
from crawler.crawl.seeds import Seeded, Seeder, check_sources
from crawler.errors import UsageError, without_credentials
from crawler.frontier.frontier import Frontier
from crawler.frontier.identity import Identity
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.policy.scope import Scope
from crawler.url import Form, canonicalize
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
    assert list(seeds.lines(["http://z/#x", plain, packed, "-"])) == [
        Line("http://z/#x", "http://z/#x"),
        Line("http://a/", f"{plain}:3"),
        Line("http://b/#part", f"{plain}:4"),
        Line("http://d/", f"{packed}:1"),
        Line("http://e/", "stdin:1"),
    ]


def test_marks_are_no_part_of_a_url(tmp_path: Path) -> None:
    source = _file(tmp_path, b"\xef\xbb\xbf# mark\nhttp://a/\n\xef\xbb\xbfhttp://b/\n")
    assert [line.text for line in seeds.lines([source])] == ["http://a/", "http://b/"]


@pytest.mark.parametrize("raw", [b"caf\xe9", b"\xd1\xcf\xcb?q=1", b"?q=\xff", b"\x93quoted\x94", b"\xed\xa0\x80"])
def test_a_url_that_is_not_utf_8_is_odd_and_becomes_no_other_one(tmp_path: Path, raw: bytes) -> None:
    source = _file(tmp_path, b"http://a/" + raw + b"\nhttp://b/ # caf\xe9\nhttp://c/caf\xc3\xa9\n")
    odd, noted, fine = seeds.lines([source])
    assert "is not UTF-8" in odd.odd
    assert (noted.text, noted.odd, fine.odd) == ("http://b/", "", "")


@pytest.mark.parametrize(
    ("raw", "urls"),
    [
        (b"http://a/\nhttp://b/\r\nhttp://c/\rhttp://d/\r\r\nhttp://e/", "abcde"),
        ("\ufeffhttp://a/\r\nhttp://b/\n".encode("utf-16-le"), "ab"),
        ("\ufeffhttp://a/\rhttp://b/\n".encode("utf-16-be"), "ab"),
        ("\ufeffhttp://a/\nhttp://b/".encode("utf-32-le"), "ab"),
        (gzip.compress(b"http://a/\rhttp://b/\n", mtime=0), "ab"),
        ("\ufeff\u200bhttp://a/\u200b\ufeff\n\u3000http://b/\xa0\0\nhttp://c/\u2060\u00ad\u200e\x1f\n".encode(), "abc"),
        ("http://a/ # a note\nhttp://b/#part of it\nhttp://c/\u200b\t# note\n".encode(), "abc"),
        (b"x" * 65_535 + b"\r\nhttp://a/\n", "a"),
        (b"#" + b"x" * 65_534 + b"\rhttp://a/\n", "a"),
    ],
)
def test_what_a_list_may_have_around_its_urls(tmp_path: Path, raw: bytes, urls: str) -> None:
    """Any end of a line, any mark of an encoding, gzip by any name, and at both ends what cannot be seen."""
    found = [line for line in seeds.lines([_file(tmp_path, raw)]) if "://" in line.text]
    assert [canonicalize(line.text) for line in found] == [f"http://{url}/" for url in urls]
    assert not any(line.odd or line.hint for line in found)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("http://a/11,title one", "it contains a blank"),
        ("http://a/17\ttab note", "it contains a tab"),
        ("http://a/7http://a/8", "it contains two URLs"),
        ("http://a/ http://b/", "it contains a blank"),
        ("http://a/\u3000b", "it contains IDEOGRAPHIC SPACE"),
        ("http://a/\xa0b", "it contains NO-BREAK SPACE"),
        ("http://a/\u200bb", "it contains ZERO WIDTH SPACE"),
        ("http://a/\u202eb", "it contains RIGHT-TO-LEFT OVERRIDE"),
        ("http://a/\0b", "it contains the control character U+0000"),
        ("http://a/\x85b", "it contains the control character U+0085"),
        ('http://a/1,"title"', 'it contains a "'),
        ('"http://a/1","title"', 'it contains a "'),
        ("<http://a/>", "it contains a <"),
        ("http://a/1,", "it ends with a comma"),
        ("http://a/1;", "it ends with a semicolon"),
        ("http://a/?q=two words", "it contains a blank"),
    ],
)
def test_a_line_that_is_more_than_a_url_is_odd(tmp_path: Path, line: str, words: str) -> None:
    text = f"http://first/\n{line}\nhttp://last/\n"
    first, odd, last = seeds.lines([_file(tmp_path, text.encode())])
    assert (first.odd, last.odd) == ("", "")
    assert words in odd.odd


@pytest.mark.parametrize(
    "url",
    [
        "http://h/a,b",
        "http://h/a;b=1,2",
        "http://h/?u=http://b/&v=https://c/",
        "http://h/?q=<b>",
        "http://h/#/http://b/",
        "http://h/\u0645\u06cc\u200c\u062e",
        "http://h/❤\ufe0f",
        "http://h/漢字/é",
        "http://h/?a=1|2",
        "HTTPS://H/%20",
    ],
)
def test_a_url_is_not_odd_whatever_it_holds(tmp_path: Path, url: str) -> None:
    (line,) = seeds.lines([_file(tmp_path, f"{url}\n".encode())])
    assert (line.text, line.odd, line.hint) == (url, "", "")


@pytest.mark.parametrize(
    ("raw", "hint", "odd"),
    [
        (b"url,title\nhttp://a/1,One\nhttp://a/2,Two\n", "a table with a comma between", 2),
        (b"http://a/1;one two\nhttp://a/2;Two\n", "a table with a semicolon between", 2),
        (b'"http://a/1","one"\n"http://a/2","two"\n', "a table with a comma between", 2),
        (b"id\turl\n1\thttp://a/\n2\thttp://b/\n", "a table with a tab between", 2),
        (b"http://a/1,One\nhttp://a/2,Two\nhttp://a/3,Three\n", "each line has a comma: if it is a table", 0),
        (b"<!doctype html>\n<a href=http://a/>x</a>\n", "HTML or XML", 1),
        (b'{"url": "http://a/"}\n', "JSON", 1),
        (b"PK\x03\x04\x14\0\0\0http://a/\n", "a zip archive or an Office document", 1),
        (b"BZh91AY&SY\xc4\n", "compressed by bzip2", 0),
        ("http://a/\nhttp://b/\n".encode("utf-16-le"), "UTF-16 without a byte order mark", 0),
        (bytes(range(256)) + b"http://a/\0\0\0\0\0\0x\n", "binary data", 1),
    ],
)
def test_what_a_file_looks_like_is_said(tmp_path: Path, raw: bytes, hint: str, odd: int) -> None:
    lines = list(seeds.lines([_file(tmp_path, raw)]))
    assert hint in lines[0].hint
    assert not any(line.hint for line in lines[1:])
    assert sum(bool(line.odd) for line in lines) == odd


@given(st.lists(st.sampled_from(["http://a/x", "http://b/?y", "# c", "", " "])), st.data())
def test_lines_are_the_same_however_they_come(rows: list[str], data: st.DataObject) -> None:
    """A pipe brings parts of lines, and CR and LF apart."""
    ends = [data.draw(st.sampled_from(["\n", "\r\n", "\r"])) for _ in rows]
    raw = "".join(map("".join, zip(rows, ends, strict=True))).encode()
    wanted = [line.decode() for line in raw.splitlines() if line.strip() and line[:1] != b"#"]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)))))

    class Parts(io.BytesIO):
        def read1(self, _size: int | None = -1, /) -> bytes:
            end = next((cut for cut in cuts if cut > self.tell()), len(raw))
            return self.read(end - self.tell())

    found = list(seed_list.read(Parts(raw), "f"))
    assert [line.text for line in found if line.text] == wanted
    numbers = [n for n, line in enumerate(raw.splitlines(), 1) if line.strip() and line[:1] != b"#"]
    assert [line.where for line in found if line.text] == [f"f:{n}" for n in numbers]


def test_a_list_without_any_url_is_refused(tmp_path: Path) -> None:
    source = _file(tmp_path, b"\xef\xbb\xbf# nothing\n\n \t\r\n")
    assert list(seeds.lines([source])) == [Line("", source, "it holds no URL")]


def test_stdin_may_be_gzip(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BufferedReader(cast(io.RawIOBase, io.BytesIO(gzip.compress(b"http://a/\n"))))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw))
    assert list(seeds.lines(["-"])) == [Line("http://a/", "stdin:1")]


def test_a_stdin_that_is_not_blocking_is_read_to_its_end() -> None:
    """Its writer is slow, and each part is there before the next one comes."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb") as file, ThreadPoolExecutor() as pool:
        lines = seed_list.read(seed_list.awaited(file), "stdin")
        for n in range(3):
            future = pool.submit(next, lines)
            os.write(writing, b"http://a/%d\n" % n)
            assert future.result(30).text == f"http://a/{n}"
        rest = pool.submit(list, lines)
        os.close(writing)
        assert rest.result(30) == []


def test_gzip_from_a_stdin_that_is_not_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there when it is asked what it is, and each part comes alone."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    raw = gzip.compress(b"http://a/\nhttp://b/\n")
    with os.fdopen(reading) as file, ThreadPoolExecutor() as pool:
        monkeypatch.setattr(sys, "stdin", file)
        lines = pool.submit(lambda: list(seeds.lines(["-"])))
        for n in range(0, len(raw), 10):
            os.write(writing, raw[n : n + 10])
        os.close(writing)
        assert [line.text for line in lines.result(30)] == ["http://a/", "http://b/"]


MEASURED = """
import resource, sys
from crawler.crawl import seeds
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
lines = list(seeds.lines(sys.argv[1:]))
print(peak() - before)
for line in lines:
    print(line.where.rpartition(":")[2], line.text[:12], line.odd)
"""


def test_a_line_without_an_end_takes_little_memory(tmp_path: Path) -> None:
    """It is named by its number and its beginning; what follows it is read."""
    source = str(tmp_path / "long.gz")
    with gzip.open(source, "wb", 1) as file:
        file.write(b"http://a/\nhttp://b/")
        for _ in range(200):
            file.write(b"x" * (1 << 20))
        file.write(b"\nhttp://c/\n")
    out = subprocess.run([sys.executable, "-c", MEASURED, source], capture_output=True, text=True, check=True).stdout
    grown, *lines = out.splitlines()
    assert int(grown) < 20 << 10  # KiB
    assert lines == ["1 http://a/ ", "2 http://b/xxx the line is longer than 262,144 bytes", "3 http://c/ "]


def test_lines_stream(tmp_path: Path) -> None:
    """A list longer than memory: the first line is there before the last is read."""
    lines = seeds.lines([_file(tmp_path, b"http://a/\n" * 10_000), _file(tmp_path, gzip.compress(b"")[:-9], "bad.gz")])
    assert next(lines).text == "http://a/"
    assert sum(1 for _ in zip(range(9_999), lines, strict=False)) == 9_999
    with pytest.raises(UsageError):
        next(lines)


def test_a_compressed_file_that_is_broken(tmp_path: Path) -> None:
    whole = gzip.compress(b"http://a/\n" * 1000)
    for text, name in ((whole[:-10], "cut.gz"), (whole[:30] + b"\0" * 30, "bad.gz")):
        source = _file(tmp_path, text, name)
        with pytest.raises(UsageError, match=f"{name}: cannot be read to its end"):
            list(seeds.lines([source]))


def test_a_file_is_gzip_if_it_begins_so_whatever_it_is_called(tmp_path: Path) -> None:
    """What browsers save from the web is often unpacked and still called .gz."""
    plain, packed = _file(tmp_path, b"http://a/\n", "plain.gz"), _file(tmp_path, gzip.compress(b"http://b/\n"), "b.txt")
    assert [line.text for line in seeds.lines([plain, packed])] == ["http://a/", "http://b/"]


def test_sources_are_checked_before_any_is_used(tmp_path: Path) -> None:
    good = _file(tmp_path, b"")
    seeds.check_sources(["-", good, "https://example.org/", "http://example.org/a b"])
    for wrong, words in (
        ("nothing.txt", "there is no such file; a URL begins with"),
        ("example.org", "there is no such file; did you mean https://example.org"),
        (str(tmp_path), "is not a file of URLs"),
        ("ftp://example.org/", "only http and https"),
        ("http://user:MARK@example.org/", "credentials"),
        ("http://[/", "does not parse"),
        ("http://a/1\nhttp://a/2", "it contains the end of a line; give each URL by itself"),
        ("http://a/1 http://a/2", "it contains a blank; give each URL by itself"),
        ("http://a/1\tnote", "it contains a tab"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            seeds.check_sources([good, wrong])
        assert "MARK" not in str(caught.value)


# -- putting -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def frontier(redis_url: str) -> Frontier:
    return Frontier.create(Connection(redis_url), "default", Identity.new(Form(), 1), b"{}", Limits())


def _seed(frontier: Frontier, texts: Iterable[str], scope: Scope | None = None) -> tuple[Seeded, list[str]]:
    told: list[str] = []
    lines = (Line(text, f"list:{number}") for number, text in enumerate(texts, 1))
    return Seeder(frontier, scope or Scope(), told.append).seed(lines), told


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


def test_odd_lines_are_refused_and_what_the_file_is_is_said_once(frontier: Frontier, tmp_path: Path) -> None:
    source = _file(tmp_path, b"url;note\nhttp://a.example/;a note\nhttp://b.example/;\nhttp://c.example/\n")
    told: list[str] = []
    seeded = Seeder(frontier, Scope(), told.append).seed(seeds.lines([source]))
    assert (seeded.new, seeded.refused, seeded.reasons) == (1, 3, {"invalid": 3})
    assert told[0].startswith(f"{source}: it looks like a table with a semicolon")
    assert told[2].startswith(f"{source}:2: 'http://a.example/;a note' is not a URL to crawl: it contains a semicolon")
    assert len(told) == 4


def test_a_list_without_any_url_is_counted_as_refused(frontier: Frontier, tmp_path: Path) -> None:
    told: list[str] = []
    source = _file(tmp_path, b"\n# none\n")
    seeded = Seeder(frontier, Scope(), told.append).seed(seeds.lines([source]))
    assert (seeded.new, seeded.refused, told) == (0, 1, [f"{source}: it holds no URL"])


def test_seeds_bring_their_roots(frontier: Frontier) -> None:
    _seed(frontier, ["http://www.a.example/docs/x", "http://b.example/"], Scope("prefix"))
    (shard,) = frontier.shards
    assert shard.connection.client.smembers(shard.keys.roots) == {
        *(b"www.a.example/docs/", b"b.example/"),
        *(b"www.a.example", b"b.example"),  # so that sitemaps and robots.txt of these hosts count
    }


def test_many_go_in_batches_while_the_crawl_counts_as_open(frontier: Frontier) -> None:
    """2,500 lines are three calls; meanwhile a crawl that has nothing queued is not done."""
    seen: list[tuple[int, int]] = []
    lines = (Line(f"http://a.example/{n}", str(n)) for n in range(2_500))
    seeder = Seeder(
        frontier, Scope(), lambda _: None, lambda so_far: seen.append((so_far.new, frontier.state().sources))
    )
    seeded = seeder.seed(lines)
    assert seeded.new == 2_500
    assert seen == [(1_000, 1), (2_000, 1), (2_500, 1)]
    assert frontier.state().sources == 0


def test_slow_lines_do_not_wait_for_a_full_batch(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came minutes ago is queued already, and the seeding still counts as open."""
    clock = [0.0]
    monkeypatch.setattr("crawler.crawl.seeds.time.monotonic", lambda: clock[0])
    seen = []

    def lines() -> Iterable[Line]:
        for n in range(4):
            yield Line(f"http://a.example/{n}", str(n))
            seen.append(frontier.state().accepted)
            clock[0] += 4.0

    Seeder(frontier, Scope(), lambda _: None).seed(lines())
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
        Seeder(frontier, Scope(), lambda _: None).seed(seeds.lines([source]))
    assert frontier.state().sources == 0


def test_a_long_queue_is_packed_by_who_seeds_it(frontier: Frontier) -> None:
    """No worker needs to run: a million URLs of one host must not fill Redis before one comes."""
    urls = [f"http://a.example/{n}" for n in range(30_000)]
    seeded, _ = _seed(frontier, urls)
    (shard,) = frontier.shards
    client = shard.connection.client
    assert seeded.new == 30_000
    head, packed, tail = (client.llen(key) for key in shard.keys.pages("a.example"))
    assert (head, packed, tail) == (9_000, 5, 30_000 - 9_000 - 5 * 4_096)
    assert [b"http://a.example" + entry[12:] for entry in frontier.crawldb.hosts.queued("a.example", 1)] == [
        u.encode() for u in urls
    ]


def test_a_full_redis_is_waited_for(
    frontier: Frontier, redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once; the crawl counts as being seeded meanwhile, and all seeds are in at the end."""
    sources = []
    with redis_server.client() as client:

        def sleep(seconds: float) -> None:
            assert 0 < seconds <= seeds.ROOM_AGAIN
            sources.append(frontier.state().sources)
            if len(sources) == 3:
                client.config_set("maxmemory", 0)

        monkeypatch.setattr("crawler.crawl.seeds.time.sleep", sleep)
        _seed(frontier, ["http://a.example/"])
        client.config_set("maxmemory", 1)
        seeded, told = _seed(frontier, ["http://a.example/", "http://b.example/"])
    assert (seeded.new, seeded.seen, sources) == (1, 1, [1, 1, 1])
    assert len(told) == 2
    assert "raise its maxmemory" in told[0]
    assert "0 seeds are in, the others wait" in told[0]
    assert "continues" in told[1]
    assert frontier.state().sources == 0


def test_who_interrupts_is_told_how_far_it_came(frontier: Frontier) -> None:
    def lines() -> Iterable[Line]:
        for n in range(1_500):
            yield Line(f"http://a.example/{n}", str(n))
        raise KeyboardInterrupt

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        Seeder(frontier, Scope(), told.append).seed(lines())
    assert told == ["1,000 seeds are in; give the same ones again for the rest"]
    assert frontier.state().sources == 0


@pytest.mark.parametrize(
    "password", ["a/{0}", "a?{0}", "a#{0}", "a@{0}", "{0}@b/c", "{0}/x@y#z", "{0}\\x", "8/{0}", "8#{0}"]
)
@pytest.mark.parametrize("start", ["http://user:", "https://", "ftp://user:", "user:", "http:\\\\user:", "//user:", ""])
@pytest.mark.parametrize("end", ["@[h/path", "@h:x/", f"@h/{'x' * 5_000}", f"{'x' * 70_000}@h/"])
def test_a_password_is_not_shown_whatever_it_holds(start: str, password: str, end: str) -> None:
    url = f"{start}{password.replace('{0}', 's3cr3t')}{end}"
    assert "s3cr3t" not in without_credentials(url)
    for use in (lambda: canonicalize(url), lambda: check_sources([url]), lambda: check_sources([], [url])):
        try:
            use()
        except UsageError as error:
            assert "s3cr3t" not in str(error)


def test_what_holds_no_credentials_is_shown_as_it_is() -> None:
    for url in ("https://example.org/a?b#c", "mailto:a@b.example", "example.org"):
        assert without_credentials(url) == url
    assert without_credentials("http://user:pass@example.org/a") == "http://***@example.org/a"
