"""Damage a small store in fourteen ways: count what `verify` finds, and what `repair` and a refresh restore.

Run:   .venv/bin/python benchmarks/corruption.py
Each kind damages a separate copy of a store with two releases. `found`: verify names the damaged file, and no other.
`restored`: after the repair and a refresh, verify finds nothing, the current release holds the same texts and vectors
as before, and no more calls were made than the plan of the repair said. It takes some twenty CPU-seconds. The last line
printed is one JSON object. tests/feature_store/test_corruption.py tests each kind.
"""

import json
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import yaml

from app.config import load_config
from app.publish import publish_release
from app.workplace import chosen_tasks, damaged_store, encoders_of, open_workplace
from base.progress import silent
from feature_store.checksums import manifest_of, versions_of
from feature_store.database import Store
from feature_store.release_record import row_of
from feature_store.releases import get_release, released_knowledge, released_lineage, write_copy
from feature_store.repair import plan_repair, repair
from feature_store.schemas import RELEASES
from feature_store.verify import verify
from llm_tasks.pipeline.encode import encode_task
from llm_tasks.pipeline.generate import generate
from llm_tasks.pipeline.plan import plan_task

ENGINE = Path(__file__).resolve().parent / "own_data_engine"
START = datetime(2024, 1, 1, tzinfo=UTC)
VECTORS = "vectors_lexical_4.kar_item"
WORDS = ("warm", "slow", "bright", "noir", "tender", "comic", "grim", "vast", "quiet", "loud", "heist")


def write_items(folder: Path, count: int) -> None:
    """Write a catalogue of things with a title of two words."""
    titles = [f"{WORDS[place % 11]} {WORDS[(7 * place + 3) % 11]} {place}" for place in range(count)]
    pl.DataFrame({"item": [f"i{place}" for place in range(count)], "title": titles}).write_parquet(
        folder / "items.parquet"
    )


def build(folder: Path) -> Path:
    """Make a store with two releases; the second one has three more items. Return its knowflow.yaml."""
    folder.mkdir(parents=True)
    rows = [(f"u{user}", f"i{(user + place) % 8}", START + timedelta(minutes=place), 4.0)
            for user in range(3) for place in range(5)]  # fmt: skip
    events = pl.DataFrame(rows, schema=["user", "item", "time", "rating"], orient="row")
    events.write_parquet(folder / "events.parquet")
    settings = {
        "home": "runs",
        "events": {"path": "events.parquet", "user": "user", "item": "item", "time": "time", "rating": "rating"},
        "label": {"rating_at_least": 4},
        "items": {"path": "items.parquet", "id": "item", "title": "title"},
        "plugins": [str(ENGINE)],
        "engine": {"name": "echo", "model": "echo"},
        "tasks": {"kar_item": {}},
        "encoders": {"lexical": {"kind": "lexical", "dimension": 4}},
    }
    path = folder / "knowflow.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    for count in (8, 11):
        write_items(folder, count)
        refresh(path)
    return path


def refresh(path: Path) -> int:
    """Ask, encode and publish, as the flow does; return the number of calls."""
    config = load_config(path)
    place, calls, asked, made = open_workplace(config), 0, [], []
    for task in chosen_tasks(config, None):
        with place.store.writer("corruption") as writer:
            done = generate(plan_task(task, place), place, writer, silent)
            made += encode_task(task, encoders_of(config, task.name), writer, silent, config.folder)
        asked.append({"task": task.name, **vars(done)})
        calls += done.calls
    publish_release(config, place, [one["task"] for one in asked], asked, [vars(one) for one in made])
    return calls


def held(path: Path) -> tuple[dict[str, str], dict[str, list[float]]]:
    """Return what the current release holds: entity -> text, and entity -> vector."""
    store = damaged_store(load_config(path))
    release = get_release(store)
    knowledge = released_knowledge(store, release, "kar_item", "lexical")
    texts = released_lineage(store, release, ["kar_item"]).select("entity", "text")
    vectors = {
        str(key): np.round(row, 3).tolist() for key, row in zip(knowledge.entities, knowledge.vectors, strict=True)
    }
    return dict(texts.iter_rows()), vectors


def newest_file(store: Store, table: str, part: str = "data") -> Path:
    """Return the largest file of a table."""
    return max((store.path(table) / part).rglob("*.lance"), key=lambda file: file.stat().st_size)


def flip(file: Path, count: int = 160) -> None:
    """Change bytes of a file."""
    content, chance = bytearray(file.read_bytes()), random.Random(7)
    for place in chance.sample(range(len(content)), min(count, len(content))):
        content[place] ^= chance.randrange(1, 256)
    file.write_bytes(content)


def zero(file: Path) -> None:
    """Fill a file with zeros."""
    file.write_bytes(bytes(file.stat().st_size))


