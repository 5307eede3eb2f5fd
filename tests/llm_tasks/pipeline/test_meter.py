"""The meter: what a run says of itself adds up to what its answers say, and reads well in one line."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.progress import silent
from engines.protocol import EngineFault
from engines.request import Answer
from llm_tasks.pipeline.budget import Prices
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.generate import Spending, generate
from llm_tasks.pipeline.meter import Meter, Reading
from llm_tasks.pipeline.plan import plan_task

PRICES = Prices(input_per_million=1e6, cached_per_million=5e5, output_per_million=2e6, currency="EUR")
"""One a token in, half of it for a cached one, two a token out."""
READING = Reading("kar_item", 50, 200, {}, 4000, 0, 500, 10.0, 0.0, "EUR")
count = st.integers(0, 1000)
answers = st.lists(
    st.builds(
        lambda given, made, share, error: Answer(
            "k", None if error else "text", error, "", given, made, int(given * share)
        ),
        count, count, st.floats(0, 1), st.sampled_from([None, None, "refused", "too_long"]),
    ),
    max_size=30,
)  # fmt: skip


@given(answers)
def test_a_meter_adds_up_what_the_answers_say(given):
    meter = Meter("kar_item", 100, PRICES)

    costs = [meter.count(answer) for answer in given]
    reading = meter.read()

    assert (reading.done, reading.total, reading.task, reading.currency) == (len(given), 100, "kar_item", "EUR")
    assert reading.input_tokens == sum(a.input_tokens for a in given)
    assert reading.cached_tokens == sum(a.cached_tokens for a in given)
    assert reading.output_tokens == sum(a.output_tokens for a in given)
    assert reading.errors == {kind: n for kind in ("refused", "too_long") if (n := sum(a.error == kind for a in given))}
    assert reading.cost == pytest.approx(sum(costs))


def test_one_answer_costs_what_its_tokens_cost():
    # 10 in, 4 of them cached: 6 + 2; 3 out: 6
    assert Meter("t", 1, PRICES).count(Answer("k", "text", None, "", 10, 3, 4)) == pytest.approx(14)


def test_speed_and_time_left_follow_from_what_is_done():
    assert READING.rows_per_second == 5  # 50 in 10 seconds
    assert READING.seconds_left == 30  # 150 more
    assert replace(READING, done=200).seconds_left == 0
    assert replace(READING, done=0).seconds_left is None


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "5.0 rows/s, 400 tokens/s in, 50 out"),
        ({"cached_tokens": 1000}, "5.0 rows/s, 400 tokens/s in, 50 out, 25% cached"),
        ({"cut_off": 1200}, "5.0 rows/s, 400 tokens/s in, 50 out, 1,200 cut off"),
        ({"cost": 1234.567}, "5.0 rows/s, 400 tokens/s in, 50 out, 1,234.57 EUR"),
        (
            {"errors": {"too_long": 1, "refused": 1200}},
            "5.0 rows/s, 400 tokens/s in, 50 out, errors: 1,200 refused, 1 too_long",
        ),
        ({"written": 900}, "5.0 rows/s, 400 tokens/s in, 90 out"),
        (
            {"done": 0, "input_tokens": 0, "output_tokens": 0, "written": 1200},
            "0.0 rows/s, 0 tokens/s in, 120 out, 1,200 tokens written",
        ),
        ({"done": 0, "seconds": 0.0, "input_tokens": 0, "output_tokens": 0}, "0.0 rows/s, 0 tokens/s in, 0 out"),
    ],
)
def test_a_reading_is_one_line(change, line):
    assert replace(READING, **change).line() == line


def test_a_reading_does_not_change_when_the_meter_goes_on():
    meter = Meter("t", 2, PRICES)
    meter.count(Answer("k", None, "refused"))
    before = meter.read()
    meter.count(Answer("l", None, "refused"))

    assert (before.done, before.errors) == (1, {"refused": 1})


def test_whoever_watches_a_run_is_told_its_end_with_what_generation_then_says(shop):
    shop.configure(rules={"Thing 3": "refused"})
    seen: list[Reading] = []
    place = shop.place()
    with place.store.writer("a test") as writer:
        plan = plan_task(find_tasks()["kar_item"], place)
        done = generate(plan, place, writer, silent, Spending(PRICES, observe=seen.append))

    last = seen[-1]
    assert (last.done, last.total, last.errors) == (12, 12, {"refused": 1})
    assert (last.input_tokens, last.output_tokens, last.cost) == (done.input_tokens, done.output_tokens, done.cost)
    assert done.cost == done.input_tokens + 2 * done.output_tokens
    assert [reading.done for reading in seen] == sorted(reading.done for reading in seen)


def test_what_is_written_is_shown_before_the_first_row_is_done(shop, monkeypatch):
    place = shop.place()
    answer, watching = place.engine.generate, []

    def generate_slowly(requests):
        """An engine that knows the tokens of unfinished answers: 40, then 80, before its first answer."""
        for written in (40, 80):
            watching[-1](written)
        yield from answer(requests)

    monkeypatch.setattr(place.engine, "watch", watching.append, raising=False)
    monkeypatch.setattr(place.engine, "generate", generate_slowly)
    seen, bars = [], []
    with place.store.writer("a test") as writer:
        plan = plan_task(find_tasks()["kar_item"], place)
        generate(plan, place, writer, lambda *step: bars.append(step), Spending(PRICES, observe=seen.append))

    assert [(reading.done, reading.written) for reading in seen[:2]] == [(0, 40), (0, 80)]
    assert bars[:2] == [("asking kar_item", 0, 12)] * 2
    assert watching[-1] is None  # nobody watches after the run


def test_a_run_that_breaks_off_is_told_too(shop):
    shop.configure(rules={"Thing 3": "raise"})
    seen: list[Reading] = []
    place = shop.place()
    plan = plan_task(find_tasks()["kar_item"], place)
    with place.store.writer("a test") as writer, pytest.raises(EngineFault, match="the server is gone"):
        generate(plan, place, writer, silent, Spending(observe=seen.append))

    assert seen[-1].done == len(shop.calls("gave"))


def test_the_clock_begins_with_the_first_request_and_loading_the_model_is_before_it(shop, monkeypatch):
    loaded: list[object] = []
    seen: list[Reading] = []
    place = shop.place()
    plan = plan_task(find_tasks()["kar_item"], place)

    def prepare(adapter: object) -> None:
        time.sleep(0.3)  # the model is loaded
        loaded.append(adapter)
        assert shop.calls() == []

    monkeypatch.setattr(place.engine, "prepare", prepare, raising=False)
    with place.store.writer("a test") as writer:
        done = generate(plan, place, writer, silent, Spending(PRICES, observe=seen.append))

    assert loaded == [None]
    assert Meter("t", 1, PRICES).read().seconds == 0
    assert 0 < done.seconds < 0.3
    assert 0 < seen[-1].seconds < 0.3


def test_whoever_reports_the_last_row_has_seen_the_last_reading(shop):
    happened: list[tuple[str, int]] = []
    place = shop.place()
    with place.store.writer("a test") as writer:
        plan = plan_task(find_tasks()["kar_item"], place)
        spending = Spending(PRICES, observe=lambda reading: happened.append(("reading", reading.done)))
        generate(plan, place, writer, lambda what, done, total: happened.append(("row", done)), spending)

    assert happened[happened.index(("row", 12)) - 1] == ("reading", 12)
