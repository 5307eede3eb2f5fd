"""Opens kept models by run and arm, and scores events with the vectors of the release they were trained on."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from app.config import Config
from app.samples import read_vectors_of
from app.train_runs import get_run, models_folder
from app.workplace import open_store
from ctr.faults import unfit_kept
from ctr.kept import FACTS, Kept, open_kept, score_rows
from ctr.samples import build_samples
from feature_store.releases import get_release
from sources.events import histories
from sources.tables import Dataset


def open_model(config: Config, arm: str, run: str | None = None) -> Kept:
    """Open the model that a training run kept of an arm.

    Args:
        config: The config.
        arm: Name of the arm.
        run: Name of the training run; None for the newest finished one.

    Raises:
        WrongUse: There is no such run.
        WrongUse: The run kept no model of this arm.
    """
    folder = models_folder(config.home_folder, get_run(config.home_folder, run).name)
    kept = sorted(path.parent.name for path in folder.glob(f"*/{FACTS}"))
    if arm not in kept:
        raise unfit_kept(folder, f"there is no kept model of {arm}; there are: {', '.join(kept) or 'none'}")
    return open_kept(folder / arm)


def find_model(config: Config, name: str) -> Kept:
    """Open a kept model by the words of a command line.

    Args:
        config: The config.
        name: An arm of the newest training run, `RUN/ARM`, or the folder of a kept model.

    Raises:
        WrongUse: There is no such model.
    """
    if (folder := Path(name)).joinpath(FACTS).is_file():
        return open_kept(folder)
    run, _, arm = name.rpartition("/")
    return open_model(config, arm, run or None)


def score_events(
    config: Config, model: Kept, dataset: Dataset, rows: np.ndarray | None = None, release: str | None = None
) -> np.ndarray:
    """Score events of a log: the one that the model was trained on, or a later one.

    Args:
        config: The config.
        model: From `open_model`.
        dataset: The log with the rows to score among its events (`ctr.kept.score_rows` says how to score a pair
            that nobody has rated).
        rows: [n] int64, rows of `dataset.events`; None for all.
        release: Name of the release whose vectors to read; None for the one that the model was trained on. Another
            one must have encoders of the same space: a lexical space changes when it is fitted again.

    Returns:
        [n] float32: probabilities of a click.

    Raises:
        NoRelease: The release is gone, or lacks vectors that the arm reads.
        WrongUse: The data has other columns than when the model was trained.
    """
    dataset = replace(dataset, sampled=None)  # they are no rows of the log
    samples = build_samples(dataset, histories(dataset.events, model.history_length), model.frame)
    vectors = read_vectors_of(config, get_release(open_store(config), release or model.release), [model.arm])
    wanted = np.arange(len(samples.label)) if rows is None else rows
    return score_rows(model, vectors, samples, wanted, config.plugin_folders)
