"""Did clicks get worse? One arm of two training runs, on the test rows that both have.

What is easy or hard about a row is the same for both, so only their difference varies: users and seeds are drawn as for
every other gain (`evals/intervals.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from base.progress import Progress, silent
from evals.evaluate import Scores, evaluate

NOW, THEN, ALL = "now", "then", "all"
METRIC = "auc"


@dataclass(frozen=True)
class Judged:
    """Test rows of a run, and the predictions of one arm."""

    rows: pl.DataFrame
    """key (UInt64, of user, item and time), label, user."""
    probabilities: np.ndarray
    """[S, N] predicted probability of label 1, by training seed."""

    def at(self, keys: pl.DataFrame) -> np.ndarray:
        """Return the predictions for some keys in their order: [S, n]."""
        places = self.rows.with_row_index("place").select("key", "place")
        return self.probabilities[:, keys.join(places, on="key", how="left", maintain_order="left")["place"].to_list()]


@dataclass(frozen=True)
class Fall:
    """The gain in AUC over the earlier run: below 0, clicks are predicted worse."""

    rows: int
    """Rows that both runs have."""
    users: int
    """Their users."""
    mean: float | None = None
    """AUC now less AUC then; None without a row of each label."""
    low: float | None = None
    """Lower end of its interval; None if there are too few users."""
    high: float | None = None
    """Upper end of its interval."""
    why: str | None = None
    """Why there is no interval."""


def compare_runs(now: Judged, then: Judged, progress: Progress = silent) -> Fall:
    """Compare one arm of two runs on the rows that both have, seed by seed.

    Args:
        now: Of the new run.
        then: Of the earlier one.
        progress: Called with the number of resampled predictions.
    """
    # A key that occurs twice (an event twice in one moment) cannot be told apart, so it is left out.
    single = now.rows.filter(pl.col("key").is_unique())
    both = single.join(then.rows.filter(pl.col("key").is_unique()).select("key", "label"), on=["key", "label"])
    both = both.sort("key")
    seeds = min(len(now.probabilities), len(then.probabilities))
    users = both["user"].n_unique()
    if both["label"].n_unique() < 2:
        return Fall(len(both), users, why="no row of each label is in both runs")
    scores = Scores(
        both["label"].to_numpy(),
        both["user"].to_numpy(),
        {ALL: np.ones(len(both), dtype=bool)},
        {NOW: now.at(both)[:seeds], THEN: then.at(both)[:seeds]},
    )
    found: Mapping[str, Any] = evaluate(scores, controls=(THEN,), progress=progress)
    gain = found["gains"][NOW][THEN][ALL][METRIC]
    return Fall(len(both), users, gain["mean"], gain["low"], gain["high"], found["segments"][ALL]["no_interval"])
