"""One arm from its vectors to its scores: adapters are prepared once, then one model is trained per seed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from ctr.adapters.catalogue import find_adapters
from ctr.adapters.protocol import AdapterModule, ExampleAdapter, ExampleModule
from ctr.arms import Arm, disturb
from ctr.batch import Batches
from ctr.config import TrainConfig
from ctr.faults import UnfitVectors
from ctr.fields import Fields
from ctr.model import ClickModel, build_model
from ctr.retrieval import STRICT, Choice
from ctr.samples import Samples
from ctr.train import Trained, rows_of, score, train
from ctr.views import Examples, View
from feature_store.knowledge import Knowledge
from sources.progress import Progress, silent

Views = dict[str, dict[str, View] | Examples]
"""Adapter's place in the arm -> view -> table, or the examples it shows."""


@dataclass(frozen=True)
class ArmResult:
    """What an arm gave."""

    test: np.ndarray
    """[S, n] float32: probabilities of the test rows, one line a seed."""
    validation_auc: tuple[tuple[float, ...], ...]
    """AUC on the validation rows after each epoch, one tuple a seed."""
    parameters: int
    """Number of trained parameters."""
    samples_per_cpu_second: float
    """Training speed, the mean over seeds."""
    retrieval: Mapping[str, float | None] | None
    """What is reported of the examples it shows (`ctr.retrieval_facts`); None when it shows none."""


def prepare_views(
    arm: Arm, knowledge: Mapping[str, Knowledge], samples: Samples, folds: int, choice: Choice = STRICT
) -> Views:
    """Prepare all adapters of an arm.

    Args:
        arm: The arm.
        knowledge: The vectors it reads, by `task/encoder`.
        samples: The samples.
        folds: Folds of whatever is fitted out of fold.
        choice: How examples are chosen, where the arm shows any.

    Raises:
        UnfitExamples: An example is not for training.
    """
    adapters = find_adapters()
    choice = replace(choice, by_chance=arm.disturbance == "examples_by_chance")
    views: Views = {}
    for place, use in enumerate(arm.uses):
        adapter = adapters[use.adapter]
        vectors = [disturb(knowledge[name], arm.disturbance) for name in use.vectors]
        if isinstance(adapter, ExampleAdapter):
            views[f"{place}_{use.adapter}"] = adapter.prepare(vectors, samples, choice)
        else:
            views[f"{place}_{use.adapter}"] = dict(adapter.prepare(vectors, samples, folds))
    return views


def make_model(
    arm: Arm, views: Views, batches: Batches, samples: Samples, config: TrainConfig, seed: int
) -> ClickModel:
    """Make a fresh model of an arm; the seed decides its first parameters.

    Raises:
        UnfitVectors: An adapter cannot take its vectors together; the text names the arm.
    """
    torch.manual_seed(seed)
    fields = Fields(
        users=len(samples.user_ids),
        items=len(samples.item_ids),
        categories=samples.item_categories.shape[1],
        history_length=samples.history.shape[1],
        width=config.embedding_dim,
    )
    modules = {}
    for use, (place, read) in zip(arm.uses, views.items(), strict=True):
        try:
            modules[place] = _make_module(use.adapter, read, fields.count * fields.width + batches.dense_width, config)
        except UnfitVectors as fault:
            raise UnfitVectors(f"arm {arm.name}: {fault.why}", fault.widths) from None
    return build_model(config.backbone, fields, batches.dense_width, modules)


def _make_module(
    name: str, read: Mapping[str, View] | Examples, features: int, config: TrainConfig
) -> AdapterModule | ExampleModule:
    adapter = find_adapters()[name]
    if isinstance(adapter, ExampleAdapter):
        assert isinstance(read, Examples)  # its own `prepare` made it
        return adapter.build(features, read.width, config.examples.count, config.examples.alpha)
    assert not isinstance(read, Examples)
    return adapter.build({view: table.width for view, table in read.items()})


def train_arm(
    arm: Arm, knowledge: Mapping[str, Knowledge], samples: Samples, config: TrainConfig, progress: Progress = silent
) -> ArmResult:
    """Train an arm once per seed and score the test rows.

    Args:
        arm: The arm.
        knowledge: The vectors it reads, by `task/encoder`.
        samples: The samples.
        config: How to train.
        progress: Told how many models are done.

    Raises:
        UnfitVectors: An adapter cannot take its vectors together.
        UnfitExamples: An example is not for training.
        ArmFailed: Training ran off to infinity.
    """
    choice = Choice(config.examples.count, config.examples.strict)
    views = prepare_views(arm, knowledge, samples, config.folds, choice)
    batches, test = Batches(samples, views), rows_of(samples, "test")
    runs: list[Trained] = []
    for number, seed in enumerate(config.seeds):
        progress(f"training {arm.name}", number, len(config.seeds))
        model = make_model(arm, views, batches, samples, config, seed)
        runs.append(train(model, batches, samples, config, seed, silent))
    progress(f"training {arm.name}", len(config.seeds), len(config.seeds))
    return ArmResult(
        test=np.stack([score(run.model, batches, test) for run in runs]),
        validation_auc=tuple(run.validation_auc for run in runs),
        parameters=sum(p.numel() for p in runs[0].model.parameters()),
        samples_per_cpu_second=float(np.mean([run.samples_per_cpu_second for run in runs])),
        retrieval=next((read.facts for read in views.values() if isinstance(read, Examples)), None),
    )
