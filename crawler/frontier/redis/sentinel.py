"""The sentinels of one master: they are asked where it is whenever a connection is made, and why it is nowhere."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError, Sentinel

from crawler.frontier.redis.diagnosis import HopelessError, explained

_ANSWER: Final = 2.0
"""Seconds for a sentinel's answer: there are others to ask."""

_UNKNOWN: Final = "no sentinel knows a master of that name"


class Sentinels(Sentinel):
    """The library's, with words for why there is no master, and without connections that stay open."""

    def __init__(
        self, hosts: Sequence[tuple[str, int]], asking: Mapping[str, Any], context: ssl.SSLContext | None
    ) -> None:
        """*asking* is how a client of a sentinel is made, *context* how TLS is spoken with it."""
        timeouts = {"socket_timeout": _ANSWER, "socket_connect_timeout": _ANSWER}
        super().__init__(hosts, sentinel_kwargs={**asking, **timeouts})  # type: ignore[no-untyped-call]
        self._context = context

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Where the master is. Raises MasterNotFoundError while there is none, HopelessError if none will be found."""
        answers, hopeless, last = [], "", ""
        for at, sentinel in enumerate(self.sentinels):
            try:
                state = cast(dict[str, Any], sentinel.sentinel_masters()).get(service_name)
            except (ConnectionError, RedisTimeoutError, ResponseError, HopelessError) as error:
                hopeless, last = hopeless or self._hopeless(error, sentinel), _line(error)
                continue
            finally:
                sentinel.close()
            if state and self.check_master_state(state, service_name):  # type: ignore[no-untyped-call]
                self.sentinels.insert(0, self.sentinels.pop(at))
                return str(state["ip"]), int(state["port"])
            answers.append("its master is down, and no other is chosen yet" if state else _UNKNOWN)
        if answers:
            raise MasterNotFoundError(min(answers, key=_UNKNOWN.__eq__))
        raise HopelessError(hopeless) if hopeless else MasterNotFoundError(f"no sentinel answers ({last})")

    def _hopeless(self, error: RedisError, sentinel: Any) -> str:
        facts = sentinel.connection_pool.connection_kwargs
        place = facts["host"], facts["port"]
        where = f"has a sentinel at {place[0]}:{place[1]} that"
        if isinstance(error, AuthenticationError | NoPermissionError):
            return f"{where} refuses us: {_line(error)}; check sentinel_username and sentinel_password in the URL"
        why = explained(error, place, self._context, unanswered=True)
        return f"{where} {why}" if why else ""


def _line(error: RedisError) -> str:
    return " ".join(str(error).split())[:200] or "no answer"
