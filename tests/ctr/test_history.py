"""Histories found when asked for are those of the whole array, whatever is asked; batches read the same from both."""

from dataclasses import replace

import numpy as np
import polars as pl
import torch
from hypothesis import given
from hypothesis import strategies as st

from ctr.batch import Batches
from ctr.earlier import strictly_earlier
from ctr.history import Histories, histories_of
from sources.events import histories

LOGS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=25)


@given(LOGS, st.integers(1, 6))
def test_histories_are_those_of_the_events(rows, length):
    user, second, happened = (np.array([row[place] for row in rows]) for place in range(3))
    time, happened = second.astype("datetime64[s]").astype("datetime64[us]"), happened.astype(bool)
    user = user.astype(np.int64)
    right = histories(pl.DataFrame({"user": user, "time": time}), length, happened)

    found = histories_of(user, time, happened, length)
    asked = Histories(strictly_earlier(user, time, happened), length)

    np.testing.assert_array_equal(found, right)
    np.testing.assert_array_equal(np.asarray(asked), right)
    assert isinstance(found, np.ndarray)
    assert found.dtype == asked.dtype == right.dtype
    assert asked.shape == right.shape
    np.testing.assert_array_equal(asked >= 0, right >= 0)
    if rows:
        chosen = np.arange(len(rows))[::-2]
        np.testing.assert_array_equal(asked[chosen], right[chosen])
        np.testing.assert_array_equal(asked[chosen, -1:], right[chosen, -1:])
        np.testing.assert_array_equal(asked[chosen, np.zeros_like(chosen)], right[chosen, 0])
        np.testing.assert_array_equal(asked[0], right[0])


def test_batches_of_a_large_log_are_those_of_a_small_one(samples):
    asked = Histories(strictly_earlier(samples.user, samples.time), samples.history.shape[1])
    rows = torch.arange(0, len(samples.label), 7)

    kept, found = (Batches(of, {}).take(rows) for of in (samples, replace(samples, history=asked)))

    for name in ("history", "history_rating", "history_mask", "dense", "item"):
        assert torch.equal(getattr(kept, name), getattr(found, name)), name
    assert found.dense.shape[1] == Batches(samples, {}).dense_width
