"""Mistakes: one line on stderr that says what to do, the right exit code, and nothing made by accident."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crawler.cli.app import main
from tests.redis_for_tests import PrivateRedis
from tests.stories.commands import Commands, Done
from tests.stories.sites import Sites, closed_port, html

URL = "http://127.0.0.1:9/"
MADE = {"broken.py", "kept.jsonl", "list.txt", "program"}


def _refused(done: Done, code: int, *words: str) -> None:
    """It ended with *code* after one line with all of *words*."""
    assert done.code == code, done.err
    assert done.out == ""
    assert len(done.lines) == 1, done.err
    assert done.lines[0].startswith("crawler: ")
    for word in words:
        assert word in done.lines[0], (word, done.lines[0])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to run a command in within this process, which is as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in os.environ if name.startswith("CRAWLER_")]:
        monkeypatch.delenv(name)
    logger, terminate = logging.getLogger("crawler"), signal.getsignal(signal.SIGTERM)
    before = logger.level, logger.propagate, list(logger.handlers)
    yield tmp_path
    signal.signal(signal.SIGTERM, terminate)
    logger.level, logger.propagate, logger.handlers[:] = before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run",), ("no crawl 'default'", "crawler run")),
        (("run", "nothing.txt"), ("nothing.txt", "no such file", "https://")),
        (("run", "."), (".: is not a file",)),
        (("run", "example.org"), ("no such file", "did you mean https://example.org?")),
        (("run", "http:/host/x"), ("did you mean http://host/x?",)),
        (("seed", "list.txt", "program"), ("program: ", "binary data", "one URL a line")),
        (("run", URL, "-o", "a.jsonl", "-o", "b.csv"), ("--output", "given 2 times")),
        (("run", "ftp://example.org/"), ("ftp://example.org/", "only http and https")),
        (("run", "http://user:MARK@example.org/"), ("credentials",)),
        (("run", "http://"), ("http://",)),
        (("seed",), ("SOURCE",)),
        (("run", URL, "--delay", "soon"), ("delay", "'soon'", "500ms")),
        (("run", URL, "--scope", "planet"), ("scope", "'planet'", "host, site, prefix, all")),
        (("run", URL, "-n", "0"), ("workers", "from 1")),
        (("run", URL, "-n", "999999"), ("-n 999,999", "at most", "name fewer")),
        (("work", "-n", "999999"), ("-n 999,999", "at most", "name fewer")),
        (("run", URL, "--retries", "99"), ("retries", "at most 14")),
        (("run", URL, "--max-pages", "-5"), ("max-pages",)),
        (("run", URL, "--dealy", "1"), ("--dealy", "`crawler run --delay`", "--help")),
        (("run", URL, "--depth", "1"), ("--depth", "`crawler run --max-depth`")),
        (("run", URL, "--js"), ("No such option '--js'. See",)),
        (("run", URL, "--accept", "a"), ("`crawler run --include`",)),
        (("run", URL, "--max-pages", "1k"), ("max-pages", "'1k'", "from 1")),
        (("help",), ("`crawler --help`",)),
        (("version",), ("`crawler --version`",)),
        (("statsu",), ("`crawler status`",)),
        (("run", URL, "--include", "(a"), ("--include", "(a", "regular expression")),
        (("run", URL, "--hook", "nothing"), ("--hook", "module:function")),
        (("run", URL, "--hook", "nothing_there:f"), ("nothing_there",)),
        (("run", URL, "--hook", "os:nothing_there"), ("os has no function nothing_there",)),
        (("run", URL, "--hook", "broken.py:f"), ("broken.py", "ZeroDivisionError")),
        (("run", URL, "-o", "no/where.jsonl"), ("no/where.jsonl", "folder does not exist")),
        (("run", URL, "-o", "pages.pdf"), ("pages.pdf", ".pdf", ".jsonl", "--format")),
        (("run", URL, "-o", "pages"), ("pages: ", "no ending", ".jsonl", "--format")),
        (("run", URL, "--header", "nonsense"), ("header", "Name: value")),
        (("run", URL, "--redis", "localhost"), ("redis://",)),
        (("run", URL, "--log-file", "no/where.log"), ("no/where.log", "cannot be written")),
        (("run", URL, "--crawl", "a b"), ("crawl", "letters, digits")),
        (("run", "--fresh", "--yes"), ("--fresh", "SOURCE")),
        (("craw",), ("craw",)),
        (("status",), ("no crawl 'default'", "/.crawler", "--folder")),
        (("export", "-o", "-"), ("no crawl 'default'",)),
        (("export", "-o", "-", "--crawl", "other"), ("no crawl 'other'",)),
        (("export",), ("--output",)),
        (("export", "-o", "-", "--only", "everything"), ("'everything'", "fetched")),
        (("export", "-o", "-", "--only", "200"), ("(--status 200?)",)),
        (("export", "-o", "-", "--status", "20"), ("--status 20", "3xx")),
        (("export", "-o", "kept.jsonl", "--follow", "--only", "everything"), ("'everything'",)),
        (("set", "delay", "1"), ("no crawl 'default'",)),
        (("pause",), ("no crawl 'default'",)),
        (("delete", "--yes"), ("no crawl 'default'",)),
        (("fetch", "nonsense"), ("nonsense",)),
        (("fetch", "127.0.0.1:9"), ("did you mean http://127.0.0.1:9?",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_before_anything_is_made(
    arguments: tuple[str, ...], words: tuple[str, ...], here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The folder is as it was: no Redis was started, no file made or changed. In this process, for there are many."""
    (here / "broken.py").write_text("1 / 0\n")
    (here / "kept.jsonl").write_text("kept\n")
    (here / "list.txt").write_text(f"{URL}\n")
    (here / "program").write_bytes(b"\x7fELF" + bytes(range(9)) * 99)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    done = Done(int(ended.value.code or 0), *capfd.readouterr())
    _refused(done, 2, *words)
    assert "MARK" not in done.err
    assert {path.name for path in here.iterdir()} - {"__pycache__"} == {
        "broken.py",
        "kept.jsonl",
        "list.txt",
        "program",
    }
    assert (here / "kept.jsonl").read_text() == "kept\n"


