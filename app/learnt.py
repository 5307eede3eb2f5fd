"""Name what has learnt from users (tuned and kept models, fitted recommenders, codes), and how to make it again."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.config import Config
from app.recommend_evaluation import FOLDER as RECOMMENDERS
from ctr.kept import FACTS
from feature_store.codes import CODES_TABLE, EDGES_TABLE
from feature_store.database import Store
from feature_store.lineage import VectorName
from feature_store.releases import list_releases
from feature_store.traces import Traces
from tuning.workfolder import RESULT


@dataclass(frozen=True)
class Learnt:
    """Something whose numbers may have been shaped by a user."""

    what: str
    """What it is, and where."""
    again: str
    """How to make it again without the user."""


def learnt_from(config: Config, store: Store, traces: Traces, first: datetime | None) -> list[Learnt]:
    """Find what has learnt from some users, or may have. Writes nothing.

    Args:
        config: The config.
        store: The store.
        traces: Who they are.
        first: Their first event; None if it is not known, and then whatever saw events may have seen theirs.
    """
    found = [*_kept_models(config.home_folder, traces.users)]
    for folder, setting in _tuned_folders(config):
        said = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        if _saw(said, first):
            again = f"tune it again, as {RESULT} in it says: knowflow tune RECIPE --out FOLDER"
            found.append(Learnt(f"{setting}: {folder}", again))
    for file in sorted(config.home_folder.glob(f"{RECOMMENDERS}/*/{FACTS}")):
        if _saw(json.loads(file.read_text(encoding="utf-8")), first):
            name = file.parent.name
            found.append(Learnt(f"recommender {name}", f"knowflow eval recommend --model {name}"))
    current = next(reversed(list_releases(store)), None)
    for table in (CODES_TABLE, EDGES_TABLE):
        for name, said in (current.facts.get(table, {}) if current else {}).items():
            of = [one for one in said.get("made_from", {}) if VectorName.read(one).technique in traces.personal]
            found += [Learnt(f"{table} {name}", f"knowflow codes {name} --vectors {one}") for one in of]
    return found


def _saw(said: dict[str, Any], first: datetime | None) -> bool:
    """Return whether what a tuning or a fit records may include events at or after a moment."""
    if "seen_until" not in said or first is None:
        return True
    if said["seen_until"] is None:
        return False
    seen = datetime.fromisoformat(said["seen_until"])
    return (seen if seen.tzinfo else seen.replace(tzinfo=UTC)) >= first


def _kept_models(home: Path, users: Collection[str]) -> Iterator[Learnt]:
    for file in sorted(home.glob(f"models/*/*/{FACTS}")):
        known = json.loads(file.read_text(encoding="utf-8")).get("frame", {}).get("user_ids", ())
        if not set(users).isdisjoint(known):
            arm = f"{file.parent.parent.name}/{file.parent.name}"
            yield Learnt(f"kept model {arm}", f"knowflow train --arms {file.parent.name}; then delete models/{arm}")


def _tuned_folders(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield the folders of tuned models and adapters, named by the config or in the home, and what they are."""
    named = [
        *((f"adapter of {name}", one.adapter.path) for name, one in config.tasks.items() if one.adapter is not None),
        *((f"encoder {name}", one.settings.get("model", "")) for name, one in config.encoders.items()),
        ("model of the engine", config.engine.model),
    ]
    there = {(config.folder / path).resolve(): setting for setting, path in named if path}
    own = {path.parent.resolve(): "encoder" for path in config.home_folder.glob(f"encoders/*/{RESULT}")}
    for folder, setting in {**own, **there}.items():
        if (folder / RESULT).is_file():
            yield folder, setting
