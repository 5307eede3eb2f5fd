"""Options of the openai engine: every mistake is told in words, and the key is never among them."""

import re
from pathlib import Path

import pytest
import yaml

from engines.choose import build_engine, read_options
from engines.openai import OPENAI
from engines.openai.options import OpenAIOptions, find_tokenizer, read_key
from engines.protocol import EngineConfig, EngineFault
from prompts.domain import load_domain

URL = "http://127.0.0.1:1/v1"
SECRET = "sk-proj-0123456789abcdef"


def read(**given) -> OpenAIOptions:
    options = read_options(OPENAI, {"urls": URL, **given})
    assert isinstance(options, OpenAIOptions)
    return find_tokenizer(options, Path())


@pytest.mark.parametrize(
    "urls",
    [
        URL,
        [URL, "https://api.example.com/v1/"],
        [{"url": URL, "concurrency": 4, "weight": 2}, "https://api.example.com/v1"],
    ],
)
def test_servers_are_one_address_many_or_each_with_its_own_room(urls):
    options = read(urls=urls, concurrency=7)

    assert options.urls[0].url == URL
    assert [server.url for server in options.urls[1:]] == ["https://api.example.com/v1"] * (len(options.urls) - 1)
    first = urls[0] if isinstance(urls, list) else urls
    mine = 4 if isinstance(first, dict) else 7
    assert options.in_flight == mine + 7 * (len(options.urls) - 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"urls": []}, r"engine\.options\.urls: .*at least 1 item"),
        ({"urls": "gpu1:8000"}, r"'gpu1:8000' is not an address; use one such as http://gpu1:8000/v1"),
        ({"urls": f"user:{SECRET}@gpu1/v1"}, r"'\.\.\.@gpu1/v1' is not an address"),
        ({"urls": f"gpu1/v1?key={SECRET}"}, r"'gpu1/v1\?\.\.\.' is not an address"),
        ({"urls": f"http://user:{SECRET}@gpu1\u2100/v1"}, r"is not an address"),  # urllib's words would tell all of it
        ({"urls": f"http://user:1/{SECRET}@gpu1/v1"}, r"put a key in api_key_env"),
        ({"urls": URL + "/chat/completions"}, r"give the part before /chat/completions"),
        ({"urls": f"https://user:{SECRET}@api.example.com/v1"}, r"put a key in api_key_env"),
        ({"urls": f"https://api.example.com/v1?key={SECRET}"}, r"put a key in api_key_env"),
        ({"urls": [URL, URL + "/"]}, r"127\.0\.0\.1:1/v1 appears more than once; raise the concurrency of one address"),
        ({"urls": [{"url": URL, "concurrency": 0}]}, r"engine\.options\.urls\.0\.concurrency: .*greater than or equal"),
        (
            {"api_key": SECRET},
            r"engine\.options\.api_key: there is no such option; did you mean 'api_key_env'\?\n.* takes urls, api_key_env",
        ),
        ({"structured": "guided_json"}, r"engine\.options\.structured: .*'json_schema', 'vllm' or 'none'"),
        ({"attempts": 0}, r"engine\.options\.attempts"),
        ({"extra": {"messages": [], "stream": True}}, r"extra must not hold messages, stream"),
        ({"tokenizer": "nowhere"}, r"nowhere holds no tokenizer_config\.json\n  set it to the folder"),
    ],
)
def test_wrong_options_are_told_with_what_to_change_and_without_the_key(given, message):
    with pytest.raises(EngineFault, match=message) as fault:
        read(**given)

    assert SECRET not in str(fault.value)


def test_all_wrong_options_are_told_at_once():
    with pytest.raises(EngineFault) as fault:
        read(attempts=0, timeout=-1, speed=3)

    assert [name in str(fault.value) for name in ("attempts", "timeout", "speed")] == [True] * 3


def test_the_engine_is_built_by_its_name():
    engine = build_engine(
        EngineConfig(name="openai", model="m", revision="7", options={"urls": URL}), load_domain("films"), Path()
    )

    assert (engine.identity.model, engine.identity.revision, engine.context_tokens) == ("m", "7", None)
    assert "an estimate" in engine.token_counter
    assert engine.count_tokens([{"role": "user", "content": "é" * 9}]) == 5  # 18 bytes, a quarter, rounded up


def test_what_every_request_holds_besides_is_part_of_the_identity_for_it_can_change_answers():
    def identity(**options):
        return build_engine(
            EngineConfig(name="openai", model="m", revision="7", options={"urls": URL, **options}), load_domain("films"), Path()
        ).identity  # fmt: skip

    thinking = identity(extra={"chat_template_kwargs": {"enable_thinking": True}, "user": "me"})

    assert identity(extra={}) == identity(concurrency=3, timeout=5) == identity()
    assert thinking.revision.startswith("7+")
    assert thinking != identity(extra={"chat_template_kwargs": {"enable_thinking": False}, "user": "me"})
    assert thinking == identity(extra={"user": "me", "chat_template_kwargs": {"enable_thinking": True}})


def test_the_key_comes_from_the_environment_and_does_not_show(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {SECRET}\n")
    monkeypatch.setenv("OTHER", "else-0123456789")

    key, other = read_key(read(), None), read_key(read(api_key_env="OTHER"), None)

    assert key is not None
    assert key.get_secret_value() == SECRET
    assert SECRET not in f"{key!r} {key} {read()!r}"
    assert other is not None
    assert other.get_secret_value() == "else-0123456789"


def test_the_key_comes_from_a_stored_secret_by_way_of_the_reader(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not-this-one")

    key = read_key(read(api_key_secret="mine"), {"mine": SECRET}.__getitem__)

    assert key is not None
    assert key.get_secret_value() == SECRET


def test_servers_that_need_no_key_do_without(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    assert read_key(read(), None) is None


@pytest.mark.parametrize(
    ("given", "value", "message"),
    [
        ({"api_key_env": "NOT_SET"}, None, "the environment variable NOT_SET is not set\n  set it, or remove"),
        ({}, f"{SECRET} two", "OPENAI_API_KEY has characters that are not allowed in a key"),
        ({}, f"{SECRET}\u2026", "OPENAI_API_KEY has characters that are not allowed in a key"),
        ({"api_key_secret": "mine"}, None, "the Prefect Secret block 'mine' can only be read by knowflow refresh"),
    ],
)
def test_a_key_that_is_missing_or_cannot_be_sent_is_told_without_being_shown(monkeypatch, given, value, message):
    monkeypatch.setenv("OPENAI_API_KEY", value) if value else monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with pytest.raises(EngineFault, match=message) as fault:
        read_key(read(**given), None)

    assert SECRET not in str(fault.value)


def test_a_stored_secret_that_is_not_there_is_told():
    with pytest.raises(
        EngineFault, match="Secret block 'gone' cannot be read: 'gone'\n  create it, or use api_key_env"
    ):
        read_key(read(api_key_secret="gone"), {}.__getitem__)


def test_every_option_is_explained_here_and_in_the_how_to():
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "openai-server.md").read_text(encoding="utf-8")

    for name, field in OpenAIOptions.model_fields.items():
        assert field.description, name
        assert f"`{name}`" in page


def test_the_configurations_of_the_how_to_are_options_of_this_engine():
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "openai-server.md").read_text(encoding="utf-8")
    shown = [yaml.safe_load(block)["engine"] for block in re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)]

    assert len(shown) == 2
    for engine in shown:
        assert EngineConfig.model_validate(engine).name == "openai"
        assert OpenAIOptions.model_validate(engine["options"]).in_flight >= 16
