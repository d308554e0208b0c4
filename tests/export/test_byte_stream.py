"""Files take their place whole or not at all; what cannot be written is said in one line."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import threading
import tty
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import CrawlerError, UsageError
from crawler.export import open_writer
from crawler.export.files import remove_orphans
from crawler.export.formats import FORMATS, jsonl
from crawler.text import printable
from tests.export.conftest import page

MEBIBYTE = 1 << 20
SMALL = 1 << 18


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def script(body: str, *args: object, **options: Any) -> subprocess.Popen[bytes]:
    """A Python of its own that runs *body* and ends as the command line does: one line and the error's code."""
    lines = ["    " + line for line in body.strip().splitlines()]
    program = "\n".join(
        [
            "import resource, sys",
            "from crawler.errors import CrawlerError",
            "from crawler.export import open_writer",
            "from tests.export.conftest import page",
            "try:",
            *lines,
            "except CrawlerError as error:",
            "    print(error, file=sys.stderr)",
            "    sys.exit(error.exit_code)",
        ]
    )
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", program, *map(str, args)], stderr=subprocess.PIPE, **options)


# -- formats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "format", "begins", "compressed"),
    [
        ("a.jsonl", None, b"{", False),
        ("a.ndjson", None, b"{", False),
        ("a.csv", None, b"url,outcome,", False),
        ("A.JSONL.GZ", None, b"{", True),
        ("a.csv.gz", None, b"url,", True),
        ("b.txt", "csv", b"url,", False),
        ("b.csv", "jsonl", b"{", False),
        ("b.gz", "jsonl", b"{", True),
        ("b", "ndjson.gz", b"{", True),
        ("b", ".CSV", b"url,", False),
    ],
)
def test_the_format_follows_the_ending(
    tmp_path: Path, name: str, format: str | None, begins: bytes, compressed: bool
) -> None:
    with open_writer(str(tmp_path / name), format) as writer:
        writer.write(page(1))
    raw = (tmp_path / name).read_bytes()
    assert raw.startswith(b"\x1f\x8b") is compressed
    assert (gzip.decompress(raw) if compressed else raw).startswith(begins)


@pytest.mark.parametrize("name", ["records", "records.json", "records.pdf.gz", ".gz", "a.csv/records", "jsonl"])
def test_an_unknown_ending_names_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as error:
        open_writer(str(tmp_path / name))
    assert all(known in str(error.value) for known in FORMATS)
    assert names(tmp_path) == []


@pytest.mark.parametrize("format", ["pdf", "", ".gz", "gz", "csv.gz.gz", "a/csv"])
def test_an_unknown_format_names_the_known_ones(format: str) -> None:
    with pytest.raises(UsageError, match=r"choose from jsonl\[\.gz\|\.zst\], ndjson\[\.gz\|\.zst\], csv"):
        open_writer("-", format)


def test_gzip_is_reproducible(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        with open_writer(str(tmp_path / name)) as writer:
            for n in range(2000):
                writer.write(page(n))
                writer.flush()  # as after each batch
    first, second = (tmp_path / "a.jsonl.gz").read_bytes(), (tmp_path / "b.jsonl.gz").read_bytes()
    assert first == second
    assert first[4:8] == bytes(4)  # no time (RFC 1952, MTIME)
    assert [json.loads(line)["size"] for line in gzip.decompress(first).splitlines()] == list(range(1000, 3000))


@pytest.mark.parametrize(("name", "lines"), [("a.jsonl", 0), ("a.csv", 1), ("a.csv.gz", 1)])
def test_nothing_exported_is_a_valid_file(tmp_path: Path, name: str, lines: int) -> None:
    with open_writer(str(tmp_path / name)):
        pass
    raw = (tmp_path / name).read_bytes()
    assert len((gzip.decompress(raw) if name.endswith("gz") else raw).splitlines()) == lines


# -- a file is replaced whole ------------------------------------------------------------------------------------------


def test_the_old_file_stays_until_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a.jsonl"
    target.write_bytes(b"old")
    with open_writer(str(target)) as writer:
        for n in range(5000):
            writer.write(page(n))
            writer.flush()
        assert target.read_bytes() == b"old"
        assert len(names(tmp_path)) == 2
    assert names(tmp_path) == ["a.jsonl"]
    assert len(target.read_bytes().splitlines()) == 5000


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_export_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.jsonl"
    target.write_bytes(b"old")
    with pytest.raises(error), open_writer(str(target)) as writer:
        writer.write(page(1))
        raise error
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.jsonl"]


def test_abort_and_finish_may_come_again(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path / "a.jsonl"))
    writer.finish()
    writer.finish()
    writer.abort()
    assert names(tmp_path) == ["a.jsonl"]
    writer = open_writer(str(tmp_path / "b.jsonl"))
    assert writer.output == str(tmp_path / "b.jsonl")
    writer.abort()
    writer.abort()
    writer.finish()
    assert names(tmp_path) == ["a.jsonl"]


