"""A training run from its first note to its result: what is compared, on which rows, and what came out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import polars as pl

from app.config import Config
from app.looks import count_looks, note_look
from app.samples import arms_in, open_samples, open_windows
from app.train_runs import TrainRun, new_run
from app.workplace import open_dataset, open_store
from base.progress import Progress
from ctr.constant import constant_scores
from ctr.examples import find_examples
from ctr.samples import PARTS, Samples
from ctr.views import knowledge_view
from evals.conclusion import conclude_both
from evals.evaluate import Scores, evaluate
from evals.segments import coverage, segments_of_test
from feature_store.codes import CODES_TABLE, made_of
from feature_store.database import Store
from feature_store.lineage import VectorName, technique_of
from feature_store.releases import Release, get_release, knowledge_cutoff, released_knowledge
from llm_tasks.pipeline.arm import FACTS
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.task import Task

BEFORE, AFTER = "segment_before_cutoff", "segment_after_cutoff"


def begin_run(config: Config, arms: Sequence[str] | None, release_name: str | None) -> TrainRun:
    """Note what is to be compared and on which test rows, before anything is trained.

    Raises:
        NoRelease: There is no such release, or it lacks vectors or codes that an arm reads.
        UnfitExamples: An arm's examples are not all for training.
        UnknownPlugin: A name is no arm.
    """
    store = open_store(config)
    release = get_release(store, release_name)
    chosen = arms_in(config, release, arms if arms is not None else config.train.arms)
    dataset = open_dataset(config)
    samples = open_samples(config, dataset)
    techniques = find_tasks(config.plugin_folders)
    knows = _who_knows(store, release, samples, techniques)
    vectors = {name for arm in chosen for name in arm.vectors}
    for name in sorted(vectors - set(release.facts.get("vectors", {}))):
        released_knowledge(store, release, *name.split("/", 1))  # raises, and says how to make them
    for name in sorted({name for arm in chosen for name in arm.codes}):
        made_of(release, CODES_TABLE, name)  # raises, too
    for name in sorted(name for name in vectors if _about(VectorName.read(name).technique, techniques) == "event"):
        find_examples(released_knowledge(store, release, *name.split("/", 1)), samples)
    test = samples.part == PARTS.index("test")
    told = [mask for task, mask in knows.items() if _told_by_a_model(task, techniques)]
    known = np.any(told, axis=0) if told else np.zeros(len(samples.label), dtype=bool)
    windows = open_windows(config, dataset)[1:]
    run = new_run(config.home_folder)
    cutoff = knowledge_cutoff(release)
    _test_rows(samples, known, cutoff).write_parquet(run.folder / "rows.parquet")
    if windows:
        pooled = pl.concat(
            [_test_rows(replace(samples, part=window), known, cutoff) for window in windows], how="diagonal"
        )
        # A window without a row after the cutoff has no such segments: all of its rows are before it.
        sides = {name: pl.col(name).fill_null(name == BEFORE) for name in (BEFORE, AFTER) if name in pooled.columns}
        pooled.with_columns(**sides).write_parquet(run.folder / "rolling_rows.parquet")
    run.write(
        "run",
        {
            "release": release.name,
            "arms": {arm.name: arm.about for arm in chosen},
            "trained": [arm.name for arm in chosen if arm.learns],
            "uses": {arm.name: [[use.adapter, list(use.reads)] for use in arm.uses] for arm in chosen},
            "train": config.train.model_dump(),
            "data_version": dataset.version,
            "data": _data_facts(config, samples),
            "coverage": {task: coverage(samples, mask) for task, mask in knows.items()},
            "cuts": [_cut(samples, window) for window in windows],
            "after_cutoff": None
            if cutoff is None
            else float((samples.time[test] > cutoff).mean())
            if test.any()
            else 0.0,
            "test_years": _years(samples.time[test]),
            "begun": time.time(),
        },
    )
    for arm in chosen:
        if not arm.learns:  # nothing to be trained, so no process of its own
            seeds = len(config.train.seeds)
            test, rolling = (constant_scores(samples, parts, seeds) for parts in ([samples.part], windows))
            np.savez(run.folder / f"{arm.name}.npz", test=test, rolling=rolling)
            facts = {"validation_auc": [], "chosen": {}, "parameters": 1, "samples_per_cpu_second": 0, "cpu_seconds": 0}
            run.write(arm.name, facts)
    return run


def _test_rows(samples: Samples, known: np.ndarray, cutoff: np.datetime64 | None) -> pl.DataFrame:
    """label, user, and segment_NAME of the test rows; `known`: [N] bool, who sees a model's answer about the item."""
    test, segments = samples.part == PARTS.index("test"), segments_of_test(samples, known, cutoff)
    columns = {"label": samples.label[test], "user": samples.user[test]}
    return pl.DataFrame(columns | {f"segment_{name}": mask for name, mask in segments.items()})


