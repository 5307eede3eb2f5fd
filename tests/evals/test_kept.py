"""The share of a gain that an arm keeps: 1 for the whole itself, 0 for the control, no interval for a share of noise."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evals.evaluate import Scores, evaluate
from evals.kept import kept, share

USERS, ROWS, SEEDS = 80, 12, 3


def scores(skills: dict[str, float], seed: int = 0) -> Scores:
    """Predictions that follow the label by some skill; all arms share most of their noise."""
    chance = np.random.default_rng(seed)
    count = USERS * ROWS
    label = chance.integers(0, 2, count).astype(np.float32)
    common = chance.normal(size=(SEEDS, count))
    arms = {}
    for name, skill in skills.items():
        logit = skill * label + common + 0.1 * chance.normal(size=(SEEDS, count))
        arms[name] = (1 / (1 + np.exp(-logit))).astype(np.float32)
    segments = {"all": np.ones(count, dtype=bool), "few": np.arange(count) < 5 * ROWS}
    return Scores(label, np.repeat(np.arange(USERS), ROWS), segments, arms)


def judged(of: Scores) -> dict[str, dict]:
    found = evaluate(of, controls=("control",), replicates=200)
    return kept(of, found, "arm", "whole", "control")


def test_the_share_is_that_of_the_gains_and_lies_in_its_interval():
    of = scores({"control": 0.5, "arm": 1.0, "whole": 1.5})

    found = judged(of)["all"]

    auc = {
        name: np.mean([roc_auc_score(of.label, one) for one in predicted])
        for name, predicted in of.probabilities.items()
    }
    by_hand = (auc["arm"] - auc["control"]) / (auc["whole"] - auc["control"])
    assert found["mean"] == pytest.approx(by_hand)
    assert found["low"] < by_hand < found["high"]
    assert found["high"] - found["low"] < 0.2  # what all arms share cancels out: about 0.08


def test_the_whole_keeps_all_and_the_control_nothing():
    of = scores({"control": 0.5, "whole": 1.5})
    for copied, share_of_it in (("whole", 1.0), ("control", 0.0)):
        with_copy = Scores(of.label, of.user, of.segments, {**of.probabilities, "arm": of.probabilities[copied]})
        found = judged(with_copy)["all"]
        assert (found["mean"], found["low"], found["high"]) == (share_of_it,) * 3


def test_there_is_no_interval_of_a_share_of_noise_or_of_few_users():
    found = judged(scores({"control": 1.0, "arm": 1.5, "whole": 1.0}))

    assert (found["all"]["low"], found["all"]["high"]) == (None, None)
    assert found["all"]["why"] == "the whole gain may be 0"
    assert found["few"] == {"mean": None, "low": None, "high": None, "why": "5 users: too few for an interval"}


def test_no_share_is_named_where_the_whole_is_a_loss():
    found = share(-0.01, np.full(100, -0.01), -0.02, np.full(100, -0.02), 100)

    assert found["mean"] is None
    assert found["why"] == "the whole gain may be 0"