def test_mode_and_symbolic_link_are_kept(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real.jsonl", tmp_path / "link.jsonl"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to("there/real.jsonl")
    with open_writer(str(link)) as writer:
        writer.write(page(1))
    assert link.is_symlink()
    assert real.read_bytes().startswith(b"{")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert names(tmp_path / "there") == ["real.jsonl"]


def test_a_new_file_obeys_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with open_writer(str(tmp_path / "a.jsonl")):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.jsonl").stat().st_mode) == 0o640


ENDLESS = """
with open_writer(sys.argv[1]) as writer:
    for n in range(10**9):
        writer.write(page(n))
        if n == 20_000:
            print("going", flush=True)
"""


@pytest.fixture
def endless(tmp_path: Path) -> Any:
    """An export to `a.jsonl`, in the middle of it."""
    (tmp_path / "a.jsonl").write_bytes(b"old")
    with script(ENDLESS, tmp_path / "a.jsonl", preexec_fn=limit_file_size) as process:
        assert process.stdout
        assert process.stdout.readline() == b"going\n"
        yield process
        process.kill()


def limit_file_size() -> None:
    """Not more than 300 MiB, should the test die before it kills the process."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (300 * MEBIBYTE, 300 * MEBIBYTE))


def test_a_killed_export_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path: Path, endless: Any) -> None:
    endless.send_signal(signal.SIGKILL)
    endless.wait()
    assert (tmp_path / "a.jsonl").read_bytes() == b"old"
    (part,) = [name for name in names(tmp_path) if name.endswith(".part")]
    (tmp_path / ".ab.jsonl.00000000.part").touch()  # of other files: not ours to remove
    (tmp_path / ".a.jsonl.notes.part").touch()
    with open_writer(str(tmp_path / "a.jsonl")):
        assert part not in names(tmp_path)
    assert names(tmp_path) == [".a.jsonl.notes.part", ".ab.jsonl.00000000.part", "a.jsonl"]


def test_the_part_file_of_a_living_export_stays(tmp_path: Path, endless: Any) -> None:
    (part,) = [name for name in names(tmp_path) if name.endswith(".part")]
    remove_orphans(tmp_path / "a.jsonl")
    with open_writer(str(tmp_path / "a.jsonl")) as writer:
        writer.write(page(1))
    assert part in names(tmp_path)
    assert endless.poll() is None


# -- what cannot be written --------------------------------------------------------------------------------------------


def refused(target: str) -> str:
    with pytest.raises(UsageError) as error:
        open_writer(target)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_target_that_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    assert "is a folder" in refused(str(tmp_path / "folder.jsonl"))
    assert "its folder does not exist" in refused(str(tmp_path / "missing" / "a.jsonl"))
    assert "Not a directory" in refused(str(tmp_path / "file" / "a.jsonl"))
    assert "cannot be written to" in refused(str(tmp_path / "loop.jsonl"))
    assert "File name too long" in refused(str(tmp_path / ("a" * 300 + ".jsonl")))
    assert "null" in refused("a\0.jsonl")
    assert "name a file" in refused("")
    assert names(tmp_path) == ["file", "folder.jsonl", "loop.jsonl"]


@pytest.mark.parametrize("follow", [False, True])
def test_a_folder_or_a_missing_one_is_refused_for_following_too(tmp_path: Path, follow: bool) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    for target in (tmp_path / "folder.jsonl", tmp_path / "missing" / "a.jsonl"):
        with pytest.raises(UsageError):
            open_writer(str(target), follow=follow)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_or_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch(0o444)
    assert "Permission denied" in refused(str(tmp_path / "a.jsonl"))
    tmp_path.chmod(0o555)
    assert "Permission denied" in refused(str(tmp_path / "b.jsonl"))
    tmp_path.chmod(0o755)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="Linux has a folder where nobody can make files")
def test_a_folder_that_takes_no_files_is_refused() -> None:
    assert "cannot be written to" in refused("/sys/kernel/a.jsonl")


FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))
with open_writer(sys.argv[1], follow=bool(sys.argv[2:])) as writer:
    for n in range(100_000):
        writer.write(page(n))
        writer.flush()
"""


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.csv.gz"])
def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"old")
    process = script(FULL, tmp_path / name)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 5
    assert err.decode() == f"{tmp_path / name} cannot be written: File too large; the file is as it was before\n"
    assert (tmp_path / name).read_bytes() == b"old"
    assert names(tmp_path) == [name]


