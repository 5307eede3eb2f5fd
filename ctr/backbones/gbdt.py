"""Gradient-boosted trees on the same strict statistics, categories, numbers and views; no ids.

Paper:     Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree" (NeurIPS).
Idea:      trees need no scaling and find thresholds and interactions of counted features that a small network misses.
Formula:   logit = sum_t eta f_t(x); each f_t is grown leaf by leaf on the gradient of the log loss; a split of a
           category puts some of its values on one side.
Relations: networks (DCNv2, DeepFM, DIN, LR) learn ids and trainable adapters; blend uses both.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from ctr.backbones.protocol import Backbone
from ctr.config import TrainConfig, TreesConfig
from ctr.faults import unfit_kept
from ctr.samples import Samples
from ctr.schedule import for_rows
from ctr.train import validation_auc
from ctr.views import View
from sources.events import PARTS

FILE = "trees.txt"


@dataclass(frozen=True)
class Columns:
    """Inputs of the trees for N samples."""

    values: np.ndarray
    """[N, F] float32, NaN where unknown."""
    categories: tuple[int, ...]
    """Columns with codes of a category."""


@dataclass(frozen=True)
class TrainedTrees:
    """The result of one training run."""

    booster: lightgbm.Booster
    """The trees."""
    columns: Columns
    """Their inputs."""
    validation_auc: tuple[float, ...]
    """AUC on the validation rows after the last tree; empty if there are no such rows."""
    samples_per_cpu_second: float
    """Training samples over the CPU time of training."""

    @property
    def parameters(self) -> int:
        """Return the number of leaf values."""
        return int(sum(tree["num_leaves"] for tree in self.booster.dump_model()["tree_info"]))

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits of some samples: [n] int64 -> [n] float64."""
        if len(rows) == 0:
            return np.zeros(0)
        return np.asarray(self.booster.predict(self.columns.values[rows], raw_score=True), dtype=np.float64)

    def write(self, folder: Path) -> None:
        """Write the trees in LightGBM's own text format."""
        self.booster.save_model(str(folder / FILE))


class Trees:
    """Trains trees on some samples.

    Args:
        samples: N samples.
        views: Inputs from the adapters: adapter's position in the arm -> view, one row per sample.
    """

    def __init__(self, samples: Samples, views: Mapping[str, Mapping[str, View]]) -> None:
        self.samples, self.columns = samples, columns_of(samples, views)
        self._binned: tuple[bytes, lightgbm.Dataset] | None = None  # of the last training rows

    @property
    def searched(self) -> None:
        """Return None: trees have no epochs."""
        return

    def train(self, part: np.ndarray, config: TrainConfig, seed: int) -> TrainedTrees:
        """Grow trees on the training rows.

        Args:
            part: [N] int8, index into `PARTS`, -1 = in no part.
            config: Training settings; `trees` has those of the trees.
            seed: Seed of the rows and columns sampled for each tree.
        """
        rows, checked = (np.flatnonzero(part == PARTS.index(name)) for name in ("train", "validation"))
        begun, config = time.process_time(), for_rows(config, len(rows))
        binned = self._bin(rows, config.trees)
        booster = lightgbm.train(parameters(config.trees, seed), binned, num_boost_round=config.trees.count)
        seconds = time.process_time() - begun
        trained = TrainedTrees(booster, self.columns, (), len(rows) / max(seconds, 1e-9))
        auc = validation_auc(self.samples.label[checked], trained.logits(checked))
        return replace(trained, validation_auc=auc)

    def read(self, folder: Path, config: TrainConfig) -> TrainedTrees:
        """Read saved trees.

        Raises:
            WrongUse: They were trained on a different number of columns.
        """
        booster, columns = lightgbm.Booster(model_file=str(folder / FILE)), self.columns.values.shape[1]
        if booster.num_feature() != columns:
            raise unfit_kept(folder, f"its trees read {booster.num_feature()} columns, the samples have {columns}")
        return TrainedTrees(booster, self.columns, (), 0.0)

    def _bin(self, rows: np.ndarray, config: TreesConfig) -> lightgbm.Dataset:
        """Bin the columns of some rows, once for all seeds.

        Bins are quantiles of statistics, which are computed from labels: later rows must not be included.
        """
        key = rows.tobytes() + repr(config).encode()
        if self._binned is None or self._binned[0] != key:
            made = lightgbm.Dataset(
                self.columns.values[rows],
                label=self.samples.label[rows],
                categorical_feature=list(self.columns.categories),
                params=parameters(config, 0),
                free_raw_data=False,  # needed for a second training
            )
            self._binned = (key, made.construct())
        return self._binned[1]


def parameters(config: TreesConfig, seed: int) -> dict[str, Any]:
    """Return LightGBM's parameters: one thread and a fixed order, so that the same seed gives the same trees."""
    return {
        "objective": "binary",
        "learning_rate": config.learning_rate,
        "num_leaves": config.leaves,
        "min_data_in_leaf": config.least_samples,
        "feature_fraction": config.column_share,
        "bagging_fraction": config.row_share,
        "bagging_freq": 1,
        "lambda_l2": config.penalty,
        "max_bin": config.bins,
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def columns_of(samples: Samples, views: Mapping[str, Mapping[str, View]]) -> Columns:
    """Lay out all inputs of the trees.

    A category field with at most one value per item becomes one column of codes; a field with several values per item
    becomes one column of shares for each value.
    """
    blocks, codes = [samples.statistics, samples.item_numbers[samples.item]], []
    for begin, end in samples.category_spans:
        block = samples.item_categories[:, begin:end]
        single = (block > 0).sum(axis=1) <= 1
        if single.all():
            codes.append(sum(one.shape[1] for one in blocks))
            code = np.where(block.any(axis=1), block.argmax(axis=1), -1)  # LightGBM treats -1 as unknown
            blocks.append(code[samples.item, None])
        else:
            blocks.append(block[samples.item])
    for of_one in views.values():
        for view in of_one.values():
            table = np.concatenate([view.table, np.full((1, view.width), np.nan, dtype=np.float32)])
            blocks.append(table[view.rows])  # row -1 is the last one: unknown
    return Columns(np.concatenate(blocks, axis=1, dtype=np.float32), tuple(codes))


GBDT = Backbone("gbdt", "Gradient-boosted trees over counted features; no ids.", trees=True)
