"""What a server is sent, and what its reply means: errors of a row, attempts to repeat, servers of no use."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.openai.messages import (
    SHOWN,
    Again,
    Barred,
    Reply,
    chat_body,
    constraint,
    read_reply,
    retry_after,
    unwrapped,
)
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


REQUEST = Request("k", ({"role": "user", "content": "eight by"},), {}, {"type": "text"})
NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


def reply(status: int, body: object = None, **headers: str) -> Reply:
    return Reply(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def refusal(status: int, message: str, code: str | None = None) -> Reply:
    return reply(status, {"error": {"message": message, "code": code}})


def good(message: dict, reason: str = "stop", usage: object = None) -> Reply:
    return reply(200, {"choices": [{"message": message, "finish_reason": reason}], "usage": usage})


USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}


def test_a_good_reply_is_the_raw_text_with_the_tokens_the_server_counted():
    answer = read_reply(good({"content": " Hé \n"}, usage=USAGE), REQUEST)

    assert (answer.key, answer.text, answer.error, answer.detail) == ("k", " Hé \n", None, "")
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (9, 4, 8)


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": "many"}, {"prompt_tokens": -1}, {"prompt_tokens": True}])
def test_a_server_that_does_not_count_tokens_gets_an_estimate_and_it_is_said(usage):
    answer = read_reply(good({"content": "four"}, usage=usage), REQUEST)

    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (2, 1, 0)  # 8 and 4 bytes, a quarter
    assert ("estimate" in answer.detail) == (not isinstance(usage, dict))


def test_cached_tokens_are_never_more_than_those_of_the_prompt():
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 7}}

    assert read_reply(good({"content": "a"}, usage=usage), REQUEST).cached_tokens == 5


@pytest.mark.parametrize(
    ("answered", "error", "detail"),
    [
        (good({"content": None, "refusal": "I will not."}, usage=USAGE), "refused", "I will not."),
        (good({"content": "half"}, "content_filter", USAGE), "refused", "content filter cut the answer off"),
        (good({"content": None, "reasoning": "hm"}, "length", USAGE), "no_text", "ended with: length"),
        (refusal(400, "This model's maximum context length is 4096 tokens. However, your prompt contains 5000"), "too_long", "4096"),
        (refusal(400, "Input length (99) exceeds model's maximum context length (64)."), "too_long", "HTTP 400"),
        (refusal(400, "Please shorten.", "context_length_exceeded"), "too_long", "context_length_exceeded"),
        (refusal(400, "the request exceeds the available context size, try increasing it"), "too_long", "context size"),
        (reply(413, b"Request Entity Too Large"), "too_long", "HTTP 413"),
        (refusal(400, "The response was filtered", "content_filter"), "refused", "content_filter"),
        (refusal(400, "blocked by the content management policy"), "refused", "policy"),
        (refusal(403, "your input was flagged by moderation"), "refused", "flagged"),
        (refusal(400, "Unsupported parameter: 'top_k'"), "bad_request", "HTTP 400: Unsupported parameter: 'top_k'"),
        (reply(422, {"detail": [{"loc": ["body", "seed"]}]}), "bad_request", '"seed"'),
        (reply(400, b""), "bad_request", "no words"),
    ],
)  # fmt: skip
def test_what_concerns_one_row_alone_is_an_error_of_that_row_with_the_server_s_words(answered, error, detail):
    answer = read_reply(answered, REQUEST)

    assert (answer.text, answer.error) == (None, error)
    assert detail in answer.detail


def test_a_refusal_that_was_paid_for_keeps_its_tokens():
    answer = read_reply(good({"content": None, "refusal": "No."}, usage=USAGE), REQUEST)

    assert (answer.input_tokens, answer.output_tokens) == (9, 4)


@pytest.mark.parametrize(
    ("answered", "kind", "busy"),
    [
        (refusal(429, "slow down"), "http_429", True),
        (reply(500, b"Internal Server Error"), "http_500", False),
        (reply(503, b"overloaded", **{"Retry-After": "3"}), "http_503", True),
        (reply(502, b"<html>Bad Gateway"), "http_502", False),
        (reply(408, b""), "http_408", False),
        (reply(200, b'{"choices": ['), "garbage", False),
        (reply(200, '{"choices": [{"message": {"content": "é'.encode()[:-1]), "garbage", False),
        (reply(200, b"[]"), "garbage", False),
        (reply(200, {"choices": []}), "garbage", False),
        (reply(200, {"choices": [{"message": {"content": [1]}}]}), "garbage", False),
        (reply(200, b"[" * 100_000), "garbage", False),
        (reply(200, b""), "garbage", False),
    ],
)
def test_what_may_pass_is_tried_again(answered, kind, busy):
    with pytest.raises(Again) as again:
        read_reply(answered, REQUEST)

    assert (again.value.kind, again.value.busy) == (kind, busy)
    assert again.value.after == (3.0 if answered.headers else 0.0)


@pytest.mark.parametrize(
    "answered",
    [
        refusal(401, "Incorrect API key provided"),
        refusal(403, "not allowed"),
        refusal(404, "The model `tiny` does not exist."),
        refusal(402, "no credit"),
        reply(405, b""),
        reply(308, b"moved"),
        refusal(429, "You exceeded your current quota", "insufficient_quota"),
    ],
)
def test_what_concerns_address_key_or_model_bars_the_server(answered):
    with pytest.raises(Barred, match=f"HTTP {answered.status}"):
        read_reply(answered, REQUEST)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "error", "refusal", "code"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    status=st.integers(200, 599),
    body=st.binary(max_size=60) | JSON,
    headers=st.dictionaries(st.just("Retry-After"), st.text()),
)
def test_any_reply_is_an_answer_another_attempt_or_no_use_and_its_words_stay_short(status, body, headers):
    words = ""
    try:
        answer = read_reply(reply(status, body, **headers), REQUEST)
    except (Again, Barred) as failure:
        words = str(failure)
    else:
        assert answer.key == "k"
        assert (answer.text is None) == (answer.error is not None)
        assert answer.text is None or status == 200
        words = answer.detail

    assert len(words) < SHOWN + 60


@given(seconds=st.integers(0, 10_000))
def test_a_wait_in_seconds_is_taken_as_it_stands(seconds):
    assert retry_after({"RETRY-AFTER": f" {seconds} "}, NOW) == seconds


@given(seconds=st.integers(-10_000, 10_000), skew=st.integers(-10_000, 10_000))
def test_a_wait_until_a_date_is_read_by_the_server_s_own_clock(seconds, skew):
    server = NOW + timedelta(seconds=skew)
    headers = {"retry-after": format_datetime(server + timedelta(seconds=seconds), usegmt=True)}

    assert retry_after({**headers, "date": format_datetime(server, usegmt=True)}, NOW) == max(seconds, 0)
    assert retry_after(headers, NOW) == max(seconds + skew, 0)


@given(st.text())
def test_a_wait_that_cannot_be_read_is_no_wait_and_no_failure(text):
    wait = retry_after({"Retry-After": text}, NOW)

    assert wait is None or wait >= 0
