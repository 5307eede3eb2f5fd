"""A search with a real small model: it ends, and what the model writes is either a prompt or rejected with a reason."""

import json
import re
from pathlib import Path

import lancedb
import pytest
import yaml
from optimise_shop import optimise_shop

from app.config import load_config
from prompts.library import choose_prompt
from prompts.prompt import read_prompt

pytestmark = pytest.mark.slow(reason="loads a real model into vLLM on a processor and asks it some 20 questions")


def write_shorter(prompt: Path, folder: Path) -> None:
    """Write a prompt of the team's own whose answers are short, because a processor writes some 60 tokens a second."""
    folder.mkdir(exist_ok=True)
    (folder / prompt.name).write_text(re.sub(r"max_tokens: \d+", "max_tokens: 48", prompt.read_text()))


def answered_lengths(config: Path) -> list[int]:
    """Return the output tokens of every stored answer."""
    table = lancedb.connect(load_config(config).store_folder).open_table("answers")
    return table.to_arrow()["output_tokens"].to_pylist()


def test_a_real_model_rewrites_and_the_flow_ends(vllm, smollm2, tmp_path, plain_knowflow):
    file = optimise_shop(tmp_path / "shop")
    settings = yaml.safe_load(file.read_text())
    settings["tasks"] = {"rank_candidates": {"candidates": 4, "history_length": 4}}
    settings["engine"] = {
        "name": "vllm",
        "model": str(smollm2),
        "options": {"enforce_eager": True, "max_model_len": 2_048, "kv_cache_bytes": 256 << 20, "in_flight": 8},
    }
    file.write_text(yaml.safe_dump(settings))
    for name in ("rank_candidates", "recprompt_refine"):
        write_shorter(choose_prompt(name).path, file.parent / settings["prompts"])
    words = ("prompts", "optimise", "rank_candidates", "--method", "recprompt", "--rows", "6", "--budget", "30k-tokens")

    done = plain_knowflow.run_apart(
        *words,
        "--set",
        "recprompt.rounds=1",
        "--set",
        "recprompt.batch=3",
        "--set",
        "recprompt.samples=1",
        "--config",
        file,
        "--json",
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["candidates"][0]["rows"] == 6
    assert len(told["candidates"]) - 1 + sum(told["rejected"].values()) == 1
    for one in told["candidates"][1:]:
        assert read_prompt(Path(one["file"])).variables == {"history", "candidates"}
    assert all(reason for reason in told["rejected"])
    assert told["tokens"] > 0
    assert max(answered_lengths(file)) <= 48, "the prompts of the team were not asked with"
