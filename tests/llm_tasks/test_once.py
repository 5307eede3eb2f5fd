"""ONCE: summaries read what is known of items, profiles read summaries, and topics and regions have vectors of their own."""

import json
from datetime import timedelta

import numpy as np
import pytest

from app.config import load_config
from app.evidence import leak_evidence
from app.workplace import chosen_tasks
from feature_store.leak_check import leak_check
from feature_store.releases import get_release, released_knowledge
from llm_tasks.once_profile import profile_parts
from llm_tasks.once_summary import once_summary
from prompts.domain import load_domain
from prompts.library import choose_prompt

TOPICS = ["heists", "courts", "ghosts"]
TASKS = ("kar_item", "once_summary", "once_profile")


@pytest.fixture
def asked(make_shop):
    """A shop whose model names the same interests for everybody, and says of an item what it is called."""
    answer = json.dumps({"topics": TOPICS, "regions": ["France"]})
    tasks = {"kar_item": {}, "once_summary": {}, "once_profile": {"snapshots": [0.5, 1.0], "history_length": 2}}
    shop = make_shop(tasks={**tasks, "item_facts": {}})
    # The last line of a profile's prompt is an event with its rating, which no other prompt shows.
    shop.configure(rules={f": {rating}": answer for rating in range(1, 6)})
    for task in TASKS:
        shop.ask(task)
    return shop


def test_a_summary_reads_what_is_known_of_its_item_and_no_other_is_asked_about(shop):
    assert shop.plan("once_summary").rows == ()
    shop.ask("kar_item")
    known = {row["entity"]: row["text"] for row in shop.lineage("kar_item").values()}

    rows = list(once_summary.rows(shop.place().inputs_of(once_summary)))

    assert [row.entity for row in rows] == sorted(known)
    for row in rows:
        assert row.variables == {"input": f"Thing {row.entity[1:]}", "known": known[row.entity]}
        assert [one.row for one in row.reads] == [f"kar_item/{row.entity}/0"]


def test_what_is_needed_is_asked_first(make_shop):
    shop = make_shop(tasks={"once_profile": {}})

    assert [task.name for task in chosen_tasks(load_config(shop.config), None)] == list(TASKS)


def test_a_profile_shows_the_newest_events_before_its_moment_each_with_its_summary(asked):
    summaries = {row["entity"]: row["text"] for row in asked.lineage("once_summary").values()}
    events = [event for event in asked.events() if event[0] == "u0"]

    rows = sorted((r for r in asked.lineage("once_profile").values() if r["entity"] == "u0"), key=lambda r: r["as_of"])

    assert [row["as_of"] for row in rows] == [events[1][2], events[4][2]]  # after 2 and after 5 of 5 events
    last = asked.place().inputs_of(asked.plan("once_profile").task)
    shown = [row.variables["input"] for row in asked.plan("once_profile").task.rows(last) if row.entity == "u0"]
    for lines, until in zip(shown, (2, 5), strict=True):
        assert lines.split("\n") == [
            f"Thing {item[1:]}: {rating:g} - {summaries[item]}" for _, item, _, rating in events[until - 2 : until]
        ]
    assert {read.split("/")[0] for row in rows for read in json.loads(row["reads"])} == {"once_summary"}


def test_topics_and_regions_have_vectors_of_their_own_the_mean_of_each_set(asked):
    asked.release("item_facts", *TASKS)
    place = asked.place()
    release = get_release(place.store)

    every = released_knowledge(place.store, release, "once_profile.topics", "lexical", pooled=False)
    topics = released_knowledge(place.store, release, "once_profile.topics", "lexical")

    assert len(every.entities) == 3 * len(topics.entities) == 3 * 8
    first = (every.entities == topics.entities[0]) & (every.as_of == topics.as_of[0])
    np.testing.assert_allclose(topics.vectors[0], every.vectors[first].mean(axis=0), atol=1e-6)
    assert len(released_knowledge(place.store, release, "once_profile.regions", "lexical").entities) == 8
    assert leak_check(place.store, release, leak_evidence(load_config(asked.config), place)).leaks == 0


def test_a_profile_s_prompt_does_not_change_when_later_events_do(asked):
    task = asked.plan("once_profile").task
    early = next(row for row in task.rows(asked.place().inputs_of(task)) if row.entity == "u0")
    events = asked.events()
    user, item, time, _ = events[4]
    asked.write_events([*events[:4], (user, item, time + timedelta(hours=1), 1.0), *events[5:]])

    assert next(row for row in task.rows(asked.place().inputs_of(task)) if row.entity == "u0") == early


def test_a_profile_without_regions_has_no_such_part():
    parts = profile_parts({"topics": TOPICS, "regions": []})

    assert parts.text == "topics: heists, courts, ghosts."
    assert parts.parts == {"topics": TOPICS, "regions": []}


def test_the_prompts_read_as_the_domain_speaks():
    films = load_domain("films")

    summary = choose_prompt("once_summary").render({"input": "Heat (1995) [Crime]", "known": "A thief."}, films)
    profile = choose_prompt("once_profile").render({"input": "Heat (1995): 4"}, films)

    assert summary[-1]["content"].endswith("Movie: Heat (1995) [Crime]\nKnown about it: A thief.")
    assert "a user's viewing history, oldest first" in profile[-1]["content"]
    assert profile[-1]["content"].endswith("\n\nHeat (1995): 4")
