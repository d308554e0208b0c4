"""Where Redis is: one URL, read and judged once, shown without its secrets, and the clients that it leads to.

    redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]                          rediss:// is the same by TLS
    unix://[USER:PASSWORD@]/PATH[?db=DATABASE]
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/MASTER[/DATABASE]     rediss+sentinel:// by TLS
    redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]                         rediss+cluster:// by TLS

What stands behind `?` is in OPTIONS. What cannot be read is refused: it may be a password with a character that has to
be written as %XX, and its other half would be taken for a host, a database or an option, and be shown.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import DataError, MovedError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from crawler.errors import RedisUnavailable, UsageError
from crawler.frontier.redis.cluster import Nodes
from crawler.frontier.redis.diagnosis import HopelessError, explained, trust
from crawler.frontier.redis.sentinel import Sentinels

SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
OPTIONS: Final = {
    "db": "the number of the database",
    "username": "instead of USER",
    "password": "instead of PASSWORD",
    "ssl_ca_certs": "a file of authorities that are trusted beside the system's",
    "ssl_certfile": "our own certificate, where the server asks for one",
    "ssl_keyfile": "its key",
    "ssl_cert_reqs": "`none`: any certificate is taken; `required` is the default",
    "ssl_check_hostname": "`no`: a trusted certificate may be for another host",
    "sentinel_username": "as whom the sentinels are asked",
    "sentinel_password": "with what password",
}
"""What may stand behind `?` in a URL, as name=value."""
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_YES: Final = ("yes", "true", "1")
_NO: Final = ("no", "false", "0")

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_ESCAPE: Final = "write special characters of the password as %XX"


@dataclass(frozen=True, slots=True)
class Address:
    """A Redis URL, read."""

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    """Of Redis, of the sentinels, or of some nodes of the cluster; none for a unix socket."""
    path: str = ""
    """Of the unix socket."""
    master: str = ""
    """The name by which the sentinels know it."""
    db: int | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, url: str) -> Address:
        """Read *url*. Raises UsageError, which never repeats a piece of it that may belong to a password."""
        parts = _split(url)
        options = _options(parts.query)
        user, _, rest = parts.netloc.rpartition("@")
        name, _, password = user.partition(":")
        options |= {"username": unquote(name)} if name else {}
        options |= {"password": unquote(password)} if password else {}
        if parts.scheme == "unix":
            if rest or not parts.path:
                raise _unusable("a socket's path begins with a third slash, unix:///run/redis.sock")
            return cls("unix", path=unquote(parts.path), db=_database(options.get("db", "")), options=options)
        watched = parts.scheme.endswith("+sentinel")
        master, _, database = parts.path[1:].partition("/") if watched else ("", "", parts.path[1:])
        hosts = tuple(_host(part, _SENTINEL_PORT if watched else _PORT) for part in rest.split(","))
        if watched and not re.fullmatch(r"[A-Za-z0-9._-]+", master):
            raise _unusable("behind the hosts comes the master's name, redis+sentinel://HOST:26379,HOST:26379/MASTER")
        if watched and not all(rest.split(",")):
            raise _unusable("name the sentinels, redis+sentinel://HOST:26379,HOST:26379/MASTER")
        clustered = parts.scheme.endswith("+cluster")
        if len(hosts) > 1 and not (watched or clustered):
            raise _unusable("only redis+sentinel:// and redis+cluster:// may name several hosts")
        if clustered and not all(rest.split(",")):
            raise _unusable("name some nodes of the cluster, redis+cluster://HOST:6379,HOST:6379")
        if clustered and (database or "db" in options):
            raise _unusable("a cluster has one database, so none is named: redis+cluster://HOST:6379")
        found = cls(parts.scheme, hosts, "", master, _database(database or options.get("db", "")), options)
        found._check_options()
        return found

    def _check_options(self) -> None:
        for name in self.options:
            if name.startswith("ssl_") and not self.tls:
                raise _unusable(f"{name} is for rediss://, rediss+sentinel:// and rediss+cluster://")
            if name.startswith("sentinel_") and not self.master:
                raise _unusable(f"{name} is for redis+sentinel:// and rediss+sentinel://")
        if self.options.get("ssl_cert_reqs", "required") not in ("none", "required"):
            raise _unusable("ssl_cert_reqs is none or required")
        if self.options.get("ssl_check_hostname", "yes").lower() not in (*_YES, *_NO):
            raise _unusable("ssl_check_hostname is yes or no")

    @property
    def tls(self) -> bool:
        """Whether it is reached by TLS."""
        return self.scheme.startswith("rediss")

    @property
    def clustered(self) -> bool:
        """Whether it is a Redis Cluster: each slot of it may be on another server."""
        return self.scheme.endswith("+cluster")

    @property
    def bears_password(self) -> bool:
        """Whether there is a secret in the URL."""
        return any(self.options.get(name) for name in ("password", "sentinel_password"))

    def __str__(self) -> str:
        """For messages: without names, passwords and options."""
        if self.scheme == "unix":
            return f"unix://{self.path}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        master = f"/{self.master}" if self.master else ""
        return f"{self.scheme}://{hosts}{master}" + ("" if self.db is None else f"/{self.db}")

    # -- connecting ----------------------------------------------------------------------------------------------------

    def context(self) -> ssl.SSLContext | None:
        """How TLS is spoken with it, as the library does; none where it is not. Raises UsageError for a bad file."""
        if not self.tls:
            return None
        try:
            return trust(**self._trust())
        except (OSError, ValueError) as error:
            files = " or ".join(f"{name} {self.options[name]}" for name in _FILES if name in self.options)
            why = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or "it cannot be read")
            raise _unusable(f"{files}: {why.replace('_', ' ').lower()}") from None

    def _trust(self) -> dict[str, Any]:
        """The TLS settings of the library."""
        found: dict[str, Any] = {name: self.options[name] for name in _FILES if name in self.options}
        found["ssl_cert_reqs"] = self.options.get("ssl_cert_reqs", "required")
        checked = self.options.get("ssl_check_hostname", "yes").lower() in _YES
        return found | {"ssl_check_hostname": checked and found["ssl_cert_reqs"] == "required"}

    def client(
        self, timeout: float, connect_timeout: float, connected: Callable[[], None], slot: int = 0
    ) -> redis.Redis:
        """A client that repeats nothing by itself; *connected* is called each time that it has connected.

        Of a cluster it reaches the server that holds *slot*, which is looked for at each connection.
        """
        context = self.context()  # also: a file that is missing is reported before anything is tried

        def connect(connection: Any) -> None:
            _greet(connection, context, unix=self.scheme == "unix")
            connected()

        secret = {name: self.options.get(name) for name in ("username", "password")}
        ours = {**secret, **_ONCE, "db": self.db or 0, "socket_timeout": timeout, "redis_connect_func": connect}
        ours["command_packer"] = _Packer()
        if self.scheme == "unix":
            return _client(UnixDomainSocketConnection, path=self.path, **ours)
        ours |= {"socket_connect_timeout": connect_timeout, **(self._trust() if self.tls else {})}
        if self.master:
            return self._master(context, ours)
        if self.clustered:
            return _client(_SecureToOwner if self.tls else _ToOwner, nodes=self.nodes(), slot=slot, **ours)
        host, port = self.hosts[0]
        return _client(_Secure if self.tls else Connection, host=host, port=port, **ours)

    def _master(self, context: ssl.SSLContext | None, ours: Mapping[str, Any]) -> redis.Redis:
        """A client of the server that the sentinels name; *ours* are its options."""
        secret = {name: self.options.get(f"sentinel_{name}") for name in ("username", "password")}
        asking = {**secret, **_ONCE, **(self._trust() if self.tls else {}), "ssl": self.tls}
        sentinels: Any = Sentinels(self.hosts, {**asking, "redis_connect_func": _introduce}, context)
        kind = _SecureToMaster if self.tls else SentinelManagedConnection
        return cast(redis.Redis, sentinels.master_for(self.master, connection_class=kind, **ours))

    def nodes(self) -> Nodes:
        """The nodes of the cluster that this is."""
        secret = {name: self.options.get(name) for name in ("username", "password")}
        trusting = self._trust() if self.tls else {}
        return Nodes(self.hosts, {**secret, **_ONCE, **trusting, "ssl": self.tls, "redis_connect_func": _introduce})

    def explain(self, error: RedisError, client: redis.Redis) -> RedisUnavailable | None:
        """Why waiting does not help against *error* of *client*: TLS, a certificate, a database; None if it may."""
        if isinstance(error, MovedError) and not self.clustered:
            return RedisUnavailable(f"Redis at {self} is one node of a cluster: name it so, redis+cluster://HOST:PORT")
        pool: Any = client.connection_pool
        place = pool.master_address if self.master else self.hosts[0] if self.hosts else None
        why = explained(error, place)
        return None if why is None else RedisUnavailable(f"Redis at {self} {why}")


_ONCE: Final[Mapping[str, Any]] = {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
"""Nothing is sent twice without our knowing."""


class _Packer:
    """Writes commands as the library's packer does, in half the time: it looks at every argument twice."""

    def pack(self, *args: Any) -> list[bytes]:
        """One command; its name may have several words."""
        words = args[0].split() if isinstance(args[0], str) else args[:1]
        try:
            return [hiredis.pack_command((*words, *args[1:]))]
        except TypeError as error:
            raise DataError(str(error)) from None


