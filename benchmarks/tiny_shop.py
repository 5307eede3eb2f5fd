"""A shop with any number of items and a tiny model that writes their facts, for the benchmarks of the vLLM engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import polars as pl
import yaml

from app.config import load_config
from app.workplace import open_workplace
from base.progress import silent
from llm_tasks.pipeline.catalogue import choose_tasks
from llm_tasks.pipeline.generate import Generated, generate
from llm_tasks.pipeline.plan import plan_task
from llm_tasks.pipeline.workplace import Workplace
from prompts.library import choose_prompt
from prompts.prompt import Prompt

TASK = "kar_item"
OPTIONS = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 1_024,
    "kv_cache_bytes": 256 << 20,
    "in_flight": 256,
}
"""Engine options: 256 rows of 200 tokens fit its memory at once."""


def make_shop(folder: Path, items: int, model: Path, first: int = 0) -> Path:
    """Write the data and knowflow.yaml of a shop.

    Args:
        folder: Output folder; created if missing.
        items: Number of items.
        model: Folder of the model.
        first: Number of the first item, so that two shops share no items.

    Returns:
        Path of knowflow.yaml.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"i{place}" for place in range(first, first + items)]
    titles = [f"Thing {place} of the shop" for place in range(first, first + items)]
    pl.DataFrame({"item": names, "title": titles}).write_parquet(folder / "items.parquet")
    bought = {"user": ["u"], "item": [names[0]], "time": [datetime(2024, 1, 1, tzinfo=UTC)], "rating": [5.0]}
    pl.DataFrame(bought).write_parquet(folder / "events.parquet")
    settings = {
        "home": "runs",
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title"},
        "engine": {"name": "vllm", "model": str(model), "options": OPTIONS},
        "tasks": {TASK: {}},
    }
    (folder / "knowflow.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder / "knowflow.yaml"


def open_shop(config: Path) -> Workplace:
    """Open the shop like every stage does."""
    return open_workplace(load_config(config))


def short_prompt(max_tokens: int) -> Prompt:
    """Return the prompt with a different maximum length of answers."""
    prompt = choose_prompt(TASK)
    return replace(prompt, front=prompt.front.model_copy(update={"sampling": dict(SAMPLING, max_tokens=max_tokens)}))


SAMPLING = {"temperature": 0.0}


@contextmanager
def answers_of(max_tokens: int) -> Iterator[None]:
    """Limit every answer to some tokens."""
    with patch("llm_tasks.pipeline.plan.live_prompt", lambda *_: short_prompt(max_tokens)):
        yield


def refresh_answers(config: Path) -> Generated:
    """Plan, ask, parse and commit, like `knowflow refresh` for one technique before encoding."""
    place = open_shop(config)
    with place.store.writer("a benchmark") as writer:
        plan = plan_task(choose_tasks([TASK])[0], place, count_tokens=False)
        return generate(plan, place, writer, silent)
