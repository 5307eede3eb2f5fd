"""Packing: every example once, no row too long, and a batch worked out by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuning.packing import collate, pack
from tuning.tokens import Example


def example(*ids: int, prompt: int) -> Example:
    return Example(np.array(ids, dtype=np.int32), prompt)


@given(st.lists(st.integers(1, 50), max_size=200))
def test_every_example_is_in_one_row_and_no_row_is_longer_than_its_room(lengths):
    rows = pack(lengths, 50)

    assert sorted(place for row in rows for place in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[place] for place in row) <= 50 for row in rows)


def test_the_first_open_row_with_room_takes_an_example():
    assert pack([6, 5, 4, 3, 2, 10], room=10) == [[0, 2], [1, 3, 4], [5]]


def test_a_batch_by_hand():
    rows = [[example(10, 11, 12, 13, prompt=2), example(20, 21, prompt=1)], [example(30, 31, 32, prompt=2)]]

    batch = {name: values.tolist() for name, values in collate(rows, pad=9).items()}

    assert batch == {
        "input_ids": [[10, 11, 12, 13, 20, 21], [30, 31, 32, 9, 9, 9]],
        "position_ids": [[0, 1, 2, 3, 0, 1], [0, 1, 2, 0, 1, 2]],
        # In the first row 12, 13 and 21 are learnt, from what stands before them: places 1, 2 and 4; in the second 32.
        "logits_to_keep": [1, 2, 4],
        "labels": [[-100, 12, 13, 21], [-100, 32, -100, -100]],
    }


def test_nothing_is_learnt_across_the_border_of_two_examples():
    batch = collate([[example(1, 2, prompt=1), example(3, 4, 5, prompt=2)]], pad=0)

    # 3, the first token of the second example, follows 2 and is nobody's label.
    assert batch["labels"].tolist() == [[-100, 2, 5]]
    assert batch["logits_to_keep"].tolist() == [0, 3]
