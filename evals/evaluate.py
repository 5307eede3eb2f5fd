"""Evaluation of all arms: metrics by segment and seed, gains over the control arms with intervals, the conclusion."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from base.progress import Progress, silent
from evals.conclusion import conclude
from evals.intervals import LEVEL, Draws, draw, effective_users, replicate_gains, user_interval
from evals.metrics import FUNCTIONS, ece_floor
from evals.resampled import RESAMPLED, resampled_metrics
from evals.scores import Scores
from evals.words import CONTROLS, own_controls, too_few, too_few_of_a_label

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
        controls: Arms that gains are measured against; those that were not trained are left out. An arm that has
            controls of its own (`llm-cf` has `llm-cf-random`) is measured against those too.
        replicates: Replicates of the bootstrap.
        seed: Seed of the bootstrap; the result depends on it and on the scores alone.
        progress: Told how many predictions (arm, segment, seed) have been resampled.

    Returns:
        A dict ready for JSON, None where a number is undefined:

        - `arms`: arm -> segment -> metric -> `mean` and `sd` over seeds (one degree of freedom less), `values` by seed;
          `ece` has a `floor` beside them, what a calibrated model with these predictions would show on average;
        - `gains`: arm -> control -> segment -> metric -> `mean`, `low`, `high` of metric(arm) - metric(control); low
          and high are None for a metric that has no interval and in a segment with `no_interval`;
        - `conclusion`: a sentence or two;
        - `segments`: segment -> `rows`, `positives`, `users`, `largest_user_share` (rows of the user who has most of
          them, as a share) and `no_interval` (why there is none, such as too few users; None where there is one);
        - `bootstrap`: `replicates`, `seed`, `level`, and `unit`, what is resampled;
        - `controls`: control arms that were trained; `seeds`: training seeds an arm.
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
        "conclusion": conclude(gains, segments, controls),
        "segments": segments,
        "bootstrap": {"replicates": replicates, "seed": seed, "level": LEVEL, "unit": "users and training seeds"},
        "controls": present,
        "seeds": scores.seeds,
    }


def _measure(scores: Scores, user: np.ndarray, draws: Draws, progress: Progress) -> tuple[Table, Table]:
    """Metrics of the rows as they are, [S], and under every replicate, [S, R]."""
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
    """Segment -> metric -> what is told of one arm."""
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
    """Number of equal users behind a segment: that of its rarer label, if it is smaller, for an AUC rests on pairs."""
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
