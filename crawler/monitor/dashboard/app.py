"""The web application of the dashboard. Every request passes `_Gate` first; only POST changes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crawler.crawl.session import Session
from crawler.errors import CrawlerError, NoCrawl, RedisUnavailable, UsageError
from crawler.frontier.frontier import Frontier
from crawler.monitor import metrics
from crawler.monitor.dashboard.access import ACTION_HEADER, Access
from crawler.monitor.dashboard.actions import act
from crawler.monitor.dashboard.feed import Feed, encode
from crawler.monitor.dashboard.views import Views
from crawler.monitor.watched import Watched

T = TypeVar("T")
_PAGES: Final = Path(__file__).parent.parent / "pages"
_FILES: Final = {
    "/": ("text/html; charset=utf-8", ("dashboard.html",)),
    "/app.js": ("text/javascript; charset=utf-8", ("charts.js", "dashboard.js")),
    "/style.css": ("text/css; charset=utf-8", ("base.css", "dashboard.css")),
}
"""Path -> type, and the files of this package that are sent. No other file is."""
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_MAX_BODY: Final = 16 << 10
_MAX_URL: Final = 8 << 10
_MAX_STREAMS: Final = 100


class Dashboard:
    """The routes over one crawl. Questions run in *executor*, which has one thread: so do actions."""

    def __init__(self, session: Session, access: Access, feed: Feed, executor: Executor) -> None:
        self._session, self._access, self.feed, self._executor = session, access, feed, executor
        self._watched, self._views = Watched(session), Views()
        self._streams = 0

    def app(self) -> ASGIApp:
        """The ASGI application."""
        routes = [Route(path, _file(*parts), methods=["GET"]) for path, parts in _FILES.items()]
        routes += [
            Route("/session", self._begin, methods=["POST"]),
            Route("/session", self._look(self._resume), methods=["GET"]),
            Route("/events", self._look(self._events), methods=["GET"]),
            Route("/api/hosts", self._look(self._hosts), methods=["GET"]),
            Route("/api/failures", self._look(self._list(self._views.failures)), methods=["GET"]),
            Route("/api/workers", self._look(self._list(self._views.workers)), methods=["GET"]),
            Route("/api/settings", self._look(self._list(self._views.settings)), methods=["GET"]),
            Route("/api/url", self._look(self._url), methods=["GET"]),
            Route("/api/do/{action:str}", self._look(self._act), methods=["POST"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]
        return _Gate(Starlette(routes=routes, exception_handlers={CrawlerError: _failed}), self._access)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _ask(self, question: Callable[[Frontier], T]) -> T:
        return await self._run(lambda: self._watched.ask(question))

    # -- sessions ------------------------------------------------------------------------------------------------------

    async def _begin(self, request: Request) -> Response:
        session = self._access.begin(request.headers.get(ACTION_HEADER, ""))
        if session is None:
            return _error(
                401, "this address is wrong or was used already: start `crawler dashboard` again for a new one"
            )
        response = _json({"action_token": self._access.action_token})
        secure = request.url.scheme == "https"
        response.set_cookie(self._access.cookie, session, httponly=True, samesite="strict", secure=secure)
        return response

    async def _resume(self, request: Request) -> Response:
        return _json({"action_token": self._access.action_token})

    def _look(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """*endpoint* for those who have the session."""

        async def checked(request: Request) -> Response:
            if not self._access.may_look(request.cookies):
                return _error(401, "open the address that `crawler dashboard` printed")
            return await endpoint(request)

        return checked

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _events(self, request: Request) -> Response:
        if self._streams >= _MAX_STREAMS:
            return _error(503, "too many watch already")

        async def events() -> Any:
            self._streams += 1
            try:
                async for event in self.feed.events():
                    yield event
            finally:
                self._streams -= 1

        return StreamingResponse(events(), media_type="text/event-stream")

    def _list(self, view: Callable[[Frontier], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def shown(request: Request) -> Response:
            return _json(await self._ask(view))

        return shown

    async def _hosts(self, request: Request) -> Response:
        sort, which = (request.query_params.get(name, default) for name, default in (("sort", "queued"), ("of", "all")))
        return _json(await self._ask(lambda frontier: self._views.hosts(frontier, sort, which)))

    async def _url(self, request: Request) -> Response:
        given = request.query_params.get("url", "")[:_MAX_URL]
        return _json(await self._ask(lambda frontier: self._views.url(frontier, given)))

    async def _metrics(self, request: Request) -> Response:
        if not self._access.may_scrape(request.headers.get("authorization", "")):
            answer = _error(401, "set CRAWLER_METRICS_TOKEN and send it as Authorization: Bearer TOKEN")
            answer.headers["www-authenticate"] = "Bearer"
            return answer
        text = await self._run(lambda: metrics.text(self._session.settings.crawl, self._watched.look))
        return Response(text, headers={"content-type": metrics.CONTENT_TYPE})

    # -- acting --------------------------------------------------------------------------------------------------------

    async def _act(self, request: Request) -> Response:
        if not self._access.may_act(request.headers.get(ACTION_HEADER, "")):
            return _error(403, "the action token is missing or wrong: reload the page")
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return _error(415, "application/json is needed")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY:
                return _error(413, "that is too long")
        try:
            values = msgspec.json.decode(body, type=dict[str, str])
        except (msgspec.DecodeError, RecursionError):
            return _error(400, "an object of strings is needed")
        said = await self._run(lambda: act(self._session, request.path_params["action"], values))
        self._views.changed()
        return _json({"said": said})


class _Gate:
    """Checks `Host` of every request and `Origin` of each that changes something; adds the headers of all answers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await (self._refused(Request(scope)) or self._app)(scope, receive, send_safely)

    def _refused(self, request: Request) -> Response | None:
        hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        if len(hosts) != 1 or not self._access.is_host(hosts[0]):
            return _error(421, "this server has another name")
        if request.method in ("GET", "HEAD"):
            return None
        if len(origins) != 1 or not self._access.is_own(origins[0], hosts[0]):
            return _error(403, "this request comes from another page")
        return None


def _file(kind: str, names: tuple[str, ...]) -> Callable[[Request], Awaitable[Response]]:
    content = b"\n".join((_PAGES / name).read_bytes() for name in names)

    async def send(request: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return send


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json({"error": text}, status)


async def _failed(request: Request, error: Exception) -> Response:
    statuses = {UsageError: 400, NoCrawl: 404, RedisUnavailable: 503}
    status = next((code for kind, code in statuses.items() if isinstance(error, kind)), 409)
    return _error(status, str(error))
