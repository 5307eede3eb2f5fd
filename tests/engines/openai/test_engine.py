"""The openai engine against real servers: answers stream, nothing is left behind, counts and scores are exact."""

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest
from fault_server import Served, answer_of, completion, serve, told, usage_of
from openai_asking import QUICK, by_rule, engine, engine_of, engine_threads, good, request, requests
from starlette.responses import JSONResponse
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from engines.openai import run as openai_http
from engines.openai.engine import OpenAIEngine
from engines.protocol import EngineFault
from engines.request import Adapter, Request

KEY = "sk-proj-0123456789abcdef"


def connections_to(server: Served) -> list:
    port = int(server.url.split(":")[2].split("/")[0])
    return [c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == port]


def test_every_request_gets_its_own_answer_with_the_tokens_the_server_counted():
    with serve(good) as one:
        answers = list(engine(one, concurrency=8).generate(requests(50)))

    assert {answer.key: answer.text for answer in answers} == {f"row {n}": answer_of(f"row {n}") for n in range(50)}
    assert len(answers) == len(one.seen.calls) == 50
    used = usage_of("row 1")
    assert {(a.input_tokens, a.output_tokens, a.cached_tokens) for a in answers} == {(used["prompt_tokens"], 2, 1)}


def test_the_request_that_arrives_is_the_one_that_was_asked_with_the_key_in_its_header(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve(good) as one:
        list(engine(one).generate([request("who", temperature=0.0, max_tokens=7)]))
        monkeypatch.delenv("OPENAI_API_KEY")
        list(engine(one).generate([request("who", adapter=Adapter("films", "2", "/films"))]))

    first, second = one.seen.calls
    assert first.path == "/v1/chat/completions"
    assert first.body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "who"}],
        "temperature": 0.0,
        "max_tokens": 7,
    }
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in second.headers
    assert second.body["model"] == "films"


def test_answers_stream_out_while_others_are_still_being_made():
    release = threading.Event()
    with serve(by_rule({"row 0": lambda call: "hang" if not release.is_set() else "good"})) as one:
        stream = engine(one, concurrency=2, timeout=2).generate(requests(6))
        first = [next(stream).key for _ in range(5)]
        release.set()
        last = [answer.key for answer in stream]

    assert first == [f"row {n}" for n in range(1, 6)]
    assert last == ["row 0"]


def test_no_more_requests_are_taken_and_sent_than_may_be_under_way():
    taken: list[str] = []
    most = 0

    def source() -> Iterator[Request]:
        for one_request in requests(60):
            taken.append(one_request.key)
            yield one_request

    with serve(good) as one, serve(good) as other:
        urls = [{"url": one.url, "concurrency": 3}, {"url": other.url, "concurrency": 5}]
        asking = engine_of("tiny", urls=urls, **QUICK)
        for done, _ in enumerate(asking.generate(source())):
            most = max(most, len(taken) - done)

    assert most == 8
    assert one.seen.most_running <= 3
    assert other.seen.most_running <= 5
    assert len(one.seen.calls) + len(other.seen.calls) == 60


@pytest.mark.parametrize("how", ["close", "forget", "interrupt", "source"])
def test_a_run_that_is_left_early_leaves_no_thread_connection_or_call_behind(how):
    def source() -> Iterator[Request]:
        yield from requests(3)
        if how == "source":
            raise KeyError("the plan broke")
        yield from requests(50, "hanging")

    with serve(by_rule({"hanging": "hang"})) as one:
        stream = engine(one, concurrency=4).generate(source())
        if how == "source":
            with pytest.raises(KeyError, match="the plan broke"):
                list(stream)
        else:
            assert next(stream).text is not None
            assert engine_threads()
            assert connections_to(one)
        if how == "close":
            stream.close()  # pyright: ignore[reportAttributeAccessIssue]
        elif how == "forget":
            del stream
        elif how == "interrupt":
            with pytest.raises(KeyboardInterrupt):
                stream.throw(KeyboardInterrupt())  # pyright: ignore[reportAttributeAccessIssue]

        assert engine_threads() == []
        assert connections_to(one) == []
        assert len(one.seen.calls) <= 3 + 4


def test_a_busy_server_gets_less_at_once_and_more_again_when_it_keeps_up():
    """It can do two things at once: with eight under way most would be turned away, again and again."""
    turned_away: list[str] = []

    def narrow(call):
        if one.seen.running > 2:
            turned_away.append(call.prompt)
            return "busy"
        return "slow"

    with serve(narrow) as one:
        answers = list(engine(one, concurrency=8, attempts=12, open_after=1000).generate(requests(20)))

    assert all(answer.text for answer in answers)
    assert len(turned_away) < 30


def test_a_mistake_in_the_prompt_is_told_and_not_swallowed():
    with serve(good) as one, pytest.raises(EngineFault, match="sampling must not set n"):
        list(engine(one).generate([request("who", n=4)]))


def test_a_choice_comes_back_without_its_wrapping():
    schema = {"type": "choice", "choices": ["Yes", "No"]}
    with serve(lambda call: JSONResponse(completion(call.prompt, text='{"answer": "No"}'))) as one:
        (answer,) = engine(one).generate([request("good?", schema)])

    assert answer.text == "No"
    assert one.seen.calls[0].body["response_format"]["json_schema"]["name"] == "answer"


def test_a_run_that_cannot_even_begin_says_why(monkeypatch):
    def broken(url: str) -> str:
        raise OSError("no network at all")

    monkeypatch.setattr(openai_http, "_proxy", broken)

    with pytest.raises(OSError, match="no network at all"):
        list(engine("http://127.0.0.1:1/v1").generate(requests(3)))
    assert engine_threads() == []


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


def counting(url: str, **options) -> OpenAIEngine:
    return engine_of("tiny", **{"urls": url, "attempts": 2, "backoff": 0.01, **options})


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
        (answer,) = counting(one.url, tokenizer=tokenizer).generate([ASKED])

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
        list(counting(one.url, tokenizer=tokenizer).generate([asked]))

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
        (answer,) = counting(one.url, tokenizer=tokenizer).generate([ASKED])

    assert (answer.text, answer.error) == (None, error)
    assert detail in answer.detail


def test_without_a_tokenizer_nothing_is_scored_and_the_row_says_what_is_missing():
    with serve(by_token) as one:
        (answer,) = counting(one.url).generate([ASKED])

    assert (answer.error, answer.detail) == (
        "unsupported",
        "scores need the tokens of the prompt; name engine.options.tokenizer",
    )
    assert one.seen.calls == []


def test_prompts_are_counted_exactly_with_the_chat_template_and_its_variables(tokenizer):
    plain = counting("http://127.0.0.1:1/v1", tokenizer=tokenizer)
    thinking = counting(
        "http://127.0.0.1:1/v1", tokenizer=tokenizer, extra={"chat_template_kwargs": {"thinking": True}}
    )

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
        counting("http://127.0.0.1:1/v1", tokenizer=str(folder)).count_tokens(ASKED.messages)


def test_a_prompt_that_cannot_be_asked_at_all_is_told_before_any_row_is(tokenizer):
    sampled = replace(ASKED, schema={"type": "text"}, sampling={"n": 3})

    counting("http://127.0.0.1:1/v1", tokenizer=tokenizer).check(ASKED)
    with pytest.raises(EngineFault, match=r"name engine\.options\.tokenizer\n"):
        counting("http://127.0.0.1:1/v1").check(ASKED)
    with pytest.raises(EngineFault, match="sampling must not set n"):
        counting("http://127.0.0.1:1/v1").check(sampled)
