"""The Redis that comes along: find a binary, start it in a folder, share it, stop it when the last one leaves.

Three locks (flock, so the kernel lets go of them when their holder dies, however it dies) keep it simple:

`users`   shared by every command inside its `with` block and by the workers that inherit it; free: nobody is left
`door`    exclusive, for the moments of entering, starting and stopping; nobody waits for the server's data under it
`server`  exclusive, held by the server process itself for life; so "is it alive" needs neither a pid nor a guess,
          and two servers on one folder cannot be
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, NoPermissionError, ReadOnlyError, RedisError, ResponseError
from redis.retry import Retry

from crawler import owners
from crawler.errors import EmbeddedRedisError, RedisUnavailable
from crawler.frontier.redis.binary import OLDEST, Binary, Flavor, Version, dotted, find_binary, note_version
from crawler.frontier.redis.folder import ELSE, prepare

__all__ = ["Binary", "EmbeddedRedis", "check_server", "find_binary"]

INTSET_ENTRIES: Final = 20_000
"""Ids that one set of `seen` keeps packed: 9 bytes each instead of about 80. Few large sets are quicker than many."""

_FEW_ENTRIES: Final = 4_096
"""With fewer of them large crawls are notably slower."""

_MAX_SOCKET_PATH: Final = 103
"""Bytes of a unix socket's path that every system takes (macOS: 104 with the final NUL; Linux: 108)."""

_DOOR_PATIENCE, _START_PATIENCE, _STOP_PATIENCE = 90.0, 60.0, 60.0
"""Seconds. Loading data is not counted: a server that says LOADING is getting on."""

_OPTIONS: Final = {
    "port": "0",
    "unixsocket": "redis.sock",  # relative to the folder, so that its length never matters to the server
    "unixsocketperm": "700",
    "dir": ".",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-use-rdb-preamble": "yes",
    "aof-load-truncated": "yes",  # a power loss cuts the last command in two; all before it are whole
    "save": "",
    "maxmemory-policy": "noeviction",
    "set-max-intset-entries": str(INTSET_ENTRIES),
    "logfile": "redis.log",
    "pidfile": "redis.pid",
    "daemonize": "no",
}

TORN: Final = b"Truncating the AOF"
"""What Redis logs when its append-only file broke off."""

_children: dict[Path, subprocess.Popen[bytes]] = {}
"""Servers that this process started, by folder: one may outlive its EmbeddedRedis, and has to be reaped at its end."""

_ANSWER_LIMIT = 5.0
"""Seconds for one answer, while the server is ours to wait for."""

log = logging.getLogger(__name__)


