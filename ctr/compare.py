"""One arm from its vectors to its scores: adapters are prepared once, then one model is trained per seed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ctr.adapters.catalogue import find_adapters
from ctr.arms import Arm, disturb
from ctr.batch import Batches
from ctr.config import TrainConfig
from ctr.faults import UnfitVectors
from ctr.fields import Fields
from ctr.model import ClickModel, build_model
from ctr.samples import Samples
from ctr.train import Trained, rows_of, score, train
from ctr.views import View
from feature_store.knowledge import Knowledge
from sources.progress import Progress, silent

Views = dict[str, dict[str, View]]
"""Adapter's place in the arm -> view -> table."""


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


def prepare_views(arm: Arm, knowledge: Mapping[str, Knowledge], samples: Samples, folds: int) -> Views:
    """Prepare all adapters of an arm.

    Args:
        arm: The arm.
        knowledge: The vectors it reads, by `task/encoder`.
        samples: The samples.
        folds: Folds of whatever is fitted out of fold.
    """
    adapters = find_adapters()
    views: Views = {}
    for place, use in enumerate(arm.uses):
        vectors = [disturb(knowledge[name], arm.disturbance) for name in use.vectors]
        views[f"{place}_{use.adapter}"] = dict(adapters[use.adapter].prepare(vectors, samples, folds))
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
    adapters, modules = find_adapters(), {}
    for use, (place, of_one) in zip(arm.uses, views.items(), strict=True):
        try:
            modules[place] = adapters[use.adapter].build({name: view.width for name, view in of_one.items()})
        except UnfitVectors as fault:
            raise UnfitVectors(f"arm {arm.name}: {fault.why}", fault.widths) from None
    return build_model(config.backbone, fields, batches.dense_width, modules)


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
        ArmFailed: Training ran off to infinity.
    """
    views = prepare_views(arm, knowledge, samples, config.folds)
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
    )
