"""How the techniques of a run share its budget."""

from collections.abc import Callable, Mapping

import pytest

from llm_tasks.pipeline.budget import Budget, Limits
from llm_tasks.pipeline.shares import ask_in_shares, share_of


class Backlog:
    """Techniques with so many tokens to ask for; each asks one token at a time and stops at its budget."""

    def __init__(self, **tokens: int):
        self.left = tokens
        self.asked: list[tuple[str, int]] = []

    def ask(self, name: str, budget: Budget) -> dict:
        calls = 0
        while self.left[name] and not budget.reached():
            budget.spend(1, 0.5)
            self.left[name] -= 1
            calls += 1
        self.asked.append((name, calls))
        counts = dict.fromkeys(("answered", "output_tokens", "cached_tokens", "cut_off", "withdrawn"), 0)
        return {
            **counts,
            "calls": calls,
            "input_tokens": calls,
            "cost": calls / 2,
            "seconds": 0.0,
            "left": self.left[name],
            "rows": self.left[name] + calls,
        }


def within(limits: Limits, ask: Callable[[str, Budget], dict]) -> Callable[..., dict]:
    return lambda name, before, part: ask(name, share_of(limits, before, part))


def run(backlog: Backlog, limits: Limits, weights: Mapping[str, float | None], **needs: tuple[str, ...]) -> dict:
    order = {name: needs.get(name, ()) for name in weights}
    return {name: done["calls"] for name, done in ask_in_shares(order, weights, within(limits, backlog.ask)).items()}


def test_each_technique_stops_at_its_share_and_the_others_go_on():
    backlog = Backlog(one=1000, two=1000, three=1000)

    calls = run(backlog, Limits(max_tokens=100), {"one": 5.0, "two": 3.0, "three": 2.0})

    assert calls == {"one": 50, "two": 30, "three": 20}


def test_what_one_leaves_goes_to_the_later_ones_and_then_back_to_those_that_stopped():
    backlog = Backlog(one=1000, two=10, three=1000)

    calls = run(backlog, Limits(max_tokens=100), {"one": 1.0, "two": 1.0, "three": 2.0})

    # one: 25 of 100; two leaves 15 of its 25; three takes all the 65 that are left, and is the last to stop.
    assert calls == {"one": 25, "two": 10, "three": 65}

    backlog = Backlog(one=1000, two=1000, three=10)
    calls = run(backlog, Limits(max_tokens=100), {"one": 1.0, "two": 1.0, "three": 2.0})

    # 25, 25 and 10 of 50: the 40 that three leaves are halved between the two that stopped.
    assert calls == {"one": 45, "two": 45, "three": 10}
    assert backlog.asked == [("one", 25), ("two", 25), ("three", 10), ("one", 20), ("two", 20)]


def test_without_a_weight_the_first_may_spend_all_and_ends_the_run():
    backlog = Backlog(one=1000, two=5)

    assert run(backlog, Limits(max_tokens=100), {"one": None, "two": None}) == {"one": 100}
    assert run(Backlog(one=95, two=50), Limits(max_tokens=100), {"one": None, "two": None}) == {"one": 95, "two": 5}


def test_a_technique_without_a_weight_counts_as_one_where_another_has_one():
    assert run(Backlog(one=99, two=99), Limits(max_tokens=80), {"one": 3.0, "two": None}) == {"one": 60, "two": 20}


def test_money_is_shared_like_tokens_and_the_tighter_limit_stops():
    calls = run(Backlog(one=999, two=999), Limits(max_tokens=100, max_cost=20), {"one": 1.0, "two": 3.0})

    assert calls == {"one": 10, "two": 30}  # half a coin each: 5 and 15 of 20


def test_a_technique_that_reads_another_waits_until_that_one_has_all_answers():
    weights = {"base": 1.0, "reader": 1.0, "other": 1.0}

    assert run(Backlog(base=999, reader=5, other=999), Limits(max_tokens=100), weights, reader=("base",)) == {
        "base": 50,
        "other": 50,
    }
    backlog = Backlog(base=10, reader=5, other=999)
    assert run(backlog, Limits(max_tokens=100), weights, reader=("base",)) == {
        "base": 10,
        "other": 85,
        "reader": 5,
    }
    assert backlog.asked == [("base", 10), ("other", 45), ("reader", 5), ("other", 40)]
    backlog = Backlog(base=60, reader=5, other=20)
    assert run(backlog, Limits(max_tokens=100), weights, reader=("base",)) == {"base": 60, "other": 20, "reader": 5}
    assert backlog.asked == [("base", 33), ("other", 20), ("base", 27), ("reader", 5)]


def test_a_share_is_not_kept_for_what_waits_for_one_that_stopped_however_long_the_chain():
    weights: dict[str, float | None] = {"base": 1.0, "reader": 1.0, "last": 1.0}

    calls = run(Backlog(base=999, reader=5, last=5), Limits(max_cost=30), weights, reader=("base",), last=("reader",))

    assert calls == {"base": 60}


def test_without_limits_everything_is_asked_once():
    backlog = Backlog(one=3, two=4)

    assert run(backlog, Limits(), {"one": 1.0, "two": 9.0}) == {"one": 3, "two": 4}
    assert len(backlog.asked) == 2


def test_two_rounds_of_one_technique_add_up_but_its_plan_is_that_of_the_first():
    backlog = Backlog(one=45, two=10)

    def ask(name: str, budget: Budget) -> dict:
        planned = backlog.left[name]
        return {**backlog.ask(name, budget), "planned_calls": planned, "cached": 100 - planned}

    done = ask_in_shares({"one": (), "two": ()}, {"one": 1.0, "two": 1.0}, within(Limits(max_tokens=60), ask))

    assert (done["one"]["calls"], done["one"]["input_tokens"], done["one"]["cost"]) == (45, 45, 22.5)
    assert (done["one"]["planned_calls"], done["one"]["cached"]) == (45, 55)
    assert (done["one"]["left"], done["one"]["rows"]) == (0, 15)


def test_what_techniques_have_used_is_gone_from_the_budget():
    def done(tokens: int = 0, cost: float = 0.0, seconds: float = 0.0) -> dict:
        return {"input_tokens": tokens, "output_tokens": 0, "cost": cost, "seconds": seconds}

    budget = share_of(Limits(100, 2, 1), [done(40, 0.5), done(20, 1.0, seconds=1800)], part=1.0)

    assert (budget.limits, budget.tokens, budget.cost) == (Limits(100, 2, 1), 60, 1.5)
    assert budget.reached() is None
    assert share_of(Limits(max_hours=0.4), [done(seconds=1800)], 1.0).reached() == "0.50 hours of at most 0.50"
    assert share_of(Limits(), [done(10**12, 1e9, 1e9)], 0.5).reached() is None


def test_hours_are_shared_too():
    spent = [{"input_tokens": 0, "output_tokens": 0, "cost": 0.0, "seconds": 3600.0}]

    assert share_of(Limits(max_hours=3), spent, part=0.25).limits.max_hours == pytest.approx(1.5)
