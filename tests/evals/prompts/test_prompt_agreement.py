"""Agreement of repeated answers."""

from datetime import UTC, datetime

from evals.prompts.text.agreement import agreement
from evals.trial import Trial, TrialRow

ROWS = tuple(TrialRow(f"r{n}", "a", datetime(2024, 1, 1, tzinfo=UTC), "all", {}) for n in range(2))


def test_alike_answers_agree_and_a_version_asked_once_says_why():
    trial = Trial("t", "item", ("v1", "v2"), ROWS, {})

    made = agreement(
        trial, {"v2": [["warm film", "warm film"], ["warm film", "cold film", None]]}, {"v1": "temperature 0"}
    )

    # Of the second row one word of three is in both.
    assert made.by_row["v2"] == [1, 1 / 3]
    assert made.figures["v2"].mean == 2 / 3
    assert made.figures["v1"].why == "temperature 0"
