"""KAR's two tasks: they ask the very prompts of the recorded answers, and no row has seen what its samples predict."""

import json
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import START, dataset, log

from engines.request import messages_json
from feature_store.vectors import as_of_rows
from llm_tasks.item_facts import item_facts
from llm_tasks.kar_item import kar_item
from llm_tasks.kar_user import KarUserOptions, kar_user, snapshot_positions
from llm_tasks.pipeline.plan import plan_task, task_rows
from llm_tasks.pipeline.task import EPOCH, Inputs
from prompts.domain import load_domain
from prompts.library import choose_prompt

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "movielens"
FILMS = load_domain("films")


def recorded(name: str) -> pl.DataFrame:
    return pl.read_parquet(EXAMPLE / "recorded" / f"{name}.parquet")


def rows_of(task, place):
    return list(task.rows(Inputs(place.dataset, place.domain, place.options_of(task))))


def test_every_recorded_item_is_asked_for_character_by_character(example):
    asked = {row.entity: row.variables["input"] for row in rows_of(kar_item, example)}
    wanted = {str(item): shown for item, shown in recorded("items").select("item_id", "input").iter_rows()}

    assert len(wanted) == 3_227
    assert {item: asked[item] for item in wanted} == wanted


def test_every_recorded_user_is_asked_for_character_by_character_and_with_its_as_of(example):
    asked = {(row.entity, row.as_of, row.variables["input"]) for row in rows_of(kar_user, example)}
    file = recorded("users").with_columns(pl.col("as_of").dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
    wanted = {(str(user), as_of, shown) for user, as_of, shown in file.select("user_id", "as_of", "input").iter_rows()}

    assert len(file) == len(wanted) == 1_220
    assert asked == wanted


def test_two_snapshots_of_one_second_are_one_row_and_the_later_one_stays(example):
    plan = plan_task(kar_user, example)
    file = recorded("users")
    doubled = file.filter(pl.struct("user_id", "as_of").is_duplicated()).sort("position")

    assert len(plan.rows) == 1_219
    assert len(doubled) == 2
    (kept,) = [row for row in plan.rows if (row.entity, row.as_of) == (str(doubled["user_id"][0]), doubled["as_of"][0])]
    (shown,) = [messages_json(one.messages) for one in plan.spool.requests() if one.key == kept.answer_key]
    assert json.loads(shown)[-1]["content"].splitlines()[-1] == doubled["input"][1]


def test_the_recorded_engine_answers_every_row_of_the_example(example):
    for task in (kar_item, kar_user):
        requests = [request for _, request, _, _ in task_rows(task, choose_prompt(task.name), example) if request]
        answers = list(example.engine.generate(requests))

        assert len(answers) >= 1_219
        assert [answer.error for answer in answers if answer.error] == []


def test_the_control_shows_the_item_as_the_prompt_does_and_asks_nothing(example):
    facts = {row.entity: row.variables["text"] for row in rows_of(item_facts, example)}
    shown = {row.entity: row.variables["input"] for row in rows_of(kar_item, example)}

    assert item_facts.prompt is None
    assert all(facts[item] == text for item, text in shown.items())


def test_no_sample_sees_an_item_row_that_rests_on_an_event(example):
    assert {(row.as_of, row.seen_until) for row in rows_of(kar_item, example)} == {(EPOCH, None)}


@pytest.mark.parametrize(
    ("events", "shares", "positions"),
    [
        (232, (0.4, 0.8), [92, 185]),  # 92.8 and 185.6, rounded down
        (10, (0.7,), [7]),  # 0.7 * 10 is 6.999... in binary
        (1, (0.4, 0.8), []),  # 0.4 and 0.8 of one event: no event at all
        (2, (0.5, 0.6, 1.0), [1, 2]),  # 1, 1.2 and 2: no doubles
        (5, (1.0,), [5]),
    ],
)
def test_shares_of_a_log_are_numbers_of_first_events(events, shares, positions):
    assert snapshot_positions(events, shares) == positions


@given(events=st.integers(0, 400), shares=st.lists(st.floats(0.001, 1.0), min_size=1, max_size=4))
def test_positions_are_sorted_distinct_and_inside_the_log(events, shares):
    positions = snapshot_positions(events, tuple(shares))

    assert positions == sorted(set(positions))
    assert all(1 <= position <= events for position in positions)


@pytest.mark.parametrize("shares", [(), (0.0,), (1.5,), (-0.2,)])
def test_shares_outside_of_a_log_are_refused(shares):
    with pytest.raises(ValueError, match="snapshots"):
        KarUserOptions(snapshots=shares)


def user_rows(logs, shares, length=4):
    options = KarUserOptions(snapshots=shares, history_length=length)
    return list(kar_user.rows(Inputs(dataset(logs), FILMS, options)))


def shown_items(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"Film (\d+): ", text)]


