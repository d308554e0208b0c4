"""What is wrong with the redirects from a link's target to where they end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crawler.policy.target_answers import Judgement

PERMANENT: Final = frozenset({301, 308})
"""RFC 9110 sections 15.4.2 and 15.4.9: links ought to be changed. After 302, 303 and 307 they stay as they are."""
MAX_SHOWN: Final = 10
"""URLs of a chain that a cause names."""

Hop = tuple[str, int]
"""A URL and the status of its answer; 0 if there was none."""


def chain_findings(hops: Sequence[Hop], end: Judgement) -> list[tuple[str, str]]:
    """The findings, as code and cause, about a link to the first of *hops*; the last one is where its redirects end.

    *end* is the verdict on the last one, or on the first redirect that is not good by itself (to a login page). The
    code is one of `broken`, `cannot-tell`, `not-checked`, `redirect-loop`, `redirect-chain` and `redirect-permanent`:
    what is not there needs no advice about its redirects. A loop is shown by a URL that comes twice.
    """
    if not hops:
        return []
    visited = [url for url, _ in hops]
    if len(set(visited)) < len(visited):
        return [("redirect-loop", _shown(_circle(visited)))]
    if end.verdict != "good":
        return [(end.verdict, _cause(visited, end.cause))]
    if len(hops) > 2:
        return [("redirect-chain", f"{len(hops) - 1} redirects: {_shown(visited)}")]
    if len(hops) == 2 and hops[0][1] in PERMANENT:
        return [("redirect-permanent", f"{hops[0][1]}: it has moved for good to {visited[1]}")]
    return []


def _cause(visited: Sequence[str], cause: str) -> str:
    """The *cause*, with the place where it was found if that is not the target itself."""
    return cause if len(visited) == 1 or visited[-1] in cause else f"it redirects to {visited[-1]}: {cause}"


def _circle(visited: Sequence[str]) -> Sequence[str]:
    """*visited* up to the first URL that comes again."""
    seen: set[str] = set()
    for number, url in enumerate(visited):
        if url in seen:
            return visited[: number + 1]
        seen.add(url)
    return visited


def _shown(visited: Sequence[str]) -> str:
    if len(visited) <= MAX_SHOWN:
        return " -> ".join(visited)
    return " -> ".join([*visited[: MAX_SHOWN - 1], "...", visited[-1]])
