"""create: one crawl a name, made once, found by everybody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crawler.errors import CrawlDeleting, CrawlExists, DamagedCrawl, NoCrawl, OutOfMemory
from crawler.frontier.frontier import Frontier, delete
from crawler.frontier.messages import Limits
from crawler.frontier.redis.connection import Connection
from crawler.frontier.scripts import SCHEMA
from tests.frontier.client import Client
from tests.frontier.crawls import CLOCK, SETTINGS, Crawl, Make


def test_a_new_crawl_is_running_and_empty(crawl: Crawl) -> None:
    state = crawl.frontier.state()
    assert (state.state, state.word) == ("running", "empty")
    assert (state.accepted, state.queued, state.leased, state.ended, state.sources) == (0, 0, 0, 0, 0)
    assert state.wait_ms == -1


def test_meta_holds_what_scripts_and_others_need(make: Make) -> None:
    crawl = make(delay_ms=1500, per_host=2, robots=True, max_pages=7, patience_ms=9)
    meta = crawl.snapshot().meta
    identity = crawl.frontier.identity
    assert meta["generation"] == identity.generation
    assert meta["salt"] == identity.salt.hex()
    assert meta["settings"] == SETTINGS.decode()
    assert meta["schema"] == str(SCHEMA)
    limits = {"delay": "1500", "per_host": "2", "robots": "1", "max_pages": "7", "patience": "9"}
    assert meta | limits == meta
    assert "max_pages_per_host" not in meta
    assert meta["created_ms"] == str(crawl.now)


def test_a_taken_name_is_refused_and_nothing_is_changed(link: Connection, crawl: Crawl) -> None:
    before = crawl.snapshot().meta
    with pytest.raises(CrawlExists):
        Client.create(link, crawl.name, b"{}", Limits(delay_ms=9), clock=CLOCK)
    assert crawl.snapshot().meta == before


def test_the_same_generation_sent_twice_is_a_success(crawl: Crawl) -> None:
    before = crawl.snapshot().meta
    assert crawl.raw("create", ["delay", "9"]) == [b"OK"]
    assert crawl.snapshot().meta == before


def test_a_crawl_that_is_being_deleted_is_not_made_anew(link: Connection, crawl: Crawl) -> None:
    crawl.frontier.delete()
    with pytest.raises(CrawlDeleting):
        Client.create(link, crawl.name, b"{}", Limits(), clock=CLOCK)


def test_two_crawls_do_not_touch_each_other(make: Make) -> None:
    one, other = make(name="one"), make(name="other")
    one.put("http://a.example/")
    assert one.frontier.state().queued == 1
    assert other.frontier.state().queued == 0
    assert one.frontier.id("http://a.example/") != other.frontier.id("http://a.example/")


def test_find_gives_the_same_crawl(link: Connection, crawl: Crawl) -> None:
    found = Frontier.find(link, crawl.name, clock=CLOCK)
    assert found.identity == crawl.frontier.identity
    assert found.id("http://a.example/") == crawl.frontier.id("http://a.example/")


def test_find_says_how_to_begin_when_there_is_none(link: Connection) -> None:
    with pytest.raises(NoCrawl, match="crawler seed"):
        Frontier.find(link, "nothing")


def test_find_refuses_a_crawl_of_another_version(link: Connection, crawl: Crawl) -> None:
    link.client.hset(crawl.frontier.keys.meta, "schema", SCHEMA + 1)
    with pytest.raises(DamagedCrawl, match=f"another version .*its format is '{SCHEMA + 1}', ours '{SCHEMA}'"):
        Frontier.find(link, crawl.name)


def test_a_crawl_that_another_version_takes_over_is_left_alone(link: Connection, crawl: Crawl) -> None:
    """Workers of this version stop with their next call; only `delete` goes through."""
    crawl.put("http://a.example/")
    link.client.hset(crawl.frontier.keys.meta, "schema", SCHEMA + 1)
    for call in (crawl.frontier.lease_call("c", 1, 90, "w"), crawl.frontier.state_call()):
        with pytest.raises(DamagedCrawl, match="another version"):
            crawl.frontier.ask(call)
    crawl.frontier.delete()
    link.client.hset(crawl.frontier.keys.meta, "schema", SCHEMA)
    assert crawl.frontier.state().word == "deleting"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("salt", None, "its salt is missing"),
        ("salt", "no hex", "its salt is missing, or is none"),
        ("salt", b"\xff", "its salt is missing, or is none"),
        ("form", "strip_everything", "its form of URLs is none"),
        ("shards", "x", "its number of shards is x"),
        ("schema", None, "another version"),
        ("schema", b"\xfftwo", "another version"),
        ("generation", None, "remains"),
    ],
)
def test_find_refuses_a_damaged_crawl(
    link: Connection, crawl: Crawl, field: str, value: str | bytes | None, words: str
) -> None:
    """Without the salt, for one, every URL would have another id."""
    if value is None:
        link.client.hdel(crawl.frontier.keys.meta, field)
    else:
        link.client.hset(crawl.frontier.keys.meta, field, value)
    with pytest.raises(DamagedCrawl, match=words) as caught:
        Frontier.find(link, crawl.name)
    assert "crawler delete" in str(caught.value)
    keys = len(link.client.keys("crawler:*"))
    assert delete(link, crawl.name) == keys
    assert link.client.keys("crawler:*") == []


def test_nothing_is_made_on_the_remains_of_another_crawl(link: Connection, crawl: Crawl) -> None:
    """Whose `meta` is gone: its queues and ids would become part of the new one."""
    crawl.put("http://a.example/")
    link.client.delete(crawl.frontier.keys.meta)
    makes: list[Callable[[], object]] = [
        lambda: Client.create(link, crawl.name, b"{}", Limits()),
        lambda: Frontier.find(link, crawl.name),
    ]
    for make in makes:
        with pytest.raises(DamagedCrawl, match="remains"):
            make()


def test_a_full_redis_makes_no_crawl(link: Connection) -> None:
    link.client.set("test:clock", 1)
    link.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemory):
        Client.create(link, "test", b"{}", Limits(), clock=CLOCK)
    assert link.client.keys("crawler:*") == []


def test_a_crawl_that_is_made_while_it_is_looked_for_is_not_taken_for_remains(
    link: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked before it is made, and after."""
    ask, made = link.ask, list[bool]()

    def ask_and_make(question: Callable[[], object]) -> object:
        reply = ask(question)
        if not made:
            made.append(True)
            Client.create(link, "late", SETTINGS, Limits())
        return reply

    monkeypatch.setattr(link, "ask", ask_and_make)
    with pytest.raises(NoCrawl):
        Frontier.find(link, "late")
    assert Frontier.find(link, "late").state().state == "running"
