"""Passwords that are marked, and searched for in all that a crawl leaves and shows: they are found nowhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.redis_for_tests import PrivateRedis
from tests.servers import Server, page
from tests.stories.commands import Commands, command_line, kill_hard, wait_until
from tests.stories.sites import Sites, closed_port, html
from tests.stories.tcp_redis import TcpRedis

pytestmark = pytest.mark.slow

MARK: Final = "s3cr3t-MARK"
BROKEN: Final = """
from crawler.worker.shard_client import ShardClient
from pathlib import Path
sync, turns = ShardClient.sync, 0

def broken(self, *args):
    global turns
    turns += 1
    if turns == 20 and not Path("broken").exists():
        Path("broken").touch()
        raise ValueError("a defect")
    return sync(self, *args)

ShardClient.sync = broken

def hook(page):
    return None
"""


class Processes:
    """The arguments of all processes that bear the mark of a test's folder or belong to its program, sampled."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[Processes]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit():
                    with suppress(OSError):
                        self.seen.add(command_line(int(folder.name)))


def leaks(mark: str, *texts: str | bytes) -> list[str]:
    """What holds the mark, or a part of it that could be told from."""
    found = [text if isinstance(text, str) else text.decode("utf-8", "replace") for text in texts]
    return [text[max(text.index(mark) - 80, 0) :][:200] for text in found if mark in text]


def files_of(commands: Commands) -> list[bytes]:
    """All that lies in its folders: logs, exports, states, what workers leave."""
    return [path.read_bytes() for path in commands.base.rglob("*") if path.is_file()]


def in_redis(server: TcpRedis) -> bytes:
    """Everything that Redis holds."""
    with server.client() as client:
        return b"".join(client.dump(key) or b"" for key in client.scan_iter())


@pytest.fixture
def proxy() -> Iterator[Server]:
    with Server() as server:
        server.otherwise = page(html(title="home"))
        yield server


def test_in_a_crawl_that_goes_well_and_one_that_does_not(
    tcp_redis: Callable[..., TcpRedis], commands_on: Callable[[str], Commands], sites: Sites
) -> None:
    """Redis's password, a header, and one within a seed: every command, a killed worker, a defect with its traceback,
    and a Redis that dies in the middle."""
    site = sites.add()
    home = site.serve("/", html(f"/{n}" for n in range(30)))
    for n in range(30):
        site.serve(f"/{n}", html(title=str(n)))
    server = tcp_redis(password=f"{MARK}-redis")
    commands = commands_on(server.url)
    commands.env["CRAWLER_HEADER"] = f"Authorization: Bearer {MARK}-header"
    commands.write("broken.py", BROKEN)
    log = ["--log-file", "log.jsonl", "-v"]
    said = []
    with Processes().watched() as processes:
        commands.write("seeds.txt", f"http://user:{MARK}-seed@127.0.0.1:{site.port}/x\n")
        going = commands.start(
            *("run", home, "seeds.txt", "--delay", "50ms", "--workers", "2", "--hook", "broken.py:hook"), *log
        )
        wait_until(lambda: len(site.seen) > 5, "the middle of the crawl")
        kill_hard(going.wait_for_workers(1)[0])
        done = going.wait()
        said += [done.out, done.err]
        assert done.code == 2, done.err  # a seed was refused; the rest is done
        for line in (
            *("status --json", "set", "list", f"explain {home}", "failed --list", "retry --all", "quarantine", "pause"),
            *(
                "resume",
                "export -o a.csv",
                "export -o b.jsonl --drain",
                "run -o c.jsonl.gz --no-hook",
                "fetch URL --json",
            ),
        ):
            done = commands.run(*line.replace("URL", home).split(), *([] if line.startswith("fetch") else log))
            said += [done.out, done.err]
        everything = in_redis(server)
        going = commands.start("run", site.url("/more"), "--delay", "1s", "--no-hook", *log)
        going.wait_for_workers(1)
        server.kill()
        going.wait_to_say("cannot be reached")
        going.kill()
        said += [going.out, going.err]
    assert any(b"crawler.crawl.process" in line for line in processes.seen)
    assert f"Bearer {MARK}-header" in {seen.headers.get("authorization") for seen in site.seen}
    assert any("a defect" in text for text in said)
    assert len(everything) > 1000
    logged = (commands.folder / "log.jsonl").read_bytes()
    assert b"Traceback" in logged
    kept = [text for text in files_of(commands) if f"user:{MARK}-seed".encode() not in text]  # the seed file is theirs
    assert leaks(MARK, everything, *said, *processes.seen, *kept) == []