def newest_manifest(store: Store, table: str) -> Path:
    """Return the newest manifest of a table."""
    return manifest_of(store.path(table), versions_of(store.path(table))[0])


def _truncated(store: Store) -> Path:
    file = newest_file(store, "answers")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file


def _flipped(table: str, part: str = "data") -> Callable[[Store], Path]:
    def damage(store: Store) -> Path:
        file = newest_file(store, table, part)
        flip(file)
        return file

    return damage


def _gone_file(store: Store) -> Path:
    file = newest_file(store, VECTORS)
    file.unlink()
    return file


def _gone_table(store: Store) -> Path:
    shutil.rmtree(store.path("lineage"))
    return store.path("lineage")


def _gone_manifest(store: Store) -> Path:
    file = newest_manifest(store, "answers")
    file.unlink()
    return file


def _zeroed_manifest(store: Store) -> Path:
    file = newest_manifest(store, "lineage")
    zero(file)
    return file


def _zeroed_releases(store: Store) -> Path:
    for file in store.path("releases").rglob("*.*"):
        zero(file)
    return newest_manifest(store, "releases")


def _text(name: str, text: str) -> Callable[[Store], Path]:
    def damage(store: Store) -> Path:
        (store.folder / name).write_text(text)
        return store.folder / name

    return damage


def _other_store(store: Store) -> Path:
    release = get_release(store)
    row = {**row_of(release), "facts": json.dumps({**release.facts, "store": "another"})}
    with store.writer("corruption") as writer:
        writer.upsert("releases", pa.Table.from_pylist([row], schema=RELEASES), RELEASES)
        write_copy(store)
    return store.path("releases")


def _orphan(store: Store) -> Path:
    file = store.path("lineage") / "_deletions" / "0-1-99.arrow"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"nobody's")
    return file


KINDS: dict[str, Callable[[Store], Path]] = {
    "flipped bytes in a file of vectors": _flipped(VECTORS),
    "flipped bytes in a file of answers": _flipped("answers"),
    "a file of answers cut off": _truncated,
    "a file of vectors missing": _gone_file,
    "a table missing": _gone_table,
    "a manifest missing": _gone_manifest,
    "a manifest filled with zeros": _zeroed_manifest,
    "the releases filled with zeros": _zeroed_releases,
    "a damaged state of an encoder": _flipped("encoder_states"),
    "a damaged index of words": _flipped("documents", "_indices"),
    "a damaged line of the journal": _text("answers.journal", '{"key": "broken", "te\n'),
    "a damaged store.json": _text("store.json", "{"),
    "a release of another store": _other_store,
    "a deletion file that no version uses": _orphan,
}
"""Kind -> function that damages a store and returns the file."""


@dataclass(frozen=True)
class Outcome:
    """What became of one kind of damage."""

    found: bool
    """Whether verify named the file."""
    restored: bool
    """Whether all was there again after repair and refresh."""
    note: str
    """What verify said, or why it was not restored."""


def run_kind(path: Path, damage: Callable[[Store], Path]) -> Outcome:
    """Damage a store, verify it, repair it, refresh it."""
    before = held(path)
    store = damaged_store(load_config(path))
    file = damage(store).relative_to(store.folder).as_posix()
    findings = verify(store).findings
    found = bool(findings) and all(one.fault.file == file for one in findings)
    said = "; ".join(f"{one.fault.file}: {one.fault.what}" for one in findings)
    if not found:
        return Outcome(False, False, f"{file} was damaged, verify said: {said}")
    planned = sum(step.calls for step in plan_repair(store))
    repair(store, "corruption")
    calls = refresh(path)
    after, left = held(path), verify(store).findings
    if left or calls > planned or after != before:
        return Outcome(True, False, f"{calls} calls, {planned} planned; same: {after == before}; left: {left}")
    return Outcome(True, True, f"{said} ({calls} calls)")


def corruption(tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Run every kind in a separate copy of one store.

    Args:
        tell: Called with one line per kind.
    """
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "store")
        for number, (kind, damage) in enumerate(KINDS.items()):
            shutil.copytree(Path(folder) / "store", Path(folder) / str(number))
            done = run_kind(Path(folder) / str(number) / "knowflow.yaml", damage)
            outcomes.append(done)
            tell(f"{kind:38} {'found' if done.found else 'NOT FOUND':10} "
                 f"{'restored' if done.restored else 'NOT RESTORED':13} {done.note}")  # fmt: skip
    return {
        "found": sum(one.found for one in outcomes),
        "restored": sum(one.restored for one in outcomes),
        "kinds": len(KINDS),
    }


def main() -> None:
    """Print the results."""
    print(json.dumps(corruption(print)))


if __name__ == "__main__":
    main()
