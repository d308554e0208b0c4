"""A master, a replica and the sentinels that watch them, on TCP ports of loopback: a fail-over for tests.

with Watched(binary) as redis:
    redis.url                     # redis+sentinel://...
    redis.master.kill()           # a sentinel makes the replica the master, about three seconds later
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.stories.commands import PATIENCE, wait_until
from tests.stories.tcp_redis import TcpRedis, TcpServer

MASTER: Final = "crawl"
DOWN_AFTER_MS: Final = 1000
"""A master that says nothing for so long is down: longer than a busy machine keeps a process waiting.

A replica that was cut off for ten times as long is not made master any more.
"""


class SentinelProcess(TcpServer):
    """One sentinel of *master*; with *password* it asks for it."""

    def __init__(self, binary: Path, master: TcpRedis, password: str = "", master_password: str = "") -> None:
        super().__init__()
        self._password = password
        settings = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 1",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 3000",
        ]
        settings += [f'requirepass "{password}"'] if password else []
        settings += [f'sentinel auth-pass {MASTER} "{master_password}"'] if master_password else []
        (self._folder / "sentinel.conf").write_text("\n".join(settings) + "\n")
        self._start(binary, "sentinel.conf", "--sentinel")

    def client(self) -> Any:
        """A new client that retries nothing."""
        return redis.Redis(port=self.port, password=self._password or None, retry=Retry(NoBackoff(), 0))

    def state(self) -> dict[str, Any]:
        """What it knows of the master; nothing while it does not answer."""
        with self.client() as client, suppress(redis.RedisError):
            found: dict[str, Any] = client.sentinel_masters()[MASTER]
            return found
        return {}


class Watched:
    """A master, its replica, and one sentinel that is enough to elect."""

    def __init__(self, binary: Path, password: str = "", sentinel_password: str = "") -> None:
        self.master = TcpRedis(binary, password, ["--repl-diskless-sync-delay", "0"])
        replica_of = ["--replicaof", "127.0.0.1", str(self.master.port)]
        self.replica = TcpRedis(binary, password, [*replica_of, *(["--masterauth", password] if password else [])])
        self._wait_for_replica()
        self.sentinel = SentinelProcess(binary, self.master, sentinel_password, password)
        wait_until(lambda: self.sentinel.state().get("num-slaves") == 1, "the sentinel to know the replica")
        login = f":{quote(password)}@" if password else ""
        more = f"?sentinel_password={quote(sentinel_password)}" if sentinel_password else ""
        self.url = f"redis+sentinel://{login}127.0.0.1:{self.sentinel.port}/{MASTER}/0{more}"

    def _wait_for_replica(self) -> None:
        """Until it has a first write from the master: before its first acknowledgement it is sent nothing."""
        wait_until(lambda: _replication(self.replica)["master_link_status"] == "up", "the replica")
        with self.master.client() as client:
            client.set("heard", 1)
            assert client.wait(1, int(PATIENCE * 1000)) == 1, "the replica never acknowledged a write"
            client.delete("heard")

    def catch_up_and_kill(self) -> None:
        """Kill the master at a moment at which the replica has all that it acknowledged."""
        with self.master.client() as client:
            client.client_pause(60_000, all=False)  # writes wait, and die with the master unacknowledged
            at = int(_replication(self.master)["master_repl_offset"])
            wait_until(lambda: int(_replication(self.replica)["slave_repl_offset"]) >= at, "the replica to catch up")
            self.master.kill()

    def cut_off(self) -> None:
        """From now on nothing reaches the replica, which nobody notices."""
        with self.master.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-psync", "-sync")
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        wait_until(lambda: _replication(self.replica)["master_link_status"] == "down", "the replica to be cut off")

    def close(self) -> None:
        """Kill all and remove their folders."""
        for part in (self.sentinel, self.replica, self.master):
            part.close()


def _replication(server: TcpRedis) -> dict[str, Any]:
    with server.client() as client:
        found: dict[str, Any] = client.info("replication")
        return found
