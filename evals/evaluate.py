"""Evaluates all arms: checked scores, metrics by segment and seed, gains over the controls with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from base.faults import CheckFailed
from base.progress import Progress, silent
from evals.conclusion import conclude
from evals.intervals import (
    LEVEL,
    RESAMPLED,
    Draws,
    draw,
    effective_users,
    replicate_gains,
    resampled_metrics,
    user_interval,
)
from evals.metrics import FUNCTIONS, ece_floor
from evals.words import CONTROLS, own_controls, too_few, too_few_of_a_label


@dataclass(frozen=True)
class Scores:
    """Predictions of all arms on the same N test rows, with S training seeds per arm.

    Raises:
        CheckFailed: Shapes differ, a label is not 0 or 1, or a probability is not between 0 and 1.
    """

    label: np.ndarray
    """[N] float32, 0 or 1."""
    user: np.ndarray
    """[N] int64: the user of each row; intervals resample users."""
    segments: Mapping[str, np.ndarray]
    """Name -> [N] bool: the rows of a segment (all, warm, cold, cold_with_knowledge); segments may overlap."""
    probabilities: Mapping[str, np.ndarray]
    """Arm -> [S, N] float32: predicted probability of label 1; the same seeds in the same order in every arm."""

    def __post_init__(self) -> None:
        """Check everything, so that the metrics need no checks."""
        rows = len(self.label)
        faults = []
        if not np.isin(self.label, (0, 1)).all():
            faults.append("label: must be 0 or 1 everywhere")
        if self.user.shape != (rows,):
            faults.append(f"user: has shape {self.user.shape}, must be ({rows:,},) like the labels")
        for name, chosen in self.segments.items():
            if chosen.shape != (rows,) or chosen.dtype != np.bool_:
                faults.append(f"segment {name}: is {chosen.dtype} of shape {chosen.shape}, must be bool of ({rows:,},)")
        if not self.probabilities:
            faults.append("probabilities: there is no arm")
        seeds = {len(predicted) for predicted in self.probabilities.values() if predicted.ndim == 2}
        if len(seeds) > 1 or 0 in seeds:
            faults.append(f"probabilities: arms have {sorted(seeds)} seeds; train every arm with the same seeds")
        for arm, predicted in self.probabilities.items():
            if predicted.ndim != 2 or predicted.shape[1] != rows:
                faults.append(f"arm {arm}: has shape {predicted.shape}, must be (seeds, {rows:,})")
            elif not ((predicted >= 0) & (predicted <= 1)).all():
                wrong = int((~((predicted >= 0) & (predicted <= 1))).sum())
                faults.append(f"arm {arm}: {wrong:,} probabilities are not numbers from 0 to 1; did training diverge?")
        if faults:
            raise CheckFailed("\n".join(["these scores cannot be evaluated", *(f"  {fault}" for fault in faults)]))

    @property
    def seeds(self) -> int:
        """Number of training seeds of every arm."""
        return len(next(iter(self.probabilities.values())))

    def user_codes(self) -> tuple[np.ndarray, int]:
        """Number the users from 0, in the order of their ids.

        Returns:
            [N] int64 codes and the number of users.
        """
        ids, codes = np.unique(self.user, return_inverse=True)
        return codes.astype(np.int64), len(ids)


Table = Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
"""Arm -> segment -> metric -> array."""


def evaluate(
    scores: Scores,
    controls: Sequence[str] = tuple(CONTROLS),
    replicates: int = 1000,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure every arm and its gains over the control arms.

    Args:
        scores: Predictions on the test rows.
        controls: Arms to measure gains against; untrained ones are left out. An arm with its own controls (`llm-cf` has
            `llm-cf-random`) is measured against those too.
        replicates: Replicates of the bootstrap.
        seed: Seed of the bootstrap; the result depends only on it and on the scores.
        progress: Called with the number of resampled predictions (arm, segment, seed).

    Returns:
        A dict ready for JSON, None where a number is undefined:

        - `arms`: arm -> segment -> metric -> `mean` and `sd` over seeds (one degree of freedom less), `values` by seed;
          `ece` also has a `floor`, the average value for a calibrated model with these predictions;
        - `gains`: arm -> control -> segment -> metric -> `mean`, `low`, `high` of metric(arm) - metric(control); low
          and high are None for a metric without interval and in a segment with `no_interval`;
        - `conclusion`: a sentence or two;
        - `segments`: segment -> `rows`, `positives`, `users`, `largest_user_share` (the largest share of
          the rows that one user has) and `no_interval` (why there is none, such as too few users; else None);
        - `bootstrap`: `replicates`, `seed`, `level`, and `unit`, what is resampled;
        - `controls`: trained control arms; `seeds`: training seeds per arm.
    """
    user, users = scores.user_codes()
    draws = draw(users, scores.seeds, replicates, seed)
    points, resampled = _measure(scores, user, draws, progress)
    trained = list(scores.probabilities)
    present = [control for control in controls if control in trained]
    segments = {name: _counts(scores, chosen) for name, chosen in scores.segments.items()}
    effective = {
        name: _effective(scores, user, chosen)
        for name, chosen in scores.segments.items()
        if segments[name]["no_interval"] is None
    }
    gains = {
        arm: {
            control: _gains(points[arm], points[control], resampled[arm], resampled[control], draws, effective)
            for control in dict.fromkeys([*present, *own_controls(arm, trained)])
            if control != arm
        }
        for arm in trained
    }
    return {
        "arms": {arm: _summaries(scores, arm, by_segment) for arm, by_segment in points.items()},
        "gains": gains,
        "conclusion": conclude(gains, segments, controls, scores.seeds),
        "segments": segments,
        "bootstrap": {"replicates": replicates, "seed": seed, "level": LEVEL, "unit": "users and training seeds"},
        "controls": present,
        "seeds": scores.seeds,
    }


