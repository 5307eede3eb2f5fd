"""Bounds on measures: read, kept and broken, in words."""

import pytest

from base.faults import WrongUse
from evals.prompts.thresholds import broken_bounds, read_bounds
from evals.trial import Figure, Measured


def test_bounds_that_are_not_kept_are_told_one_by_one():
    measured = [
        Measured("probe", "", "worth", "higher", {"v1": Figure(0.5), "v2": Figure(0.3121)}),
        Measured("words", "", "text", "neither", {"v1": Figure(40.0), "v2": Figure(61.0)}),
        Measured("auc", "", "worth", "higher", {"v2": Figure(None, why="too few rows")}),
    ]

    told = broken_bounds(measured, "v2", {"probe": 0.35, "auc": 0.5, "words": 61}, {"words": 60, "judge": 1})

    assert told == [
        "v2: probe is 0.312, below 0.35",
        "v2: auc was not measured: too few rows",
        "v2: words is 61, above 60",
        "v2: judge was not measured: this trial does not have it",
    ]
    assert broken_bounds(measured, "v1", {"probe": 0.5}, {"words": 40}) == []


def test_a_bound_on_an_unknown_measure_lists_the_measures():
    with pytest.raises(WrongUse, match=r"'prob' is no measure\n  there are: probe, retrieval, auc"):
        read_bounds("--fail-under", ["prob=0.3"])
    with pytest.raises(WrongUse, match="'high' is no number"):
        read_bounds("--fail-over", ["words=high"])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", ""])
def test_a_bound_that_would_let_anything_pass_is_refused(value: str):
    with pytest.raises(WrongUse, match=f"'{value}' is no number"):
        read_bounds("--fail-under", [f"words={value}"])
