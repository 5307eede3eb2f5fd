"""What an optimiser of prompts aims at: the rows to ask about, and how good an answer is."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.faults import WrongUse
from base.plugins import choose
from evals.lists import MISSED, Lists
from evals.measures.protocol import MEASURES
from evals.topic_score import topic_score
from evals.trial import TrialAnswer
from feature_store.lineage import row_key
from llm_tasks.pipeline.ranking import RankedRow, Ranking, places
from llm_tasks.pipeline.sampled_rows import SampledRow
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import Workplace
from tuning.optimiser import Case

DEFAULT_RANKING = "ndcg@10"
DOMAINS, OTHERS, ALL = 3, "others", "all"
"""How many disjoint groups of rows there are, and the name of the last one, and of the only one."""
DRAWN = 6
"""How many times as many rows are drawn as are needed, so that every group finds its own."""


RowMeasure = Callable[[Sequence[Sequence[int]], Sequence[int]], np.ndarray]
"""Takes the ranked numbers of Q rows and the wanted number of each; returns [Q] values."""


@dataclass(frozen=True)
class Objective:
    """The rows of a search, and how their answers are scored."""

    name: str
    """Its name: `ndcg@10`."""
    goal: str
    """What makes an answer good, in words for the reflecting model."""
    learn: Mapping[str, Sequence[SampledRow]]
    """Domain -> training rows whose outcomes the reflecting model is shown."""
    judge: Mapping[str, Sequence[SampledRow]]
    """Domain -> validation rows on which prompts are compared."""
    score: Callable[[Sequence[SampledRow], Sequence[TrialAnswer]], list[Case]]
    """Scores answers about some rows."""
    together: bool = False
    """Whether all rows of a side have to be scored together."""


def ranking_objective(
    ranking: Ranking, name: str, task: Task, workplace: Workplace, rows: int, seed: int, folders: Sequence[Path] = ()
) -> Objective:
    """Make the objective of a technique that ranks candidates.

    Rows are put into three disjoint groups of about equal size by the most frequent category of their history: those of
    the two most frequent categories, and all others; without categories there is one group.

    Args:
        ranking: How its answers are read.
        name: A measure and its k: `ndcg@10`, `mrr@5`.
        task: The technique.
        workplace: Data, engine and store.
        rows: How many rows to learn from, and how many to compare on.
        seed: Seed of the drawn rows.
        folders: Folders of a team's own measures.

    Raises:
        WrongUse: The measure does not exist, or has no value for a single row.
    """
    measured = row_measure(name, folders)
    inputs = workplace.inputs_of(task)
    drawn = {part: list(ranking.rows(inputs, part, DRAWN * rows, seed)) for part in ("train", "validation")}
    if not all(drawn.values()):
        raise WrongUse(f"{task.name}: training or validation has no event to rank\n  see: knowflow split")
    names = _domains([one for of in drawn.values() for one in of])
    known: dict[str, RankedRow] = {}

    def groups(part: str) -> dict[str, tuple[SampledRow, ...]]:
        found: dict[str, list[SampledRow]] = {one: [] for one in names}
        for one in drawn[part]:
            domain = _domain_of(one, names)
            key = row_key(task.name, one.row.entity, one.row.as_of)
            if len(found[domain]) < max(rows // len(names), 1) and key not in known:
                known[key] = one
                found[domain].append(SampledRow(key, domain, one.row))
        return {domain: tuple(of) for domain, of in found.items() if of}

    def score(asked: Sequence[SampledRow], answers: Sequence[TrialAnswer]) -> list[Case]:
        orders = [_order(ranking, answer, known[one.key]) for one, answer in zip(asked, answers, strict=True)]
        values = measured(orders, [known[one.key].wanted for one in asked])
        return [
            _case(one, known[one.key], answer, order, float(value), ranking)
            for one, answer, order, value in zip(asked, answers, orders, values, strict=True)
        ]

    goal = f"what the user chose next should be ranked first ({name}), and the topics should be those of the history"
    return Objective(name, goal, groups("train"), groups("validation"), score)


def row_measure(
    name: str, folders: Sequence[Path] = ()
) -> Callable[[Sequence[Sequence[int]], Sequence[int]], np.ndarray]:
    """Return a measure of single rankings.

    Args:
        name: A measure in `evals/measures/` and its k: `ndcg@10`.
        folders: Folders of a team's own measures.

    Raises:
        WrongUse: There is no such measure, or it has no value for a single row.

    Example:
        >>> row_measure("mrr@10")([[3, 1, 2], [2]], [1, 1]).tolist()
        [0.5, 0.0]
    """
    match = re.fullmatch(r"(\w+)@([1-9]\d{0,3})", name)
    if not match:
        raise WrongUse(f"--objective {name}: is no measure of rankings\n  example: ndcg@10, mrr@10")
    measure, k = choose(MEASURES, [match[1]], folders)[0], int(match[2])

    def values(orders: Sequence[Sequence[int]], wanted: Sequence[int]) -> np.ndarray:
        ranks = [order.index(one) if one in order else MISSED for order, one in zip(orders, wanted, strict=True)]
        width, most = max(map(len, orders), default=0), max([*wanted, *(one for order in orders for one in order)])
        ranking = np.array([[*order, *[-1] * (width - len(order))] for order in orders], dtype=np.int64)
        lists = Lists(ranking, np.arange(len(orders)), np.array(ranks, dtype=np.int64), np.ones(most + 1))
        return np.asarray(measure.value(lists, k))

    if np.ndim(values([[1], [2]], [1, 1])) == 0:
        raise WrongUse(f"--objective {name}: has no value for a single row\n  example: ndcg@10, mrr@10")
    return values


def _domains(rows: Sequence[RankedRow]) -> list[str]:
    counts = Counter(one.topics[0] for one in rows if one.topics)
    common = [name for name, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[: DOMAINS - 1]]
    return [*common, OTHERS] if len(counts) >= DOMAINS else [ALL]


def _domain_of(one: RankedRow, names: Sequence[str]) -> str:
    first = one.topics[0] if one.topics else names[-1]
    return first if first in names else names[-1]


def _order(ranking: Ranking, answer: TrialAnswer, ranked: RankedRow) -> list[int]:
    return [] if answer.fields is None else places(ranking.order(answer.fields), ranked.candidates)


def _case(
    one: SampledRow, ranked: RankedRow, answer: TrialAnswer, order: Sequence[int], value: float, ranking: Ranking
) -> Case:
    shown = "\n".join(f"{name}: {text}" for name, text in one.row.variables.items())
    named = [] if answer.fields is None else ranking.topics(answer.fields)
    correct, complete = topic_score(named, ranked.topics)
    monitors = {} if correct is None else {"topics correct": correct, "topics complete": complete or 0.0}
    if answer.error or not order:
        wrong = f"There is no ranking: {answer.error or 'no number of a candidate was named'}."
    elif ranked.wanted in order:
        wrong = f"The user chose number {ranked.wanted} next; it stands at place {order.index(ranked.wanted) + 1}."
    else:
        wrong = f"The user chose number {ranked.wanted} next; it is not in the ranking."
    if ranked.topics:
        wrong += f" Topics of the history: {', '.join(ranked.topics)}."
    return Case(one.key, min(max(value, 0.0), 1.0), shown, answer.raw or answer.error or "", wrong, monitors)
