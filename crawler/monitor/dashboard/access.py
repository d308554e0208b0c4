"""Who may look at the dashboard, and who may act: the token, the session, `Host` and `Origin`.

The address that is printed has a token in its fragment, which browsers send to nobody. The page exchanges it, once, for
a session: a cookie that scripts cannot read, and an action token that only the page can read. An action needs both, and
an `Origin` that is the page's own. `Host` must be a name that the server listens on, so that no other name can be
pointed at it (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
ACTION_HEADER: Final = "x-crawler-token"


class Access:
    """The secrets of one dashboard, and the names under which it is reached."""

    def __init__(self, address: str, port: int, *, tls: bool = False, metrics_token: str = "") -> None:
        """*address* is what it listens on. Without a *metrics_token* nobody may read `/metrics`."""
        self._port, self._scheme = port, "https" if tls else "http"
        self._any = is_any(address)
        names = {*LOOPBACK, socket.gethostname()} if self._any else {*LOOPBACK} if is_loopback(address) else {address}
        self._hosts = frozenset(self._with_port(name) for name in names)
        self.origin = f"{self._scheme}://{self._with_port('127.0.0.1' if self._any else address)}"
        self.cookie = f"crawler-{port}"  # cookies are shared by all ports of a name
        self._metrics_token = metrics_token
        self._token = secrets.token_urlsafe(32)
        self._session = self._action = ""

    @property
    def entry(self) -> str:
        """The address that a person opens, once."""
        return f"{self.origin}/#token={self._token}"

    @property
    def action_token(self) -> str:
        """What a page with the session must send with an action."""
        return self._action

    def is_host(self, host: str) -> bool:
        """Whether `Host` names this server. Where it listens on all addresses, any address is one of them."""
        return host.lower() in self._hosts or (self._any and self._is_address(host))

    def is_own(self, origin: str, host: str) -> bool:
        """Whether `Origin` is that of a page which *host*, this server, has delivered."""
        return origin == f"{self._scheme}://{host.lower()}"

    def begin(self, token: str) -> str | None:
        """Exchange the token of the address for a session: its cookie. None if it is wrong, or was used."""
        if not self._token or not _equal(token, self._token):
            return None
        self._token = ""
        self._session, self._action = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        return self._session

    def may_look(self, cookies: Mapping[str, str]) -> bool:
        """Whether a request with these cookies has the session."""
        return bool(self._session) and _equal(cookies.get(self.cookie, ""), self._session)

    def may_act(self, token: str) -> bool:
        """Whether the action token is right."""
        return bool(self._action) and _equal(token, self._action)

    def may_scrape(self, authorization: str) -> bool:
        """Whether `Authorization` allows to read the metrics."""
        return bool(self._metrics_token) and _equal(authorization, f"Bearer {self._metrics_token}")

    def _with_port(self, name: str) -> str:
        shown = f"[{name}]" if ":" in name else name.lower()
        return shown if self._port == {"http": 80, "https": 443}[self._scheme] else f"{shown}:{self._port}"

    def _is_address(self, host: str) -> bool:
        name = host.removesuffix(f":{self._port}").removeprefix("[").removesuffix("]")
        with suppress(ValueError):
            return host == self._with_port(str(ipaddress.ip_address(name)))
        return False


def _equal(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def is_any(address: str) -> bool:
    """Whether *address* stands for all addresses of the machine."""
    return address in ("0.0.0.0", "::")


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches *address*."""
    with suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return address == "localhost"
