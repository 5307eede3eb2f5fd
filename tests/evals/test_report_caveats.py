"""Caveats: the share of rows after the knowledge cutoff is told, and so is that there are none or that it is unknown."""

from datetime import UTC, datetime

from evals.report_caveats import CALIBRATED, CUTOFF_UNKNOWN, EARLIER_ONLY, NEWER_DATA, SEEN_BEFORE, caveats_of
from feature_store.releases import Release
from llm_tasks.pipeline.catalogue import find_tasks

NOW = datetime(2026, 11, 2, tzinfo=UTC)
NOTED = {"data_version": "d"}


def release(**facts):
    return Release("rel-000001", NOW, None, {}, {"data_version": "d", "tasks": ["kar_item"], **facts})


def about(cutoff, **noted):
    seen, told, earlier = caveats_of({**NOTED, **noted}, release(knowledge_cutoff=cutoff), find_tasks())
    assert (seen, earlier) == (SEEN_BEFORE, EARLIER_ONLY)
    return told


def test_where_no_row_lies_after_the_cutoff_the_back_test_is_called_optimistic():
    told = about("2026-11-01", after_cutoff=0.0, test_years=[1996, 2018])

    assert told.startswith(
        "The model's knowledge ends with 2026-11-01, and no test row (they are of 1996 to 2018) lies"
    )
    assert "this back-test of item knowledge is optimistic" in told
    assert "knows the world of 2026 and describes items to samples of 1996" in told
    assert "samples of years before" in about("2026-11-01", after_cutoff=0.0)


def test_the_share_after_the_cutoff_is_told_with_its_segment():
    told = about("2017-03-31", after_cutoff=0.1234)

    assert told.startswith(
        "The model's knowledge ends with 2017-03-31; 12.3% of the test rows lie after it. Only these"
    )
    assert "segment after_cutoff" in told


def test_what_was_not_counted_is_not_made_up():
    told = about("2017-03-31")

    assert "this run did not count" in told
    assert "optimistic" not in told
    assert about("2017-03-31", after_cutoff=None) == told


def test_an_unknown_cutoff_is_told_with_how_to_set_it():
    assert about(None) == CUTOFF_UNKNOWN
    assert "engine.knowledge_cutoff in knowflow.yaml" in CUTOFF_UNKNOWN
    told = caveats_of(NOTED, release(model="gpt-4o@2024-05-13"), find_tasks())[1]  # a release of before cutoffs
    assert told == CUTOFF_UNKNOWN + " Published for this model: 2023-10-31."


def test_no_arm_is_said_to_bound_what_a_model_has_learnt_by_heart():
    assert "No arm bounds" in SEEN_BEFORE
    assert "rows later than the model's knowledge cutoff, items newer than the model" in SEEN_BEFORE
    assert "anonymous titles" in SEEN_BEFORE


def test_a_release_without_a_model_has_no_such_caveats_and_changed_data_is_told():
    facts_alone = Release("rel-000001", NOW, None, {}, {"data_version": "older", "tasks": ["item_facts"]})

    assert caveats_of(NOTED, facts_alone, find_tasks()) == [EARLIER_ONLY, NEWER_DATA]


def test_a_page_of_calibrated_probabilities_says_on_which_rows_they_were_fitted():
    told = caveats_of({**NOTED, "train": {"calibration": "platt"}}, release(), find_tasks())

    assert CALIBRATED.format("platt") in told
    assert not [
        one for one in caveats_of({**NOTED, "train": {"calibration": None}}, release(), find_tasks()) if "platt" in one
    ]
