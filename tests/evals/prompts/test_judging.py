"""What a judge prefers, worked out by hand."""

import pytest

from evals.prompts.judging import Judged, measure_judge


def by_name(versions, judged, **options):
    return {one.name: one for one in measure_judge(versions, judged, **options)}


def test_wins_count_both_orders_a_tie_half_and_a_missing_answer_not_at_all():
    rows = [Judged("A", "B"), Judged("tie", "tie"), Judged("A", "A"), Judged("B", "A"), Judged(None, "A")]

    made = by_name(["v1", "v2"], {("v1", "v2"): rows})

    # v1: a win, a tie, one order each, a loss: (1 + 0.5 + 0.5 + 0) / 4.
    assert made["judge"].by_row["v1"] == [1, 0.5, 0.5, 0, None]
    assert made["judge"].figures["v1"].mean == 0.5
    assert made["judge"].by_row["v2"] == [0, 0.5, 0.5, 1, None]
    assert made["judge"].against["v1"]["v2"].mean == 0
    # Both orders agree on rows 1, 2 and 4, of the four that have both.
    assert made["judge_swapped"].figures["v1"].mean == 0.75
    # Decisions: A B, none, A A, B A, A: the first text in 1 of 2, 2 of 2, 1 of 2 and 1 of 1.
    assert made["judge_first"].figures["v1"].mean == pytest.approx((0.5 + 1 + 0.5 + 1) / 4)


def test_a_judge_that_always_names_the_first_text_prefers_nobody_and_is_found_out():
    made = by_name(
        ["v1", "v2", "v3"], {pair: [Judged("A", "A")] * 3 for pair in (("v1", "v2"), ("v1", "v3"), ("v2", "v3"))}
    )

    assert [figure.mean for figure in made["judge"].figures.values()] == [0.5, 0.5, 0.5]
    assert made["judge_swapped"].figures["v2"].mean == 0
    assert made["judge_first"].figures["v2"].mean == 1


def test_of_three_versions_the_win_rate_is_over_all_others():
    made = by_name(
        ["v1", "v2", "v3"],
        {("v1", "v2"): [Judged("A", "B")], ("v1", "v3"): [Judged("tie", "tie")], ("v2", "v3"): [Judged("B", "A")]},
    )

    assert {name: figure.mean for name, figure in made["judge"].figures.items()} == {"v1": 0.75, "v2": 0, "v3": 0.75}
    assert made["judge"].against["v1"]["v2"].mean == 1


def test_agreement_with_itself_is_measured_if_it_was_asked_twice_and_says_why_otherwise():
    twice = by_name(["v1", "v2"], {("v1", "v2"): [Judged("A", "B", "A"), Judged("A", "B", "tie")]})
    once = by_name(["v1", "v2"], {("v1", "v2"): [Judged("A", "B")]}, why_once="temperature 0")

    assert twice["judge_again"].figures["v1"].mean == 0.5
    assert once["judge_again"].figures["v1"].why == "temperature 0"
