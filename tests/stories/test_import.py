"""Moving over from Scrapy and scrapy-redis: what they fetched is not fetched again, what waits is fetched."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from crawler.fingerprint import fingerprints
from tests.stories.commands import Commands, outcomes, wait_until
from tests.stories.sites import Site, Sites, html
from tests.stories.tcp_redis import TcpRedis

FAST = ("--delay", "0", "-n", "1")
NEW, WAITING, OLD = ("/new/1", "/new/2"), ("/waits/1", "/waits/2"), ("/old/1", "/old/2", "/old/3?b=1&a=2")


@pytest.fixture
def site(sites: Sites) -> Site:
    """A site whose pages link to each other; a seed redirects to a page that the other crawl knows."""
    site = sites.add()
    site.redirect("/", "/old/1")
    for target in (*OLD, *WAITING, *NEW):
        site.serve(target, html([*OLD, *WAITING, *NEW, "/old/3?a=2&b=1"]))
    return site


def seen_by_scrapy(site: Site, targets: Sequence[str], maker: int = 0) -> list[str]:
    return [list(fingerprints(site.url(target)))[maker].hex() for target in targets]


def pickled(site: Site, target: str, **more: object) -> bytes:
    return pickle.dumps({"url": site.url(target), "method": "GET", "meta": {"depth": 2}, "callback": "parse", **more})


@pytest.fixture
def shop(site: Site, tcp_redis: Callable[..., TcpRedis]) -> TcpRedis:
    """The Redis of a spider that was stopped."""
    server = tcp_redis()
    with server.client() as client:
        client.rpush("shop:start_urls", site.url("/"))
        client.zadd("shop:requests", {pickled(site, target): 0 for target in WAITING})
        client.sadd("shop:dupefilter", *seen_by_scrapy(site, [*OLD, *WAITING], 1))
    return server


def test_a_spider_of_scrapy_redis_moves_over(commands: Commands, site: Site, shop: TcpRedis) -> None:
    done = commands.run("import", shop.url, "--store", "meta")
    assert (done.code, done.out) == (0, ""), done.err
    assert "1 start URL, 2 waiting requests, 5 fingerprints" in done.err
    assert "3 new URLs, 0 known; 5 fingerprints (5 new); crawl 'default'" in done.err
    ended = commands.run("run", *FAST)
    assert ended.code == 0, ended.err
    assert "seen-before" in ended.err
    targets = [site.path_of(url) for url in outcomes(commands.records())]
    assert sorted(targets) == sorted(["/", "/old/1", *WAITING, *NEW])  # /old/1: a seed redirects there
    assert set(site.asked_of_pages()) == set(targets)
    assert commands.status()["refused"]["seen-before"] >= 2
    why = commands.run("explain", site.url("/old/3?a=2&b=1"))
    assert "refused as a link: seen-before: another crawl has fetched it" in why.out
    assert "it waited in the crawl that `crawler import` took over" in commands.run("explain", site.url(WAITING[0])).out
    assert "was named as a seed" in commands.run("explain", site.url("/")).out


def test_a_job_of_scrapy_moves_over(commands: Commands, site: Site) -> None:
    job = commands.folder / "job"
    (job / "requests.queue").mkdir(parents=True)
    (job / "requests.seen").write_text("".join(f"{line}\n" for line in seen_by_scrapy(site, [*OLD, *WAITING], 2)))
    raw = pickled(site, WAITING[0])
    (job / "requests.queue" / "0").write_bytes(b"\0\0\0\1" + raw + len(raw).to_bytes(4, "big"))
    assert commands.run("import", "job").code == 0
    assert commands.run("run", site.url("/old/2"), *FAST).code == 0
    targets = {site.path_of(url) for url in commands.records()}
    assert targets == {WAITING[0], "/old/2", *NEW}  # a seed is fetched, whatever was seen before


def test_it_may_be_repeated_and_looked_at_before(commands: Commands, shop: TcpRedis) -> None:
    looked = commands.run("import", shop.url, "--dry-run")
    assert (looked.code, len(looked.lines)) == (0, 1)
    assert not (commands.folder / ".crawler").exists()
    commands.run("import", shop.url)
    again = commands.run("import", shop.url, "--spider", "shop")
    assert "0 new URLs, 3 known; 5 fingerprints (0 new)" in again.err
    with shop.client() as client:
        assert (client.llen("shop:start_urls"), client.zcard("shop:requests"), client.scard("shop:dupefilter")) == (
            1,
            2,
            5,
        )


@pytest.mark.slow
def test_killed_in_the_middle_the_same_command_completes_it(
    commands_on: Callable[[str], Commands], shop: TcpRedis
) -> None:
    """The crawl is in another database of the server that it imports from."""
    many = 40_000
    with shop.client() as client:
        for start in range(0, many, 1_000):
            client.sadd("shop:dupefilter", *(f"{n << 97:040x}" for n in range(start, start + 1_000)))
        target = shop.url.replace("/0", "/1")
        commands = commands_on(target)
        importing = commands.start("import", shop.url)
        client.select(1)
        wait_until(lambda: client.dbsize() > 2_000, "the first fingerprints")
        importing.kill()
        done = commands.run("import", shop.url)
        assert done.code == 0, done.err
        new = re.search(r"40,005 fingerprints \(([\d,]+) new\)", done.err)
        assert new is not None
        assert 0 < int(new[1].replace(",", "")) < many
        keys = client.keys("crawler:*:seen_before:*")
        assert sum(client.scard(key) for key in keys) == many + 5


def test_requests_that_cannot_be_crawled_are_named_and_counted(commands: Commands, site: Site, shop: TcpRedis) -> None:
    with shop.client() as client:
        client.delete("shop:requests")
        client.zadd("shop:requests", {pickled(site, "/form", method="POST"): 0, b"\x80nonsense": 1})
        client.rpush("shop:start_urls", "ftp://example.org/")
    done = commands.run("import", shop.url)
    assert done.code == 2
    assert "shop:requests, entry 1: " in done.err
    assert "it is a POST request: only GET without a body is crawled" in done.err
    assert "1 new URL, 0 known, 3 refused" in done.err


def test_fingerprints_alone_are_kept_for_the_run_that_follows(commands: Commands, site: Site, shop: TcpRedis) -> None:
    with shop.client() as client:
        client.delete("shop:requests", "shop:start_urls")
    done = commands.run("import", shop.url)
    assert done.code == 0
    assert "nothing waits: name where to begin" in done.err
    ended = commands.run("run", site.url("/"), *FAST)
    assert ended.code == 0, ended.err
    assert {site.path_of(url) for url in commands.records()} == {"/", "/old/1", *NEW}


def test_without_fingerprints_it_says_that_all_is_fetched_again(commands: Commands, shop: TcpRedis) -> None:
    with shop.client() as client:
        client.delete("shop:dupefilter")
    done = commands.run("import", shop.url)
    assert done.code == 0
    assert "it has no fingerprints (was SCHEDULER_PERSIST off?)" in done.err


def test_workers_that_run_already_learn_of_it(commands: Commands, sites: Sites, shop: TcpRedis, site: Site) -> None:
    """`work` waits for the crawl to begin; the fingerprints are there before the first URL."""
    working = commands.start("work", "--until-done", *FAST[2:])
    working.wait_to_say("waiting for crawl")
    assert commands.run("import", shop.url, "--delay", "0").code == 0
    assert working.wait().code == 0
    assert not set(OLD[1:]) & set(site.asked_of_pages())
    assert set(NEW) <= set(site.asked_of_pages())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "nothing: is no folder: name a JOBDIR of Scrapy, or the Redis of scrapy-redis by its URL"),
        ((".",), ".: has neither requests.seen nor requests.queue, so it is no JOBDIR of Scrapy"),
        ((".", "--spider", "shop"), "--spider and the keys are for the Redis of scrapy-redis"),
        (("http://example.org/",), "the Redis URL must begin with redis:"),
        ((), "FROM"),
    ],
)
def test_mistakes_get_one_line(commands: Commands, arguments: Sequence[str], words: str) -> None:
    done = commands.run("import", *arguments)
    assert (done.code, len(done.lines)) == (2, 1), done.err
    assert words in done.lines[0]
    assert not Path(commands.folder, ".crawler").exists()
