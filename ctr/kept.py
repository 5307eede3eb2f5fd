"""Kept models: save the model of an arm's best seed, and score any rows with it.

A folder has `network.safetensors`, `trees.txt` (LightGBM's own text format) or both, and `model.json`: the release,
the arm, the columns and their order, the codes of users, items and categories, the scale of numbers, metrics, seed,
settings and calibration. Nothing is pickled, so opening a model executes no code.
Only the model's own parameters are saved. Its inputs are recomputed: statistics, histories and the views of the
adapters come from the given events, and each row reads only strictly earlier events. So a row keeps its values when
later events arrive; only `quality` chooses its fitting times over the whole log, so its values change slightly as the
log grows.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctr.calibration import CALIBRATION, CalibratedModel, Calibration
from ctr.compare import Best, prepare_views, probabilities
from ctr.config import TrainConfig
from ctr.faults import unfit_kept
from ctr.learners import make_learner
from ctr.samples import Frame, Samples
from ctr.train import validation_auc
from feature_store.vectors import Knowledge
from llm_tasks.pipeline.arm import Arm, Use
from retrieval.examples import ExampleRule
from sources.events import PARTS
from sources.tables import Dataset

FACTS = "model.json"


@dataclass(frozen=True)
class Kept:
    """A kept model, before it scores samples."""

    folder: Path
    """Its folder."""
    release: str
    """The release whose vectors it was trained on."""
    arm: Arm
    """The arm."""
    seed: int
    """Its seed."""
    settings: TrainConfig
    """Its training settings."""
    frame: Frame
    """The meaning of codes and columns."""
    history_length: int
    """Events in a history."""
    metrics: Mapping[str, float | None]
    """AUC on the validation rows (`validation_auc`) and on the test rows (`test_auc`) of its run."""
    fields: "ItemFields | None" = None
    """The items' fields that it reads; None for a model kept before they were noted."""
    calibration: Calibration | None = None
    """What its logits go through before they become probabilities; None = nothing."""


@dataclass(frozen=True)
class ItemFields:
    """The items' fields that a model reads, in the order of its columns."""

    categories: tuple[str, ...]
    """Names of the category fields."""
    numbers: tuple[str, ...]
    """Names of the number fields."""

    @classmethod
    def of(cls, dataset: Dataset) -> "ItemFields":
        """Return the fields of a dataset."""
        return cls(dataset.category_fields, dataset.number_fields)


def keep(folder: Path, arm: Arm, best: Best, samples: Samples, release: str, fields: ItemFields | None = None) -> None:
    """Write an arm's best model atomically.

    Args:
        folder: Its folder; existing content is replaced.
        arm: The arm.
        best: The result of training.
        samples: The samples that it was trained on.
        release: Name of the release whose vectors it read.
        fields: The items' fields behind the samples' columns.
    """
    half = folder.with_name(f"{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    best.model.write(half)
    test = np.flatnonzero(samples.part == PARTS.index("test"))
    (test_auc,) = validation_auc(samples.label[test], best.model.logits(test)) or (None,)
    facts = {
        "release": release,
        "arm": asdict(arm),
        "seed": best.seed,
        "metrics": {"validation_auc": max(best.model.validation_auc, default=None), "test_auc": test_auc},
        "settings": best.settings.model_dump(mode="json"),
        "calibration": best.calibration.model_dump() if best.calibration else None,
        "features": {
            "history_length": samples.history.shape[1],
            "statistics": samples.statistics.shape[1],
            "numbers": len(samples.number_scale),
            "categories": samples.item_categories.shape[1],
            "views": best.widths,
            "fields": None if fields is None else asdict(fields),
        },
        "frame": asdict(Frame.of(samples)),
    }
    (half / FACTS).write_text(json.dumps(facts, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)  # from an earlier run of this name whose folder was deleted
    half.replace(folder)


def open_kept(folder: Path) -> Kept:
    """Open a kept model.

    Raises:
        WrongUse: The folder has none.
    """
    if not (folder / FACTS).is_file():
        raise unfit_kept(folder, "there is no kept model")
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    # Models saved before codes existed have no `codes`.
    uses = (Use(use["adapter"], tuple(use["vectors"]), tuple(use.get("codes", ()))) for use in facts["arm"]["uses"])
    frame, fields = facts["frame"], facts["features"].get("fields")
    return Kept(
        folder,
        facts["release"],
        Arm(**{**facts["arm"], "uses": tuple(uses)}),
        facts["seed"],
        TrainConfig.model_validate(facts["settings"]),
        Frame(
            tuple(frame["user_ids"]),
            tuple(frame["item_ids"]),
            tuple(tuple(values) for values in frame["category_values"]),
            tuple((mean, deviation) for mean, deviation in frame["number_scale"]),
        ),
        facts["features"]["history_length"],
        facts["metrics"],
        None if fields is None else ItemFields(tuple(fields["categories"]), tuple(fields["numbers"])),
        CALIBRATION.validate_python(saved) if (saved := facts.get("calibration")) else None,
    )


def score_rows(
    kept: Kept,
    knowledge: Mapping[str, Knowledge],
    samples: Samples,
    rows: np.ndarray,
    plugins: Sequence[Path] = (),
) -> np.ndarray:
    """Score some samples, from the run itself or from a later log.

    Args:
        kept: The model.
        knowledge: Inputs of its arm, by `task/encoder` or `codes/NAME`.
        samples: Built in the model's frame (`build_samples(dataset, histories, kept.frame)`), with histories as long as
            in training. A row does not read its own label, so a pair that has no rating yet can be an event with any
            label, as its user's newest.
        rows: [n] int64.
        plugins: Folders of a team's own plug-ins.

    Returns:
        [n] float32: probabilities of a click.

    Raises:
        WrongUse: The samples' columns differ from those in training.
        WrongUse: An example of the arm is not a training row.
    """
    rule = ExampleRule(kept.settings.examples.count, kept.settings.examples.strict)
    views = prepare_views(kept.arm, knowledge, samples, kept.settings.folds, rule, plugins)
    learner = make_learner(kept.arm, views, samples, kept.settings, plugins)
    model = learner.read(kept.folder, kept.settings)
    return probabilities(CalibratedModel(model, kept.calibration) if kept.calibration else model, rows)
