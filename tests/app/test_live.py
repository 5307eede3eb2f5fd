"""The live demo's two configs: the same films, users and settings, two engines."""

import polars as pl
import pytest
import yaml

from app.config import load_config
from app.live import difference_in_words, write_live_demo
from app.workplace import open_dataset, plan
from base.faults import WrongUse
from evals.regression import Fall


def test_both_configs_read_the_same_data_and_differ_in_the_engine_alone(shop, tmp_path):
    made = write_live_demo(
        load_config(shop.config), tmp_path / "live", films=5, users=2, model=tmp_path / "models" / "m"
    )

    recorded, live = (yaml.safe_load(file.read_text()) for file in (made.recorded, made.live))
    assert live.pop("engine")["model"] == "../models/m"
    assert recorded.pop("engine")["name"] == shop.settings["engine"]["name"]
    assert (recorded.pop("home"), live.pop("home")) == ("recorded-home", "live-home")
    assert recorded == live
    config = load_config(made.recorded)
    assert open_dataset(config).version == open_dataset(load_config(shop.config)).version
    assert {one.task.name: len(one.rows) for one in plan(config)} == {"kar_item": 5, "kar_user": 2, "item_facts": 5}


def test_the_films_and_users_are_those_with_the_most_training_events(make_shop, tmp_path):
    shop = make_shop(items=6, users=1)
    user, _, time, _ = shop.events()[0]
    counts = {"i4": 5, "i1": 3, "i0": 2}
    # The last 20% of a user's events are not training events: i5 has most of all events, but no training event.
    rated = [name for name, count in counts.items() for _ in range(count)] + ["i5"] * 4 + ["i3"] * 1
    order = [*rated[:10], *["i5"] * 4, "i3"]
    shop.write_events([("u1", item, time.replace(hour=place), 4.0) for place, item in enumerate(order)])

    made = write_live_demo(load_config(shop.config), tmp_path / "live", films=2, users=1, model=tmp_path)

    dataset = open_dataset(load_config(shop.config))
    training = dataset.events.filter(pl.col("part") == "train")["item"].to_list()
    assert training.count("i5") < 4
    assert pl.read_parquet(tmp_path / "live" / "items.parquet")["item"].to_list() == ["i4", "i1"]
    assert pl.read_parquet(tmp_path / "live" / "users.parquet")["user"].to_list() == ["u1"]
    assert made.live.is_file()
    del user


@pytest.mark.parametrize("films", [0, 13])
def test_more_films_than_there_are_is_wrong_use(shop, tmp_path, films):
    with pytest.raises(WrongUse, match=f"there are 12 items in the example, not {films}"):
        write_live_demo(load_config(shop.config), tmp_path / "live", films=films, users=1, model=tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.4, -0.2, "the large model was worth more."),
        (0.1, 0.2, "tiny was worth more."),
        (-0.1, 0.1, "no difference is shown, so it is not shown here that the size of the model matters."),
    ],
)
def test_the_sentence_follows_the_interval(low, high, verdict):
    said = difference_in_words(Fall(1200, 30, 0.01, low, high), "tiny")

    assert said.startswith("The answers of tiny against the recorded ones, on the same 1,200 test rows of 30 users (")
    assert said.endswith(f": {verdict}")


def test_without_an_interval_it_says_why():
    said = difference_in_words(Fall(12, 3, why="3 users are too few"), "tiny")

    assert said.endswith("on 12 test rows of 3 users: no interval, 3 users are too few.")
