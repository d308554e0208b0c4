"""Formats whose files exist only as a whole: nothing can be appended, so they have neither checkpoints nor a state."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from crawler.errors import UsageError
from crawler.export.storage import is_storage
from crawler.export.target import Target, open_target
from crawler.export.writer import Format, KnownOutput, Writer


@dataclass(frozen=True)
class WholeFile(Format):
    """A format whose file appears at the end."""

    def check(self, output: str) -> None:
        instead = f"; a folder of parts has them: -o {output}/" if self.contains_state(f"{output}/") else ""
        raise UsageError(
            f"a file of {self.name} appears whole at the end: leave out --state, --drain and --follow{instead}"
        )

    def open(self, output: str, *, follow: bool) -> Writer:
        if follow:
            self.check(output)
        if is_storage(output):
            raise UsageError(f"{output} is a folder: name a file in it")
        target = open_target(output, follow=False)
        try:
            return self.begin(output, target)
        except BaseException:
            target.abort()
            raise

    @abstractmethod
    def begin(self, output: str, target: Target) -> Writer:
        """A writer that fills *target*, which it finishes or aborts."""

    def resume(self, output: str, known: KnownOutput | None, *, follow: bool) -> Writer:
        self.check(output)
        raise AssertionError("`check` refuses")
