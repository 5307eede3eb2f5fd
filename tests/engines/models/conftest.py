"""A random Llama as transformers has it, and GGUF files of it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))  # tiny_model makes the model


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model and its tokenizer."""
    from tiny_gguf import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("llama") / "tiny")


@pytest.fixture
def gguf_of(llama: Any, tmp_path: Path) -> Callable[..., Path]:
    """Write a GGUF file of the model."""
    from tiny_gguf import write_gguf

    def write(name: str = "tiny.gguf", **settings: Any) -> Path:
        return write_gguf(tmp_path / name, *llama, **settings)

    return write
