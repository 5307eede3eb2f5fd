"""Estimates: averages of the newest runs of the same prompt and model, and of no others."""

import pytest

from engines.request import ModelIdentity
from feature_store.runs import read_runs, write_run
from llm_tasks.pipeline.estimate import RECENT, estimate
from prompts.library import choose_prompt

PROMPT = choose_prompt("kar_item", 1)
MODEL = ModelIdentity("scripted", "1")


def note(shop, calls: int, output_tokens: int, seconds: float, **changes) -> None:
    run = {
        "task": "kar_item",
        "prompt": "kar_item.v1",
        "model": "scripted@1",
        "calls": calls,
        "failed": 0,
        "input_tokens": 1,
        "cached_tokens": 0,
        "output_tokens": output_tokens,
        "seconds": seconds,
    }
    with shop.place().store.writer("a test") as writer:
        write_run(writer, run | changes)


def test_without_a_past_run_there_is_no_estimate(shop):
    assert estimate(shop.place().store, PROMPT, MODEL) is None
    assert shop.plan("kar_item").summary()["output_tokens_estimate"] is None


def test_an_estimate_weighs_runs_by_their_calls(shop):
    note(shop, calls=10, output_tokens=100, seconds=5.0)
    note(shop, calls=30, output_tokens=900, seconds=7.0)

    guess = estimate(shop.place().store, PROMPT, MODEL)

    assert guess is not None
    assert (guess.calls, guess.output_tokens, guess.seconds) == (40, 1000 / 40, 12 / 40)


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "kar_item.v2"},
        {"prompt": "kar_user.v1"},
        {"model": "scripted@2"},
        {"model": "scripted@1@lora@1"},
        {"calls": 0},
    ],
)
def test_other_prompts_and_models_and_empty_runs_do_not_count(shop, other):
    note(shop, calls=5, output_tokens=9999, seconds=99.0)
    note(shop, **{"calls": 1, "output_tokens": 7, "seconds": 3.0, **other})

    guess = estimate(shop.place().store, PROMPT, MODEL)

    assert guess is not None
    assert guess.calls == 5


def test_only_the_newest_runs_count(shop):
    note(shop, calls=1000, output_tokens=10**6, seconds=1e6)
    for place in range(RECENT):
        note(shop, calls=2, output_tokens=10 + place, seconds=1.0)

    guess = estimate(shop.place().store, PROMPT, MODEL)

    assert guess is not None
    assert (guess.calls, guess.output_tokens, guess.seconds) == (10, (10 + 11 + 12 + 13 + 14) / 10, 0.5)


def test_an_adapter_has_estimates_of_its_own(shop):
    note(shop, calls=5, output_tokens=50, seconds=5.0)

    assert estimate(shop.place().store, PROMPT, ModelIdentity("scripted", "1", "films@2")) is None
    note(shop, calls=2, output_tokens=8, seconds=1.0, model="scripted@1@films@2")
    guess = estimate(shop.place().store, PROMPT, ModelIdentity("scripted", "1", "films@2"))
    assert guess is not None
    assert (guess.calls, guess.output_tokens) == (2, 4)


def test_a_plan_multiplies_what_the_last_run_took_by_its_calls(shop):
    first = shop.ask("kar_item")
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(15)})  # three more

    told = shop.plan("kar_item").summary()
    (run,) = read_runs(shop.place().store).iter_rows(named=True)

    assert (run["calls"], run["failed"], run["output_tokens"]) == (12, 0, first.output_tokens)
    assert told["calls"] == 3
    assert told["output_tokens_estimate"] == round(3 * first.output_tokens / 12) == 27  # nine words each
    assert told["seconds_estimate"] == pytest.approx(3 * run["seconds"] / 12)
    assert told["output_tokens_estimate"] <= told["output_tokens_at_most"]


def test_a_run_that_asked_nothing_leaves_no_trace_in_the_runs(shop):
    shop.ask("kar_item")
    shop.ask("kar_item")

    assert len(read_runs(shop.place().store)) == 1
