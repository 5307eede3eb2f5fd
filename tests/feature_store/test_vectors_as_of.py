"""The as-of read: strictly earlier, ties included."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_store.vectors import as_of_rows

moment = st.integers(min_value=0, max_value=6)
entity = st.integers(min_value=0, max_value=3)


def microseconds(values: list[int]) -> np.ndarray:
    return np.array(values, dtype="datetime64[us]")


def test_a_row_made_at_the_very_second_of_the_sample_is_not_seen():
    found = as_of_rows(np.array([1, 1]), microseconds([5, 6]), np.array([1]), microseconds([5]))

    assert found.tolist() == [-1, 0]


def test_the_newest_earlier_row_is_taken_whatever_the_order_of_rows():
    # entity 1 has rows at 1, 3 and 7; a sample at 5 sees the one at 3, which stands first here
    found = as_of_rows(np.array([1]), microseconds([5]), np.array([1, 1, 1]), microseconds([3, 7, 1]))

    assert found.tolist() == [0]


@given(
    samples=st.lists(st.tuples(entity, moment), max_size=20),
    rows=st.sets(st.tuples(entity, moment), max_size=12),
)
def test_the_fast_join_equals_a_loop_over_all_rows(samples, rows):
    listed = sorted(rows, key=lambda row: (row[1], row[0]))
    expected = []
    for who, when in samples:
        earlier = [(as_of, place) for place, (other, as_of) in enumerate(listed) if other == who and as_of < when]
        expected.append(max(earlier)[1] if earlier else -1)

    found = as_of_rows(
        np.array([who for who, _ in samples], dtype=np.int64),
        microseconds([when for _, when in samples]),
        np.array([who for who, _ in listed], dtype=np.int64),
        microseconds([as_of for _, as_of in listed]),
    )

    assert found.tolist() == expected
