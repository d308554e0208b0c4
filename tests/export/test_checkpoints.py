"""An export with a state goes on where it was, whatever ended it; what was freed in Redis is in the output, synced."""

from __future__ import annotations

import csv
import errno
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import CrawlerError, NoCrawl, UsageError
from crawler.export import Checkpoints, ExportState, Selection, Shape, Wanted, checkpoints, open_writer
from crawler.frontier.frontier import Frontier
from crawler.frontier.messages import Exported
from crawler.frontier.redis.connection import Connection
from crawler.record import Record, Request
from tests.export.conftest import Crawl, page
from tests.export.exports import export, follow

OUT, STATE = "a.jsonl", "a.state"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def go_on(crawl: Crawl, output: str = OUT, state: str = STATE, *, stopped: Any = None, **wanted: Any) -> Checkpoints:
    """One export with a state, to its end."""
    asked = Wanted(output, state, **wanted)
    with ExportState(state) as kept, Checkpoints(kept, crawl.frontier, asked) as made:
        more = {} if stopped is None else {"stopped": stopped}
        export(crawl.crawldb.records, made.writer, after=made.cursor, selection=asked.selection, note=made.note, **more)
    return made


def test_a_record_that_cannot_be_read_is_passed_over_once(crawl: Crawl, redis_server: Any) -> None:
    """The state goes on behind it; it is neither written nor freed, and all others are, each once."""
    crawl.commit([page(n) for n in range(5)])
    key = crawl.shard.keys.page(crawl.frontier.id(page(2).url))
    with redis_server.client() as client:
        client.hset(key, "m", b"not JSON")
        made = go_on(crawl, drain=True)
        assert (made.records, made.drained, urls()) == (4, 4, [0, 1, 3, 4])
        crawl.commit([page(5)])
        made = go_on(crawl, drain=True)
        assert (made.written, made.drained, urls()) == (1, 1, [0, 1, 3, 4, 5])
        assert client.hget(key, "m") == b"not JSON"


def whole(crawl: Crawl, name: str = OUT, **options: Any) -> bytes:
    """What an export without a state writes now, unpacked."""
    with open_writer(f"whole.{name}", options.pop("format", None)) as writer:
        export(crawl.crawldb.records, writer, **options)
    return unpacked(f"whole.{name}")


def unpacked(name: str) -> bytes:
    raw = Path(name).read_bytes()
    return gzip.decompress(raw) if name.endswith(".gz") else raw


def urls(name: str = OUT) -> list[int]:
    """The numbers of the pages in a file."""
    return [int(json.loads(line)["url"].rpartition("/")[2]) for line in unpacked(name).splitlines()]


def state(name: str = STATE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(name).read_text())
    return found


