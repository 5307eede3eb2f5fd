"""Techniques that read other techniques: their order, their dates, what changes with what, and what a plan can say."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from app.config import load_config
from app.evidence import leak_evidence
from app.workplace import chosen_tasks
from app.workplace import plan as plan_all
from base.plugins import PluginFault
from feature_store.leak_check import leak_check
from feature_store.leak_clocks import READ, UNREAD
from feature_store.lineage import read_lineage, write_lineage
from feature_store.releases import Release, get_release, released_knowledge
from llm_tasks.pipeline.catalogue import find_tasks, in_order

TOYS = '''
from llm_tasks.pipeline.task import EPOCH, Parts, Row, llm_task

@llm_task(entity="user", prompt="shout", needs=("kar_item", "kar_user"), opt_in=True)
def reader(inputs):
    """One row a user: its newest profile, and what is known of the last item of its log."""
    last = dict(inputs.dataset.events.group_by("user").agg(item="item").select("user", "item").iter_rows())
    items = inputs.answers("kar_item")
    for profile in inputs.answers("kar_user").all():
        read = [profile, *filter(None, [items.newest(last[profile.entity][-1])])]
        yield Row(profile.entity, EPOCH, {"thing": " / ".join(one.text for one in read)}, reads=read)

@llm_task(entity="item", prompt="shout", needs=("kar_item",), opt_in=True)
def forgetful(inputs):
    """Does not say what it read."""
    yield Row("i0", EPOCH, {"thing": inputs.answers("kar_item").newest("i0").text})

def split(answer):
    first, *others = answer.split()
    return Parts(answer, {"first": first, "words": others})

@llm_task(entity="item", prompt="shout", encode=split, parts=("first", "words"), opt_in=True)
def parted(inputs):
    """An answer of several texts."""
    for item in inputs.dataset.items.iter_rows(named=True):
        yield Row(item["item"], EPOCH, {"thing": item["title"]})

@llm_task(entity="cluster", prompt="shout", creates=True, opt_in=True)
def clusters(inputs):
    """What answers create; one of them has the id of an item."""
    for name in ("i0", "c1"):
        yield Row(name, EPOCH, {"thing": "cluster " + name})
'''
PROMPT = """---
task: shout
version: 1
status: live
schema: {type: text}
sampling: {temperature: 0.0, max_tokens: 7}
---
# user
Shout about this {{ domain.noun }}: {{ thing }}
"""
MINUTE = timedelta(minutes=1)


@pytest.fixture
def toys(shop, tmp_path):
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "toys.py").write_text(TOYS)
    (folder / "shout.v1.md").write_text(PROMPT)
    shop.configure(plugins=[str(folder)])
    return shop


def test_what_is_needed_comes_first_and_comes_along(toys):
    config = load_config(toys.config)

    assert [task.name for task in chosen_tasks(config, ["reader"])] == ["kar_item", "kar_user", "reader"]
    assert [task.name for task in chosen_tasks(config, ["reader", "item_facts", "kar_user"])] == [
        "item_facts",
        "kar_user",
        "kar_item",
        "reader",
    ]


def test_tasks_that_need_each_other_or_nothing_that_is_there_are_told(toys):
    from dataclasses import replace

    known = find_tasks(load_config(toys.config).plugin_folders)
    one, two = (
        replace(known["parted"], name="one", needs=("two",)),
        replace(known["parted"], name="two", needs=("one",)),
    )

    with pytest.raises(PluginFault, match=r"tasks need each other: one -> two -> one|two -> one -> two"):
        in_order([one], {"one": one, "two": two})
    with pytest.raises(PluginFault, match="one needs two, which is not a task"):
        in_order([one], {"one": one})


def test_a_row_is_dated_by_the_newest_it_read_and_says_what_that_was(toys):
    for task in ("kar_item", "kar_user", "reader"):
        toys.ask(task)

    users, read = toys.lineage("kar_user"), toys.lineage("reader")
    newest = {row["entity"]: row for row in sorted(users.values(), key=lambda row: row["as_of"])}
    assert len(read) == 4
    for row in read.values():
        profile = newest[row["entity"]]
        assert row["as_of"] == profile["as_of"]
        assert profile["row"] in json.loads(row["reads"])
        assert len(json.loads(row["reads"])) == 2


def test_a_changed_answer_changes_exactly_the_rows_that_read_it(toys):
    for task in ("kar_item", "kar_user", "reader"):
        toys.ask(task)
    before = toys.lineage("reader")
    (user, _, time, _), rest = toys.events()[-1], toys.events()
    toys.write_events([*rest, (user, "i0", time + MINUTE, 5.0)])  # one user's newest profile changes, and its last item

    toys.ask("kar_item")
    toys.ask("kar_user")
    planned = toys.plan("reader")

    asked = [row.entity for row in planned.rows if row.status != "cached"]
    assert asked == [user]
    toys.ask("reader")
    after = toys.lineage("reader")
    unchanged = [row for row in before if before[row]["entity"] != user]
    assert {row: after[row] for row in unchanged} == {row: before[row] for row in unchanged}


def test_a_row_that_read_what_is_gone_is_withdrawn(toys):
    for task in ("kar_item", "kar_user", "reader"):
        toys.ask(task)
    gone = max(
        (row for row in toys.lineage("kar_user").values() if row["entity"] == "u1"), key=lambda row: row["as_of"]
    )
    events = [one for one in toys.events() if not (one[0] == "u1" and one[2] == gone["as_of"])]
    toys.write_events(events)
    toys.ask("kar_user")
    assert gone["row"] not in toys.lineage("kar_user")

    toys.ask("reader")

    assert all(gone["row"] not in json.loads(row["reads"]) for row in toys.lineage("reader").values())


def test_the_plan_says_what_it_cannot_know_yet(toys):
    plans = {one["task"]: one for one in (p.summary() for p in plan_all(load_config(toys.config), ["reader"]))}

    assert plans["kar_item"]["waits_for"] == {}
    assert plans["reader"]["waits_for"] == {"kar_item": 12, "kar_user": 8}
    assert plans["reader"]["rows"] == 0
    toys.ask("kar_item")
    toys.ask("kar_user")
    (last,) = [p.summary() for p in plan_all(load_config(toys.config), ["reader"]) if p.task.name == "reader"]
    assert (last["waits_for"], last["new"]) == ({}, 4)


def test_the_command_line_says_what_a_plan_waits_for(toys, knowflow):
    done = knowflow.run("plan", "--config", str(toys.config), "--task", "reader")

    assert done.returncode == 0, done.stderr
    assert "reader: 12 rows of kar_item are asked first; the rows that read them are not counted yet" in done.stderr


def test_a_technique_that_does_not_say_what_it_read_is_refused(toys):
    toys.ask("kar_item")

    with pytest.raises(PluginFault, match=r"forgetful: its row about i0 does not say what it read\n  pass Row"):
        toys.plan("forgetful")


def test_what_is_not_declared_cannot_be_read(toys):
    inputs = toys.place().inputs_of(find_tasks()["kar_item"])

    with pytest.raises(
        TypeError, match=r"kar_user is read but not declared\n  declare it: @llm_task\(\.\.\., needs=\('kar_user',\)\)"
    ):
        inputs.answers("kar_user")


def test_the_leak_check_finds_a_row_that_is_older_than_what_it_read_or_read_what_is_lost(toys):
    toys.release("kar_item", "kar_user", "reader")
    place, config = toys.place(), load_config(toys.config)
    clean = get_release(place.store)
    assert leak_check(place.store, clean, leak_evidence(config, place)).leaks == 0
    rows = read_lineage(place.store, ["reader"]).sort("row").to_dicts()
    profiles = toys.lineage("kar_user")
    (profile,) = [one for one in json.loads(rows[0]["reads"]) if one in profiles]
    early = {**rows[0], "as_of": profiles[profile]["as_of"] - timedelta(microseconds=1)}
    lost = {**rows[1], "reads": json.dumps(["kar_item/nowhere/0"])}
    with place.store.writer("a test") as writer:
        write_lineage(writer, [early, lost])
    versions = {**clean.versions, "lineage": place.store.version("lineage")}
    planted = Release("planted", datetime.now(UTC), None, versions, clean.facts)

    found = leak_check(place.store, planted, leak_evidence(config, place))

    questions = {one.question: one.row for one in found.counter_examples}
    assert questions[READ] == early["row"]
    assert questions[UNREAD] == lost["row"]


def test_named_parts_have_rows_and_vectors_of_their_own_and_a_set_is_read_as_its_mean(toys):
    toys.configure(tasks={**toys.settings["tasks"], "parted": {}})
    toys.release("parted")
    store = toys.place().store
    release = get_release(store)
    whole, first = (released_knowledge(store, release, name, "lexical") for name in ("parted", "parted.first"))
    words = released_knowledge(store, release, "parted.words", "lexical")
    every = released_knowledge(store, release, "parted.words", "lexical", pooled=False)

    texts = read_lineage(store, ["parted", "parted.first", "parted.words"])
    said = dict(texts.filter(task="parted").select("entity", "text").iter_rows())
    assert dict(texts.filter(task="parted.first").select("entity", "text").iter_rows()) == {
        entity: text.split()[0] for entity, text in said.items()
    }
    for entity, text in said.items():
        assert sorted(texts.filter(task="parted.words", entity=entity)["text"]) == sorted(text.split()[1:])
    assert len(whole.entities) == len(first.entities) == len(words.entities) == 12
    assert len(every.entities) == sum(len(text.split()) - 1 for text in said.values()) > 12
    for entity in said:
        mean = every.vectors[every.entities == entity].mean(axis=0)
        assert words.vectors[words.entities == entity][0] == pytest.approx(mean, abs=1e-6)


def test_parts_that_an_answer_no_longer_has_are_gone(toys):
    toys.configure(options={"rules": {"Thing 0": "one two three", "Thing 1": "four five"}})
    toys.ask("parted")
    assert len(toys.lineage("parted.words")) > 0
    kept = {row["row"] for row in toys.lineage("parted.words").values() if row["entity"] == "i1"}
    assert {row["text"] for row in toys.lineage("parted.words").values() if row["entity"] == "i0"} == {"two", "three"}

    toys.configure(options={"rules": {"Thing 0": "one", "Thing 1": "four five"}})
    toys.configure(engine={**toys.settings["engine"], "revision": "2"})
    toys.ask("parted")

    rows = toys.lineage("parted.words").values()
    assert not [row for row in rows if row["entity"] == "i0"]
    assert {row["row"] for row in rows if row["entity"] == "i1"} == kept


def test_what_answers_create_never_meets_samples(toys, knowflow):
    toys.configure(tasks={"clusters": {}, "item_facts": {}})
    toys.release("clusters", "item_facts")
    place = toys.place()
    release = get_release(place.store)
    knowledge = released_knowledge(place.store, release, "clusters", "lexical")
    assert (knowledge.entity, sorted(knowledge.entities)) == ("cluster", ["c1", "i0"])

    from app.samples import open_samples
    from ctr.views import history_view, knowledge_view

    samples = open_samples(load_config(toys.config))
    assert (knowledge_view(knowledge, samples).rows == -1).all()  # though one has the id of an item
    assert (history_view(knowledge, samples).rows == -1).all()
    done = knowflow.run("train", "--config", str(toys.config), "--arms", "base,clusters")
    assert (done.returncode, "no such arm: clusters" in done.stderr) == (2, True)
    assert leak_check(place.store, release, leak_evidence(load_config(toys.config), place)).leaks == 0


@pytest.mark.parametrize(("entity", "creates"), [("cluster", False), ("item", True)])
def test_what_a_technique_creates_is_declared(entity, creates):
    from llm_tasks.pipeline.task import llm_task

    with pytest.raises(ValueError, match=rf"{entity} is (real|not in the data): pass creates="):
        llm_task(entity=entity, prompt=None, creates=creates)


def test_a_technique_that_reads_no_other_says_nothing_of_it(toys):
    toys.ask("kar_item")

    assert pl.Series([row["reads"] for row in toys.lineage("kar_item").values()]).null_count() == 12