@settings(deadline=None, max_examples=150)
@given(
    logs=st.dictionaries(st.sampled_from(["a", "b"]), log, min_size=1),
    shares=st.lists(st.sampled_from([0.2, 0.4, 0.5, 0.8, 1.0]), min_size=1),
)
def test_every_sample_that_sees_a_row_is_strictly_later_than_all_that_the_row_shows(logs, shares):
    data, rows = dataset(logs), user_rows(logs, tuple(shares))
    rows = list({(row.entity, row.as_of): row for row in rows}.values())
    code = {"a": 0, "b": 1}
    samples = data.events.select("user", "time").rows()

    seen = as_of_rows(
        np.array([code[user] for user, _ in samples], dtype=np.int64),
        np.array([time.replace(tzinfo=None) for _, time in samples], dtype="datetime64[us]"),
        np.array([code[row.entity] for row in rows], dtype=np.int64),
        np.array([row.as_of.replace(tzinfo=None) for row in rows], dtype="datetime64[us]"),
    )

    for (user, time), place in zip(samples, seen, strict=True):
        if place < 0:
            continue
        row = rows[place]
        # Not from the row's own clocks: from the ratings that really stand in the text.
        earlier = [item for minute, item, _ in sorted(logs[user]) if START + timedelta(minutes=minute) < time]
        shown = shown_items(row.variables["input"])
        assert row.entity == user
        assert row.seen_until == row.as_of < time
        assert shown
        assert any(earlier[start : start + len(shown)] == shown for start in range(len(earlier)))


@settings(deadline=None, max_examples=150)
@given(data=st.data(), before=log.filter(len), share=st.sampled_from([0.3, 0.5, 1.0]))
def test_a_prompt_does_not_change_when_later_events_are_permuted_altered_or_deleted(data, before, share):
    position = snapshot_positions(len(before), (share,))
    if not position:
        return
    ordered = sorted(before)
    cut = ordered[position[0] - 1][0]  # the minute of the newest event shown
    earlier = [row for row in ordered if row[0] <= cut]
    later = [row for row in ordered if row[0] > cut]
    altered = [(minute, item, data.draw(st.sampled_from([1.0, 2.0]))) for minute, item, _ in later]
    other = data.draw(
        st.lists(
            st.tuples(st.integers(cut + 1, 12), st.integers(0, 9), st.just(5.0)),
            max_size=6,
            unique_by=lambda row: row[:2],
        )
    )
    variants = [data.draw(st.permutations(later)), altered, other, []]

    (expected,) = user_rows({"a": before}, (share,))

    for variant in variants:
        changed = [*earlier, *variant]
        # The share of the changed log that stands for the same number of first events.
        (found,) = user_rows({"a": changed}, (position[0] / len(changed),))
        assert (found.as_of, found.variables) == (expected.as_of, expected.variables)


def test_a_history_shows_the_newest_events_oldest_first():
    logs = {"a": [(minute, minute, 4.5) for minute in range(7)]}

    (row,) = user_rows(logs, (1.0,), length=3)

    assert row.variables == {"input": "Film 4: 4.5; Film 5: 4.5; Film 6: 4.5"}
    assert row.as_of == row.seen_until == START + timedelta(minutes=6)


def test_events_of_one_moment_are_shown_in_the_order_of_their_items():
    logs = {"a": [(1, 7, 3.0), (1, 2, 5.0), (0, 9, 0.5)]}

    (row,) = user_rows(logs, (1.0,))

    assert row.variables == {"input": "Film 9: 0.5; Film 2: 5; Film 7: 3"}


def test_only_the_listed_entities_are_asked_about():
    inputs = Inputs(
        dataset({"a": [(0, 1, 5.0)], "b": [(0, 2, 5.0)]}), FILMS, KarUserOptions(), only=frozenset({"b", "3"})
    )

    assert [row.entity for row in kar_user.rows(inputs)] == ["b"]
    assert [row.entity for row in kar_item.rows(inputs)] == ["3"]
    assert [row.entity for row in item_facts.rows(inputs)] == ["3"]
