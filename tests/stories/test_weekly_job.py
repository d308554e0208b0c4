"""The code, the script and the units of docs/copies.md: run on a crawl that is visited again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from crawler.export.shape import FIELDS
from crawler.frontier.redis.connection import Connection
from tests.export.conftest import Crawl
from tests.export.readers import rows
from tests.export.visits import changed, failed, gone, moved, new, store
from tests.stories.commands import PROGRAM, Commands
from tools.docs import DOCS

PAGE: Final = (DOCS / "copies.md").read_text(encoding="utf-8")
ANALYSIS: Final = (DOCS / "analysis.md").read_text(encoding="utf-8").partition("## Into a vector store")[2]
EMBED: Final = """
import duckdb


def embed(text):
    with open("embedded.log", "a") as log:
        log.write(text.replace("\\n", " ") + "\\n")
    return [float(text.count(letter)) for letter in "abcdefgh"]
"""


def blocks(kind: str, text: str = PAGE) -> list[str]:
    """The blocks of a page in one language."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Home:
    """The folder of the job, and the crawl in it."""

    commands: Commands
    crawl: Crawl

    @property
    def folder(self) -> Path:
        return self.commands.folder

    def run(self, *command: str) -> str:
        """Run a command there; what it said."""
        done = subprocess.run(command, cwd=self.folder, env=self.commands.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def write(self, name: str, text: str) -> Path:
        """A file there, in which the paths of the page are those of the test."""
        path = self.folder / name
        path.write_text(text.replace("/var/lib/crawler", str(self.folder)).replace("/opt/crawler", str(self.folder)))
        path.chmod(0o755 if text.startswith("#!") else 0o644)
        return path


@pytest.fixture
def home(redis_url: str, commands_on: Callable[[str], Commands]) -> Iterator[Home]:
    link = Connection(redis_url)
    commands = commands_on(redis_url)
    made = Home(commands, Crawl.create(link, "default"))
    vectors = EMBED + "".join(block.partition("\nwith open(")[0] for block in blocks("python", ANALYSIS))
    made.write("vectors.py", vectors)
    (feed,) = (block for block in blocks("python") if block.startswith("# feed.py"))
    made.write("feed.py", feed)
    (made.folder / "bin").mkdir()
    made.write("bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    made.write("bin/crawler", f'#!/bin/sh\n[ "$1" = recrawl ] || exec {PROGRAM} "$@"\n')
    made.write("weekly.sh", *blocks("sh"))
    yield made
    link.close()


def with_text(record: Any) -> Any:
    """The same with its text as Markdown, as a crawl with `--store markdown` has it."""
    return type(record)(**record.to_dict() | {"markdown": record.text, "text": None})


def first_visit(home: Home) -> None:
    home.crawl.commit([with_text(new(n)) for n in range(6)])


def second_visit(home: Home) -> None:
    store(home.crawl, [with_text(changed(1)), gone(2), moved(3, 9), failed(4), with_text(new(5, change="boilerplate"))])


def numbered(urls: Any) -> list[int]:
    return sorted(int(url.rpartition("/")[2]) for url in urls)


def chunks(home: Home) -> dict[int, str]:
    """The texts in the vector store by the number of the page."""
    with duckdb.connect(str(home.folder / "chunks.db"), read_only=True) as store:
        found = store.execute("SELECT url, text FROM chunks ORDER BY id").fetchall()
    return {int(url.rpartition("/")[2]): text for url, text in found}


@pytest.mark.slow
def test_the_job_keeps_a_table_and_a_vector_store_in_step(home: Home) -> None:
    first_visit(home)
    home.run("./weekly.sh")
    assert numbered(row["url"] for row in rows(home.folder / "pages.sqlite")) == [0, 1, 2, 3, 4, 5]
    assert sorted(chunks(home)) == [0, 1, 2, 3, 4, 5]
    (home.folder / "embedded.log").unlink()
    second_visit(home)
    home.run("./weekly.sh")
    pages = {int(row["url"].rpartition("/")[2]): row for row in rows(home.folder / "pages.sqlite")}
    assert {n: row["change"] for n, row in pages.items()} == {
        **{0: "new", 1: "changed", 2: "gone", 3: "moved", 4: "new", 5: "boilerplate"},
    }
    assert (pages[1]["markdown"], pages[2]["markdown"]) == (changed(1).text, None)
    assert sorted(chunks(home)) == [0, 1, 4, 5]
    assert chunks(home)[1] == changed(1).text
    assert (home.folder / "embedded.log").read_text() == f" {changed(1).text}\n"  # nothing else was embedded again
    said = home.run("./weekly.sh")
    assert said.count("no visit has found a change since then") == 2
    assert [*(home.folder / "changes").glob("part-*")] == []


@pytest.mark.slow
def test_what_an_interrupted_job_left_is_in_the_next_one(home: Home) -> None:
    first_visit(home)
    feed = (home.folder / "feed.py").read_text()
    home.write("feed.py", feed.replace("    part.unlink()", "    raise SystemExit(1)"))
    assert subprocess.run(["./weekly.sh"], cwd=home.folder, env=home.commands.env, capture_output=True).returncode == 1
    home.write("feed.py", feed)
    second_visit(home)
    home.run("./weekly.sh")
    assert sorted(chunks(home)) == [0, 1, 4, 5]


def test_a_table_in_duckdb_is_merged(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.folder)
    (merge,) = (block for block in blocks("python") if "QUALIFY" in block)
    (export,) = (line for line in PAGE.splitlines() if line.startswith("$ crawler export -o parts.parquet/"))
    found: dict[str, Any] = {}
    for visit, expected in ((first_visit, [0, 1, 2, 3, 4, 5]), (second_visit, [0, 1, 4, 5])):
        visit(home)
        assert home.commands.run(*export.split()[2:]).code == 0
        exec(merge, found)
        assert numbered(url for (url,) in found["copy"].sql("SELECT url FROM pages").fetchall()) == expected
        found["copy"].close()
    with duckdb.connect("copy.db") as copy:
        assert copy.sql("SELECT markdown FROM pages WHERE change = 'changed'").fetchall() == [(changed(1).text,)]
        assert {column[0] for column in copy.sql("FROM pages LIMIT 0").description} == {*FIELDS}


# -- units -------------------------------------------------------------------------------------------------------------


def units() -> dict[str, str]:
    """The units by name."""
    return {block.split("\n", 1)[0].rpartition("/")[2]: block for block in blocks("ini")}


def test_systemd_reads_the_units(home: Home) -> None:
    for name, unit in units().items():
        home.write(name, unit)
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    names = [str(home.folder / name) for name in units()]
    done = subprocess.run([analyze, "verify", *names], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "crawler" in line]
    assert (done.returncode, said) == (0, [])


def test_the_timer_starts_the_service_and_that_the_script() -> None:
    service, timer = (ConfigParser(interpolation=None, strict=True) for _ in range(2))
    assert [*units()] == ["crawler-weekly.service", "crawler-weekly.timer"]
    service.read_string(units()["crawler-weekly.service"])
    timer.read_string(units()["crawler-weekly.timer"])
    (script,) = blocks("sh")
    folder = service["Service"]["WorkingDirectory"]
    assert f"\ncd {folder}\n" in script
    assert service["Service"]["ExecStart"] == f"{folder}/weekly.sh"
    assert service["Service"]["StateDirectory"] == folder.rpartition("/")[2]  # the user may write there
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [0-2]\d:[0-5]\d", timer["Timer"]["OnCalendar"])


@pytest.mark.slow
def test_the_line_for_cron_runs_the_script(home: Home) -> None:
    (line,) = re.findall(r"^```\n(\S+ \S+ \S+ \S+ \S+)  (cd .*)\n```$", PAGE, re.MULTILINE)
    assert line[0] == "0 3 * * 0"
    first_visit(home)
    command = home.write("cron.sh", f"{line[1]}\n").read_text()
    environment = {name: value for name, value in home.commands.env.items() if name.startswith("CRAWLER_")}
    path = {"PATH": "/usr/bin:/bin", "HOME": str(home.folder)}  # as cron has it
    subprocess.run(["/bin/sh", "-c", command], env=environment | path, check=True, cwd=os.sep)
    log = (home.folder / "weekly.log").read_text()
    assert "6 records written to pages.sqlite" in log
    assert sorted(chunks(home)) == [0, 1, 2, 3, 4, 5]
