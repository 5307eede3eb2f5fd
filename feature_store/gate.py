"""What a gate is: its thresholds in knowflow.yaml, its result, and the error of a release that it stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from base.failures import how_to_go_on
from base.faults import CheckFailed
from base.frozen import Frozen


class RewriteGates(Frozen):
    """Thresholds for the served table of rewrites."""

    relevance_fall: float = Field(default=0.05, ge=0, le=1)
    """How far the mean relevance may fall below that of the current release."""
    unchanged: float = Field(default=0.2, ge=0, le=1)
    """Share of rewrites that may be empty, the query itself, or duplicates."""
    drift: float = Field(default=1.0, ge=0, le=1)
    """Share of queries whose best rewrite may differ from the current release; 1 = any."""


GateName = Literal[
    "answered",
    "parse_failures",
    "cut_off",
    "drift",
    "refusals",
    "alike",
    "thinking",
    "script",
    "language",
    "length",
    "vocabulary",
    "neighbours",
    "means",
    "spread",
    "cost",
    "clicks",
]
"""Gates that can be set to warn."""


class GatesConfig(Frozen):
    """Thresholds under `gates:` in knowflow.yaml."""

    answered: float = Field(default=0.9, ge=0, le=1)
    """Share of a task's rows that must have a text."""
    parse_failures: float = Field(default=0.02, ge=0, le=1)
    """Share of a task's rows that may fail to parse."""
    cut_off: float = Field(default=0.05, ge=0, le=1)
    """Share of a task's rows whose answer may have been cut off at the maximum of tokens."""
    drift: float = Field(default=1.0, ge=0, le=1)
    """Share of a task's rows whose text may differ from the current release; 1 = any."""
    refusals: float = Field(default=0.02, ge=0, le=1)
    """Share of a task's answers that may be refusals or excuses, such as `I am sorry, as an AI model I cannot`."""
    alike: float = Field(default=0.3, ge=0, le=1)
    """Share of a task's answers that may be nearly the same as that of another entity."""
    length: float = Field(default=2.0, ge=1)
    """Factor by which the median length of a task's answers may differ from the current release, up or down."""
    script: float = Field(default=0.05, ge=0, le=1)
    """Share of a task's answers that may be in another script (Latin, Cyrillic, Han, ...) than most."""
    thinking: float = Field(default=0.02, ge=0, le=1)
    """Share of a task's answers that may be thinking alone, or hold its marks, such as `</think>`."""
    language: float = Field(default=0.05, ge=0, le=1)
    """Share of a task's answers that may be in another language than most answers of the current release."""
    vocabulary: float = Field(default=0.015, ge=0, le=1)
    """How far the words of the same rows may be from those of the current release: Jensen-Shannon divergence in bits,
    beyond chance."""
    neighbours: float = Field(default=0.5, ge=0, le=1)
    """Share of nearest neighbours, among the same rows, that must be those of the current release."""
    means: float = Field(default=0.25, ge=0)
    """How far vectors of the same rows may have moved on random projections: standard deviations, beyond chance."""
    spread: float = Field(default=0.35, ge=0)
    """How far the covariance of these projections may have changed: share of its norm, beyond chance."""
    cost: float = Field(default=1.5, ge=1)
    """How many times the calls and tokens of the plan a refresh may take."""
    clicks: float = Field(default=0.0, ge=0, le=1)
    """How far the AUC of the main arm may fall below that of the last release on the same test rows: the gate fails if
    the whole interval (95%, over users and seeds) lies below. It is checked after training, when the release is
    published: if it blocks, the run fails and names the release to roll back to."""
    whole_leak_check: int = Field(default=7, ge=0)
    """Days after which a refresh checks a whole release for leaks again; until then it checks what is new, and what
    something new is known of. 0 = every refresh checks everything."""
    warn: tuple[GateName, ...] = (
        "length",
        "script",
        "language",
        "vocabulary",
        "neighbours",
        "means",
        "spread",
        "cost",
        "clicks",
    )
    """Gates that only warn: a release is published although they fail, and says so."""
    rewrites: RewriteGates = RewriteGates()
    """Thresholds for the served table of rewrites."""


@dataclass(frozen=True)
class Gate:
    """One gate and its result."""

    name: str
    """What is checked."""
    holds: bool
    """Whether the check passed."""
    found: str
    """The finding, with numbers."""
    errors: tuple[str, ...] = ()
    """Errors of rows that keep it from passing."""
    setting: str = ""
    """Setting under `gates:` that holds its threshold; empty for a gate without one."""
    blocks: bool = True
    """Whether a release is stopped if it fails; else it warns."""

    @property
    def closed(self) -> bool:
        """Return whether it stops a release."""
        return self.blocks and not self.holds


class GatesClosed(CheckFailed):
    """A release was not published because a gate failed.

    Args:
        gates: All gates, passed and failed.
        command: The command to run after the cause is fixed.
    """

    def __init__(self, gates: Sequence[Gate], command: str = "knowflow refresh") -> None:
        self.gates = tuple(gates)
        lines = [f"  {_result(gate)}  {gate.name}: {gate.found}" for gate in gates]
        errors = [error for gate in gates if gate.closed for error in gate.errors]
        lines += [f"  {line}" for line in how_to_go_on(errors)]
        super().__init__(
            "nothing was released; the current release is unchanged\n" + "\n".join(lines) + "\n"
            "fix the cause (knowflow plan shows failed rows), or change gates: in knowflow.yaml,"
            f" then run: {command}"
        )


class ClicksFell(CheckFailed):
    """Clicks are predicted worse than with the last release, and the gate over clicks blocks.

    Args:
        gates: The gates that were checked after training.
        before: The last release.
    """

    def __init__(self, gates: Sequence[Gate], before: str) -> None:
        self.gates, self.before = tuple(gates), before
        lines = [f"  {_result(gate)}  {gate.name}: {gate.found}" for gate in gates]
        super().__init__(
            "the new release is published, and clicks are predicted worse than with the last one\n"
            + "\n".join(lines)
            + f"\nto go back to it: knowflow release rollback {before}"
        )


def _result(gate: Gate) -> str:
    return "holds " if gate.holds else "FAILED" if gate.blocks else "warns "
