"""Columns are scaled by what may be known: equal to a naive loop, whatever the size of a block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctr import scale
from ctr.scale import scale_of, standardise, standardise_by_past

VALUES = st.one_of(st.none(), st.integers(-9, 9))


@given(st.lists(st.tuples(st.integers(0, 4), VALUES), min_size=1, max_size=12))
def test_each_row_is_standardised_by_strictly_earlier_rows_alone(rows):
    time = np.array([moment for moment, _ in rows], dtype="datetime64[s]").astype("datetime64[us]")
    column = np.array([np.nan if value is None else value for _, value in rows], dtype=np.float64)

    found = standardise_by_past(column[:, None], time)[:, 0]

    for row, (moment, value) in enumerate(rows):
        past = [v for m, v in rows if m < moment and v is not None]
        if value is None:
            expected = 0.0
        else:
            mean, deviation = (np.mean(past), np.std(past)) if past else (0.0, 0.0)
            expected = np.clip((value - mean) / (deviation if deviation > 1e-6 else 1), -5, 5)
        assert found[row] == pytest.approx(expected, abs=1e-4)


def test_standardise_ignores_what_is_unknown_and_leaves_a_constant_at_0():
    fitted = np.array([[1.0, 5, np.nan], [3.0, 5, np.nan], [np.nan, 5, np.nan]])

    done = standardise(np.array([[5.0, 5, 7], [np.nan, 6, np.nan]]), scale_of(fitted))

    # first column: mean 2, deviation 1; second: nothing to scale by; third: nothing known, so only NaN is fixed
    assert done.tolist() == [[3, 0, 7], [0, 1, 0]]
    assert standardise(fitted, scale_of(fitted[:0]))[2, 0] == 0


@given(st.lists(st.tuples(st.integers(0, 6), VALUES, st.booleans()), max_size=25), st.integers(1, 4))
def test_standardising_a_few_rows_at_a_time_changes_no_bit(rows, block):
    time = np.array([moment for moment, _, _ in rows], dtype="datetime64[s]").astype("datetime64[us]")
    column = np.array([np.nan if value is None else value / 7 for _, value, _ in rows])  # sevenths are rounded
    happened = np.array([counts for _, _, counts in rows], dtype=bool)
    whole = standardise_by_past(column[:, None], time, happened)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scale, "BLOCK", block)
        found = standardise_by_past(column[:, None], time, happened)

    np.testing.assert_array_equal(found, whole)


@given(st.lists(st.tuples(st.integers(0, 4), VALUES, st.booleans()), max_size=12))
def test_the_standardised_column_is_the_formula_in_double_precision_to_the_bit(rows):
    second = [moment for moment, _, _ in rows]
    values = [np.nan if value is None else value / 7 for _, value, _ in rows]
    order = sorted(range(len(rows)), key=lambda row: (second[row], row))

    found = standardise_by_past(
        np.array(values)[:, None],
        np.array(second, dtype="datetime64[s]").astype("datetime64[us]"),
        np.array([counts for _, _, counts in rows], dtype=bool),
    )

    for row, value in enumerate(values):
        number = total = power = 0.0
        for other in order:  # one after the other, oldest first
            if rows[other][2] and second[other] < second[row] and not np.isnan(values[other]):
                number, total, power = number + 1, total + values[other], power + values[other] * values[other]
        mean = total / max(number, 1)
        deviation = np.sqrt(max(power / max(number, 1) - mean * mean, 0))
        scaled = np.clip((value - mean) / (deviation if deviation > 1e-6 else 1), -5, 5)
        assert found[row, 0] == (0 if np.isnan(value) else np.float32(scaled))
    assert found.dtype == np.float32
