"""The conclusion: every branch, and never more than the intervals say."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evals.words
from evals.conclusion import claims, conclude, conclude_both, subject_of
from evals.words import GUARDS, signed, verdict_on

SEGMENTS = {
    "all": {"rows": 10358, "users": 610, "largest_user_share": 0.0261, "no_interval": None},
    "cold_with_knowledge": {"rows": 963, "users": 201, "largest_user_share": 0.1, "no_interval": None},
}
UP = {"mean": 0.0036, "low": 0.0021, "high": 0.0052}
ZERO = {"mean": 0.0005, "low": -0.0003, "high": 0.0012}
DOWN = {"mean": -0.002, "low": -0.004, "high": -0.0001}
GONE = {"mean": None, "low": None, "high": None}
CONTROLS = ("base", "facts")


def gains(arm="knowledge", cold=None, guarded=True, **by_control):
    """Gains in AUC; on cold rows the same as overall, and wrong knowledge is beaten, unless told otherwise."""
    by_control |= {guard: UP for guard in GUARDS if guarded and guard not in by_control}
    return {
        arm: {
            control: {"all": {"auc": gain}, "cold_with_knowledge": {"auc": (cold or {}).get(control, gain)}}
            for control, gain in by_control.items()
        }
    }


def test_the_whole_text_with_gains_everywhere():
    cold = {"base": {"mean": 0.01, "low": 0.006, "high": 0.014}, "facts": {"mean": 0.008, "low": 0.004, "high": 0.012}}

    assert conclude(gains(base=UP, facts=UP, cold=cold), SEGMENTS, CONTROLS) == (
        "Knowledge, over all 10,358 test rows (610 users, the largest with 2.6% of the rows): better than base (+0.0036 AUC, 95% "
        "interval [+0.0021, +0.0052]) and better than its facts control (+0.0036 AUC, 95% interval [+0.0021, +0.0052]). "
        "On the 963 cold rows with knowledge (201 users, the largest with 10.0% of the rows): better than base (+0.0100 AUC, 95% interval [+0.0060, +0.0140]) and better than its facts control "
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
    overall, cold = text.split(" On the 963 cold rows with knowledge (201 users, the largest with 10.0% of the rows): ")

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
    text = conclude(gains(bag_of_words=UP, facts=UP), SEGMENTS, ("bag_of_words", "facts"))

    assert "better than the control bag_of_words (" in text


def test_the_conclusion_is_about_knowledge_or_else_about_the_last_arm_that_is_no_control():
    assert subject_of(["base", "knowledge", "shuffled", "facts"], CONTROLS) == "knowledge"
    assert subject_of(["base", "prior", "similarity", "facts"], CONTROLS) == "similarity"
    assert subject_of(["facts", "base"], CONTROLS) is None


def test_neither_a_constant_nor_wrong_knowledge_nor_an_arms_own_control_is_the_subject():
    assert subject_of(["base", "constant", "shuffled", "random"], ()) == "base"
    assert subject_of(["constant", "shuffled", "random"], CONTROLS) is None
    assert subject_of(["base", "llm-cf", "kar+llm-cf", "llm-cf-shuffled", "llm-cf-labels"], CONTROLS) == "kar+llm-cf"
    assert subject_of(["base", "notellm", "notellm-facts", "notellm-random"], CONTROLS) == "notellm"


FEW = {"rows": 500, "users": 12, "largest_user_share": 0.2, "no_interval": "12 users: too few for an interval"}


def test_few_users_get_words_why_and_no_verdict_whatever_the_numbers():
    text = conclude(gains(base=UP, facts=DOWN), SEGMENTS | {"cold_with_knowledge": FEW}, CONTROLS)

    assert "On the 500 cold rows with knowledge (12 users, the largest with 20.0% of the rows): 12 users: " in text
    assert text.endswith("12 users: too few for an interval.")
    assert claims({"gains": gains(base=UP), "segments": SEGMENTS, "controls": ["base"]}) == {
        ("all", "base"),
        ("cold_with_knowledge", "base"),
    }


@pytest.mark.parametrize(("shuffled", "random"), [(ZERO, UP), (UP, DOWN), (GONE, UP)])
def test_an_arm_that_does_not_beat_wrong_knowledge_is_not_called_better(shuffled, random):
    of = gains(base=UP, facts=UP, shuffled=shuffled, random=random)

    text = conclude(of, {"all": SEGMENTS["all"]}, CONTROLS)

    assert "better than base" not in text
    assert "ahead of base (+0.0036 AUC, 95% interval [+0.0021, +0.0052]) and ahead of its facts control" in text
    failing = "random vectors (−0.0020 AUC" if random is DOWN else "shuffled texts ("
    assert f"but not shown to be better than {failing}" in text
    assert claims({"gains": of, "segments": {"all": SEGMENTS["all"]}, "controls": ["base", "facts"]}) == set()


@pytest.mark.parametrize(
    ("trained", "absent"),
    [({}, "shuffled and random were"), ({"random": UP}, "shuffled was"), ({"shuffled": UP}, "random was")],
)
def test_without_wrong_knowledge_beside_it_no_arm_is_called_better(trained, absent):
    of = gains(base=UP, facts=UP, guarded=False, **trained)

    text = conclude(of, {"all": SEGMENTS["all"]}, CONTROLS)

    assert "better than" not in text
    assert text.endswith(f"; but {absent} not trained, so the gain may not come from the content of the texts.")
    assert claims({"gains": of, "segments": {"all": SEGMENTS["all"]}, "controls": ["base", "facts"]}) == set()


@pytest.mark.parametrize(("seeds", "begins"), [(1, "One seed is"), (2, "2 seeds are")])
def test_few_seeds_claim_nothing(seeds, begins):
    of = gains(base=UP, facts=UP)
    whole = {"gains": of, "segments": SEGMENTS, "controls": ["base", "facts"]}

    text = conclude(of, SEGMENTS, CONTROLS, seeds)

    assert text == f"{begins} too few to claim a gain: set train.seeds to at least 3 of them."
    assert claims(whole | {"seeds": seeds}) == set()
    assert claims(whole | {"seeds": 3}) == claims(whole) != set()
    assert conclude(of, SEGMENTS, CONTROLS, 3) == conclude(of, SEGMENTS, CONTROLS)


def test_the_own_controls_of_another_arm_guard_its_claim():
    own = {"llm-cf-random": {"all": {"auc": ZERO}}, "llm-cf-shuffled": {"all": {"auc": UP}}}
    of = {"llm-cf": gains(base=UP, guarded=False)["knowledge"] | own}

    text = conclude(of, {"all": SEGMENTS["all"]}, CONTROLS)

    assert text.startswith("Llm-cf, over all")
    assert "but not shown to be better than the control llm-cf-random (+0.0005 AUC" in text


@pytest.mark.parametrize("loss", [ZERO, UP, GONE])
def test_nothing_is_claimed_where_the_base_does_not_beat_a_constant(loss):
    of = gains(base=UP, facts=UP) | {"base": {"constant": {"all": {"auc": UP, "logloss": loss}}}}

    text = conclude(of, SEGMENTS, CONTROLS)

    assert text.startswith("The base arm is not shown to be better than a constant (LogLoss ")
    assert text.endswith("610 users, the largest with 2.6% of the rows): nothing may be claimed.")
    assert "better than base" not in text
    assert claims({"gains": of, "segments": SEGMENTS, "controls": ["base", "facts", "constant"]}) == set()


def test_a_base_that_beats_a_constant_is_no_matter_for_words():
    of = gains(base=UP, facts=UP) | {"base": {"constant": {"all": {"auc": UP, "logloss": DOWN}}}}

    assert conclude(of, SEGMENTS, CONTROLS) == conclude(gains(base=UP, facts=UP), SEGMENTS, CONTROLS)


def result(segments=SEGMENTS, cold=None, **by_control):
    return {"gains": gains(cold=cold, **by_control), "segments": segments, "controls": list(CONTROLS)}


def test_one_protocol_alone_is_said_to_show_no_gain_yet():
    text = conclude_both(result(base=UP, facts=UP), None)

    assert text.startswith(conclude(gains(base=UP, facts=UP), SEGMENTS, CONTROLS))
    assert text.endswith("\nRolling time was not run: a gain under one split is not yet a gain.")


def test_a_gain_of_both_protocols_is_named_with_its_controls_and_segments():
    cold = {"base": UP, "facts": ZERO}
    split = result(base=UP, facts=UP, cold=cold)
    rolling = result(base=UP, facts=UP, cold={"base": UP, "facts": UP}) | {"cuts": [{"share": 0.5}, {"share": 0.9}]}

    text = conclude_both(split, rolling)

    first, second = (conclude(one["gains"], one["segments"], CONTROLS) for one in (split, rolling))
    assert text == (
        f"By the configured split: k{first[1:]}\nBy rolling time (2 cuts): k{second[1:]}\nWhat holds in both: over all test "
        "rows better than base and its facts control, and on cold rows with knowledge better than base."
    )


@pytest.mark.parametrize("other", [ZERO, DOWN, GONE])
def test_a_gain_of_one_protocol_alone_does_not_hold_in_both(other):
    for pair in ((UP, other), (other, UP), (other, other)):
        split, rolling = (result(base=gain, facts=gain) for gain in pair)

        assert conclude_both(split, rolling).endswith("\nNo gain holds in both.")


def test_what_wrong_knowledge_or_few_users_hide_in_one_protocol_does_not_hold_in_both():
    good = result(base=UP, facts=UP)

    assert conclude_both(good, result(base=UP, facts=UP, shuffled=ZERO)).endswith("No gain holds in both.")
    text = conclude_both(
        good, result({"all": SEGMENTS["all"], "cold_with_knowledge": FEW}, base=UP, facts=UP, cold=None)
    )
    assert text.endswith("over all test rows better than base and its facts control.")


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
    assert verdict_on(DOWN, higher_is_better=False) == "better"
    assert verdict_on(UP, higher_is_better=False) == "worse"
    assert verdict_on({"low": 0.0, "high": 0.0}) == "none"
    assert verdict_on({"low": 0.0, "high": 0.1}) == "none"


@given(st.floats(1e-9, 1))
def test_a_bound_that_is_not_zero_never_reads_as_zero(value):
    assert signed(value).startswith("+")
    assert signed(-value).startswith("−")
    assert float(signed(value)) > 0


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(evals.words).failed == 0
