"""Puts what a hook returned over what rules and structured data found on its page, and counts what rules found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from crawler.parse.match import Match
from crawler.parse.page import Page
from crawler.worker.hook_result import HookResult
from crawler.worker.watchdog import MAX_FAILURES

RULE_ERROR: Final = "rule "
"""How a page's `error` begins if a rule failed on it."""


class PageData:
    """Merges and counts for one worker; remembers the first failures of rules."""

    def __init__(self, say: Callable[[str], object] = lambda _: None) -> None:
        """*say* shows people each failure of a new kind."""
        self._say = say
        self._first: set[str] = set()

    def merge(self, page: Page, hook: HookResult) -> HookResult:
        """The result of the user's hook for *page*, over the data of the page, and with the counters of its rule."""
        match = page.match
        if page.data is None and match is None:
            return hook
        data = hook.data if page.data is None else _over(page.data, hook.data)
        if match is None:
            return msgspec.structs.replace(hook, data=data)
        tallies = {**hook.tallies, **_counts(match)}
        error = hook.error
        if match.errors:
            words = f"{RULE_ERROR}{match.rule!r}: {match.errors[0]}"
            tallies |= self._failed(page.url, words)
            error = error or words
        return msgspec.structs.replace(hook, data=data, error=error, tallies=tallies)

    def _failed(self, url: str, words: str) -> Mapping[str, int]:
        if words not in self._first and len(self._first) < MAX_FAILURES:
            self._first.add(words)
            self._say(f"{url}: {words}")
        return {"rule_errors": 1} | ({f"rule_error:{words}": 1} if words in self._first else {})


def _over(found: dict[str, Any], raw: msgspec.Raw | None) -> msgspec.Raw:
    """*found* with a hook's result over it: a dict field by field, a list as the items, anything else as `hook`."""
    if raw is not None:
        result = msgspec.json.decode(raw)
        over = result if isinstance(result, dict) else {"items" if isinstance(result, list) else "hook": result}
        found = found | over
    return msgspec.Raw(msgspec.json.encode(found))


def _counts(match: Match) -> dict[str, int]:
    """How often the rule matched, and each of its fields found something."""
    of_items = {f"items.{name}" for item in match.items for name in item} | ({"items"} if match.items else set())
    return {f"rule:{match.rule}": 1} | {f"rule:{match.rule}.{name}": 1 for name in (*match.fields, *of_items)}
