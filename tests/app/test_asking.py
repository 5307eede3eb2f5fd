"""What a run asks differently from knowflow.yaml: limits that stop it and let it go on, errors again, another engine."""

import re

import pytest
from pydantic import ValidationError

from app.asking import Asking, with_engine
from app.config import load_config
from engines.protocol import KEPT
from feature_store.releases import get_release, released_lineage
from flows.refresh import refresh
from llm_tasks.pipeline.budget import BudgetReached

TASKS = ("kar_item", "kar_user")
pytestmark = pytest.mark.usefixtures("prefect_server")


def run(shop, **asking) -> str:
    return refresh(config=str(shop.config), asking=Asking(**asking))


def test_a_run_with_a_limit_stops_is_kept_and_goes_on_and_the_limit_is_of_all_techniques_together(shop):
    tokens = sum(shop.plan(task).summary()["input_tokens"] for task in ("kar_item", "kar_user"))
    items = shop.plan("kar_item").summary()["input_tokens"]

    with pytest.raises(BudgetReached, match=r"^stopped after \d+ of 8 calls of kar_user: [\d,]+ tokens of at most"):
        run(shop, max_tokens=items + 250)  # enough for all items and some users
    after_one = len(shop.calls("gave"))
    name = run(shop)

    assert 12 < after_one < 20
    assert tokens > items + 250
    assert name == "rel-000001"
    assert len(shop.calls("gave")) == len(set(shop.calls("gave"))) == 20  # nothing was asked twice


def test_money_is_counted_by_the_prices_of_the_file(shop):
    shop.configure(prices={"input_per_million": 1e6, "output_per_million": 0.0})  # a token costs 1

    with pytest.raises(BudgetReached, match=r"a cost of .* of at most 60"):
        run(shop, max_cost=60)

    assert 0 < len(shop.calls("gave")) < 20


def test_with_weights_a_technique_that_has_its_share_keeps_none_of_the_others_from_their_release(shop):
    shop.configure(tasks={"kar_user": {"snapshots": [0.5, 1.0]}, "kar_item": {"budget_weight": 3}})
    items = shop.plan("kar_item").summary()["input_tokens"]

    with pytest.raises(BudgetReached) as reached:
        run(shop, max_tokens=round(1.8 * items))  # what the items leave is not enough for the users

    store = shop.place().store
    first = get_release(store)
    said = str(reached.value).splitlines()
    assert re.fullmatch(r"stopped after \d of 8 calls of kar_user: [\d,]+ tokens of at most [\d,]+", said[0])
    assert said[1:] == [f"  {KEPT}", "  rel-000001 holds what is complete: kar_item"]
    assert [one["task"] for one in first.facts["asked"]] == ["kar_item"]
    assert set(released_lineage(store, first, TASKS, ["task"])["task"]) == {"kar_item"}

    name = run(shop)

    assert name == "rel-000002"
    assert set(released_lineage(store, get_release(store), TASKS, ["task"])["task"]) == set(TASKS)
    assert len(shop.calls("gave")) == len(set(shop.calls("gave"))) == 20
    assert shop.calls()[0] in {row["answer_key"] for row in shop.lineage("kar_user").values()}  # the users came first


def test_a_share_that_leaves_an_encoder_without_its_texts_says_why_nothing_was_released(shop):
    shop.configure(tasks={"kar_item": {}, "kar_user": {"budget_weight": 3}})
    users = shop.plan("kar_user").summary()["input_tokens"]

    with pytest.raises(
        BudgetReached, match=r"calls of kar_item(.|\n)*nothing was released: encoder lexical: it is fitted"
    ):
        run(shop, max_tokens=round(1.5 * users))


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"max_cost": -1}, {"max_hours": 0}, {"max_token": 5}])
def test_a_limit_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        Asking(**wrong)


def test_another_engine_takes_no_option_of_the_old_one_and_another_model_no_revision(shop):
    shop.configure(engine={**shop.settings["engine"], "model": "old", "revision": "7", "options": {"rules": {}}})
    config = load_config(shop.config)

    same = with_engine(config, None, None)
    other_model = with_engine(config, None, "new").engine
    other_engine = with_engine(config, "vllm", "models/tiny").engine

    assert same is config
    assert with_engine(config, config.engine.name, "old") is config
    assert (other_model.name, other_model.model, other_model.revision) == (config.engine.name, "new", "")
    assert other_model.options == {"rules": {}}
    assert (other_engine.name, other_engine.model, other_engine.revision) == ("vllm", "models/tiny", "")
    assert other_engine.options == {}


def test_a_run_with_another_model_asks_all_rows_for_it_and_the_release_names_it(shop):
    run(shop)
    run(shop, model="another")

    assert len(shop.calls("gave")) == 2 * 20
    assert get_release(shop.place().store).facts["model"].startswith("another")
