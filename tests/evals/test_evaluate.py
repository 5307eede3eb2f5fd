"""Evaluation: the shape of the result, honest intervals, and nothing that JSON cannot hold."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from evals.evaluate import evaluate
from evals.metrics import FUNCTIONS, ece_floor


@pytest.fixture
def result(make_scores):
    return evaluate(make_scores(), replicates=200)


def test_every_number_of_the_result_is_where_callers_look_for_it(make_scores, result):
    scores = make_scores()
    metrics = list(FUNCTIONS)

    assert list(result["arms"]) == ["base", "facts", "knowledge"]
    assert {arm: list(by) for arm, by in result["gains"].items()} == {
        "base": ["facts"],
        "facts": ["base"],
        "knowledge": ["base", "facts"],
    }
    for segment, chosen in scores.segments.items():
        for arm, probabilities in scores.probabilities.items():
            for metric, function in FUNCTIONS.items():
                values = [function(scores.label[chosen], p, scores.user[chosen]) for p in probabilities[:, chosen]]
                found = result["arms"][arm][segment][metric]
                assert found["values"] == pytest.approx(values, abs=1e-12)
                assert found["mean"] == pytest.approx(np.mean(values), abs=1e-12)
                assert found["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
            floors = [ece_floor(p) for p in probabilities[:, chosen]]
            assert result["arms"][arm][segment]["ece"]["floor"] == pytest.approx(np.mean(floors), abs=1e-12)
        assert list(result["gains"]["knowledge"]["facts"][segment]) == metrics
        counts = result["segments"][segment]
        assert counts["rows"] == chosen.sum()
        assert counts["positives"] == scores.label[chosen].sum()
        rows_of = Counter(scores.user[chosen].tolist())
        assert counts["users"] == len(rows_of)
        assert counts["largest_user_share"] == max(rows_of.values()) / chosen.sum()
        assert counts["no_interval"] is None
    assert result["bootstrap"]["replicates"] == 200
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_planted_better_arm_has_an_interval_above_zero_and_around_its_gain(result):
    gain = result["gains"]["knowledge"]["base"]["all"]

    assert 0 < gain["auc"]["low"] < gain["auc"]["mean"] < gain["auc"]["high"]
    assert gain["logloss"]["high"] < 0
    assert result["conclusion"].startswith("Knowledge, over all 600 test rows (40 users, the largest with ")
    assert "of the rows): ahead of base (+" in result["conclusion"]


def test_two_equal_arms_differ_by_nothing_at_all(make_scores):
    scores = make_scores({"base": 0.5})
    scores = replace(
        scores, probabilities={"base": scores.probabilities["base"], "knowledge": scores.probabilities["base"]}
    )

    gains = evaluate(scores, replicates=50)["gains"]["knowledge"]["base"]

    nothing = {"mean": 0, "low": 0, "high": 0}
    assert all(by[metric] == nothing for by in gains.values() for metric in ("auc", "gauc", "logloss", "nce"))
    assert all(by["ece"] == {"mean": 0, "low": None, "high": None} for by in gains.values())


def test_the_order_of_rows_and_arms_does_not_change_the_numbers(make_scores, result):
    scores = make_scores()
    order = np.random.default_rng(0).permutation(len(scores.label))
    moved = evaluate(
        replace(
            scores,
            label=scores.label[order],
            user=scores.user[order],
            segments={name: chosen[order] for name, chosen in scores.segments.items()},
            probabilities={arm: scores.probabilities[arm][:, order] for arm in ("knowledge", "base", "facts")},
        ),
        replicates=200,
    )

    assert moved["conclusion"] == result["conclusion"]
    for arm, by_control in result["gains"].items():
        for control, by_segment in by_control.items():
            for segment, by_metric in by_segment.items():
                for metric, gain in by_metric.items():
                    assert moved["gains"][arm][control][segment][metric] == pytest.approx(gain, abs=1e-9)


def test_the_result_is_the_same_every_time_and_another_seed_draws_others(make_scores, result):
    assert evaluate(make_scores(), replicates=200) == result
    other = evaluate(make_scores(), replicates=200, seed=1)

    assert other["arms"] == result["arms"]
    assert other["gains"] != result["gains"]


def test_a_segment_of_one_class_or_no_rows_gives_none_and_json_holds_it(make_scores):
    scores = make_scores(rows=200)
    segments = {
        **scores.segments,
        "none": np.zeros(200, dtype=bool),
        "cold_with_knowledge": scores.label == 1,
    }

    result = evaluate(replace(scores, segments=segments), replicates=50)

    nothing = {"mean": None, "low": None, "high": None}
    one_class = result["gains"]["knowledge"]["base"]["cold_with_knowledge"]
    assert one_class["auc"] == one_class["gauc"] == one_class["nce"] == nothing
    assert one_class["logloss"]["mean"] is not None
    assert set(map(str, result["gains"]["knowledge"]["base"]["none"].values())) == {str(nothing)}
    assert result["arms"]["base"]["none"]["auc"] == {"mean": None, "sd": None, "values": [None] * 3}
    assert "0 users with a row of the rarer label: too few for an interval" in result["conclusion"]


@pytest.mark.parametrize("with_positive", [3, 19, 20])
def test_few_users_of_the_rarer_label_get_words_instead_of_an_interval(make_scores, with_positive):
    # An AUC rests on pairs: of 40 users with rows, three with a positive are three users.
    scores = make_scores(rows=800)
    user = np.arange(800) % 40
    label = ((user < with_positive) & (np.arange(800) < 40)).astype(np.float32)

    result = evaluate(replace(scores, label=label, user=user), replicates=50)

    why = f"{with_positive} users with a row of the rarer label: too few for an interval"
    assert result["segments"]["all"]["no_interval"] == (why if with_positive < 20 else None)
    gain = result["gains"]["knowledge"]["base"]["all"]["auc"]
    assert (gain["low"] is None) == (with_positive < 20)
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(("users", "why"), [(19, "19 users: too few for an interval"), (20, None)])
def test_a_segment_of_few_users_has_words_instead_of_intervals(make_scores, users, why):
    scores = make_scores(users=users, rows=400)
    few = scores.user < 50  # the first 5 users, in a segment beside all

    result = evaluate(replace(scores, segments={"all": scores.segments["all"], "few": few}), replicates=50)

    gains = result["gains"]["knowledge"]["base"]
    assert result["segments"]["all"]["no_interval"] == why
    assert result["segments"]["few"]["no_interval"] == "5 users: too few for an interval"
    assert (gains["all"]["auc"]["low"] is None) == (why is not None)
    assert gains["few"]["auc"]["mean"] is not None
    assert all(gain["low"] is gain["high"] is None for gain in gains["few"].values())
    assert ("ahead of" in result["conclusion"]) == (why is None)


def test_one_user_with_most_of_the_rows_leaves_no_interval(make_scores):
    scores = make_scores(users=40)
    user = np.where(np.arange(600) < 310, -1, scores.user)

    result = evaluate(replace(scores, user=user), replicates=50)

    assert result["segments"]["all"]["no_interval"] == "one user holds 51.7% of the rows: too much for an interval"
    assert result["gains"]["knowledge"]["base"]["all"]["auc"]["low"] is None


def test_a_constant_has_an_auc_of_a_half_and_is_measured_but_never_the_subject(make_scores):
    scores = make_scores({"base": 0.5, "knowledge": 1.3})
    constant = np.full((3, 600), 0.5, dtype=np.float32)

    result = evaluate(replace(scores, probabilities={**scores.probabilities, "constant": constant}), replicates=50)

    assert result["arms"]["constant"]["all"]["auc"]["mean"] == result["arms"]["constant"]["all"]["gauc"]["mean"] == 0.5
    assert result["gains"]["base"]["constant"]["all"]["logloss"]["high"] < 0
    assert result["conclusion"].startswith("Knowledge, over all")


def test_a_base_that_is_worse_than_a_constant_leaves_nothing_to_claim(make_scores):
    scores = make_scores({"base": 0.5, "knowledge": 1.3})
    wrong = 1 - scores.probabilities["base"]
    constant = np.full((3, 600), 0.5, dtype=np.float32)
    arms = {"base": wrong, "knowledge": scores.probabilities["knowledge"], "constant": constant}

    result = evaluate(replace(scores, probabilities=arms), replicates=50)

    assert result["conclusion"].startswith("The base arm is not shown to be better than a constant (LogLoss +")


def test_gains_are_told_over_wrong_knowledge_and_over_an_arms_own_controls(make_scores):
    arms = {"base": 0.5, "shuffled": 0.5, "random": 0.5, "llm-cf": 1.0, "llm-cf-labels": 0.9}

    result = evaluate(make_scores(arms), replicates=20)

    assert result["controls"] == ["base", "shuffled", "random"]
    assert list(result["gains"]["llm-cf"]) == ["base", "shuffled", "random", "llm-cf-labels"]
    assert list(result["gains"]["base"]) == ["shuffled", "random"]


def test_one_seed_has_no_spread_and_still_an_interval(make_scores):
    result = evaluate(make_scores(seeds=1), replicates=50)

    assert result["arms"]["base"]["all"]["auc"]["sd"] is None
    assert result["gains"]["knowledge"]["base"]["all"]["auc"]["low"] is not None


def test_controls_that_were_not_trained_are_left_out(make_scores):
    result = evaluate(make_scores({"base": 0.5, "knowledge": 1.0}), controls=("base", "facts"), replicates=20)

    assert result["controls"] == ["base"]
    assert list(result["gains"]["knowledge"]) == ["base"]
    assert result["gains"]["base"] == {}


def test_progress_counts_every_arm_segment_and_seed(make_scores):
    heard = []

    evaluate(make_scores(), replicates=5, progress=lambda *said: heard.append(said))

    assert heard == [("intervals", done, 36) for done in range(1, 37)]  # 3 arms x 4 segments x 3 seeds


def test_intervals_of_users_are_wider_than_those_of_rows_when_users_differ(make_scores):
    """Why users are drawn: the same rows, each called a user of its own, seem to say more than they do."""
    scores = make_scores(rows=600, users=20)
    random = np.random.default_rng(0)
    good = random.random(20)[scores.user_codes()[0]] < 0.5  # users for whom the arm helps; for the others it harms
    better = np.where(good, scores.probabilities["knowledge"], 1 - scores.probabilities["knowledge"])
    scores = replace(scores, probabilities={"base": scores.probabilities["base"], "knowledge": better})
    by_row = replace(scores, user=np.arange(600))

    def width(one):
        gain = evaluate(one, replicates=200)["gains"]["knowledge"]["base"]["all"]["auc"]
        return gain["high"] - gain["low"]

    assert width(scores) > 1.5 * width(by_row)
