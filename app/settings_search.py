"""Search of training settings on validation rows: test rows are taken out of the log before anything is made of it."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from app.comparison import inputs_of
from app.config import Config
from app.samples import arms_in, open_samples, read_vectors_of
from app.train_settings import as_written, is_found, write_settings
from app.workplace import open_dataset, open_store
from base.faults import WrongUse
from base.progress import Progress, silent
from ctr.backbones.protocol import choose_backbone
from ctr.compare import prepare_views
from ctr.config import TrainConfig
from ctr.learners import Learner, make_learner
from ctr.search import validation_of
from ctr.space import Tried, Values, holding, ranges_of, values_of, with_values
from ctr.study import best_of, finished, go_on
from feature_store.releases import get_release
from llm_tasks.pipeline.arm import Arm
from retrieval.examples import ExampleRule
from sources.events import PARTS
from sources.tables import Dataset


@dataclass(frozen=True)
class Search:
    """What a search has found."""

    file: Path
    """The file with the best settings."""
    arms: tuple[str, ...]
    """The arms whose validation AUC counted."""
    release: str
    """The release that they read."""
    best: Tried
    """The best trial."""
    usual: Tried
    """The first trial: the settings without the search."""
    tried: tuple[Tried, ...]
    """All trials in their order."""
    before: int
    """How many of them were there already."""


def search_settings(
    config: Config,
    arms: Sequence[str],
    trials: int,
    file: Path,
    release: str | None = None,
    progress: Progress = silent,
    dataset: Dataset | None = None,
) -> Search:
    """Search the settings of training, and write the best ones to a file after every trial.

    The same call goes on where one was interrupted: a study belongs to the data, the release, the arms and the settings
    of knowflow.yaml itself, without those that a search has found. It is kept in the home folder.

    Args:
        config: The config.
        arms: Names of arms; the mean of their AUC on validation rows counts.
        trials: Trials in all, those of earlier calls included.
        file: The file to write.
        release: Name of the release that the arms read; None for the current one.
        progress: Called with the number of finished trials.
        dataset: The data; loaded unless it is given.

    Raises:
        WrongUse: An arm learns nothing, there are no validation rows with both labels, or the file is something else.
        NoRelease: The release lacks what an arm reads.
        CheckFailed: Training diverged.
    """
    _check_file(file)
    config = config.model_copy(update={"train": as_written(config.path, config.train)})
    chosen = get_release(open_store(config), release)
    wanted = arms_in(config, chosen, list(dict.fromkeys(arms)))
    names = tuple(arm.name for arm in wanted)
    if still := [arm.name for arm in wanted if not arm.learns]:
        raise WrongUse(f"--arms: {', '.join(still)} learns nothing\n  name arms that are trained, such as base")
    known = without_test(dataset or open_dataset(config))
    backbone = choose_backbone(config.train.backbone, config.plugin_folders)
    ranges = ranges_of(config.train, network=backbone.network is not None, trees=backbone.trees)
    first = first_trials(config.train, values_of(config.train, ranges))
    ranges = holding(ranges, first)  # what every arm tries may lie outside
    inputs = inputs_of(config, wanted, chosen, known.version) | {"ranges": [vars(one) for one in ranges]}
    name = hashlib.sha256(json.dumps(inputs, default=str, sort_keys=True).encode()).hexdigest()[:16]
    store = config.home_folder / "search" / "settings.db"
    with alone(store), one_thread():
        before = len(finished(store, name))
        judge = _Judge(config, wanted, chosen.name, known)

        def report(what: str, done: int, total: int) -> None:
            if done and (tried := finished(store, name)):
                write_settings(file, best_of(tried), tried[0], names, chosen.name, len(tried))
            progress(what, done, total)

        tried = go_on(store, name, ranges, first, judge.measure, trials, config.train.seeds[0], report)
    return Search(file, names, chosen.name, best_of(tried), tried[0], tuple(tried), before)


def first_trials(config: TrainConfig, now: dict[str, float]) -> list[Values]:
    """Return the values to try before any others: those of now, and with what every arm tries before it is trained."""
    of_arms = [
        {"learning_rate": one.learning_rate, "epochs": one.epochs} for one in config.search if "learning_rate" in now
    ]
    tried = [now, *(now | one for one in of_arms)]
    return [one for place, one in enumerate(tried) if one not in tried[:place]]


def without_test(dataset: Dataset) -> Dataset:
    """Return the data without the events of the test part, so that nothing made of it has read their labels."""
    kept = pl.col("part") != "test"
    sampled = dataset.sampled.filter(kept) if dataset.sampled is not None else None
    return replace(dataset, events=dataset.events.filter(kept), sampled=sampled)


class _Judge:
    """Measures settings by the validation AUC of some arms, whose views are prepared once.

    Args:
        config: The config.
        arms: The arms.
        release: Name of the release that they read.
        dataset: The data without test events.
    """

    def __init__(self, config: Config, arms: Sequence[Arm], release: str, dataset: Dataset) -> None:
        self._train, samples = config.train, open_samples(config, dataset)
        self._part = samples.part
        if len(np.unique(samples.label[self._part == PARTS.index("validation")])) < 2:
            raise WrongUse(
                "split.validation: no validation rows with both labels, so nothing can be searched\n"
                "  give validation a larger share in knowflow.yaml"
            )
        rule = ExampleRule(self._train.examples.count, self._train.examples.strict)
        vectors = read_vectors_of(config, get_release(open_store(config), release), arms)

        def learner_of(arm: Arm) -> Learner:
            views = prepare_views(arm, vectors, samples, self._train.folds, rule, config.plugin_folders)
            return make_learner(arm, views, samples, self._train, config.plugin_folders)

        self._learners = [learner_of(arm) for arm in arms]

    def measure(self, values: Values) -> float:
        """Return the mean AUC of the arms on validation rows."""
        judged = partial(validation_of, part=self._part, config=with_values(self._train, values))
        return float(np.mean([judged(learner) for learner in self._learners]))


@contextmanager
def alone(store: Path) -> Iterator[None]:
    """Keep other searches of the home away: each would take the other's running trial for one that a kill ended.

    Raises:
        WrongUse: Another search is running.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise WrongUse(f"{store}: another search is running\n  wait for its end, or stop it") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, as arms are trained: the same sums in the same order on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def _check_file(file: Path) -> None:
    if not file.parent.is_dir():
        raise WrongUse(f"--out: there is no folder {file.parent}\n  make it, or name another file")
    if file.is_dir():
        raise WrongUse(f"--out: {file} is a folder\n  name a file in it: --out {file / 'train-settings.yaml'}")
    if file.exists() and not is_found(file):
        raise WrongUse(f"{file}: is there, and no search has written it\n  name another file: --out FILE")
