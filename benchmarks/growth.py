"""How cost grows with users: CPU time and peak memory of every stage, and the exponent of each over the sizes.

Run:   .venv/bin/python benchmarks/keep.py growth \\
           .venv/bin/python benchmarks/growth.py --users 10000 50000 200000 1000000
       .venv/bin/python benchmarks/growth.py --users 1000000 --folder FOLDER
Makes: for each size a shop in FOLDER or in a temporary one: 9.5 events a user, an item for every 20 users, each
       with two genres; an engine that answers at once; lexical vectors of users and items.

Each stage runs in a process of its own, as `knowflow refresh` and `knowflow train` run it without Prefect, so that its
peak is its own. CPU time is that of the stage after the data is loaded; `load` is the loading, which every stage
repeats.
`refresh_cold`, `refresh_same` and `refresh_1%` are all stages of a refresh with all loading, in one process: the first
one of a shop, one with nothing changed, and one after 1% of the users have a new event. `command_same` is the command
`knowflow refresh` with nothing changed, which ends before it loads anything; its start is counted.
`similar` is the median of 20 questions to opened vectors, and `open_ms` the time to open them.
`store` is the size on disk over that of a fresh copy of what is alive. The last line printed is one JSON object.
"""

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

ROOT = Path(__file__).resolve().parents[1]
USERS_AN_ITEM = 20
EVENTS_A_USER = 9.5
FIRST, DAY = 1_600_000_000, 86_400
GENRES = ("action", "comedy", "drama", "horror", "romance", "thriller", "western")
STAGES = ("load", "plan", "ask", "encode", "publish", "samples", "arm_samples", "similar")


