"""What a sample would have seen: nothing that was known at its moment or later, and what training reads."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from base.faults import WrongUse
from feature_store.lookup import look_up
from feature_store.releases import get_release, released_knowledge
from feature_store.vectors import as_of_rows

SNAPSHOTS = {"snapshots": [0.2, 0.4, 0.6, 1.0]}
TICK = timedelta(microseconds=1)


@pytest.fixture
def released(shop):
    """A shop with four texts about each user and one about each item."""
    shop.configure(tasks={"kar_item": {}, "kar_user": SNAPSHOTS, "item_facts": {}})
    shop.release("kar_item", "kar_user", "item_facts")
    return shop


def test_a_sample_sees_the_newest_text_that_was_known_before_it_and_not_at_its_moment(released):
    store = released.place().store
    release = get_release(store)
    rows = sorted((row["as_of"], row["text"]) for row in released.lineage("kar_user").values() if row["entity"] == "u1")

    assert len(rows) == 4
    for number, (as_of, _) in enumerate(rows):
        for moment in (as_of - TICK, as_of, as_of + TICK):
            known = [text for time, text in rows if time < moment]
            found = look_up(store, release, "user", "u1", moment)
            assert [one.text for one in found.texts] == known[-1:]
            assert found.later == ({} if known else {"kar_user": rows[0][0]})
        assert len([1 for time, _ in rows if time < as_of]) == number
    assert [one.text for one in look_up(store, release, "user", "u1").texts] == [rows[-1][1]]


def test_it_is_the_text_whose_vector_training_reads_at_every_event(released):
    store = released.place().store
    release = get_release(store)
    knowledge = released_knowledge(store, release, "kar_user", "lexical")
    rows = released.lineage("kar_user").values()
    by_moment = {(row["entity"], row["as_of"].replace(tzinfo=None)): row["text"] for row in rows}
    names, seen = sorted(set(knowledge.entities)), 0
    for user, _, time, _ in released.events():
        at = np.array([np.datetime64(time.replace(tzinfo=None), "us")])
        number = [names.index(name) for name in knowledge.entities]
        (row,) = as_of_rows(np.array([names.index(user)]), at, np.array(number), knowledge.as_of)
        found = [one.text for one in look_up(store, release, "user", user, time).texts]
        read = [by_moment[user, knowledge.as_of[row].item()]] if row >= 0 else []
        assert found == read
        seen += len(found)
    assert seen == 16  # of five events of four users, all but the first


def test_prompt_answer_and_clocks_come_with_it(released):
    store = released.place().store
    found = look_up(store, get_release(store), "item", "i3").texts
    by_task = {one.task: one for one in found}
    row = next(row for row in released.lineage("kar_item").values() if row["entity"] == "i3")

    assert set(by_task) == {"kar_item", "item_facts"}
    one, facts = by_task["kar_item"], by_task["item_facts"]
    assert (one.text, one.as_of, one.created_at) == (row["text"], row["as_of"], row["created_at"])
    assert "Thing 3" in one.messages[-1]["content"]
    assert one.answer == row["text"]
    assert (facts.prompt, facts.messages, facts.answer) == (None, (), None)


def test_vectors_of_an_encoder_that_learnt_later_are_not_seen(released):
    store = released.place().store
    release = get_release(store)
    learnt = released.events()[3][2]
    facts = {**release.facts, "vectors": {k: dict(v) for k, v in release.facts["vectors"].items()}}
    name = next(name for name in facts["vectors"] if name.startswith("kar_item/"))
    facts["vectors"][name]["seen_until"] = learnt.isoformat()
    tuned = replace(release, facts=facts)

    def visible(moment):
        (one,) = [one for one in look_up(store, tuned, "item", "i3", moment).texts if one.task == "kar_item"]
        return {vectors.encoder: vectors.visible for vectors in one.vectors}

    encoder = name.partition("/")[2]
    assert visible(learnt)[encoder] is False
    assert visible(learnt + TICK)[encoder] is True
    assert visible(None)[encoder] is True


def test_an_id_that_is_not_there_is_wrong_use(released):
    store = released.place().store
    with pytest.raises(WrongUse, match=r"holds no text about the user 'nobody'\n  ids are as in the data"):
        look_up(store, get_release(store), "user", "nobody")


def test_the_command_prints_prompt_and_answer_or_says_from_when_on(released, plain_knowflow):
    early, late = released.events()[0][2].isoformat(), "2030-01-01"
    told = plain_knowflow.run("lookup", "user", "u1", "--as-of", late, "--config", released.config)
    nothing = plain_knowflow.run("lookup", "user", "u1", "--as-of", early, "--config", released.config)
    as_json = plain_knowflow.run("lookup", "item", "i3", "--task", "kar_item", "--json", "--config", released.config)
    wrong = plain_knowflow.run("lookup", "user", "u1", "--as-of", "soon", "--config", released.config)

    assert told.stdout.startswith("user u1 at 2030-01-01 00:00:00 UTC, by rel-000001\n\n== kar_user, known after 2024-")
    assert "[user]\n" in told.stdout
    assert "\n[answer]\n" in told.stdout
    assert "kar_user: nothing was known yet; its first text is known after 2024-" in nothing.stderr
    assert [one["task"] for one in json.loads(as_json.stdout)["texts"]] == ["kar_item"]
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("--as-of: 'soon' is not a time\n  give one such as 2018-09-24")
