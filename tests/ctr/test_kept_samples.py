"""Samples as files: every column comes back as it was, mapped, and what a process writes to it stays its own."""

from dataclasses import fields, replace

import numpy as np
import pytest

from ctr.history import Histories, histories_of
from ctr.kept_samples import read_samples, write_samples
from ctr.samples import Samples


def kinds(world):
    plain = world.samples()
    happened = plain.happened
    yield "plain", plain
    yield "without ratings", world.samples(ratings=False)
    yield "with empty columns", replace(plain, item_categories=plain.item_categories[:, :0], category_spans=())
    made = histories_of(plain.user, plain.time, happened, 6)
    assert isinstance(made, np.ndarray)
    yield "with all optional ones", replace(plain, chosen=happened, sampled=~happened, rated=happened)


@pytest.mark.parametrize("kind", range(4))
def test_every_column_comes_back_as_it_was(world, tmp_path, kind):
    _, samples = list(kinds(world))[kind]

    write_samples(tmp_path, samples)
    found = read_samples(tmp_path)

    for one in fields(Samples):
        right, value = getattr(samples, one.name), getattr(found, one.name)
        assert type(right) is type(value) or isinstance(value, np.memmap), one.name
        if isinstance(right, np.ndarray):
            assert value.dtype == right.dtype, one.name
            np.testing.assert_array_equal(value, right, err_msg=one.name)
        else:
            assert value == right, one.name


def test_histories_of_a_large_log_are_still_found_when_asked_for(world, tmp_path, monkeypatch):
    monkeypatch.setattr("ctr.history.MOST_CELLS", 0)
    samples = world.samples()
    large = histories_of(samples.user, samples.time, None, 6)
    assert isinstance(large, Histories)

    write_samples(tmp_path, replace(samples, history=large))
    found = read_samples(tmp_path).history

    assert isinstance(found, Histories)
    assert isinstance(found.earlier.order, np.memmap)
    np.testing.assert_array_equal(found[:], large[:])


def test_a_process_that_writes_changes_its_own_memory_alone(world, tmp_path):
    samples = world.samples()
    write_samples(tmp_path, samples)
    mine, theirs = read_samples(tmp_path), read_samples(tmp_path)

    mine.label[:] = 7

    np.testing.assert_array_equal(theirs.label, samples.label)
    np.testing.assert_array_equal(read_samples(tmp_path).label, samples.label)
