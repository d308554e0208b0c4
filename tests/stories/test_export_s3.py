"""Exports into S3 from end to end: what is refused, a bucket that goes away, secrets that stay secret."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crawler import Crawl
from crawler.frontier.redis.connection import Connection
from crawler.record import Request
from tests.export import conftest
from tests.export.conftest import page
from tests.export.s3_server import BUCKET, SECRET, S3Server
from tests.stories.commands import Commands, Done, Json, by_url, wait_until
from tests.stories.sites import Sites, html

SIZE = 300
IMPATIENT = """
from crawler.cli.app import main
from crawler.export import bucket
bucket.PATIENCE = 1.0
main()
"""
"""The command line, for which a bucket may be away for a second."""


@dataclass(frozen=True)
class Stored:
    """Commands that can reach the server, and a crawl of SIZE records."""

    commands: Commands
    crawl: conftest.Crawl
    server: S3Server

    def export(self, output: str, *flags: str, python: str | None = None) -> Done:
        return self.commands.run("export", "-o", f"s3://{BUCKET}/{output}", *flags, python=python)

    def lines(self, key: str) -> dict[str, Json]:
        return by_url([json.loads(line) for line in self.server.objects()[key].splitlines()])

    @property
    def urls(self) -> set[str]:
        return {page(n).url for n in range(SIZE)}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with S3Server(tmp_path / "s3") as found:
        yield found


@pytest.fixture
def stored(redis_url: str, commands_on: Callable[[str], Commands], server: S3Server) -> Iterator[Stored]:
    link = Connection(redis_url)
    crawl = conftest.Crawl.create(link, "default")
    crawl.commit([page(n) for n in range(SIZE)])
    commands = commands_on(redis_url)
    commands.env.update(server.environment)
    yield Stored(commands, crawl, server)
    link.close()


def refusal(done: Done, code: int) -> str:
    """What a command said that failed: one line, no secret in it."""
    assert done.code == code, done.err
    assert SECRET not in done.err + done.out
    assert "Traceback" not in done.err
    lines = [line for line in done.lines if "trying again" not in line and "may be locked" not in line]
    assert len(lines) == 1, done.err
    return lines[0]


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "csv"])
def test_one_object_holds_the_whole_crawl(stored: Stored, ending: str) -> None:
    done = stored.export(f"a/pages.{ending}")
    assert done.code == 0, done.err
    assert f"300 records written to s3://{BUCKET}/a/pages.{ending}" in done.err
    assert stored.commands.run("export", "-o", f"local.{ending}").code == 0
    local = (stored.commands.folder / f"local.{ending}").read_bytes()
    assert stored.server.objects() == {f"a/pages.{ending}": local}
    assert list(stored.commands.temporary.glob("crawler-export-*")) == []


def test_a_run_writes_its_records_into_a_bucket(commands: Commands, server: S3Server, sites: Sites) -> None:
    commands.env.update(server.environment)
    site = sites.add()
    site.serve("/", html(["/a", "/b"]))
    site.serve("/a", html())
    site.serve("/b", html())
    done = commands.run("run", site.url("/"), "--delay", "0", "-o", f"s3://{BUCKET}/site.jsonl")
    assert done.code == 0, done.err
    found = by_url([json.loads(line) for line in server.objects()["site.jsonl"].splitlines()])
    assert {site.url(path) for path in ("/", "/a", "/b")} <= set(found)


@pytest.mark.parametrize(
    ("folder", "flags"),
    [
        ("pages.jsonl/", ()),
        ("pages.csv.gz/", ()),
        ("pages.jsonl.zst/", ()),
        ("parts/", ("--format", "parquet")),
        ("docs/", ("--format", "markdown")),
    ],
)
def test_a_folder_of_a_bucket_holds_what_a_folder_here_holds(
    stored: Stored, folder: str, flags: tuple[str, ...]
) -> None:
    done = stored.export(folder, *flags)
    assert done.code == 0, done.err
    assert stored.commands.run("export", "-o", folder, *flags).code == 0
    here = stored.commands.folder / folder
    files = {f"{folder}{path.relative_to(here)}": path.read_bytes() for path in here.rglob("*.*") if path.is_file()}
    state = f"{folder}.crawler-export.json"
    assert files.pop(state)
    for again in (done, stored.export(folder, *flags)):
        found = stored.server.objects()
        assert found.pop(state)
        assert (again.code, found) == (0, files)
    assert f"0 records written to s3://{BUCKET}/{folder}, 300 in all" in again.err


@pytest.mark.parametrize("name", ["pages.parquet", "pages.sqlite", "site.md", "sitemap.xml.gz", "llms.txt"])
def test_an_object_of_any_format_holds_what_a_file_holds(stored: Stored, name: str) -> None:
    done = stored.export(name)
    assert done.code == 0, done.err
    assert stored.commands.run("export", "-o", name).code == 0
    (found,) = stored.server.objects().values()
    if name.endswith(".sqlite"):
        copy = stored.commands.folder / "copy.sqlite"
        copy.write_bytes(found)
        assert rows_of(copy) == rows_of(stored.commands.folder / name)
    else:
        assert found == (stored.commands.folder / name).read_bytes()
    assert list(stored.commands.temporary.glob("crawler-export-*")) == []


def rows_of(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM pages ORDER BY url").fetchall()


def test_python_exports_into_a_bucket_too(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stored.server.environment.items():
        monkeypatch.setenv(name, value)
    with Crawl(redis=stored.crawl.url) as crawl:
        assert crawl.export(f"s3://{BUCKET}/pages.jsonl/") == SIZE
        assert crawl.export(f"s3://{BUCKET}/pages.jsonl/") == 0
        assert crawl.export(f"s3://{BUCKET}/pages.jsonl") == SIZE
    assert set(stored.lines("pages.jsonl")) == set(stored.lines("pages.jsonl/part-00001.jsonl")) == stored.urls


def test_a_folder_grows_while_the_crawl_runs(commands: Commands, server: S3Server, sites: Sites) -> None:
    commands.env.update(server.environment)
    site = sites.add()
    site.serve("/", html([f"/{n}" for n in range(40)]))
    for n in range(40):
        site.serve(f"/{n}", html())
    place = f"s3://{BUCKET}/site.jsonl/"
    going = commands.start("export", "-o", place, "--follow", "--drain")
    assert commands.run("run", site.url("/"), "--delay", "0").code == 0
    done = going.wait()
    assert done.code == 0, done.err
    parts = [data for key, data in server.objects().items() if "/part-" in key]
    found = by_url([json.loads(line) for data in parts for line in data.splitlines()])
    assert {site.url(f"/{n}") for n in range(40)} <= set(found)
    assert commands.exported() == []  # Redis is free of them


def test_a_run_continues_its_folder(commands: Commands, server: S3Server, sites: Sites) -> None:
    commands.env.update(server.environment)
    site = sites.add()
    first, second = site.serve("/one", html()), site.serve("/two", html())
    place = f"s3://{BUCKET}/site.jsonl/"
    assert commands.run("run", first, "--delay", "0", "-o", place).code == 0
    assert commands.run("run", second, "--delay", "0", "--add", "-o", place).code == 0
    parts = {key: data for key, data in server.objects().items() if "/part-" in key}
    found = by_url([json.loads(line) for data in parts.values() for line in data.splitlines()])
    assert (len(parts), {first, second} <= set(found)) == (2, True)


def test_a_second_export_into_a_folder_is_refused_until_the_first_is_gone(stored: Stored) -> None:
    stored.crawl.frontier.put([Request("http://example.org/that-waits")])  # the crawl is not done
    first = stored.commands.start("export", "-o", f"s3://{BUCKET}/pages.jsonl/", "--follow")
    wait_until(lambda: "pages.jsonl/.lock" in stored.server.objects(), "the lock")
    assert "is being written by another export: stop it" in refusal(stored.export("pages.jsonl/"), 2)
    first.kill()
    assert stored.export("pages.jsonl/").code == 0
    parts = [data for key, data in stored.server.objects().items() if "/part-" in key]
    assert set(by_url([json.loads(line) for data in parts for line in data.splitlines()])) == stored.urls


@pytest.mark.parametrize(
    ("variables", "output", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIDOFNOBODY"}, "pages.jsonl", "check AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "pages.jsonl", "needs both AWS_ACCESS_KEY_ID"),
        ({"AWS_ENDPOINT_URL": "localhost:9000"}, "pages.jsonl", "AWS_ENDPOINT_URL is no address"),
        ({}, "a//pages.jsonl", "a key has no empty part"),
        ({}, "pages.xlsx", "xlsx is no format here"),
        ({}, "pages.jsonl --state s", "appears whole at the end: leave out --state and --drain"),
        ({}, "pages.jsonl --drain", "a folder of parts has them: -o s3://crawls/pages.jsonl/"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_code_2(
    stored: Stored, variables: dict[str, str], output: str, words: str
) -> None:
    stored.commands.env.update(variables)
    name, *flags = output.split(" ")
    assert words in refusal(stored.export(name, *flags), 2)
    assert stored.server.objects() == {}


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "access denied: the key needs s3:PutObject"),
        (404, "NoSuchBucket", "there is no such bucket: create it first"),
        (403, "RequestTimeTooSkewed", "the clock of this machine is wrong"),
        (301, "PermanentRedirect", "set AWS_REGION"),
    ],
)
def test_what_the_server_refuses_is_one_line_and_exit_code_2(
    stored: Stored, status: int, code: str, words: str
) -> None:
    stored.server.fail(status=status, code=code)
    assert words in refusal(stored.export("pages.jsonl"), 2)


def test_a_bucket_that_stays_away_ends_with_exit_code_5(stored: Stored) -> None:
    stored.commands.write("impatient.py", IMPATIENT)
    stored.server.fail(method="PUT", key="pages.jsonl", status=503, code="SlowDown", times=999)
    line = refusal(stored.export("pages.jsonl", python="impatient.py"), 5)
    assert "the server answered 503 SlowDown, for 1 seconds; the object is as it was before" in line
    stored.server.kill()
    line = refusal(stored.export("pages.jsonl", python="impatient.py"), 5)
    assert "connection refused, for 1 seconds" in line
    stored.server.start()
    assert stored.server.objects() == {}
    assert stored.server.uploads == []
    assert stored.export("pages.jsonl").code == 0
    assert set(stored.lines("pages.jsonl")) == stored.urls


def test_without_obstore_one_line_says_what_to_install(stored: Stored) -> None:
    hidden = "import sys; sys.modules['obstore'] = None\nfrom crawler.cli.app import main\nmain()\n"
    stored.commands.write("hidden.py", hidden)
    assert "pip install 'crawler[s3]'" in refusal(stored.export("pages.jsonl", python="hidden.py"), 2)
    assert stored.commands.run("export", "-o", "local.jsonl", python="hidden.py").code == 0


@pytest.mark.parametrize("name", ["pages.jsonl", "pages.csv.gz", "pages.parquet", "pages.db"])
def test_an_older_object_is_not_replaced_by_an_empty_one(stored: Stored, name: str) -> None:
    assert stored.export(name).code == 0
    before = stored.server.objects()
    assert stored.commands.run("export", "-o", "drained.jsonl", "--drain").code == 0
    line = refusal(stored.export(name), 2)
    assert f"{name} stays as it was: there is no record to write" in line
    assert stored.server.objects() == before
    assert stored.export(f"new-{name}").code == 0