def main() -> None:
    """Measure every size, fit exponents."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--stage")
    given = parser.parse_args()
    if given.stage:
        print(json.dumps(STEPS[given.stage](given.folder / "knowflow.yaml")))
        return
    sizes = {}
    for users in given.users:
        with tempfile.TemporaryDirectory() as temporary:
            sizes[str(users)] = measure((given.folder or Path(temporary)) / str(users), users)
    print(json.dumps({"sizes": sizes, "exponents": exponents(sizes)}))


def measure(folder: Path, users: int) -> dict[str, Any]:
    """Run every stage for one number of users."""
    folder.mkdir(parents=True, exist_ok=True)
    make_shop(folder, users)
    found: dict[str, Any] = {}
    for stage in STAGES:
        found[stage] = run(stage, folder)
        print(f"{users} {stage}: {found[stage]}", file=sys.stderr, flush=True)
    found["command_same"] = (command(folder), command(folder))[1]  # the first one notes that nothing is left to do
    again = folder / "again"
    again.mkdir()
    make_shop(again, users)
    found["refresh_cold"] = run("refresh", again)
    found["refresh_same"] = run("refresh", again)
    add_events(again, users, users // 100)
    found["refresh_1%"] = run("refresh", again)
    found["store"] = run("store", again)
    found["ratio_1%"] = round(found["refresh_1%"]["cpu_seconds"] / found["refresh_cold"]["cpu_seconds"], 4)
    for name in ("command_same", "refresh_cold", "refresh_same", "refresh_1%", "store"):
        print(f"{users} {name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def run(stage: str, folder: Path) -> dict[str, Any]:
    """Run one stage in a process of its own; return what it says."""
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def command(folder: Path) -> dict[str, Any]:
    """Run `knowflow refresh` as a user does; return CPU time and the largest peak among its processes."""
    line = [str(Path(sys.executable).with_name("knowflow")), "refresh", "--config", str(folder / "knowflow.yaml")]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    assert process.returncode == 0, "the refresh failed"
    return {"cpu_seconds": round(used.ru_utime + used.ru_stime, 2), "peak_gib": round(used.ru_maxrss / 2**20, 2)}


def make_shop(folder: Path, users: int, users_an_item: int = USERS_AN_ITEM) -> None:
    """Write events, items and knowflow.yaml."""
    chance = np.random.default_rng(users)
    items, events = max(users // users_an_item, 50), int(users * EVENTS_A_USER)
    numbers = np.arange(items)
    kinds = [[GENRES[one % 7], GENRES[(one // 7) % 7]] for one in numbers.tolist()]
    titles = [f"Thing {one} of the shop" for one in numbers.tolist()]
    ids = [f"i{one}" for one in numbers.tolist()]
    pl.DataFrame({"item": ids, "title": titles, "genres": kinds}).write_parquet(folder / "items.parquet")
    user = np.concatenate([np.arange(users), chance.integers(0, users, events - users)])  # everybody has an event
    item = np.minimum((items * chance.random(events) ** 2).astype(np.int64), items - 1)
    frame = {"user": user, "item": item, "time": FIRST + chance.integers(0, 365 * DAY, events)}
    write_events(pl.DataFrame(frame | {"rating": chance.integers(1, 6, events).astype(np.float64)}), folder)
    settings = {
        "plugins": [str(ROOT / "benchmarks" / "own_data_engine")],
        "engine": {"name": "echo", "model": "echo"},
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title", "categories": {"genres": "genres"}},
        "split": {"by": "global_time", "train": 0.8, "validation": 0.1},
        "tasks": {"kar_user": {}, "kar_item": {}},
        "encoders": {"lexical": {"kind": "lexical", "dimension": 64}},
    }
    (folder / "knowflow.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def add_events(folder: Path, users: int, changed: int) -> None:
    """Give some users one more event, later than all others."""
    chance = np.random.default_rng(1)
    user = chance.choice(users, changed, replace=False)
    item = chance.integers(0, max(users // USERS_AN_ITEM, 50), changed)
    frame = {"user": user, "item": item, "time": FIRST + 366 * DAY + np.arange(changed)}
    frame |= {"rating": chance.integers(1, 6, changed).astype(np.float64)}
    write_events(pl.DataFrame(frame), folder, pl.read_parquet(folder / "events.parquet"))


def write_events(frame: pl.DataFrame, folder: Path, before: pl.DataFrame | None = None) -> None:
    """Write numbered users and items as ids, after the events that there were."""
    named = frame.with_columns(pl.format("u{}", "user").alias("user"), pl.format("i{}", "item").alias("item"))
    (named if before is None else pl.concat([before, named])).write_parquet(folder / "events.parquet")


def load(path: Path) -> dict[str, Any]:
    """Load the data."""
    from app.config import load_config  # noqa: PLC0415 - the parent, which makes the shops, needs none of it
    from app.workplace import open_dataset  # noqa: PLC0415

    config = load_config(path)
    clock = Clock()
    open_dataset(config)
    return clock.read()


def plan(path: Path) -> dict[str, Any]:
    """Plan all techniques."""
    from app.config import load_config  # noqa: PLC0415
    from app.workplace import open_dataset  # noqa: PLC0415
    from app.workplace import plan as plan_all  # noqa: PLC0415

    config = load_config(path)
    dataset = open_dataset(config)
    clock = Clock()
    plans = plan_all(config, dataset=dataset)
    return clock.read() | {"calls": sum(len(one.asks) for one in plans), "rows": sum(len(one.rows) for one in plans)}


def ask(path: Path) -> dict[str, Any]:
    """Ask what the plan says; planning is not counted."""
    from app.config import load_config  # noqa: PLC0415
    from app.workplace import chosen_tasks  # noqa: PLC0415

    config = load_config(path)
    workplace = asking_place(config)
    spent, asked = 0.0, []
    for task in chosen_tasks(config, None):
        clock = Clock()
        asked.append(ask_one(config, workplace, task.name, clock))
        spent += clock.read()["cpu_seconds"]
    (path.parent / "asked.json").write_text(json.dumps(asked))
    return Clock().read() | {"cpu_seconds": round(spent, 2)}


def asking_place(config: Any) -> Any:
    """Load data, domain, engine and kept plans, as a refresh does before it asks."""
    from app.workplace import kept_plans, open_workplace  # noqa: PLC0415

    return replace(open_workplace(config), kept=kept_plans(config))


def ask_one(config: Any, workplace: Any, name: str, clock: "Clock | None" = None) -> dict[str, Any]:
    """Plan and ask one technique; the clock starts after the plan."""
    from app.workplace import one_task  # noqa: PLC0415
    from base.progress import silent  # noqa: PLC0415
    from llm_tasks.pipeline.generate import Spending, generate  # noqa: PLC0415
    from llm_tasks.pipeline.plan import plan_task  # noqa: PLC0415

    with workplace.store.writer("the benchmark") as writer:
        planned = plan_task(one_task(config, name), workplace, count_tokens=False)
        if clock:
            clock.start()
        done = asdict(generate(planned, workplace, writer, silent, Spending(config.prices)))
    return {**done, "cached": planned.count("cached"), "currency": config.prices.currency}


def encode(path: Path) -> dict[str, Any]:
    """Encode all texts."""
    from app.config import load_config  # noqa: PLC0415
    from app.encoding import encode_texts  # noqa: PLC0415
    from base.progress import silent  # noqa: PLC0415

    config = load_config(path)
    clock = Clock()
    vectors = encode_texts(config, list(config.tasks), silent)
    (path.parent / "vectors.json").write_text(json.dumps(vectors))
    return clock.read()


def publish(path: Path) -> dict[str, Any]:
    """Check the gates and publish."""
    from app.config import load_config  # noqa: PLC0415
    from app.publish import publish_release  # noqa: PLC0415
    from app.workplace import open_workplace  # noqa: PLC0415

    config = load_config(path)
    workplace = open_workplace(config)
    asked, vectors = (json.loads((path.parent / name).read_text()) for name in ("asked.json", "vectors.json"))
    clock = Clock()
    publish_release(config, workplace, list(config.tasks), asked, vectors)
    return clock.read()


def refresh(path: Path) -> dict[str, Any]:
    """Do all that a refresh does, with all loading, in one process; every stage opens the data that the first kept."""
    from app.config import load_config  # noqa: PLC0415
    from app.encoding import encode_texts  # noqa: PLC0415
    from app.kept_data import keep_dataset  # noqa: PLC0415
    from app.publish import publish_release  # noqa: PLC0415
    from app.workplace import open_dataset, open_workplace  # noqa: PLC0415
    from base.progress import silent  # noqa: PLC0415

    clock = Clock()
    config = load_config(path)
    keep_dataset(config, open_dataset(config))
    names, until = list(config.tasks), {"load": clock.read()["cpu_seconds"]}
    asked = [ask_one(config, asking_place(config), name) for name in names]
    until["ask"] = clock.read()["cpu_seconds"]
    vectors = encode_texts(config, names, silent)
    until["encode"] = clock.read()["cpu_seconds"]
    publish_release(config, open_workplace(config), names, asked, vectors)
    return clock.read() | {"calls": sum(one["calls"] for one in asked), "until": until}


def samples(path: Path) -> dict[str, Any]:
    """Build the samples and write them for the arms, as a training run does once."""
    from app.config import load_config  # noqa: PLC0415
    from app.samples import open_samples  # noqa: PLC0415
    from app.workplace import open_dataset  # noqa: PLC0415
    from ctr.kept_samples import write_samples  # noqa: PLC0415

    config, folder = load_config(path), path.parent / "samples"
    folder.mkdir()
    tables = [open_dataset(config)]
    clock = Clock()
    built = open_samples(config, tables.pop())
    write_samples(folder, built)
    return clock.read() | {"samples": len(built.label)}


def arm_samples(path: Path) -> dict[str, Any]:
    """Read the samples as an arm's process does, and all of their bytes."""
    from dataclasses import fields  # noqa: PLC0415

    from ctr.kept_samples import read_samples  # noqa: PLC0415

    clock = Clock()
    read = read_samples(path.parent / "samples")
    arrays = [value for one in fields(read) if isinstance(value := getattr(read, one.name), np.ndarray)]
    for array in arrays:
        array.view(np.uint8).max(initial=0)
    spent = clock.read()
    shutil.rmtree(path.parent / "samples")
    return spent


