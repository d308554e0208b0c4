"""What is kept of a page: `--store` names it, the record has it, and nothing else is in Redis."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, by_url
from tests.stories.sites import Sites, html

HOOK = "def item(page):\n    return {'title': page.title}\n"


def test_each_named_content_is_in_the_record(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", "<title>Hé</title>\n<p>One\n<a rel=nofollow href=/x>to x</a>".encode())
    commands.write("scrape.py", HOOK)
    options = ("--store", "text,links", "--store", "html", "--hook", "scrape.py:item", "--max-pages", "1")
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "-o", "-", *options)
    assert done.code == 0, done.err
    record = by_url(done.records())[site.url("/")]
    assert record["text"] == "One to x"
    assert record["html"] == "<title>Hé</title>\n<p>One\n<a rel=nofollow href=/x>to x</a>"
    assert record["links"] == [{"url": site.url("/x"), "text": "to x", "rel": "nofollow", "line": 3}]
    assert (record["link_count"], record["data"]) == (1, {"title": "Hé"})
    assert "store text,html,links" in " ".join(commands.run("set").out.split())


def test_a_page_that_is_not_html_has_its_text(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html(["/notes"]))
    site.serve("/notes", b"one\ntwo", headers=[("Content-Type", "text/plain")])
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "-o", "-", "--store", "text,html,links")
    record = by_url(done.records())[site.url("/notes")]
    assert (record["text"], "html" in record, "links" in record) == ("one\ntwo", False, False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("everything", "store: 'everything' is not one of meta, text, main, markdown, html, links, diff, data"),
        ("text,,html", "store: '' is not one of meta"),
    ],
)
def test_what_cannot_be_stored(commands: Commands, given: str, said: str) -> None:
    done = commands.run("run", "http://127.0.0.1:9/", "--store", given)
    assert done.code == 2
    assert said in done.err


def test_the_list_is_fixed_and_its_order_does_not_matter(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands]
) -> None:
    commands = commands_on(redis_server.url)
    assert commands.run("seed", "http://a.example/", "--store", "links,meta,text").code == 0
    assert commands.run("seed", "http://a.example/2", "--store", "text", "--store", "links").code == 0
    done = commands.run("seed", "http://a.example/3", "--store", "text")
    assert done.code == 2
    assert "begun with --store text,links, which cannot change" in done.err
