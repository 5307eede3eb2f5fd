"""Steps follow the size of the log: a small one is not one step, a large one is trained as it always was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctr.config import TrainConfig
from ctr.schedule import for_rows


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "leaf"),
    [
        (80_000, 512, 1, 100),
        (25_600, 512, 1, 100),
        (25_000, 500, 1, 100),
        (5_000, 100, 1, 100),
        (1_600, 32, 1, 32),
        (500, 32, 4, 10),  # 16 steps an epoch: four epochs make 64
        (74, 32, 10, 5),  # 3 steps an epoch, at most ten times as many epochs
        (1, 32, 10, 5),
    ],
)
def test_batch_epochs_and_leaves_follow_the_rows(rows, batch, epochs, leaf):
    found = for_rows(TrainConfig(), rows)

    assert (found.batch_size, found.epochs, found.trees.least_samples) == (batch, epochs, leaf)


def test_settings_can_be_taken_as_they_are():
    exact = TrainConfig(fit_to_rows=False)

    assert for_rows(exact, 10) == exact


@given(rows=st.integers(1, 200_000), batch=st.integers(1, 4096), epochs=st.integers(1, 5))
def test_settings_are_never_exceeded_and_from_ten_batches_on_there_are_fifty_steps(rows, batch, epochs):
    found = for_rows(TrainConfig(batch_size=batch, epochs=epochs), rows)

    assert found.batch_size <= batch
    assert epochs <= found.epochs <= 10 * epochs
    if rows >= 320:
        assert found.epochs * -(-rows // found.batch_size) >= 50
