"""Budgets with many rows under way: what is under way is finished and kept, and the next run asks only the rest."""

import math
import time

import pytest
from fault_server import serve, usage_of

from base.progress import silent
from llm_tasks.pipeline.budget import Budget, BudgetReached, Limits, Prices
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.generate import Spending, generate
from llm_tasks.pipeline.plan import plan_task

ITEMS, IN_FLIGHT = 80, 6
PRICES = Prices(input_per_million=1.0, cached_per_million=0.5, output_per_million=3.0)


@pytest.fixture
def paid(make_shop):
    """A shop whose items are asked of a server, six at once; every prompt and answer has the same number of tokens."""
    with serve(lambda call: "good") as server:
        shop = make_shop(items=ITEMS, users=1)
        options = {"urls": server.url, "concurrency": IN_FLIGHT}
        shop.configure(engine={"name": "openai", "model": "tiny", "options": options})
        yield shop, server


def ask(shop, budget: Budget | None = None, progress=silent):
    place = shop.place()
    with place.store.writer("a test") as writer:
        plan = plan_task(find_tasks()["kar_item"], place)
        return generate(plan, place, writer, progress, Spending(PRICES, budget or Budget()))


def row_usage(server) -> tuple[int, float]:
    """Tokens and price of one row, worked out from what the server says of any of them."""
    used = usage_of(server.seen.calls[0].prompt)
    given, made, cached = used["prompt_tokens"], used["completion_tokens"], 1
    return given + made, ((given - cached) * 1.0 + cached * 0.5 + made * 3.0) / 1e6


@pytest.mark.parametrize("limit", ["max_tokens", "max_cost"])
def test_a_spent_budget_stops_the_run_and_the_next_one_asks_exactly_the_rest(paid, limit):
    shop, server = paid
    with pytest.raises(BudgetReached):
        ask(shop, Budget(Limits(max_tokens=1)))
    tokens, price = row_usage(server)
    first = len(server.seen.calls)
    assert 1 <= first <= IN_FLIGHT  # the first answer spends the token; what was under way came too

    bound = 20 * tokens if limit == "max_tokens" else 20 * price * (1 - 1e-9)
    budget = Budget(Limits(**{limit: bound}))
    with pytest.raises(BudgetReached, match=r"stopped after \d+ of \d+ calls of kar_item: .* of at most") as reached:
        ask(shop, budget)
    asked = len(server.seen.calls) - first
    done = ask(shop)

    assert "the answers so far are kept" in str(reached.value)
    assert 20 <= asked < 20 + IN_FLIGHT
    assert budget.tokens == asked * tokens
    assert budget.cost == pytest.approx(asked * price)
    assert done.calls == ITEMS - first - asked
    assert len(server.seen.calls) == ITEMS == len(server.seen.prompts)
    assert all(row["text"] for row in shop.lineage("kar_item").values())
    assert math.isclose(done.cost, done.calls * price)


def test_the_hours_of_a_run_are_counted_from_its_begin(paid):
    shop, server = paid
    budget = Budget(Limits(max_hours=2.0))

    def progress(what: str, done: int, total: int) -> None:
        if done == 10:
            budget.begun -= 2 * 3600  # two hours later

    with pytest.raises(BudgetReached, match=r"2\.00 hours of at most 2\.00"):
        ask(shop, budget, progress)

    asked = len(server.seen.calls)
    assert 10 <= asked < 10 + IN_FLIGHT
    assert ask(shop).calls == ITEMS - asked


def test_a_budget_that_is_spent_already_asks_nothing(paid):
    shop, server = paid

    with pytest.raises(BudgetReached, match="stopped after 0 of 80 calls"):
        ask(shop, Budget(Limits(max_hours=1.0), begun=time.monotonic() - 3601))

    assert server.seen.calls == []
