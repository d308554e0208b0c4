"""A crawl of the last release: its records can be exported, it can be deleted or replaced; all else is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl, page
from tests.stories.commands import Commands
from tests.stories.sites import Sites, html

REFUSED = (
    "crawler: crawl 'default' was made by an earlier version of this program: `crawler export` (without --follow,"
    " --drain) writes its records, `crawler run --fresh` replaces it, `crawler delete` takes it away"
)


@pytest.fixture
def commands(redis_url: str, commands_on: Callable[[str], Commands]) -> Iterator[Commands]:
    """On a Redis with a crawl of three records: one has an outcome that is no more, one has its links as they were."""
    link = Connection(redis_url)
    crawl = Crawl.create(link, "default")
    crawl.commit([page(0), page(1), page(2)])
    keys = crawl.frontier.shards[0].keys
    gone = keys.page(crawl.frontier.id(page(1).url))
    record = link.client.hget(gone, "m")
    assert isinstance(record, bytes)
    link.client.hset(gone, "m", record.replace(b'"fetched"', b'"failed:host-unreachable"'))
    linked = keys.page(crawl.frontier.id(page(2).url))
    old = b'{"links":2,"outlinks":["http://a.example/x"],"data":{"a":1},'
    link.client.hset(linked, "m", page(2, text=None).encode().replace(b"{", old, 1))
    link.client.hset(keys.meta, mapping={"schema": "4", "settings": '{"store":"text","outlinks":true}'})
    yield commands_on(redis_url)
    link.close()


@pytest.mark.parametrize("options", [(), ("--state", "pages.state")])
def test_its_records_are_exported(commands: Commands, options: tuple[str, ...]) -> None:
    done = commands.run("export", "-o", "pages.jsonl", *options)
    assert done.code == 0, done.err
    records = commands.exported()
    assert [record["outcome"] for record in records] == ["fetched", "failed:host-unreachable", "fetched"]
    assert [record["url"] for record in records] == [page(n).url for n in range(3)]
    assert [record["text"] for record in records] == [page(n).text for n in range(3)]
    (*_, last) = records
    assert (last["link_count"], last["links"], last["data"]) == (2, [{"url": "http://a.example/x"}], {"a": 1})


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("hosts",),
        ("failed",),
        ("work",),
        ("run",),
        ("seed", "http://a.example/"),
        ("block", "a.example"),
        ("set", "delay", "2s"),
        ("export", "-o", "pages.jsonl", "--follow"),
        ("export", "-o", "pages.jsonl", "--drain"),
    ],
    ids=" ".join,
)
def test_all_else_is_refused_in_one_line(commands: Commands, arguments: tuple[str, ...]) -> None:
    done = commands.run(*arguments)
    assert (done.code, done.lines[-1]) == (2, REFUSED)
    assert "Traceback" not in done.err


def test_it_is_replaced(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    seed = site.serve("/", html())
    done = commands.run("run", seed, "--fresh", "--yes", "--delay", "0", "--workers", "1")
    assert done.code == 0, done.err
    assert commands.status()["outcomes"] == {"fetched": 1}


def test_it_is_deleted(commands: Commands) -> None:
    assert commands.run("delete", "--yes").code == 0
    assert "there is no crawl" in commands.run("status").lines[-1]
