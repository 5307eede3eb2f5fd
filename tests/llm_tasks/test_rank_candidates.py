"""Rows that rank candidates: histories and candidates are strictly earlier, and the wanted one stands among them unmarked."""

import json
from datetime import timedelta

import polars as pl
import pytest

from llm_tasks.pipeline.ranking import places
from llm_tasks.rank_candidates import RankCandidatesOptions, rank_candidates, ranked_rows
from sources.tables import event_of


@pytest.fixture(scope="module")
def rows(example):
    """Rows of the MovieLens example by part, with the inputs they were made from."""
    inputs = example.inputs_of(rank_candidates)
    return inputs, {part: list(ranked_rows(inputs, part, 60, 0)) for part in ("train", "validation")}


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_row_shows_what_was_strictly_earlier_and_the_chosen_item_once(rows, part):
    inputs, made = rows
    events, names = (
        inputs.dataset.events,
        {item["item"]: inputs.domain.item_name(item) for item in inputs.dataset.items.iter_rows(named=True)},
    )
    assert len(made[part]) >= 55
    for ranked in made[part]:
        user, item = event_of(ranked.row.entity)
        before = events.filter(pl.col("time") < ranked.row.as_of)
        known = {names[one] for one in before.filter(pl.col("part") == "train")["item"]}
        had = before.filter((pl.col("user") == user) & (pl.col("part") == "train"))
        lines = [line.partition(". ")[2] for line in ranked.row.variables["candidates"].splitlines()]
        assert len(lines) == len(set(lines)) == ranked.candidates == 10
        assert lines[ranked.wanted - 1] == names[item]
        others = {line for place, line in enumerate(lines, 1) if place != ranked.wanted}
        assert others <= known
        assert not others & {names[one] for one in had["item"]}
        shown = ranked.row.variables["history"].split("; ")
        newest = had.tail(len(shown))
        assert [one.rpartition(": ")[0] for one in shown] == [names[one] for one in newest["item"]]
        (event,) = events.filter((pl.col("user") == user) & (pl.col("item") == item)).iter_rows(named=True)
        assert (event["part"], event["label"], event["time"]) == (part, 1.0, ranked.row.as_of)
        assert ranked.row.seen_until == ranked.row.as_of


def test_no_row_is_about_a_test_event_and_a_refresh_asks_about_training_events_alone(rows, example):
    inputs, _ = rows
    trained = set(inputs.dataset.events.filter(pl.col("part") == "train").select("user", "item").iter_rows())

    asked = [event_of(row.entity) for row in rank_candidates.rows(inputs)]

    assert len(asked) >= 250
    assert set(asked) <= trained


def test_the_wanted_place_is_spread_and_another_seed_draws_other_rows(rows):
    inputs, made = rows
    wanted = [ranked.wanted for ranked in made["train"]]
    other = list(ranked_rows(inputs, "train", 60, 1))

    assert len(set(wanted)) >= 8  # of ten places
    assert {one.row.entity for one in other} != {one.row.entity for one in made["train"]}
    assert [one.row.variables for one in ranked_rows(inputs, "train", 60, 0)] == [
        one.row.variables for one in made["train"]
    ]


def test_topics_are_the_most_frequent_categories_of_the_history(rows):
    inputs, made = rows
    ranked = made["train"][0]
    names = {inputs.domain.item_name(item): item["genres"] for item in inputs.dataset.items.iter_rows(named=True)}
    counts: dict[str, int] = {}
    for one in ranked.row.variables["history"].split("; "):
        for genre in names[one.rpartition(": ")[0]]:
            counts[genre] = counts.get(genre, 0) + 1

    assert ranked.topics == tuple(sorted(counts, key=lambda one: (-counts[one], one))[:5])


def test_an_item_that_was_not_known_before_is_no_candidate(shop):
    """Twelve items; the user's own and later ones leave too few candidates for a row of ten, enough for one of three."""
    place = shop.place()
    inputs = place.inputs_of(rank_candidates)
    assert list(ranked_rows(inputs, "train", 100, 0)) == []

    shop.configure(tasks={"rank_candidates": {"candidates": 3}})
    inputs = shop.place().inputs_of(rank_candidates)
    events = inputs.dataset.events
    for ranked in ranked_rows(inputs, "train", 100, 0):
        user, item = event_of(ranked.row.entity)
        assert ranked.row.as_of - events.filter(pl.col("user") == user)["time"].min() > timedelta(0)
        earlier = set(events.filter(pl.col("time") < ranked.row.as_of)["item"])
        titles = {line.partition(". ")[2] for line in ranked.row.variables["candidates"].splitlines()}
        assert len(titles & {f"Thing {one.removeprefix('i')}" for one in earlier - {item}}) >= 2


def test_the_answer_is_read_as_numbers_and_its_text_names_the_topics(shop):
    answer = json.dumps({"topics": ["Noir", "heists"], "ranking": ["2", "1. Heat (1995)", "7"]})
    shop.configure(tasks={"rank_candidates": {"candidates": 3, "events": 3}}, rules={"3. ": answer})

    made = shop.ask("rank_candidates")

    assert (made.rows, made.errors) == (3, {})
    assert {row["text"] for row in shop.lineage("rank_candidates").values()} == {
        "topics: Noir, heists. ranking: 2, 1. Heat (1995), 7."
    }
    assert places(["2", "1. Heat (1995)", "7", "2", "x", "0", "9" * 30], 3) == [2, 1]


def test_events_that_are_listed_are_the_only_ones(shop):
    table = pl.read_parquet(shop.folder / "events.parquet").filter(pl.col("user") == "u1")
    table.write_parquet(shop.folder / "listed.parquet")
    only = {"path": "listed.parquet", "column": ["user", "item", "time"]}
    shop.configure(tasks={"rank_candidates": {"candidates": 2, "only": only}})
    inputs = shop.place().inputs_of(rank_candidates)

    assert {event_of(one.row.entity)[0] for one in ranked_rows(inputs, "train", 100, 0)} == {"u1"}
    assert RankCandidatesOptions().candidates == 10
