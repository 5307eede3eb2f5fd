"""A tiny language model for the commands that tune."""

import sys
from pathlib import Path

import pytest
from tiny_vllm import vllm  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # tiny_model makes the model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    from tiny_model import make_model

    return make_model(tmp_path_factory.mktemp("models") / "tiny")
