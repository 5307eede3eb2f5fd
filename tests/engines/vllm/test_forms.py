"""Forms of answers: objects that always parse, choices that are always one of them, scores that equal transformers'."""

import json

import pytest
import torch
from tiny_model import PLAIN

from engines.protocol import EngineFault
from llm_tasks.pipeline.parse import ParseFault, parse_answer

pytestmark = pytest.mark.filterwarnings("ignore:max_rollback_tokens")  # between vLLM and xgrammar
FACTS = {
    "type": "object",
    "fields": {
        "mood": {"type": "text", "max_length": 12},
        "year": {"type": "integer", "minimum": 1900, "maximum": 2030},
        "share": {"type": "number", "minimum": 0, "maximum": 1},
        "tags": {"type": "list", "max_items": 3, "max_length": 8},
        "kind": {"type": "choice", "choices": ["film", "series"]},
        "loved": {"type": "boolean"},
    },
}
MOODS = {"type": "choice", "choices": ["warm", "grim and slow", "Yes, very", "Yes"]}


def test_two_hundred_objects_of_a_random_model_at_temperature_1_all_have_their_form(
    tiny, make_engine, request_of, answers_of
):
    engine = make_engine(tiny, in_flight=100)
    sampling = {"temperature": 1.0, "max_tokens": 400}
    requests = [request_of(engine, f"facts of thing {n}", FACTS, sampling) for n in range(200)]

    answers = answers_of(engine, requests)

    parsed = [parse_answer(answer.text, FACTS) for answer in answers]
    assert len({str(found) for found in parsed}) == 200
    assert all(1900 <= found["year"] <= 2030 and 0 <= found["share"] <= 1 for found in parsed)
    assert all(answer.detail == "" for answer in answers)
    compact = json.dumps(json.loads(answers[0].text, strict=False), separators=(",", ":"), ensure_ascii=False)
    assert len(answers[0].text) <= len(compact) + 12  # no white space between the parts; control characters may differ


def test_an_object_that_was_cut_off_says_so_and_does_not_parse(tiny, make_engine, request_of, answers_of):
    engine = make_engine(tiny)
    (answer,) = answers_of(engine, [request_of(engine, "facts", FACTS, {"temperature": 0.0, "max_tokens": 6})])

    assert answer.text.startswith('{"')
    assert answer.detail == "cut off at max_tokens"
    with pytest.raises(ParseFault):
        parse_answer(answer.text, FACTS)


def test_a_choice_is_always_one_of_the_words_and_needs_no_length(tiny, make_engine, request_of, answers_of):
    engine = make_engine(tiny)
    requests = [request_of(engine, f"mood of thing {n}", MOODS, {"temperature": 1.0}) for n in range(60)]

    answers = answers_of(engine, requests)

    assert {answer.text for answer in answers} <= set(MOODS["choices"])
    assert len({answer.text for answer in answers}) > 1
    assert all(answer.detail == "" for answer in answers)


def reference(folder, tokens, messages, candidates):
    """The same by transformers: the sum of log-softmax over a candidate's tokens behind the prompt's."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder).eval()
    prompt, found = tokens.ids(messages), {}
    for candidate in candidates:
        ids = tokens.text_ids(candidate)
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + ids])).logits[0].float().log_softmax(-1)
        found[candidate] = sum(float(logits[len(prompt) - 1 + place, token]) for place, token in enumerate(ids))
    return found


@pytest.mark.parametrize(
    ("candidates", "in_one_step"),
    [(["a", "b", "?"], True), (["warm and slow", "grim", "a", "Amélie \n"], False)],
)
def test_scores_are_the_log_probabilities_that_transformers_finds(
    candidates, in_one_step, tiny, make_engine, request_of, answers_of
):
    engine = make_engine(tiny)
    schema = {"type": "scores", "candidates": candidates}
    requests = [request_of(engine, f"mood of thing {n}?", schema, {}) for n in range(20)]
    tokens = engine._tokens
    assert all(len(tokens.text_ids(c)) == 1 for c in candidates) == in_one_step

    answers = answers_of(engine, requests)

    for request, answer in zip(requests, answers, strict=True):
        found = parse_answer(answer.text, schema)
        wanted = reference(tiny, tokens, request.messages, candidates)
        assert found == pytest.approx(wanted, abs=1e-4)
        assert answer.text == json.dumps(found, separators=(",", ":"), ensure_ascii=False)
        prompt, extra = len(tokens.ids(request.messages)), [len(tokens.text_ids(c)) for c in candidates]
        assert answer.input_tokens == (prompt if in_one_step else prompt * len(candidates) + sum(extra))


def test_a_candidate_too_long_for_the_context_is_an_error_row(tiny, make_engine, request_of, answers_of):
    engine = make_engine(tiny, max_model_len=64)
    schema = {"type": "scores", "candidates": ["no", "much too long " * 20]}

    (answer,) = answers_of(engine, [request_of(engine, "?", schema, {})])

    assert answer.error == "too_long"


@pytest.mark.parametrize(
    ("sampling", "schema", "told"),
    [
        ({"max_tokens": 9, "best_of": 3}, {"type": "text"}, "sampling.best_of: Extra inputs"),
        ({"max_tokens": 9, "n": 1}, {"type": "text"}, "sampling.n: Extra inputs"),
        ({"max_tokens": 0, "top_p": 2}, {"type": "text"}, r"sampling.max_tokens: .*; sampling.top_p: "),
        ({"temperature": 0.0}, {"type": "text"}, "sampling.max_tokens is missing"),
    ],
)
def test_sampling_that_the_engine_does_not_know_is_told_before_anything_is_asked(
    sampling, schema, told, tiny, make_engine, request_of
):
    engine = make_engine(tiny)

    with pytest.raises(EngineFault, match=told):
        engine.check(request_of(engine, "hello", schema, sampling))


def test_a_prompt_that_the_engine_cannot_ask_is_named_in_the_plan(vllm_shop, monkeypatch):
    from dataclasses import replace

    from base.faults import WrongUse
    from prompts.library import choose_prompt

    prompt = choose_prompt("kar_item")
    broken = replace(prompt, front=prompt.front.model_copy(update={"sampling": {"max_tokens": 9, "best_of": 3}}))
    monkeypatch.setattr("llm_tasks.pipeline.plan.live_prompt", lambda *_: broken)

    with pytest.raises(
        WrongUse, match=r"kar_item\.v\d\.md: sampling\.best_of: Extra inputs .*\n  the vllm engine takes"
    ):
        vllm_shop().plan("kar_item")


def test_a_template_that_does_not_take_a_prompt_s_roles_is_told_before_anything_is_asked(
    make_checkpoint, make_engine, request_of
):
    template = (
        "{% if messages[-1]['role'] != 'user' %}{{ raise_exception('must end with the user') }}{% endif %}" + PLAIN
    )
    engine = make_engine(make_checkpoint("strict", template=template))

    with pytest.raises(
        EngineFault, match="chat template of strict does not accept its messages: must end with the user"
    ):
        engine.check(request_of(engine, [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]))
