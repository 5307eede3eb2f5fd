"""A training run from start to result: opens what is compared, and writes the result into the run."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from app.arm_memory import AT_ONCE, guess_bytes
from app.config import Config
from app.input_lock import drop_left_inputs
from app.run_inputs import Inputs, share_inputs
from app.samples import arms_in, open_samples, open_windows
from app.train_runs import TrainRun, list_runs, new_run
from app.workplace import open_dataset, open_store
from base.progress import Progress
from ctr.arms.base import CONSTANT
from ctr.constant import constant_scores
from ctr.examples import find_examples
from ctr.kept import ItemFields
from ctr.samples import Samples
from evals.comparison import (
    about_what,
    compare_arms,
    compared_rows,
    encodings_of_tasks,
    known_items,
    noted_data,
    noted_rows,
    rolling_rows,
    scores_of,
    who_knows,
)
from evals.evaluate import Scores
from evals.looks import count_looks, note_look
from feature_store.codes import CODES_TABLE, made_of
from feature_store.database import Store
from feature_store.lineage import VectorName
from feature_store.releases import Release, get_release, knowledge_cutoff, released_knowledge
from llm_tasks.pipeline.arm import Arm
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.task import Task
from sources.label_config import LabelConfig


def begin_run(config: Config, arms: Sequence[str] | None, release_name: str | None) -> TrainRun:
    """Record what will be compared and on which test rows, before anything is trained.

    Raises:
        NoRelease: There is no such release, or it lacks vectors or codes that an arm reads.
        WrongUse: An arm's examples are not all training events.
        UnknownPlugin: A name is not an arm.
    """
    drop_left_inputs(config.home_folder)
    store = open_store(config)
    release = get_release(store, release_name)
    chosen = _chosen_arms(config, arms, release)
    dataset = open_dataset(config)
    samples = open_samples(config, dataset)
    techniques = find_tasks(config.plugin_folders)
    made = encodings_of_tasks(release.vectors, techniques)
    knows = who_knows(((task, released_knowledge(store, release, task, of)) for task, of in made.items()), samples)
    _check_release(store, release, chosen, samples, techniques)
    known, cutoff = known_items(knows, techniques, len(samples.label)), knowledge_cutoff(release)
    inputs = Inputs(samples, open_windows(config, dataset), ItemFields.of(dataset))
    windows = inputs.windows[1:]
    run = new_run(config.home_folder)
    compared_rows(samples, known, cutoff).write_parquet(run.folder / "rows.parquet")
    if windows:
        rolling_rows(samples, windows, known, cutoff).write_parquet(run.folder / "rolling_rows.parquet")
    run.write(
        "run",
        {
            **inputs_of(config, chosen, release, dataset.version),
            "trained": [arm.name for arm in chosen if arm.learns],
            "guessed_bytes": _guess_of(chosen, release, config.source.history.length, inputs, techniques),
            "data": _data(config, samples),
            "negatives": negatives.told() if (negatives := config.source.label.negatives) else None,
            **noted_rows(samples, windows, knows, cutoff),
            "begun": time.time(),
        },
    )
    for arm in (arm for arm in chosen if not arm.learns):  # nothing to train, so no process is needed
        _write_constant(run, arm.name, samples, windows, len(config.train.seeds))
    share_inputs(run, inputs)
    return run


def finished_run(config: Config, arms: Sequence[str] | None, release_name: str) -> str | None:
    """Return the newest finished run that compared the same arms on the same release, data and settings; or None.

    Args:
        config: The config.
        arms: Names of arms; None for a full comparison.
        release_name: Name of a release.
    """
    runs = list_runs(config.home_folder)
    if not runs:
        return None
    release = get_release(open_store(config), release_name)
    wanted = inputs_of(config, _chosen_arms(config, arms, release), release, open_dataset(config).version)
    as_written = json.loads(json.dumps(wanted, default=str))
    noted = runs[-1].read("run")
    return runs[-1].name if {name: noted.get(name) for name in as_written} == as_written else None


def _chosen_arms(config: Config, arms: Sequence[str] | None, release: Release) -> list[Arm]:
    chosen = arms_in(config, release, arms if arms is not None else config.train.arms)
    # What any model must beat stands in every table.
    return [*([] if CONSTANT.name in [arm.name for arm in chosen] else [CONSTANT]), *chosen]


def inputs_of(config: Config, arms: Sequence[Arm], release: Release, data_version: str) -> dict[str, Any]:
    """Return what decides the result of a training run, or of a search of its settings."""
    return {
        "release": release.name,
        "arms": {arm.name: arm.about for arm in arms},
        "uses": {arm.name: [[use.adapter, list(use.reads)] for use in arm.uses] for arm in arms},
        "train": config.train.model_dump(),
        "data_version": data_version,
        "source": config.source.model_dump(mode="json"),
        "plugins": _digest_of(config.plugin_folders),
        "version": version("knowflow"),
    }


def _digest_of(folders: Sequence[Path]) -> str:
    """Return a hash of the code in some folders."""
    code = [file.read_bytes() for folder in folders for file in sorted(folder.rglob("*.py"))]
    return hashlib.sha256(b"\0".join(code)).hexdigest()


def _check_release(
    store: Store, release: Release, arms: Sequence[Arm], samples: Samples, techniques: Mapping[str, Task]
) -> None:
    """Raise if the release lacks what an arm reads (the text says how to make it), or if examples are unfit."""
    vectors = {name for arm in arms for name in arm.vectors}
    for name in sorted(vectors - set(map(str, release.vectors))):
        released_knowledge(store, release, *VectorName.read(name))
    for name in sorted({name for arm in arms for name in arm.codes}):
        made_of(release, CODES_TABLE, name)
    for name in sorted(name for name in vectors if about_what(VectorName.read(name).technique, techniques) == "event"):
        find_examples(released_knowledge(store, release, *VectorName.read(name)), samples)


def _guess_of(
    arms: Sequence[Arm], release: Release, history: int, inputs: Inputs, techniques: Mapping[str, Task]
) -> dict[str, int]:
    """Return how much memory each arm may take, by the sizes of what it reads."""
    samples = inputs.samples
    rows = {"user": len(samples.user_ids), "item": len(samples.item_ids)}  # a row each; an event's at most one a sample
    sets = {
        str(name): (rows.get(about_what(name.technique, techniques) or "", len(samples.label)), made.dimension)
        for name, made in release.vectors.items()
    }
    read = {
        arm.name: [*(sets[name] for name in arm.vectors), *((len(samples.item_ids), 1) for _ in arm.codes)]
        for arm in arms
        if arm.learns
    }
    return {name: guess_bytes(inputs.bytes, len(samples.label), history, made) for name, made in read.items()}


def _data(config: Config, samples: Samples) -> dict[str, Any]:
    split = config.source.split
    model = f"{config.train.backbone}, embeddings of width {config.train.embedding_dim}"
    return noted_data(samples, _label(config.source.label), split.by, (split.train, split.validation), model)


def _label(rule: LabelConfig) -> str:
    if rule.negatives is not None:
        return "positives only; negatives are sampled"
    return "as given" if rule.rating_at_least is None else f"rating of at least {rule.rating_at_least:g}"


def _write_constant(run: TrainRun, arm: str, samples: Samples, windows: Sequence[np.ndarray], seeds: int) -> None:
    test, rolling = (constant_scores(samples, parts, seeds) for parts in ([samples.part], windows))
    np.savez(run.folder / f"{arm}.npz", test=test, rolling=rolling)
    facts = {"validation_auc": [], "chosen": {}, "parameters": 1, "samples_per_cpu_second": 0, "cpu_seconds": 0}
    run.write(arm, facts)


def end_run(run: TrainRun, progress: Progress) -> Mapping[str, Any]:
    """Evaluate all arms of a run and write its result.

    Returns:
        The result of `evals.comparison.compare_arms`, with the number of looks at test rows, and training facts by arm.
    """
    noted, scores = run.read("run"), read_scores(run)
    rolling = read_scores(run, "rolling") if noted["cuts"] else None
    result = compare_arms(scores, rolling, noted["cuts"], progress)
    trained = {arm: run.read(arm) for arm in scores.probabilities}
    note_look(run.folder.parent, noted["data_version"], run.name, list(scores.probabilities))
    result |= {
        "looks": count_looks(run.folder.parent, noted["data_version"]),
        "training": trained,
        "negatives": noted.get("negatives"),
        "release": noted["release"],
        "at_once": run.read(AT_ONCE) if (run.folder / f"{AT_ONCE}.json").is_file() else None,
        "seconds": time.time() - noted["begun"],
    }
    run.write("result", result)
    return result


def read_scores(run: TrainRun, protocol: Literal["test", "rolling"] = "test") -> Scores:
    """Read the test rows of a protocol and every arm's predictions for them."""
    rows = pl.read_parquet(run.folder / {"test": "rows.parquet", "rolling": "rolling_rows.parquet"}[protocol])
    probabilities = {}
    for arm in run.read("run")["arms"]:
        with np.load(run.folder / f"{arm}.npz") as scored:
            probabilities[arm] = scored[protocol]
    return scores_of(rows, probabilities)


def read_uncalibrated(run: TrainRun) -> Scores | None:
    """Read what calibrated arms predicted for the test rows before calibration; None if no arm is calibrated."""
    probabilities = {}
    for arm in run.read("run")["arms"]:
        with np.load(run.folder / f"{arm}.npz") as scored:
            if "uncalibrated" in scored and len(scored["uncalibrated"]):  # runs of older versions have none
                probabilities[arm] = scored["uncalibrated"]
    return scores_of(pl.read_parquet(run.folder / "rows.parquet"), probabilities) if probabilities else None
