"""Disk space over sixty nights: what a store takes with fourteen releases, over what is alive in it.

Run:   .venv/bin/python benchmarks/keep.py disk
A shop of 12,000 items and 1,000 users gets seven new items and six new events every night. Each night does what the
flow `nightly` does before training (ask, encode, publish; an engine that answers at once), then `knowflow release gc`.
What is alive is a fresh copy of the newest version of every table. The last line printed is one JSON object.
"""

import json
import random
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lance
import polars as pl
import yaml

from app.config import load_config
from app.encoding import encode_texts
from app.publish import publish_release
from app.workplace import chosen_tasks, one_task, open_store, open_workplace
from base.progress import silent
from feature_store.database import Store
from feature_store.retention import KeepConfig, collect, disk_use
from llm_tasks.pipeline.generate import Spending, generate
from llm_tasks.pipeline.plan import plan_task

ROOT = Path(__file__).resolve().parents[1]
NIGHTS, USERS, ITEMS, EVENTS = 60, 1_000, 12_000, 20
START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = ("warm", "slow", "bright", "noir", "tender", "comic", "grim", "vast", "quiet", "loud", "rural", "urban")


def main() -> None:
    """Simulate the nights, print the sizes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_config(folder)
        for number in range(NIGHTS + 1):
            write_data(folder, number)
            night(config)
            store = open_store(load_config(config))
            with store.writer("the benchmark") as writer:
                keep = KeepConfig(releases=14, days=0)
                done = collect(writer, keep, datetime.now(UTC), untagged=timedelta(0))
            if number % 10 == 0:
                print(f"night {number}: {done.bytes_after / 1e6:,.1f} MB in {done.files_after:,} files", flush=True)
        store = open_store(load_config(config))
        size, files = disk_use(store)
        alive = size_alive(store, folder / "alive")
    found = {"nights": NIGHTS, "bytes": size, "files": files, "alive": alive, "ratio": round(size / alive, 3)}
    print(json.dumps(found))


def write_config(folder: Path) -> Path:
    """Write knowflow.yaml."""
    settings = {
        "plugins": [str(ROOT / "benchmarks" / "own_data_engine")],
        "engine": {"name": "echo", "model": "echo"},
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title"},
        "tasks": {"kar_item": {}, "kar_user": {"snapshots": [1.0]}, "item_facts": {}},
        "encoders": {"lexical": {"kind": "lexical", "dimension": 256}},
    }
    path = folder / "knowflow.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def write_data(folder: Path, nights: int, users: int = USERS, items: int = ITEMS) -> None:
    """Write the events and items that there are after so many nights."""
    chance, events = random.Random(0), []
    for user in range(users):
        for place in range(EVENTS):
            time = START + timedelta(hours=5 * place, seconds=user)
            events.append((f"u{user}", f"i{chance.randrange(items)}", time, float(chance.randint(1, 5))))
    for day in range(nights):
        for minute in range(6):
            time = START + timedelta(days=10 + day, minutes=minute)
            item = f"i{chance.randrange(items + 7 * day)}"
            events.append((f"u{chance.randrange(users)}", item, time, float(chance.randint(1, 5))))
    count = items + 7 * nights
    titles = [f"Thing {n} of {' '.join(random.Random(n).choices(WORDS, k=40))}" for n in range(count)]
    frame = pl.DataFrame(events, schema=["user", "item", "time", "rating"], orient="row")
    frame.write_parquet(folder / "events.parquet")
    pl.DataFrame({"item": [f"i{n}" for n in range(count)], "title": titles}).write_parquet(folder / "items.parquet")


def night(path: Path) -> None:
    """Ask, encode and publish."""
    config = load_config(path)
    workplace = open_workplace(config)
    names, asked = [task.name for task in chosen_tasks(config, None)], []
    for name in names:
        with workplace.store.writer("the benchmark") as writer:
            plan = plan_task(one_task(config, name), workplace, count_tokens=False)
            spending = Spending(config.prices)
            done = asdict(generate(plan, workplace, writer, silent, spending))
        asked.append({**done, "cached": plan.count("cached"), "currency": config.prices.currency})
    publish_release(config, workplace, names, asked, encode_texts(config, names, silent))


def size_alive(store: Store, folder: Path) -> int:
    """Return the bytes of a fresh copy of the newest version of every table."""
    for table in store.tables():
        lance.write_dataset(lance.dataset(str(store.path(table))).to_table(), str(folder / f"{table}.lance"))
    return disk_use(Store(folder))[0]


if __name__ == "__main__":
    main()
