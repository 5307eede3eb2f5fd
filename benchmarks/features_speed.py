"""Speed and memory of `knowflow features`: rows of a shop joined with two vectors of 384, written as Parquet.

Run:   .venv/bin/python benchmarks/features_speed.py [ROWS]
Needs: free space for the output: 3.1 KB a row, 16 GB for the 5 million rows of the default.
The shop has 100,000 items with a vector each, and 50,000 users with a vector after every quarter of a year. CPU time is
that of the whole process, from the opened config to the schema file, its two passes over the rows and the reading of
the release included; the best of three runs, to reduce the effect of other work on the machine, on which the system's
share, most of it for the pages of the output, depends most. The last line printed is one JSON object; `options` has the
same for other ways to write vectors, at a tenth of the rows.
"""

import json
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import yaml

from feature_store.database import Store
from feature_store.lineage import TABLE as LINEAGE_TABLE
from feature_store.lineage import VectorName, row_key
from feature_store.releases import publish
from feature_store.schemas import LINEAGE
from feature_store.vectors import text_key, write_vectors

ITEMS, USERS, SNAPSHOTS, WIDTH = 100_000, 50_000, 4, 384
START, YEAR = datetime(2024, 1, 1, tzinfo=UTC), 365 * 86_400
RUNS = 3
OPTIONS: dict[str, dict[str, Any]] = {
    "half": {"half": True},
    "indexed": {"indexed": True},
    "lz4": {"compression": "lz4"},
    "zstd": {"compression": "zstd"},
}


def main() -> None:
    """Make the shop, measure every way of writing in a process of its own, and print the results."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measured(Path(sys.argv[2]), json.loads(sys.argv[3]))))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    with TemporaryDirectory() as name:
        folder = Path(name)
        make_shop(folder)
        make_rows(folder / "few.parquet", rows // 10)
        options = {one: in_process(folder, {"rows": "few.parquet", **how}) for one, how in OPTIONS.items()}
        for one, found in options.items():
            speed, size = found["rows_per_cpu_second"], found["bytes_per_row"]
            print(f"  {one:10s} {speed:>9,} rows a CPU-second, {size:,} bytes a row")
        make_rows(folder / "rows.parquet", rows)
        runs = [in_process(folder, {"rows": "rows.parquet"}) for _ in range(RUNS)]
    found = max(runs, key=lambda one: one["rows_per_cpu_second"])
    found["runs"] = [one["rows_per_cpu_second"] for one in runs]
    print(f"  {'default':10s} {found['rows_per_cpu_second']:>9,} rows a CPU-second, peak {found['peak_gib']} GiB")
    print(json.dumps({"rows": rows, "items": ITEMS, "users": USERS, "width": WIDTH, **found, "options": options}))


def make_shop(folder: Path) -> None:
    """Write knowflow.yaml and a store with one release: two techniques, one encoder."""
    event = {"user": ["u0"], "item": ["i0"], "time": [START], "rating": [5.0]}
    pl.DataFrame(event).write_parquet(folder / "events.parquet")
    pl.DataFrame({"item": ["i0"], "title": ["a"]}).write_parquet(folder / "items.parquet")
    settings = {
        "home": "runs",
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title"},
    }
    (folder / "knowflow.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    moments = [START + timedelta(seconds=YEAR * place / SNAPSHOTS) for place in range(SNAPSHOTS)]
    known = {
        "kar_item": ("item", [(f"i{item}", epoch) for item in range(ITEMS)]),
        "kar_user": ("user", [(f"u{user}", moment) for user in range(USERS) for moment in moments]),
    }
    chance = np.random.default_rng(0)
    with Store(folder / "runs" / "store").writer("a benchmark") as writer:
        for task, (kind, rows) in known.items():
            lineage = lineage_of(task, kind, rows)
            writer.upsert(LINEAGE_TABLE, lineage.to_arrow().cast(LINEAGE), LINEAGE)
            vectors = chance.standard_normal((len(rows), WIDTH), dtype=np.float32)
            write_vectors(writer, VectorName(task, "dense"), "f", lineage["text_key"].to_list(), vectors)
        made = {f"{task}/dense": {"fingerprint": "f", "dimension": WIDTH} for task in known}
        publish(writer, {"vectors": made, "tasks": list(known)})


def lineage_of(task: str, kind: str, rows: list[tuple[str, datetime]]) -> pl.DataFrame:
    """Return lineage rows whose texts differ."""
    ids, times = [one for one, _ in rows], [when for _, when in rows]
    texts = [f"{task} {place}" for place in range(len(rows))]
    frame = pl.DataFrame(
        {
            "row": [row_key(task, one, when) for one, when in rows],
            "task": task,
            "entity_type": kind,
            "entity": ids,
            "as_of": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "text": texts,
            "text_key": [text_key(text) for text in texts],
        }
    )
    there = {name: pl.lit(None) for name in LINEAGE.names if name not in frame.columns}
    return frame.with_columns(**there).select(LINEAGE.names)


def make_rows(file: Path, rows: int) -> None:
    """Write impressions of users with items during the year, and what a team's own rows hold besides."""
    chance = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "user": chance.integers(0, USERS, rows),
            "item": (ITEMS * chance.random(rows) ** 2).astype(np.int64),
            "time": START.timestamp() + chance.integers(0, YEAR, rows),
            "position": chance.integers(0, 20, rows).astype(np.int16),
            "label": chance.integers(0, 2, rows).astype(np.int8),
        }
    )
    moment = (pl.col("time") * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    ids = {name: pl.format(name[0] + "{}", name) for name in ("user", "item")}
    frame.with_columns(time=moment, **ids).write_parquet(file, row_group_size=262_144)


def in_process(folder: Path, how: dict[str, Any]) -> dict[str, Any]:
    """Measure one way in a process of its own, whose peak memory is then its own."""
    command = [sys.executable, __file__, "--measure", str(folder), json.dumps(how)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(folder: Path, how: dict[str, Any]) -> dict[str, Any]:
    """Write the features once; return speed, peak memory, and size."""
    from app.config import load_config  # noqa: PLC0415 - not counted as work
    from app.feature_choice import FeatureChoice  # noqa: PLC0415
    from app.features import make_features  # noqa: PLC0415

    out, rows = folder / "features.parquet", folder / how.pop("rows")
    compression = how.pop("compression", "uncompressed")
    config, before = load_config(folder / "knowflow.yaml"), resource.getrusage(resource.RUSAGE_SELF)
    made = make_features(config, rows, out, choice=FeatureChoice(**how), compression=compression)
    after, size = resource.getrusage(resource.RUSAGE_SELF), out.stat().st_size
    out.unlink()
    own, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return {
        "rows_per_cpu_second": round(made.rows / (own + system)),
        "cpu_seconds": round(own + system, 1),
        "system_seconds": round(system, 1),
        "peak_gib": round(after.ru_maxrss / 2**20, 2),
        "bytes_per_row": round(size / made.rows),
        "known": made.known,
    }


if __name__ == "__main__":
    main()
