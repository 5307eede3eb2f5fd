"""Sentences of worth: both the interval and chance must hold, corrected for the number of measures."""

import numpy as np
import polars as pl
import pytest

from evals.prompts.worth.memorised import measure_memorised
from evals.prompts.worth.verdicts import holm, verdicts
from evals.trial import Figure, Measured, Trial
from tests.evals.prompts.worth.conftest import V1, V2, Log, answer, rows_of


def measure(name: str, gain: float, low: float, high: float, p: float) -> Measured:
    figures = {V1: Figure(0.3, 0.2, 0.4, 150), V2: Figure(0.3 + gain, 0.2, 0.5, 150)}
    there, back = Figure(gain, low, high, 150, p=p), Figure(-gain, -high, -low, 150, p=p)
    return Measured(name, "about", "worth", "higher", figures, {V2: {V1: there}, V1: {V2: back}})


def test_holm_multiplies_the_smallest_chance_by_the_number_of_measures():
    assert holm({"probe": 0.01, "auc": 0.3, "gauc": 0.02}) == pytest.approx({"probe": 0.03, "gauc": 0.04, "auc": 0.3})


def test_a_gain_needs_interval_and_chance():
    sure = [measure("probe", 0.12, 0.03, 0.21, 0.004), measure("auc", 0.0, -0.01, 0.01, 0.9)]
    assert verdicts(sure, (V1, V2)) == [
        "toy.v2 is worth more than toy.v1 on the probe (+0.12 [+0.03, +0.21], 150 entities)."
    ]
    by_chance = [measure("probe", 0.12, 0.03, 0.21, 0.03), measure("auc", 0.0, -0.01, 0.01, 0.9)]
    assert verdicts(by_chance, (V1, V2))[0].startswith("No difference is shown between toy.v1 and toy.v2")
    around_0 = [measure("probe", 0.12, -0.01, 0.21, 0.004), measure("auc", 0.0, -0.01, 0.01, 0.9)]
    assert verdicts(around_0, (V1, V2))[0].startswith("No difference is shown between toy.v1 and toy.v2")


def test_a_loss_is_told_as_the_gain_of_the_other():
    found = verdicts([measure("probe", -0.12, -0.21, -0.03, 0.004)], (V1, V2))

    assert found == ["toy.v1 is worth more than toy.v2 on the probe (+0.12 [+0.03, +0.21], 150 entities)."]


def test_better_and_worse_are_both_told():
    found = verdicts([measure("probe", 0.12, 0.03, 0.21, 0.004), measure("auc", -0.02, -0.03, -0.01, 0.004)], (V1, V2))

    assert found == [
        "toy.v2 is better than toy.v1 on the probe (+0.12 [+0.03, +0.21], 150 entities), and worse on AUC (−0.0200 "
        "[−0.0300, −0.0100], 150 validation rows)."
    ]


def test_a_number_that_follows_mean_ratings_is_warned_of(log: Log):
    fields = [{"acclaim": float(one), "length": at % 7, "cast": ["A"]} for at, one in enumerate(log.quality)]
    answers = {V1: [answer("a text", "a text")] * len(fields), V2: [answer("a text", one) for one in fields]}
    found = measure_memorised(log.ground(), Trial("toy", "item", (V1, V2), rows_of("item"), answers))

    assert found.figures[V1].mean is None
    assert found.figures[V2].why == "acclaim"
    rated = log.dataset.events.filter(part="train").group_by("item").agg(pl.col("rating").mean()).sort("item")
    means = rated["rating"].to_numpy()
    assert found.figures[V2].mean == pytest.approx(np.corrcoef(log.quality, means)[0, 1], abs=1e-6)
    assert verdicts([found], (V1, V2))[-1].startswith("Beware of memorised ratings: 'acclaim' of toy.v2 correlates 0.9")
