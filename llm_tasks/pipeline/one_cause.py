"""Stop a run in which everything fails for one cause, before thousands of rows are asked and paid for in vain."""

from dataclasses import dataclass

from base.failures import kind_of, retry_command
from engines.protocol import EngineFault
from engines.request import Answer
from llm_tasks.pipeline.workplace import Workplace


@dataclass
class OneCause:
    """Watches the first answers of a run: if all end in the same error, the rows are not at fault."""

    most: int
    """Number of answers to watch; 0 = none."""
    counted: int = 0
    """Number of answers watched so far."""
    kind: str | None = None
    """The error of all of them; None if one has a text or another error."""
    example: str = ""
    """What the first error says."""

    @classmethod
    def of(cls, workplace: Workplace) -> "OneCause":
        """Watch as `engine.stop_after_failures` says, and not at all where answers cost nothing."""
        return cls(0 if getattr(workplace.engine, "costs_nothing", False) else workplace.stop_after_failures)

    @property
    def found(self) -> bool:
        """Return whether all answers to watch have come, and all ended in one error."""
        return 0 < self.most <= self.counted and self.kind is not None

    def count(self, answer: Answer) -> None:
        """Watch one answer; those after the first `most` change nothing."""
        if self.counted >= self.most:
            return
        if self.counted == 0:
            self.kind, self.example = answer.error, answer.detail
        elif answer.error != self.kind:
            self.kind = None
        self.counted += 1

    def fault(self, task: str, done: int, total: int) -> EngineFault:
        """Return the error that ends the run: the cause, an example, the remedy and the commands to go on.

        Args:
            task: Name of the technique.
            done: Number of finished calls.
            total: Number of calls to make.
        """
        kind = self.kind or ""
        lines = [
            f"stopped after {done:,} of {total:,} calls of {task}: the first {self.most:,} answers all ended in {kind}",
            f"for example: {self.example}",
            kind_of(kind).fix,
            f"the answers so far are kept; to go on: knowflow refresh{_then(kind)}",
            "to ask on in spite of that: engine.stop_after_failures: 0 in knowflow.yaml",
        ]
        return EngineFault("\n  ".join(lines))


def _then(kind: str) -> str:
    return "" if kind_of(kind).passes else f", then {retry_command([kind])} for the rows that failed"
