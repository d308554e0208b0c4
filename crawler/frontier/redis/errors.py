"""What an error of the library means to us: one line that says what is wrong with Redis and what to do about it.

Three kinds: what passes by waiting (RedisAway), what does not (RedisUnavailable), and what a script says of the crawl
(FrontierError). A code is where the library leaves it, or where 6.2 hides it in the text of a script's error.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from crawler.errors import DamagedCrawl, FrontierError, OutOfMemory, RedisAway, RedisUnavailable

PASSING: Final = {
    "BUSY": "is busy with a script of another client: wait for it, or end it with `redis-cli SCRIPT KILL`",
    "UNKILLABLE": "is busy with a script of another client, which has written and cannot be killed: wait for it",
    "LOADING": "is loading its data",
    "MASTERDOWN": "is a replica that cannot reach its master: see to the master, or name it with --redis",
    "MISCONF": "takes no writes, for it cannot save its data: make room where it saves them; its log says what failed",
    "NOREPLICAS": "takes no writes, for too few replicas follow it (min-replicas-to-write): see to them",
    "READONLY": "is a replica, which takes no writes: name its master with --redis, or make it one, REPLICAOF NO ONE",
    "UNBLOCKED": "has become a replica, which takes no writes: name its master with --redis",
    "CLIENTS": "takes no more clients: raise its maxclients, or end some of them",
    "SILENT": "does not answer: it may be stopped, overloaded or cut off",
    "CLUSTER": "is a cluster that is not whole, or is moving our keys",
    "AWAY": "cannot be reached: {}; start it, or name another with --redis",
}
"""Code, or our own word, of what passes by waiting -> the rest of a sentence that begins "Redis at X"."""
FINAL: Final = {
    "NOAUTH": "wants a password: write it into the URL, redis://:PASSWORD@HOST, best by CRAWLER_REDIS",
    "WRONGPASS": "refuses this name and password: check both, and that the user is on",
    "NOPERM": "does not give this user the permissions that are needed: {}",
    "DENIED": "is in protected mode: give it a password, or let it trust this machine (bind, protected-mode no)",
}
"""The same for what a person has to repair."""


class WrongKind(DamagedCrawl):
    """A key of the crawl holds something of another type; `corruption.naming` finds out which."""


_CODE: Final = re.compile(r"(?:^|: -?)([A-Z]{3,})\b")
"""The code of an error: at its beginning, or where 6.2 puts it: `Error running script (...): @user_script:9: -OOM`."""
_NO_PERMISSION: Final = re.compile("user executing the script can't|ACL failure in script")
_CODES: Final[tuple[tuple[type[RedisError], str], ...]] = (
    (MasterDownError, "MASTERDOWN"),
    (BusyLoadingError, "LOADING"),
    (ReadOnlyError, "READONLY"),
    (OutOfMemoryError, "OOM"),
    (NoPermissionError, "NOPERM"),
    (AuthorizationError, "NOPERM"),
    (TimeoutError, "SILENT"),
)
"""What the library takes the code away from."""
_OF_CLUSTER: Final = (ClusterError, TryAgainError, AskError)
_OF_PIPELINE: Final = re.compile(r"^Command # \d+ \(.*?\) of pipeline caused error: ", re.DOTALL)
_HUNG_UP: Final = ("Broken pipe", "reset by peer", "closed by server")
_LISTENED: Final = 0.2
"""Seconds in which a server that hangs up on every client has sent its reason."""


def translate(
    error: RedisError, where: str, place: tuple[str, int] | str | None = None
) -> FrontierError | RedisUnavailable:
    """What *error* of the Redis at *where* means, as one line.

    *place* is a host with its port, or the path of a socket. If the server hung up, its first words are read there: it
    may have sent its reason before it got a command.
    """
    text = _line(str(error))
    code = _code(error, text)
    if code == "AWAY" and place is not None and any(words in text for words in _HUNG_UP):
        text = _first_words(place) or text
        code = _code_of_refusal(text)
    if _NO_PERMISSION.search(text):
        text = "a command in a script is forbidden to it; `ACL LOG` names which"
    if code in FINAL:
        return RedisUnavailable(f"Redis at {where} {FINAL[code].format(text)}")
    if code == "OOM":
        return OutOfMemory(f"Redis at {where} is full: raise its maxmemory, or make room with `crawler export --drain`")
    if code in PASSING:
        return RedisAway(f"Redis at {where} {PASSING[code].format(text)}", code)
    if code == "WRONGTYPE":
        return WrongKind(f"Redis at {where} holds a key of another kind under the crawl's name: {text}")
    return FrontierError(f"Redis at {where} refused a script: {text}")


def _code(error: RedisError, text: str) -> str:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    if isinstance(error, AuthenticationError):
        return "NOAUTH" if "HELLO must be called" in text or "Authentication required" in text else "WRONGPASS"
    if isinstance(error, _OF_CLUSTER) or "non local key" in text:
        return "CLUSTER"
    if isinstance(error, RedisConnectionError):
        return _code_of_refusal(text)
    if _NO_PERMISSION.search(text):
        return "NOPERM"
    found = _CODE.search(text)
    return found[1] if found else ""


def _code_of_refusal(text: str) -> str:
    if "max number of clients" in text:
        return "CLIENTS"
    return "DENIED" if "protected mode" in text else "AWAY"


def _first_words(place: tuple[str, int] | str) -> str:
    """What the server sends before it gets a command; empty if it waits for one."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) if isinstance(place, str) else socket.socket() as heard:
        heard.settimeout(_LISTENED)
        heard.connect(place)
        return _line(heard.recv(512).decode("ascii", "replace"))
    return ""


def _line(text: str) -> str:
    """One short line, without what the library adds."""
    return " ".join(_OF_PIPELINE.sub("", text).split())[:200].rstrip(".") or "no answer"