def at(count: int) -> Callable[[], bool]:
    """True from the *count*-th time on at which it is asked."""
    left = iter([False] * (count - 1))
    return lambda: next(left, True)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every batch."""
    monkeypatch.setattr(checkpoints, "EVERY_RECORDS", 1)


# -- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.csv.gz"])
def test_parts_make_the_whole(crawl: Crawl, name: str) -> None:
    for first in (0, 120, 125):
        crawl.commit([page(n) for n in range(first, first + 120 if first == 0 else first + 5)])
        made = go_on(crawl, name)
        assert unpacked(name) == whole(crawl, name)
        before = Path(name).read_bytes()
        assert go_on(crawl, name).written == 0
        assert Path(name).read_bytes() == before
    assert (made.written, made.records, made.fresh) == (5, 130, False)
    assert state() | {"cursor": 0, "tail": 0} == {
        "version": 1,
        "crawl": "export",
        "generation": crawl.frontier.generation,
        "output": name,
        "format": ("csv" if "csv" in name else "jsonl") + (", gzip" if "gz" in name else ""),
        "length": Path(name).stat().st_size,
        "tail": 0,
        "only": None,
        "status": None,
        "cursor": 0,
        "last": crawl.frontier.id(page(129).url),
        "records": 130,
        "unique": False,
        "fields": [],
        "items": False,
        "columns": [],
        "piped": False,
        "changes": False,
        "drained": 0,
    }


@pytest.mark.parametrize(("name", "lines"), [("a.jsonl", 0), ("a.csv", 1), ("a.jsonl.gz", 0), ("a.csv.gz", 1)])
def test_of_nothing_there_is_a_valid_file_that_goes_on(crawl: Crawl, name: str, lines: int) -> None:
    go_on(crawl, name)
    go_on(crawl, name)
    assert len(unpacked(name).splitlines()) == lines
    assert Path(name).stat().st_size > 0 or name == "a.jsonl"
    crawl.commit([page(1, text="one line")])
    go_on(crawl, name)
    assert unpacked(name) == whole(crawl, name)


def test_a_file_of_many_members_is_read_by_gzip_itself(crawl: Crawl, often: None) -> None:
    crawl.commit([page(n) for n in range(300)])
    go_on(crawl, "a.csv.gz")
    assert Path("a.csv.gz").read_bytes().count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") >= 3
    out = subprocess.run(["gzip", "-dc", "a.csv.gz"], capture_output=True, check=True).stdout
    assert out == whole(crawl, "a.csv")
    assert len(list(csv.DictReader(out.decode().splitlines()))) >= 300


def test_an_export_that_is_stopped_goes_on(crawl: Crawl) -> None:
    crawl.commit([page(n) for n in range(250)])
    assert go_on(crawl, stopped=at(2)).written == 150
    assert urls() == list(range(150))
    assert go_on(crawl).written == 100
    assert urls() == list(range(250))


def test_a_url_that_was_tried_again_comes_again_in_its_later_line(crawl: Crawl) -> None:
    crawl.commit([page(1, outcome="failed:http"), page(2)])
    go_on(crawl, drain=True)
    crawl.frontier.revive([Request(page(1).url)])
    crawl.end([page(1)])
    go_on(crawl, drain=True)
    assert urls() == [1, 2, 1]
    assert [json.loads(line)["outcome"] for line in unpacked(OUT).splitlines()][::2] == ["failed:http", "fetched"]


def test_what_the_state_does_not_know_is_cut_off(crawl: Crawl) -> None:
    for name in ("a.jsonl", "b.csv.gz"):
        crawl.commit([page(n) for n in range(3)] if name == "a.jsonl" else [])
        go_on(crawl, name, f"{name}.state")
        with Path(name).open("ab") as file:
            file.write(b'{"url":"http://example.org/pa')
        go_on(crawl, name, f"{name}.state")
        assert unpacked(name) == whole(crawl, name)


# -- when there is a checkpoint ----------------------------------------------------------------------------------------


def noted(crawl: Crawl, monkeypatch: pytest.MonkeyPatch, going: Callable[[Checkpoints], object]) -> list[int]:
    """The records that the state knew of, one number for each time it was written while *going*, and at the end."""
    known: list[int] = []
    replace = ExportState.replace

    def look(self: ExportState, mark: Any) -> None:
        replace(self, mark)
        known.append(state()["records"])
        assert len(unpacked(OUT).splitlines()) == known[-1]

    monkeypatch.setattr(ExportState, "replace", look)
    with (
        ExportState(STATE) as kept,
        Checkpoints(kept, crawl.frontier, Wanted(OUT, STATE, follow=True)) as made,
    ):
        going(made)
    return known


def test_it_comes_after_so_many_records(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_RECORDS", 120)
    crawl.commit([page(n) for n in range(420)])
    known = noted(crawl, monkeypatch, lambda made: export(crawl.crawldb.records, made.writer, note=made.note))
    assert known == [0, 150, 350, 420]


def test_it_comes_after_so_many_seconds_also_when_nothing_is_new(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("crawler.export.checkpoints.time.monotonic", lambda: clock[0])
    steps = [lambda: crawl.commit([page(2)]), lambda: None, lambda: None]

    def pause(_: float) -> None:
        clock[0] += 3
        steps.pop(0)()

    def going(made: Checkpoints) -> None:
        crawl.commit([page(1)])
        follow(crawl.crawldb.records, made.writer, lambda: not steps, pause, note=made.note)

    assert noted(crawl, monkeypatch, going) == [0, 2, 2]
    assert clock[0] == 109


# -- rotation ----------------------------------------------------------------------------------------------------------


def test_it_goes_on_in_a_new_file(crawl: Crawl) -> None:
    crawl.commit([page(1), page(2)])
    go_on(crawl)
    crawl.commit([page(3)])
    Path("b.csv").touch()
    assert go_on(crawl, "b.csv").written == 1
    assert len(unpacked("b.csv").splitlines()) == 3  # a head, and a text of two lines
    assert (state()["output"], state()["records"], urls()) == ("b.csv", 3, [1, 2])
    with pytest.raises(UsageError, match=r"a\.jsonl is not empty"):
        go_on(crawl)


def test_the_part_before_ends_where_the_next_begins(crawl: Crawl) -> None:
    crawl.commit([page(1)])
    go_on(crawl)
    with Path(OUT).open("ab") as file:  # of an export that was killed
        file.write(page(2).encode() + b'\n{"ur')
    crawl.commit([page(2)])
    go_on(crawl, "b.jsonl")
    assert (urls(), urls("b.jsonl")) == ([1], [2])


@pytest.mark.parametrize("there", [b"something else that is longer " * 90, b"short", None])
def test_another_file_in_the_place_of_the_part_before_is_left_alone(crawl: Crawl, there: bytes | None) -> None:
    crawl.commit([page(1)])
    go_on(crawl)
    Path(OUT).unlink()
    if there is not None:
        Path(OUT).write_bytes(there)
    crawl.commit([page(2)])
    go_on(crawl, "b.jsonl")
    assert urls("b.jsonl") == [2]
    assert there == (Path(OUT).read_bytes() if there is not None else None)


# -- what is refused leaves all as it was ------------------------------------------------------------------------------


def refused(crawl: Crawl, words: str, *names: str, **wanted: Any) -> None:
    """UsageError in one line; no file has changed, none was made."""
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    with pytest.raises(UsageError) as error:
        go_on(crawl, *names, **wanted)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


@pytest.fixture
def begun(crawl: Crawl) -> Crawl:
    """A crawl of which something was exported to OUT by STATE."""
    crawl.commit([page(1), page(2)])
    go_on(crawl)
    return crawl


def test_an_output_that_is_not_what_the_state_knows(begun: Crawl) -> None:
    raw = Path(OUT).read_bytes()
    Path(OUT).write_bytes(raw[:-5])
    refused(
        begun, f"has {len(raw) - 5} bytes, but its state knows of {len(raw)} bytes in it: put it back, continue in a"
    )
    Path(OUT).write_bytes(raw[:-5] + b"other" + raw)
    refused(begun, "has other content, but its state knows")
    Path(OUT).unlink()
    refused(begun, f"{OUT} is gone, but its state knows")
    os.mkfifo(OUT)
    refused(begun, f"{OUT} is no regular file: with a state name a file, or - for stdout")
    Path(OUT).unlink()
    Path(OUT).write_bytes(raw)
    assert go_on(begun).written == 0


def test_a_file_that_came_in_the_place_of_an_empty_output(crawl: Crawl) -> None:
    go_on(crawl)
    Path("other").write_bytes(b"of somebody else")
    Path("other").rename(OUT)
    refused(crawl, "has other content")
    Path(OUT).unlink()
    crawl.commit([page(1)])
    go_on(crawl)
    assert urls() == [1]


def test_an_output_that_no_state_knows(begun: Crawl) -> None:
    refused(begun, f"{OUT} is not empty, and not written by this state: name a new file", OUT, "new.state")
    Path(STATE).unlink()
    refused(begun, "is not empty")


def test_another_filter_or_form(begun: Crawl) -> None:
    refused(begun, "of all records: ask for the same, or name another --state", selection=Selection(("fetched",)))
    go_on(begun, "b.jsonl", "b.state", selection=Selection(("fetched", "failed", "fetched")))
    refused(begun, "of --only failed,fetched: ask", "b.jsonl", "b.state", selection=Selection(("fetched",)))
    assert go_on(begun, "b.jsonl", "b.state", selection=Selection(("failed", "fetched"))).written == 0
    refused(begun, "of --only failed,fetched: ask", "b.jsonl", "b.state", selection=Selection(("failed",), ("200",)))
    refused(begun, "a.jsonl holds jsonl, not csv: continue in a new one", format="csv")
    go_on(begun, "c.csv", "c.state")
    refused(begun, "holds csv, not csv with raw cells", "c.csv", "c.state", shape=Shape(defuse=False))


def test_another_crawl_or_the_same_begun_anew(begun: Crawl, redis_url: str) -> None:
    link = Connection(redis_url)
    refused(Crawl.create(link, "other"), "an export of crawl 'export', not 'other'")
    begun.frontier.delete()
    begun.crawldb.sweep()
    refused(Crawl.create(link), "crawl 'export' was started over since a.state was written")
    link.close()


def test_one_file_for_both(begun: Crawl) -> None:
    Path("link.jsonl").hardlink_to(STATE)
    Path("soft.jsonl").symlink_to("new.jsonl")
    refused(begun, "name the same file", OUT, f"./{OUT}")
    refused(begun, "name the same file", "link.jsonl", STATE)
    refused(begun, "name the same file", "new.jsonl", "soft.jsonl")


def test_two_at_once(begun: Crawl) -> None:
    with ExportState(STATE) as kept, Checkpoints(kept, begun.frontier, Wanted(OUT, STATE)):
        refused(begun, "a.state is the state of an export that is running")
        refused(begun, "a.jsonl is being written by another export", OUT, "other.state")
        with pytest.raises(UsageError, match="being written by another export"):
            open_writer(OUT, follow=True)


def test_what_cannot_be_asked_for() -> None:
    for words, wanted in (
        ("--drain needs a file", {"output": "-", "drain": True}),
        (".pdf is no format here", {"output": "a.pdf"}),
    ):
        with pytest.raises(UsageError, match=words):
            Wanted(**{"output": OUT, "state": STATE} | wanted)


# -- what goes wrong on the way ----------------------------------------------------------------------------------------


def test_a_crawl_that_is_begun_anew_meanwhile_is_not_taken_for_the_old_one(begun: Crawl) -> None:
    before, raw = state(), Path(OUT).read_bytes()
    asked = Wanted(OUT, STATE)
    with (
        pytest.raises(NoCrawl),
        ExportState(STATE) as kept,
        Checkpoints(kept, begun.frontier, asked) as made,
    ):
        begun.frontier.delete()
        begun.crawldb.sweep()
        Crawl.create(begun.frontier.connection).commit([page(3)])
        export(begun.crawldb.records, made.writer, after=made.cursor, note=made.note)
    assert (state(), Path(OUT).read_bytes()) == (before, raw)


def test_an_export_that_fails_ends_with_its_last_checkpoint(crawl: Crawl, often: None) -> None:
    crawl.commit([page(n) for n in range(250)])
    asked = Wanted(OUT, STATE, follow=True)
    with (
        pytest.raises(RuntimeError),
        ExportState(STATE) as kept,
        Checkpoints(kept, crawl.frontier, asked) as made,
    ):
        export(crawl.crawldb.records, made.writer, note=made.note, stopped=at(1))
        for n in range(50, 60):
            made.writer.write(page(n))
        made.writer.flush()
        assert len(urls()) == 60
        raise RuntimeError
    assert urls() == list(range(50))
    go_on(crawl)
    assert urls() == list(range(250))


def test_a_pipe_whose_reader_has_left_does_not_move_the_state(crawl: Crawl) -> None:
    crawl.commit([page(n) for n in range(20)])

    class Gone:
        """stdout with nobody behind it, after the first flush."""

        def __init__(self) -> None:
            self.got = b""

        def write(self, data: bytes) -> None:
            if self.got:
                raise BrokenPipeError
            self.got = data

        def flush(self) -> None:
            pass

        def fileno(self) -> int:
            return os.open(os.devnull, os.O_WRONLY)

    class Out:
        buffer = Gone()

        def flush(self) -> None:
            pass

        def isatty(self) -> bool:
            return False

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", Out())
        first = go_on(crawl, "-")
        crawl.commit([page(n) for n in range(20, 30)])
        second = go_on(crawl, "-")
    assert (first.written, second.written, second.writer.gone) == (20, 0, True)
    assert (state()["records"], state()["piped"], state()["output"]) == (20, True, None)
    refused(crawl, "of an export to stdout, of which nobody knows what was kept", OUT, STATE, drain=True)
    assert go_on(crawl).written == 10
    assert urls() == list(range(20, 30))


# -- draining ----------------------------------------------------------------------------------------------------------


def in_redis(crawl: Crawl) -> list[int]:
    """The numbers of the pages that an export would find."""
    found, cursor = list[int](), "0-0"
    while True:
        batch, reached = crawl.crawldb.records.read(cursor)
        if reached == cursor:
            return found
        found += [int(stored.record.url.rpartition("/")[2]) for stored in batch]
        cursor = reached


def test_what_is_freed_is_in_the_output_and_in_the_state_and_both_are_synced(
    crawl: Crawl, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[str, int] = {}
    fsync = os.fsync

    def note(fd: int) -> None:
        fsync(fd)
        name, found = Path(f"/proc/self/fd/{fd}").readlink().name, os.fstat(fd)
        if name == OUT:
            synced["output"] = found.st_size
        elif name.startswith(f".{STATE}."):
            synced["state"] = found.st_ino

    drain, drained = Frontier.drain, list[str]()

    def watched(self: Frontier, exported: Sequence[Exported]) -> int:
        assert synced == {"output": state()["length"], "state": Path(STATE).stat().st_ino}
        known = {json.loads(line)["url"] for line in Path(OUT).read_bytes()[: state()["length"]].splitlines()}
        assert {one.id for one in exported if one.outcome} <= set(map(crawl.frontier.id, known))
        drained.extend(one.at for one in exported)
        return drain(self, exported)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Frontier, "drain", watched)
    crawl.commit([page(n) for n in range(400)])
    made = go_on(crawl, drain=True)
    assert (len(drained), made.drained, in_redis(crawl)) == (400, 400, [])


def test_what_a_killed_export_had_not_freed_yet_the_next_one_frees(crawl: Crawl) -> None:
    crawl.commit([page(n) for n in range(7)])
    go_on(crawl)
    crawl.frontier.drain(crawl.crawldb.records.exported("0-0", "+", 3)[0])
    assert go_on(crawl, drain=True).drained == 4
    assert (in_redis(crawl), urls()) == ([], list(range(7)))
    assert crawl.crawldb.counters()["drained"] == 7


def rewrite(crawl: Crawl, records: dict[str, Record]) -> None:
    """The stream and its pages are these, as if they had been committed at these places."""
    client: Any = crawl.shard.connection.client
    keys = crawl.shard.keys
    client.delete(keys.records)
    for place, record in records.items():
        url_id = crawl.frontier.id(record.url)
        client.xadd(keys.records, {"i": url_id}, id=place)
        client.hset(keys.page(url_id), mapping={"m": record.encode(), "at": place, "token": "x"})


def test_what_came_in_the_place_of_what_redis_has_lost_is_not_freed(crawl: Crawl) -> None:
    """A Redis that lost its last second, on a machine whose clock is behind: an entry there that no export has seen."""
    crawl.commit([page(1)])
    written = {"1000-0": page(1), "2000-0": page(2), "3000-0": page(3)}
    rewrite(crawl, written)
    go_on(crawl)
    assert state()["cursor"] == "3000-0"
    unseen = {"1000-0": page(1), "2500-0": page(9)}
    for records in (unseen, unseen | {"3000-0": page(8)}):
        rewrite(crawl, records)
        assert go_on(crawl, drain=True).drained == 0
        assert len(in_redis(crawl)) == len(records)
    rewrite(crawl, written)
    assert go_on(crawl, drain=True).drained == 3


def test_only_what_was_picked_is_freed(crawl: Crawl) -> None:
    outcomes = ["fetched", "failed:http", "dropped:robots", "failed:dns"]
    crawl.commit([page(n, outcome=outcomes[n % 4]) for n in range(12)])
    for _ in range(2):
        made = go_on(crawl, drain=True, selection=Selection(("fetched", "failed:http")))
    assert (made.drained, made.records) == (0, 6)
    assert in_redis(crawl) == [2, 3, 6, 7, 10, 11]
    assert len(list(crawl.crawldb.records.letters())) == 6
    assert go_on(crawl, "b.jsonl", "b.state").records == 6


def test_with_a_filter_by_status_only_what_is_written_is_freed(crawl: Crawl) -> None:
    """What stays of a drained record has no status, so nothing can be said of those that an earlier export left."""
    crawl.commit([page(n, status=200 + n % 2) for n in range(6)])
    go_on(crawl, selection=Selection((), ("200",)))
    assert go_on(crawl, drain=True, selection=Selection((), ("200",))).drained == 0
    crawl.commit([page(6), page(7, status=404)])
    assert go_on(crawl, drain=True, selection=Selection((), ("200",))).drained == 1
    assert in_redis(crawl) == [0, 1, 2, 3, 4, 5, 7]


def test_entries_that_stand_for_nothing_are_freed_too(crawl: Crawl) -> None:
    crawl.commit([page(n, outcome="failed:http") for n in range(3)])
    crawl.frontier.revive([Request(page(n).url) for n in range(3)])
    crawl.end([page(n) for n in range(2)])
    go_on(crawl, drain=True, selection=Selection(("dropped",)))
    assert len(crawl.crawldb.records.exported("0-0", "+")[0]) == 2
    assert in_redis(crawl) == [0, 1]


def test_a_page_that_was_found_on_a_drained_one_is_told_so(crawl: Crawl) -> None:
    crawl.commit([page(1)])
    go_on(crawl, drain=True)
    crawl.commit([page(2)], {page(2).url: page(1).url})
    go_on(crawl, drain=True)
    assert [json.loads(line).get("via") for line in unpacked(OUT).splitlines()] == [None, page(1).url]


# -- killed at every step ----------------------------------------------------------------------------------------------

KILLED = """
import gzip, itertools, json, os, signal, sys
from pathlib import Path
from crawler.export import Checkpoints, Export, ExportState, Wanted, checkpoints
from crawler.frontier.frontier import Frontier
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.redis.connection import Connection