def test_no_crawls_is_no_mistake_of_list(commands: Commands) -> None:
    done = commands.run("list")
    assert (done.code, done.out) == (0, "")
    assert "there is no crawl" in done.lines[0]
    assert not (commands.folder / ".crawler").exists()


def test_without_arguments_it_helps(commands: Commands) -> None:
    done = commands.run()
    assert "Traceback" not in done.err
    assert "Usage: crawler" in done.out + done.err
    assert "run" in done.out + done.err


def test_redis_that_is_not_there(commands_on: Callable[[str], Commands]) -> None:
    """Exit code 3 for each command, and the password is not shown."""
    commands = commands_on(f"redis://:MARK@127.0.0.1:{closed_port()}/0")
    for arguments in (("run", URL), ("seed", URL), ("work",), ("status",), ("export", "-o", "a.jsonl"), ("list",)):
        done = commands.run(*arguments)
        _refused(done, 3, "Redis", "cannot be reached", "from CRAWLER_REDIS")
        assert "MARK" not in done.err
    assert not (commands.folder / "a.jsonl").exists()
    assert not (commands.folder / ".crawler").exists()


def test_lines_that_are_no_urls(commands: Commands, sites: Sites) -> None:
    """Each is told with its place, the others are crawled; without any other nothing is begun."""
    site = sites.add()
    url = site.serve("/", html())
    commands.write("bad.txt", "# comment\n\nexample.org\nmailto:a@b\n")
    commands.write("mixed.txt", f"\ufeff# comment\nexample.org\n{url}\nhttp://[1\n{url}#again\n")
    done = commands.run("run", "bad.txt")
    assert done.code == 2
    assert [line for line in done.lines if "bad.txt:3: 'example.org'" in line and "https://" in line]
    assert "bad.txt:4:" in done.err
    assert "no line of the sources is a URL" in done.lines[-1]
    done = commands.run("list")
    assert (done.code, done.out) == (0, ""), "a crawl of nothing was left behind"
    done = commands.run("seed", "mixed.txt", "--delay", "0", "--scope", "host")
    assert done.code == 2
    assert "1 new URL, 1 known, 2 refused" in done.lines[-1]
    assert "mixed.txt:2:" in done.err
    assert "mixed.txt:4:" in done.err
    done = commands.run("run", "-o", "-", "-n", "1")
    assert (done.code, [record["url"] for record in done.records()]) == (0, [url])


def test_lists_that_hold_more_or_less_than_urls(commands: Commands) -> None:
    """What is odd is shown and ends with 2, what is a URL goes in; from files and from stdin alike."""
    text = (
        "\ufeffhttp://a.example/1\rhttp://a.example/2\r\n\ufeffhttp://a.example/3\u200b\nhttp://a.example/4,a title\n"
    )
    commands.write("urls.txt", text)
    commands.write("blank.txt", "\n# nothing\n")
    commands.write("table.csv", "url;title\nhttp://a.example/5;Five\nhttp://a.example/6;Six\n")
    for stdin, arguments in (("", ("urls.txt",)), (text, ("-",))):
        done = commands.run("seed", *arguments, stdin=stdin)
        assert (done.code, len(done.lines)) == (2, 2)
        assert ":4: 'http://a.example/4,a title' is not a URL to crawl: it contains a blank" in done.lines[0]
        assert ("3 new URLs, 0 known, 1 refused" if stdin == "" else "0 new URLs, 3 known, 1 refused") in done.lines[1]
    done = commands.run("seed", "blank.txt", "table.csv")
    assert done.code == 2
    assert done.lines[0] == "crawler: blank.txt: it holds no URL"
    assert done.lines[1].startswith("crawler: table.csv: it looks like a table with a semicolon between its columns")
    assert done.lines[-1].startswith("crawler: 0 new URLs, 0 known, 4 refused")


