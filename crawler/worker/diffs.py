"""The diff of a changed page, made from the main text that Redis still holds of the visit before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from crawler.frontier.messages import Commit
from crawler.parse.text_diff import unified_diff
from crawler.record import Record
from crawler.worker.contents import text_of

_COMPARED: Final = ("changed", "boilerplate", "back")


def with_diff(commit: Commit, main: str | None, earlier: Callable[[], str | None]) -> Commit:
    """*commit* with the diff of its page, whose main text is *main* now; *earlier* reads what it was.

    As it is, if nothing has changed, or the page is stored without its text.
    """
    if commit.record is None or main is None or "main" not in commit.contents:
        return commit
    record = Record.decode(commit.record)
    if record.change not in _COMPARED:
        return commit
    before = earlier()
    if before is None:
        is_missing = record.change != "boilerplate"  # else there is none to be missed
        return msgspec.structs.replace(commit, record=msgspec.structs.replace(record, diff_missing=is_missing).encode())
    diff = unified_diff(before, main)
    return msgspec.structs.replace(commit, contents={**commit.contents, "diff": text_of(diff)}) if diff else commit