def test_a_full_disk_while_following_leaves_whole_lines(tmp_path: Path) -> None:
    process = script(FULL, tmp_path / "a.jsonl", "follow")
    _, err = process.communicate(timeout=150)
    assert process.returncode == 5
    assert err.decode().endswith("File too large; what was written before is whole\n")
    raw = (tmp_path / "a.jsonl").read_bytes()
    assert SMALL - 1000 < len(raw) <= SMALL
    assert [json.loads(line)["size"] for line in raw.splitlines()] == list(range(1000, 1000 + raw.count(b"\n")))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_device_is_written_to_and_its_error_told() -> None:
    with (
        pytest.raises(CrawlerError, match="No space left on device") as error,
        open_writer("/dev/full", "csv") as writer,
    ):
        writer.write(page(1))
    assert not isinstance(error.value, UsageError)
    assert Path("/dev/full").is_char_device()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_stdout_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        process = script("with open_writer('-') as writer:\n    writer.write(page(1))", stdout=full)
        _, err = process.communicate(timeout=150)
    assert process.returncode == 5
    assert err == b"stdout cannot be written: No space left on device; what was written before is whole\n"


def test_a_file_behind_stdout_whose_disk_is_full_ends_with_a_whole_line(tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("wb") as file:
        process = script(FULL, "-", stdout=file)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert err.decode() == "stdout cannot be written: File too large; what was written before is whole\n"
    raw = (tmp_path / "a.jsonl").read_bytes()
    assert SMALL - 1000 < len(raw) <= SMALL
    assert [json.loads(line)["size"] for line in raw.splitlines()] == list(range(1000, 1000 + raw.count(b"\n")))


# -- pipes -------------------------------------------------------------------------------------------------------------

MANY = """
with open_writer('-', sys.argv[1]) as writer:
    for n in range(20_000):
        writer.write(page(n))
print("gone" if writer.gone else "all was read", file=sys.stderr)
"""


@pytest.mark.parametrize("format", ["jsonl", "csv.gz"])
def test_a_reader_that_leaves_is_no_error(format: str) -> None:
    with script(MANY, format) as process:
        assert process.stdout
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == b"gone\n"
    assert process.returncode == 0


def test_stdout_gets_everything() -> None:
    out, err = script(MANY, "jsonl").communicate(timeout=150)
    assert err == b"all was read\n"
    assert len(out.splitlines()) == 20_000


def test_stdout_can_be_captured(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_writer("-") as writer:
        writer.write(page(1))
    assert json.loads(capsysbinary.readouterr().out)["title"] == "Page 1"


def test_a_fifo_is_written_through_and_stays(tmp_path: Path) -> None:
    fifo = tmp_path / "a.jsonl"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    with open_writer(str(fifo)) as writer:
        writer.write(page(1))
    reader.join()
    assert json.loads(got[0])["title"] == "Page 1"
    assert fifo.is_fifo()


# -- following ---------------------------------------------------------------------------------------------------------


def test_a_followed_file_grows_before_its_readers_eyes(tmp_path: Path) -> None:
    target = tmp_path / "a.jsonl"
    target.write_bytes(b"old")
    with open_writer(str(target), follow=True) as writer:
        assert target.read_bytes() == b"old"  # until there is something to write
        for n in range(3):
            writer.write(page(n))
            writer.flush()
            assert len(target.read_bytes().splitlines()) == n + 1
    assert names(tmp_path) == ["a.jsonl"]


def test_a_followed_gzip_file_can_be_read_before_its_end(tmp_path: Path) -> None:
    import zlib

    target = tmp_path / "a.csv.gz"
    with open_writer(str(target), follow=True) as writer:
        writer.write(page(1))
        writer.flush()
        writer.flush()
        early = zlib.decompressobj(31).decompress(target.read_bytes())
        assert early.count(b"http://example.org/page/") == 1
    assert gzip.decompress(target.read_bytes()) == early


def test_what_was_followed_stays_when_it_is_broken_off(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_writer(str(tmp_path / "a.jsonl"), follow=True) as writer:
        writer.write(page(1))
        raise KeyboardInterrupt
    assert json.loads((tmp_path / "a.jsonl").read_text())["title"] == "Page 1"


def test_two_cannot_follow_into_one_file(tmp_path: Path) -> None:
    target = str(tmp_path / "a.jsonl")
    with open_writer(target, follow=True) as writer:
        writer.write(page(1))
        with pytest.raises(UsageError, match="being written by another export"):
            open_writer(target, follow=True)
    assert len(Path(target).read_bytes().splitlines()) == 1


# -- terminals ---------------------------------------------------------------------------------------------------------

STEERING = "".join(
    map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066, 0x200F, 0xFEFF, 0x2061, 0xE0041])
)
SHOWN = """
with open_writer(sys.argv[1], sys.argv[2]) as writer:
    writer.write(page(1, title=sys.argv[3]))
    writer.write(page(2))
"""


def on_a_terminal(target: str, format: str, title: str) -> tuple[int, bytes, bytes]:
    """The code of an export whose stdout is a terminal, what that got, and what was said."""
    master, slave = pty.openpty()
    tty.setraw(slave)  # it shows what comes, as it comes
    with script(SHOWN, os.ttyname(slave) if target == "tty" else target, format, title, stdout=slave) as process:
        os.close(slave)
        got = b""
        with suppress(OSError):  # the end of a terminal is an error
            while data := os.read(master, 1 << 16):
                got += data
        os.close(master)
        assert process.stderr
        return process.wait(), got, process.stderr.read()


@pytest.mark.parametrize("target", ["-", "tty"])
def test_a_terminal_gets_json_that_cannot_steer_it_and_means_the_same(target: str) -> None:
    title = STEERING.replace("\0", "") + "\\\u202eé漢"
    code, got, _ = on_a_terminal(target, "jsonl", title)
    assert code == 0
    first, second = got.decode().splitlines()
    assert json.loads(first)["title"] == title
    assert printable(first) == first
    assert second.encode() + b"\n" == jsonl.encode(page(2))


def test_a_terminal_gets_rows_that_cannot_steer_it(tmp_path: Path) -> None:
    title = f"two\nlines{STEERING[1:]}"
    code, got, _ = on_a_terminal("-", "csv", title)
    assert code == 0
    lines = got.decode().removesuffix("\r\n").split("\r\n")
    assert len(lines) == 3
    assert [printable(line) for line in lines] == lines
    with open_writer(str(tmp_path / "a.csv")) as writer:
        writer.write(page(1, title=title))
    assert STEERING[1:] in (tmp_path / "a.csv").read_bytes().decode()


def test_a_terminal_gets_nothing_that_is_compressed() -> None:
    code, got, said = on_a_terminal("-", "jsonl.gz", "x")
    assert (code, got) == (2, b"")
    assert said == b"compressed data cannot go to a terminal: name a file, or pipe the output of -\n"


def test_a_pipe_gets_what_cannot_be_seen_as_it_is_but_no_controls() -> None:
    out, _ = script(SHOWN, "-", "jsonl", STEERING[1:]).communicate(timeout=150)
    assert json.loads(out.splitlines()[0])["title"] == STEERING[1:]
    assert "\u202e\u2066\u200f\ufeff".encode() in out
    assert not set(STEERING[:0x43]) & set(out.decode().replace("\n", ""))