def test_of_many_bad_lines_ten_are_shown(commands: Commands) -> None:
    done = commands.run("seed", "-", stdin="nonsense\n" * 50)
    assert done.code == 2
    assert len([line for line in done.lines if "stdin:" in line]) == 10
    assert "50 refused" in done.lines[-1]


def test_settings_of_a_crawl_that_is_there(commands: Commands) -> None:
    """Fixed ones stay, others are changed and told; what is unknown or cannot be used changes nothing."""
    assert commands.run("seed", URL, "--scope", "host").code == 0
    _refused(commands.run("seed", URL, "--scope", "all"), 2, "--scope host", "cannot change", "--fresh")
    _refused(commands.run("set", "color", "red"), 2, "'color'", "`crawler set`")
    _refused(commands.run("set", "dely", "2s"), 2, "'dely'", "did you mean delay?")
    _refused(commands.run("set", "redis"), 2, "'redis'", "--redis")
    _refused(commands.run("set", "include", "(a"), 2, "--include")
    _refused(commands.run("delete"), 2, "--yes")
    _refused(commands.run("run", URL, "--fresh"), 2, "--yes")
    shown = commands.run("set").out
    assert "scope                host  (fixed)" in shown
    assert "include              none" in shown
    for name, value in (("max-depth", "250\n"), ("scope", "host\n")):
        assert commands.run("set", name).out == value
    done = commands.run("set", "retries=3")
    assert (done.code, done.lines) == (0, ["crawler: retries: 2 -> 3"])
    done = commands.run("set", "max-depth", "3")
    assert (done.code, done.lines) == (0, ["crawler: max-depth: 250 -> 3"])
    done = commands.run("seed", URL, "--max-depth", "4", "--scope", "host")
    assert done.code == 0
    assert "crawler: max-depth: 3 -> 4" in done.lines


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(commands: Commands) -> None:
    commands.folder.chmod(0o500)
    try:
        _refused(commands.run("run", URL), 3, "writable")
    finally:
        commands.folder.chmod(0o700)


def test_output_that_cannot_be_written(commands: Commands, sites: Sites) -> None:
    """Found before the crawl begins: a folder of other files, and a device that is full at the end."""
    site = sites.add()
    url = site.serve("/", html())
    _refused(commands.run("run", url, "-o", ".", "--format", "jsonl"), 2, "is not empty", "name a new folder")
    assert not site.seen
    if Path("/dev/full").exists():
        done = commands.run("run", url, "-o", "/dev/full", "--format", "jsonl", "--delay", "0", "-n", "1")
        assert done.code == 5
        assert "/dev/full cannot be written" in done.lines[-1]
        assert "Traceback" not in done.err


def test_a_filter_that_nothing_matches_is_no_mistake(commands: Commands, sites: Sites) -> None:
    """An empty file, exit code 0, and a word."""
    url = sites.add().serve("/", html())
    assert commands.run("run", url, "-n", "1").code == 0
    for more in ((), ("--state", "a.state")):
        done = commands.run("export", "-o", "a.jsonl", "--only", "fetched", "--status", "3xx", *more)
        assert (done.code, (commands.folder / "a.jsonl").read_text()) == (0, "")
        assert "0 records written to a.jsonl" in done.err
        assert "no record matches --only fetched --status 3xx" in done.lines[-1]
        (commands.folder / "a.jsonl").unlink()
    assert [record["url"] for record in commands.exported("--only", "fetched,failed", "--status", "2xx")] == [url]


def test_a_crawl_that_fetched_nothing_ends_with_4(commands: Commands, sites: Sites) -> None:
    """Also if a limit ended it: a dead proxy, a port that refuses."""
    site = sites.add()
    url = site.serve("/", html())
    for arguments in ((url, "--proxy", URL), (f"http://127.0.0.1:{closed_port()}/",)):
        done = commands.run("run", *arguments, "--max-time", "1s", "-n", "1", "--fresh", "--yes", "-o", "a.jsonl")
        assert done.code == 4, done.err
        assert "nothing was fetched" in done.lines[-1]
        assert (commands.folder / "a.jsonl").read_text() == ""
    assert not site.seen
    assert commands.run("run", url, "--max-pages", "1", "--fresh", "--yes", "-n", "1").code == 0


def test_something_else_under_the_crawls_name(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands]
) -> None:
    """A key of another kind is named; a crawl of another version is refused."""
    commands = commands_on(redis_server.url)
    with redis_server.client() as client:
        client.set("crawler:{default.0}:meta", "mine")
        done = commands.run("status")
        assert done.code == 2
        assert "its key crawler:{default.0}:meta holds a string, not a hash" in done.lines[-1]
        assert "Traceback" not in done.err
        client.delete("crawler:{default.0}:meta")
        client.hset("crawler:{default.0}:meta", mapping={"generation": "x", "schema": "99", "salt": "00"})
        done = commands.run("status")
        assert done.code == 2
        assert "another version" in done.lines[-1]