def _years(times: np.ndarray) -> list[int]:
    """First and last year; nothing of nothing."""
    return [int(str(edge)[:4]) for edge in (times.min(), times.max())] if len(times) else []


def _cut(samples: Samples, window: np.ndarray) -> dict[str, Any]:
    """What is said of one cut of rolling time."""
    train, test = (window == PARTS.index(name) for name in ("train", "test"))
    return {
        "share": float(train.mean()),
        "time": str(samples.time[test].min()),
        "train_rows": int(train.sum()),
        "test_rows": int(test.sum()),
        "test_users": len(np.unique(samples.user[test])),
    }


def _who_knows(
    store: Store, release: Release, samples: Samples, techniques: Mapping[str, Task]
) -> dict[str, np.ndarray]:
    """Task -> [N] bool: the samples that see a row about their item or their user."""
    # Which rows a task has does not depend on the encoder: one encoding of each is enough.
    names = (VectorName.read(name) for name in release.facts.get("vectors", {}))
    # Rows about events are shown, if at all, to all.
    made = {task: encoder for task, encoder in names if _about(task, techniques) != "event"}
    return {
        task: knowledge_view(released_knowledge(store, release, task, encoder), samples).rows >= 0
        for task, encoder in made.items()
    }


def _about(task: str, techniques: Mapping[str, Task]) -> str | None:
    """What a task's rows are about; None for a task that is not here any more."""
    technique = techniques.get(technique_of(task))
    return technique.entity if technique else None


def _told_by_a_model(task: str, techniques: Mapping[str, Task]) -> bool:
    """Whether a task's rows are a model's answers about items."""
    return task != FACTS and _about(task, techniques) == "item" and techniques[technique_of(task)].prompt is not None


def _data_facts(config: Config, samples: Samples) -> dict[str, Any]:
    rule, split = config.source.label.rating_at_least, config.source.split
    counts = np.bincount(samples.part, minlength=len(PARTS))
    how = "each user's events by position" if split.by == "user_position" else "all events at two moments"
    return {
        "Events": len(samples.label),
        "Users": len(samples.user_ids),
        "Items": len(samples.item_ids),
        "Label": "as given" if rule is None else f"rating of at least {rule:g}",
        "Positive": f"{samples.label.mean():.1%}",
        "Split": f"{split.train:.0%} training, {split.validation:.0%} validation, the rest test: {how}",
        "Rows": f"{counts[0]:,} training, {counts[1]:,} validation, {counts[2]:,} test",
        "History": f"the newest {samples.history.shape[1]} events strictly before a sample",
        "Model": f"{config.train.backbone}, embeddings of width {config.train.embedding_dim}",
    }


def end_run(run: TrainRun, progress: Progress) -> Mapping[str, Any]:
    """Evaluate all arms of a run and write its result.

    Returns:
        The result, as `evals.evaluate` gives it for the split, with the same of rolling time under `rolling` (None
        where there are no cuts), what holds in both, how often test rows were looked at, and training facts by arm.
    """
    noted, scores = run.read("run"), read_scores(run)
    result = evaluate(scores, progress=progress)
    rolling = None
    if noted["cuts"]:
        rolling = evaluate(read_scores(run, "rolling"), progress=progress) | {"cuts": noted["cuts"]}
    trained = {arm: run.read(arm) for arm in scores.probabilities}
    note_look(run.folder.parent, noted["data_version"], run.name, list(scores.probabilities))
    result |= {
        "rolling": rolling,
        "conclusion": conclude_both(result, rolling),
        "looks": count_looks(run.folder.parent, noted["data_version"]),
        "training": trained,
        "release": noted["release"],
        "seconds": time.time() - noted["begun"],
    }
    run.write("result", result)
    return result


def read_scores(run: TrainRun, protocol: Literal["test", "rolling"] = "test") -> Scores:
    """Read the test rows of a protocol and every arm's predictions of them."""
    rows = pl.read_parquet(run.folder / {"test": "rows.parquet", "rolling": "rolling_rows.parquet"}[protocol])
    names = [name for name in rows.columns if name.startswith("segment_")]
    segments = {name.removeprefix("segment_"): rows[name].to_numpy() for name in names}
    probabilities = {}
    for arm in run.read("run")["arms"]:
        with np.load(run.folder / f"{arm}.npz") as scored:
            probabilities[arm] = scored[protocol]
    return Scores(rows["label"].to_numpy(), rows["user"].to_numpy(), segments, probabilities)
