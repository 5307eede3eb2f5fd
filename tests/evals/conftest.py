"""Made scores, small enough to repeat their rows and large enough to show a gain."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from report_page import context  # noqa: F401

from evals.evaluate import Scores, evaluate


@pytest.fixture(scope="session")
def make_scores() -> Callable[..., Scores]:
    return made_scores


def made_scores(
    arms: dict[str, float] | None = None, rows: int = 600, users: int = 40, seeds: int = 3, decimals: int = 2
) -> Scores:
    """Arm -> how much of the truth it sees; rounded probabilities, so that there are ties."""
    random = np.random.default_rng(7)
    user = random.integers(users, size=rows)
    truth = random.normal(size=rows) + random.normal(size=users)[user]
    label = (random.random(rows) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    noise = 0.5 * random.normal(size=rows)
    probabilities = {}
    for name, sees in (arms or {"base": 0.5, "facts": 0.6, "knowledge": 1.3}).items():
        logits = sees * truth + noise + 0.1 * random.normal(size=(seeds, rows))
        probabilities[name] = (1 / (1 + np.exp(-logits))).round(decimals).astype(np.float32)
    cold = random.random(rows) < 0.3
    segments = {
        "all": np.ones(rows, dtype=bool),
        "warm": ~cold,
        "cold": cold,
        "cold_with_knowledge": cold & (random.random(rows) < 0.6),
    }
    return Scores(label, user.astype(np.int64) * 10, segments, probabilities)


@pytest.fixture(scope="module")
def scores(make_scores: Callable[..., Scores]) -> Scores:
    return make_scores({"base": 0.5, "facts": 0.6, "shuffled": 0.5, "knowledge": 1.3})


@pytest.fixture(scope="module")
def result(scores: Scores) -> dict[str, Any]:
    return evaluate(scores, replicates=50)
