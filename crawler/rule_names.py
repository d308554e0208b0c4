"""What the settings know of a crawl's extraction rules: how long their text may be, and their names."""

from __future__ import annotations

import tomllib
from typing import Final

MAX_RULE_SET: Final = 64 << 10
"""Characters of a file of rules."""


def rule_names(text: str) -> list[str]:
    """The names of the extraction rules in *text*, as far as they can be read: it may be from Redis."""
    try:
        rules = tomllib.loads(text).get("rule", [])
    except (ValueError, RecursionError):
        return []
    return [str(rule.get("name"))[:80] for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