def similar(path: Path) -> dict[str, Any]:
    """Ask for the neighbours of 20 items, after the vectors were opened and a first question asked."""
    from app.config import load_config  # noqa: PLC0415
    from app.workplace import open_store  # noqa: PLC0415
    from feature_store.releases import get_release  # noqa: PLC0415
    from retrieval.similar import open_items  # noqa: PLC0415

    store = open_store(load_config(path))
    release = get_release(store)
    clock, taken, begun = Clock(), [], time.perf_counter()
    items = open_items(store, release, "kar_item", "lexical")
    opened = time.perf_counter() - begun
    for number in range(21):
        begun = time.perf_counter()
        found = items.near_item(f"i{number}")
        taken.append(time.perf_counter() - begun)
        assert len(found) == 10, "too few neighbours"
    spent = clock.read()
    return spent | {
        "cpu_seconds": round(spent["cpu_seconds"] / 21, 3),
        "ms": round(1e3 * float(np.median(taken[1:])), 1),
        "open_ms": round(1e3 * opened, 1),
    }


def store(path: Path) -> dict[str, Any]:
    """Return the bytes of the store, and of a fresh copy of the newest version of every table."""
    from disk import size_alive  # noqa: PLC0415

    from app.config import load_config  # noqa: PLC0415
    from app.workplace import open_store  # noqa: PLC0415
    from feature_store.retention import disk_use  # noqa: PLC0415

    there = open_store(load_config(path))
    size, files = disk_use(there)
    with tempfile.TemporaryDirectory() as folder:
        alive = size_alive(there, Path(folder))
    return {
        "mb": round(size / 1e6, 1),
        "files": files,
        "alive_mb": round(alive / 1e6, 1),
        "ratio": round(size / alive, 2),
    }


class Clock:
    """CPU time of this process and of its children that ended, from a start."""

    def __init__(self) -> None:
        """Start."""
        self.start()

    def start(self) -> None:
        """Start again."""
        self.begun = sum(os.times()[:4])

    def read(self) -> dict[str, float]:
        """Return the CPU seconds since the start, and the highest memory of this process or a child so far."""
        used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return {"cpu_seconds": round(sum(os.times()[:4]) - self.begun, 2), "peak_gib": round(used / 2**20, 2)}


STEPS = {
    "load": load,
    "plan": plan,
    "ask": ask,
    "encode": encode,
    "publish": publish,
    "samples": samples,
    "arm_samples": arm_samples,
    "similar": similar,
    "refresh": refresh,
    "store": store,
}


def exponents(sizes: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Fit cost = a * users ** exponent to the CPU time of each stage, where it is long enough to be measured."""
    fitted = {}
    for stage in (*STAGES, "refresh_1%"):
        points = [(int(users), found[stage]["cpu_seconds"]) for users, found in sizes.items()]
        points = [(math.log(users), math.log(spent)) for users, spent in points if spent >= 0.05]
        if len(points) > 1:
            sizes_of, costs = np.array(points).T
            fitted[stage] = round(float(np.polyfit(sizes_of, costs, 1)[0]), 3)
    return fitted


if __name__ == "__main__":
    main()
