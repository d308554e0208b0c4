"""A Redis Cluster of real servers on loopback: masters and a replica each, that can be killed and have slots moved.

Slower machines need longer to elect: everything here waits for what the nodes themselves say.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from crawler.frontier.keys import SLOTS
from tests.stories import commands
from tests.stories.tcp_redis import TcpServer

PATIENCE: Final = 150.0
"""Seconds in which the nodes must have agreed on something."""
NODE_TIMEOUT_MS: Final = 2000
"""Silence after which a node counts as dead."""
_BUS: Final = 10_000
"""The nodes talk to each other on a port that is so much higher."""


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Wait for what nodes tell once they answer; AssertionError if it does not come."""

    def seen() -> object:
        with suppress(redis.RedisError):
            return happened()
        return False

    commands.wait_until(seen, what, PATIENCE)


class Node(TcpServer):
    """One server."""

    def __init__(self, binary: Path) -> None:
        super().__init__()
        self.port = _free_port()
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "yes",
            "cluster-enabled": "yes",
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            "repl-diskless-sync-delay": 0,
        }
        self._start(binary, *(part for name, value in options.items() for part in (f"--{name}", str(value))))
        self.client = _client(self.port)
        wait_until(self.client.ping, "a node to answer")
        self.id = str(self.ask("CLUSTER MYID"))

    def ask(self, *command: Any) -> Any:
        """Give a command; its answer as text where it is text."""
        client: Any = self.client
        return client.execute_command(*command)

    @property
    def role(self) -> str:
        """master or slave."""
        return str(self.client.info("replication")["role"])

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        super().kill()
        self.client.close()


class RedisCluster:
    """*masters* with a replica each; `nodes` are all of them."""

    def __init__(self, binary: Path, masters: int = 3) -> None:
        self.nodes = [Node(binary) for _ in range(2 * masters)]
        self._join(masters)

    @property
    def url(self) -> str:
        """Where it is: two of its nodes are named."""
        first, second = self.nodes[0], self.nodes[1]
        return f"redis+cluster://127.0.0.1:{first.port},127.0.0.1:{second.port}"

    def _join(self, masters: int) -> None:
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number:
                node.ask("CLUSTER MEET", "127.0.0.1", self.nodes[0].port)
        share = -(-SLOTS // masters)
        for number, node in enumerate(self.nodes[:masters]):
            node.ask("CLUSTER ADDSLOTS", *range(number * share, min((number + 1) * share, SLOTS)))
        wait_until(lambda: all(len(self._known(node)) == len(self.nodes) for node in self.nodes), "the nodes to meet")
        for number, node in enumerate(self.nodes[masters:]):
            node.ask("CLUSTER REPLICATE", self.nodes[number].id)
        wait_until(lambda: all(self._is_whole(node) for node in self.nodes), "the cluster to be whole")
        wait_until(lambda: all(self._is_followed(node) for node in self.nodes[:masters]), "the replicas to follow")

    @staticmethod
    def _known(node: Node) -> list[str]:
        answer = node.ask("CLUSTER NODES")
        return list(answer) if isinstance(answer, dict) else str(answer).splitlines()

    @staticmethod
    def _is_whole(node: Node) -> bool:
        info = node.ask("CLUSTER INFO")
        return info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == SLOTS

    @staticmethod
    def _is_followed(node: Node) -> bool:
        followed: Any = node.client.info("replication")
        return bool(followed.get("slave0", {}).get("state") == "online")

    @property
    def masters(self) -> list[Node]:
        """The nodes that are alive and hold slots, by their own word."""
        found = []
        for node in self.nodes:
            with suppress(redis.RedisError):
                if node.role == "master":
                    found.append(node)
        return found

    def owner(self, slot: int) -> Node:
        """The master of a slot."""
        for first, last, port in self._slots():
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"nobody holds slot {slot}")

    def _slots(self) -> list[tuple[int, int, int]]:
        node = self.masters[0]
        raw: Any = node.ask("CLUSTER SLOTS")
        if isinstance(raw, dict):
            return [(first, last, int(facts["primary"][1])) for (first, last), facts in raw.items()]
        return [(first, last, int(master[1])) for first, last, master, *_ in raw]

    def kill(self, node: Node) -> None:
        """kill -9 of a master; returns when its replica has taken over."""
        before = {master.port for master in self.masters}
        node.kill()
        wait_until(
            lambda: len(new := {master.port for master in self.masters}) == len(before) and node.port not in new,
            "the replica to take over",
        )
        wait_until(lambda: all(self._is_whole(master) for master in self.masters), "the cluster to be whole again")

    def move(self, slot: int, *, between: Callable[[], None] = lambda: None) -> Node:
        """Move a slot to another master as redis-cli does, a few keys at a time; *between* is called after each.

        Returns the master that it went to.
        """
        old = self.owner(slot)
        new = next(node for node in self.masters if node is not old)
        new.ask("CLUSTER SETSLOT", slot, "IMPORTING", old.id)
        old.ask("CLUSTER SETSLOT", slot, "MIGRATING", new.id)
        while keys := old.ask("CLUSTER GETKEYSINSLOT", slot, 10):
            old.ask("MIGRATE", "127.0.0.1", new.port, "", 0, 5000, "KEYS", *keys)
            between()
        for node in (new, old, *(other for other in self.masters if other not in (new, old))):
            node.ask("CLUSTER SETSLOT", slot, "NODE", new.id)
        return new

    def close(self) -> None:
        """Kill all and remove their folders."""
        for node in self.nodes:
            node.close()


def _client(port: int) -> redis.Redis:
    return redis.Redis(port=port, retry=Retry(NoBackoff(), 0), socket_timeout=10, decode_responses=True)


def _free_port() -> int:
    """A port whose companion for the bus is free as well."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            if port + _BUS >= 65_536:
                continue
            with suppress(OSError):
                other.bind(("127.0.0.1", port + _BUS))
                return port
