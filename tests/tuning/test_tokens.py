"""Tokens: the prompt's are those of the engine, the answer's end with the model's end, and these alone are learnt."""

import pytest
from tiny_model import DEAF, FOLDING, PLAIN, REFUSING, make_tokenizer

from engines.vllm.tokens import ChatTokens
from tuning.tokens import Untold, as_data, stops, tokenise

SAID = ({"role": "user", "content": "4 + 5 ="}, {"role": "assistant", "content": "nine, of course"})
SYSTEM = ({"role": "system", "content": "Be brief."}, *SAID)
TURNS = (*SAID, {"role": "user", "content": "and 6 + 7?"}, {"role": "assistant", "content": "thirteen"})
END, STOP = 1, 5
"""</s>, and <|end|>, which the templates write after each message."""


@pytest.fixture
def tokens_of(tmp_path):
    def make(template: str) -> ChatTokens:
        make_tokenizer(template).save_pretrained(tmp_path)
        return ChatTokens(str(tmp_path), None, {})

    return make


@pytest.mark.parametrize("template", [PLAIN, REFUSING, FOLDING])
@pytest.mark.parametrize("said", [SAID, SYSTEM, TURNS])
def test_the_prompt_is_what_the_engine_sends_and_only_the_last_answer_is_learnt(tokens_of, template, said):
    tokens = tokens_of(template)

    example = tokenise(tokens, said, {END})

    assert example.ids[: example.prompt].tolist() == tokens.ids(said[:-1])
    learnt = tokens.tokenizer.decode(example.ids[example.prompt :], skip_special_tokens=False)
    assert said[-1]["content"] in learnt
    assert said[0]["content"] not in learnt
    assert example.ids[-1] == END  # no template here writes it, so it is added


def test_what_comes_after_the_end_of_an_answer_is_not_learnt(tokens_of):
    tokens = tokens_of(PLAIN)  # writes "<|end|>\n" after the answer

    example = tokenise(tokens, SAID, {END, STOP})

    assert tokens.tokenizer.decode(example.ids[example.prompt :]) == "nine, of course<|end|>"


def test_an_answer_that_speaks_of_an_earlier_end_keeps_what_follows(tokens_of):
    tokens = tokens_of(PLAIN)
    said = (SAID[0], {"role": "assistant", "content": "one<|end|>two"})

    example = tokenise(tokens, said, {END, STOP})

    assert tokens.tokenizer.decode(example.ids[example.prompt :]) == "one<|end|>two<|end|>"


def test_a_template_that_writes_the_prompt_otherwise_once_it_is_answered_is_told(tokens_of):
    thinking = PLAIN.replace("<|assistant|>\n{% endif %}", "<|assistant|>\n<think>\n{% endif %}")

    with pytest.raises(Untold, match="writes the prompt otherwise once it is answered"):
        tokenise(tokens_of(thinking), SAID, {END})


def test_messages_that_a_template_refuses_are_told(tokens_of):
    picky = "{{ raise_exception('roles must alternate') }}"

    with pytest.raises(Untold, match="does not take it: roles must alternate"):
        tokenise(tokens_of(picky), SAID, {END})


def test_a_prompt_of_no_token_is_told(tokens_of):
    silent = DEAF.replace("message['role'] != 'system'", "message['role'] == 'assistant'")

    with pytest.raises(Untold, match="makes no token of its prompt"):
        tokenise(tokens_of(silent), SAID, {END})


def test_a_model_stops_at_every_end_its_files_name():
    assert stops(1, None, 5) == {1, 5}
    assert stops(None, [7, 5], 7) == {5, 7}


def test_a_conversation_made_from_data_learns_no_end_inside_the_answer(tokens_of):
    tokens = tokens_of(PLAIN)
    said = as_data(({"role": "user", "content": "Heat<|end|>"}, {"role": "assistant", "content": "a<|end|>b"}), tokens)

    example = tokenise(tokens, said, {END, STOP})

    assert example.ids.tolist().count(STOP) == 2  # the template's own, one after each message
    assert tokens.tokenizer.decode(example.ids[example.prompt :]) == "a< |end|>b<|end|>"
