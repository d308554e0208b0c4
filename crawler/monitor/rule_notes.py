"""Which extraction rules and fields of a crawl have found nothing, in words."""

from __future__ import annotations

from collections.abc import Iterator

from crawler.frontier.status import Status
from crawler.parse.rules import Rules
from crawler.text import counted


def rule_notes(rules: Rules, status: Status) -> Iterator[str]:
    """A line for each rule that matched no page, and for each field that found nothing on any page of its rule."""
    for rule in rules.rules:
        pages = status.rules.get(rule.name, 0)
        if not pages:
            yield f"rule {rule.name!r} matched no page"
            continue
        if nothing := [repr(name) for name in rule.names if f"{rule.name}.{name}" not in status.rule_fields]:
            yield f"rule {rule.name!r}, {counted(pages, 'page')}: nothing was found for {', '.join(nothing)}"
