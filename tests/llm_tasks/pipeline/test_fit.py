"""Rows that fit the model's context: the newest events are kept, as many as fit, and what cannot fit is told unasked."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ScriptedEngine

from base.progress import silent
from engines.request import Request
from llm_tasks.kar_user import KarUserOptions
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.fit import TEMPLATE_BYTES, Renderer, certain_to_fit
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.plan import plan_task
from llm_tasks.pipeline.task import EPOCH, Row
from prompts.library import choose_prompt

ANSWER = 256
"""Tokens of an answer of kar_user, as its prompt says."""


class ByteEngine:
    """Every byte is a token; it answers as the scripted one and notes what it was made to count."""

    token_counter = "bytes"

    def __init__(self, scripted: ScriptedEngine, context_tokens: int | None) -> None:
        self.identity, self.context_tokens = scripted.identity, context_tokens
        self.generate = scripted.generate
        self.counted = 0

    def count_tokens(self, messages) -> int:
        self.counted += 1
        return sum(len(message["content"].encode()) for message in messages)


def place_with(shop, context: int | None, **options):
    place = shop.place()
    merged = {**place.options, "kar_user": KarUserOptions(snapshots=(1.0,), **options)}
    return replace(place, engine=ByteEngine(place.engine, context), options=merged)


def shown(request: Request) -> list[str]:
    """The events that a prompt of kar_user shows, oldest first."""
    return request.messages[-1]["content"].splitlines()[-1].split("; ")


def renderer_and_rows(place):
    task = find_tasks()["kar_user"]
    rows = list(task.rows(place.inputs_of(task)))
    return Renderer.of(task, choose_prompt("kar_user"), place), rows


def test_without_a_known_context_nothing_is_counted_and_nothing_shortened(shop):
    place = place_with(shop, None)
    renderer, rows = renderer_and_rows(place)

    fitted = [renderer.fitted(row) for row in rows]

    assert [f[0] is row for f, row in zip(fitted, rows, strict=True)] == [True] * 4
    assert [f[2] for f in fitted] == [None] * 4
    assert place.engine.counted == 0


def test_a_row_that_fits_for_certain_is_not_counted_and_one_that_might_not_is(shop):
    whole = len(
        renderer_and_rows(place_with(shop, None))[0]
        .fitted(renderer_and_rows(place_with(shop, None))[1][0])[1]
        .messages[0]["content"]
        .encode()
    )
    counted = []
    for context in (whole + TEMPLATE_BYTES + ANSWER, whole + TEMPLATE_BYTES + ANSWER - 1):
        place = place_with(shop, context)
        renderer, rows = renderer_and_rows(place)
        row, _, fault = renderer.fitted(rows[0])
        assert (row is rows[0], fault) == (True, None)
        counted.append(place.engine.counted)

    assert counted == [0, 1]


@pytest.mark.parametrize("kept", [1, 2, 3, 4, 5])
def test_as_many_of_the_newest_events_are_kept_as_fit(shop, kept):
    renderer, rows = renderer_and_rows(place_with(shop, None))
    full = renderer.request(rows[0])
    events = shown(full)
    dropped = "; ".join(events[: len(events) - kept])
    size = len(full.messages[-1]["content"].encode()) - (len(dropped.encode()) + 2 if dropped else 0)
    exactly, one_less = place_with(shop, size + ANSWER), place_with(shop, size + ANSWER - 1)

    renderer, rows = renderer_and_rows(exactly)
    row, request, fault = renderer.fitted(rows[0])
    renderer, rows = renderer_and_rows(one_less)
    _, shorter_request, shorter_fault = renderer.fitted(rows[0])

    assert (shown(request), fault) == (events[len(events) - kept :], None)
    assert (row.entity, row.as_of, row.seen_until) == (rows[0].entity, rows[0].as_of, rows[0].seen_until)
    if kept > 1:
        assert (shown(shorter_request), shorter_fault) == (events[len(events) - kept + 1 :], None)
        assert request.key != shorter_request.key
    else:
        assert shorter_fault is not None
        assert shorter_fault.startswith(
            f"too_long: {size:,} tokens and an answer of 256 do not fit the model's {size + 255:,}"
        )


def test_a_row_may_be_an_error_instead_of_being_shortened(shop):
    renderer, rows = renderer_and_rows(place_with(shop, None))
    size = len(renderer.request(rows[0]).messages[-1]["content"].encode())
    place = place_with(shop, size + ANSWER - 1, too_long="error")
    renderer, rows = renderer_and_rows(place)

    row, _, fault = renderer.fitted(rows[0])

    assert row is rows[0]
    assert fault is not None
    assert fault.startswith("too_long: ")


def test_a_plan_names_what_is_too_long_and_counts_what_is_shortened_and_only_what_fits_is_asked(shop):
    shop.write_items({f"i{place}": "Long " * 200 * (place == 4) + f"Thing {place}" for place in range(12)})
    place = place_with(shop, 2_000)  # the long title alone takes 1,000
    task = find_tasks()["kar_item"]

    with place.store.writer("a test") as writer:
        plan = plan_task(task, place)
        told = plan.summary()
        narrow = replace(place, engine=ByteEngine(shop.place().engine, 900))
        short = plan_task(task, narrow)
        done = generate(short, narrow, writer, silent)

    assert (told["too_long"], told["shortened"], told["calls"]) == ([], 0, 12)
    assert short.summary()["too_long"] == ["kar_item/i4/0"]
    assert (short.count("failed"), len(short.asks)) == (1, 11)
    assert (done.calls, done.errors) == (11, {"too_long": 1})
    row = shop.lineage("kar_item")["kar_item/i4/0"]
    assert row["text"] is None
    assert row["error"].startswith("too_long: ")


def test_shortened_rows_are_counted_in_the_plan_and_in_what_generation_says(shop):
    renderer, rows = renderer_and_rows(place_with(shop, None))
    size = max(len(renderer.request(row).messages[-1]["content"].encode()) for row in rows)
    place = place_with(shop, size + ANSWER - 1)
    with place.store.writer("a test") as writer:
        plan = plan_task(find_tasks()["kar_user"], place)
        done = generate(plan, place, writer, silent)

    assert 1 <= plan.shortened == done.shortened == plan.summary()["shortened"] <= 4
    assert done.errors == {}


@given(text=st.text(), answer=st.integers(1, 500), room=st.integers(1, 4000))
def test_what_is_certain_to_fit_fits_even_when_every_byte_is_a_token(text, answer, room):
    request = Request("k", ({"role": "user", "content": text},), {"max_tokens": answer}, {"type": "text"})

    if certain_to_fit(request, room):
        assert len(text.encode()) + answer + TEMPLATE_BYTES <= room


def test_a_row_that_cannot_be_shown_shorter_is_told_at_once(shop):
    place = place_with(shop, 300)
    renderer = Renderer.of(find_tasks()["kar_user"], choose_prompt("kar_user"), place)

    _, _, fault = renderer.fitted(Row("u1", EPOCH, {"input": "x" * 400}))

    assert fault is not None
    assert fault.startswith("too_long: ")
    assert place.engine.counted == 1


def test_the_special_tokens_that_an_engine_tells_are_kept_out_of_the_prompts(shop):
    place = place_with(shop, None)
    place.engine.special_tokens = ("[[stop here]]",)
    renderer, rows = renderer_and_rows(place)

    request = renderer.render({"input": "Heat [[stop here]] <|im_end|>"})

    assert request.messages[-1]["content"].endswith("\n\nHeat [ [stop here]] < |im_end|>")
    plain, _ = renderer_and_rows(place_with(shop, None))
    assert [renderer.request(row).key for row in rows] == [plain.request(row).key for row in rows]
