"""A preview renders the very request that a refresh sends, with its tokens, and asks nothing."""

import json

import pytest

from app.config import load_config
from app.preview import preview_row
from base.faults import WrongUse
from llm_tasks.kar_item import kar_item
from llm_tasks.pipeline.plan import plan_task


def test_the_prompt_that_is_shown_is_the_one_that_a_plan_would_send(shop):
    shown = preview_row(load_config(shop.config), "kar_item", "i3")

    plan = plan_task(kar_item, shop.place())
    (row,) = [row for row in plan.rows if row.entity == "i3"]
    (request,) = [one for one in plan.spool.requests() if one.key == row.answer_key]
    assert shown.messages == tuple(dict(message) for message in request.messages)
    assert shown.tokens == shop.place().engine.count_tokens(request.messages)
    assert (shown.task, shown.entity, shown.text, shown.fault) == ("kar_item", "i3", None, None)
    assert not shop.place().store.folder.exists()


def test_a_technique_without_a_model_shows_the_text_that_is_encoded(shop):
    shown = preview_row(load_config(shop.config), "item_facts")

    assert (shown.entity, shown.prompt, shown.messages, shown.tokens) == ("i0", None, (), None)
    title = next(item["title"] for item in shop.place().dataset.items.iter_rows(named=True) if item["item"] == "i0")
    assert shown.text is not None
    assert shown.text.startswith(title)


def test_an_entity_that_is_not_there_is_told_with_what_it_should_be(shop):
    with pytest.raises(WrongUse, match=r"--entity: kar_item has no row about 'nope'\n  give the id of one item"):
        preview_row(load_config(shop.config), "kar_item", "nope")


def test_the_command_prints_every_message_with_its_role(shop, plain_knowflow):
    done = plain_knowflow.run("preview", "kar_user", "--config", str(shop.config))
    as_json = plain_knowflow.run("preview", "kar_user", "--config", str(shop.config), "--json")

    assert (done.returncode, as_json.returncode) == (0, 0)
    found = json.loads(as_json.stdout)
    assert f"kar_user about {found['entity']}, known from " in done.stdout
    assert f"{found['tokens']:,} tokens" in done.stdout
    for message in found["messages"]:
        assert f"[{message['role']}]\n{message['content']}\n" in done.stdout
    assert f"next: knowflow plan --task kar_user --config {shop.config}" in done.stderr
