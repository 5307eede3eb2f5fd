"""RecGen's rows: training events alone, and before each only what came strictly earlier."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from prompts.domain import load_domain
from sources.config import SplitConfig
from sources.events import with_parts
from sources.tables import Dataset
from tuning.recommendation import choose_rows, write_rows

START = datetime(2024, 1, 1, tzinfo=UTC)
SPLIT = SplitConfig(train=0.8, validation=0.1)
FILMS = load_domain("films")


def shop_of(rows: list[tuple[str, str, int, float]], config: SplitConfig = SPLIT) -> Dataset:
    """Events from user, item, minute and rating; a rating of 4 or more is liked."""
    events = (
        pl.DataFrame(rows, schema=["user", "item", "minute", "rating"], orient="row")
        .with_columns(
            time=pl.lit(START) + pl.duration(minutes=pl.col("minute")),
            label=(pl.col("rating") >= 4).cast(pl.Float32),
            rating=pl.col("rating").cast(pl.Float32),
        )
        .sort("time", "item", "user")
        .with_columns(position=pl.int_range(pl.len(), dtype=pl.UInt32).over("user"))
        .drop("minute")
    )
    items = pl.DataFrame({"item": events["item"].unique().sort()}).with_columns(title="Thing " + pl.col("item"))
    return Dataset(with_parts(events, config), items, None, None, (), (), (), "v")


def test_a_row_shows_what_came_strictly_earlier_oldest_first_and_says_whether_it_was_liked():
    # c and d share a minute: neither is the other's history.
    shop = shop_of([("u", "a", 0, 5), ("u", "b", 1, 2.5), ("u", "c", 2, 4), ("u", "d", 2, 1), ("u", "e", 3, 3)])

    choice = choose_rows(shop, FILMS, share=1.0, length=2, seed=0)
    rows = write_rows(choice, np.sort(choice.learnt), shop, load_domain("films"))

    # Of 5 events the first 4 train (floor of 5 * 0.8); a has no history and is no row.
    shown = [(said[0]["content"].split("\n\n")[1], said[1]["content"]) for said in rows]
    assert shown == [
        ("Thing a: 5\nNew: Thing b", "no"),
        ("Thing a: 5; Thing b: 2.5\nNew: Thing c", "yes"),
        ("Thing a: 5; Thing b: 2.5\nNew: Thing d", "no"),
    ]
    assert rows[0][0]["content"].startswith("Below is one user's viewing history, oldest first,")
    assert all([said["role"] for said in row] == ["user", "assistant"] for row in rows)


def chance_shop(config: SplitConfig = SPLIT) -> Dataset:
    chance = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}", int(chance.integers(0, 15)), float(chance.integers(1, 6)))
        for user in range(30)
        for item in chance.choice(50, 20, replace=False)
    ]
    return shop_of(rows, config)


@pytest.mark.parametrize("by", ["user_position", "global_time"])
def test_no_row_shows_or_asks_about_an_event_of_validation_or_test_nor_one_that_is_not_strictly_earlier(by):
    shop = chance_shop(SplitConfig(by=by))
    choice = choose_rows(shop, FILMS, share=1.0, length=5, seed=0)

    outside = shop.events.filter(pl.col("part") != "train").select("user", "item").rows()
    times, users = choice.events["time"].to_list(), choice.events["user"].to_list()
    assert len(outside) > 100
    assert not set(outside) & set(choice.events.select("user", "item").rows())
    for row in choice.learnt:
        before = [place for place in choice.history[row] if place >= 0]
        assert before
        assert all(users[place] == users[row] and times[place] < times[row] for place in before)


def test_rows_do_not_change_when_validation_and_test_change():
    shop = chance_shop()
    last = pl.col("position") >= 18  # of 20 events 16 train, 2 validate, 2 test
    spoilt = shop.events.with_columns(
        rating=pl.when(last).then(1.0).otherwise("rating").cast(pl.Float32),
        label=pl.when(last).then(1 - pl.col("label")).otherwise("label"),
    )

    def rows(events):
        changed = Dataset(events, shop.items, None, None, (), (), (), "v")
        choice = choose_rows(changed, FILMS, 0.5, 5, 0)
        return write_rows(choice, choice.learnt, changed, load_domain("generic"))

    assert rows(spoilt) == rows(shop.events)


def test_half_is_taken_by_chance_the_same_for_a_seed_and_the_rest_is_kept_apart():
    shop = chance_shop()
    half, again, other = (choose_rows(shop, FILMS, 0.5, 5, seed) for seed in (0, 0, 1))

    everything = choose_rows(shop, FILMS, 1.0, 5, 0)
    assert len(half.learnt) == len(everything.learnt) // 2
    assert sorted([*half.learnt, *half.kept]) == sorted(everything.learnt)
    assert half.learnt.tolist() == again.learnt.tolist() != other.learnt.tolist()
    assert len(everything.kept) == 0
    assert not set(half.learnt) & set(half.kept)


def test_liked_events_without_ratings_are_shown_by_their_names_and_others_are_not():
    shop = shop_of([("u", "a", 0, 5), ("u", "x", 0, 1), ("u", "b", 1, 4), ("u", "c", 2, 4)])
    events = shop.events.with_columns(rating=pl.lit(None, dtype=pl.Float32))
    plain = Dataset(events, shop.items, None, None, (), (), (), "v")
    choice = choose_rows(plain, FILMS, 1.0, 5, 0)

    (row,) = write_rows(choice, choice.learnt, plain, load_domain("generic"))

    # x was shown and not liked: it is no part of the history.
    assert row[0]["content"].endswith("\n\nThing a\nNew: Thing b")
    assert row[1]["content"] == "yes"
    assert choice.events["time"].max() == START + timedelta(minutes=1)
