"""The drawings of the report: every mark stands where its number says."""

import pytest

from evals.figures import forests, scale, strips


def test_the_figures_place_what_the_numbers_say(result):
    plot = forests(result, "auc", ["knowledge", "base"])[0]
    line = dict(plot.groups)["all"][0]
    gain = result["gains"]["knowledge"]["base"]["all"]["auc"]

    assert plot.control == "base"
    assert [line.arm for line in dict(plot.groups)["all"]] == ["knowledge"]
    low, mean, high = line.at
    assert plot.zero < low < mean < high <= 100
    assert (mean - plot.zero) / (low - plot.zero) == pytest.approx(gain["mean"] / gain["low"], rel=1e-3)
    assert line.verdict == "better"
    losses = dict(forests(result, "logloss", ["knowledge"])[0].groups)["all"][0]
    assert losses.at[2] < forests(result, "logloss", ["knowledge"])[0].zero
    assert losses.verdict == "better"
    assert all(
        0 <= at <= 100 for by in strips(result, "auc", list(result["arms"])).values() for a in by.values() for at in a
    )


@pytest.mark.parametrize("values", [[], [0.0], [0.5, 0.5], [-1e-5, 2e-5], [0, 0.83], [-3, 1200.0]])
def test_axes_hold_their_values_and_have_round_ticks(values):
    axis = scale(values)

    assert all(0 <= axis.at(value) <= 100 for value in values)
    assert 2 <= len(axis.ticks) <= 9
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
