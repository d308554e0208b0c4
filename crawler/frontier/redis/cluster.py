"""The nodes of a Redis Cluster: they are asked which of them holds a slot whenever a connection is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import redis
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from crawler.frontier.redis.diagnosis import HopelessError

_ANSWER: Final = 2.0
"""Seconds for a node's answer: there are others to ask."""

Place = tuple[str, int]


class Nodes:
    """The nodes that are known so far: those that were named, and those that they reported."""

    def __init__(self, hosts: Sequence[Place], asking: Mapping[str, Any]) -> None:
        """*asking* is how a client of a node is made."""
        self._hosts = list(hosts)
        self._asking = {**asking, "socket_timeout": _ANSWER, "socket_connect_timeout": _ANSWER}

    def owner(self, slot: int) -> Place:
        """The master that holds *slot*. Raises ConnectionError while none does, HopelessError if none will be found."""
        for first, last, place in self.slots():
            if first <= slot <= last:
                return place
        raise ClusterDownError(f"no node of the cluster holds slot {slot}")

    def slots(self) -> list[tuple[int, int, Place]]:
        """First and last slot of each range, and where its master is."""
        trouble = "no node answers"
        for host, port in list(self._hosts):
            client: Any = redis.Redis(host=host, port=port, **self._asking)
            try:
                rows = cast(list[Any], client.execute_command("CLUSTER SLOTS"))
            except (AuthenticationError, NoPermissionError) as error:
                raise error from None
            except (ConnectionError, RedisTimeoutError) as error:
                trouble = f"no node answers ({_line(error)})"
                self._hosts.append(self._hosts.pop(0))  # others first, the next time
                continue
            except ResponseError as error:
                if "cluster support disabled" in str(error):
                    raise HopelessError(f"is no cluster ({host}:{port}): name it with redis:// or rediss://") from None
                raise
            finally:
                client.close()
            found = [(int(first), int(last), _place(master, host)) for first, last, master, *_ in _rows(rows)]
            places = {place for _, _, place in found}
            self._hosts = [*self._hosts, *sorted(places.difference(self._hosts))]
            return found
        raise ConnectionError(trouble)


def _rows(raw: Any) -> list[list[Any]]:
    """The library may have made a dict of the answer: (first, last) -> {primary: (host, port), ...}."""
    if isinstance(raw, dict):
        return [[first, last, facts["primary"]] for (first, last), facts in raw.items()]
    return list(raw)


def _place(master: Sequence[Any], asked: str) -> Place:
    """Where a master is; one that does not know its own address is where it was asked."""
    host = master[0].decode() if isinstance(master[0], bytes) else str(master[0] or "")
    return host or asked, int(master[1])


def _line(error: RedisError) -> str:
    return " ".join(str(error).split())[:200] or "no answer"
