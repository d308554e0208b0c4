"""A folder of a bucket as a storage, its lease, and one object: on a server of our own and on moto."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from crawler.errors import OutputError, UsageError
from crawler.export import lease
from crawler.export.bucket import Bucket, BucketError, Changed
from crawler.export.formats import open_writer
from crawler.export.lease import Lease, Lock
from crawler.export.s3 import S3Folder, Scratch, is_folder
from crawler.export.storage import open_storage
from crawler.export.target import check_appendable
from tests.export.conftest import page
from tests.export.moto_server import MotoServer
from tests.export.s3_server import BUCKET, S3Server

FOLDER = f"s3://{BUCKET}/pages/"
OBJECT = f"s3://{BUCKET}/pages.jsonl"


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.fixture(params=["ours", "moto"])
def either(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One of two servers, and the environment of its clients."""
    found = S3Server(tmp_path / "s3") if request.param == "ours" else MotoServer()
    with found:
        set_environment(found, monkeypatch)
        yield


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with S3Server(tmp_path / "s3") as found:
        set_environment(found, monkeypatch)
        yield found


def set_environment(server: S3Server | MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def test_what_a_url_names() -> None:
    assert [is_folder(url) for url in (FOLDER, OBJECT, f"s3://{BUCKET}", "pages/")] == [True, False, True, False]


@pytest.mark.parametrize("url", [FOLDER, f"s3://{BUCKET}"])
def test_what_was_put_is_there_until_it_is_deleted(either: None, url: str) -> None:
    storage = open_storage(url)
    assert isinstance(storage, S3Folder)
    storage.lock()
    part = storage.scratch()
    part.write_bytes(b"large" * 2_000_000)
    storage.put("part-1", part)
    assert not part.exists()
    for n in range(100):
        storage.put(f"host/a/{n}.md", b"%d" % n)
    storage.put("host/a/3.md", b"new")
    assert storage.read("host/a/99.md") == b"99"
    storage.sync()
    assert sorted(storage.names()) == sorted(["part-1", *(f"host/a/{n}.md" for n in range(100))])
    assert (storage.read("part-1"), storage.read("host/a/3.md")) == (b"large" * 2_000_000, b"new")
    storage.delete("host/a/3.md")
    storage.delete("none")
    assert storage.read("host/a/3.md") is None
    storage.close()
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def test_files_of_the_same_name_arrive_in_their_order(server: S3Server) -> None:
    storage = S3Folder(FOLDER)
    storage.lock()
    server.fail(method="PUT", key="pages/a", delay=0.3)
    for n in range(5):
        storage.put("a", b"%d" % n)
    storage.sync()
    storage.close()
    assert server.objects() == {"pages/a": b"4"}


def test_a_small_file_that_could_not_be_put_fails_at_sync(server: S3Server) -> None:
    storage = S3Folder(FOLDER)
    storage.lock()
    server.fail(method="PUT", key="pages/b", status=403, code="AccessDenied")
    for name in ("a", "b", "c"):
        storage.put(name, b"")
    for _ in range(2):  # it stays so: nothing may be counted as written later
        with pytest.raises(BucketError, match="access denied"):
            storage.sync()
    storage.close()


def test_many_files_that_have_to_wait_are_one_line(server: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    storage = S3Folder(FOLDER)
    storage.lock()
    server.fail(method="PUT", status=503, code="SlowDown", times=100)
    for n in range(10):
        storage.put(f"{n}.md", b"")
    storage.sync()
    storage.close()
    assert len(server.objects()) == 10
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("fault", ["NoSuchBucket", "AccessDenied"])
def test_a_folder_that_cannot_be_written_to_is_refused_when_it_is_locked(server: S3Server, fault: str) -> None:
    server.fail(status=404 if fault == "NoSuchBucket" else 403, code=fault, method="PUT")
    storage = S3Folder(FOLDER)
    with pytest.raises(UsageError, match=r"s3://crawls/pages/ cannot be written to: (there is no such|access denied)"):
        storage.lock()
    storage.close()


def test_a_bucket_that_is_away_from_the_beginning_is_an_output_error(server: S3Server) -> None:
    server.kill()
    storage = S3Folder(FOLDER, patience=0.3)
    with pytest.raises(OutputError, match=r"connection refused, for 0\.3 seconds"):
        storage.lock()
    storage.close()


def put(storage: S3Folder, name: str, content: bytes) -> None:
    """Put a file as an export does with a part, and with its state."""
    part = storage.scratch()
    part.write_bytes(content)
    storage.put(name, part)


def test_a_state_is_replaced_only_as_it_was_read(either: None) -> None:
    """A request of an export that was killed may arrive when the next one is at work."""
    storage, late = S3Folder(FOLDER), Bucket(BUCKET)
    storage.lock()
    assert storage.read("state") is None
    put(storage, "state", b"1")
    put(storage, "state", b"2")
    late.put("pages/state", b"of another")
    with pytest.raises(BucketError, match="another export has written state"):
        put(storage, "state", b"3")
    assert storage.read("state") == b"of another"
    put(storage, "state", b"4")
    storage.close()


def test_a_late_part_of_a_killed_export_is_replaced_and_cannot_replace_ours(either: None) -> None:
    storage, late = S3Folder(FOLDER), Bucket(BUCKET)
    storage.lock()
    late.put("pages/part-1", b"of another")
    put(storage, "part-1", b"ours")
    with pytest.raises(Changed):
        late.put_if("pages/part-1", b"of another", None)
    assert storage.read("part-1") == b"ours"
    storage.close()


# -- the lease ---------------------------------------------------------------------------------------------------------


def test_a_second_export_is_refused_until_the_first_is_closed(either: None) -> None:
    first, second = S3Folder(FOLDER), S3Folder(FOLDER)
    first.lock()
    with pytest.raises(UsageError, match="is being written by another export"):
        second.lock()
    elsewhere = S3Folder(f"s3://{BUCKET}/other/")
    elsewhere.lock()
    elsewhere.close()
    first.close()
    second.lock()
    assert list(second.names()) == []  # the lock is no file of the folder
    second.close()
    third = Bucket(BUCKET)
    assert list(third.keys("")) == []


def test_a_lock_of_a_process_that_was_killed_is_free_at_once(server: S3Server) -> None:
    code = f"from crawler.export.s3 import S3Folder; S3Folder({FOLDER!r}).lock(); import os; os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parent.parent.parent)
    assert list(server.objects()) == ["pages/.lock"]
    storage = S3Folder(FOLDER, lease=600)
    storage.lock()
    storage.close()
    assert server.objects() == {}


def test_a_lock_of_a_process_that_runs_is_not_free(server: S3Server) -> None:
    code = f"from crawler.export.s3 import S3Folder; S3Folder({FOLDER!r}, lease=2).lock(); print(flush=True); input()"
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        storage = S3Folder(FOLDER, lease=60)
        with pytest.raises(UsageError, match="is being written by another export"):
            storage.lock()  # it sees the lock being renewed
        storage.close()
        other.kill()


def test_a_lock_of_another_machine_is_free_when_it_is_not_renewed(server: S3Server) -> None:
    left = Lock("somebody", "elsewhere", 1)
    server.write("pages/.lock", msgspec.json.encode(left))
    storage = S3Folder(FOLDER, lease=1)
    began = time.monotonic()
    storage.lock()
    assert time.monotonic() - began >= 1
    storage.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"owner":1}'])
def test_a_lock_that_is_none_is_waited_for_too(server: S3Server, content: bytes) -> None:
    server.write("pages/.lock", content)
    storage = S3Folder(FOLDER, lease=0.3)
    storage.lock()
    storage.close()


def test_of_many_that_begin_at_once_one_gets_the_lock(either: None) -> None:
    storages = [S3Folder(FOLDER) for _ in range(8)]
    got: list[S3Folder] = []

    def lock(storage: S3Folder) -> None:
        try:
            storage.lock()
        except UsageError:
            return
        got.append(storage)

    threads = [threading.Thread(target=lock, args=(storage,)) for storage in storages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    for storage in storages:
        storage.close()


def test_who_lost_its_lease_writes_nothing_more(server: S3Server) -> None:
    first = Lease(Bucket(BUCKET), "pages/.lock", FOLDER, seconds=0.4)
    first.check()
    server.write("pages/.lock", msgspec.json.encode(Lock("other", "elsewhere", 1)))  # it took over
    first._thread.join(30)  # at the next renewal it sees that
    with pytest.raises(BucketError, match="another export has taken it over"):
        first.check()
    first.release()
    assert json.loads(server.objects()["pages/.lock"])["owner"] == "other"  # it is not ours to delete


def test_a_process_that_stood_still_renews_its_lease_before_it_writes(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease.Lease, "_keep", lambda _: None)
    storage = S3Folder(FOLDER, lease=0.2)
    storage.lock()
    server.write("pages/.lock", msgspec.json.encode(Lock("other", "elsewhere", 1)))
    time.sleep(0.3)  # as SIGSTOP, or a laptop that is closed
    with pytest.raises(BucketError, match="taken it over"):
        storage.put("part-1", b"")
    storage.close()
    assert list(server.objects()) == ["pages/.lock"]


# -- one object --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("follow", [False, True])
def test_an_object_appears_whole_at_the_end(either: None, follow: bool) -> None:
    writer = open_writer(OBJECT, follow=follow)
    for n in range(3):
        writer.write(page(n))
        writer.flush()
    bucket = Bucket(BUCKET)
    assert list(bucket.keys("")) == []
    writer.finish()
    writer.finish()
    found = bucket.get("pages.jsonl")
    assert found is not None
    assert [json.loads(line)["title"] for line in found[0].splitlines()] == ["Page 0", "Page 1", "Page 2"]
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def test_an_object_that_is_given_up_stays_as_it_was(server: S3Server) -> None:
    server.write("pages.jsonl", b"old")
    writer = open_writer(OBJECT)
    writer.write(page(1))
    writer.abort()
    writer = open_writer(OBJECT)
    writer.write(page(1))
    server.fail(method="PUT", status=403, code="AccessDenied")
    with pytest.raises(OutputError, match=r"pages\.jsonl cannot be written: access denied.*; the object is as it was"):
        writer.finish()
    assert server.objects() == {"pages.jsonl": b"old"}
    assert (server.uploads, list(Path(tempfile.gettempdir()).iterdir())) == ([], [])


def test_an_object_that_cannot_be_written_is_refused_before_the_first_record(server: S3Server) -> None:
    server.fail(status=403, code="AccessDenied")
    with pytest.raises(UsageError, match=r"pages\.jsonl cannot be written to: access denied"):
        open_writer(OBJECT)
    with pytest.raises(UsageError, match=r"a folder of parts has them: -o s3://crawls/pages\.jsonl/"):
        check_appendable(OBJECT)


def test_temporary_files_of_killed_exports_are_removed(tmp_path: Path) -> None:
    kept = Scratch()
    left = Path(tempfile.mkdtemp(prefix="crawler-export-"))
    (left / "large").write_bytes(b"x")
    strange = Path(tempfile.gettempdir()) / "crawler-export-link"
    strange.symlink_to(tmp_path)
    Scratch().close()
    assert kept.path.exists()
    assert not left.exists()
    assert strange.is_symlink()
    kept.close()
