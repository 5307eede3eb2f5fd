"""What a server's reply means: an answer, an error of a row, an attempt to repeat, a server of no use."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.openai.reply import MOST_TOKENS, Again, Barred, Reply, read_reply
from engines.openai.wording import SHOWN, retry_after
from engines.request import Request

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
    assert "estimate" in answer.detail


def test_cached_tokens_are_never_more_than_those_of_the_prompt():
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 7}}

    assert read_reply(good({"content": "a"}, usage=usage), REQUEST).cached_tokens == 5


@pytest.mark.parametrize(
    ("answered", "error", "detail"),
    [
        (good({"content": None, "refusal": "I will not."}, usage=USAGE), "refused", "I will not."),
        (good({"content": "half"}, "content_filter", USAGE), "refused", "content filter cut the answer off"),
        (good({"content": None, "reasoning": "hm"}, "length", USAGE), "no_text", "ended with: length"),
        (good({"content": None, "reasoning_content": "hm"}, "length", USAGE), "no_text", "max_tokens went into thinking"),
        (good({"content": "<think>\nThe user"}, "length", USAGE), "no_text", "enable_thinking: false"),
        (good({"content": [{"type": "thinking", "thinking": "hm"}]}, "length", USAGE), "no_text", "went into thinking"),
        (good({"content": ""}, "length", USAGE), "no_text", "gave no text: the server ended with: length"),
        (reply(200, {"error": "Input validation error: `inputs` must have less than 9 tokens. Given: 12"}), "too_long", "less than 9"),
        (reply(200, {"error": {"code": 400, "message": "Unsupported parameter"}}), "bad_request", "HTTP 400: Unsupported"),
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
    ("answered", "kind", "slow_down"),
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
        (reply(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), "http_529", True),
        (refusal(413, "on tokens per minute (TPM): Limit 6000, Used 5034, Requested 1443", "rate_limit_exceeded"), "http_413", True),
        (reply(200, {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-min"}}), "http_429", True),
        (reply(200, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}), "http_429", True),
        (reply(200, {"choices": None, "error": {"message": "engine died", "code": 500}}), "http_500", False),
        (reply(200, {"choices": None, "error": {"message": "engine died"}}), "broke_off", False),
        (good({"content": "half"}, "abort"), "broke_off", False),
        (good({"content": "half"}, "error"), "broke_off", False),
        (reply(200, {"choices": [{"message": {"content": "half"}, "error": {"code": 502, "message": "gone"}}]}), "http_502", False),
        (reply(200, {"choices": [{"message": {"content": [1]}}]}), "garbage", False),
        (reply(200, b"[" * 100_000), "garbage", False),
        (reply(200, b""), "garbage", False),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again(answered, kind, slow_down):
    with pytest.raises(Again) as again:
        read_reply(answered, REQUEST)

    assert (again.value.kind, again.value.slow_down) == (kind, slow_down)
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


def test_an_error_inside_a_good_status_counts_as_the_status_it_names():
    with pytest.raises(Barred, match="HTTP 402: Insufficient credits"):
        read_reply(reply(200, {"error": {"code": 402, "message": "Insufficient credits"}}), REQUEST)


def test_a_text_that_was_cut_off_is_kept_and_says_so():
    answer = read_reply(good({"content": "A warm, well pac"}, "length", USAGE), REQUEST)

    assert (answer.text, answer.error, answer.finish) == ("A warm, well pac", None, "length")
    assert read_reply(good({"content": "A film."}), REQUEST).finish == "stop"


def test_the_text_parts_of_a_content_are_joined_and_what_was_thought_is_left_out():
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]}
    parts = [thought, {"type": "text", "text": "A warm "}, {"type": "text", "text": "film."}]

    assert read_reply(good({"content": parts}, usage=USAGE), REQUEST).text == "A warm film."
    assert read_reply(good({"content": "<think>\nHm.\n</think>\n\nA warm film."}), REQUEST).text == "A warm film."


def test_the_tokens_of_a_reply_that_is_thrown_away_are_counted():
    for thrown in (good({"content": [1]}, usage=USAGE), good({"content": "half"}, "abort", USAGE)):
        with pytest.raises(Again) as again:
            read_reply(thrown, REQUEST)

        assert again.value.spent == (9, 4, 8)


@pytest.mark.parametrize("count", [-1, MOST_TOKENS + 1, 10**20, "9"])
def test_a_count_of_tokens_that_makes_no_sense_counts_as_none_and_it_is_said(count):
    usage = {"prompt_tokens": count, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": count}}
    answer = read_reply(good({"content": "four"}, usage=usage), REQUEST)

    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (2, 4, 0)
    assert "make no sense" in answer.detail


def test_the_model_that_the_server_names_is_kept():
    body = {"model": "some-other-1b", "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}

    assert read_reply(reply(200, body), REQUEST).answered_by == "some-other-1b"


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
