"""A wait that a server asks for in the body of a reply is honoured as one in the header is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.openai.reply import Again, Reply, read_reply
from engines.openai.waits import wait_in_body
from engines.request import Request

REQUEST = Request("k", ({"role": "user", "content": "hello"},), {}, {"type": "text"})


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Rate limit reached on tokens per min: Limit 6000, Used 5034. Please try again in 4.77s. Visit x.", 4.77),
        ("Please try again in 120ms.", 0.12),
        ("Rate limited, try again in 20 seconds", 20),
        ("Requests have exceeded the call rate limit. Please retry after 1 second.", 1),
        ("retry after 1m3.5s", 63.5),
        ("Please try again in 7m12s. Need more tokens?", 432),
        ("Try again in 1 hour, 2 minutes and 3 seconds", 3723),
        ("please retry in 59.386494s.", 59.386494),
        ("Retry after 30", 30),
        ("Too many requests\nPlease try\nagain in 2 s", 2),
        ({"retry_after": 12}, 12),
        ({"error": {"message": "slow down", "retry_after": "2.5"}}, 2.5),
        ({"error": {"code": 429, "details": [{"@type": "RetryInfo", "retryDelay": "36s"}]}}, 36),
        ({"retry_after_ms": 1500}, 1.5),
        ({"error": {"message": "Please try again in 6s.", "code": "rate_limit_exceeded"}}, 6),
        ({"retry_after": 3, "message": "try again in 6s"}, 3),
        ("slow down", None),
        ("try again in a few minutes", None),
        ("try again after 12:30", None),
        ("try again after 2026-11-30", None),
        ("we try 3 times", None),
        ("retry after 5 attempts", None),
        ({"retry_after": None}, None),
        ({"retry_after": -1}, None),
        ({"retry_after": True}, None),
        ({"retry_after": float("inf")}, None),
    ],
)
def test_a_wait_is_read_in_the_words_of_each_server(said, seconds):
    body = said if isinstance(said, str) else json.dumps(said)

    assert wait_in_body(body.encode()) == (seconds if seconds is None else pytest.approx(seconds))


@given(st.binary(max_size=60) | st.text().map(lambda text: f"try again in {text}".encode()))
def test_any_body_is_read_without_a_failure(body):
    wait = wait_in_body(body)

    assert wait is None or wait >= 0


@given(hours=st.integers(0, 40), minutes=st.integers(0, 59), seconds=st.integers(0, 59))
def test_a_duration_is_the_sum_of_its_parts(hours, minutes, seconds):
    asked = wait_in_body(f"Please try again in {hours}h{minutes}m{seconds}s".encode())

    assert asked == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize(
    ("status", "words", "slow_down", "after"),
    [
        (429, "slow down, try again in 20 seconds", True, 20),
        (503, "loading, try again in 20 seconds", True, 20),
        (
            413,
            "on tokens per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s.",
            True,
            4.77,
        ),
        (503, "overloaded", False, 0),
        (500, "the user wrote: try again in 20 seconds", False, 0),
    ],
)
def test_the_body_of_a_busy_server_is_read_and_others_are_not(status, words, slow_down, after):
    with pytest.raises(Again) as caught:
        read_reply(Reply(status, {}, words.encode()), REQUEST)

    assert (caught.value.slow_down, caught.value.after) == (slow_down, after)


def test_the_header_goes_before_the_body():
    with pytest.raises(Again) as caught:
        read_reply(Reply(429, {"Retry-After": "2"}, b'{"retry_after": 50}'), REQUEST)

    assert caught.value.after == 2
