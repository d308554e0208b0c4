"""The further URLs that a hook asks for, as requests of the crawl: judged as the links of its page are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from crawler.record import Request
from crawler.url import Form
from crawler.worker.hook_result import HookResult
from crawler.worker.link_filter import LinkFilter
from crawler.worker.outcome import LeasedPage


def requests_of(
    hook: HookResult, held: LeasedPage, links: LinkFilter, form: Form
) -> tuple[list[Request], Counter[str]]:
    """Those that may join the crawl, in the order of the hook, and the count of the others by reason.

    May raise RedisAway. Then the page is processed again.
    """
    admitted: list[Request] = []
    refused: Counter[str] = Counter()
    for asked in hook.requests:
        depth = held.entry.request.depth + 1 if asked.depth is None else asked.depth
        found, counts = links.admit([form.apply(asked.url)], depth=depth, via=held.id)
        admitted += [msgspec.structs.replace(request, first=asked.priority > 0) for request in found]
        refused += counts
    return admitted, refused


def joined(own: Sequence[Request], others: Sequence[Request]) -> list[Request]:
    """The requests of a hook, then *others* for URLs that it did not name."""
    named = {request.name for request in own}
    return [*own, *(request for request in others if request.name not in named)]