class _Prompt:
    """A handshake of TLS takes no longer than connecting may; the library gives it as long as an answer."""

    def _wrap_socket_with_ssl(self: Any, sock: socket.socket) -> ssl.SSLSocket:
        sock.settimeout(self.socket_connect_timeout)
        secure: ssl.SSLSocket = super()._wrap_socket_with_ssl(sock)  # type: ignore[misc]
        secure.settimeout(self.socket_timeout)
        return secure


class _Secure(_Prompt, SSLConnection):
    pass


class _SecureToMaster(_Prompt, SentinelManagedSSLConnection):
    pass


class _Owned:
    """A connection to whichever server of a cluster holds a slot when it is made."""

    def __init__(self, *, nodes: Nodes, slot: int, **options: Any) -> None:
        super().__init__(**options)
        self._nodes, self._slot = nodes, slot

    def _connect(self: Any) -> Any:
        self.host, self.port = self._nodes.owner(self._slot)
        return super()._connect()  # type: ignore[misc]


class _ToOwner(_Owned, Connection):
    pass


class _SecureToOwner(_Owned, _Secure):
    pass


def _introduce(connection: Any) -> None:
    """Log in, without telling the name of the library: CLIENT is a right that a user need not have."""
    connection.driver_info = connection.lib_name = connection.lib_version = None
    connection.on_connect()


