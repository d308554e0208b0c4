"""What an extraction rule found on a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Match:
    """What a rule found on a page."""

    rule: str
    fields: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Fields that found nothing, those of items with `items.` before them: why."""
    errors: list[str] = field(default_factory=list)
    """What went wrong, in words. What was found before stays."""

    @property
    def data(self) -> dict[str, Any]:
        """The fields, and the items if there are any."""
        return self.fields | {"items": self.items} if self.items else self.fields
