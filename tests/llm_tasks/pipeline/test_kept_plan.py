"""A plan of what has changed is the plan of everything, whatever happens between two refreshes."""

import random
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from base.progress import silent
from feature_store.answers import read_answers, write_answers
from feature_store.lineage import read_lineage, write_lineage
from llm_tasks.pipeline.before import COLUMNS
from llm_tasks.pipeline.catalogue import choose_tasks, find_tasks
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.own_data import own_data_of, subjects_of, without_subjects
from llm_tasks.pipeline.plan import plan_task
from llm_tasks.pipeline.slices import Slice
from llm_tasks.pipeline.task import Inputs, Row, llm_task
from llm_tasks.pipeline.workplace import KeptPlans

TASKS = ("kar_user", "kar_item", "item_facts")
NIGHTS = 25
CLOCKS = ("as_of", "seen_until", "model_seen_until")


def place_of(shop, code: str | None = "1"):
    """Return the shop's workplace, with kept plans if there is code."""
    kept = None if code is None else KeptPlans(shop.folder / "planned", code)
    return replace(shop.place(), kept=kept)


def plan(shop, task: str, code: str | None = "1", **options):
    return plan_task(choose_tasks([task])[0], place_of(shop, code), **options)


def ask(shop, task: str, code: str | None = "1", **options):
    with shop.place().store.writer("a test") as writer:
        return generate(plan(shop, task, code, **options), place_of(shop, code), writer, silent)


def files(shop) -> list[Path]:
    return sorted((shop.folder / "planned").glob("*"))


def test_only_subjects_whose_own_data_changed_are_planned(shop):
    for task in TASKS:
        first = ask(shop, task)
        assert (len(plan(shop, task).rows), plan(shop, task).total) == (0, first.rows)
    events = shop.events()
    shop.write_events([*events, ("u1", "i5", events[-1][2] + timedelta(days=1), 3.0)])
    shop.write_items({f"i{place}": f"Thing {place}" + " anew" * (place == 4) for place in range(12)})
    who = {user for user, item, *_ in shop.events() if item == "i4"} | {"u1"}

    assert {row.entity for row in plan(shop, "kar_user").rows} == who != {f"u{user}" for user in range(4)}
    assert (
        {row.entity for row in plan(shop, "kar_item").rows}
        == {"i4"}
        == {row.entity for row in plan(shop, "item_facts").rows}
    )


def change(shop, chance: random.Random) -> None:
    """Change the data, the model's behaviour, the options or the store, in one of many ways."""
    events, items = shop.events(), pl.read_parquet(shop.folder / "items.parquet").rows()
    tasks, engine = dict(shop.settings["tasks"]), dict(shop.settings["engine"])
    what = chance.choice(
        ["event", "event", "gone", "moved", "rated", "title", "item", "rule", "model", "snapshots", "row", "answer"]
    )
    one = chance.randrange(len(events))
    user, item, time, rating = events[one]
    later = max(event[2] for event in events) + timedelta(minutes=1)
    if what == "event":
        shop.write_events(
            [*events, (f"u{chance.randrange(6)}", f"i{chance.randrange(12)}", later, 1.0 + chance.randrange(5))]
        )
    elif what == "gone":
        shop.write_events(events[:one] + events[one + 1 :])
    elif what == "moved":
        shop.write_events([*events[:one], (user, item, time + timedelta(seconds=7), rating), *events[one + 1 :]])
    elif what == "rated":
        shop.write_events([*events[:one], (user, item, time, 6.0 - rating), *events[one + 1 :]])
    elif what in ("title", "item"):
        titles = dict(items) | (
            {chance.choice(items)[0]: f"Thing {chance.random()}"} if what == "title" else {f"i{len(items)}": "Thing 1"}
        )
        shop.write_items(titles)
    elif what == "rule":
        rule = chance.choice(["refused", "empty", "error:http_503", "another text"])
        shop.configure(rules={f"Thing {chance.randrange(12)}": rule} if chance.random() < 0.7 else {})
    elif what == "model":
        shop.configure(engine={**engine, "revision": str(chance.randrange(2))})
    elif what == "snapshots":
        shop.configure(
            tasks=tasks
            | {"kar_user": {"snapshots": chance.choice([[1.0], [0.5, 1.0]]), "history_length": chance.choice([3, 20])}}
        )
    elif rows := shop.lineage("kar_item") | shop.lineage("kar_user"):
        chosen = rows[chance.choice(sorted(rows))]
        with shop.place().store.writer("a test") as writer:
            if what == "row":
                writer.delete("lineage", "row", [chosen["row"]])
            elif chosen["answer_key"] is not None:
                writer.delete("answers", "key", [chosen["answer_key"]])


