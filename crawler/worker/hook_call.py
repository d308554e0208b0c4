"""Calls a user's hook with a page: what it returned as JSON, or what it raised and where. Both are counted."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from crawler import url as urls
from crawler.errors import InvalidURL
from crawler.parse.page import Page
from crawler.worker.hook import Hook
from crawler.worker.hook_result import Drop, HookResult, Request, Returned
from crawler.worker.watchdog import MAX_FAILURES

HOOK_ERROR: Final = "hook: "
"""How a page's `error` begins if the user's hook failed on it."""
TALLY: Final = "hook_error:"
"""How the counters of single errors begin; the text of the error follows."""
_MAX_MESSAGE: Final = 200
_MAX_DEPTH: Final = 20
"""Levels of a result that are searched for what JSON cannot hold."""


_CALLED: Final = {"hook_calls": 1}


class HookCalls:
    """A hook, and the first failures of its calls."""

    def __init__(self, hook: Hook, report: Callable[[str, str], object] = lambda *_: None) -> None:
        """*report* gets the URL and the text of each failure of a new kind: another type, or another line."""
        self._hook, self._report = hook, report
        self._file = _file_of(hook)
        self._first: dict[str, str] = {}
        """Kind of failure -> text of the first one."""

    def call(self, page: Page) -> HookResult:
        """Call the hook with *page*."""
        found = Returned()
        try:
            found.take(self._hook(page))
            data = as_json(found.data)
        except Drop as drop:
            result = HookResult(error=_message(drop) or None, is_dropped=True, tallies=_CALLED)
        except BaseException as error:  # also sys.exit() and task cancellation: no signal raises anything here
            result = self._failed(page.url, error)
        else:
            result = HookResult(data, tallies=_CALLED)
        return self._with_requests(result, page.url, found.requests) if found.requests else result

    def _with_requests(self, result: HookResult, page: str, requests: Sequence[Request]) -> HookResult:
        """*result* with those of *requests* that can be used. Others are an error of the hook; it loses no data."""
        taken: list[Request] = []
        for request in requests:
            try:
                url = urls.canonicalize(request.url, page)
            except InvalidURL as error:
                failed = self._noted(page, f"{type(error).__name__}: {_message(error)}", f"InvalidURL {error.reason}")
                result = msgspec.structs.replace(result, error=result.error or failed.error, tallies=failed.tallies)
            else:
                taken.append(Request(url, depth=request.depth, priority=request.priority))
        taken.sort(key=lambda request: -request.priority)
        return msgspec.structs.replace(result, requests=tuple(taken))

    def _failed(self, url: str, error: BaseException) -> HookResult:
        name, message, place = type(error).__name__, _message(error), self._place(error)
        text = f"{name}: {message}{place}" if message else f"{name}{place}"
        return self._noted(url, text, f"{name}{place}" if place else text)

    def _noted(self, url: str, text: str, kind: str) -> HookResult:
        """The result of a call that failed with *text*; the first failure of its *kind* is reported."""
        if kind not in self._first and len(self._first) < MAX_FAILURES:
            self._first[kind] = text
            self._report(url, text)
        tallies = {**_CALLED, "hook_errors": 1}
        if kind in self._first:
            tallies[f"{TALLY}{self._first[kind]}"] = 1
        return HookResult(error=f"{HOOK_ERROR}{text}", tallies=tallies)

    def _place(self, error: BaseException) -> str:
        """The last line of the hook's own file that led to *error*; empty if none did."""
        frames = traceback.walk_tb(error.__traceback__)
        lines = [line for frame, line in frames if frame.f_code.co_filename == self._file]
        return f" ({_name_of(self._file)}, line {lines[-1]})" if lines else ""


def _name_of(file: str) -> str:
    """What a message calls the file of a hook; a cell of a notebook has a temporary file of its own."""
    path = Path(file)
    return "the cell" if path.parent.name.startswith("ipykernel_") else path.name


def _file_of(hook: Hook) -> str:
    """The file of a function, a partial function or an object that can be called; empty if it has none."""
    function: Any = inspect.unwrap(hook)
    function = getattr(function, "func", function)
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return "" if code is None else str(code.co_filename)


def _message(error: BaseException) -> str:
    """The message of an error of any class on one line: it may be long, no Unicode, or fail itself."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        return ""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 1]}…"


# -- what it returns ---------------------------------------------------------------------------------------------------


def as_json(data: Any) -> msgspec.Raw | None:
    """The data that a hook returned, encoded. TypeError names the part that JSON cannot hold."""
    if data is None:
        return None
    try:
        encoded = msgspec.json.encode(data)
        msgspec.json.decode(encoded)  # what cannot be read again: nested too deep, or encoded by the hook itself
    except Exception as error:
        raise TypeError(f"JSON cannot hold {_path(data, 'what it returned')}: {_message(error)}") from None
    return msgspec.Raw(encoded)


def _path(value: Any, path: str, depth: int = 0) -> str:
    """The first part of *value* that cannot be encoded; *value* itself if each of its parts can."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in parts if depth < _MAX_DEPTH else ():
        try:
            msgspec.json.encode(part)
        except Exception:
            return _path(part, f"{path if depth else 'data'}[{key!r:.40}]", depth + 1)
    return path