url, out, drains = sys.argv[1], sys.argv[2], bool(sys.argv[3:])
checkpoints.EVERY_RECORDS = 1

def die_at(step):
    '''Be killed at the so-many-th step that changes something; a write is half done by then.'''
    left = itertools.count(step, -1)
    def watched(function, half=None):
        def call(*args):
            if next(left) <= 0:
                if half is not None:
                    half(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args)
        return call
    write = os.write
    for name in ("fsync", "replace", "ftruncate", "open"):
        setattr(os, name, watched(getattr(os, name)))
    os.write = watched(write, lambda fd, data: write(fd, data[: len(data) // 2]))
    Frontier.drain = watched(Frontier.drain, lambda self, found: drain(self, found[:7]))

drain = Frontier.drain

def run():
    link = Connection(url)
    frontier, crawldb = Frontier.find(link, "export"), CrawlDb(link, "export")
    wanted = Wanted(out, "state", drain=drains)
    with ExportState("state") as state, Checkpoints(state, frontier, wanted) as made:
        Export(crawldb.records, made.writer, note=made.note).run(made.cursor)

whole = Path("whole").read_bytes()
for step in itertools.count(1):
    child = os.fork()
    if child == 0:
        die_at(step)
        run()
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    raw = Path("state").read_bytes() if Path("state").exists() else b""
    known = Path(out).read_bytes()[: json.loads(raw)["length"]] if raw else b""
    known = gzip.decompress(known) if out.endswith("gz") else known
    assert whole.startswith(known) and (not known or known.endswith(b"\\n")), step
    if ended == 0:
        print(step, len(list(Path().iterdir())))
        break
    assert os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL, ended
"""


@pytest.mark.parametrize(("name", "drains"), [("a.jsonl", False), ("a.csv.gz", True)])
def test_killed_at_any_step_it_goes_on_and_each_record_is_there_once(crawl: Crawl, name: str, drains: bool) -> None:
    crawl.commit([page(n) for n in range(330)])
    Path("whole").write_bytes(whole(crawl, name.removesuffix(".gz")))
    (Path() / f"whole.{name.removesuffix('.gz')}").unlink()
    arguments = [sys.executable, "-c", KILLED, crawl.url, name, *(["drain"] if drains else [])]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=150)
    assert ran.returncode == 0, ran.stderr
    deaths, files = map(int, ran.stdout.split())
    assert deaths > 15
    assert unpacked(name) == Path("whole").read_bytes()
    assert files == 3  # output, state, and what it is compared with: no part file is left
    assert in_redis(crawl) == ([] if drains else list(range(330)))
    assert crawl.crawldb.counters().get("drained", 0) == (330 if drains else 0)


FULL = """
import resource, sys
from crawler.errors import CrawlerError
from crawler.export import Checkpoints, Export, ExportState, Wanted, checkpoints
from crawler.frontier.frontier import Frontier
from crawler.frontier.crawldb import CrawlDb
from crawler.frontier.redis.connection import Connection

checkpoints.EVERY_RECORDS = 1
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
link = Connection(sys.argv[1])
frontier, crawldb = Frontier.find(link, "export"), CrawlDb(link, "export")
wanted = Wanted(sys.argv[2], "state", drain=True)
try:
    with ExportState("state") as state, Checkpoints(state, frontier, wanted) as made:
        Export(crawldb.records, made.writer, note=made.note).run(made.cursor)
except CrawlerError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv.gz"])
def test_a_full_disk_ends_it_with_a_checkpoint_and_with_room_it_goes_on(crawl: Crawl, name: str) -> None:
    crawl.commit([page(n, text=os.urandom(300).hex()) for n in range(400)])
    undisturbed = whole(crawl, name)
    room = Path(f"whole.{name}").stat().st_size * 2 // 3
    command = [sys.executable, "-c", FULL, crawl.url, name]
    for _ in range(2):
        ran = subprocess.run([*command, str(room)], capture_output=True, text=True, timeout=150)
        assert ran.returncode == 5
        told = "cannot be written: File too large; it ends where its state says, and the same command continues there"
        assert ran.stderr == f"{name} {told}\n"
        assert 0 < state("state")["records"] == 400 - len(in_redis(crawl)) < 400
        assert Path(name).stat().st_size == state("state")["length"]
        assert undisturbed.startswith(unpacked(name))
    subprocess.run([*command, str(1 << 30)], check=True, timeout=150)
    assert (unpacked(name), in_redis(crawl)) == (undisturbed, [])


def test_a_disk_too_full_for_the_state_refuses_before_a_byte_is_written(begun: Crawl) -> None:
    before, raw = Path(STATE).read_bytes(), Path(OUT).read_bytes()
    Path(STATE).rename("state")
    begun.commit([page(3)])
    ran = subprocess.run(
        [sys.executable, "-c", FULL, begun.url, OUT, "100"], capture_output=True, text=True, timeout=150
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (5, 1)
    assert "state cannot be written: File too large; the same command continues" in ran.stderr
    assert (Path("state").read_bytes(), Path(OUT).read_bytes()) == (before, raw)


def test_an_error_of_the_disk_when_syncing_is_told_and_nothing_is_freed(
    begun: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    begun.commit([page(3)])
    with monkeypatch.context() as patched, pytest.raises(CrawlerError, match="Input/output error; it ends where its"):
        asked = Wanted(OUT, STATE, drain=True)
        with ExportState(STATE) as kept, Checkpoints(kept, begun.frontier, asked) as made:
            export(begun.crawldb.records, made.writer, after=made.cursor, note=made.note)
            patched.setattr(os, "fsync", fail)
    assert (state()["records"], urls(), in_redis(begun)) == (2, [1, 2], [3])
    assert go_on(begun).written == 1
