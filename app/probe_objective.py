"""The objective of prompts about items: what their texts tell about the ratings of an item that was left out."""

from collections.abc import Callable, Sequence
from itertools import starmap

import numpy as np

from app.objectives import ALL, Objective
from base.faults import WrongUse
from evals.prompts.worth.ground import open_ground
from evals.prompts.worth.measure import one_thread
from evals.prompts.worth.pool import Encode, fill_pool
from evals.prompts.worth.probe import observed_items
from evals.prompts.worth.ridge import choose_strength, left_out
from evals.trial import Trial, TrialAnswer, TrialRow
from llm_tasks.pipeline.sampled_rows import SampledRow, sample_rows
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import Workplace
from prompts.prompt import Prompt
from tuning.optimiser import Case

NAME = "probe"
LEAST = 20
"""Items that a regression needs on each side."""
DRAWN = 3
"""How many times as many items are drawn as are needed, because those with few ratings have no target."""


def probe_objective(task: Task, first: Prompt, workplace: Workplace, encode: Encode, rows: int, seed: int) -> Objective:
    """Make the objective of a technique about items.

    Targets are mean residuals of training ratings, as in `evals/prompts/worth/probe.py`. Half of the items are learnt
    from, the others compare prompts; no item is in both. Each side is a regression of its own, so all its rows are
    answered and scored together. The score of an item is 1 / (1 + e^2 / v): e the error of its prediction, made without
    it, and v the variance of the targets.

    Args:
        task: The technique.
        first: The first prompt.
        workplace: Data, engine and store.
        encode: Turns texts into vectors.
        rows: How many items to learn from, and how many to compare on.
        seed: Seed of the drawn items.

    Raises:
        WrongUse: The technique is not about items, or too few have ratings.
    """
    if task.entity != "item":
        raise WrongUse(f"--objective {NAME}: {task.name} is about a {task.entity}, not about items")
    drawn = sample_rows(task, [first], workplace, 2 * DRAWN * rows, seed).rows
    shown = [TrialRow(one.key, one.row.entity, one.row.as_of, one.stratum, one.row.variables) for one in drawn]
    seen = observed_items(open_ground(task.name, task.entity, shown, workplace.dataset, workplace.domain))
    target = {drawn[place].key: value for place, value in zip(seen.row, seen.target, strict=True)}
    weight = {drawn[place].key: value for place, value in zip(seen.row, seen.weight, strict=True)}
    rated = [one for one in drawn if one.key in target][: 2 * rows]
    if len(rated) < 2 * LEAST:
        raise WrongUse(f"--objective {NAME}: {len(rated)} drawn items have enough ratings, and it needs {2 * LEAST}")

    def score(asked: Sequence[SampledRow], answers: Sequence[TrialAnswer]) -> list[Case]:
        values, weights = (np.array([of[one.key] for one in asked]) for of in (target, weight))
        predicted = predictions(task, asked, answers, values, weights, encode)
        spread = max(float(np.average((values - np.average(values, weights=weights)) ** 2, weights=weights)), 1e-9)
        return list(starmap(_case_maker(spread), zip(asked, answers, values, predicted, strict=True)))

    noun = workplace.domain.noun
    goal = f"the answer should tell what makes people rate this {noun} higher or lower than they usually rate"
    return Objective(NAME, goal, {ALL: rated[::2]}, {ALL: rated[1::2]}, score, together=True)


def predictions(
    task: Task,
    rows: Sequence[SampledRow],
    answers: Sequence[TrialAnswer],
    target: np.ndarray,
    weight: np.ndarray,
    encode: Encode,
) -> np.ndarray:
    """Predict the target of each row from its text by a ridge regression on all other rows: [n]."""
    shown = tuple(TrialRow(one.key, one.row.entity, one.row.as_of, one.stratum, {}) for one in rows)
    with one_thread():
        pool = fill_pool(Trial(task.name, task.entity, (NAME,), shown, {NAME: answers}), {}, encode)
        kernel, each = pool.kernel(pool.of(NAME)), np.arange(len(rows))
        return left_out(kernel, target, weight, each, choose_strength(kernel, target, weight, each))


def _case_maker(spread: float) -> Callable[[SampledRow, TrialAnswer, float, float], Case]:
    def case(one: SampledRow, answer: TrialAnswer, target: float, predicted: float) -> Case:
        shown = "\n".join(f"{name}: {text}" for name, text in one.row.variables.items())
        wrong = f"People rate it {target:+.2f} from their usual; from such answers {predicted:+.2f} was predicted."
        wrong = f"There is no text: {answer.error}. {wrong}" if answer.text is None else wrong
        value = 1 / (1 + (target - predicted) ** 2 / spread)
        return Case(one.key, float(value), shown, answer.raw or answer.error or "", wrong)

    return case
