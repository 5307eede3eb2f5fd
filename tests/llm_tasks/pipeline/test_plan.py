"""The plan: what a refresh would do and why, in numbers that then come true; and it writes nothing."""

from datetime import timedelta

import pytest

from app.config import load_config
from app.workplace import plan as plan_all
from base.faults import WrongUse
from base.progress import silent
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.plan import plan_task
from llm_tasks.pipeline.task import EPOCH, Row, Task, answer_text


def test_a_plan_of_an_empty_store_creates_nothing(shop):
    plans = plan_all(load_config(shop.config))

    assert [(p.task.name, p.count("new"), len(p.asks)) for p in plans] == [
        ("kar_item", 12, 12),
        ("kar_user", 8, 8),
        ("item_facts", 12, 0),
    ]
    assert not (shop.folder / "runs").exists()
    assert shop.calls() == []


def test_a_plan_leaves_every_byte_of_the_store_as_it_is(shop):
    shop.ask("kar_item")
    shop.configure(engine={**shop.settings["engine"], "revision": "2"})
    before = shop.store_bytes()

    plans = plan_all(load_config(shop.config))

    assert plans[0].count("changed") == 12
    assert shop.store_bytes() == before != {}


def test_what_is_planned_is_what_is_then_asked_and_reported(shop):
    for _ in range(2):
        for task in ("kar_item", "kar_user", "item_facts"):
            planned = shop.plan(task).summary()
            done = shop.ask(task)

            assert planned["rows"] == done.rows
            assert planned["calls"] == done.calls
            assert planned["input_tokens"] == done.input_tokens
        shop.write_items({f"i{place}": f"Thing {place}" for place in range(14)})  # two new items


def test_the_bound_on_output_tokens_is_calls_times_the_prompt_s_limit(shop):
    assert shop.plan("kar_item").summary()["output_tokens_at_most"] == 12 * 160
    assert shop.plan("item_facts").summary()["output_tokens_at_most"] == 0


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        (lambda shop: None, "cached", {}),
        (
            lambda shop: shop.configure(engine={**shop.settings["engine"], "model": "other"}),
            "changed",
            {"the model changed": 12},
        ),
        (
            lambda shop: shop.configure(engine={**shop.settings["engine"], "revision": "2"}),
            "changed",
            {"the model changed": 12},
        ),
        (
            lambda shop: shop.write_items({f"i{p}": f"Object {p}" for p in range(12)}),
            "changed",
            {"what the prompt shows changed": 12},
        ),
    ],
)
def test_a_plan_says_why_a_row_is_asked_again(shop, change, status, why):
    shop.ask("kar_item")
    change(shop)

    plan = shop.plan("kar_item")

    assert plan.count(status) == 12
    assert plan.summary()["why"] == why


def test_a_new_item_was_never_asked_and_a_known_user_has_new_events(shop):
    for task in ("kar_item", "kar_user"):
        shop.ask(task)
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(13)})
    user, item, time, _ = shop.events()[-1]
    shop.write_events([*shop.events(), (user, item, time + timedelta(hours=1), 4.0)])

    assert shop.plan("kar_item").summary()["why"] == {"were never asked": 1}
    # six events: snapshots after 3 and 6 instead of 2 and 5, both of them new
    assert shop.plan("kar_user").summary()["why"] == {"have new events": 2}


def test_two_rows_with_one_prompt_are_one_call(shop):
    shop.write_items({"i0": "Twin", "i1": "Twin", **{f"i{p}": f"Thing {p}" for p in range(2, 12)}})

    plan, done = shop.plan("kar_item"), shop.ask("kar_item")

    assert (plan.count("new"), len(plan.asks), done.calls) == (12, 11, 11)
    rows = shop.lineage("kar_item")
    assert rows["kar_item/i0/0"]["answer_key"] == rows["kar_item/i1/0"]["answer_key"]


AGAIN = """
from dataclasses import replace
from llm_tasks.kar_item import kar_item
kar_again = replace(kar_item, name="kar_again")
"""


def test_techniques_that_share_a_prompt_are_planned_as_one_call_each_answer(shop, tmp_path):
    (tmp_path / "again.py").write_text(AGAIN)
    shop.configure(plugins=[str(tmp_path)])
    names = ["kar_item", "kar_again"]

    planned = [p.summary() for p in plan_all(load_config(shop.config), names)]
    done = [shop.ask(name) for name in names]

    assert [p["calls"] for p in planned] == [d.calls for d in done] == [12, 0]
    assert [p["input_tokens"] for p in planned] == [d.input_tokens for d in done]
    assert planned[1]["cached"] == 12


def test_a_text_that_half_a_surrogate_pair_makes_unsendable_fails_in_the_plan_and_is_never_sent(shop):
    def rows(inputs):
        yield Row("good", EPOCH, {"input": "whole"})
        yield Row("bad", EPOCH, {"input": "half \ud83d"})

    place = shop.place()
    task = Task("kar_item", "item", "kar_item", answer_text, rows, "kar_item")
    plan = plan_task(task, place)
    with place.store.writer("a test") as writer:
        done = generate(plan, place, writer, silent)

    assert (plan.count("new"), plan.count("failed"), len(plan.asks)) == (1, 1, 1)
    assert (done.calls, done.errors) == (1, {"not_utf8": 1})
    bad = shop.lineage("kar_item")["kar_item/bad/0"]
    assert bad["text"] is None
    assert bad["error"].startswith("not_utf8: the prompt holds characters that cannot be sent")


def test_the_entities_to_ask_about_come_from_a_file(shop):
    (shop.folder / "some.csv").write_text("id,other\ni1,x\ni3,y\nnobody,z\n")
    shop.configure(tasks={"kar_item": {"only": {"path": "some.csv", "column": "id"}}})

    assert [row.entity for row in shop.plan("kar_item").rows] == ["i1", "i3"]


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ({"path": "gone.csv", "column": "id"}, r"tasks\.kar_item\.only: there is no file .*gone\.csv"),
        ({"path": "some.csv", "column": "item"}, r"some\.csv has no column 'item'\n  it has id, other"),
    ],
)
def test_a_wrong_list_of_entities_is_told_in_words(shop, only, message):
    (shop.folder / "some.csv").write_text("id,other\ni1,x\n")
    shop.configure(tasks={"kar_item": {"only": only}})

    with pytest.raises(WrongUse, match=message):
        shop.plan("kar_item")
