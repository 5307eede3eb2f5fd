"""Segments and coverage, worked out by hand."""

import numpy as np
import pytest

from ctr.samples import Samples
from evals import comparison


@pytest.fixture
def samples() -> Samples:
    """Training: item 0 five times, item 1 four times, item 2 never. Validation: item 2. Test: items 0, 1, 1, 2."""
    item = [0] * 5 + [1] * 4 + [2] + [0, 1, 1, 2]
    part = [0] * 9 + [1] + [2] * 4
    count = len(item)
    flat = np.zeros(count, dtype=np.float32)
    return Samples(
        user=np.zeros(count, dtype=np.int64),
        item=np.array(item),
        time=np.zeros(count, dtype="datetime64[us]"),
        rating=flat,
        label=flat,
        part=np.array(part, dtype=np.int8),
        history=np.full((count, 1), -1, dtype=np.int32),
        statistics=flat[:, None],
        user_mean=flat,
        surprise=flat,
        item_categories=np.zeros((3, 0), dtype=np.float32),
        item_numbers=np.zeros((3, 0), dtype=np.float32),
        user_ids=np.array(["u"]),
        item_ids=np.array(["a", "b", "c"]),
    )


def test_an_item_is_cold_below_five_training_events(samples):
    # Item 0 has five; item 1 has four, its test events do not count; item 2 has none, its validation event neither.
    assert comparison.cold_rows(samples).tolist() == [False] * 5 + [True] * 5 + [False, True, True, True]


def test_segments_mark_the_test_rows_alone(samples):
    knows = np.array([True] * 10 + [True, True, False, True])

    found = comparison.segments_of_test(samples, knows)

    assert {name: mask.tolist() for name, mask in found.items()} == {
        "all": [True] * 4,
        "warm": [True, False, False, False],
        "cold": [False, True, True, True],
        "cold_with_knowledge": [False, True, False, True],
    }


def test_coverage_is_a_share_of_all_of_test_and_of_cold_test_rows(samples):
    knows = np.array([True] * 3 + [False] * 7 + [False, True, False, True])

    # 5 of 14 rows, 2 of 4 test rows, 2 of the 3 cold ones
    assert comparison.coverage(samples, knows) == {"all": 5 / 14, "test": 0.5, "cold": pytest.approx(2 / 3)}


def test_without_test_rows_nothing_is_covered(samples):
    samples.part[:] = 0

    assert comparison.coverage(samples, np.ones(14, dtype=bool)) == {"all": 1, "test": 0, "cold": 0}
    assert all(len(mask) == 0 for mask in comparison.segments_of_test(samples, np.ones(14, dtype=bool)).values())


def test_rows_strictly_later_than_the_models_cutoff_are_a_segment_where_there_are_some(samples):
    samples.time[10:] = np.array(["2023-12-31", "2024-01-01", "2024-01-01T00:00:01", "2025-01-01"], "datetime64[us]")
    nobody = np.zeros(14, dtype=bool)

    found = comparison.segments_of_test(samples, nobody, np.datetime64("2024-01-01", "us"))
    later = comparison.segments_of_test(samples, nobody, np.datetime64("2025-01-01"))

    assert found["before_cutoff"].tolist() == [True, True, False, False]  # a row of the very moment is before
    assert found["after_cutoff"].tolist() == [False, False, True, True]
    assert (
        list(later)
        == list(comparison.segments_of_test(samples, nobody))
        == ["all", "warm", "cold", "cold_with_knowledge"]
    )
