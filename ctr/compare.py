"""Trains an arm: prepares its adapters once, then trains and scores models under every protocol."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base.progress import Progress, silent
from ctr.adapters.catalogue import find_adapters
from ctr.adapters.protocol import ExampleAdapter
from ctr.calibration import CalibratedModel, Calibration, calibration_of
from ctr.config import TrainConfig
from ctr.constant import constant_scores
from ctr.controls import fed
from ctr.learners import Learner, Model, Views, make_learner
from ctr.samples import Samples
from ctr.search import search
from ctr.views import Examples
from feature_store.vectors import Knowledge
from llm_tasks.pipeline.arm import Arm
from retrieval.examples import STRICT, ExampleRule
from sources.events import PARTS


@dataclass(frozen=True)
class Best:
    """The model of the seed with the highest validation AUC; of the first seed without validation rows."""

    model: Model
    """The model, trained under the split."""
    seed: int
    """Its seed."""
    settings: TrainConfig
    """How it was trained, with what the search chose."""
    widths: Mapping[str, Mapping[str, int]]
    """Adapter's place in the arm -> view -> number of columns, in the order in which they are read."""
    calibration: Calibration | None = None
    """What the model's logits go through; None = nothing."""


@dataclass(frozen=True)
class ArmResult:
    """The result of training an arm."""

    test: np.ndarray
    """[S, n] float32: probabilities of the test rows, one row per seed."""
    rolling: np.ndarray
    """[S, m] float32: probabilities of the test rows of all windows of time, one after the other."""
    validation_auc: tuple[tuple[float, ...], ...]
    """AUC on the validation rows after each epoch, one tuple per seed."""
    chosen: Mapping[str, Mapping[str, Any]]
    """Protocol -> the settings that its validation rows chose, and what was tried."""
    parameters: int
    """Number of trained parameters."""
    samples_per_cpu_second: float
    """Training speed, averaged over seeds; 0 if nothing is trained."""
    retrieval: Mapping[str, float | None] | None
    """What is reported of the examples it shows (`retrieval.example_facts`); None when it shows none."""
    shown: Mapping[str, Any] | None = None
    """What some test samples are shown (`ctr.examples.shown_to_test`); None when it shows no examples."""
    best: Best | None = None
    """The model to keep; None if nothing is trained."""
    uncalibrated: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    """[S, n] float32: probabilities of the test rows before calibration; [0, n] if they are not calibrated."""


def prepare_views(
    arm: Arm,
    knowledge: Mapping[str, Knowledge],
    samples: Samples,
    folds: int,
    rule: ExampleRule = STRICT,
    plugins: Sequence[Path] = (),
) -> Views:
    """Prepare all adapters of an arm.

    Args:
        arm: The arm.
        knowledge: What it reads, by `task/encoder` or `codes/NAME`.
        samples: The samples.
        folds: Folds of whatever is fitted out of fold.
        rule: How examples are chosen, where the arm shows any.
        plugins: Folders of a team's own plug-ins.

    Raises:
        WrongUse: An example is not for training.
    """
    adapters = find_adapters(plugins)
    rule = replace(rule, by_chance=arm.disturbance == "examples_by_chance")
    views: Views = {}
    for place, use in enumerate(arm.uses):
        adapter = adapters[use.adapter]
        vectors = fed(use, knowledge, arm.disturbance)
        if isinstance(adapter, ExampleAdapter):
            views[f"{place}_{use.adapter}"] = adapter.prepare(vectors, samples, rule)
        else:
            views[f"{place}_{use.adapter}"] = dict(adapter.prepare(vectors, samples, folds))
    return views


def train_arm(
    arm: Arm,
    knowledge: Mapping[str, Knowledge],
    samples: Samples,
    config: TrainConfig,
    progress: Progress = silent,
    windows: Sequence[np.ndarray] = (),
    plugins: Sequence[Path] = (),
) -> ArmResult:
    """Train an arm once per seed under every protocol and score the test rows.

    Args:
        arm: The arm.
        knowledge: What it reads, by `task/encoder` or `codes/NAME`.
        samples: The samples, with their parts under the split.
        config: How to train.
        progress: Called with the number of trained models.
        windows: [N] int8 each: the parts of the samples at each cut of rolling time (`sources.events.rolling_split`);
            the first one is for choosing settings and has validation rows instead of test rows.
        plugins: Folders of a team's own plug-ins.

    Raises:
        WrongUse: Trees alone cannot train what an adapter has to learn.
        WrongUse: An adapter cannot take its vectors together.
        WrongUse: An example is not for training.
        WrongUse: Validation rows are too few to calibrate by.
        CheckFailed: Training diverged.
    """
    if not arm.learns:
        seeds = len(config.seeds)
        test, rolling = (constant_scores(samples, parts, seeds) for parts in ([samples.part], windows[1:]))
        return ArmResult(test, rolling, ((),) * seeds, {}, 1, 0.0, None)
    rule = ExampleRule(config.examples.count, config.examples.strict)

    def learner_of(known: Mapping[str, Knowledge], there: Samples) -> tuple[Learner, Views]:
        views = prepare_views(arm, known, there, config.folds, rule, plugins)
        return make_learner(arm, views, there, config, plugins), views

    learner, views = learner_of(knowledge, samples)
    told, total = f"training {arm.name}", len(config.seeds) * max(len(windows), 1)
    settings, tried = search(learner, samples.part, config)
    models: list[Model] = []
    for number, seed in enumerate(config.seeds):
        progress(told, number, total)
        models.append(learner.train(samples.part, settings, seed))
    maps = _calibrations(config, models, samples, samples.part)
    test = np.flatnonzero(samples.part == PARTS.index("test"))
    chosen = {"split": _told(settings, tried)}
    rolling = np.zeros((len(config.seeds), 0), dtype=np.float32)
    if windows:
        at = _learners(knowledge, samples, learner, views, learner_of)
        rolling, chosen["rolling"] = _roll(
            at, samples, config, windows, lambda cut: progress(f"{told} at cut {cut}", cut * len(config.seeds), total)
        )
    progress(told, total, total)
    examples = next((read for read in views.values() if isinstance(read, Examples)), None)
    return ArmResult(
        test=np.stack([probabilities(model, test) for model in _through(maps, models)]),
        rolling=rolling,
        validation_auc=tuple(model.validation_auc for model in models),
        chosen=chosen,
        parameters=models[0].parameters,
        samples_per_cpu_second=float(np.mean([model.samples_per_cpu_second for model in models])),
        retrieval=None if examples is None else examples.facts,
        shown=None if examples is None else examples.shown,
        best=_best(models, settings, views, maps),
        uncalibrated=np.array([probabilities(model, test) for model in models if maps]).reshape(len(maps), len(test)),
    )


