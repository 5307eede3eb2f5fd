"""Whatever cannot end well is refused before the first call, with all that is wrong."""

import pytest

from app.asking import Asking
from app.before_paying import check_before_paying
from app.config import load_config
from base.faults import WrongUse
from flows.refresh import refresh
from llm_tasks.pipeline.budget import Limits, Prices
from llm_tasks.pipeline.first_batch import FirstBatch, first_batch

LEXICAL = {"lexical": {"kind": "lexical"}}


def refused(shop, **asking) -> str:
    """Check the shop, and see that nothing was asked; return what is wrong."""
    with pytest.raises(WrongUse) as fault:
        check_before_paying(load_config(shop.config), None, Asking(**asking))
    assert shop.calls("asked") == []
    return str(fault.value)


def test_all_faults_are_told_at_once_with_exit_code_2_and_no_call(shop, knowflow):
    shop.configure(
        tasks={"kar_item": {"encoders": ["lexical", "sharp"]}, "kar_user": {"encoders": ["lost"]}},
        encoders={**LEXICAL, "lost": {"kind": "dense", "model": "nowhere"}},
        train={"arms": ["base", "kar", "bass", "kar_item-shuffled"]},
    )

    done = knowflow.run("refresh", "--config", str(shop.config), "--max-cost", "5", "--max-tokens", "3")

    assert done.returncode == 2
    for words in (
        "--max-cost has no effect",
        "tasks.kar_item.encoders: there is no encoder sharp",
        "encoders.lost: ",
        "train.arms: bass is no arm, and no technique that is made",
        "train.arms: kar reads kar_user/dense, kar_item/dense",
        "max_tokens is 3, but kar_item sends 1 call before the first answer is counted",
    ):
        assert words in done.stderr
    assert "kar_item-shuffled" not in done.stderr
    assert "Traceback" not in done.stderr
    assert shop.calls("asked") == []
    assert not (shop.folder / "runs").exists()


@pytest.mark.usefixtures("prefect_server")
def test_the_flow_refuses_too_before_it_asks(shop):
    with pytest.raises(WrongUse, match="max_tokens is 3"):
        refresh(config=str(shop.config), asking=Asking(max_tokens=3))

    assert shop.calls("asked") == []


def test_the_least_limit_is_what_the_engine_takes_before_its_first_answer(shop):
    shop.configure(options={"in_flight": 4})
    place, plan = shop.place(), shop.plan("kar_item")
    counted = sorted(place.engine.count_tokens(one.messages) for one in plan.spool.requests())
    least = sum(counted[:4]) + 4  # the four shortest prompts, and a token for each answer

    assert f"max_tokens is {least - 1:,}, but kar_item sends 4 calls" in refused(shop, max_tokens=least - 1)
    assert "let the engine take fewer rows at once" in refused(shop, max_tokens=1)
    check_before_paying(load_config(shop.config), None, Asking(max_tokens=least))
    assert first_batch(plan, place.engine, Prices()) == FirstBatch("kar_item", 4, least, 0.0, 0.0)


def test_money_and_time_are_measured_by_prices_and_past_runs():
    batch = FirstBatch("kar_item", 32, tokens=9_000, cost=0.5, hours=0.25)

    assert batch.faults(Limits(), "USD") == []
    assert batch.faults(Limits(max_tokens=9_000, max_cost=0.5, max_hours=0.25), "USD") == []
    tokens, cost, hours = batch.faults(Limits(max_tokens=8_999, max_cost=0.4, max_hours=0.2), "EUR")
    assert tokens.startswith("max_tokens is 8,999, but kar_item sends 32 calls before the first answer is counted")
    assert "max_cost is 0.4000, but kar_item sends 32 calls" in cost
    assert "at least 0.5000 EUR" in cost
    assert "max_hours is 0.2000" in hours
    assert "about 0.2500 by past runs" in hours


def test_a_store_that_needs_no_call_takes_any_limit(shop):
    shop.configure(tasks={"item_facts": {}}, encoders=LEXICAL, train={})

    check_before_paying(load_config(shop.config), None, Asking(max_tokens=1))
