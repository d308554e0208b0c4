"""Which findings are reported, and which of them make the command fail: the options of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from crawler.check.baseline import read_baseline
from crawler.check.patterns import Pattern, narrowed, parse_patterns
from crawler.check.summary import NEVER, Summary
from crawler.errors import UsageError
from crawler.findings import SEVERITIES, Finding
from crawler.text import did_you_mean

FAIL_ON: Final = (*SEVERITIES, NEVER)


@dataclass(frozen=True, slots=True)
class Selected:
    """The findings that count, and what a baseline says of the others."""

    findings: list[Finding]
    known: int
    """Selected findings that the baseline has, too."""
    gone: int
    """Findings of the baseline that were not found again."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The options `--only`, `--ignore`, `--fail-on`, `--max-findings` and `--baseline`."""

    only: tuple[Pattern, ...] = ()
    ignore: tuple[Pattern, ...] = ()
    fail_on: str = "error"
    max_findings: int | None = None
    baseline: frozenset[tuple[str, str]] | None = None
    """The keys of what the baseline holds, as far as it is selected."""

    @classmethod
    def of(
        cls,
        only: Iterable[str] = (),
        ignore: Iterable[str] = (),
        fail_on: str = "error",
        max_findings: int | None = None,
        baseline: str | None = None,
    ) -> Selection:
        """The selection from the values of the options. UsageError says which one is wrong, and why."""
        fail_on = fail_on.strip().lower()
        if fail_on not in FAIL_ON:
            known = f"one of {', '.join(FAIL_ON)} is needed"
            raise UsageError(f"--fail-on {fail_on}: there is no such severity; {did_you_mean(fail_on, FAIL_ON, known)}")
        if max_findings is not None and max_findings < 0:
            raise UsageError("--max-findings: a whole number from 0 is needed")
        made = cls(parse_patterns("--only", only), parse_patterns("--ignore", ignore), fail_on, max_findings)
        if baseline is None:
            return made
        found = (made._narrowed(finding) for finding in read_baseline(baseline))
        return replace(made, baseline=frozenset(finding.key for finding in found if finding is not None))

    def apply(self, findings: Iterable[Finding]) -> list[Finding]:
        """Those of all *findings* that are reported and count."""
        return self.select(findings).findings

    def select(self, findings: Iterable[Finding]) -> Selected:
        """The same, with the counts of what the baseline has."""
        old = self.baseline or frozenset()
        found: list[Finding] = []
        known: set[tuple[str, str]] = set()
        again: set[tuple[str, str]] = set()
        for finding in findings:
            key = finding.key
            if key in old:
                again.add(key)
            selected = self._narrowed(finding)
            if selected is not None and key in old:
                known.add(key)
            elif selected is not None:
                found.append(selected)
        return Selected(found, len(known), len(old) - len(again))

    def _narrowed(self, finding: Finding) -> Finding | None:
        return narrowed(finding, self.only, self.ignore)

    def shown(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """Those that `--max-findings` leaves."""
        return findings if self.max_findings is None else findings[: self.max_findings]

    def completed(self, summary: Summary, selected: Selected) -> Summary:
        """*summary* with the counts of what was selected. The counts know all findings, also those not shown."""
        findings = selected.findings
        return replace(
            summary,
            findings=len(findings),
            severities=dict(Counter(finding.severity for finding in findings)),
            codes=dict(Counter(finding.code for finding in findings)),
            affected=len({page.url for finding in findings for page in finding.pages}),
            left_out=len(findings) - len(self.shown(findings)),
            known=selected.known,
            gone=selected.gone if self.baseline is not None and summary.is_complete else None,
            fail_on=self.fail_on,
        )
