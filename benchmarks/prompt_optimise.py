"""Whether each optimiser of prompts finds the prompt that is known to be better, within its budget.

Run:   .venv/bin/python benchmarks/keep.py prompt_optimise
There is no model here: the rules in benchmarks/optimise_engine replace one. A prompt is found if the chosen version
has both helpful instructions and not the harmful one. `greedy` is the control: it keeps what wins on six rows. The last
line printed is one JSON object.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from app.config import load_config
from app.optimised import keep_candidates
from app.optimising import Wish, optimise
from llm_tasks.pipeline.budget import read_limits
from prompts.rewritten import as_text

ENGINE = Path(__file__).resolve().parent / "optimise_engine"
METHODS = ("recprompt", "po4isr", "gepa", "greedy")
SEEDS, ROWS, BUDGET = 10, 60, "300k-tokens"
HELPS, HARMS = ("Weigh the newest events most.", "Name the topics first."), "Ignore the history."
TOPICS = ("crime", "space", "love", "war", "music", "ghosts", "heists", "courts", "robots", "oceans", "chess", "winter")


def main() -> None:
    """Let every optimiser search with every seed, and print how often it found the better prompt."""
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            config = load_config(write_shop(Path(folder), seed))
            for method in METHODS:
                runs[method].append(searched(config, method, seed))
                print(method, seed, runs[method][-1], flush=True)
    found = {method: sum(run["found"] for run in of) for method, of in runs.items()}
    means = {method: mean_numbers(of) for method, of in runs.items()}
    about = {"seeds": SEEDS, "rows": ROWS, "budget": BUDGET}
    print(json.dumps({"found": found, "means": means, **about}))


def mean_numbers(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Average the numbers of several runs."""
    return {name: float(np.mean([run[name] for run in runs])) for name in NUMBERS}


NUMBERS = ("tokens", "candidates", "rejected", "first", "best")


def searched(config: Any, method: str, seed: int) -> dict[str, Any]:
    """Search once; return whether the better prompt was chosen, and what that took."""
    done = optimise(config, Wish("rank_candidates", method, read_limits(BUDGET, "USD"), rows=ROWS, seed=seed))
    text = as_text(done.found.best.parts)
    search = done.found.search
    return {
        "found": all(one in text for one in HELPS) and HARMS not in text,
        "tokens": done.budget.tokens,
        "candidates": len(search.candidates) - 1,
        "rejected": sum(search.rejected.values()),
        "first": search.score(search.first),
        "best": search.score(done.found.best),
        "files": len(keep_candidates(config, done)) - 1,
    }


def write_shop(folder: Path, seed: int) -> Path:
    """Write events of users who each like one topic, and a knowflow.yaml with the scripted engine."""
    rng, begin = np.random.default_rng(seed), datetime(2024, 1, 1, tzinfo=UTC)
    items = [(f"i{place}", f"Film {place} about {TOPICS[place % len(TOPICS)]}") for place in range(240)]
    titles = pl.DataFrame(items, schema=["item", "title"], orient="row")
    titles.with_columns(kinds=pl.col("title").str.extract(r"about (\w+)")).write_parquet(folder / "items.parquet")
    events = [
        (f"u{user}", items[place][0], begin + timedelta(hours=17 * step + user), 5.0)
        for user in range(80)
        for step, place in enumerate(chosen(rng, user))
    ]
    pl.DataFrame(events, schema=["user", "item", "time", "rating"], orient="row").write_parquet(
        folder / "events.parquet"
    )
    settings = {
        "home": "home",
        "plugins": [str(ENGINE)],
        "domain": "films",
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title", "categories": {"kinds": "kinds"}},
        "split": {"by": "user_position", "train": 0.6, "validation": 0.2},
        "engine": {"name": "scripted_optimise", "model": "scripted", "revision": str(seed)},
        "prompts": "mine",
    }
    (folder / "mine").mkdir()
    file = folder / "knowflow.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return file


def chosen(rng: np.random.Generator, user: int) -> Sequence[int]:
    """Draw 20 different films of a user, nine of ten about their topic, as far as there are any."""
    own = np.arange(240) % len(TOPICS) == user % len(TOPICS)
    weights = np.where(own, 0.9 / own.sum(), 0.1 / (~own).sum())
    return rng.choice(240, 20, replace=False, p=weights).tolist()


if __name__ == "__main__":
    main()