def told(shop, task: str) -> dict:
    """Return all that a technique's rows say but when they were made."""
    return {key: {k: v for k, v in row.items() if k != "created_at"} for key, row in shop.lineage(task).items()}


@pytest.mark.parametrize("seed", range(3))
def test_after_any_night_the_plan_and_the_rows_are_those_of_a_shop_that_plans_everything(shop, seed):
    chance, left_alone = random.Random(seed), 0
    for task in TASKS:
        ask(shop, task)
    for _ in range(NIGHTS):
        change(shop, chance)
        copy = replace(shop, folder=shop.folder.with_name("copy"))
        shutil.copytree(shop.folder, copy.folder)
        task = chance.choice(TASKS[:2])
        options = {"retry": ["all"]} if chance.random() < 0.1 else {}
        of_changes, of_all = plan(shop, task, **options), plan(copy, task, None, **options)
        left_alone += len(of_changes.settled)

        assert of_changes.summary() == of_all.summary()
        assert (of_changes.asks, of_changes.withdrawn) == (of_all.asks, of_all.withdrawn)
        settled, rows = set(of_changes.settled["row"]), pl.Series([row.row for row in of_all.rows])
        rest = [row for row, number in zip(of_all.rows, rows.hash(0), strict=True) if number not in settled]
        assert list(of_changes.rows) == rest
        assert len(of_all.rows) == len(rest) + len(settled)
        done, other = ask(shop, task, **options), ask(copy, task, None, **options)
        assert replace(done, seconds=0) == replace(other, seconds=0)
        assert told(shop, task) == told(copy, task)
        shutil.rmtree(copy.folder)
    assert left_alone > NIGHTS


@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "row"])
def test_a_subject_with_a_row_in_the_lineage_that_is_not_as_it_was_left_is_planned(shop, column):
    ask(shop, "kar_user")
    lineage, clock = read_lineage(shop.place().store, ["kar_user"]), column in CLOCKS
    one = lineage["row"].min()
    other = pl.col("as_of") - pl.duration(microseconds=1) if clock else pl.lit("other")
    changed = lineage.filter(pl.col("row") == one).with_columns(other.alias(column))
    with shop.place().store.writer("a test") as writer:
        write_lineage(writer, changed.to_dicts())

    rows = plan(shop, "kar_user").rows
    assert {row.entity for row in rows} == {"u0"}
    assert len(rows) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "gone"])
def test_a_damaged_file_costs_time_and_nothing_else(shop, damage):
    ask(shop, "kar_item")
    (file,) = files(shop)
    if damage == "gone":
        file.unlink()
    elif damage == "other":
        pl.DataFrame({"subject": ["i1"]}).write_parquet(file)
    else:
        file.write_bytes(file.read_bytes()[:200] if damage == "cut" else b"")

    assert len(plan(shop, "kar_item").rows) == 12
    assert ask(shop, "kar_item").calls == 0
    assert plan(shop, "kar_item").rows == ()


def test_other_code_plans_everything_and_its_plan_replaces_the_older_one(shop):
    ask(shop, "kar_item")
    ask(shop, "kar_user")
    before = files(shop)

    assert len(plan(shop, "kar_item", "2").rows) == 12
    ask(shop, "kar_item", "2")
    assert len(files(shop)) == len(before) == 2
    assert len(set(files(shop)) & set(before)) == 1
    assert plan(shop, "kar_item", "2").rows == ()


def test_a_plan_that_cannot_be_kept_stops_no_refresh(shop, caplog):
    (shop.folder / "planned").write_text("a file where the folder should be", encoding="utf-8")

    assert ask(shop, "kar_item").calls == 12
    assert "the plan of kar_item cannot be kept, so the next refresh plans everything" in caplog.text
    assert len(plan(shop, "kar_item").rows) == 12


def test_what_a_kill_left_half_written_is_deleted(shop):
    (shop.folder / "planned").mkdir()
    for name in (".kar_item.0123abcd", ".kar_user.0123abcd"):
        (shop.folder / "planned" / name).write_bytes(b"PAR1")

    ask(shop, "kar_item")
    assert [file.name[:9] for file in files(shop)] == [".kar_user", "kar_item."]


def test_another_engine_or_another_file_that_an_option_names_plans_everything(shop):
    def rows(task: str, engine: str, words: str) -> int:
        kept = KeptPlans(shop.folder / "planned", "1", engine, lambda _: words)
        place = replace(shop.place(), kept=kept)
        with place.store.writer("a test") as writer:
            made = plan_task(choose_tasks([task])[0], place)
            generate(made, place, writer, silent)
        return len(made.rows)

    assert [rows("kar_item", *one) for one in (("a", "x"), ("a", "x"), ("b", "x"), ("b", "y"))] == [12, 0, 12, 12]
    assert [rows("item_facts", *one) for one in (("a", "x"), ("b", "x"), ("b", "y"))] == [12, 0, 12]  # asks no engine


