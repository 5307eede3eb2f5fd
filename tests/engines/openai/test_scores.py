"""Scores and exact counts: with the model's own tokenizer, to the token; and an error row where it cannot be."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fault_server import serve, told
from starlette.responses import JSONResponse
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from engines.openai.engine import OpenAIEngine
from engines.protocol import EngineConfig, EngineFault
from engines.request import Adapter, Request

WORDS = ["<s>", "?", "user", "assistant", "think", "Is", "it", "good", "very", "Yes", "No"]
TEMPLATE = (
    "{% for m in messages %}<s> {{ m.role }} {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}assistant{% if thinking %} think{% endif %}{% endif %}"
)
SCHEMA = {"type": "scores", "candidates": ["Yes", "very good"]}
ASKED = Request("k", ({"role": "user", "content": "Is it good ?"},), {"temperature": 0.5}, SCHEMA)
PROMPT = [0, 2, 5, 6, 7, 1, 3]  # <s> user Is it good ? assistant


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> str:
    """A tokenizer of eleven words, one token each."""
    bare = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="?"))
    bare.pre_tokenizer = Whitespace()
    bare.add_special_tokens(["<s>"])
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=bare, unk_token="?", chat_template=TEMPLATE).save_pretrained(folder)
    return str(folder)


def engine(url: str, **options) -> OpenAIEngine:
    options = {"urls": url, "attempts": 2, "backoff": 0.01, **options}
    return OpenAIEngine(EngineConfig(name="openai", model="tiny", options=options), Path())


def by_token(call) -> JSONResponse:
    """As vLLM: nothing for the first token; then a token's log-probability is a hundredth of its number, below 0."""
    ids = call.body["prompt"]
    listed = [None, *({str(t): {"logprob": -t / 100, "rank": 1}} for t in ids[1:])]
    return JSONResponse(
        {
            "choices": [{"index": 0, "text": "x", "prompt_logprobs": listed}],
            "usage": {"prompt_tokens": len(ids), "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 3}},
        }
    )


def test_a_score_is_the_sum_of_the_log_probabilities_of_the_candidate_s_tokens_alone(tokenizer):
    with serve(by_token) as one:
        (answer,) = engine(one.url, tokenizer=tokenizer).generate([ASKED])

    assert answer.text is not None
    assert json.loads(answer.text) == pytest.approx({"Yes": -0.09, "very good": -0.08 - 0.07})
    assert (answer.error, answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (None, 8 + 9, 2, 6)
    assert [call.path for call in one.seen.calls] == ["/v1/completions"] * 2
    assert one.seen.calls[1].body == {
        "model": "tiny",
        "prompt": [*PROMPT, 8, 7],
        "max_tokens": 1,
        "temperature": 0.0,
        "prompt_logprobs": 0,
    }


def test_an_adapter_scores_under_its_own_name(tokenizer):
    asked = Request(ASKED.key, ASKED.messages, {}, SCHEMA, Adapter("films", "1", "/films"))
    with serve(by_token) as one:
        list(engine(one.url, tokenizer=tokenizer).generate([asked]))

    assert {call.body["model"] for call in one.seen.calls} == {"films"}


@pytest.mark.parametrize(
    ("behave", "error", "detail"),
    [
        (lambda call: JSONResponse({"choices": [{"text": "x"}], "usage": {}}), "unsupported", "vLLM does"),
        (lambda call: told(404, "This is a chat model"), "unsupported", "HTTP 404: This is a chat model"),
        (lambda call: told(400, "unknown field prompt_logprobs"), "bad_request", "unknown field prompt_logprobs"),
        (
            lambda call: JSONResponse({"choices": [{"prompt_logprobs": [None, {"99": {"logprob": -1}}]}]}),
            "garbage",
            "do not belong to the prompt",
        ),
    ],
)
def test_a_server_that_cannot_score_leaves_an_error_row_that_says_so(tokenizer, behave, error, detail):
    with serve(behave) as one:
        (answer,) = engine(one.url, tokenizer=tokenizer).generate([ASKED])

    assert (answer.text, answer.error) == (None, error)
    assert detail in answer.detail


def test_without_a_tokenizer_nothing_is_scored_and_the_row_says_what_is_missing():
    with serve(by_token) as one:
        (answer,) = engine(one.url).generate([ASKED])

    assert (answer.error, answer.detail) == (
        "unsupported",
        "scores need the tokens of the prompt; name engine.options.tokenizer",
    )
    assert one.seen.calls == []


def test_prompts_are_counted_exactly_with_the_chat_template_and_its_variables(tokenizer):
    plain = engine("http://127.0.0.1:1/v1", tokenizer=tokenizer)
    thinking = engine("http://127.0.0.1:1/v1", tokenizer=tokenizer, extra={"chat_template_kwargs": {"thinking": True}})

    assert plain.count_tokens(ASKED.messages) == 7
    assert plain.count_tokens([*ASKED.messages, {"role": "assistant", "content": "Yes"}]) == 7 + 3
    assert thinking.count_tokens(ASKED.messages) == 8
    assert "exactly" in plain.token_counter


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("tokenizer.json", "cannot be read"),
        ("chat_template.jinja", r"has no chat template\n  put the chat_template\.jinja"),
    ],
)
def test_a_tokenizer_that_cannot_count_is_told(tokenizer, tmp_path, broken, message):
    folder = shutil.copytree(tokenizer, tmp_path / "broken")
    (folder / broken).unlink()

    with pytest.raises(EngineFault, match=message):
        engine("http://127.0.0.1:1/v1", tokenizer=str(folder)).count_tokens(ASKED.messages)


def test_a_prompt_that_cannot_be_asked_at_all_is_told_before_any_row_is(tokenizer):
    sampled = replace(ASKED, schema={"type": "text"}, sampling={"n": 3})

    engine("http://127.0.0.1:1/v1", tokenizer=tokenizer).check(ASKED)
    with pytest.raises(EngineFault, match=r"name engine\.options\.tokenizer\n"):
        engine("http://127.0.0.1:1/v1").check(ASKED)
    with pytest.raises(EngineFault, match="sampling must not set n"):
        engine("http://127.0.0.1:1/v1").check(sampled)