def _measure(scores: Scores, user: np.ndarray, draws: Draws, progress: Progress) -> tuple[Table, Table]:
    """Compute metrics of the original rows, [S], and under every replicate, [S, R]."""
    points: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    resampled: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    total = len(scores.probabilities) * len(scores.segments) * scores.seeds
    done = 0
    for arm, probabilities in scores.probabilities.items():
        points[arm], resampled[arm] = {}, {}
        for name, chosen in scores.segments.items():
            label, of = scores.label[chosen], user[chosen]
            seeds = []
            for probability in probabilities[:, chosen]:
                seeds.append(resampled_metrics(label, probability, of, draws.users))
                done += 1
                progress("intervals", done, total)
            resampled[arm][name] = {metric: np.stack([one[metric] for one in seeds]) for metric in RESAMPLED}
            points[arm][name] = {
                metric: np.array([function(label, one, of) for one in probabilities[:, chosen]])
                for metric, function in FUNCTIONS.items()
            }
    return points, resampled


def _gains(
    arm: Mapping[str, Mapping[str, np.ndarray]],
    control: Mapping[str, Mapping[str, np.ndarray]],
    arm_resampled: Mapping[str, Mapping[str, np.ndarray]],
    control_resampled: Mapping[str, Mapping[str, np.ndarray]],
    draws: Draws,
    effective: Mapping[str, float],
) -> dict[str, dict[str, dict[str, float | None]]]:
    out: dict[str, dict[str, dict[str, float | None]]] = {}
    for segment, metrics in arm.items():
        out[segment] = {}
        for metric, values in metrics.items():
            mean = float((values - control[segment][metric]).mean())
            low = high = float("nan")
            if metric in RESAMPLED and segment in effective and not np.isnan(mean):
                replicates = replicate_gains(arm_resampled[segment][metric], control_resampled[segment][metric], draws)
                low, high = user_interval(replicates, mean, effective[segment])
            out[segment][metric] = {"mean": _plain(mean), "low": _plain(low), "high": _plain(high)}
    return out


def _summaries(
    scores: Scores, arm: str, by_segment: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Summarise one arm: segment -> metric -> summary."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for segment, metrics in by_segment.items():
        out[segment] = {metric: _summary(values) for metric, values in metrics.items()}
        floors = [ece_floor(one) for one in scores.probabilities[arm][:, scores.segments[segment]]]
        out[segment]["ece"]["floor"] = _plain(float(np.mean(floors)))
    return out


def _summary(values: np.ndarray) -> dict[str, Any]:
    spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return {"mean": _plain(float(values.mean())), "sd": _plain(spread), "values": [_plain(float(v)) for v in values]}


def _effective(scores: Scores, user: np.ndarray, chosen: np.ndarray) -> float:
    """Return the number of equal users behind a segment, or behind its rarer label if smaller: an AUC needs both."""
    masks = (chosen, *(chosen & (scores.label == label) for label in (0, 1)))
    return min(effective_users(np.bincount(user[mask])) for mask in masks)


def _counts(scores: Scores, chosen: np.ndarray) -> dict[str, Any]:
    of_user = np.unique(scores.user[chosen], return_counts=True)[1]
    largest = float(of_user.max() / of_user.sum()) if len(of_user) else 0.0
    with_label = [len(np.unique(scores.user[chosen & (scores.label == label)])) for label in (0, 1)]
    return {
        "rows": int(chosen.sum()),
        "positives": int(scores.label[chosen].sum(dtype=np.float64)),
        "users": len(of_user),
        "largest_user_share": largest,
        "no_interval": too_few(len(of_user), largest) or too_few_of_a_label(*with_label),
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
