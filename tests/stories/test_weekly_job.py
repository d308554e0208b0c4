"""The code, the script and the units of docs/copies.md: run on a crawl that is visited again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from crawler.export.shape import FIELDS
from tests.export.readers import rows
from tests.stories.commands import PROGRAM, Commands
from tests.stories.sites import Site, Sites
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
    """The folder of the job, and the site that is visited."""

    commands: Commands
    site: Site

    @property
    def folder(self) -> Path:
        return self.commands.folder

    def run(self, *command: str) -> str:
        """Run a command there; what it said."""
        done = subprocess.run(command, cwd=self.folder, env=self.commands.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def write(self, name: str, text: str) -> Path:
        """A file there, in which the paths of the page are those of the test, and a week is over at once."""
        home = str(self.folder)
        path = self.folder / name
        path.write_text(text.replace("/var/lib/crawler", home).replace("/opt/crawler", home).replace("6d", "0s"))
        path.chmod(0o755 if text.startswith("#!") else 0o644)
        return path

    def serve(self, name: str, text: str, footer: str = "Made by hand.") -> None:
        """Answer a page of the site so."""
        words = " ".join(f"{text} is sentence {n} of a text that goes on for a while." for n in range(8))
        home = f'<a href="/">Home</a><nav>{"".join(f"<a href=/{n}>{n}</a>" for n in range(1, 7))}</nav>'
        page = f"<html><head><title>{name}</title></head><body>{home}<main><h1>{name}</h1><p>{words}</p></main>"
        html = f"{page}<footer><p>{footer}</p></footer></body></html>"
        self.site.serve(f"/{name}", html.encode(), 200, [("Content-Type", "text/html; charset=utf-8")])


@pytest.fixture
def home(commands: Commands, sites: Sites) -> Home:
    made = Home(commands, sites.add())
    vectors = EMBED + "".join(block.partition("\nwith open(")[0] for block in blocks("python", ANALYSIS))
    made.write("vectors.py", vectors)
    (feed,) = (block for block in blocks("python") if block.startswith("# feed.py"))
    made.write("feed.py", feed)
    (made.folder / "bin").mkdir()
    made.write("bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    made.write("bin/crawler", f'#!/bin/sh\nexec {PROGRAM} "$@"\n')
    made.write("weekly.sh", *blocks("sh"))
    return made


def first_visit(home: Home) -> None:
    """Crawl the site as the page says."""
    home.serve("", "Welcome")
    for n in range(1, 6):
        home.serve(str(n), f"Number {n}")
    (command,) = re.findall(r"^\$ (crawler run .*)$", PAGE, re.MULTILINE)
    first = [home.site.url("/") if word == "https://example.org" else word for word in command.split()[1:]]
    assert home.commands.run(*first, "--delay", "0", "-n", "1").code == 0


def change(home: Home) -> None:
    """A week passes: 1 has another text, 2 is gone, 3 moves, 4 is denied, only the footer of 5 differs, 6 is new."""
    home.serve("1", "Another")
    del home.site.pages["/2"]
    home.site.redirect("/3", "/6", 301)
    home.site.serve("/4", b"no", 403)
    home.serve("5", "Number 5", footer="Made by machines.")
    home.serve("6", "Number 6")


THEN: Final = {"": "new", "1": "changed", "2": "gone", "3": "moved", "4": "new", "5": "boilerplate", "6": "new"}
THERE: Final = ["", "1", "4", "5", "6"]


def changes(home: Home, table: str = "pages.sqlite") -> dict[str, str | None]:
    """What the table says of each page by its path."""
    return {row["url"].rpartition("/")[2]: row["change"] for row in rows(home.folder / table)}


def chunks(home: Home) -> dict[str, str]:
    """The texts in the vector store by the path of the page."""
    with duckdb.connect(str(home.folder / "chunks.db"), read_only=True) as store:
        found = store.execute("SELECT url, text FROM chunks ORDER BY id").fetchall()
    return {url.rpartition("/")[2]: text for url, text in found}


@pytest.mark.slow
def test_the_job_keeps_a_table_and_a_vector_store_in_step(home: Home) -> None:
    first_visit(home)
    home.run("./weekly.sh")
    assert sorted(changes(home)) == sorted(chunks(home)) == ["", "1", "2", "3", "4", "5"]
    (home.folder / "embedded.log").unlink()
    change(home)
    home.run("./weekly.sh")
    assert changes(home) == THEN
    assert sorted(chunks(home)) == THERE
    assert chunks(home)["1"].startswith("Another is sentence 0")
    embedded = (home.folder / "embedded.log").read_text().splitlines()
    assert sorted(line.split()[1] for line in embedded) == ["Another", "Number"]  # of 1 and 6, and of no other
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
    change(home)
    home.run("./weekly.sh")
    assert sorted(chunks(home)) == THERE


@pytest.mark.slow
def test_a_table_in_duckdb_is_merged(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.folder)
    (merge,) = (block for block in blocks("python") if "QUALIFY" in block)
    (export,) = (line for line in PAGE.splitlines() if line.startswith("$ crawler export -o parts.parquet/"))
    (recrawl,) = (line for line in PAGE.splitlines() if line.startswith("crawler recrawl --older-than"))
    found: dict[str, Any] = {}
    for visit, expected in ((first_visit, ["", "1", "2", "3", "4", "5"]), (change, THERE)):
        visit(home)
        assert home.commands.run(*recrawl.replace("6d", "0s").split()[1:]).code == 0
        assert home.commands.run(*export.split()[2:]).code == 0
        exec(merge, found)
        urls = found["copy"].sql("SELECT url FROM pages").fetchall()
        assert sorted(url.rpartition("/")[2] for (url,) in urls) == expected
        found["copy"].close()
    with duckdb.connect("copy.db") as copy:
        ((text,),) = copy.sql("SELECT markdown FROM pages WHERE change = 'changed'").fetchall()
        assert "Another is sentence 7" in text
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
    assert sorted(chunks(home)) == ["", "1", "2", "3", "4", "5"]
