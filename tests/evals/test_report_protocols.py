"""What the report shows of two protocols, of the constant, of older results, and of gains that are not claimed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from report_page import Page

from evals.conclusion import conclude_both
from evals.evaluate import evaluate
from evals.report import render_report
from evals.words import interval, signed

CUTS = [
    {"share": 0.5, "time": "2007-08-02T20:31:02+00:00", "train_rows": 50418, "test_rows": 10083, "test_users": 61},
    {"share": 0.9, "time": "2017-04-26T13:35:31", "train_rows": 90752, "test_rows": 10084, "test_users": 94},
]


@pytest.fixture(scope="module")
def rolling(make_scores):
    """Rolling time: its own arms and segments, a constant among them, and few users in one segment."""
    scores = make_scores({"base": 0.5, "facts": 0.6, "shuffled": 0.5, "knowledge": 1.3}, rows=900, users=30)
    constant = np.full((3, 900), 0.5, dtype=np.float32)
    segments = {"all": scores.segments["all"], "after_cutoff": scores.user < 70}
    made = replace(scores, segments=segments, probabilities={**scores.probabilities, "constant": constant})
    return {**evaluate(made, replicates=50), "cuts": CUTS}


def test_both_protocols_stand_side_by_side_with_their_users(result, rolling, context):
    both = {**result, "rolling": rolling, "looks": 12, "conclusion": conclude_both(result, rolling)}

    text = render_report(json.loads(json.dumps(both)), context)
    page = Page(text)

    assert page.faults == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {value[1:] for _, name, value in page.attributes if name == "href"} <= set(page.ids)
    assert "rolling" in page.ids
    share = rolling["segments"]["all"]["largest_user_share"]
    for words in (
        " ".join(both["conclusion"].split()),
        "but random was not trained, so the gain may not come from the content of the texts",
        "No gain holds in both.",
        "Configured split: against base",
        "Rolling time: against facts",
        f"All test rows 900 rows, 30 users, the largest with {share:.1%} of the rows",
        "Rows after the model's knowledge cutoff",
        "No interval: 7 users: too few for an interval",
        "50.0% 2007-08-02 20:31 UTC 50,418 10,083 61",
        "90.0% 2017-04-26 13:35 UTC 90,752 10,084 94",
        "Test rows were looked at 12 times",
        "AUC of every seed, rolling time",
    ):
        assert words in page.words, words
    assert page.words.index("Configured split: against base") < page.words.index("Rolling time: against base")
    assert page.words.index("Rolling time: against base") < page.words.index("Configured split: against facts")


def test_one_protocol_alone_shows_no_word_of_another(result, context):
    page = Page(render_report(result, context))

    assert "rolling" not in page.ids
    assert "looks" not in page.ids
    assert "Rolling time" not in page.words
    assert "Configured split" not in page.words


def test_a_constant_is_shown_with_its_figures_but_has_no_interval_drawn_and_is_a_check(rolling, context):
    text = render_report(rolling, context)
    page = Page(text)

    loss = rolling["gains"]["base"]["constant"]["all"]["logloss"]
    assert "constant control 0.5000 ± 0.0000 0.5000 ± 0.0000" in page.words
    assert "base against constant all test rows (30 users, the largest with" in page.words
    assert f"{signed(loss['mean'])} LogLoss {interval(loss)} ✓ yes" in page.words
    assert "knowledge against shuffled all test rows" in page.words
    assert '<th scope="row" class="arm">constant</th>' not in text
    assert "against constant</strong>" not in text
    assert "AUC of each seed of constant" not in text


def test_a_calibration_error_stands_beside_its_floor_and_without_an_interval(result, context):
    page = Page(render_report(result, context))
    error = result["arms"]["knowledge"]["all"]["ece"]

    assert f"{error['mean']:.4f} ± {error['sd']:.4f} floor {error['floor']:.4f}" in page.words
    assert f"ECE {error['mean']:.4f} ({error['floor']:.4f} by chance alone)" in page.words
    assert "No interval is shown: sizes of gaps grow when rows are drawn" in page.words


def test_a_result_of_an_older_version_is_still_a_page_without_the_intervals_that_it_should_not_have(result, context):
    old = json.loads(json.dumps(result))
    for counts in old["segments"].values():
        del counts["largest_user_share"], counts["no_interval"]
    old["segments"]["cold"]["users"] = 12
    for by_segment in old["arms"].values():
        for by_metric in by_segment.values():
            del by_metric["ece"]["floor"]
    for by_control in old["gains"].values():
        for by_segment in by_control.values():
            for by_metric in by_segment.values():
                by_metric["ece"] = {"mean": 0.0012, "low": 0.0777, "high": 0.0778}
    gone = old["gains"]["knowledge"]["base"]["cold"]["auc"]

    page = Page(render_report(old, context))

    assert page.faults == []
    assert "[+0.0777, +0.0778]" not in page.words
    assert interval(gone) not in page.words
    assert "12 users. No interval: 12 users: too few for an interval" in page.words


def test_the_page_opens_with_no_gain_that_the_conclusion_does_not_claim(make_scores, context):
    scores = make_scores({"base": 0.5, "facts": 0.6, "shuffled": 1.3, "knowledge": 1.3})

    made = evaluate(scores, replicates=50)
    page = Page(render_report(made, context))

    assert made["gains"]["knowledge"]["base"]["all"]["auc"]["low"] > 0
    assert "but not shown to be better than shuffled texts" in made["conclusion"]
    assert "gain shown" in page.words
    assert "▲ gain shown" not in page.words
    assert "✗ not shown" in page.words
