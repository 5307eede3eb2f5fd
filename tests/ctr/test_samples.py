"""Samples: aligned with the events, codes and categories by hand, and blind to what must not be seen."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctr.samples import (
    Frame,
    build_samples,
    category_shares,
    category_values,
    codes_of,
)
from sources.events import histories
from sources.faults import SourceFaults

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
    parts = pl.Series("part", ["test", "train", "validation", "train"])

    samples = build_samples(replace(dataset, events=dataset.events.with_columns(parts)), np.full((4, 1), -1))

    assert samples.part.tolist() == [2, 0, 1, 0]


def test_a_split_without_training_is_a_fault_of_the_settings(world):
    dataset = world.dataset(users=2, events=2)

    with pytest.raises(SourceFaults, match=r"split.*leaves no event for training") as caught:
        build_samples(replace(dataset, events=dataset.events.with_columns(part=pl.lit("test"))), np.full((4, 1), -1))

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

    shares, spans = category_shares(items, ["genres", "land"], category_values(items, ["genres", "land"]))

    assert spans == ((0, 3), (3, 5))
    # columns: action, comedy, drama | fr, us; a category that stands twice counts once
    assert shares.tolist() == [[0.5, 0.5, 0, 1, 0], [0, 0, 1, 0.5, 0.5], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]


@pytest.mark.parametrize("field", ["row", "category", "literal"])
def test_a_category_field_may_have_any_name(field):
    items = pl.DataFrame({field: [["b"], ["a", "b"]]})

    assert category_shares(items, [field], category_values(items, [field]))[0].tolist() == [[0, 1], [0.5, 0.5]]


def test_numbers_are_standardised_over_all_items_and_0_where_unknown(world):
    dataset = world.dataset(users=1, items=4, events=4)
    items = dataset.items.with_columns(pl.Series("year", [1990.0, 1994.0, None, 1998.0]))

    samples = world.samples_of(replace(dataset, items=items))

    # mean 1994, deviation sqrt(32 / 3); who rates them, and when, has no part in it
    assert samples.item_numbers[:, 0] == pytest.approx([-4 / (32 / 3) ** 0.5, 0, 0, 4 / (32 / 3) ** 0.5])


def test_in_a_frame_known_ids_and_values_keep_their_codes_and_new_ones_come_after_them(world):
    dataset = world.dataset(users=2, items=4, events=4)
    frame = Frame(("u01", "gone"), ("i03", "left"), (("comedy", "drama"),), ((1990.0, 2.0),))
    items = dataset.items.with_columns(
        genres=pl.Series([["drama"], ["comedy", "drama"], [], ["unheard of"]]), year=pl.lit(1994.0)
    )

    samples = build_samples(replace(dataset, items=items), histories(dataset.events, 3), frame)

    assert samples.user_ids.tolist() == ["u01", "gone", "u00"]
    assert samples.item_ids.tolist() == ["i03", "left", "i00", "i01", "i02"]
    assert samples.user_ids[samples.user].tolist() == dataset.events["user"].to_list()
    assert samples.item_ids[samples.item].tolist() == dataset.events["item"].to_list()
    # i03 has a value that the frame lacks, `left` is not in the catalogue any more
    assert samples.item_categories.tolist() == [[0, 0], [0, 0], [0, 1], [0.5, 0.5], [0, 0]]
    assert samples.item_numbers[:, 0].tolist() == [2, 0, 2, 2, 2]  # (1994 - 1990) / 2, and 0 where unknown


def test_statistics_are_near_mean_0_and_deviation_1_and_have_no_gap_anywhere(samples):
    assert np.isfinite(samples.statistics).all()
    late = samples.statistics[samples.time > np.median(samples.time.astype(np.int64)).astype("datetime64[us]")]
    assert (np.abs(late.mean(0)) < 2).all()
    assert (late.std(0) < 3).all()


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


def test_turning_one_label_changes_no_column_of_its_own_row_nor_of_any_that_is_not_later(world):
    dataset = world.dataset(users=12)
    before = world.samples_of(dataset)

    for row in range(0, len(before.user), 7):  # training, validation and test rows alike
        turned = np.arange(len(before.user)) == row
        after = world.samples_of(with_ratings(dataset, turned, before.rating + 2))

        unseen = before.time <= before.time[row]  # itself, its moment, and whatever is older, whoever's it is
        for name in ("statistics", "user_mean", "history"):
            np.testing.assert_array_equal(getattr(after, name)[unseen], getattr(before, name)[unseen])
        assert (after.statistics[~unseen] != before.statistics[~unseen]).any() or unseen.all()
        assert after.surprise[row] != before.surprise[row] or (before.time[row] == before.time.min())


def test_a_row_takes_few_bytes(samples):
    rows = {
        name: of for name, of in vars(samples).items() if isinstance(of, np.ndarray) and len(of) == len(samples.label)
    }

    assert sum(of.nbytes for of in rows.values()) / len(samples.label) == (
        26 * 4
        + 6 * 4  # statistics, history
        + 3 * 8  # user, item, time
        + 4 * 4  # rating, label, the user's mean, surprise
        + 4  # part, and whether it was chosen, sampled, rated
    )
