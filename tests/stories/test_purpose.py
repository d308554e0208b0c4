"""One crawl, one purpose: a `run` does not add a foreign site to a crawl by accident, and is never in the way."""

from __future__ import annotations

import pytest

from tests.stories.commands import Commands, Done, outcomes
from tests.stories.sites import Site, Sites, html

FAST = ("--delay", "0", "-n", "1")


def _run(commands: Commands, *arguments: str, stdin: str = "") -> Done:
    return commands.run("run", *arguments, *FAST, stdin=stdin)


def _refused(done: Done, *words: str) -> None:
    """One line with the three ways out."""
    assert (done.code, len(done.lines)) == (2, 1), done.err
    for word in ("--add", "--crawl NAME", "--fresh", *words):
        assert word in done.lines[0], (word, done.lines[0])


@pytest.fixture
def two(sites: Sites) -> tuple[Site, Site]:
    """Two sites, each of one page."""
    one, other = sites.add(), sites.add("127.0.0.2")
    for site in (one, other):
        site.serve("/", html())
    return one, other


def test_another_site_is_refused_with_three_ways_out(commands: Commands, two: tuple[Site, Site]) -> None:
    one, other = two[0].url("/"), two[1].url("/")
    assert _run(commands, one).code == 0
    words = (other, f"crawl 'default' in {commands.folder}/.crawler", f"begun with {one}")
    _refused(_run(commands, other), *words)
    _refused(_run(commands, other, "-o", "a.jsonl", "--retries", "7"), *words)
    _refused(_run(commands, "--sitemap", other), *words)
    commands.write("urls.txt", f"{one}\n{other}\n")
    _refused(_run(commands, "urls.txt"), f"urls.txt:2: {other}")
    assert not (commands.folder / "a.jsonl").exists()
    assert commands.run("set", "retries").out == "2\n"
    assert two[1].connections == 0
    assert _run(commands, other, "--crawl", "other", "-o", "b.jsonl").code == 0
    assert set(commands.written("b.jsonl")) == {other}
    assert _run(commands, other, "--add").code == 0
    assert outcomes(commands.records()) == {one: "fetched", other: "fetched"}
    assert _run(commands, other).code == 0
    assert _run(commands, other, "--fresh", "--yes").code == 0
    assert set(commands.records()) == {other}


def test_the_same_arguments_and_what_belongs_to_the_crawl_are_never_refused(
    commands: Commands, two: tuple[Site, Site], sites: Sites
) -> None:
    """The same host by another port or folder too; its own root is added."""
    one, other = (site.url("/") for site in two)
    urls = commands.write("urls.txt", f"{one}\n{other}\nnonsense\n")
    first = ("run", urls, one, "--scope", "prefix", *FAST)
    assert commands.run(*first).code == 2
    assert commands.run(*first).code == 2
    third = sites.add("127.0.0.3").serve("/", html())
    commands.write("urls.txt", f"{third}\n")
    assert commands.run(*first).code == 0
    assert third in commands.records()
    beside = sites.add()
    linked = beside.serve("/docs/next", html())
    root = beside.serve("/docs/", html([linked]))
    assert commands.run("run", root, *FAST).code == 0
    assert commands.records()[linked]["outcome"] == "fetched"


def test_stdin_needs_the_word_where_a_crawl_exists(commands: Commands, two: tuple[Site, Site]) -> None:
    one, other = (site.url("/") for site in two)
    assert _run(commands, "-", stdin=one).code == 0
    _refused(_run(commands, "-", stdin=one), "stdin")
    assert _run(commands, "-", "--add", stdin=other).code == 0
    assert set(commands.records()) == {one, other}


def test_a_crawl_knows_its_arguments_before_its_first_url(commands: Commands, two: tuple[Site, Site]) -> None:
    """A run that was killed while it read its seeds is repeated; `seed` always adds."""
    one, other = (site.url("/") for site in two)
    going = commands.start("seed", "-", other)
    _wait_for_crawl(commands)
    going.kill()
    _refused(_run(commands, one), f"begun with - {other}")
    assert commands.run("seed", one).code == 0
    assert _run(commands, one, "--max-pages", "1").code == 0


def _wait_for_crawl(commands: Commands) -> None:
    while commands.run("status").code:
        pass
