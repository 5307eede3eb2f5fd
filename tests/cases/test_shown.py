"""What a model is shown, what is proposed, and what is warned of, with the inputs of data/ that went wrong."""

from pathlib import Path

import pytest
import yaml

from app.config import load_config
from app.preview import preview_row
from app.workplace import open_dataset, split_counts
from cli.init import init
from ctr.schedule import for_rows
from sources.parts import split_warnings

DATA = Path(__file__).parent / "data"


@pytest.fixture
def begin(tmp_path):
    """Let init write a knowflow.yaml for a case; return its path and settings."""

    def made(case: str, events: str = "events.csv", items: str = "items.csv"):
        assert init(tmp_path, events=DATA / case / events, items=DATA / case / items) == 0
        path = tmp_path / "knowflow.yaml"
        return path, yaml.safe_load(path.read_text(encoding="utf-8"))

    return made


def test_numbers_that_later_events_went_into_are_left_out_with_the_setting_that_takes_them(begin, capsys):
    _, settings = begin("future-averages")

    told = capsys.readouterr().out
    assert not settings["items"].get("numbers")
    for column in ("average_rating", "rating_number"):
        assert f"{column}" in told
    assert told.count("left out: it seems to add up events, later ones too") == 2
    assert "map it under items.numbers" in told


def test_a_generic_prompt_shows_every_field_that_is_mapped(begin):
    path, settings = begin("generic-title-only")

    shown = preview_row(load_config(path), "kar_item", "0").messages[-1]["content"]

    assert settings["domain"] == "generic" or settings["domain"] == "products"
    assert "Runner 0" in shown
    for field in ("brand: Acme", "category: Shoes", "description: A trail shoe with a grippy sole"):
        assert field in shown


def test_genres_and_a_year_do_not_make_games_films(begin, capsys):
    path, settings = begin("domain-games")

    told = capsys.readouterr().err
    assert settings["domain"] == "generic"
    assert "domain generic: genres and a year fit films, games, music and books: set domain: to one of them" in told
    assert "director" not in preview_row(load_config(path), "kar_item").messages[-1]["content"]


def test_of_two_ids_the_one_that_the_items_have_is_taken(begin):
    path, settings = begin("parent-asin", "reviews.jsonl", "meta.jsonl")

    assert settings["events"]["item"] == settings["items"]["id"] == "parent_asin"
    assert len(open_dataset(load_config(path)).events) == 26


def test_a_short_log_is_split_by_time_and_a_bad_split_is_warned_of(begin):
    path, settings = begin("users-with-few-events", items="news.csv")
    config = load_config(path)
    by_user = config.source.split.model_copy(update={"by": "user_position"})
    events = open_dataset(config).events

    assert settings["split"]["by"] == "global_time"
    assert events.group_by("user", "time").agg(parts="part").select("parts").to_series().list.n_unique().max() == 1
    warned = split_warnings(split_counts(config), by_user)
    assert any("too few to compare arms by" in warning for warning in warned)


def test_a_log_that_is_too_small_to_learn_from_is_said_to_be_so_and_its_steps_follow_its_size(begin):
    path, _ = begin("report-on-untrained-model")
    config = load_config(path)
    parts = split_counts(config)

    warned = " ".join(split_warnings(parts, config.source.split))
    fitted = for_rows(config.train, parts[0].rows)

    assert sum(one.rows for one in parts) == 28
    for words in ("too few to learn from", "too few to choose settings by", "too few to compare arms by"):
        assert words in warned
    assert -(-parts[0].rows // fitted.batch_size) * fitted.epochs >= 10 * config.train.epochs > 1  # not one step


def test_without_an_encoder_a_plan_says_what_the_arms_go_without(begin, plain_knowflow):
    path, settings = begin("lexical-only-train")
    path.write_text(yaml.safe_dump({**settings, "encoders": {"lexical": {"kind": "lexical"}}}), encoding="utf-8")

    done = plain_knowflow.run("plan", "--config", str(path))

    assert done.returncode == 0
    assert "note: arm knowledge goes without item_facts/dense, kar_item/dense" in done.stderr
