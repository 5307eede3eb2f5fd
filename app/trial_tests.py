"""Run a team's own tests on the answers of a trial; rows that they name are asked about though they are not sampled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.trial_plan import TrialPlan, plan_rows
from app.trials import ask_trial
from evals.prompts.page import row_name
from evals.trial import Trial, TrialAnswer, TrialRow
from llm_tasks.pipeline.generate import Spending
from prompts.row_tests import RowTest


@dataclass(frozen=True)
class Tested:
    """What a team's own tests found."""

    tests: int = 0
    """Number of tests."""
    broken: dict[str, list[str]] = field(default_factory=dict)
    """Version -> a sentence for each test that it does not pass."""
    by_row: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Version -> row key -> what its text does not hold."""


def plan_tested(plan: TrialPlan, tests: Sequence[RowTest]) -> TrialPlan | None:
    """Plan the rows that tests name and the sample does not have; None if there are none.

    Raises:
        WrongUse: The technique has no row about an entity that a test names.
    """
    sampled = {one.row.entity for one in plan.sample.rows}
    named = {test.entity for test in tests if test.entity is not None} - sampled
    return plan_rows(plan, named) if named else None


def run_tests(trial: Trial, tests: Sequence[RowTest], others: TrialPlan | None, spending: Spending) -> Tested:
    """Test the answers of all versions.

    Args:
        trial: The answers about the sample.
        tests: The tests.
        others: The rows that tests name besides (`plan_tested`).
        spending: What asking about them may cost.
    """
    more = ask_trial(others, spending) if others is not None else None
    found = Tested(len(tests))
    for version in trial.versions:
        rows = [(one, row, answer) for one in (trial, more) if one for row, answer in _answers(one, version)]
        for test in tests:
            for one, row, answer in rows:
                if test.entity != row.entity and not (test.entity is None and one is trial):
                    continue
                for fault in test.faults(answer.text, answer.error):
                    found.broken.setdefault(version, []).append(f"{version}, {row_name(one, row)}: {fault}")
                    found.by_row.setdefault(version, {}).setdefault(row.row, []).append(fault)
    return found


def _answers(trial: Trial, version: str) -> Iterator[tuple[TrialRow, TrialAnswer]]:
    return zip(trial.rows, trial.answers[version], strict=True)
