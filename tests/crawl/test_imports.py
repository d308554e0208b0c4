"""What Scrapy and scrapy-redis have stored is read as they wrote it; what cannot be read is reported, never run."""

from __future__ import annotations

import base64
import json
import pickle
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from crawler.crawl.imports import requests
from crawler.crawl.imports.jobdir import JobDir
from crawler.crawl.imports.scrapy_redis import Names, ScrapyRedis
from crawler.errors import UsageError
from crawler.fingerprint import fingerprints
from crawler.frontier.redis.connection import Connection
from crawler.url import canonicalize
from tests.redis_for_tests import PrivateRedis

DATA: Final = Path(__file__).parent.parent / "data" / "scrapy"
SITE: Final = "http://127.0.0.1:18915"


def fill(link: Connection, version: str) -> None:
    """Write the keys as that version of scrapy-redis left them."""
    for key, found in json.loads((DATA / f"redis-{version}.json").read_text()).items():
        for value in found["values"]:
            member, score = value if found["type"] == "zset" else (value, 0)
            raw = base64.b64decode(member["base64"]) if isinstance(member, dict) else member
            match found["type"]:
                case "zset":
                    link.client.zadd(key, {raw: score})
                case "list":
                    link.client.rpush(key, raw)
                case _:
                    link.client.sadd(key, raw)


def spider(server: PrivateRedis, name: str | None = "shop", said: list[str] | None = None, **keys: str) -> ScrapyRedis:
    said = [] if said is None else said
    return ScrapyRedis(server.url, Names(name, keys), said.append)


@pytest.fixture
def link(redis_server: PrivateRedis) -> Connection:
    """A connection to an empty Redis."""
    connection = Connection(redis_server.url)
    connection.client.flushall()
    return connection


# -- single requests ---------------------------------------------------------------------------------------------------


def pickled(**changed: Any) -> bytes:
    request = {"url": f"{SITE}/a?b=1", "method": "GET", "body": b"", "meta": {"depth": 3}, "callback": "parse"}
    return pickle.dumps(request | changed)


def test_a_waiting_request_keeps_its_url_and_depth() -> None:
    line = requests.of_request(pickled(), "here")
    assert (line.text, line.depth, line.odd, line.where) == (f"{SITE}/a?b=1", 3, "", "here")
    assert requests.of_request(json.dumps({"url": f"{SITE}/"}).encode(), "").depth == 1
    assert requests.of_request(pickled(meta={"depth": 0}), "").depth == 1
    assert requests.of_request(pickled(meta={"depth": 1 << 90}), "").depth == requests.MAX_DEPTH
    assert requests.of_request(pickled(meta={"depth": "x"}), "").depth == 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_requests_of_older_versions_are_read(protocol: int) -> None:
    """Scrapy took protocol 2 for long, in which bytes are made by a call."""
    value = pickle.loads(pickled(headers={b"Referer": [b"x"]}))
    line = requests.of_request(pickle.dumps(value, protocol), "")
    assert (line.text, line.depth, line.odd) == (f"{SITE}/a?b=1", 3, "")


@pytest.mark.parametrize(
    ("raw", "odd"),
    [
        (pickled(method="POST"), "it is a POST request: only GET without a body is crawled"),
        (pickled(method=b"PUT"), "it is a PUT request"),
        (pickled(body=b"x"), "it is a GET request"),
        (pickled(url=None), "it is no request with a URL"),
        (pickle.dumps([1]), "it is no request with a URL"),
        (b"{", "it is no request that can be read"),
        (b"\x80\x04nonsense", "it is no request that can be read"),
        (b"", "it is no request that can be read"),
    ],
)
def test_a_request_that_cannot_be_crawled_says_why(raw: bytes, odd: str) -> None:
    assert requests.of_request(raw, "").odd.startswith(odd)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        (f"{SITE}/a", f"{SITE}/a"),
        (f"  {SITE}/a\n", f"{SITE}/a"),
        (f'{{"url": "{SITE}/a", "meta": {{"job": 1}}}}', f"{SITE}/a"),
        (f'{{"url": "{SITE}/a", "method": "get"}}', f"{SITE}/a"),
        (
            f'{{"url": "{SITE}/a?old=1", "page": "2", "tag": ["a", "b c"], "n": 3}}',
            f"{SITE}/a?page=2&tag=a&tag=b+c&n=3",
        ),
        (f'"{SITE}/a"', f"{SITE}/a"),
    ],
)
def test_a_start_url_is_plain_or_json(raw: str, url: str) -> None:
    line = requests.of_start_url(raw.encode(), "")
    assert (line.text, line.odd, line.depth) == (url, "", 0)


