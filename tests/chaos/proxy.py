"""A TCP proxy between a crawl and its Redis, by which the network between them fails as it is told to."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

_ANSWER_LIMIT: Final = 10.0
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: the connection ends with RST."""


class _Upstream(asyncio.Protocol):
    """The side of one connection that is Redis."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.answered(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._client.reset()


class _Client(asyncio.Protocol):
    """One connection of the crawler, and its way on to Redis."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._early = b""
        self._transport: asyncio.Transport | None = None
        self._upstream: asyncio.Transport | None = None
        self._gone = False
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._proxy.clients.add(self)
        if self._proxy.stalled:
            transport.pause_reading()
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            upstream, _ = await loop.create_unix_connection(lambda: _Upstream(self), str(self._proxy.redis))
        except OSError:
            self.reset()
            return
        if self._early:
            upstream.write(self._early)
        self._upstream = upstream
        if self._gone:
            upstream.close()
        elif self._proxy.stalled:
            upstream.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self._upstream is None:
            self._early += data
        else:
            self._upstream.write(data)

    def answered(self, data: bytes) -> None:
        """Redis has answered: it is passed on, or lost."""
        if self._proxy.dropping:
            self.reset()
        elif self._transport is not None and not self._gone:
            self._transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """What it had sent before still reaches Redis."""
        self._gone = True
        self._proxy.clients.discard(self)
        if self._upstream is not None:
            self._upstream.close()

    def reset(self) -> None:
        """Break it off."""
        if self._transport is not None and not self._gone:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def stall(self) -> None:
        """Pass nothing on, in either direction."""
        for transport in (self._transport, self._upstream):
            if transport is not None and not transport.is_closing():
                transport.pause_reading()

    def resume(self) -> None:
        """Pass on what has gathered, and what comes."""
        for transport in (self._transport, self._upstream):
            if transport is not None and not transport.is_closing():
                transport.resume_reading()


class Proxy:
    """The proxy, in a thread of its own: `url` is where the crawler finds Redis."""

    def __init__(self, redis: Path) -> None:
        """*redis* is the server's unix socket."""
        self.redis = redis
        self.clients: set[_Client] = set()
        self.stalled = False
        self.dropping = False
        self._port = 0
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._open())

    @property
    def url(self) -> str:
        """Redis, as the crawler is told of it."""
        return f"redis://127.0.0.1:{self._port}/0"

    def reset_all(self) -> None:
        """Break all connections off."""
        self._do(self._reset_all())

    def stall(self) -> None:
        """Pass nothing on until `resume`; connections are taken and stay silent."""
        self._do(self._stall())

    def resume(self) -> None:
        """Go on after `stall`."""
        self._do(self._resume())

    def drop_replies(self) -> None:
        """Let requests through, and break the connection off when the answer comes; until `pass_replies`."""
        self._do(self._set_dropping(True))

    def pass_replies(self) -> None:
        """Go on after `drop_replies`."""
        self._do(self._set_dropping(False))

    def refuse(self) -> None:
        """Break all connections off and take no new ones until `accept`."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Go on after `refuse`."""
        self._do(self._open())

    def close(self) -> None:
        """End it with all its connections."""
        if self._thread.is_alive():
            self._do(self._refuse())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_ANSWER_LIMIT)
            self._loop.close()

    def _do(self, action: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(_ANSWER_LIMIT)

    async def _open(self) -> None:
        if self._server is None:
            listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
            self._port = listener.getsockname()[1]
            self._server = await self._loop.create_server(lambda: _Client(self), sock=listener)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset_all()

    async def _reset_all(self) -> None:
        for client in list(self.clients):
            client.reset()
        await asyncio.sleep(0)  # so that they are closed when this returns

    async def _stall(self) -> None:
        self.stalled = True
        for client in list(self.clients):
            client.stall()

    async def _resume(self) -> None:
        self.stalled = False
        for client in list(self.clients):
            client.resume()

    async def _set_dropping(self, on: bool) -> None:
        self.dropping = on
