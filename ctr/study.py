"""A search of settings by Optuna's TPE sampler, kept in a SQLite file: a killed one goes on where it stopped.

Every trial has a sampler of its own, seeded by the number of finished trials: an interrupted study tries what it would
have tried otherwise.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from base.progress import Progress
from ctr.space import Range, Tried, Values

SECONDS_TO_WAIT = 60
"""Until another process has written its trial to the file."""
BY_CHANCE = 8
"""Trials before the sampler learns from those that are done."""


def finished(file: Path, name: str) -> list[Tried]:
    """Return the finished trials of a study in their order; none if there is no such study."""
    if not file.is_file():
        return []
    return _finished(_study(file, name))


def go_on(
    file: Path,
    name: str,
    ranges: Sequence[Range],
    first: Sequence[Values],
    measure: Callable[[Values], float],
    trials: int,
    seed: int,
    report: Progress,
) -> list[Tried]:
    """Go on with a study until it has so many finished trials; begin it if it is not there.

    Args:
        file: The SQLite file; it may hold other studies.
        name: Name of the study: of all that decides what a trial gives.
        ranges: What is tried.
        first: Values to try before any others, within the ranges.
        measure: Returns the AUC on validation rows of some values.
        trials: Finished trials that the study has at the end, at least.
        seed: Decides what is tried.
        report: Called with the number of finished trials, before each one and at the end.

    Returns:
        All finished trials in their order.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    study, distributions = _study(file, name), {one.name: _distribution(one) for one in ranges}
    for killed in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
        study.tell(killed.number, state=TrialState.FAIL)
    while (done := len(_finished(study))) < trials:
        report("trials", done, trials)
        study.sampler = optuna.samplers.TPESampler(seed=seed + done, n_startup_trials=BY_CHANCE)
        if done < len(first):
            study.enqueue_trial(dict(first[done]))
        trial = study.ask(distributions)
        study.tell(trial, measure(trial.params))
    report("trials", trials, trials)
    return _finished(study)


def best_of(tried: Sequence[Tried]) -> Tried:
    """Return the trial with the highest AUC, the first of equal ones."""
    return max(tried, key=lambda one: one.validation_auc)


def _study(file: Path, name: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would print a line a trial
    return optuna.create_study(storage=f"sqlite:///{file}", study_name=name, direction="maximize", load_if_exists=True)


def _finished(study: optuna.Study) -> list[Tried]:
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [Tried(dict(one.params), float(one.values[0])) for one in done]


def _distribution(one: Range) -> BaseDistribution:
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)
