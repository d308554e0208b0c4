"""A check in numbers: what was looked at, how much was found, and the exit status with its reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crawler.errors import NoNetwork
from crawler.findings import CODES, SEVERITIES
from crawler.text import counted, rfc3339

NEVER = "never"
"""In place of a severity: no finding makes the command fail."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a check looked at. `Selection.completed` adds what was found."""

    site: str
    """The first source: a URL, or the folder as the user named it."""
    pages: int
    """Pages that were read, with style sheets, manifests and sitemaps."""
    targets: int
    """Targets that were only asked for."""
    external: int
    """Those of them that are out of scope."""
    seconds: float
    began: float
    """Seconds since the epoch, as `ended` is."""
    ended: float
    is_complete: bool
    """False: it was interrupted, or a limit ended it."""
    start_trouble: str = ""
    """Why the start page could not be read; empty if it was."""
    given_up: str = ""
    """Why not all could be asked, such as a network that is away; empty if that is not so."""
    findings: int = 0
    """All that were selected, also those that are not shown."""
    severities: Mapping[str, int] = field(default_factory=dict)
    """Severity -> number of findings; those without are left out."""
    codes: Mapping[str, int] = field(default_factory=dict)
    """The same by code."""
    affected: int = 0
    """Pages that hold a finding."""
    left_out: int = 0
    """Findings that `--max-findings` leaves out."""
    known: int = 0
    """Findings that the baseline has, too: they are not reported."""
    gone: int | None = None
    """Findings of the baseline that are gone; None without a baseline, and where the check is not complete."""
    fail_on: str = "error"
    """The mildest severity that makes the command fail, or `never`."""

    @property
    def failing(self) -> dict[str, int]:
        """The severities that make the command fail, with their numbers."""
        if self.fail_on == NEVER:
            return {}
        grave = SEVERITIES[: SEVERITIES.index(self.fail_on) + 1]
        return {severity: n for severity in grave if (n := self.severities.get(severity, 0))}

    @property
    def exit_code(self) -> int:
        """The exit status of the command."""
        if self.given_up:
            return NoNetwork.exit_code
        return int(self.fail_on != NEVER and bool(self.failing or self.start_trouble))

    @property
    def verdict(self) -> str:
        """The exit status in words."""
        return f"exit status {self.exit_code}: {self._reason()}"

    def _reason(self) -> str:
        if self.given_up:
            return f"not all could be asked: {self.given_up}"
        if self.exit_code and self.start_trouble:
            return f"the start page could not be read: {self.start_trouble}"
        if self.exit_code:
            return ", ".join(counted(n, severity) for severity, n in self.failing.items())
        if not self.findings:
            return "nothing new was found" if self.known else "nothing was found"
        if self.fail_on == "never":
            return "findings do not matter, by --fail-on never"
        return f"nothing is as bad as {'an' if self.fail_on == 'error' else 'a'} {self.fail_on}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what has no value is left out."""
        facts: dict[str, Any] = {
            "site": self.site,
            "began": rfc3339(self.began),
            "ended": rfc3339(self.ended),
            "seconds": round(self.seconds, 3),
            "complete": self.is_complete,
            "pages": self.pages,
            "targets": self.targets,
            "external": self.external,
            "findings": self.findings,
            "severities": {severity: self.severities.get(severity, 0) for severity in SEVERITIES},
            "codes": {code: n for code in CODES if (n := self.codes.get(code, 0))},
            "affected_pages": self.affected,
            "left_out": self.left_out,
            "known": self.known,
            "fail_on": self.fail_on,
            "exit_code": self.exit_code,
        }
        optional = {"gone": self.gone, "start_trouble": self.start_trouble or None}
        return facts | {name: value for name, value in optional.items() if value is not None}
