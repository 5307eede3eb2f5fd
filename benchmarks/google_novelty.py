"""google_novelty on MovieLens small, from scripted answers: the recommender `novelty` against its controls.

Run:   .venv/bin/python benchmarks/keep.py google_novelty
There is no model here: the rule in benchmarks/novelty_engine replaces one. `novelty, random table` draws the next
cluster, `novelty, liked clusters` keeps the two. The last line printed is one JSON object.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from app.config import Config, load_config
from app.publish import publish_release
from app.recommend_evaluation import evaluate_recommenders
from app.workplace import open_workplace
from base.progress import silent
from llm_tasks.pipeline.catalogue import choose_tasks
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.plan import plan_task

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "movielens"
TASKS = ("interest_clusters", "google_novelty")
SHOWN = ("recall@10", "ndcg@10", "coverage@10", "popularity@10", "novelty@10")
TABLES = {"novelty": "answers", "novelty, random table": "random", "novelty, liked clusters": "liked"}


def main() -> None:
    """Ask in a separate home, evaluate with every table, and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(configure(Path(folder)))
        asked = ask(config)
        models: dict[str, Any] = {}
        size: dict[str, int] = {}
        for name, table in TABLES.items():
            found = evaluate_recommenders(config, silent, ["novelty"], {"novelty": {"table": table}}, at=(10,))
            measured = {one: {figure: of["all"][figure] for figure in SHOWN} for one, of in found["models"].items()}
            models |= {one: of for one, of in measured.items() if one != "novelty"} | {name: measured["novelty"]}
            size = found["segments"]["all"]
    print(json.dumps({"asked": asked, "models": models, "size": size}))


def configure(folder: Path) -> Path:
    """Write a knowflow.yaml with the example's data."""
    settings = yaml.safe_load((EXAMPLE / "knowflow.yaml").read_text(encoding="utf-8"))
    for source in ("events", "items", "queries"):
        settings[source] = settings[source] | {"path": str(EXAMPLE / settings[source]["path"])}
    settings |= {
        "home": "home",
        "plugins": [str(ROOT / "benchmarks" / "novelty_engine")],
        "engine": {"name": "scripted_novelty", "model": "scripted", "revision": "1"},
        "tasks": {name: {"encoders": []} for name in TASKS},
    }
    settings.pop("rewrites")
    file = folder / "knowflow.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return file


def ask(config: Config) -> dict[str, Any]:
    """Run both techniques and publish a release; return rows, calls and errors of each."""
    place, done = open_workplace(config), []
    with place.store.writer("a benchmark") as writer:
        for task in choose_tasks(TASKS):
            done.append({"task": task.name, **vars(generate(plan_task(task, place), place, writer, silent))})
    publish_release(config, place, TASKS, done, [])
    return {one["task"]: {name: one[name] for name in ("rows", "calls", "errors")} for one in done}


if __name__ == "__main__":
    main()
