"""What tokens cost and when a budget is spent."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from base.faults import WrongUse
from base.progress import silent
from llm_tasks.pipeline.budget import Budget, BudgetReached, Limits, Prices, read_limits
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.generate import Spending, generate
from llm_tasks.pipeline.plan import plan_task

tokens = st.integers(0, 10**9)
price = st.floats(0, 1000)


def test_fresh_cached_and_output_tokens_have_prices_of_their_own():
    prices = Prices(input_per_million=2.0, cached_per_million=0.5, output_per_million=8.0)

    # 600 fresh at 2, 400 cached at 0.5, 100 made at 8, per million: (1200 + 200 + 800) / 1e6
    assert prices.cost(1000, 100, 400) == pytest.approx(0.0022)
    assert prices.cost(1000, 100) == pytest.approx(0.0028)


def test_cached_tokens_cost_as_much_as_others_unless_a_price_says_less():
    assert Prices(input_per_million=2.0).cost(1000, 0, 400) == Prices(input_per_million=2.0).cost(1000, 0)
    assert Prices(input_per_million=2.0, cached_per_million=0.0).cost(1000, 0, 1000) == 0


@given(parts=st.lists(st.tuples(tokens, tokens), min_size=1, max_size=5), prices=st.tuples(price, price))
def test_the_price_of_a_run_is_the_sum_of_the_prices_of_its_rows(parts, prices):
    of = Prices(input_per_million=prices[0], output_per_million=prices[1])

    whole = of.cost(sum(given for given, _ in parts), sum(made for _, made in parts))

    assert whole == pytest.approx(sum(of.cost(*part) for part in parts))


@pytest.mark.parametrize("wrong", [{"input_per_million": -1}, {"cached_per_million": -0.1}, {"per_call": 1}])
def test_prices_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError):
        Prices.model_validate(wrong)


def test_without_limits_a_budget_is_never_spent():
    budget = Budget()
    budget.spend(10**12, 10**9)

    assert budget.reached() is None


@pytest.mark.parametrize(
    ("limits", "spent", "words"),
    [
        (Limits(max_tokens=1000), (999, 50.0), None),
        (Limits(max_tokens=1000), (1000, 0.0), "1,000 tokens of at most 1,000"),
        (Limits(max_cost=2.5), (10**9, 2.4999), None),
        (Limits(max_cost=2.5), (1, 2.5), "a cost of 2.5000 of at most 2.5000"),
        (Limits(max_tokens=10, max_cost=1.0), (9, 1.0), "a cost of 1.0000 of at most 1.0000"),
    ],
)
def test_a_limit_is_reached_exactly_at_its_value_and_says_which(limits, spent, words):
    budget = Budget(limits)
    budget.spend(*spent)

    assert budget.reached() == words


def test_hours_are_counted_from_the_begin_of_the_run():
    def after(hours: float) -> Budget:
        return Budget(Limits(max_hours=2.0), begun=time.monotonic() - hours * 3600)

    assert after(1.5).reached() is None
    assert after(2.0).reached() == "2.00 hours of at most 2.00"


@given(st.lists(st.tuples(tokens, st.floats(0, 1e6)), max_size=20))
def test_a_budget_counts_every_answer(spent):
    budget = Budget()
    for row in spent:
        budget.spend(*row)

    assert budget.tokens == sum(count for count, _ in spent)
    assert budget.cost == pytest.approx(sum(cost for _, cost in spent))


def ask(shop, task: str, spending: Spending):
    place = shop.place()
    with place.store.writer("a test") as writer:
        return generate(plan_task(find_tasks()[task], place), place, writer, silent, spending)


def test_techniques_of_one_run_share_its_budget_and_the_next_run_goes_on(shop):
    first = ask(shop, "kar_item", free := Spending())
    spent = free.budget.tokens
    shop.write_items({f"i{place}": f"Gadget {place}" for place in range(12)})
    budget = Budget(Limits(max_tokens=spent + 1))  # the items, which take about as much, and a single user

    ask(shop, "kar_item", Spending(budget=budget))
    with pytest.raises(BudgetReached, match=r"stopped after \d of 8 calls of kar_user: [\d,]+ tokens of at most"):
        ask(shop, "kar_user", Spending(budget=budget))
    before = len(shop.calls())
    rest = ask(shop, "kar_user", Spending())

    assert first.input_tokens + first.output_tokens == spent
    assert budget.tokens > spent
    assert before + rest.calls == 12 + 12 + 8
    assert len(set(shop.calls())) == len(shop.calls())


def test_a_technique_that_has_nothing_to_ask_is_done_though_the_budget_is_spent(shop):
    ask(shop, "kar_item", Spending())
    spent = Budget(Limits(max_tokens=1))
    spent.spend(1, 0.0)

    done = ask(shop, "kar_item", Spending(budget=spent))

    assert (done.calls, done.rows) == (0, 12)


def test_a_budget_that_is_spent_by_the_last_row_stops_nothing(shop):
    needed = ask(shop, "kar_item", Spending(budget=Budget()))
    shop.configure(engine={**shop.settings["engine"], "revision": "2"})
    exactly = Budget(Limits(max_tokens=needed.input_tokens + needed.output_tokens))

    done = ask(shop, "kar_item", Spending(budget=exactly))

    assert (done.calls, exactly.reached() is not None) == (12, True)


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        ("200k-tokens", Limits(max_tokens=200_000)),
        ("2M-tokens", Limits(max_tokens=2_000_000)),
        ("1.5m", Limits(max_tokens=1_500_000)),
        ("200,000", Limits(max_tokens=200_000)),
        ("5-usd", Limits(max_cost=5.0)),
        (".5USD", Limits(max_cost=0.5)),
    ],
)
def test_a_budget_is_said_in_tokens_or_in_money(said, limits):
    assert read_limits(said, "USD") == limits


@pytest.mark.parametrize("said", ["", "many", "5-eur", "-5", "0", "k-tokens", "5-tokens-usd"])
def test_what_is_no_budget_is_refused(said):
    with pytest.raises(WrongUse, match="is no budget"):
        read_limits(said, "USD")


def test_the_share_of_a_budget_is_that_of_the_nearest_limit():
    budget = Budget(Limits(max_tokens=100, max_cost=10.0), tokens=20, cost=5.0)

    assert budget.share() == 0.5
    assert Budget(tokens=20).share() == 0