def _roll(
    at: Callable[[np.ndarray], Learner],
    samples: Samples,
    config: TrainConfig,
    windows: Sequence[np.ndarray],
    begin: Callable[[int], None],
) -> tuple[np.ndarray, dict[str, Any]]:
    """Train and score at every cut of rolling time.

    Args:
        at: Returns the learner of a window.
        samples: The samples.
        config: How to train.
        windows: As for `train_arm`.
        begin: Called with the number of each cut.

    Returns:
        [S, m] float32 as in `ArmResult.rolling`, and the chosen settings.
    """
    choosing, scored = at(windows[0]), []
    early, tried = search(choosing, windows[0], config, to_the_end=True)
    first = [choosing.train(windows[0], early, seed) for seed in config.seeds if config.calibration]
    maps = _calibrations(config, first, samples, windows[0])
    for number, window in enumerate(windows[1:], start=1):
        begin(number)
        rows, learner = np.flatnonzero(window == PARTS.index("test")), at(window)
        models = _through(maps, [learner.train(window, early, seed) for seed in config.seeds])
        scored.append(np.stack([probabilities(model, rows) for model in models]))
    none = np.zeros((len(config.seeds), 0), dtype=np.float32)
    return np.concatenate([none, *scored], axis=1), _told(early, tried)


def _calibrations(
    config: TrainConfig, models: Sequence[Model], samples: Samples, part: np.ndarray
) -> list[Calibration]:
    """Fit the calibration of every seed's model on the validation rows; none if none is configured.

    Models of rolling time have no validation rows: they get that of the models which chose their settings.
    """
    name = config.calibration
    return [calibration_of(name, model, samples, part) for model in models] if name else []


def _through(maps: Sequence[Calibration], models: Sequence[Model]) -> Sequence[Model]:
    """Put the logits of every seed's model through its calibration, if there is one."""
    return [CalibratedModel(model, one) for model, one in zip(models, maps, strict=True)] if maps else models


def _best(models: Sequence[Model], settings: TrainConfig, views: Views, maps: Sequence[Calibration]) -> Best:
    at = int(np.argmax([max(model.validation_auc, default=0.0) for model in models]))
    widths = {
        place: {"examples": read.width} if isinstance(read, Examples) else {name: of.width for name, of in read.items()}
        for place, read in views.items()
    }
    return Best(_through(maps, models)[at], settings.seeds[at], settings, widths, maps[at] if maps else None)


def _told(settings: TrainConfig, tried: list[dict[str, Any]]) -> dict[str, Any]:
    return {"learning_rate": settings.learning_rate, "epochs": settings.epochs, "tried": tried}


def probabilities(model: Model, rows: np.ndarray) -> np.ndarray:
    """Compute the probabilities of some samples: [n] int64 -> [n] float32."""
    return torch.from_numpy(model.logits(rows).astype(np.float32)).sigmoid().numpy()


def _learners(
    knowledge: Mapping[str, Knowledge],
    samples: Samples,
    learner: Learner,
    views: Views,
    learner_of: Callable[[Mapping[str, Knowledge], Samples], tuple[Learner, Views]],
) -> Callable[[np.ndarray], Learner]:
    """Return the learner of each window: the same one, except if examples must be training rows of the window."""
    if not any(isinstance(read, Examples) for read in views.values()):
        return lambda window: learner

    def at(window: np.ndarray) -> Learner:
        seen = samples.time[window == PARTS.index("train")].max()
        past = {name: until(one, seen) if one.entity == "event" else one for name, one in knowledge.items()}
        return learner_of(past, replace(samples, part=window))[0]

    return at


def until(knowledge: Knowledge, seen: np.datetime64) -> Knowledge:
    """Keep the knowledge about events until a moment."""
    kept = knowledge.as_of <= seen
    return replace(
        knowledge, entities=knowledge.entities[kept], as_of=knowledge.as_of[kept], vectors=knowledge.vectors[kept]
    )