def _greet(connection: Any, context: ssl.SSLContext | None, *, unix: bool) -> None:
    """Log in and hear one answer. Raises HopelessError where none will ever come."""
    try:
        _introduce(connection)
        connection.send_command("TIME")
        with suppress(ResponseError):  # a refusal is an answer: what is asked next will be refused as well
            connection.read_response()
    except RedisError as error:
        place = None if unix else (connection.host, connection.port)
        if why := explained(error, place, context, unanswered=True):
            raise HopelessError(why) from None
        raise


def _client(kind: type[Any], **options: Any) -> redis.Redis:
    return redis.Redis.from_pool(ConnectionPool(connection_class=kind, **options))


def shown(url: str) -> str:
    """A Redis URL without its password, for messages."""
    try:
        return str(Address.of(url))
    except UsageError:
        return "a URL that cannot be used"


# -- reading -----------------------------------------------------------------------------------------------------------


def _unusable(why: str) -> UsageError:
    return UsageError(f"the Redis URL cannot be used: {why}")


def _split(url: str) -> SplitResult:
    if not url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        names = [f"{scheme}://" for scheme in SCHEMES]
        raise UsageError(f"the Redis URL must begin with {', '.join(names[:-1])} or {names[-1]}")
    try:
        parts = urlsplit(url)
    except ValueError:  # its message quotes the URL
        raise _unusable(f"check host and port, and {_ESCAPE}") from None
    if parts.fragment or url.endswith("#") or re.search(r"\s", url):
        raise _unusable(f"# and blanks have no place in it; {_ESCAPE}")
    return parts


def _options(query: str) -> dict[str, str]:
    found = {}
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        if not equals or name not in OPTIONS:  # its name is not shown: it may be a piece of a password
            raise _unusable(f"behind ? there may be {', '.join(OPTIONS)}, each with its value; {_ESCAPE}")
        found[name] = unquote(value)
    return found


def _database(text: str) -> int | None:
    if text and not re.fullmatch(r"\d{1,5}", text, re.ASCII):
        raise _unusable(f"the database is a number, redis://HOST:6379/0; {_ESCAPE}")
    return int(text) if text else None


def _host(part: str, port: int) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([\w.-]*))(?::(\d{1,5}))?", part)
    host = (match[1] or match[2] or "localhost") if match else ""
    number = int(match[3] or port) if match else 0
    try:
        host.encode("idna")
    except UnicodeError:
        host = ""
    if not host or not 0 < number < 65_536:
        raise _unusable(f"check host and port, and {_ESCAPE}")
    return host, number
