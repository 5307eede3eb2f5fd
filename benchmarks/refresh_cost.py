"""What a refresh costs when 1% of the users changed, over what the first one cost: CPU time of both.

Run:   .venv/bin/python benchmarks/keep.py refresh_cost
100,000 users with ten events each, 2,000 items; then 1,000 users get one more event. The engine answers at once, so the
cost of a model is not counted. Both refreshes do what `knowflow refresh` does without Prefect: read, plan, ask, encode,
publish; each is a process of its own, and its start is not counted. Once with the encoder `dense`, as templates have it
(`ratio`), and once with `lexical`, which costs next to nothing: then only our own work is compared (`ratio_lexical`).
The last line printed is one JSON object.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from app.config import load_config
from app.encoding import encode_texts
from app.publish import publish_release
from app.workplace import chosen_tasks, kept_plans, one_task, open_workplace
from base.progress import silent
from feature_store.releases import get_release
from llm_tasks.pipeline.generate import Spending, generate
from llm_tasks.pipeline.plan import plan_task

ROOT = Path(__file__).resolve().parents[1]
ITEMS, EVENTS = 2_000, 10
START = datetime(2024, 1, 1, tzinfo=UTC)


def main(users: int = 100_000) -> None:
    """Refresh twice, print both costs."""
    lexical = measure(users, {"kind": "lexical", "dimension": 64})
    dense = measure(users, {"kind": "dense"})
    print(json.dumps({"users": users, **dense, **{f"{name}_lexical": value for name, value in lexical.items()}}))


def measure(users: int, encoder: dict[str, Any]) -> dict[str, Any]:
    """Refresh twice with an encoder; return both costs and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_config(folder, encoder)
        found = {}
        for what in ("full", "again"):
            write_data(folder, users, changed=users // 100 if what == "again" else 0)
            done = subprocess.run(
                [sys.executable, __file__, str(folder / "knowflow.yaml")], stdout=subprocess.PIPE, check=True
            )
            found[what] = json.loads(done.stdout.splitlines()[-1])
            print(f"{encoder['kind']} {what}: {found[what]}", flush=True)
    full, again = found["full"], found["again"]
    assert (full["calls"], again["calls"]) == (users + ITEMS, users // 100), "the refreshes asked something else"
    return {"full": full, "again": again, "ratio": round(again["cpu_seconds"] / full["cpu_seconds"], 4)}


def write_config(folder: Path, encoder: dict[str, Any]) -> None:
    """Write knowflow.yaml."""
    settings = {
        "plugins": [str(ROOT / "benchmarks" / "own_data_engine")],
        "engine": {"name": "echo", "model": "echo"},
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title"},
        "tasks": {"kar_item": {"encoders": ["one"]}, "kar_user": {"snapshots": [1.0], "encoders": ["one"]}},
        "encoders": {"one": encoder},
    }
    (folder / "knowflow.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def write_data(folder: Path, users: int, changed: int) -> None:
    """Write the items and the events; as many users have one more event."""
    chance, events = random.Random(0), []
    for user in range(users):
        for place in range(EVENTS):
            time = START + timedelta(hours=5 * place, seconds=user)
            events.append((f"u{user}", f"i{chance.randrange(ITEMS)}", time, float(chance.randint(1, 5))))
    for user in chance.sample(range(users), changed):
        time = START + timedelta(days=10, seconds=user)
        events.append((f"u{user}", f"i{chance.randrange(ITEMS)}", time, float(chance.randint(1, 5))))
    frame = pl.DataFrame(events, schema=["user", "item", "time", "rating"], orient="row")
    frame.write_parquet(folder / "events.parquet")
    titles = [f"Thing {number}" for number in range(ITEMS)]
    pl.DataFrame({"item": [f"i{n}" for n in range(ITEMS)], "title": titles}).write_parquet(folder / "items.parquet")


def refresh(path: Path) -> None:
    """Ask, encode and publish; print calls and CPU seconds as JSON."""
    begun, steps = cpu_seconds(), {}
    config = load_config(path)
    workplace = replace(open_workplace(config), kept=kept_plans(config))
    names, asked = [task.name for task in chosen_tasks(config, None)], []
    steps["read"] = cpu_seconds() - begun
    for name in names:
        with workplace.store.writer("the benchmark") as writer:
            plan = plan_task(one_task(config, name), workplace, count_tokens=False)
            steps["plan"] = cpu_seconds() - begun
            done = asdict(generate(plan, workplace, writer, silent, Spending(config.prices)))
        asked.append({**done, "cached": plan.count("cached"), "currency": config.prices.currency})
        steps["ask"] = cpu_seconds() - begun
    vectors = encode_texts(config, names, silent)
    steps["encode"] = cpu_seconds() - begun
    publish_release(config, workplace, names, asked, vectors)
    spent = cpu_seconds() - begun
    steps["publish"] = spent
    get_release(workplace.store)
    told = {name: round(seconds, 2) for name, seconds in steps.items()}
    print(json.dumps({"calls": sum(one["calls"] for one in asked), "cpu_seconds": round(spent, 2), "until": told}))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that ended."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].endswith(".yaml"):
        refresh(Path(sys.argv[1]))
    else:
        main(*map(int, sys.argv[1:]))
