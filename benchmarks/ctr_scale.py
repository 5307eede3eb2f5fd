"""A big log: from Parquet to a trained network, its peak memory and its speed, on one thread.

Run:   python benchmarks/ctr_scale.py [--events 10000000] [--folder FOLDER]
Makes: a log of simulated users, the same from the same number of events, in FOLDER or in a temporary one.

Users rate items that are near them; items are popular by a power law, two events in ten share a second with another one
of the same user. The log is split by time. A child process reads it as `knowflow train` does, counts the strictly
earlier statistics of every event and trains the default network for one epoch; it says the peak of its memory after
each step. The last line printed is one JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

EVENTS_A_USER = 50
ITEMS = 50_000
CHUNK = 1_000_000
GENRES = 18
FIRST = 1_500_000_000
YEARS = 3 * 365 * 86_400
CONFIG = """\
home: home
events: {path: events.parquet, user: user, item: item, time: time, rating: rating}
label: {rating_at_least: 4}
items: {path: items.parquet, id: item, title: title, categories: {genres: genres}}
split: {by: global_time, train: 0.9, validation: 0.02}
"""


def main() -> None:
    """Make the log, and run the child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", action="store_true", help="read and train, in this process")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(train(given.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "knowflow.yaml").exists():
            make_log(folder, given.events)
        command = [sys.executable, __file__, "--child", "--folder", str(folder)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps({"events": given.events} | found))


def make_log(folder: Path, events: int) -> None:
    """Write the items, then the events in chunks."""
    random = np.random.default_rng(7)
    nature, quality = random.normal(size=(ITEMS, 4)).astype(np.float32), random.normal(size=ITEMS).astype(np.float32)
    genres = [sorted({f"g{one}" for one in row}) for row in random.integers(0, GENRES, (ITEMS, 2))]
    ids = [f"i{item}" for item in range(ITEMS)]
    pl.DataFrame({"item": ids, "title": ids, "genres": genres}).write_parquet(folder / "items.parquet")
    users = max(events // EVENTS_A_USER, 1)
    taste = random.normal(size=(users, 4)).astype(np.float32)
    parts = []
    for number, begin in enumerate(range(0, events, CHUNK)):
        size = min(CHUNK, events - begin)
        user = random.integers(0, users, size)
        item = np.minimum((ITEMS * random.random(size) ** 3).astype(np.int64), ITEMS - 1)
        liking = np.einsum("nd,nd->n", taste[user], nature[item]) / 2 + quality[item] + random.normal(size=size)
        second = FIRST + random.integers(0, YEARS, size)
        second -= np.where(random.random(size) < 0.2, second % 86_400, 0)  # many at midnight
        rating = np.clip(np.round(3.5 + liking), 1, 5).astype(np.float32)
        frame = pl.DataFrame({"user": user, "item": item, "time": second, "rating": rating})
        parts.append(folder / f"part{number}.parquet")
        named = frame.with_columns(pl.format("u{}", "user").alias("user"), pl.format("i{}", "item").alias("item"))
        named.write_parquet(parts[-1])
    pl.scan_parquet(parts).sink_parquet(folder / "events.parquet")
    for part in parts:
        part.unlink()
    (folder / "knowflow.yaml").write_text(CONFIG)


def train(folder: Path) -> dict[str, Any]:
    """Read the log, count and train; return what it took."""
    import torch  # noqa: PLC0415  (the parent, which makes the log, needs none of it)

    from app.config import load_config  # noqa: PLC0415
    from app.samples import open_samples  # noqa: PLC0415
    from app.workplace import open_dataset  # noqa: PLC0415
    from ctr.arms.base import BASE  # noqa: PLC0415
    from ctr.config import TrainConfig  # noqa: PLC0415
    from ctr.learners import Network  # noqa: PLC0415

    torch.set_num_threads(1)
    steps: dict[str, Any] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.process_time()
        made = work()
        steps[name] = {"cpu_seconds": round(time.process_time() - begun, 1), "peak_gib": peak_gib()}
        print(f"{name:10s} {steps[name]['cpu_seconds']:8.1f} CPU-seconds  peak {peak_gib():.2f} GiB", file=sys.stderr)
        return made

    config = load_config(folder / "knowflow.yaml")
    steps["start"] = {"cpu_seconds": round(time.process_time(), 1), "peak_gib": peak_gib()}
    tables = [timed("read", lambda: open_dataset(config))]
    samples = timed("count", lambda: open_samples(config, tables.pop()))  # which needs no events any more
    learner = timed("gather", lambda: Network(BASE, {}, samples))
    train_config = TrainConfig(backbone="dcnv2", search=(), epochs=1)
    model = timed("train", lambda: learner.train(samples.part, train_config, 0))
    return {
        "peak_gib": peak_gib(),
        "samples_per_cpu_second": round(model.samples_per_cpu_second),
        "validation_auc": model.validation_auc[0],
        "statistics_events_per_cpu_second": round(len(samples.label) / max(steps["count"]["cpu_seconds"], 0.1)),
        "users": len(samples.user_ids),
        "items": len(samples.item_ids),
        "steps": steps,
    }


def peak_gib() -> float:
    """Return the highest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


if __name__ == "__main__":
    main()
