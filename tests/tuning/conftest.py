"""A tiny model that is really tuned, and sums to learn."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # tiny_model makes the models


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Llama of half a million numbers, with tokenizer and chat template."""
    from tiny_model import make_model

    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def base(tiny: Path) -> Any:
    """The tiny model, found."""
    from tuning.base import find_base

    return find_base(tiny, {})


@pytest.fixture(scope="session")
def sums() -> list[tuple[dict[str, str], ...]]:
    """Forty instructions of our own, free of rights (CC0): sums, one digit each."""
    return [
        ({"role": "user", "content": f"{one} + {two} ="}, {"role": "assistant", "content": f"{one + two}, of course"})
        for one in range(5)
        for two in range(8)
    ]


@pytest.fixture
def instructions(sums: list[Any], tmp_path: Path) -> Path:
    """The sums as a file."""
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps({"messages": list(said)}) + "\n" for said in sums))
    return path


@pytest.fixture(scope="session")
def mixture_of() -> Callable[..., Any]:
    """Make a mixture of instructions alone."""

    def make(conversations: list[Any]) -> Any:
        from tuning.conversations import digest
        from tuning.mixture import Mixture

        facts = {"instructions": {"rows": len(conversations), "digest": digest(conversations)}}
        return Mixture(conversations, ["instructions"] * len(conversations), [], facts)

    return make


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads wait for one another when other tests keep the cores busy: ten times as long was seen."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
