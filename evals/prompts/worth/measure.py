"""Measure what versions of a prompt are worth: by the probe, by retrieval and in a click model, on one sample.

Every number of a version stands beside that of the other versions and of the catalogue's facts about the same rows. A
difference has an interval, from resampled items or users, and a chance p, from swapped texts (swaps.py); a sentence
needs both (verdicts.py). Test rows are never read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from evals.prompts.worth.click import judge_clicks
from evals.prompts.worth.ground import Ground, open_ground
from evals.prompts.worth.judge import Judge, figure
from evals.prompts.worth.memorised import measure_memorised
from evals.prompts.worth.pool import Encode, Pool, fill_pool, remembered
from evals.prompts.worth.probe import judge_probe
from evals.prompts.worth.retrieval import judge_retrieval
from evals.prompts.worth.swaps import chances
from evals.trial import Figure, Measured, Trial
from prompts.domain import Domain
from sources.tables import Dataset

BASE = "base"
"""Key of what is scored without any text, among the figures of `auc` and `gauc`."""
JUDGES = (judge_probe, judge_retrieval, judge_clicks)


def measure_worth(
    trial: Trial, dataset: Dataset, domain: Domain, facts: Mapping[str, str], encode: Encode, seed: int = 0
) -> list[Measured]:
    """Measure all versions of a trial.

    Args:
        trial: The answers.
        dataset: Events with their parts, and items.
        domain: Describes items, where the rows are about users.
        facts: Entity -> what the catalogue says of it; empty if it says nothing.
        encode: Turns texts into vectors, [n] -> [n, d].
        seed: Seed of resamples and swaps.

    Returns:
        `probe`, `retrieval`, `auc`, `gauc` and `memorised`; where a measure cannot be taken, its figures say why.
    """
    ground = open_ground(trial.task, trial.entity, trial.rows, dataset, domain)
    return measure_on(ground, trial, facts, encode, seed)


def measure_on(ground: Ground, trial: Trial, facts: Mapping[str, str], encode: Encode, seed: int = 0) -> list[Measured]:
    """Measure all versions of a trial on the ground of its rows, which can be built once for many trials.

    Args:
        ground: What the events say of the rows of the trial (`open_ground`).
        trial: The answers.
        facts: Entity -> what the catalogue says of it.
        encode: Turns texts into vectors.
        seed: Seed of resamples and swaps.
    """
    encode = remembered(encode)
    pool = fill_pool(trial, facts, encode)
    with one_thread():
        judges = [make(ground, pool, encode, seed) for make in JUDGES]
        measured = [one for judge in judges for one in _measure(judge, pool, ground, trial, seed)]
    return [*measured, measure_memorised(ground, trial)]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: hundreds of small matrices take longer with more, and sums have the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def _measure(judge: Judge, pool: Pool, ground: Ground, trial: Trial, seed: int) -> list[Measured]:
    """Write the k measures of one judge."""
    chosen = {name: pool.of(name) for name in pool.names}
    score = {name: judge.score(of) for name, of in chosen.items()}
    replicates = {name: judge.replicates(of) for name, of in chosen.items()}
    p = _chances(judge, chosen, ground, trial, seed)

    def of(place: int, name: str, other: str | None = None) -> Figure:
        named = judge.named[place]
        if other is None:
            return figure(float(score[name][place]), replicates[name][place], named)
        gain = replicates[name][place] - replicates[other][place]
        return figure(float(score[name][place] - score[other][place]), gain, named, p[name, other][place])

    return [
        Measured(
            name=named.name,
            about=named.about,
            kind="worth",
            better="higher",
            figures={name: of(place, name) for name in pool.names} | _base(judge, place),
            against={
                version: {other: of(place, version, other) for other in pool.names if other != version}
                for version in trial.versions
            },
        )
        for place, named in enumerate(judge.named)
    ]


def _base(judge: Judge, place: int) -> dict[str, Figure]:
    """Return the score without any text, where there is one."""
    named = judge.named[place]
    return {} if judge.base is None or named.why else {BASE: Figure(float(judge.base[place]), rows=named.rows)}


def _chances(
    judge: Judge, chosen: Mapping[str, np.ndarray], ground: Ground, trial: Trial, seed: int
) -> dict[tuple[str, str], np.ndarray]:
    """Compute the chances of all differences; both directions of a pair have the same."""
    names, out = list(chosen), {}
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            if name in trial.versions or other in trial.versions:
                found = chances(judge.score, chosen[name], chosen[other], ground.group, seed)
                out[name, other] = out[other, name] = found
    return out
