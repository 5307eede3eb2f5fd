"""The openai engine and servers that fail: what passes leaves no trace, what does not is told, rows go to who answers."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from email.utils import formatdate

import pytest
from fault_server import answer_of, completion, listen, serve, told
from openai_asking import RateLimit, by_rule, engine, engine_threads, good, request, requests
from starlette.responses import JSONResponse, StreamingResponse

from engines.openai import run as openai_run
from engines.openai.same_model import same_model
from engines.protocol import EngineFault
from engines.request import Answer, Request


@pytest.mark.parametrize(
    ("fault", "error", "detail"),
    [
        ("error_500", "http_500", "after 3 attempts: Internal Server Error"),
        ("garbage", "garbage", "after 3 attempts: the body is no JSON"),
        ("truncated_utf8", "garbage", "after 3 attempts: the body is no JSON"),
        ("cut", "connection", "after 3 attempts: ClientPayloadError"),
        ("hang", "timeout", "after 3 attempts: no reply within 0.5 seconds"),
    ],
)
def test_a_row_that_fails_every_time_is_an_error_row_with_its_reason_and_the_others_are_answered(fault, error, detail):
    with serve(by_rule({"row 3": fault})) as one:
        answers = {a.key: a for a in engine(one, timeout=0.5, concurrency=4).generate(requests(10))}
        asked = one.seen.prompts

    assert (answers["row 3"].text, answers["row 3"].error) == (None, error)
    assert detail in answers["row 3"].detail
    assert asked["row 3"] == 3
    assert [answers[f"row {n}"].text for n in range(10) if n != 3] == [
        answer_of(f"row {n}") for n in range(10) if n != 3
    ]


@pytest.mark.parametrize("fault", ["error_500", "busy", "garbage", "truncated_utf8", "cut"])
def test_a_failure_that_passes_leaves_no_trace_in_the_answers(fault):
    with serve(lambda call: fault if call.count == 0 else "good") as one:
        answers = list(engine(one, concurrency=3, open_after=1000).generate(requests(6)))

    assert {answer.key: answer.text for answer in answers} == {f"row {n}": answer_of(f"row {n}") for n in range(6)}
    assert all(answer.error is None and answer.detail == "" for answer in answers)


def test_the_error_rows_of_one_batch_say_what_was_wrong_with_each_and_are_not_tried_again():
    rules = {
        "row 1": lambda call: told(400, "This model's maximum context length is 64 tokens", "context_length_exceeded"),
        "row 2": lambda call: told(400, "the prompt was filtered", "content_filter"),
        "row 3": lambda call: told(400, "Unsupported value: seed"),
        "row 4": lambda call: JSONResponse(completion(call.prompt, finish_reason="content_filter")),
        "row 5": lambda call: JSONResponse(
            completion(call.prompt, message={"content": None, "refusal": "I will not."})
        ),
    }
    with serve(by_rule(rules)) as one:
        answers = {answer.key: answer for answer in engine(one).generate(requests(8))}

    assert {key: answer.error for key, answer in answers.items() if answer.error} == {
        "row 1": "too_long", "row 2": "refused", "row 3": "bad_request", "row 4": "refused", "row 5": "refused",
    }  # fmt: skip
    assert "Unsupported value: seed" in answers["row 3"].detail
    assert len(one.seen.calls) == 8


@pytest.mark.parametrize("wait", ["seconds", "date", "words", "words of a 503"])
def test_a_server_that_asks_to_wait_is_not_asked_before_and_the_other_rows_go_on(wait):
    times: list[float] = []

    def busy_once(call):
        times.append(time.monotonic())
        later = "1" if wait == "seconds" else formatdate(time.time() + 2, usegmt=True)  # a date is cut to the second
        status, words = 503 if wait.endswith("503") else 429, "slow down, please try again in 1.2s"
        asking = told(status, words) if "words" in wait else told(429, "slow down", headers={"Retry-After": later})
        return asking if call.count == 0 else "good"

    with serve(by_rule({"row 0": busy_once})) as one:
        keys = [answer.key for answer in engine(one, concurrency=4).generate(requests(30))]

    assert keys[-1] == "row 0"
    assert times[1] - times[0] >= 1.0


def test_a_row_that_one_server_asks_to_wait_goes_to_another_at_once():
    later = by_rule({"row 0": lambda call: told(429, "come back tomorrow", headers={"Retry-After": "86400"})})
    with serve(later) as one, serve(good) as other:
        answers = list(engine(one, other, concurrency=2).generate(requests(6)))

    assert all(answer.text for answer in answers)
    assert one.seen.prompts["row 0"] <= 1


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "Incorrect API key provided"), (403, "not allowed here"), (404, "The model `tiny` does not exist.")],
)
@pytest.mark.timeout(120)
def test_a_wrong_key_or_model_stops_the_run_at_once_with_the_server_s_words(monkeypatch, status, words):
    monkeypatch.setattr(openai_run, "LAST_SECONDS", 3600)  # nothing under way is waited for in vain
    taken: list[Request] = []

    def source() -> Iterator[Request]:
        for one_request in requests(2000):
            taken.append(one_request)
            yield one_request

    with serve(lambda call: told(status, words)) as one, serve(lambda call: told(status, words)) as other:
        with pytest.raises(EngineFault) as fault:
            list(engine(one, other, concurrency=3).generate(source()))
        calls = one.seen.calls + other.seen.calls

    assert str(fault.value).startswith("no server answers for the model 'tiny'\n")
    assert str(fault.value).count(f"HTTP {status}: {words}") == 2
    assert "engine.options.urls, engine.model and the key" in str(fault.value)
    assert len(calls) <= len(taken) <= 6
    assert engine_threads() == []


def test_a_server_that_lacks_the_model_leaves_all_rows_to_the_others(caplog):
    with serve(lambda call: told(404, "The model `tiny` does not exist.")) as one, serve(good) as other:
        answers = list(engine(one, other, concurrency=2).generate(requests(20)))

    assert sorted(answer.key for answer in answers) == sorted(f"row {n}" for n in range(20))
    assert all(answer.text for answer in answers)
    assert len(one.seen.calls) <= 2
    assert "will not answer for tiny (HTTP 404" in caplog.text


@pytest.mark.parametrize("dress", ["status", "body", "too large"])
def test_of_many_rows_at_a_server_that_limits_their_rate_none_is_lost(dress):
    limit = RateLimit(per_second=100)
    words = "Rate limit reached on tokens per minute (TPM): Limit 6000, Used 5900, Requested 150"
    slow_down = {
        "status": lambda: told(429, words),
        "body": lambda: JSONResponse({"error": {"code": 429, "message": words}}),
        "too large": lambda: told(413, words, "rate_limit_exceeded"),
    }[dress]
    with serve(lambda call: "good" if limit.admits() else slow_down()) as one:
        answers = list(engine(one, concurrency=32, attempts=1, open_after=1, backoff=0.1).generate(requests(300)))
        calls = len(one.seen.calls)

    assert {answer.key: answer.text for answer in answers} == {f"row {n}": answer_of(f"row {n}") for n in range(300)}
    assert 300 < calls < 600


def test_a_server_that_only_ever_asks_to_slow_down_stops_the_run_with_its_words():
    stopped = pytest.raises(EngineFault, match=r"no server answers for 0\.4 seconds now\n.*come back tomorrow")
    with serve(lambda call: told(429, "come back tomorrow")) as one, stopped:
        list(engine(one, concurrency=4, give_up_after=0.4).generate(requests(20)))

    assert engine_threads() == []


def test_tokens_of_attempts_that_failed_are_part_of_the_row_s_answer():
    usage = {"prompt_tokens": 100, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 5}}

    def twice(call):
        broken = call.count < 2 or call.prompt == "row 1"
        body = completion(call.prompt, finish_reason="abort" if broken else "stop")
        return JSONResponse({**body, "usage": usage})

    with serve(twice) as one:
        answers = {answer.key: answer for answer in engine(one).generate(requests(2))}

    good, failed = answers["row 0"], answers["row 1"]
    assert (good.error, failed.error) == (None, "broke_off")
    for answer in (good, failed):  # three attempts each
        assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (300, 120, 15)


def other_model(call):
    return JSONResponse({**completion(call.prompt), "model": "some-other-1b"})


def test_another_model_than_the_one_asked_for_is_kept_with_the_answers_and_said_once(caplog):
    with serve(other_model) as one:
        answers = list(engine(one).generate(requests(20)))

    assert {answer.answered_by for answer in answers} == {"some-other-1b"}
    assert caplog.text.count("'some-other-1b' answers instead of 'tiny'") == 1


def test_another_model_ends_the_run_where_the_options_say_so():
    with serve(other_model) as one, pytest.raises(EngineFault, match="'some-other-1b' answers instead of 'tiny'"):
        list(engine(one, other_model="error").generate(requests(20)))


@pytest.mark.parametrize(
    ("asked", "said", "same"),
    [
        ("Qwen/Qwen3-8B", "qwen3-8b", True),
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("gpt-4", "gpt-4-0613", True),
        ("mistral-small-latest", "mistral-small-2503", True),
        ("llama3", "llama3:latest", True),
        ("models/tiny", "/srv/models/tiny", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4", "gpt-4o", False),
        ("qwen3-8b", "qwen3-1b", False),
        ("llama-3", "llama-3-8b", False),
    ],
)
def test_a_date_or_a_folder_makes_no_other_model(asked, said, same):
    assert same_model(asked, said) is same


def test_the_rows_of_a_dead_server_go_to_the_others_and_come_back_when_it_lives_again(caplog):
    listening = listen()
    port = listening.getsockname()[1]
    listening.close()  # nobody listens there now
    with serve(good) as other:
        asking = engine(f"http://127.0.0.1:{port}/v1", other, concurrency=4, attempts=5)
        dead = list(asking.generate(requests(40)))
        with serve(good, port=port) as one:

            def until_it_is_asked() -> Iterator[Request]:
                place = 0
                while not one.seen.calls and place < 1_000_000:
                    yield request(f"again {place}")
                    place += 1

            back = list(asking.generate(until_it_is_asked()))

    assert sorted(answer.key for answer in dead) == sorted(f"row {n}" for n in range(40))
    assert all(answer.text == answer_of(answer.key) for answer in dead + back)
    assert one.seen.calls
    assert "its rows go to the others" in caplog.text


def test_a_fast_server_gets_the_rows_that_a_slow_one_has_no_time_for():
    slow_has, fast_had = 2, 30

    async def once_the_other_had_its_rows(call) -> AsyncIterator[bytes]:
        while len(fast.seen.calls) < fast_had:
            await asyncio.sleep(0.005)
        yield json.dumps(completion(call.prompt)).encode()

    with serve(good) as fast, serve(lambda call: StreamingResponse(once_the_other_had_its_rows(call))) as slow:
        answers = list(engine(slow, fast, concurrency=slow_has).generate(requests(32)))

    assert {answer.key: answer.text for answer in answers} == {f"row {n}": answer_of(f"row {n}") for n in range(32)}
    assert (len(answers), len(fast.seen.calls), len(slow.seen.calls)) == (32, fast_had, slow_has)


def test_a_server_that_dies_half_way_costs_no_row_asks_none_twice_and_is_told_once(caplog):
    with serve(good) as other, ExitStack() as dies:
        one = dies.enter_context(serve(lambda call: "slow" if len(one.seen.calls) > 4 else "good"))
        answers: list[Answer] = []
        for answer in engine(one, other, concurrency=4, attempts=9, open_after=1).generate(requests(200)):
            answers.append(answer)
            if len(one.seen.calls) > 4 and one.seen.running:
                dies.close()

    assert sorted(answer.key for answer in answers) == sorted(f"row {n}" for n in range(200))
    assert all(answer.text == answer_of(answer.key) for answer in answers)
    assert set(other.seen.prompts.values()) == {1}
    assert caplog.text.count("its rows go to the others") == 1


def test_a_server_that_fails_is_left_alone_until_it_answers_a_probe():
    healthy, probed = threading.Event(), threading.Event()

    def models():
        probed.set()
        return JSONResponse({"data": []}, 200 if healthy.is_set() else 503)

    def failing(call):
        return "good" if healthy.is_set() else "error_500"

    with serve(failing, models) as one, serve(good) as other:
        stream = engine(one, other, concurrency=2, attempts=9, open_after=3).generate(requests(1_000_000))
        while not probed.is_set():
            assert next(stream).text
        calls = len(one.seen.calls)
        for _ in range(30):
            assert next(stream).text
        assert len(one.seen.calls) == calls <= 3 + 2  # three failures in a row, and what was under way
        healthy.set()
        while len(one.seen.calls) < calls + 10:
            assert next(stream).text
        stream.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_when_all_servers_stay_dead_the_run_stops_and_what_was_answered_has_come():
    dead = threading.Event()

    def models():
        return JSONResponse({}, 503 if dead.is_set() else 200)

    def mortal(call):
        if int(call.prompt.split()[1]) >= 20:
            dead.set()
        if call.prompt == "row 20":
            return "hang"  # still under way when the run is given up; that it then fails is no error of the row
        return "error_500" if dead.is_set() else "good"

    answers: list[Answer] = []
    with serve(mortal, models) as one:
        stream = engine(one, concurrency=4, attempts=1000, give_up_after=0.5, timeout=1.5).generate(requests(2000))
        with pytest.raises(EngineFault) as fault:
            answers.extend(stream)

    assert str(fault.value).startswith("no server answers for 0.5 seconds now\n")
    assert "http_500: Internal Server Error" in str(fault.value)
    assert "the answers so far are kept; run the same command again to continue" in str(fault.value)
    assert 17 <= len(answers) <= 20
    assert all(answer.text for answer in answers)
    assert engine_threads() == []


def test_rows_that_always_fail_at_the_end_are_error_rows_and_not_the_end_of_the_run():
    with serve(by_rule({"bad": "error_500"})) as one:
        rows = [*requests(5), *requests(20, "bad")]
        answers = {answer.key: answer for answer in engine(one, concurrency=8, open_after=2).generate(rows)}

    assert len(answers) == 25
    assert {answers[f"bad {n}"].error for n in range(20)} == {"http_500"}
