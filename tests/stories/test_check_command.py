"""`crawler check` as a person types it: a folder, mistakes, exit codes, an interruption."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.machines import DEAD, machine, needs_root
from tests.stories.check_pages import Expected, Page
from tests.stories.commands import Commands, wait_until
from tests.stories.sites import Site, Sites

pytestmark = pytest.mark.slow

WORK = ("--workers", "1", "--plain")
OPTIONS = ("--delay", "0", "--per-host", "8", "--allow-private", *WORK)


def source(path: str, *body: str) -> str:
    """A page with nothing wrong but what is in *body*."""
    return (
        Page(Site.__new__(Site), path, Expected(), f"Title {path}", f"What {path} is about", body=list(body))
        .source()
        .decode()
    )


@pytest.fixture
def public(commands: Commands) -> Path:
    root = commands.folder / "public"
    for name, body in {
        "index.html": '<a href="/about">about</a> <a href="docs">docs</a>',
        "about.html": '<a href="/">home</a>\n<img src="/missing.png" alt="">\n<a href="https://site.example/docs/#no">d</a>',
        "docs/index.html": '<p id="yes">a</p><a href="../About">a</a>',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(source(name, body))
    return root


def places(report: str) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """The findings of a report in JSON."""
    found = json.loads(report)["findings"]
    return {(one["code"], one["target"]): [(page["url"], page["line"]) for page in one["pages"]] for one in found}


def test_a_folder_is_checked_by_its_files(commands: Commands, public: Path) -> None:
    done = commands.run("check", "./public", "--format", "json", "--no-external", "--ignore", "notice", *WORK)
    assert done.code == 1, done.err
    assert places(done.out) == {
        ("broken", "/About"): [("public/docs/index.html", 6)],
        ("broken", "/missing.png"): [("public/about.html", 7)],
    }
    assert "127.0.0.1" not in done.out
    (public / "missing.png").write_bytes(b"x")
    (public / "docs" / "index.html").write_text(source("docs/index.html", '<p id="yes">a</p><a href="/about">a</a>'))
    done = commands.run("check", "public/", "--format", "json", "--no-external", "--ignore", "notice", *WORK)
    assert (done.code, places(done.out)) == (0, {})
    (crawl,) = [json.loads(line) for line in commands.run("list", "--json").out.splitlines()]
    assert crawl["crawl"].startswith("check-public-")
    assert crawl["found"]["unchanged"] >= 2


def test_links_to_the_future_address_lead_into_the_folder(commands: Commands, public: Path) -> None:
    done = commands.run(
        "check", "public", "--base", "https://site.example/", "--format", "json", "--ignore", "notice", *WORK
    )
    assert done.code == 1, done.err
    assert places(done.out) == {
        ("broken", "https://site.example/About"): [("public/docs/index.html", 6)],
        ("broken", "https://site.example/missing.png"): [("public/about.html", 7)],
        ("broken-fragment", "https://site.example/docs/#no"): [("public/about.html", 8)],
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "nothing was checked yet"),
        ("example.org", "did you mean https://example.org"),
        ("nowhere/", "there is no such file"),
        ("public public", "check it by itself"),
        ("public/index.html", "name a URL, or the folder of a site"),
        ("-", "name a URL, or the folder of a site"),
        ("public --base example.org", "--base example.org: a URL is needed"),
        ("https://example.org --base https://example.org", "name the folder as SOURCE"),
        ("public --fail-on eror", "did you mean error"),
        ("public --slow soon", "--slow 'soon' cannot be used"),
        ("public --large much", "--large 'much' cannot be used"),
        ("public --max-findings 0", "--max-findings"),
        ("public --baseline none.json", "--baseline none.json cannot be read"),
        ("public -o report.doc", "report.doc"),
        ("public --format word", "word"),
        ("public --only borken", "broken"),
        ("public --places pictures", "pictures"),
        ("public --proxy http://127.0.0.1:1", "--proxy"),
        ("--fresh --yes", "name the SOURCE"),
        ("public --report-only", "there is no crawl"),
    ],
)
def test_mistakes_are_told_in_one_line(commands: Commands, public: Path, line: str, words: str) -> None:
    done = commands.run("check", *line.split())
    assert (done.code, len(done.lines)) == (2, 1), done.err
    assert words in done.lines[0]
    assert not (commands.folder / "report.doc").exists()


def test_a_crawl_that_is_no_check_is_refused(commands: Commands, sites: Sites) -> None:
    home = sites.add().serve("/", b"x")
    assert commands.run("run", home, *WORK, "--delay", "0").code == 0
    done = commands.run("check", home, "--crawl", "default")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "is no check" in done.err


@needs_root
def test_without_a_network_the_rest_is_reported(commands: Commands, sites: Sites) -> None:
    """Links that wait for a name server are no findings, and the report says that it is not complete."""
    commands.within = machine(commands.base, name_server=DEAD)
    site = sites.add()
    home = site.serve("/", source("/", '<a href="/gone">a</a> <a href="http://away.example/">b</a>').encode())
    within = [*OPTIONS, "--host-patience", "2s", "--format", "json", "--ignore", "notice"]
    done = commands.run("check", home, *within)
    assert done.code == 4, done.err
    assert json.loads(done.out)["summary"]["complete"] is False
    assert places(done.out) == {("broken", site.url("/gone")): [(home, 6)]}
    assert "--no-external checks without other sites" in done.err


def test_a_start_page_that_is_broken(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    done = commands.run("check", site.url("/gone"), *OPTIONS, "--ignore", "broken")
    assert done.code == 1, done.err
    assert "404 Not Found" in done.out


def test_an_interrupted_check_continues_and_says_that_it_is_not_complete(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    for n in range(30):
        site.serve(f"/{n}", source(f"/{n}", f'<a href="/{(n + 1) % 30}">next</a> <a href="/gone/{n}">x</a>').encode())
    going = commands.start("check", site.url("/0"), "--delay", "300ms", "--allow-private", *WORK)
    wait_until(lambda: len(site.seen) > 8, "some requests")
    going.signal(signal.SIGINT)
    done = going.wait()
    assert done.code == 130
    assert "continue with `crawler check" in done.err
    part = commands.run("check", "--report-only", "--format", "json", "--plain")
    assert json.loads(part.out)["summary"]["complete"] is False
    assert "not complete" in part.err
    whole = commands.run("check", site.url("/0"), "--delay", "0", "--ignore", "notice", "--format", "json", *WORK)
    assert whole.code == 1
    assert len(json.loads(whole.out)["findings"]) == 30
    (crawl,) = [json.loads(line) for line in commands.run("list", "--json").out.splitlines()]
    assert (crawl["ended"], crawl["revisited"]) == (60, 0)


def test_a_folder_is_checked_from_python(commands: Commands, public: Path) -> None:
    commands.write(
        "checks.py",
        "from crawler import Crawl\n"
        "if __name__ == '__main__':\n"
        "    with Crawl('public', name='site', workers=1, no_external=True) as crawl:\n"
        "        for times in range(2):\n"
        "            for found in crawl.check(only='error', progress=False):\n"
        "                print(found.code, found.target, *(f'{page.url}:{page.line}' for page in found.pages))\n",
    )
    done = commands.run(python="checks.py")
    assert (done.code, done.out.splitlines()) == (
        0,
        ["broken /About public/docs/index.html:6", "broken /missing.png public/about.html:7"] * 2,
    )
