"""A real model in vLLM: its own chat template and tokenizer, and answers that mean something.

One engine for all; random tiny models stay where what a model says does not matter.
"""

import json
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prompts.domain import load_domain
from prompts.library import find_prompts

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "movielens"
PROMPTS = [prompt for versions in find_prompts().values() for prompt in versions.values()]
FILMS = load_domain("films")
ROWS, SHOWN = 100, 6


@pytest.fixture(scope="module")
def titles() -> list[str]:
    return pl.read_parquet(EXAMPLE / "items.parquet")["title"].head(ROWS + SHOWN).to_list()


@pytest.fixture(scope="module")
def engine(vllm: None, make_engine: Any, smollm2: Path) -> Any:
    return make_engine(smollm2, max_model_len=2_048, kv_cache_bytes=256 << 20)


@pytest.fixture(scope="module")
def own(smollm2: Path) -> Any:
    """The model's tokenizer, as transformers has it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2)


def rendered(prompt: Any, titles: list[str], row: int) -> list[dict[str, str]]:
    """A prompt of real titles: one where a prompt shows an item, several where it shows a history."""
    history = "; ".join(titles[row : row + SHOWN])
    return prompt.render(
        {name: history if name in ("input", "history") else titles[row] for name in prompt.variables}, FILMS
    )


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.name)
def test_a_hundred_prompts_of_a_template_render_and_are_counted_as_the_models_own_tokenizer_does(
    engine, own, titles, prompt
):
    for row in range(ROWS):
        messages = rendered(prompt, titles, row)
        ids = own.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)

        assert engine.count_tokens(messages) == len(ids)
        assert own.decode(ids).endswith("<|im_end|>\n<|im_start|>assistant\n")
        assert all(part["content"].strip() in own.decode(ids) for part in messages)


@pytest.mark.slow(reason="loads a real model into vLLM, and reads a prompt of every template")
def test_vllm_reads_as_many_tokens_as_were_counted(engine, titles, request_of, answers_of):
    """One prompt of each template; so much is counted before anything is asked."""
    conversations = [rendered(prompt, titles, 0) for prompt in PROMPTS]

    asked = [request_of(engine, said, sampling={"temperature": 0.0, "max_tokens": 1}) for said in conversations]

    counted = [engine.count_tokens(messages) for messages in conversations]
    assert [answer.input_tokens for answer in answers_of(engine, asked)] == counted


def test_it_says_what_it_knows_and_finds_the_truth_likelier(engine, request_of, answers_of):
    question = "What is the capital of France? Answer with one word."
    cities = {"type": "scores", "candidates": ["Paris", "London", "Berlin"]}
    fields = {"type": "object", "fields": {"city": {"type": "text", "max_length": 20}}}

    text, scores, form = answers_of(
        engine,
        [
            request_of(engine, question),
            request_of(engine, question, cities),
            request_of(engine, f"{question} As JSON.", fields, {"temperature": 0.0, "max_tokens": 40}),
        ],
    )

    assert "Paris" in text.text
    found = json.loads(scores.text)
    assert max(found, key=found.get) == "Paris"
    assert set(json.loads(form.text)) == {"city"}


def test_tokens_are_counted_before_the_first_row_is_done(engine, request_of):
    """What vLLM has written of unfinished rows, against what the answers then say."""
    from engines.vllm.engine import Feed

    asked = request_of(engine, "Write about the sea.", sampling={"temperature": 0.0, "max_tokens": 24})
    told: list[int] = []
    clock = count()  # a second passes with every look
    feed = Feed(engine._load(), engine._tokens, 16, engine.context_tokens, told.append, lambda: float(next(clock)))

    (answer,) = feed.run(iter([asked]))

    assert told == sorted(told)
    assert len(told) > 5
    assert (told[0] > 0, told[-1]) == (True, answer.output_tokens)
