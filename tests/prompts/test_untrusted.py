"""Data stays data: 60 injections under three chat templates make no message, no role and no special token."""

import json
import re
import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import SandboxedEnvironment
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from engines.vllm.tokens import ChatTokens
from prompts.domain import load_domain
from prompts.library import choose_prompt, find_prompts
from prompts.untrusted import as_data, broken

INJECTIONS = json.loads((Path(__file__).parent / "injections.json").read_text(encoding="utf-8"))
FILMS, GENERIC = load_domain("films"), load_domain("generic")
PROMPTS = [prompt for versions in find_prompts().values() for prompt in versions.values()]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0].role == 'system' %}{% set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' %}"
    "{{ '<s>[INST] ' + (system if loop.first else '') + m.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' </s>' }}{% endif %}{% endfor %}"
)
LLAMA3 = (
    "{{ '<|begin_of_text|>' }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": (CHATML, ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>"]),
    "llama2": (LLAMA2, ["<s>", "</s>", "<unk>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"]),
    "llama3": (
        LLAMA3,
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<end_of_turn>"],
    ),
}
OWN = "[[stop here]]"
"""A special token of no known family; every tokenizer of these tests has it."""
HARMLESS = "Heat (1995)"


@pytest.fixture(scope="module", params=TEMPLATES)
def tokens(request, tmp_path_factory):
    """A model folder with a byte-level tokenizer, its special tokens as added tokens, and its chat template."""
    template, special = TEMPLATES[request.param]
    alphabet = {letter: place for place, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = Tokenizer(models.BPE(alphabet, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens([*special, OWN])
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=special[1])
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return ChatTokens(str(folder), None, {})


def marks(tokens, messages):
    """Return the special tokens that a conversation is sent with, in order."""
    special = set(tokens.tokenizer.added_tokens_decoder)
    ids = tokens.tokenizer.apply_chat_template([dict(m) for m in messages], add_generation_prompt=True)["input_ids"]
    assert ids == tokens.ids(messages)
    return [tokens.tokenizer.decode([one]) for one in ids if one in special]


def conversation(prompt, shown, special):
    """Render a prompt with one text for every variable, after a system message."""
    messages = prompt.render(dict.fromkeys(prompt.variables, shown), FILMS, special)
    return [{"role": "system", "content": "You know films."}, *messages]


def test_the_corpus_holds_sixty_kinds():
    assert len(INJECTIONS) == 60 == len(set(INJECTIONS.values()))


@pytest.mark.parametrize("known", [True, False], ids=["tokenizer", "server"])
@pytest.mark.parametrize("kind", INJECTIONS)
def test_an_injection_makes_no_message_no_role_and_no_special_token(tokens, kind, known):
    text, special = (INJECTIONS[kind] + OWN, tokens.special) if known else (INJECTIONS[kind], ())
    item = {"item": "7", "title": text, "year": 1995.0, "genres": [text]}
    shown = (FILMS.item_name(item), FILMS.item_description(item), GENERIC.item_description(item))

    for prompt, one in [*((prompt, text) for prompt in PROMPTS), *((PROMPTS[0], one) for one in shown)]:
        messages, plain = conversation(prompt, one, special), conversation(prompt, HARMLESS, special)

        assert [m["role"] for m in messages] == [m["role"] for m in plain]
        assert marks(tokens, messages) == marks(tokens, plain)  # all special tokens are the template's own


@pytest.mark.parametrize("kind", INJECTIONS)
def test_no_special_token_lies_inside_the_span_of_the_data(tokens, kind):
    prompt = choose_prompt("kar_item")
    begin, end = prompt.render({"input": "\N{OBJECT REPLACEMENT CHARACTER}"}, FILMS)[0]["content"].split(
        "\N{OBJECT REPLACEMENT CHARACTER}"
    )
    (message,) = prompt.render({"input": INJECTIONS[kind] + OWN}, FILMS, tokens.special)
    whole = tokens.text([message])
    data = message["content"].removeprefix(begin).removesuffix(end).strip()
    first = whole.index(data)
    coded = tokens.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    inside = [
        token
        for token, (start, stop) in zip(coded["input_ids"], coded["offset_mapping"], strict=True)
        if start < first + len(data) and stop > first
    ]

    assert inside
    assert not set(inside) & set(tokens.tokenizer.added_tokens_decoder)


@pytest.mark.parametrize("kind", INJECTIONS)
def test_an_injection_is_one_line_as_a_title_and_loses_what_nobody_sees(kind):
    title, text = FILMS.item_name({"title": INJECTIONS[kind]}), as_data(INJECTIONS[kind])
    field = GENERIC.item_description({"item": "7", "title": "Heat", "about": INJECTIONS[kind]})

    assert len(title.splitlines()) == 1
    hidden = [c for c in title + text + field if unicodedata.category(c) in ("Cc", "Cf") and c not in "\r\n\t"]
    assert not hidden
    assert as_data(text) == text
    assert not re.search(r"(?mi)^[ \t#]*(system|user|assistant|human|instruction)\s*(:|$)", field)


@pytest.mark.parametrize(
    "text",
    [
        "Heat (1995) [Action, Crime, Thriller]",
        "[REC] (2007): 4; I <3 NY; 2 < 3 > 1; a <- b; <i>Solaris</i>; [Mask]; x | y",
        "First paragraph.\r\n\r\nSecond:\n- a\tb\n# 1 in its class\nThe user: a tale",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with its joiner
        "\U0001f469\u200d\U0001f4bb \u2764\ufe0f 1\ufe0f\u20e3 \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "Am\u00e9lie \u2014 \u201cLe fabuleux destin\u201d \u5343\u3068\u5343\u5c0b\u306e\u795e\u96a0\u3057",
    ],
)
def test_ordinary_text_is_left_exactly_as_it_is(text):
    assert as_data(text) == text
    assert broken(text, ["<|im_end|>", "[INST]"]) == text
    (message,) = choose_prompt("kar_item").render({"input": text}, FILMS, ["<|im_end|>"])
    assert message["content"].endswith(text)


def test_the_prompts_of_the_bundled_films_are_those_of_the_plain_template():
    recorded = Path(__file__).parents[2] / "examples" / "movielens" / "recorded"
    for prompt, file in (("kar_item", "items"), ("kar_user", "users")):
        template, chosen = SandboxedEnvironment(), choose_prompt(prompt, 1)
        plain = template.from_string(chosen.parts[0][1])  # as Jinja2 alone renders it
        for shown in pl.read_parquet(recorded / f"{file}.parquet", columns=["input"])["input"].to_list():
            content = plain.render(domain=FILMS, input=shown)
            assert chosen.render({"input": shown}, FILMS, ["<|im_end|>"]) == [{"role": "user", "content": content}]


@given(st.text())
def test_data_is_made_once_and_keeps_every_letter(text):
    made = as_data(text)

    assert as_data(made) == made
    assert [c for c in made if c.isalnum()] == [c for c in re.sub("\x1b.*", "", text) if c.isalnum()] or "\x1b" in text


def test_a_token_that_the_author_wrote_is_kept_and_one_that_arises_at_the_seam_is_not():
    assert broken("<think></think> Heat", ["<think>"], "<think></think> {{ input }}") == "<think></think> Heat"
    assert broken("[INST]", [], "[{{ genre }}]") == "[ INST]"