@pytest.mark.parametrize(
    ("raw", "odd"),
    [
        (f'{{"url": "{SITE}/a", "method": "POST"}}', "it is a POST request"),
        ('{"link": "x"}', "it has no url"),
        ("{", "it is no JSON"),
        (f'{{"url": "{SITE}/", "x": {{"deep": 1}}}}', "its form cannot be read"),
        (f"{SITE}/a {SITE}/b", "it contains a blank"),
        ("\\xff", ""),
    ],
)
def test_a_start_url_that_cannot_be_crawled_says_why(raw: str, odd: str) -> None:
    assert requests.of_start_url(raw.encode(), "").odd.startswith(odd)


# -- scrapy-redis ------------------------------------------------------------------------------------------------------


def test_what_its_newest_version_wrote(link: Connection, redis_server: PrivateRedis) -> None:
    fill(link, "0.9.1")
    with spider(redis_server, None) as shop:
        assert shop.found().endswith(
            "3 start URLs, 5 waiting requests, 29 fingerprints; not imported: 1 item in shop:items"
        )
        lines = list(shop.lines())
        seen = set(shop.fingerprints())
    assert [(line.text, bool(line.odd)) for line in lines[:3]] == [
        (f"{SITE}/form", True),
        (f"{SITE}/p/1", False),
        (f"{SITE}/late?page=2&tag=a&tag=b", False),
    ]
    waiting = [line for line in lines[3:] if not line.odd]
    assert len(waiting) == 5
    assert all(line.depth and line.where.startswith("shop:requests, entry ") for line in waiting)
    assert all(seen & set(fingerprints(canonicalize(line.text))) for line in waiting)  # it marks what it queues


def test_what_an_older_version_wrote_and_sets_and_sorted_sets(link: Connection, redis_server: PrivateRedis) -> None:
    fill(link, "0.7.3")
    with spider(redis_server) as shop:
        seen = set(shop.fingerprints())
        waiting = list(shop.lines())
        assert (len(waiting), len(seen)) == (9, 22)
        assert all(seen & set(fingerprints(canonicalize(line.text))) for line in waiting if not line.odd)
    with spider(redis_server, "other") as other:
        assert {line.text for line in other.lines()} == {f"{SITE}/a", f"{SITE}/b"}
        assert list(other.fingerprints()) == []
    with spider(redis_server, "third") as third:
        assert [line.text for line in third.lines()] == [f"{SITE}/high", f"{SITE}/low"]


def test_keys_of_other_names(link: Connection, redis_server: PrivateRedis) -> None:
    link.client.rpush("queue:of:shop", f"{SITE}/")
    with spider(redis_server, start_urls="queue:of:%(name)s") as shop:
        assert [line.text for line in shop.lines()] == [f"{SITE}/"]


def test_a_dupefilter_alone_needs_no_spider(link: Connection, redis_server: PrivateRedis) -> None:
    """Scrapy's own scheduler with the filter of scrapy-redis: its key has a time in place of a name."""
    link.client.sadd("dupefilter:1700000000", "0" * 40)
    with spider(redis_server, None, dupefilter="dupefilter:1700000000") as found:
        assert list(found.fingerprints()) == [b"\0" * 20]
        assert list(found.lines()) == []
        assert found.found().endswith("0 start URLs, 0 waiting requests, 1 fingerprint")
    said: list[str] = []
    with pytest.raises(UsageError, match="has no keys of a spider"), spider(redis_server, None, said, dupefilter="nix"):
        pass
    assert said[0].endswith("has no key nix, or it is empty")


def test_long_keys_are_read_whole(link: Connection, redis_server: PrivateRedis) -> None:
    link.client.rpush("shop:start_urls", *(f"{SITE}/{n}" for n in range(1234)))
    link.client.sadd("shop:dupefilter", *(f"{n:040x}" for n in range(5678)))
    with spider(redis_server) as shop:
        assert [line.text for line in shop.lines()] == [f"{SITE}/{n}" for n in range(1234)]
        assert {int.from_bytes(found) for found in shop.fingerprints()} == set(range(5678))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nix", "has no keys of a spider 'nix', such as NAME:start_urls or NAME:dupefilter: it has other, shop, third"),
        (None, r"has several spiders: name one with --spider \(other, shop, third\)"),
    ],
)
def test_a_wrong_or_missing_name_lists_those_that_exist(
    link: Connection, redis_server: PrivateRedis, name: str | None, message: str
) -> None:
    fill(link, "0.7.3")
    with pytest.raises(UsageError, match=message), spider(redis_server, name):
        pass


def test_an_empty_redis_is_probably_the_wrong_one(link: Connection, redis_server: PrivateRedis) -> None:
    with pytest.raises(UsageError, match="is it the right Redis and database"), spider(redis_server, None):
        pass


def test_another_type_of_key_is_refused(link: Connection, redis_server: PrivateRedis) -> None:
    link.client.set("shop:dupefilter", b"\0" * 10)
    with pytest.raises(UsageError, match="is a string, not a set; a Bloom filter cannot be imported"):
        spider(redis_server).__enter__()


