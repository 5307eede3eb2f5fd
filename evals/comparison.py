"""A comparison of arms: which rows are compared, which of them see a model's answer, and the result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import polars as pl

from base.progress import Progress, silent
from ctr.samples import Samples, codes_of
from ctr.views import knowledge_view
from evals.conclusion import conclude_both
from evals.evaluate import Scores, evaluate
from feature_store.lineage import VectorName, technique_of
from feature_store.vectors import Knowledge
from llm_tasks.cot_examples import event_hashes
from llm_tasks.pipeline.arm import FACTS
from llm_tasks.pipeline.task import Task
from sources.events import PARTS, rolling_split
from sources.negatives import positives_of, trained_rows
from sources.tables import Dataset

BEFORE, AFTER = "segment_before_cutoff", "segment_after_cutoff"
COLD_BELOW = 5
"""Training events below which an item is cold (docs/benchmarks.md, protocol)."""


def windows_of(dataset: Dataset, cuts: Sequence[float]) -> list[np.ndarray]:
    """Return the parts of all samples at each cut of rolling time, the first for choosing settings; empty without cuts.

    A window is left out if its training or its test rows lack one of the labels; all are left out if the first one is,
    because nothing can be trained or evaluated on such a short log.

    Args:
        dataset: The data; a sampled negative is in the part of its positive.
        cuts: Shares of all events, rising.

    Returns:
        [N] int8 each, index into `PARTS`, -1 = in no part.
    """
    label = trained_rows(dataset)["label"].to_numpy()
    rows = np.concatenate([np.arange(len(dataset.events)), positives_of(dataset)])
    names = rolling_split(dataset.events, cuts) if cuts else []
    parts = [codes_of(one, np.array(PARTS)).astype(np.int8)[rows] for one in names]
    fit = [part for part in parts[1:] if all(len(np.unique(label[part == of])) > 1 for of in (0, PARTS.index("test")))]
    return [parts[0], *fit] if fit and (parts[0] == 0).any() else []


def segments_of_test(samples: Samples, knows: np.ndarray, cutoff: np.datetime64 | None = None) -> dict[str, np.ndarray]:
    """Sort the test rows into segments, which may overlap.

    Args:
        samples: N samples.
        knows: [N] bool, the samples that see a model's answer about their item.
        cutoff: The time until which the answering model knows the world, in UTC; None if unknown.

    Returns:
        Name -> [n] bool over the n test rows: all, warm, cold, cold_with_knowledge; and before_cutoff and after_cutoff
        if a test row is strictly later than the cutoff (otherwise before_cutoff would equal all).
    """
    test, cold = samples.part == PARTS.index("test"), cold_rows(samples)
    masks = {"all": np.ones(len(cold), dtype=bool), "warm": ~cold, "cold": cold, "cold_with_knowledge": cold & knows}
    if cutoff is not None:
        later = samples.time > cutoff
        if (later & test).any():
            masks |= {"before_cutoff": ~later, "after_cutoff": later}
    return {name: mask[test] for name, mask in masks.items()}


def cold_rows(samples: Samples) -> np.ndarray:
    """Find the samples whose item has fewer than 5 training events: [N] bool."""
    train = (samples.part == PARTS.index("train")) & samples.happened
    return np.bincount(samples.item[train], minlength=len(samples.item_ids))[samples.item] < COLD_BELOW


def coverage(samples: Samples, knows: np.ndarray) -> dict[str, float]:
    """Compute the share of all samples, of test rows and of cold test rows that see a row of knowledge.

    Args:
        samples: N samples.
        knows: [N] bool.
    """
    test = samples.part == PARTS.index("test")
    parts = {"all": np.ones(len(test), dtype=bool), "test": test, "cold": test & cold_rows(samples)}
    return {name: float(knows[part].mean()) if part.any() else 0.0 for name, part in parts.items()}


def about_what(task: str, techniques: Mapping[str, Task]) -> str | None:
    """Return what the rows of a technique, or of a part of its answers, are about; None if it no longer exists."""
    technique = techniques.get(technique_of(task))
    return technique.entity if technique else None


def encodings_of_tasks(vectors: Iterable[VectorName], techniques: Mapping[str, Task]) -> dict[str, str]:
    """Technique -> one encoder of its text, of all whose rows are looked up by a sample's item or user.

    The rows of a technique do not depend on the encoder, so one encoding of each is enough. Rows about events can be
    shown to all samples and are left out.

    Args:
        vectors: Names of a release's vectors.
        techniques: All techniques by name.
    """
    return {task: encoder for task, encoder in vectors if about_what(task, techniques) != "event"}


def who_knows(knowledge: Iterable[tuple[str, Knowledge]], samples: Samples) -> dict[str, np.ndarray]:
    """Map each technique to [N] bool: the samples that see a row about their item or their user."""
    return {task: knowledge_view(rows, samples).rows >= 0 for task, rows in knowledge}


def known_items(knows: Mapping[str, np.ndarray], techniques: Mapping[str, Task], rows: int) -> np.ndarray:
    """Find the samples that see a model's answer about their item.

    Args:
        knows: From `who_knows`.
        techniques: All techniques by name.
        rows: N, the number of samples.

    Returns:
        [N] bool.
    """
    of_a_model = [
        mask
        for task, mask in knows.items()
        if task != FACTS
        and about_what(task, techniques) == "item"
        and techniques[technique_of(task)].prompt is not None
    ]
    return np.any(of_a_model, axis=0) if of_a_model else np.zeros(rows, dtype=bool)


def compared_rows(samples: Samples, known: np.ndarray, cutoff: np.datetime64 | None) -> pl.DataFrame:
    """Return the test rows of the split: key, label, user, and a column segment_NAME for each segment.

    The key is made of user, item and time, so that a later run finds the same rows again.

    Args:
        samples: All samples.
        known: [N] bool, the samples that see a model's answer about their item.
        cutoff: The time until which the model knows the world; None if unknown.
    """
    test, segments = samples.part == PARTS.index("test"), segments_of_test(samples, known, cutoff)
    of = {"user": samples.user_ids[samples.user[test]], "item": samples.item_ids[samples.item[test]]}
    keys = event_hashes(pl.DataFrame({**of, "time": samples.time[test]}))
    columns = {"key": keys, "label": samples.label[test], "user": samples.user[test]}
    return pl.DataFrame(columns | {f"segment_{name}": mask for name, mask in segments.items()})


def rolling_rows(
    samples: Samples, windows: Sequence[np.ndarray], known: np.ndarray, cutoff: np.datetime64 | None
) -> pl.DataFrame:
    """Return the pooled test rows of all windows of rolling time, as from `compared_rows`."""
    by_window = [compared_rows(replace(samples, part=window), known, cutoff) for window in windows]
    pooled = pl.concat(by_window, how="diagonal")
    # A window without a row after the cutoff has no such segments: all of its rows are before it.
    sides = {name: pl.col(name).fill_null(name == BEFORE) for name in (BEFORE, AFTER) if name in pooled.columns}
    return pooled.with_columns(**sides)


def noted_rows(
    samples: Samples, windows: Sequence[np.ndarray], knows: Mapping[str, np.ndarray], cutoff: np.datetime64 | None
) -> dict[str, Any]:
    """Collect facts about the compared rows: shares that see each technique, cuts, years, rows after the cutoff."""
    times = samples.time[samples.part == PARTS.index("test")]
    after = float((times > cutoff).mean()) if cutoff is not None and len(times) else 0.0
    return {
        "coverage": {task: coverage(samples, mask) for task, mask in knows.items()},
        "cuts": [_cut(samples, window) for window in windows],
        "after_cutoff": None if cutoff is None else after,
        "test_years": [int(str(edge)[:4]) for edge in (times.min(), times.max())] if len(times) else [],
    }


def _cut(samples: Samples, window: np.ndarray) -> dict[str, Any]:
    """Collect facts about one cut of rolling time."""
    train, test = (window == PARTS.index(name) for name in ("train", "test"))
    return {
        "share": float(train.mean()),
        "time": str(samples.time[test].min()),
        "train_rows": int(train.sum()),
        "test_rows": int(test.sum()),
        "test_users": len(np.unique(samples.user[test])),
    }


def noted_data(
    samples: Samples,
    label: str,
    split_by: Literal["user_position", "global_time"],
    shares: tuple[float, float],
    model: str,
) -> dict[str, Any]:
    """Return facts about the data and the model for the page, by heading.

    Args:
        samples: All samples.
        label: How labels are made, in words.
        split_by: How events are split.
        shares: Shares of training and of validation.
        model: The model without knowledge, in words.
    """
    counts = np.bincount(samples.part, minlength=len(PARTS))
    how = "each user's events by position" if split_by == "user_position" else "all events at two moments"
    return {
        "Events": int(samples.happened.sum()),
        "Users": len(samples.user_ids),
        "Items": len(samples.item_ids),
        "Label": label,
        "Positive": f"{samples.label.mean():.1%}",
        "Split": f"{shares[0]:.0%} training, {shares[1]:.0%} validation, the rest test: {how}",
        "Rows": f"{counts[0]:,} training, {counts[1]:,} validation, {counts[2]:,} test",
        "History": f"the newest {samples.history.shape[1]} events strictly before a sample",
        "Model": model,
    }


def scores_of(rows: pl.DataFrame, probabilities: Mapping[str, np.ndarray]) -> Scores:
    """Combine compared rows with every arm's predictions ([S, N] each)."""
    names = [name for name in rows.columns if name.startswith("segment_")]
    segments = {name.removeprefix("segment_"): rows[name].to_numpy() for name in names}
    return Scores(rows["label"].to_numpy(), rows["user"].to_numpy(), segments, probabilities)


def compare_arms(
    scores: Scores, rolling: Scores | None, cuts: Sequence[Mapping[str, Any]], progress: Progress = silent
) -> dict[str, Any]:
    """Evaluate all arms under both protocols.

    Args:
        scores: Predictions of the split's test rows.
        rolling: The same for rolling time; None without cuts.
        cuts: Facts about each cut.
        progress: Called with the number of resampled predictions.

    Returns:
        The result of `evals.evaluate` for the split, with the same for rolling time under `rolling` (None without
        cuts), and under `conclusion` what holds in both.
    """
    result = evaluate(scores, progress=progress)
    other = None if rolling is None else evaluate(rolling, progress=progress) | {"cuts": list(cuts)}
    return result | {"rolling": other, "conclusion": conclude_both(result, other)}
