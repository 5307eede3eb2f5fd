"""What knowledge cost: every answer that was paid for, those that were sampled and not kept among them."""

from evals.report_costs import costs_of
from feature_store.releases import publish, released_answers, released_lineage
from llm_tasks.pipeline.budget import Prices

PRICES, CANDIDATES = Prices(input_per_million=2, output_per_million=10), 3


def costs(shop) -> dict[str, dict]:
    store = shop.place().store
    with store.writer("a test") as writer:
        release = publish(writer, {})
    lineage = released_lineage(store, release)
    answers = released_answers(store, release, lineage["answer_key"].drop_nulls().to_list())
    sampled = {"cot_examples": CANDIDATES}
    made = costs_of(store, release, lineage, answers, PRICES, sampled)
    return {cost["task"]: cost for cost in made}


def test_candidates_that_were_not_kept_were_paid_for_too(make_shop):
    shop = make_shop(items=40, users=12, events=10, tasks={"cot_examples": {"examples": 8, "candidates": CANDIDATES}})
    done = shop.ask("cot_examples")

    cost = costs(shop)["cot_examples"]

    assert (cost["rows"], cost["calls"]) == (8, 8 * CANDIDATES)
    assert (cost["input_tokens"], cost["output_tokens"]) == (done.input_tokens, done.output_tokens)


def test_a_single_answer_a_row_and_a_text_without_a_call(make_shop):
    shop = make_shop()
    done = shop.ask("kar_item")
    shop.ask("item_facts")

    found = costs(shop)

    assert (found["kar_item"]["calls"], found["item_facts"]["calls"]) == (12, 0)
    assert found["kar_item"]["cost"] == (2 * done.input_tokens + 10 * done.output_tokens) / 1e6
    assert found["item_facts"]["cost"] == 0
