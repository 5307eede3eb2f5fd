"""The inputs of training: samples of a config, and the vectors and codes of a release that arms name."""

from collections.abc import Iterable, Mapping

import numpy as np

from app.config import Config
from app.workplace import open_dataset, open_store
from ctr.controls import choose_arms
from ctr.samples import Samples, build_samples
from evals.comparison import windows_of
from feature_store.codes import released_codes
from feature_store.lineage import VectorName
from feature_store.releases import Release, released_knowledge
from feature_store.vectors import Knowledge
from llm_tasks.pipeline.arm import CODES, Arm
from llm_tasks.pipeline.catalogue import find_tasks
from sources.tables import Dataset


def open_samples(config: Config, dataset: Dataset | None = None) -> Samples:
    """Build the samples of a config; load the data unless it is given.

    A large log's tables are freed on the way if the caller keeps none of them.
    """
    tables = [dataset or open_dataset(config)]
    del dataset
    return build_samples(tables.pop(), config.source.history.length)


def open_windows(config: Config, dataset: Dataset) -> list[np.ndarray]:
    """Return the parts of all samples at each cut of rolling time, from `evals.comparison.windows_of`."""
    return windows_of(dataset, config.train.rolling)


def arms_in(config: Config, release: Release, names: Iterable[str] | None) -> list[Arm]:
    """Return arms by name; every technique in the release is an arm too; the usual ones read what it holds.

    Raises:
        UnknownPlugin: A name is neither an arm nor a technique.
    """
    tasks: dict[str, tuple[str, list[str]]] = {}
    known = find_tasks(config.plugin_folders)
    for task, encoder in release.vectors:
        if task in known:
            tasks.setdefault(task, (known[task].entity, []))[1].append(encoder)
    there = set(map(str, release.vectors))
    return choose_arms(list(names) if names is not None else None, tasks, config.plugin_folders, there)


def read_vectors_of(config: Config, release: Release, arms: Iterable[Arm]) -> Mapping[str, Knowledge]:
    """Read the vectors and the sets of codes that arms name, each once.

    Raises:
        NoRelease: The release lacks one of them; the text names it.
    """
    store, arms = open_store(config), list(arms)
    vectors = dict.fromkeys(name for arm in arms for name in arm.vectors)
    codes = dict.fromkeys(name for arm in arms for name in arm.codes)
    read = {name: released_knowledge(store, release, *VectorName.read(name)) for name in vectors}
    return read | {f"{CODES}/{name}": released_codes(store, release, name).knowledge() for name in codes}