def test_a_plan_whose_code_the_digest_does_not_cover_is_not_kept(shop):
    place = replace(shop.place(), kept=KeptPlans(shop.folder / "planned", "1", covers=lambda: False))
    with place.store.writer("a test") as writer:
        generate(plan_task(choose_tasks(["kar_item"])[0], place), place, writer, silent)

    assert files(shop) == []


def test_an_answer_that_was_given_anew_is_read_anew(shop):
    ask(shop, "kar_item")
    old = shop.lineage("kar_item")["kar_item/i3/0"]
    store = shop.place().store
    (answer,) = read_answers(store, [old["answer_key"]]).to_dicts()
    with store.writer("a test") as writer:
        write_answers(writer, [answer | {"text": "another answer", "created_at": answer["created_at"] + timedelta(1)}])

    assert [row.entity for row in plan(shop, "kar_item").rows] == ["i3"]
    ask(shop, "kar_item")
    assert shop.lineage("kar_item")["kar_item/i3/0"]["text"] == "another answer"


def test_a_row_that_is_the_best_of_several_answers_is_not_kept(shop):
    first = plan(shop, "kar_item")
    ask(shop, "kar_item")
    rows = [row._replace(candidates=("a", "b")) if row.entity == "i7" else row for row in first.rows]
    first.kept.keep(first.settled, rows, frozenset({"kar_item/i2/0"}), place_of(shop), first.task)

    assert [row.entity for row in plan(shop, "kar_item").rows] == ["i7"]
    assert plan(shop, "kar_item").shortened == 1


def test_a_slice_and_a_retry_keep_no_plan_and_use_none(shop):
    ask(shop, "kar_item", retry=["all"])
    part = replace(place_of(shop), slice=Slice.read("1/2", None))
    with shop.place().store.writer("a test") as writer:
        generate(plan_task(choose_tasks(["kar_item"])[0], part), part, writer, silent)
    assert files(shop) == []

    ask(shop, "kar_item")
    assert len(plan(shop, "kar_item", retry=["all"]).settled) == 0
    assert len(plan_task(choose_tasks(["kar_item"])[0], part).settled) == 0


def test_no_id_stands_in_a_kept_plan(shop):
    shop.write_events([("somebody", "i1", shop.events()[0][2], 4.0)])
    ask(shop, "kar_user")
    (file,) = files(shop)

    assert b"somebody" not in file.read_bytes()
    assert pl.read_parquet(file)["subject"].to_list() == subjects_of(pl.Series(["somebody"])).to_list()


def own_data_tasks() -> list[str]:
    return sorted(name for name, task in find_tasks().items() if task.own_data)


def test_the_techniques_that_declare_own_data():
    assert own_data_tasks() == ["item_facts", "kar_item", "kar_user", "note_embed"]


@pytest.mark.parametrize("name", own_data_tasks())
def test_a_technique_that_declares_own_data_says_of_each_subject_the_same_without_the_others(example, name):
    task, dataset = find_tasks()[name], example.dataset
    inputs = example.inputs_of(task)
    whole: dict[str, list[Row]] = {}
    for row in task.rows(inputs):
        whole.setdefault(row.entity, []).append(replace(row, shorter=None))
    for one in random.Random(1).sample(sorted(whole), 12):
        others = pl.Series([entity for entity in whole if entity != one])
        alone = without_subjects(own_data_of(dataset, task.entity), task.entity, subjects_of(others))

        assert [replace(row, shorter=None) for row in task.rows(replace(inputs, dataset=alone))] == whole[one]


def test_a_technique_of_own_data_gets_nothing_that_depends_on_others(shop):
    seen: list[Inputs] = []

    @llm_task(entity="item", prompt=None, own_data=True)
    def of_items(inputs):
        seen.append(inputs)
        return []

    @llm_task(entity="user", prompt=None, own_data=True)
    def of_users(inputs):
        seen.append(inputs)
        return []

    for task in (of_items, of_users):
        plan_task(task, place_of(shop))
    (items, users) = (inputs.dataset for inputs in seen)

    assert (len(items.events), len(items.items)) == (0, 12)
    assert (len(users.events), users.events["part"].null_count()) == (20, 20)


@pytest.mark.parametrize(
    "wrong", [{"entity": "event"}, {"entity": "query"}, {"entity": "item", "needs": ("kar_item",)}]
)
def test_own_data_can_only_be_said_of_items_and_users(wrong):
    with pytest.raises(ValueError, match="of their own data alone"):
        llm_task(prompt=None, own_data=True, **wrong)
