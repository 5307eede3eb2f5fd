"""What a report opens: costs by the prices and samplings that knowflow.yaml says."""

from app.config import load_config
from app.report import open_costs
from feature_store.releases import publish, released_answers, released_lineage


def test_costs_follow_the_prices_and_the_candidates_of_the_settings(make_shop):
    prices = {"input_per_million": 2.0, "output_per_million": 10.0, "currency": "EUR"}
    options = {"cot_examples": {"examples": 8, "candidates": 3}}
    shop = make_shop(items=40, users=12, events=10, tasks=options, prices=prices)
    done, store = shop.ask("cot_examples"), shop.place().store
    with store.writer("a test") as writer:
        release = publish(writer, {})
    lineage = released_lineage(store, release)
    answers = released_answers(store, release, lineage["answer_key"].drop_nulls().to_list())

    (cost,) = open_costs(load_config(shop.config), release, lineage, answers)

    assert (cost["rows"], cost["calls"], cost["currency"]) == (8, 8 * 3, "EUR")
    assert cost["cost"] == (2 * done.input_tokens + 10 * done.output_tokens) / 1e6
