"""Evaluate versions of a prompt: ask about the sample, then measure the texts, their cost and what a judge says."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.asking import with_engine
from app.config import Config
from app.trial_judge import ask_judge
from app.trial_plan import TrialPlan
from app.trial_repeats import measure_agreement
from app.trial_results import TrialResult, measure_answers
from app.trial_tests import Tested, plan_tested, run_tests
from app.trial_worth import measure_trial_worth
from app.trials import ask_trial, spending_of
from base.faults import WrongUse
from evals.prompts.worth.verdicts import verdicts
from llm_tasks.pipeline.budget import Limits
from prompts.row_tests import read_tests


@dataclass(frozen=True)
class Wanted:
    """What an evaluation asks for besides the answers themselves."""

    worth: bool = True
    """Whether to measure what the versions are worth to the recommender."""
    judge: bool = False
    """Whether a model judges between the versions."""
    judge_engine: str | None = None
    """Engine of the judge; the one that answers if not given."""
    judge_model: str | None = None
    """Model of the judge; the one that answers if not given."""
    judge_urls: Sequence[str] | None = None
    """Servers of the judge; those that answer if not given."""
    repeat: int = 1
    """How many answers each question gets, to see how alike they are; 1 = no repetition."""


def evaluate_trial(config: Config, plan: TrialPlan, wanted: Wanted, limits: Limits) -> TrialResult:
    """Ask what is missing and measure everything.

    Args:
        config: The config.
        plan: From `plan_trial`.
        wanted: What to ask besides.
        limits: What all of it may spend together.

    Raises:
        EngineFault: The engine failed; the answers so far are kept.
        BudgetReached: A limit is reached; the answers so far are kept.
        WrongUse: A judge is wanted where there is none, or but one version.
    """
    if wanted.judge and len(plan.prompts) < 2:
        raise WrongUse("--judge compares versions, and there is one\n  name another: --versions v1,v2")
    assert plan.task.prompt is not None  # a plan has prompts
    tests = read_tests(config.library, plan.task.prompt)
    others = plan_tested(plan, tests)
    spending = spending_of(plan.prices, limits)
    trial = ask_trial(plan, spending)
    measured = measure_answers(config, plan, trial, plan.seed)
    if wanted.repeat > 1:
        measured.append(measure_agreement(plan, trial, wanted.repeat, spending))
    if wanted.judge:
        measured += ask_judge(
            with_engine(config, wanted.judge_engine, wanted.judge_model, wanted.judge_urls), plan, trial, spending
        )
    tested = run_tests(trial, tests, others, spending) if tests else Tested()
    if wanted.worth:  # after everything that may reach a limit
        measured += measure_trial_worth(config, plan, trial)
    told = verdicts(measured, trial.versions) if wanted.worth else []
    return TrialResult(plan, trial, measured, told, tested=tested)
