"""Sampled negatives among the samples: rows that see what happened before, and that no other row sees."""

from dataclasses import fields, replace

import numpy as np
import pytest

from ctr.adapters import quality, similarity, taste
from ctr.adapters.protocol import view_name
from evals.comparison import cold_rows, windows_of
from sources.label_config import NegativesConfig
from sources.negatives import positives_of, sample_negatives

ROWS = (
    "user",
    "item",
    "time",
    "rating",
    "label",
    "part",
    "history",
    "statistics",
    "user_mean",
    "surprise",
    "chosen",
    "rated",
)


@pytest.fixture(scope="module")
def plain(world):
    """A log with ratings, so that every statistic has something to count."""
    return world.dataset()


@pytest.fixture(scope="module")
def dataset(plain):
    return replace(plain, sampled=sample_negatives(plain.events, NegativesConfig(per_positive=2)))


def test_no_event_sees_a_negative(world, plain, dataset):
    before, after = world.samples_of(plain), world.samples_of(dataset)

    events = len(plain.events)
    assert len(after.label) == events + len(dataset.sampled)
    for name in ROWS:
        np.testing.assert_array_equal(getattr(after, name)[:events], getattr(before, name), err_msg=name)
    for name in {one.name for one in fields(before)} - {*ROWS, "sampled"}:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name), err_msg=name)
    np.testing.assert_array_equal(cold_rows(after)[:events], cold_rows(before))


def test_a_negative_stands_beside_its_positive(world, dataset):
    samples, positive = world.samples_of(dataset), positives_of(dataset)

    events = len(dataset.events)
    for name in ("user", "time", "part", "history"):
        np.testing.assert_array_equal(getattr(samples, name)[events:], getattr(samples, name)[positive], err_msg=name)
    assert samples.item_ids[samples.item[events:]].tolist() == dataset.sampled["item"].to_list()
    assert not samples.label[events:].any()
    assert not samples.chosen[events:].any()
    assert not samples.rated[events:].any()
    assert samples.rated[:events].all()
    np.testing.assert_array_equal(samples.happened, np.arange(len(samples.label)) < events)


@pytest.mark.parametrize("place", [0, 700, -1])
def test_the_statistics_of_a_negative_are_those_of_an_event_in_its_place(world, plain, dataset, place):
    one = dataset.sampled[place]
    events = plain.events.vstack(one).sort("time", "item", "user", maintain_order=True)
    at = events.select(position=(events["label"] == 0) & events["rating"].is_null())["position"].arg_true()[0]

    expected = world.samples_of(replace(plain, events=events)).statistics[at]

    row = len(plain.events) + (place if place >= 0 else len(dataset.sampled) + place)
    np.testing.assert_allclose(world.samples_of(dataset).statistics[row], expected, atol=1e-6)


def test_windows_of_time_hold_a_negative_with_its_positive(plain, dataset):
    windows, before = windows_of(dataset, [0.5, 0.8]), windows_of(plain, [0.5, 0.8])

    events = len(plain.events)
    assert len(windows) == len(before) == 3
    for window, old in zip(windows, before, strict=True):
        np.testing.assert_array_equal(window[:events], old)
        np.testing.assert_array_equal(window[events:], window[positives_of(dataset)])


@pytest.mark.parametrize("adapter", [quality, similarity, taste])
def test_what_adapters_count_of_events_holds_no_negative(world, plain, dataset, adapter):
    before, after = world.samples_of(plain), world.samples_of(dataset)
    vectors = [world.knowledge(before)]
    name = "taste" if adapter is taste else view_name(vectors[0])

    old, new = (adapter.prepare(vectors, samples, 3)[name] for samples in (before, after))

    events = len(plain.events)
    np.testing.assert_allclose(new.table[:events], old.table, atol=1e-5)
    np.testing.assert_array_equal(new.rows[:events], old.rows)
    assert (new.rows[events:] >= 0).any()
