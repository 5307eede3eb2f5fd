"""The conclusion: every branch, and never more than the intervals say."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evals.words
from evals.conclusion import conclude, subject_of
from evals.words import judge, signed

SEGMENTS = {"all": {"rows": 10358}, "cold_with_knowledge": {"rows": 963}}
UP = {"mean": 0.0036, "low": 0.0021, "high": 0.0052}
ZERO = {"mean": 0.0005, "low": -0.0003, "high": 0.0012}
DOWN = {"mean": -0.002, "low": -0.004, "high": -0.0001}
GONE = {"mean": None, "low": None, "high": None}
CONTROLS = ("base", "facts")


def gains(arm="knowledge", cold=None, **by_control):
    """Gains in AUC; on cold rows the same as overall unless told otherwise."""
    return {
        arm: {
            control: {"all": {"auc": gain}, "cold_with_knowledge": {"auc": (cold or by_control)[control]}}
            for control, gain in by_control.items()
        }
    }


def test_the_whole_text_with_gains_everywhere():
    cold = {"base": {"mean": 0.01, "low": 0.006, "high": 0.014}, "facts": {"mean": 0.008, "low": 0.004, "high": 0.012}}

    assert conclude(gains(base=UP, facts=UP, cold=cold), SEGMENTS, CONTROLS) == (
        "Knowledge, over all 10,358 test rows: better than base (+0.0036 AUC, 95% interval [+0.0021, +0.0052]) and "
        "better than its facts control (+0.0036 AUC, 95% interval [+0.0021, +0.0052]). On the 963 cold rows with "
        "knowledge: better than base (+0.0100 AUC, 95% interval [+0.0060, +0.0140]) and better than its facts control "
        "(+0.0080 AUC, 95% interval [+0.0040, +0.0120])."
    )


@pytest.mark.parametrize(
    ("base", "facts", "begins", "joins"),
    [
        (UP, UP, "better than base (", ") and better than its facts control ("),
        (UP, ZERO, "better than base (", "), but no gain shown over its facts control ("),
        (UP, DOWN, "better than base (", "), but a loss against its facts control ("),
        (UP, GONE, "better than base (", "), but no interval against its facts control."),
        (ZERO, UP, "no gain shown over base (", "), but better than its facts control ("),
        (ZERO, ZERO, "no gain shown over base (", ") and no gain shown over its facts control ("),
        (ZERO, DOWN, "no gain shown over base (", "), but a loss against its facts control ("),
        (DOWN, UP, "a loss against base (", "), but better than its facts control ("),
        (DOWN, ZERO, "a loss against base (", "), but no gain shown over its facts control ("),
        (DOWN, DOWN, "a loss against base (", ") and a loss against its facts control ("),
        (GONE, GONE, "no interval, too few rows of both labels.", ""),
    ],
)
def test_every_pair_of_verdicts_has_its_words(base, facts, begins, joins):
    first = conclude(gains(base=base, facts=facts), {"all": {"rows": 10358}}, CONTROLS)

    assert first.startswith(f"Knowledge, over all 10,358 test rows: {begins}")
    assert joins in first


def test_overall_and_cold_rows_are_judged_apart():
    text = conclude(gains(base=UP, facts=ZERO, cold={"base": ZERO, "facts": DOWN}), SEGMENTS, CONTROLS)
    overall, cold = text.split(" On the 963 cold rows with knowledge: ")

    assert "better than base" in overall
    assert "no gain shown over its facts control (+0.0005 AUC, 95% interval [−0.0003, +0.0012])" in overall
    assert cold.startswith("no gain shown over base")
    assert "a loss against its facts control (−0.0020 AUC, 95% interval [−0.0040, −0.0001])" in cold


def test_without_a_facts_control_a_gain_is_not_put_down_to_knowledge():
    text = conclude(gains(base=UP), SEGMENTS, CONTROLS)

    assert text.endswith("There is no facts control, so a gain may come from the prompt's facts alone.")


def test_without_any_control_nothing_is_claimed():
    assert conclude({"knowledge": {}}, SEGMENTS, CONTROLS) == (
        "No control arm was trained beside knowledge, so no gain can be claimed."
    )


def test_control_arms_alone_say_nothing_about_knowledge():
    assert conclude(gains(arm="base", facts=UP), SEGMENTS, CONTROLS).startswith("Only control arms were trained")


def test_another_control_is_named():
    text = conclude(gains(shuffled=UP, facts=UP), SEGMENTS, ("shuffled", "facts"))

    assert "better than the control shuffled (" in text


def test_the_conclusion_is_about_knowledge_or_else_about_the_last_arm_that_is_no_control():
    assert subject_of(["base", "knowledge", "shuffled", "facts"], CONTROLS) == "knowledge"
    assert subject_of(["base", "prior", "similarity", "facts"], CONTROLS) == "similarity"
    assert subject_of(["facts", "base"], CONTROLS) is None


BOUND = st.floats(-0.1, 0.1)


@given(BOUND, BOUND, BOUND, BOUND)
def test_a_gain_over_facts_is_never_claimed_when_its_interval_holds_zero(a, b, c, d):
    base, facts = ({"low": min(x, y), "mean": (x + y) / 2, "high": max(x, y)} for x, y in ((a, b), (c, d)))

    text = conclude(gains(base=base, facts=facts), {"all": {"rows": 9}}, CONTROLS)

    assert ("better than its facts control" in text) == (facts["low"] > 0)
    assert ("no gain shown over its facts control" in text) == (facts["low"] <= 0 <= facts["high"])
    assert ("a loss against its facts control" in text) == (facts["high"] < 0)
    assert ("better than base" in text) == (base["low"] > 0)


def test_a_lower_logloss_is_better():
    assert judge(DOWN, higher_is_better=False) == "better"
    assert judge(UP, higher_is_better=False) == "worse"
    assert judge({"low": 0.0, "high": 0.0}) == "none"
    assert judge({"low": 0.0, "high": 0.1}) == "none"


@given(st.floats(1e-9, 1))
def test_a_bound_that_is_not_zero_never_reads_as_zero(value):
    assert signed(value).startswith("+")
    assert signed(-value).startswith("−")
    assert float(signed(value)) > 0


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(evals.words).failed == 0
