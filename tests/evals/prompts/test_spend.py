"""What versions cost, worked out by hand."""

from datetime import UTC, datetime

import pytest

from evals.prompts.spend import measure_spend
from evals.trial import Trial, TrialAnswer, TrialRow

ROWS = tuple(TrialRow(f"r{n}", f"{n}", datetime(2024, 1, 1, tzinfo=UTC), "all", {}) for n in range(2))


def said(tokens_in, tokens_out):
    return TrialAnswer("k", "x", "x", "x", None, None, tokens_in, tokens_out)


TRIAL = Trial(
    "t", "item", ("v1", "v2"), ROWS, {"v1": (said(100, 10), said(300, 30)), "v2": (said(100, 20), said(100, 20))}
)


def test_tokens_and_money_are_those_of_the_sample_and_of_all_rows_by_its_mean():
    price = lambda sent, got: sent * 0.001 + got * 0.01  # noqa: E731

    made = {one.name: one for one in measure_spend(TRIAL, 1000, price, "EUR", {"v1": 0.5, "v2": None})}

    assert made["input_tokens"].figures["v1"].mean == 200
    assert made["output_tokens"].against["v1"]["v2"].mean == 0
    # v1: 400 tokens in and 40 out: 0.4 + 0.4; all 1,000 rows are 500 samples.
    assert made["cost"].figures["v1"].mean == pytest.approx(0.8)
    assert made["cost_of_all"].figures["v1"].mean == pytest.approx(400)
    assert made["tokens_of_all"].figures["v2"].mean == 240 * 500
    assert made["seconds_of_all"].figures["v1"].mean == 500
    assert made["seconds_of_all"].figures["v2"].why == "no past run"
    assert "EUR" in made["cost"].about


def test_without_prices_and_past_runs_there_is_neither_money_nor_time():
    made = {one.name for one in measure_spend(TRIAL, 1000, lambda *_: 0.0, "USD", {"v1": None, "v2": None})}

    assert made == {"input_tokens", "output_tokens", "tokens_of_all"}
