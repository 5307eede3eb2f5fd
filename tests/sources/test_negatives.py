"""Sampled negatives: by hand, strictly as of each event, and from a file without a label to the rows that are trained."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ctr.samples import build_samples
from sources.config import SplitConfig
from sources.events import histories, with_parts
from sources.label_config import NegativesConfig
from sources.negatives import positives_of, sample_negatives, trained_rows
from sources.parts import count_parts

START = datetime(2024, 1, 1, tzinfo=UTC)
CASE = Path(__file__).resolve().parents[1] / "cases" / "data" / "positives-only"
BOTH = pytest.mark.parametrize("by", ["uniform", "popularity"])


def log_of(rows):
    """Canonical events of some (user, item, second), all positive."""
    events = pl.DataFrame(
        [(user, item, START + timedelta(seconds=second)) for user, item, second in rows],
        schema={"user": pl.String, "item": pl.String, "time": pl.Datetime("us", "UTC")},
        orient="row",
    ).sort("time", "item", "user")
    events = events.with_columns(rating=pl.lit(None, dtype=pl.Float32), label=pl.lit(1, dtype=pl.Float32))
    events = events.with_columns(position=pl.int_range(pl.len(), dtype=pl.UInt32).over("user"))
    return with_parts(events, SplitConfig(by="global_time"))


def drawn_by_event(events, **settings):
    """(user, second) -> the items drawn, of a log in which a user has one event at a moment."""
    found = sample_negatives(events, NegativesConfig(**settings))
    drawn = {}
    for user, item, time in found.select("user", "item", "time").iter_rows():
        drawn.setdefault((user, int((time - START).total_seconds())), []).append(item)
    return drawn


@BOTH
def test_all_that_may_be_drawn_by_hand(by):
    events = log_of([("u", "a", 0), ("v", "b", 1), ("u", "b", 2), ("w", "c", 2), ("v", "a", 3), ("u", "d", 3)])

    drawn = drawn_by_event(events, per_positive=4, by=by)

    # u at 0: nothing was there; v at 1: a, though v chooses it later; u at 2: had both a and, at that moment, b;
    # w at 2: not c, which is its own; at 3 v had b and has a, u had a and b, and nobody had d before.
    assert {event: sorted(items) for event, items in drawn.items()} == {
        ("v", 1): ["a"],
        ("w", 2): ["a", "b"],
        ("v", 3): ["c"],
        ("u", 3): ["c"],
    }


def test_a_negative_is_like_its_positive_but_for_item_label_and_rating():
    events = log_of([("u", "a", 0), ("v", "b", 1), ("w", "c", 2)])

    found = sample_negatives(events, NegativesConfig(per_positive=1))

    assert found.schema == events.schema
    assert found["label"].to_list() == [0, 0]
    assert found["rating"].null_count() == 2
    same = ["user", "time", "position", "part"]
    assert_frame_equal(found.select(same), events[1:].select(same))


def test_uniform_draws_items_alike_and_popularity_by_their_events():
    before = [(f"x{n}", "a" if n < 90 else "b", n) for n in range(100)]
    events = log_of([*before, *((f"u{n}", "c", 1000) for n in range(3000))])

    share = {}
    for by in ("uniform", "popularity"):
        late = sample_negatives(events, NegativesConfig(per_positive=1, by=by)).filter(
            pl.col("user").str.starts_with("u")
        )
        share[by] = (late["item"] == "a").mean()
        assert len(late) == 3000

    assert share["uniform"] == pytest.approx(0.5, abs=0.04)
    assert share["popularity"] == pytest.approx(0.9, abs=0.03)


def test_what_is_hardly_ever_drawn_is_drawn_where_nothing_else_may_be():
    crowd = [(f"x{n}", "a", n) for n in range(3000)]
    events = log_of([*crowd, ("y", "b", 3001), ("z", "c", 3002), ("u", "a", 3003), ("u", "d", 3004)])

    drawn = drawn_by_event(events, per_positive=2, by="popularity")

    assert sorted(drawn[("u", 3003)]) == sorted(drawn[("u", 3004)]) == ["b", "c"]


def test_a_hundred_negatives_of_each_event_are_as_many_items_each_as_likely():
    items = [(f"x{n}", f"i{n}", n) for n in range(400)]
    events = log_of([*items, *((f"u{n}", "c", 1000) for n in range(300))])

    found = sample_negatives(events, NegativesConfig(per_positive=100)).filter(pl.col("user").str.starts_with("u"))

    by_user = found.group_by("user").agg(pl.col("item").n_unique(), pl.len())
    assert by_user["item"].to_list() == by_user["len"].to_list() == [100] * 300
    by_item = found["item"].value_counts()["count"]  # 300 times 100 of 400, 75 each: a deviation of 7.5
    assert len(by_item) == 400
    assert by_item.is_between(30, 120).all()  # six deviations


def test_another_seed_draws_others():
    events = log_of([(f"u{n}", f"i{n}", n) for n in range(200)])

    one, same, other = (sample_negatives(events, NegativesConfig(seed=seed))["item"].to_list() for seed in (0, 0, 1))

    assert one == same
    assert len(one) == len(other)
    assert np.mean(np.array(one) == np.array(other)) < 0.2


LOGS = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcdefg"), st.integers(0, 9)),
    min_size=1,
    unique=True,
    max_size=40,
)


@BOTH
@given(rows=LOGS, count=st.integers(1, 5), seed=st.integers(0, 3))
def test_a_negative_is_what_others_had_before_and_the_user_had_not_until_then(by, rows, count, seed):
    events = log_of(rows)

    found = sample_negatives(events, NegativesConfig(per_positive=count, by=by, seed=seed))

    drawn = [[] for _ in range(len(events))]
    keys = events.select("user", "position").rows()
    for user, position, item in found.select("user", "position", "item").iter_rows():
        drawn[keys.index((user, position))].append(item)
    moments = {(user, item, START + timedelta(seconds=second)) for user, item, second in rows}
    for (user, time), items in zip(events.select("user", "time").iter_rows(), drawn, strict=True):
        others = {item for _, item, then in moments if then < time}
        own = {item for who, item, then in moments if who == user and then <= time}
        assert set(items) <= others - own
        assert len(items) == len(set(items)) == min(count, len(others - own))


@BOTH
@given(rows=LOGS, until=st.integers(0, 9))
def test_later_events_change_no_negative(by, rows, until):
    rule, until = NegativesConfig(per_positive=3, by=by), START + timedelta(seconds=until)
    events = log_of(rows)
    columns = ["user", "item", "time"]

    of_all = sample_negatives(events, rule).filter(pl.col("time") <= until).select(columns)
    of_past = sample_negatives(events.filter(pl.col("time") <= until), rule).select(columns)

    assert_frame_equal(of_all, of_past)


def bring(source, order=None):
    """The case of positives only, without its weights, in the order of the file or in another one."""
    source.write("items.csv", (CASE / "items.csv").read_text(encoding="utf-8"))
    head, *lines = (line.rsplit(",", 1)[0] for line in (CASE / "events.csv").read_text(encoding="utf-8").splitlines())
    source.write("events.csv", "\n".join([head, *(random.Random(order).sample(lines, len(lines)) if order else lines)]))
    events = {"user": "user_id", "item": "item_id", "time": "timestamp", "rating": None}
    items = {"id": "item_id", "title": "name", "texts": {}, "categories": {}, "numbers": {}}
    return {"events": events, "items": items}


def test_from_a_file_without_a_label_to_the_rows_that_are_trained(source):
    mapping = bring(source)

    dataset = source.load(**mapping, label={"rating_at_least": None, "negatives": {"per_positive": 3}})

    assert dataset.events["label"].to_list() == [1] * 24
    assert dataset.sampled is not None
    assert 24 < len(dataset.sampled) <= 72
    samples = build_samples(dataset, histories(dataset.events, 5))
    assert len(samples.label) == 24 + len(dataset.sampled)
    assert samples.label.sum() == 24
    counts = count_parts(trained_rows(dataset), SplitConfig())
    assert [one.rows for one in counts] == np.bincount(samples.part).tolist()
    assert sum(one.positives for one in counts) == 24
    positive = positives_of(dataset)
    same = ["user", "time", "position", "part"]
    assert_frame_equal(dataset.events[positive].select(same), dataset.sampled.select(same))


def test_negatives_and_the_version_do_not_depend_on_the_order_of_the_file(source):
    label = {"rating_at_least": None, "negatives": {"by": "popularity"}}

    one = source.load(**bring(source), label=label)
    other = source.load(**bring(source, order=5), label=label)
    more = source.load(**bring(source), label={"rating_at_least": None, "negatives": {"per_positive": 1}})

    assert_frame_equal(one.sampled, other.sampled)
    assert one.version == other.version == more.version


def test_data_with_labels_of_its_own_has_no_sampled_rows(source):
    assert source.load().sampled is None


def test_negatives_beside_a_label_are_a_fault(source):
    message = source.message(label={"rating_at_least": 4, "negatives": {"per_positive": 4}})

    assert "label.negatives" in message
    assert "is for a log of positives only, but events.rating is set" in message


def test_without_any_of_them_the_fault_names_negatives(source):
    message = source.message(**bring(source), label={"rating_at_least": None})

    assert "set exactly one of events.rating, events.label and events.impressions" in message
    assert "label.negatives: {per_positive: 4}" in message