def test_members_that_are_no_fingerprints_are_counted(link: Connection, redis_server: PrivateRedis) -> None:
    said: list[str] = []
    link.client.sadd("shop:dupefilter", "0" * 40, "nonsense", b"\xff" * 40, "ab")
    with spider(redis_server, said=said) as shop:
        assert list(shop.fingerprints()) == [b"\0" * 20]
    assert said == ["shop:dupefilter: 3 members left out: no SHA-1 fingerprints"]


def test_a_spider_that_still_runs_is_noticed(link: Connection, redis_server: PrivateRedis) -> None:
    said: list[str] = []
    fill(link, "0.9.1")
    with spider(redis_server, said=said) as shop:
        lines = shop.lines()
        next(lines)
        link.client.zremrangebyrank("shop:requests", 0, 0)
        list(lines)
    assert said == ["shop:requests changed meanwhile: stop the spider, then give the same command again"]


# -- job folders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "waiting", "seen"), [("jobdir-2.19", 11, 27), ("jobdir-2.11", 9, 24), ("jobdir-fifo", 11, 20)]
)
def test_what_scrapy_wrote(folder: str, waiting: int, seen: int) -> None:
    job = JobDir(DATA / folder)
    lines, found = list(job.lines()), set(job.fingerprints())
    assert (len(lines), len(found)) == (waiting, seen)
    assert job.found().endswith(f"{waiting} waiting requests, {seen} fingerprints")
    assert all(found & set(fingerprints(canonicalize(line.text))) for line in lines if not line.odd)
    assert sum(bool(line.odd) for line in lines) <= 1  # the POST of its form


def test_a_list_that_an_older_version_began_and_a_newer_one_continued(tmp_path: Path) -> None:
    old, new = ((DATA / folder / "requests.seen").read_bytes() for folder in ("jobdir-2.11", "jobdir-2.19"))
    (tmp_path / "requests.seen").write_bytes(old + new + old.replace(b"\n", b"\r\n"))
    assert len(list(JobDir(tmp_path).fingerprints())) == 24 + 27 + 24


@pytest.mark.parametrize("folder", ["jobdir-2.11", "jobdir-2.19"])
def test_a_list_that_a_crash_cut_is_read_up_to_there(tmp_path: Path, folder: str) -> None:
    whole = (DATA / folder / "requests.seen").read_bytes()
    (tmp_path / "requests.seen").write_bytes(whole[:-5])
    found = list(JobDir(tmp_path).fingerprints())
    assert found == list(JobDir(DATA / folder).fingerprints())[: len(found)]
    assert len(found) in (23, 26)


@pytest.mark.parametrize("content", [b"https://example.org/\n" * 3, b"\0" * 99, b"x" * 500_000])
def test_another_file_of_that_name_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "requests.seen").write_bytes(content)
    with pytest.raises(UsageError, match=r"requests\.seen: is no list of SHA-1 fingerprints, near byte"):
        list(JobDir(tmp_path).fingerprints())


@pytest.mark.parametrize("folder", ["jobdir-2.11", "jobdir-fifo"])
def test_a_damaged_queue_gives_what_is_whole_and_says_so(tmp_path: Path, folder: str) -> None:
    shutil.copytree(DATA / folder, tmp_path, dirs_exist_ok=True)
    (path,) = [path for path in tmp_path.glob("requests.queue/**/*") if path.name in ("0", "q00000") and path.is_file()]
    raw = path.read_bytes()
    path.write_bytes(raw[60:] if folder == "jobdir-2.11" else raw[:-60])
    *whole, last = JobDir(tmp_path).lines()
    assert len(whole) >= 8
    assert "is damaged" in last.odd
    assert last.odd.endswith("so the rest of it is left out")


@pytest.mark.parametrize(
    ("name", "content", "odd"),
    [
        ("0", b"SQLite format 3\0", "it is a queue in SQLite"),
        ("0/info.json", b"{", "its info.json is damaged"),
        ("0/info.json", b'{"tail": ["a"]}', "its info.json is damaged"),
        ("0", b"\0\0\0\1" + b"\xff" * 8, "it is damaged near byte 12"),
    ],
)
def test_other_files_in_the_queue_are_reported(tmp_path: Path, name: str, content: bytes, odd: str) -> None:
    path = tmp_path / "requests.queue" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (line,) = JobDir(tmp_path).lines()
    assert line.odd.startswith(odd)


def test_urgent_requests_come_first(tmp_path: Path) -> None:
    for priority in ("10", "-5", "0", "2s"):
        raw = pickled(url=f"{SITE}/{priority}")
        path = tmp_path / "requests.queue" / priority
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0\0\0\1" + raw + len(raw).to_bytes(4, "big"))
    assert [line.text for line in JobDir(tmp_path).lines()] == [f"{SITE}/{n}" for n in ("-5", "0", "2s", "10")]


def test_what_is_no_job_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder: name a JOBDIR of Scrapy"):
        JobDir(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"has neither requests\.seen nor requests\.queue"):
        JobDir(tmp_path)