@pytest.mark.parametrize(
    "url",
    [
        "redis://:{0}@127.0.0.1:{port}/0",
        "redis://me:{0}@127.0.0.1:{closed}/0",
        "redis://me:{0}@127.0.0.1:{port}/{0}",
        "redis://me:{0}@127.0.0.1:{0}",
        "redis://me:{0}/x@127.0.0.1:{port}/0",
        "redis://me:{0}#x@127.0.0.1:{port}",
        "redis://me:{0}?x@127.0.0.1:{port}",
        "redis://me:{0}@{0}@127.0.0.1:{port}/99999",
        "rediss://me:{0}@127.0.0.1:{port}/0",
        "redis+sentinel://me:{0}@127.0.0.1:{closed}/m?sentinel_password={0}",
        "redis+sentinel://me:{0}@127.0.0.1:{port}/?sentinel_password={0}",
        "unix://me:{0}@/nowhere.sock",
        "http://me:{0}@127.0.0.1:{port}",
        "{0}",
    ],
)
def test_in_what_is_said_of_a_url_that_does_not_work(
    tcp_redis: Callable[..., TcpRedis], commands_on: Callable[[str], Commands], url: str
) -> None:
    server = tcp_redis(password="another")
    wrong = url.replace("{port}", str(server.port)).replace("{closed}", str(closed_port()))
    mark = quote(f"{MARK} /?#@") if "{0}@" in url else MARK
    commands = commands_on(wrong.replace("{0}", mark))
    done = commands.run("status", "-v", "--log-file", "log.jsonl")
    assert done.code in (2, 3), done.err
    assert len(done.lines) == 1, done.err
    assert leaks(MARK, done.err, done.out, *files_of(commands)) == []


def test_in_what_is_said_of_a_proxy(
    redis_server: PrivateRedis, commands_on: Callable[[str], Commands], sites: Sites, proxy: Server
) -> None:
    """One that works and one that does not; its password is sent to it and shown nowhere."""
    site = sites.add()
    home = site.serve("/", html(title="home"))
    commands = commands_on(redis_server.url)
    said = []
    for port in (proxy.port, closed_port()):
        commands.env["CRAWLER_PROXY"] = f"http://me:{MARK}@127.0.0.1:{port}"
        done = commands.run("fetch", home, "--json", "--timeout", "3s")
        said += [done.out, done.err]
        done = commands.run(
            *("run", home, "--fresh", "--yes", "--delay", "0", "--workers", "1", "--retries", "0"),
            *("--host-patience", "1s", "-v", "--log-file", "log.jsonl", "-o", "-"),
        )
        said += [done.out, done.err, commands.run("failed", "--list").out]
    assert leaks(MARK, *said, *files_of(commands)) == []


@pytest.mark.parametrize(
    "proxy",
    [
        *("http://me:{0}/x@127.0.0.1:9", "http://me:{0}#x@127.0.0.1:9", "http://me:{0}?x@127.0.0.1:9"),
        *("http://me:{0}@x@127.0.0.1:9", "http://me:{0}@127.0.0.1:9:9", "http://me:{0}@127.0.0.1:99999"),
        *("foo://me:{0}@127.0.0.1:9", "http://me:{0}@[127.0.0.1:9", "http://me:{0}@/", "http:/me:{0}@127.0.0.1:9"),
    ],
)
@pytest.mark.parametrize("variable", ["CRAWLER_PROXY", "http_proxy"])
def test_in_what_is_said_of_a_proxy_that_is_none(commands: Commands, proxy: str, variable: str) -> None:
    """It is refused before an engine sees it, which would repeat it in the record of each URL."""
    commands.env[variable] = proxy.replace("{0}", MARK)
    for engine in ("curl", "requests"):
        done = commands.run("fetch", "http://a.example/", "--trust-env", "--fetcher", engine, "--timeout", "3s")
        assert (done.code, done.out) == (2, ""), done.out
        assert leaks(MARK, done.err) == []
        assert "USER:PASSWORD@HOST:PORT" in done.err
