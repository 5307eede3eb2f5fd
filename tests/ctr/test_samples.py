"""Samples: aligned with the events, codes and categories by hand, and blind to what must not be seen."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctr.samples import build_samples, category_shares, codes_of, standardise
from sources.faults import SourceFaults
from sources.history import histories

TEXT = st.text(alphabet="ab1 é", max_size=4)
COLUMNS = ("statistics", "user_mean", "surprise", "history", "item_numbers", "item_categories")


def with_ratings(dataset, rows, rating):
    """The dataset with other ratings, and labels, in some rows."""
    events, there = dataset.events, pl.Series(rows)
    changed = events.with_columns(
        pl.when(there).then(pl.Series(rating, dtype=pl.Float32)).otherwise("rating").alias("rating"),
        pl.when(there).then(1 - pl.col("label")).otherwise("label").alias("label"),
    )
    return type(dataset)(changed, dataset.items, None, None, (), ("genres",), ("year",), "changed")


def test_every_row_is_the_event_in_its_place(world):
    dataset = world.dataset()
    events = dataset.events

    samples = world.samples_of(dataset)

    assert samples.user_ids[samples.user].tolist() == events["user"].to_list()
    assert samples.item_ids[samples.item].tolist() == events["item"].to_list()
    assert samples.item_ids.tolist() == dataset.items["item"].to_list()
    assert samples.time.tolist() == events["time"].dt.replace_time_zone(None).to_list()
    assert samples.rating.tolist() == events["rating"].to_list()
    assert samples.label.tolist() == events["label"].to_list()
    np.testing.assert_array_equal(samples.history, histories(events, 6))
    assert samples.history.dtype == np.int32
    assert samples.statistics.dtype == samples.user_mean.dtype == samples.item_numbers.dtype == np.float32


def test_parts_become_their_place_in_the_order_of_training(world):
    dataset = world.dataset(users=1, events=4)
    split = ["test", "train", "validation", "train"]

    samples = build_samples(dataset, split, np.full((4, 1), -1), folds=2)

    assert samples.part.tolist() == [2, 0, 1, 0]


def test_a_split_without_training_is_a_fault_of_the_settings(world):
    dataset = world.dataset(users=2, events=2)

    with pytest.raises(SourceFaults, match=r"split.*leaves no event for training") as caught:
        build_samples(dataset, ["test"] * 4, np.full((4, 1), -1))

    assert "split by: global_time" in str(caught.value)


@given(st.lists(TEXT, max_size=8), st.sets(TEXT, max_size=6), st.booleans())
def test_codes_equal_a_dictionary(values, ids, as_objects):
    kind = object if as_objects else str
    ids = sorted(ids, reverse=True)
    place = {name: code for code, name in enumerate(ids)}

    found = codes_of(np.array(values, dtype=kind), np.array(ids, dtype=kind))

    assert found.tolist() == [place.get(value, -1) for value in values]
    assert found.dtype == np.int64


def test_category_shares_sum_to_one_within_each_field():
    items = pl.DataFrame(
        {"genres": [["comedy", "action"], ["drama"], [], None], "land": [["fr"], ["us", "fr", "fr"], [], ["us"]]},
        schema={"genres": pl.List(pl.String), "land": pl.List(pl.String)},
    )

    shares = category_shares(items, ["genres", "land"])

    # columns: action, comedy, drama | fr, us; a category that stands twice counts once
    assert shares.tolist() == [[0.5, 0.5, 0, 1, 0], [0, 0, 1, 0.5, 0.5], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]


@pytest.mark.parametrize("field", ["row", "category", "literal"])
def test_a_category_field_may_have_any_name(field):
    items = pl.DataFrame({field: [["b"], ["a", "b"]]})

    assert category_shares(items, [field]).tolist() == [[0, 1], [0.5, 0.5]]


def test_numbers_are_standardised_over_the_training_rows_and_0_where_unknown(world):
    # Items 0 and 1 are rated in training, once and three times: years 1990 and 1994, mean 1993, deviation sqrt(3).
    dataset = world.dataset(users=1, items=4, events=4)
    items = dataset.items.with_columns(pl.Series("year", [1990.0, 1994.0, None, 2020.0]))
    start = dataset.events["time"][0]
    events = dataset.events.with_columns(
        pl.Series("item", ["i00", "i01", "i01", "i01"]),
        pl.Series("time", [start + timedelta(hours=h) for h in range(4)]),
    )
    changed = type(dataset)(events, items, None, None, (), ("genres",), ("year",), "")

    samples = build_samples(changed, ["train"] * 4, np.full((4, 1), -1), folds=2)

    assert samples.item_numbers[:, 0] == pytest.approx([-3 / 3**0.5, 1 / 3**0.5, 0, 27 / 3**0.5])


def test_standardise_ignores_what_is_unknown_and_leaves_a_constant_at_0():
    fitted = np.array([[1.0, 5, np.nan], [3.0, 5, np.nan], [np.nan, 5, np.nan]])

    done = standardise(np.array([[5.0, 5, 7], [np.nan, 6, np.nan]]), fitted)

    # first column: mean 2, deviation 1; second: nothing to scale by; third: nothing known, so only NaN is mended
    assert done.tolist() == [[3, 0, 7], [0, 1, 0]]
    assert standardise(fitted, fitted[:0])[2, 0] == 0


def test_statistics_have_mean_0_and_deviation_1_over_training_and_no_gap_anywhere(samples):
    assert np.isfinite(samples.statistics).all()
    known = samples.statistics[samples.part == 0].astype(np.float64)
    np.testing.assert_allclose(known.mean(0), 0, atol=1e-5)
    # The time since the newest event is unknown (0) for first events: the deviation over all rows is below 1.
    assert (np.abs(known.std(0) - 1) < 1e-3).sum() >= known.shape[1] - 1


def test_data_with_labels_alone_uses_the_label_as_rating(world):
    samples = world.samples(ratings=False)

    np.testing.assert_array_equal(samples.rating, samples.label)
    assert set(samples.rating.tolist()) == {0, 1}
    for name in COLUMNS:
        assert np.isfinite(getattr(samples, name)).all()
    assert (samples.statistics.std(0) > 0).all()


def test_data_without_categories_and_numbers_has_tables_without_columns(world):
    dataset = world.dataset()
    bare = type(dataset)(dataset.events, dataset.items.select("item", "title"), None, None, (), (), (), "")

    samples = world.samples_of(bare)

    assert samples.item_categories.shape == samples.item_numbers.shape == (len(samples.item_ids), 0)
    assert np.isfinite(samples.statistics).all()


@pytest.mark.parametrize("part", [1, 2], ids=["validation", "test"])
def test_ratings_of_a_part_change_nothing_of_the_parts_before_it_nor_of_their_own_row(world, part):
    dataset = world.dataset()
    before = world.samples_of(dataset)
    changed = before.part >= part

    after = world.samples_of(with_ratings(dataset, changed, 6 - before.rating))

    for name in ("statistics", "user_mean"):
        np.testing.assert_array_equal(getattr(after, name)[~changed], getattr(before, name)[~changed])
    np.testing.assert_array_equal(after.surprise[~changed], before.surprise[~changed])
    assert (after.statistics[changed] != before.statistics[changed]).any()  # later rows of the user have seen them


def test_a_test_row_s_own_rating_changes_none_of_its_own_columns(world):
    dataset = world.dataset()
    before = world.samples_of(dataset)
    last = np.array([np.flatnonzero(before.user == user)[-1] for user in range(len(before.user_ids))])
    only = np.isin(np.arange(len(before.user)), last)  # one a user, so that no other is seen

    after = world.samples_of(with_ratings(dataset, only, 6 - before.rating))

    assert (after.rating[only] != before.rating[only]).any()
    for name in ("statistics", "user_mean", "history"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
