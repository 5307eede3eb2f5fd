"""What a server is sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.openai.messages import chat_body, constraint, unwrapped
from engines.openai.options import OpenAIOptions
from engines.protocol import EngineFault
from engines.request import Adapter, Request
from engines.vllm.sampling import with_real_characters

MESSAGES = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"})
KEY = "0000000003e8" + "f" * 52  # 1000, and what does not count
YES_NO = {"type": "choice", "choices": ["Yes", "No"]}
MOOD = {"type": "object", "fields": {"mood": {"type": "text"}, "acclaim": {"type": "number", "minimum": 1}}}


def options(**given) -> OpenAIOptions:
    return OpenAIOptions.model_validate({"urls": "http://127.0.0.1:1/v1", **given})


def request(schema=None, adapter=None, **sampling) -> Request:
    return Request(KEY, MESSAGES, sampling, schema or {"type": "text"}, adapter)


def test_a_text_is_asked_for_with_messages_and_sampling_and_nothing_else():
    body = chat_body(request(temperature=0.0, max_tokens=9, seed=3, stop=["\n"], top_k=5), "tiny", options())

    assert body == {
        "model": "tiny",
        "messages": list(MESSAGES),
        "temperature": 0.0,
        "max_tokens": 9,
        "seed": 3,
        "stop": ["\n"],
        "top_k": 5,
    }


def test_without_a_temperature_the_likeliest_tokens_are_taken_as_in_process():
    assert chat_body(request(max_tokens=9), "tiny", options())["temperature"] == 0.0


@pytest.mark.parametrize(
    ("sampling", "given", "seed"),
    [
        ({"temperature": 0.7}, {}, 1000),
        ({"temperature": 0.7, "seed": 3}, {}, 3),
        ({"temperature": 0.7}, {"seed_rows": False}, None),
        ({"temperature": 0.0}, {}, None),
        ({}, {}, None),
    ],
)
def test_rows_whose_tokens_are_drawn_have_a_seed_of_their_own_unless_the_prompt_names_one(sampling, given, seed):
    assert chat_body(request(**sampling), "tiny", options(**given)).get("seed") == seed


def test_an_adapter_is_asked_for_by_its_name_in_place_of_the_model_s():
    body = chat_body(request(adapter=Adapter("films-lora", "3", "/adapters/films")), "tiny", options())

    assert body["model"] == "films-lora"


def test_hosted_services_that_call_the_limit_differently_are_told_so():
    body = chat_body(request(max_tokens=9), "tiny", options(output_limit="max_completion_tokens"))

    assert (body["max_completion_tokens"], "max_tokens" in body) == (9, False)


def test_further_fields_are_sent_but_the_prompt_s_own_sampling_is_stronger():
    body = chat_body(request(temperature=0.0), "tiny", options(extra={"user": "me", "temperature": 1.0}))

    assert (body["user"], body["temperature"]) == ("me", 0.0)


@pytest.mark.parametrize("wrong", ["n", "stream", "model", "messages"])
def test_a_prompt_whose_sampling_would_change_the_call_itself_is_refused(wrong):
    with pytest.raises(EngineFault, match=f"sampling must not set {wrong}\n  remove it from the prompt file"):
        chat_body(request(**{wrong: 2}), "tiny", options())


def test_an_object_is_asked_for_by_its_schema_closed_and_with_every_field_required():
    sent = constraint(MOOD, "json_schema")["response_format"]

    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["strict"] is True
    schema = sent["json_schema"]["schema"]
    assert (schema["additionalProperties"], schema["required"]) == (False, ["mood", "acclaim"])
    assert (schema["properties"]["mood"]["type"], schema["properties"]["acclaim"]["minimum"]) == ("string", 1)
    assert constraint(MOOD, "vllm") == {"structured_outputs": {"json": with_real_characters(schema)}}
    assert constraint(MOOD, "none") == {}


def test_a_choice_is_asked_for_as_an_object_of_one_field_or_as_vllm_knows_it():
    schema = constraint(YES_NO, "json_schema")["response_format"]["json_schema"]["schema"]

    assert schema["properties"]["answer"] == {"type": "string", "enum": ["Yes", "No"]}
    assert (schema["required"], schema["additionalProperties"]) == (["answer"], False)
    assert constraint(YES_NO, "vllm") == {"structured_outputs": {"choice": ["Yes", "No"]}}


@given(
    choice=st.text(),
    schema=st.sampled_from([YES_NO, MOOD, {"type": "text"}]),
    how=st.sampled_from(["json_schema", "vllm", "none"]),
)
def test_only_a_choice_that_was_wrapped_is_unwrapped_and_any_other_text_stays_as_it_came(choice, schema, how):
    wrapped = json.dumps({"answer": choice})

    assert unwrapped(wrapped, schema, how) == (choice if schema is YES_NO and how == "json_schema" else wrapped)


@given(st.text() | st.sampled_from(["Yes", '"Yes"', '{"answer": 3}', '{"answer": "Yes", "why": "so"}', "[1]", "null"]))
def test_what_a_server_says_that_did_not_keep_to_the_form_stays_as_it_came(text):
    assert unwrapped(text, YES_NO, "json_schema") == text
