"""A bucket: what was put is there, what fails for a while is repeated, what is refused is one line without a secret."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
import trustme

from crawler.errors import UsageError
from crawler.export.bucket import Bucket, BucketError, Changed, parts_of
from tests.export.moto_server import MotoServer
from tests.export.s3_server import BUCKET, KEY, SECRET, S3Server

MB = 1024 * 1024


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server, and the environment of its clients."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with S3Server(tmp_path / "s3") as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def bucket(server: S3Server) -> Bucket:
    return Bucket(BUCKET, patience=20, answer_limit=5)


def fail(bucket: Bucket) -> str:
    """The message of a put that fails."""
    with pytest.raises(BucketError) as caught:
        bucket.put("key", b"content")
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_put_is_there_until_it_is_deleted(server: S3Server, bucket: Bucket) -> None:
    bucket.put("a/b c+é%.txt", b"one")
    assert server.objects() == {"a/b c+é%.txt": b"one"}
    found = bucket.get("a/b c+é%.txt")
    assert found is not None and found[0] == b"one"
    assert bucket.get("a/none") is None
    bucket.delete("a/b c+é%.txt")
    bucket.delete("a/b c+é%.txt")
    assert server.objects() == {}


@pytest.mark.parametrize("size", [0, 5 * MB, 5 * MB + 1, 17 * MB])
def test_a_file_of_any_size_arrives(server: S3Server, bucket: Bucket, tmp_path: Path, size: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size))
    bucket.put("key", file)
    assert server.objects()["key"] == file.read_bytes()
    assert any("uploadId" in seen for seen in server.seen) == (size > 5 * MB)
    assert server.uploads == []


def test_a_long_list_is_whole_also_when_a_page_of_it_fails(server: S3Server, bucket: Bucket) -> None:
    names = [f"folder/{n:05d}" for n in range(250)]
    for name in [*names, "folder", "folder2/x", "other"]:
        server.write(name, b"")
    keys = bucket.keys("folder")
    found = [next(keys)]
    server.fail(method="GET", status=503, code="SlowDown", times=6)
    assert [*found, *keys] == names
    assert len(list(bucket.keys(""))) == 253


def test_a_large_object_is_not_read(server: S3Server, bucket: Bucket) -> None:
    server.write("pages/.lock", b"x" * 17 * MB)
    with pytest.raises(BucketError, match="has 17,825,792 bytes, and should have a few"):
        bucket.get("pages/.lock")


def test_a_put_may_depend_on_what_is_there(server: S3Server, bucket: Bucket) -> None:
    first = bucket.put_if("key", b"1", None)
    with pytest.raises(Changed):
        bucket.put_if("key", b"2", None)
    second = bucket.put_if("key", b"3", first)
    with pytest.raises(Changed):
        bucket.put_if("key", b"4", first)
    assert bucket.get("key") == (b"3", second)
    bucket.delete("key")
    with pytest.raises(Changed):
        bucket.put_if("key", b"5", second)


def test_a_server_without_conditions_gets_a_plain_put(server: S3Server, bucket: Bucket) -> None:
    server.fail(method="PUT", status=501, code="NotImplemented", times=4)
    bucket.put_if("key", b"1", None)
    assert server.objects() == {"key": b"1"}


def test_an_object_has_its_media_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kinds = {
        "sitemap.xml": "application/xml",
        "llms.txt": "text/plain; charset=utf-8",
        "docs/a.md": "text/markdown; charset=utf-8",
        "pages.jsonl.gz": "application/gzip",
        "pages": "application/octet-stream",
    }
    large = tmp_path / "large"
    large.write_bytes(b"x" * 6 * MB)
    with MotoServer() as moto:
        for name, value in moto.environment.items():
            monkeypatch.setenv(name, value)
        bucket = Bucket(BUCKET)
        for key, kind in kinds.items():
            for content in (b"small", large):
                bucket.put(key, content)
                assert obstore.get(bucket._store, key).attributes["Content-Type"] == kind


def test_the_endpoint_of_s3_alone_comes_first(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://nowhere.invalid")
    Bucket(BUCKET).put("key", b"content")
    assert server.objects() == {"key": b"content"}


def test_a_conditional_put_whose_acknowledgement_is_lost_counts_once(server: S3Server, bucket: Bucket) -> None:
    server.fail(method="PUT", die="after")
    done: list[str | None] = []
    putting = threading.Thread(target=lambda: done.append(bucket.put_if("key", b"mine", None)))
    putting.start()
    server.wait()
    server.start()
    putting.join(60)
    assert len(done) == 1
    assert server.objects() == {"key": b"mine"}


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"])
def test_a_server_that_is_busy_is_asked_again(
    server: S3Server, bucket: Bucket, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    server.fail(
        method="PUT",
        status=400 if code == "RequestTimeout" else 503,
        code=code,
        times=2 if code == "RequestTimeout" else 6,
    )
    with caplog.at_level(logging.WARNING):
        bucket.put("key", b"content")
    assert server.objects() == {"key": b"content"}
    assert len(caplog.messages) == 1  # one line for one outage
    assert code in caplog.text


def test_a_server_that_was_killed_is_waited_for(server: S3Server, bucket: Bucket) -> None:
    server.kill()
    starting = threading.Timer(1.5, server.start)
    starting.start()
    bucket.put("key", b"content")
    starting.join()
    assert server.objects() == {"key": b"content"}


@pytest.mark.parametrize("die", ["before", "after"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_upload_survives_the_death_of_the_server(
    server: S3Server, bucket: Bucket, tmp_path: Path, die: str, method: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(11 * MB))
    server.fail(method=method, die=die)
    putting = threading.Thread(target=bucket.put, args=("key", file))
    putting.start()
    server.wait()
    assert server.objects() == {}
    server.start()
    putting.join(60)
    assert server.objects() == {"key": file.read_bytes()}


def test_after_its_patience_a_bucket_counts_as_away(server: S3Server) -> None:
    server.kill()
    bucket = Bucket(BUCKET, patience=0.5)
    with pytest.raises(BucketError, match=r"connection refused, for 0\.5 seconds") as caught:
        bucket.put("key", b"content")
    assert caught.value.away


def test_a_certificate_has_to_be_trusted(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with S3Server(tmp_path / "tls", tmp_path / "server.pem") as behind_tls:
        monkeypatch.setenv("AWS_ENDPOINT_URL", behind_tls.endpoint)
        assert "its certificate is not trusted: name the file of its authority in AWS_CA_BUNDLE" in fail(Bucket(BUCKET))
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        Bucket(BUCKET).put("key", b"content")
        assert behind_tls.objects() == {"key": b"content"}


def test_a_name_that_does_not_exist_counts_as_away(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nowhere.invalid:9000")
    with pytest.raises(BucketError, match="its name cannot be resolved") as caught:
        Bucket(BUCKET, patience=0.1).put("key", b"content")
    assert caught.value.away


def test_a_server_that_does_not_answer_counts_as_away(server: S3Server) -> None:
    server.fail(delay=30, times=20)
    bucket = Bucket(BUCKET, patience=0.5, answer_limit=0.2)
    with pytest.raises(BucketError, match="it does not answer in time"):
        bucket.put("key", b"content")


def test_what_is_repeated_ends_when_it_is_stopped(server: S3Server) -> None:
    server.kill()
    bucket = Bucket(BUCKET, patience=600)
    asked: list[None] = []

    def stopped() -> bool:
        asked.append(None)
        return len(asked) > 2

    bucket.heed(stopped)
    with pytest.raises(BucketError, match="connection refused"):
        bucket.put("key", b"content")
    assert len(asked) == 3


def test_closing_ends_the_waiting(server: S3Server) -> None:
    server.kill()
    bucket = Bucket(BUCKET, patience=600)
    ended: list[BucketError] = []

    def put() -> None:
        try:
            bucket.put("key", b"content")
        except BucketError as error:
            ended.append(error)

    putting = threading.Thread(target=put)
    putting.start()
    bucket.close()
    putting.join(60)
    assert len(ended) == 1


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "access denied: the key needs s3:PutObject"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (400, "ExpiredToken", "the session token has expired"),
        (403, "RequestTimeTooSkewed", "the clock of this machine is wrong"),
        (301, "PermanentRedirect", "AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "AWS_REGION"),
        (404, "NoSuchBucket", "no such bucket"),
        (405, "MethodNotAllowed", "405 MethodNotAllowed"),
    ],
)
def test_what_is_refused_fails_at_once(server: S3Server, bucket: Bucket, status: int, code: str, words: str) -> None:
    server.fail(status=status, code=code, times=9)
    began = time.monotonic()
    assert words in fail(bucket)
    assert time.monotonic() - began < 5  # not the twenty seconds of its patience
    assert len(server.seen) == 1


def test_a_missing_bucket_is_named_for_each_request(server: S3Server) -> None:
    bucket = Bucket("no-such-bucket")
    requests: list[Callable[[], Any]] = [
        lambda: bucket.put("key", b""),
        lambda: bucket.get("key"),
        lambda: list(bucket.keys("folder")),
        lambda: bucket.delete("key"),
        lambda: bucket.put_if("key", b"", None),
        lambda: bucket.put_if("key", b"", '"tag"'),
        lambda: bucket.check_writable("key"),
    ]
    for request in requests:
        with pytest.raises(BucketError, match="no such bucket"):
            request()


def test_a_wrong_key_and_a_session_token(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFNOBODY")
    assert "check AWS_ACCESS_KEY_ID" in fail(Bucket(BUCKET))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDWITHTOKEN")
    assert "check AWS_SESSION_TOKEN" in fail(Bucket(BUCKET))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-tests")
    Bucket(BUCKET).put("key", b"content")
    assert server.objects() == {"key": b"content"}


def test_whether_a_key_can_be_written_is_asked_without_a_trace(server: S3Server, bucket: Bucket) -> None:
    bucket.check_writable("key")
    assert (server.objects(), server.uploads) == ({}, [])
    server.fail(method="POST", status=403, code="AccessDenied")
    with pytest.raises(BucketError, match="access denied"):
        bucket.check_writable("key")


def test_an_upload_that_fails_is_aborted(server: S3Server, bucket: Bucket, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 11 * MB)
    server.fail(method="PUT", status=403, code="AccessDenied")
    with pytest.raises(BucketError, match="access denied"):
        bucket.put("key", file)
    assert (server.objects(), server.uploads) == ({}, [])


def test_an_interrupt_ends_an_upload_and_aborts_it(
    server: S3Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting:
        def __init__(self, file: Any) -> None:
            self.file, self.reads = file, 0

        def read(self, size: int) -> bytes:
            self.reads += 1
            if self.reads == 3:
                raise KeyboardInterrupt
            found: bytes = self.file.read(size)
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    from crawler.export import bucket as module

    real = module._Body
    monkeypatch.setattr(module, "_Body", lambda file: real(Interrupting(file)))  # type: ignore[arg-type]
    file = tmp_path / "file"
    file.write_bytes(b"x" * 30 * MB)
    with pytest.raises(KeyboardInterrupt):
        bucket.put("key", file)
    assert (server.objects(), server.uploads) == ({}, [])


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_ENDPOINT_URL": "garbage"}, "AWS_ENDPOINT_URL is no address"),
        ({"AWS_ENDPOINT_URL": "ftp://host"}, "AWS_ENDPOINT_URL is no address"),
        ({"AWS_ENDPOINT_URL": "http://user:hidden@host"}, "AWS_ENDPOINT_URL is no address"),
        ({"AWS_ENDPOINT_URL": "http://host:99999"}, "AWS_ENDPOINT_URL is no address"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "needs both"),
        ({"AWS_CA_BUNDLE": "/none/ca.pem"}, "AWS_CA_BUNDLE: /none/ca.pem cannot be read: No such file"),
        ({"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "perhaps"}, "AWS_ variables cannot be used"),
    ],
)
def test_variables_that_cannot_be_used_are_named(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=words) as caught:
        Bucket(BUCKET)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("s3://", "no name of a bucket"),
        ("s3:///key", "no name of a bucket"),
        ("s3://b/key", "no name of a bucket"),
        ("s3://bücket/key", "no name of a bucket"),
        ("s3://AKID:secret@bucket/key", "holds no credentials"),
        ("s3://bucket//key", "no empty part"),
        ("s3://bucket/a/../key", "none that is"),
        ("s3://bucket/key?versionId=1", "no control character"),
        ("s3://bucket/a\nb", "no control character"),
        ("s3://bucket/" + "x" * 901, "at most 900 bytes"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(output: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parts_of(output)
    assert "secret" not in str(caught.value)


def test_urls_have_a_bucket_and_a_key() -> None:
    assert parts_of("s3://crawls") == ("crawls", "")
    assert parts_of("s3://crawls/") == ("crawls", "")
    assert parts_of("S3://crawls/a/b/") == ("crawls", "a/b/")
    assert parts_of("s3://crawls/a/b c.jsonl") == ("crawls", "a/b c.jsonl")
