"""What the dashboard can do to a crawl: pause, resume, set, block, unblock, retry.

Each takes the values of a request and returns one line for people. No path, code or pattern is among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from crawler import url as urls
from crawler.crawl.session import Session
from crawler.errors import UsageError
from crawler.frontier import blocks
from crawler.frontier.frontier import Frontier
from crawler.monitor.dashboard.views import NOT_HERE
from crawler.monitor.revive import revive
from crawler.record import OUTCOMES, Record
from crawler.settings import parse_change

Values = dict[str, str]
_RETRIED: Final = frozenset(
    outcome for outcome in OUTCOMES if outcome.startswith("failed:") and outcome != "failed:bad-entry"
)


def _pause(session: Session, values: Values) -> str:
    session.find().pause()
    return "paused; pages in flight finish"


def _resume(session: Session, values: Values) -> str:
    session.find().resume()
    return "resumed"


def _set(session: Session, values: Values) -> str:
    key = values["name"].replace("-", "_")
    if key in NOT_HERE:
        raise UsageError(f"{values['name']} is changed by `crawler set` only")
    frontier = session.find()
    session.change(frontier, {key: parse_change(key, (values["value"],))})
    return f"{values['name']} is {values['value']}; workers apply it within seconds"


def _block(session: Session, values: Values) -> str:
    name = blocks.name_of(values["host"])
    _, held = blocks.block(session.find(), [name])
    return f"{name} is blocked, {held:,} URLs are held"


def _unblock(session: Session, values: Values) -> str:
    name = blocks.name_of(values["host"])
    known, waiting = blocks.unblock(session.find(), [name])
    return f"{name} is unblocked, {waiting:,} URLs wait again" if known else f"{name} was not blocked"


def _retry(session: Session, values: Values) -> str:
    if values["outcome"] not in _RETRIED:
        raise UsageError(f"{values['outcome']!r} is no outcome that can be tried again")
    frontier = session.find()
    host = blocks.name_of(values["host"]) if values.get("host") else ""
    queued = sum(revive(frontier, _failed(frontier, values["outcome"], host)))
    return f"{queued:,} URLs are queued again"


def _failed(frontier: Frontier, outcome: str, host: str) -> Iterator[tuple[int, Record]]:
    for letter in frontier.crawldb.records.letters():
        record = letter.record
        if record is not None and record.outcome == outcome and host in ("", urls.host(record.url)):
            yield letter.at, record


ACTIONS: Final[dict[str, tuple[Callable[[Session, Values], str], frozenset[str], frozenset[str]]]] = {
    "pause": (_pause, frozenset(), frozenset()),
    "resume": (_resume, frozenset(), frozenset()),
    "set": (_set, frozenset({"name", "value"}), frozenset()),
    "block": (_block, frozenset({"host"}), frozenset()),
    "unblock": (_unblock, frozenset({"host"}), frozenset()),
    "retry": (_retry, frozenset({"outcome"}), frozenset({"host"})),
}
"""Name -> what does it, and the names of the values that it needs and may have."""


def act(session: Session, name: str, values: Values) -> str:
    """Do it. Raises UsageError for what is not known, and what the crawl raises."""
    if name not in ACTIONS:
        raise UsageError("there is no such action")
    action, needed, allowed = ACTIONS[name]
    if not needed <= values.keys() <= needed | allowed:
        raise UsageError(f"{name} needs {', '.join(sorted(needed)) or 'no values'}")
    return action(session, values)
