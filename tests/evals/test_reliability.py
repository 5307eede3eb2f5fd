"""Reliability curves: points on the diagonal when calibrated; before and after calibration on the same axis."""

from dataclasses import replace

import numpy as np
import pytest
from report_page import Page

from evals.metrics import ece
from evals.reliability import Uncalibrated, before_calibration, calibration, calibration_curves
from evals.report import render_report


def test_calibration_points_pool_the_seeds_and_lie_on_the_diagonal_when_calibrated(scores):
    points = calibration_curves(scores, "cold", bins=4)["base"]

    assert sum(rows for _, _, rows in points) == 3 * scores.segments["cold"].sum()
    drawn = calibration({"base": [(0.25, 0.25, 8), (0.5, 0.6, 8)]}, ["base", "not there"])
    (curve,) = drawn.curves
    assert curve.points[0][0] == curve.points[0][1]
    assert curve.lollipops[0][1] == drawn.gap_zero
    assert curve.widest == "+0.1000"
    assert curve.table[1] == ("0.5000", "0.6000", "+0.1000", "8")


def test_points_before_and_after_calibration_share_one_axis():
    before = {"base": Uncalibrated([(0.1, 0.3, 8), (0.6, 0.9, 8)], 0.25)}

    drawn = calibration({"base": [(0.25, 0.25, 8), (0.5, 0.6, 8)], "facts": [(0.2, 0.2, 4)]}, ["base", "facts"], before)

    base, facts = drawn.curves
    unit = base.points[0][0] / 0.25
    np.testing.assert_allclose(base.before, [(0.1 * unit, 0.3 * unit), (0.6 * unit, 0.9 * unit)], atol=1e-2)
    assert max(at for point in base.before for at in point) <= 100
    assert base.ece_before == "0.2500"
    assert (facts.before, facts.ece_before) == ((), "")


def test_the_error_before_calibration_is_the_mean_over_seeds(scores):
    raw = replace(scores, probabilities={"base": np.sqrt(scores.probabilities["base"])})

    found = before_calibration(raw)

    assert list(found) == ["base"]
    assert found["base"].ece == pytest.approx(np.mean([ece(scores.label, one) for one in raw.probabilities["base"]]))
    assert found["base"].points == calibration_curves(raw)["base"]
    assert before_calibration(None) == {}


def test_the_page_shows_calibrated_arms_before_and_after(scores, result, context):
    raw = replace(scores, probabilities={"knowledge": np.sqrt(scores.probabilities["knowledge"])})
    plain = render_report(result, context)

    page = render_report(result, replace(context, uncalibrated=before_calibration(raw)))

    error = f"before calibration {before_calibration(raw)['knowledge'].ece:.4f}"
    assert Page(page).faults == []
    assert error in Page(page).words
    assert "Grey: the same arm before calibration, or" in Page(page).words
    assert "before calibration" not in Page(plain).words