class EmbeddedRedis:
    """The Redis of one folder: `with EmbeddedRedis() as server: ... server.url`.

    Any number of commands may be inside at once; the first one starts the server, the last one to leave stops it.
    Data stay in the folder. Every failure is an EmbeddedRedisError of one line.
    """

    def __init__(self, folder: Path = Path(".crawler")) -> None:
        with _one_line(folder):
            self.folder = owners.resolved(folder)  # a link of our own is followed
        self._users: int | None = None
        self._socket = self.folder / "redis.sock"

    @property
    def url(self) -> str:
        """`unix:///...` for any Redis client; good while inside."""
        return "unix://" + quote(str(self._socket))

    @property
    def users_fd(self) -> int:
        """The descriptor to hand to workers (`pass_fds`, or DupFd with spawn): who keeps it keeps the server alive."""
        if self._users is None:
            raise EmbeddedRedisError("the embedded Redis is not in use: enter it first")
        return self._users

    def __enter__(self) -> EmbeddedRedis:
        try:
            self.ensure()
        except BaseException:
            with suppress(EmbeddedRedisError):
                self.leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.leave()
        except EmbeddedRedisError as error:
            if value is None:
                raise
            log.warning("%s", error)  # what ended the block matters more

    @classmethod
    def inherit(cls, folder: bytes, users_fd: int) -> EmbeddedRedis:
        """That of a process which handed us its `users_fd` and is gone: to be left as it would have left it."""
        server = cls(Path(os.fsdecode(folder)))
        server._users = users_fd
        with _one_line(server.folder):
            server._socket = _short_socket(server.folder)
        return server

    def ensure(self) -> None:
        """See to it that the server runs and has loaded its data. Safe to repeat: one that died is started again."""
        patience = _Backoff(_START_PATIENCE)
        with _one_line(self.folder):
            prepare(self.folder)
            while True:
                with self._door():
                    self._join()
                    began = self._start_unless_alive()
                if self._wait_until_ready():
                    if began is not None and self._was_torn(began):
                        with _client(self._socket) as client:
                            rewrite(client)
                    return
                if began is not None or not patience.nap():  # else the one we found was just ending: try again
                    raise EmbeddedRedisError(f"the embedded Redis ended at once: {self._last_words(began or 0)}")

    def leave(self) -> None:
        """Stop the server if nobody else uses it, and wait for its real end. Safe to repeat."""
        if self._users is None:
            return
        with _one_line(self.folder), self._door():
            # Our own descriptor is closed, not converted: workers that inherited it share its lock, so a conversion
            # to an exclusive lock would succeed under their feet. A new descriptor conflicts with theirs.
            users, self._users = self._users, None
            os.close(users)
            alone = _try_lock(self.folder / "users", fcntl.LOCK_EX)
            if alone is None:
                return
            try:
                self._stop()
            finally:
                _unlock(alone)

    @contextmanager
    def _door(self) -> Iterator[None]:
        patience = _Backoff(_DOOR_PATIENCE)
        while (door := _try_lock(self.folder / "door", fcntl.LOCK_EX)) is None:
            if not patience.nap():
                raise EmbeddedRedisError(
                    f"another command has been starting or stopping the Redis in {self.folder} for"
                    f" {_DOOR_PATIENCE:.0f} s: wait for it {ELSE}"
                )
        try:
            yield
        finally:
            _unlock(door)

    def _join(self) -> None:
        """Become a user. Only behind the door, where nobody holds `users` exclusively."""
        if self._users is None:
            self._users = _try_lock(self.folder / "users", fcntl.LOCK_SH)
            if self._users is None:
                raise EmbeddedRedisError(f"{self.folder}/users is locked by a program that is not this one")
            os.set_inheritable(self._users, True)
        self._socket = _short_socket(self.folder)

    def _start_unless_alive(self) -> int | None:
        """Start the server; where its log begins, or None when one was alive. Only behind the door."""
        alive = _try_lock(self.folder / "server", fcntl.LOCK_EX)
        if alive is None:
            return None
        try:
            binary = find_binary(self.folder)
            _tidy(self.folder)
            return self._start(binary, alive)
        finally:
            os.close(alive)  # not unlocked: the server holds the lock through the descriptor it inherited

    def _start(self, binary: Binary, alive: int) -> int:
        log_fd = os.open(self.folder / "redis.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(log_fd, "ab") as logfile:
            began = logfile.tell()
            _children[self.folder] = subprocess.Popen(
                [binary.path, *(word for name, value in _OPTIONS.items() for word in (f"--{name}", value))],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=logfile,
                stderr=logfile,
                close_fds=True,
                pass_fds=(alive,),
                start_new_session=True,  # Ctrl-C on the terminal must not reach it
                umask=0o077,  # what it writes is for its owner, whatever the folder is
            )
        return began

    def _wait_until_ready(self) -> bool:
        """Whether the server came to answer with its data loaded; False if it ended instead. Behind no door."""
        patience = _Backoff(_START_PATIENCE)
        with _client(self._socket) as client:
            while True:
                try:
                    client.ping()
                    note_version(self.folder, *_version_of(client.info("server")))
                    return True
                except BusyLoadingError:
                    patience.renew()
                except RedisError:
                    if not self._alive():
                        return False
                if not patience.nap():
                    raise EmbeddedRedisError(f"the embedded Redis does not answer: {self._last_words(0)}")

    def _was_torn(self, began: int) -> bool:
        """Whether its append-only file broke off in the middle of something, by its log from the byte *began* on."""
        with (self.folder / "redis.log").open("rb") as logfile:
            logfile.seek(began)
            return TORN in logfile.read()

    def _alive(self) -> bool:
        probe = _try_lock(self.folder / "server", fcntl.LOCK_SH)
        if probe is None:
            return True
        _unlock(probe)
        return False

    def _stop(self) -> None:
        if self._alive():
            try:
                with _client(self._socket) as client:
                    client.shutdown()  # flushes and syncs the append-only file
            except RedisError:  # a script runs, or the socket file is gone: a signal waits its turn
                with suppress(ValueError, OSError):
                    os.kill(int((self.folder / "redis.pid").read_text()), signal.SIGTERM)
        patience = _Backoff(_STOP_PATIENCE)
        while self._alive():
            if not patience.nap():
                raise EmbeddedRedisError(f"the embedded Redis does not stop: {self._last_words(0)}")
        _tidy(self.folder)
        _remove_detour(self.folder)

    def _last_words(self, began: int) -> str:
        """The last line of the server's log from the byte *began* on, and where to read the rest."""
        path = self.folder / "redis.log"
        with path.open("rb") as logfile:
            logfile.seek(max(began, path.stat().st_size - 4096))
            lines = logfile.read().decode("utf-8", "replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{_LOG_PREFIX.sub('', last).strip()} (see {path}; move the folder away to start anew, {ELSE})"


_LOG_PREFIX = re.compile(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ \S ")


class _Backoff:
    """Naps that grow from 1 to 50 ms, until a time of *seconds* is up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._length = 0.001
        self.renew()

    def renew(self) -> None:
        """Begin the time anew."""
        self._end = time.monotonic() + self._seconds

    def nap(self) -> bool:
        """Sleep a little; False when the time is up."""
        time.sleep(self._length)
        self._length = min(self._length * 1.5, 0.05)
        return time.monotonic() < self._end


def _client(socket: Path) -> Redis:
    """A client that fails at once: the patience is ours."""
    return Redis(unix_socket_path=str(socket), socket_timeout=_ANSWER_LIMIT, retry=Retry(NoBackoff(), 0))


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """Translate what the system refuses into an EmbeddedRedisError."""
    try:
        yield
    except OSError as error:
        why = f"cannot keep a Redis in {folder}: {error.strerror or error}"
        raise EmbeddedRedisError(f"{why}; make room or run where you may write, {ELSE}") from error


def _try_lock(path: Path, how: int) -> int | None:
    """A descriptor (not inherited) that holds the lock *how* on *path*, or None if another holder is in the way."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unlock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # said aloud, in case a fork in between copied the descriptor
    os.close(descriptor)


def _tidy(folder: Path) -> None:
    """Take away what is left of a server that has ended."""
    if child := _children.pop(folder, None):
        child.wait()
    for name in ("redis.sock", "redis.pid"):
        (folder / name).unlink(missing_ok=True)


def _short_socket(folder: Path) -> Path:
    """The socket's path as clients can use it: a deep folder is reached by a link in a private temporary folder."""
    direct = folder / "redis.sock"
    if len(os.fsencode(direct)) <= _MAX_SOCKET_PATH:
        return direct
    detour = _detour(folder)
    if detour is None:
        detour = Path(tempfile.mkdtemp(prefix="crawler-"))  # 0700
        (detour / "to").symlink_to(folder, target_is_directory=True)
        (folder / "socket").write_bytes(os.fsencode(detour))
    short = detour / "to" / "redis.sock"
    if len(os.fsencode(short)) > _MAX_SOCKET_PATH:
        raise EmbeddedRedisError(f"{direct} is too long for a socket: run in a folder of a shorter name, {ELSE}")
    return short


def _detour(folder: Path) -> Path | None:
    """The temporary folder that `socket` names, if it is there still and leads here."""
    with suppress(OSError, ValueError):
        detour = Path(os.fsdecode((folder / "socket").read_bytes()))
        if detour.stat().st_uid == os.geteuid() and (detour / "to").samefile(folder):
            return detour
    return None


def _remove_detour(folder: Path) -> None:
    if detour := _detour(folder):
        (detour / "to").unlink()
        detour.rmdir()
    (folder / "socket").unlink(missing_ok=True)


def _version_of(info: dict[str, Any]) -> tuple[Flavor, Version]:
    """Flavor and version as INFO tells them; Valkey reports the Redis it is compatible with, too."""
    flavor: Flavor = "valkey" if "valkey_version" in info else "redis"
    numbers = [int(number) for number in re.findall(r"\d+", str(info.get(f"{flavor}_version", "")))]
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return flavor, (major, minor, patch)


def rewrite(client: Redis) -> None:
    """Write the append-only file anew, from what is loaded, and wait until that is done.

    A file that broke off within a transaction is cut by Redis (seen with 6.2 and 7.0) behind the last command that is
    whole, and so keeps half of the transaction: at the next start that half is done as well.
    """
    client.bgrewriteaof()
    patience = _Backoff(_START_PATIENCE)
    while True:
        info: dict[str, Any] = dict(client.info("persistence"))
        if not (info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled")) or not patience.nap():
            return


def check_server(client: Redis, *, writing: bool = True) -> list[str]:
    """What a user of this Redis, ours or a shared one, should know: a line each, the graver ones first.

    Raises RedisUnavailable if it is older than 6.2, ReadOnlyError if it is a replica and we are *writing*, and what
    the library raises if it cannot be asked. CONFIG may be forbidden (managed Redis): then only what INFO tells is
    judged.
    """
    try:
        info = dict(client.info())
    except ResponseError as error:
        if not isinstance(error, NoPermissionError) and "unknown command" not in str(error):
            raise
        return ["this Redis answers no INFO to us, so its persistence and memory limit could not be checked"]
    flavor, version = _version_of(info)
    if version < OLDEST:
        raise RedisUnavailable(f"this Redis is {flavor} {dotted(version)}: the crawler needs 6.2 or newer")
    if writing and info.get("role") == "slave":
        raise ReadOnlyError("it is a replica")
    return list(_warnings(info, _config(client)))


def _config(client: Redis) -> dict[str, str]:
    config: dict[str, str] = {}
    for name in ("save", "set-max-intset-entries"):
        with suppress(RedisError):
            if (value := client.config_get(name).get(name)) is not None:
                config[name] = value
    return config


def _warnings(info: dict[str, Any], config: dict[str, str]) -> Iterator[str]:
    policy = info.get("maxmemory_policy", "noeviction")
    if int(info.get("maxmemory", 0)) and policy.startswith("allkeys"):  # of volatile ones only robots.txt is a victim
        yield f"maxmemory-policy is {policy}: when Redis is full it throws away parts of the crawl; set noeviction"
    if not info.get("aof_enabled", 1) and config.get("save") == "":
        yield "neither appendonly nor save is set: this crawl is lost when Redis restarts; set appendonly yes"
    elif not info.get("aof_enabled", 1) and config.get("save"):
        yield "appendonly is off: if Redis dies, the crawl falls back to its last snapshot; set appendonly yes"
    entries = int(config.get("set-max-intset-entries", INTSET_ENTRIES))
    if entries < _FEW_ENTRIES:
        yield f"set-max-intset-entries is {entries}: {INTSET_ENTRIES} makes large crawls faster, set before they begin"
