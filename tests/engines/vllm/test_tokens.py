"""Counting before asking: what is planned is what vLLM reports, whatever the chat template makes of a conversation."""

import pytest
from tiny_model import DEAF, FOLDING, PLAIN, REFUSING

from engines.protocol import EngineFault
from engines.vllm.tokens import ChatTokens

TEMPLATES = {"plain": PLAIN, "refusing": REFUSING, "folding": FOLDING}
USER = {"role": "user", "content": "  What is Amélie (2001) about? \n"}
SYSTEM = {"role": "system", "content": "You are terse."}
ANSWER, AGAIN = {"role": "assistant", "content": "A warm film."}, {"role": "user", "content": "Why?"}
CONVERSATIONS = {
    "one message": [USER],
    "with a system message": [SYSTEM, USER],
    "with earlier turns": [SYSTEM, USER, ANSWER, AGAIN],
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_tokens_counted_are_those_that_vllm_reports_and_llm_chat_would_make(
    template, make_checkpoint, make_engine, request_of, answers_of
):
    engine = make_engine(make_checkpoint(template, template=TEMPLATES[template]))
    requests = [request_of(engine, said) for said in CONVERSATIONS.values()]
    counted = [engine.count_tokens(request.messages) for request in requests]

    answers = answers_of(engine, requests)

    assert [answer.input_tokens for answer in answers] == counted
    assert len(set(counted)) == len(counted)
    llm = engine._load().llm
    accepted = [said for said in CONVERSATIONS.values() if template != "refusing" or SYSTEM not in said]
    bare = llm.chat(accepted, use_tqdm=False)
    by_said = dict(zip(map(str, CONVERSATIONS.values()), counted, strict=True))
    assert [len(output.prompt_token_ids) for output in bare] == [by_said[str(said)] for said in accepted]


@pytest.mark.parametrize("template", [REFUSING, DEAF])
def test_a_system_message_that_a_template_does_not_take_stands_before_the_user_s_and_that_is_said(
    template, make_checkpoint, caplog
):
    folder = make_checkpoint("refusing" if template == REFUSING else "deaf", template=template)
    tokens = ChatTokens(str(folder), None, {})

    said = tokens.text([SYSTEM, USER])

    assert said == tokens.text([{"role": "user", "content": f"You are terse.\n\n{USER['content'].rstrip()}"}])
    assert "does not support system messages: its text is put before the user's" in caplog.text


def test_a_template_that_shows_system_messages_gets_them(make_checkpoint):
    for name in ("plain", "folding"):
        tokens = ChatTokens(str(make_checkpoint(name, template=TEMPLATES[name])), None, {})
        assert "You are terse." in tokens.text([SYSTEM, USER])
        assert tokens.takes_system


def test_the_ids_are_those_of_the_tokenizer_s_own_way(make_checkpoint):
    for name, template in TEMPLATES.items():
        tokens = ChatTokens(str(make_checkpoint(name, template=template)), None, {})
        wanted = tokens.tokenizer.apply_chat_template(
            [USER, ANSWER, AGAIN], tokenize=True, add_generation_prompt=True, return_dict=False
        )
        assert tokens.ids([USER, ANSWER, AGAIN]) == wanted


def test_variables_of_the_template_reach_it_and_are_part_of_the_model_s_identity(make_checkpoint, make_engine):
    template = PLAIN + "{% if terse %}tersely{% endif %}"
    folder = make_checkpoint("variables", template=template)
    plain, terse = make_engine(folder), make_engine(folder, template={"terse": True})

    assert terse.count_tokens([USER]) > plain.count_tokens([USER])
    assert terse.identity.revision.startswith(plain.identity.revision + "+")
    assert make_engine(folder, template={"terse": False}).identity.revision != terse.identity.revision


def test_the_context_is_what_the_options_say_else_what_the_model_reads(tiny, make_engine):
    assert make_engine(tiny, max_model_len=512).context_tokens == 512
    assert make_engine(tiny, max_model_len=None).context_tokens == 1_024
    with pytest.raises(EngineFault, match=r"max_model_len is 4,096, but tiny reads at most 1,024 tokens"):
        _ = make_engine(tiny, max_model_len=4_096).context_tokens


def test_a_row_whose_prompt_and_answer_fit_to_the_last_token_is_asked_and_one_token_more_is_not(
    tiny, make_engine, request_of, answers_of
):
    engine = make_engine(tiny, max_model_len=64)
    words = next(n for n in range(1, 64) if engine.count_tokens([{"role": "user", "content": "a" + " b" * n}]) == 63)
    fits, too_long = (request_of(engine, "a" + " b" * n) for n in (words, words + 1))

    answers = answers_of(engine, [fits, too_long])

    assert [(a.error, a.input_tokens, a.output_tokens) for a in answers] == [(None, 63, 1), ("too_long", 64, 0)]
