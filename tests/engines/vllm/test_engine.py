"""The vLLM engine in process: what a whole generation gives is what `LLM.chat` gives, and nothing harms its neighbour."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from base.progress import silent
from engines.protocol import EngineFault
from feature_store.answers import read_answers
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.parse import parse_answer
from llm_tasks.pipeline.plan import task_rows
from llm_tasks.pipeline.task import EPOCH, Row, Task, answer_text
from prompts.library import choose_prompt

ROOT = Path(__file__).resolve().parents[3]


def engine_of(engine):
    """What vLLM itself holds."""
    return engine._load().llm.llm_engine


def test_planned_asked_parsed_and_committed_rows_are_what_llm_chat_gives_row_by_row(vllm_shop):
    from vllm import SamplingParams

    shop = vllm_shop(items=20)
    planned = shop.plan("kar_item")

    done = shop.ask("kar_item")

    place, task, prompt = shop.place(), find_tasks()["kar_item"], choose_prompt("kar_item")
    requests = [request for _, request, _, _ in task_rows(task, prompt, place)]
    llm = place.engine._load().llm
    params = SamplingParams(temperature=0, max_tokens=prompt.front.sampling["max_tokens"])
    bare = llm.chat([list(request.messages) for request in requests], params, use_tqdm=False)
    stored = {row["key"]: row for row in read_answers(place.store, planned.asks).iter_rows(named=True)}
    lineage = {row["answer_key"]: row for row in shop.lineage("kar_item").values()}
    assert len(stored) == len(lineage) == done.answered == 20
    for request, output in zip(requests, bare, strict=True):
        row = stored[request.key]
        assert row["text"] == output.outputs[0].text
        assert row["input_tokens"] == len(output.prompt_token_ids) == planned.asks[request.key]
        assert row["output_tokens"] == len(output.outputs[0].token_ids)
        assert row["detail"] == ("cut off at max_tokens" if output.outputs[0].finish_reason == "length" else "")
        assert lineage[request.key]["text"] == parse_answer(row["text"], {"type": "text"})
    assert len({row["text"] for row in stored.values()}) > 15  # the model tells the rows apart
    assert done.input_tokens == sum(planned.asks.values())


def test_an_over_long_an_empty_and_two_broken_rows_are_error_rows_and_the_others_are_as_without_them(
    make_checkpoint, make_engine, request_of, answers_of
):
    from tiny_model import DEAF

    engine = make_engine(make_checkpoint("deaf", template=DEAF), max_model_len=128)
    good = [request_of(engine, f"what of thing {number}?") for number in range(20)]
    impossible = {"type": "object", "fields": {"n": {"type": "integer", "minimum": 1.2, "maximum": 1.5}}}
    bad = [
        request_of(engine, "far too long " * 200),
        request_of(engine, ""),
        request_of(engine, "half \ud800"),
        request_of(engine, "x", schema=impossible),
    ]

    alone = answers_of(engine, good)
    mixed = answers_of(engine, [*good[:7], bad[0], bad[1], *good[7:9], bad[2], bad[3], *good[9:]])

    assert [(a.text, a.error, a.output_tokens) for a in mixed if a.error is None] == [
        (a.text, None, a.output_tokens) for a in alone
    ]
    assert [(a.error, a.text) for a in mixed if a.error] == [
        ("too_long", None), ("empty_prompt", None), ("not_utf8", None), ("bad_schema", None),
    ]  # fmt: skip
    long = next(a for a in mixed if a.error == "too_long")
    assert long.input_tokens == engine.count_tokens(bad[0].messages)
    assert long.detail == f"{long.input_tokens + 1:,} tokens do not fit the model's 128"


def test_a_refresh_with_bad_rows_ends_with_error_rows(vllm_shop):
    def rows(inputs):
        yield Row("good", EPOCH, {"input": "whole"})
        yield Row("long", EPOCH, {"input": "word " * 2_000})
        yield Row("bad", EPOCH, {"input": "half \ud83d"})
        yield Row("other", EPOCH, {"input": "whole too"})

    from llm_tasks.pipeline.generate import generate
    from llm_tasks.pipeline.plan import plan_task

    shop = vllm_shop(items=4)
    place = shop.place()
    with place.store.writer("a test") as writer:
        plan = plan_task(Task("kar_item", "item", "kar_item", answer_text, rows, "kar_item"), place)
        done = generate(plan, place, writer, silent)

    errors = {row["entity"]: (row["error"] or "").split(":")[0] for row in shop.lineage("kar_item").values()}
    assert errors == {"good": "", "long": "too_long", "bad": "not_utf8", "other": ""}
    assert (done.calls, done.errors) == (2, {"too_long": 1, "not_utf8": 1})


def test_rows_that_are_sampled_are_the_same_whatever_they_are_batched_with(tiny, make_engine, request_of, answers_of):
    engine = make_engine(tiny)
    sampling = {"temperature": 1.0, "top_p": 0.9, "top_k": 50, "max_tokens": 12}
    requests = [request_of(engine, f"thing {number}", sampling=sampling) for number in range(24)]

    once = answers_of(engine, requests)
    again = answers_of(engine, requests[::-1])[::-1]
    alone = [answers_of(engine, [request])[0] for request in requests[:3]]
    greedy = answers_of(engine, [request_of(engine, f"thing {number}") for number in range(24)])

    assert [a.text for a in once] == [a.text for a in again]
    assert [a.text for a in once[:3]] == [a.text for a in alone]
    assert [a.text for a in once] != [a.text for a in greedy]
    assert len({a.text for a in once}) == 24


def test_one_seed_for_all_rows_is_kept_to_and_another_gives_another_answer(tiny, make_engine, request_of, answers_of):
    engine = make_engine(tiny)

    def text(seed):
        request = request_of(engine, "thing", sampling={"temperature": 1.0, "max_tokens": 12, "seed": seed})
        return answers_of(engine, [request])[0].text

    assert text(7) == text(7) != text(8)


def test_an_answer_ends_at_a_stop_text_without_it(tiny, make_engine, request_of, answers_of):
    engine = make_engine(tiny)
    whole = answers_of(engine, [request_of(engine, "go on")])[0].text
    stop = whole[5:8]

    cut = answers_of(
        engine, [request_of(engine, "go on", sampling={"temperature": 0.0, "max_tokens": 12, "stop": stop})]
    )[0]

    assert cut.text == whole[: whole.index(stop)]
    assert cut.detail == ""


def test_rows_are_taken_only_as_they_fit_in_flight_and_finished_ones_come_while_others_run(
    tiny, make_engine, request_of
):
    engine = make_engine(tiny, in_flight=4, max_num_seqs=16)
    taken, given, ahead = 0, 0, []

    def requests():
        nonlocal taken
        for number in range(30):
            taken += 1
            ahead.append(taken - given)
            yield request_of(engine, f"thing {number}", sampling={"temperature": 0.0, "max_tokens": 1 + number % 5})

    first_given_after = None
    for _ in engine.generate(requests()):
        given += 1
        first_given_after = first_given_after or taken
    assert given == taken == 30
    assert max(ahead) == 4
    assert first_given_after == 4


def test_a_run_that_is_closed_early_leaves_nothing_in_flight(tiny, make_engine, request_of, answers_of):
    engine = make_engine(tiny)
    requests = [request_of(engine, f"thing {number}") for number in range(40)]
    wanted = answers_of(engine, requests)

    run = engine.generate(requests)
    first = next(run)
    run.close()

    assert not engine_of(engine).has_unfinished_requests()
    assert first in wanted
    assert answers_of(engine, requests) == wanted


def test_a_fault_inside_vllm_is_told_leaves_nothing_in_flight_and_the_next_run_is_whole(
    tiny, make_engine, request_of, answers_of
):
    engine = make_engine(tiny)
    requests = [request_of(engine, f"thing {number}") for number in range(20)]
    wanted, steps = answers_of(engine, requests), iter(range(1_000))

    def run_out_of_memory(*_):
        if next(steps) == 15:  # in the midst of the second batch, when the first 16 rows have been answered
            raise RuntimeError("out of memory")

    (hook,) = engine._load().llm.apply_model(lambda model: model.register_forward_pre_hook(run_out_of_memory))
    given = []
    try:
        with pytest.raises(EngineFault, match=r"vLLM failed with 4 rows in flight: RuntimeError: out of memory\n .*"):
            given.extend(engine.generate(requests))
        assert not engine_of(engine).has_unfinished_requests()
    finally:
        hook.remove()
    assert answers_of(engine, requests) == wanted


def test_a_second_run_beside_one_that_goes_on_is_refused(tiny, make_engine, request_of):
    engine = make_engine(tiny)
    first = engine.generate([request_of(engine, "one"), request_of(engine, "two")])
    next(first)

    with pytest.raises(EngineFault, match="answering another run in this process"):
        next(engine.generate([request_of(engine, "three")]))
    assert len(list(first)) == 1


def test_prompts_that_begin_alike_are_found_in_the_prefix_cache_and_that_is_reported(vllm_shop):
    shop = vllm_shop()
    shop.write_items(
        {f"i{number}": "A thing of the same long make, " * 20 + f"number {number}" for number in range(20)}
    )

    done = shop.ask("kar_item")

    stored = read_answers(shop.place().store, {row["answer_key"] for row in shop.lineage("kar_item").values()})
    # every prompt begins with more than a block of 128 tokens that all have; 16 may begin at once, before it is known
    assert done.calls == len(stored) == 20
    assert done.cached_tokens == stored["cached_tokens"].sum() >= (20 - 16) * 128
    assert (stored["cached_tokens"] % 128 == 0).all()
    assert (stored["cached_tokens"] < stored["input_tokens"]).all()


def test_a_model_is_loaded_once_however_often_it_is_opened_and_anew_when_its_files_change(
    make_checkpoint, make_engine, request_of, answers_of
):
    from tiny_model import make_model

    folder = make_checkpoint("changing", seed=3)
    one, two = make_engine(folder), make_engine(folder)
    before = answers_of(one, [request_of(one, "hello")])[0]
    assert one._load() is two._load()

    make_model(folder, seed=4)
    changed = make_engine(folder)
    after = answers_of(changed, [request_of(changed, "hello")])[0]

    assert changed.identity.revision != one.identity.revision
    assert changed.identity.model == one.identity.model == "changing"
    assert after.text != before.text


LOADING = """
import json, random, sys
from pathlib import Path
import numpy as np
import torch
from engines.protocol import EngineConfig
from engines.vllm.engine import VllmEngine
from engines.vllm.options import VllmOptions, find_model

def state():
    return random.random(), float(np.random.rand()), float(torch.rand(1)), torch.get_num_threads()

def seed():
    random.seed(1), np.random.seed(2), torch.manual_seed(3)

folder = Path(sys.argv[1])
model = find_model(EngineConfig(name="vllm", model=folder.name), folder.parent)
engine = VllmEngine(model, VllmOptions.model_validate(json.loads(sys.argv[2])))
engine.context_tokens  # reads the model's config, for which transformers imports what draws a random number
seed()
wanted, hook, set_threads = state(), sys.excepthook, torch.set_num_threads
seed()
engine._load()
print([state() == wanted, sys.excepthook is hook, torch.set_num_threads is set_threads])
"""


def test_loading_leaves_random_numbers_threads_and_tracebacks_as_they_were(make_checkpoint, options):
    # In a process of its own: here a thread of some other test may draw from the same random numbers meanwhile.
    arguments = [sys.executable, "-c", LOADING, str(make_checkpoint("quiet", seed=5)), json.dumps(options)]

    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    assert done.stdout == "[True, True, True]\n", done.stderr
