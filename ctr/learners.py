"""Learners: prepare an arm's views and samples once, and train models from them under any split and seed.

A network learns ids and what its adapters learn with them; trees read columns; a blend averages the logits of both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from base.faults import WrongUse
from base.progress import silent
from ctr.adapters.catalogue import find_adapters
from ctr.adapters.protocol import Adapter, AdapterModule, ExampleAdapter, ExampleModule, Plain
from ctr.backbones.gbdt import Trees
from ctr.backbones.protocol import choose_backbone
from ctr.batch import Batches, Fields
from ctr.config import TrainConfig
from ctr.faults import unfit_kept
from ctr.model import ClickModel, build_model
from ctr.past import PastRule
from ctr.rating_head import check_ratings, make_rating_head
from ctr.samples import Samples
from ctr.schedule import for_rows
from ctr.train import score_logits, train, validation_auc
from ctr.views import Examples, View
from llm_tasks.pipeline.arm import Arm
from sources.events import PARTS

NETWORK_FILE = "network.safetensors"
IDS = ("fields.user.weight", "fields.item.weight")
"""Parameters with one row per id."""
Views = dict[str, dict[str, View] | Examples]
"""Adapter's place in the arm -> view -> table, or the examples it shows."""


class Model(Protocol):
    """A trained model."""

    @property
    def validation_auc(self) -> tuple[float, ...]:
        """AUC on the validation rows after each epoch; empty where there are none."""
        ...

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        ...

    @property
    def samples_per_cpu_second(self) -> float:
        """Training speed."""
        ...

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits of some samples: [n] int64 -> [n] float64."""
        ...

    def write(self, folder: Path) -> None:
        """Write what was learned, for `Learner.read`."""
        ...


class Learner(Protocol):
    """The methods of every learner."""

    @property
    def searched(self) -> "Learner | None":
        """The part of it whose learning rate and epochs can be searched; None where it has neither."""
        ...

    def train(self, part: np.ndarray, config: TrainConfig, seed: int) -> Model:
        """Train one model.

        Args:
            part: [N] int8, index into `PARTS`, -1 = in no part.
            config: Learning rate and epochs, where it has any.
            seed: Decides the model.
        """
        ...

    def read(self, folder: Path, config: TrainConfig) -> Model:
        """Read what a model of this arm learned, to score these samples.

        Args:
            folder: Where the model was written.
            config: How it was trained.

        Raises:
            WrongUse: It was trained on other columns.
        """
        ...


@dataclass(frozen=True)
class NetworkModel:
    """A trained network."""

    model: ClickModel
    """The network."""
    batches: Batches
    """What it reads."""
    validation_auc: tuple[float, ...]
    """AUC on the validation rows after each epoch."""
    samples_per_cpu_second: float
    """Training speed."""

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(one.numel() for one in self.model.parameters())

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits of some samples: [n] int64 -> [n] float64."""
        return score_logits(self.model, self.batches, torch.from_numpy(rows)).astype(np.float64)

    def write(self, folder: Path) -> None:
        """Write the parameters as safetensors."""
        save_file({name: one.contiguous() for name, one in self.model.state_dict().items()}, folder / NETWORK_FILE)


class Network:
    """Trains networks.

    Args:
        arm: Its adapters.
        views: What they read.
        samples: All samples.
        plugins: Folders of a team's own plug-ins.
        past_rule: The earlier events that the backbone asks for.
    """

    def __init__(
        self,
        arm: Arm,
        views: Views,
        samples: Samples,
        plugins: Sequence[Path] = (),
        past_rule: PastRule | None = None,
    ) -> None:
        self.arm, self.views, self.samples, self.plugins = arm, views, samples, plugins
        self.batches = Batches(samples, views, past_rule)

    @property
    def searched(self) -> Learner:
        """Itself."""
        return self

    def train(self, part: np.ndarray, config: TrainConfig, seed: int) -> NetworkModel:
        """Train a network of this seed.

        Raises:
            WrongUse: The second task has no ratings to learn.
            CheckFailed: Training diverged.
        """
        samples, config = replace(self.samples, part=part), for_rows(config, int((part == PARTS.index("train")).sum()))
        if config.rating_weight:
            check_ratings(samples)
        model = make_model(self.arm, self.views, self.batches, samples, config, seed, self.plugins)
        run = train(model, self.batches, samples, config, seed, silent)
        return NetworkModel(run.model, self.batches, run.validation_auc, run.samples_per_cpu_second)

    def read(self, folder: Path, config: TrainConfig) -> NetworkModel:
        """Read a network; users and items that were not in its training data add nothing."""
        model = make_model(self.arm, self.views, self.batches, self.samples, config, 0, self.plugins)
        learned = load_file(folder / NETWORK_FILE)
        for name in IDS:
            met, width = learned[name].shape
            new = torch.zeros(len(model.state_dict()[name]) - met, width)
            learned[name] = torch.cat([learned[name], new])
        try:
            model.load_state_dict(learned)
        except RuntimeError as error:
            raise unfit_kept(folder, str(error)) from None
        return NetworkModel(model, self.batches, (), 0.0)


def make_model(
    arm: Arm,
    views: Views,
    batches: Batches,
    samples: Samples,
    config: TrainConfig,
    seed: int,
    plugins: Sequence[Path] = (),
) -> ClickModel:
    """Make a fresh network of an arm; the seed decides its first parameters.

    Raises:
        WrongUse: An adapter cannot take its vectors together; the text names the arm.
    """
    torch.manual_seed(seed)
    backbone = choose_backbone(config.backbone, plugins)
    fields = Fields(
        users=len(samples.user_ids),
        items=len(samples.item_ids),
        categories=samples.item_categories.shape[1],
        history_length=samples.history.shape[1],
        width=config.embedding_dim,
        events=backbone.history,
        sparse_from=config.sparse_from,
    )
    modules, adapters = {}, find_adapters(plugins)
    for use, (place, read) in zip(arm.uses, views.items(), strict=True):
        try:
            features = fields.count * fields.width + batches.dense_width
            modules[place] = _make_module(adapters[use.adapter], read, features, config)
        except WrongUse as fault:
            raise WrongUse(f"arm {arm.name}: {fault}") from None
    weight = config.rating_weight
    make_rating = partial(make_rating_head, samples, weight) if weight else None
    return build_model(backbone, fields, batches.dense_width, modules, make_rating)


def _make_module(
    adapter: Adapter | ExampleAdapter, read: Mapping[str, View] | Examples, features: int, config: TrainConfig
) -> AdapterModule | ExampleModule:
    if isinstance(adapter, ExampleAdapter):
        assert isinstance(read, Examples)  # its own `prepare` made it
        return adapter.build(features, read.width, config.examples.count, config.examples.alpha)
    assert not isinstance(read, Examples)
    return adapter.build({view: table.width for view, table in read.items()})


@dataclass(frozen=True)
class BlendModel:
    """A network and trees whose logits are averaged."""

    models: tuple[Model, ...]
    """Those that answer; their logits are averaged."""
    validation_auc: tuple[float, ...]
    """AUC on the validation rows of the averaged logits; empty where there are none."""

    @property
    def parameters(self) -> int:
        """Number of trained parameters of all."""
        return sum(model.parameters for model in self.models)

    @property
    def samples_per_cpu_second(self) -> float:
        """Training speed of all, one after the other."""
        return 1 / sum(1 / model.samples_per_cpu_second for model in self.models)

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits of some samples: [n] int64 -> [n] float64."""
        return np.mean([model.logits(rows) for model in self.models], axis=0)

    def write(self, folder: Path) -> None:
        """Write all of them, each in a file of its own."""
        for model in self.models:
            model.write(folder)


class Blend:
    """Trains several learners and averages their logits.

    Args:
        learners: Those that are averaged.
        samples: All samples.
    """

    def __init__(self, learners: Sequence[Learner], samples: Samples) -> None:
        self.learners, self.samples = tuple(learners), samples

    @property
    def searched(self) -> Learner | None:
        """The first of its learners that can be searched."""
        return next((one.searched for one in self.learners if one.searched), None)

    def train(self, part: np.ndarray, config: TrainConfig, seed: int) -> BlendModel:
        """Train one model of each learner, with the same seed."""
        models = tuple(learner.train(part, config, seed) for learner in self.learners)
        rows = np.flatnonzero(part == PARTS.index("validation"))
        both = BlendModel(models, ())
        return replace(both, validation_auc=validation_auc(self.samples.label[rows], both.logits(rows)))

    def read(self, folder: Path, config: TrainConfig) -> BlendModel:
        """Read all of them."""
        return BlendModel(tuple(learner.read(folder, config) for learner in self.learners), ())


def make_learner(
    arm: Arm, views: Views, samples: Samples, config: TrainConfig, plugins: Sequence[Path] = ()
) -> Learner:
    """Make an arm's learner.

    Args:
        arm: The arm.
        views: What its adapters prepared.
        samples: All samples.
        config: Which backbone, and its sizes.
        plugins: Folders of a team's own plug-ins.

    Raises:
        WrongUse: Trees alone cannot train what an adapter of the arm has to learn.
        WrongUse: The backbone searches a past by category, and items have none.
        WrongUse: Trees alone cannot learn a second task.
        UnknownPlugin: There is no such backbone.
    """
    backbone, adapters = choose_backbone(config.backbone, plugins), find_adapters(plugins)
    plain = [_is_plain(adapters[use.adapter]) for use in arm.uses]
    learners: list[Learner] = [Network(arm, views, samples, plugins, backbone.past)] if backbone.network else []
    if not learners and config.rating_weight:
        raise WrongUse(
            f"train.rating_weight: {backbone.name} has no network that could learn ratings beside clicks\n"
            "  choose another backbone in knowflow.yaml, such as train: {backbone: blend}, or leave rating_weight out"
        )
    if backbone.trees:
        if not learners and not all(plain):
            learned = [use.adapter for use, is_plain in zip(arm.uses, plain, strict=True) if not is_plain]
            raise WrongUse(
                f"arm {arm.name}: {', '.join(learned)} learns with the model, which trees alone cannot\n"
                "  choose another backbone in knowflow.yaml: train: {backbone: blend}, or a network such as dcnv2"
            )
        # What an adapter learns with the model enters by the network alone.
        learners.append(Trees(samples, _columns(views, plain)))
    return learners[0] if len(learners) == 1 else Blend(learners, samples)


def _is_plain(adapter: Adapter | ExampleAdapter) -> bool:
    """Return whether an adapter passes on its views unchanged, so that nothing in it is trained."""
    return isinstance(adapter, Adapter) and adapter.build is Plain


def reads_columns(arm: Arm, views: Views, plugins: Sequence[Path] = ()) -> list[str]:
    """Return the places of the adapters whose views trees read as columns."""
    adapters = find_adapters(plugins)
    return list(_columns(views, [_is_plain(adapters[use.adapter]) for use in arm.uses]))


def _columns(views: Views, plain: Sequence[bool]) -> dict[str, dict[str, View]]:
    """Return the views that can be read as columns."""
    return {
        place: read
        for (place, read), reads in zip(views.items(), plain, strict=True)
        if reads and not isinstance(read, Examples)
    }
