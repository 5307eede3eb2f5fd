"""Export a release for other tools: entity tables in their formats, beside what says where they come from."""

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from app.config import Config
from app.exports.protocol import FORMATS, Exported
from app.feature_choice import FeatureChoice
from app.feature_sources import feature_sources
from app.workplace import open_dataset, open_store
from base.faults import WrongUse
from base.files import write_whole
from base.plugins import choose
from feature_store.features import Column, Source
from feature_store.releases import get_release

ABOUT = "knowflow_export.json"
"""Name of the file that says what was exported."""
EVERYTHING = FeatureChoice()


@dataclass(frozen=True)
class Export:
    """What was exported."""

    folder: Path
    """Where it is."""
    release: str
    """The release it comes from."""
    tables: dict[str, int]
    """Feature -> rows."""
    steps: tuple[str, ...]
    """What to do with it."""


def export_release(
    config: Config,
    format_name: str,
    out: Path,
    release: str | None = None,
    choice: FeatureChoice = EVERYTHING,
    before: datetime | None = None,
) -> Export:
    """Write what a release knows of items and users in the format of another tool.

    Args:
        config: The config.
        format_name: Name of an export format.
        out: A folder that is new or empty.
        release: Name of a release; None = the current one.
        choice: Which features.
        before: Only what was known strictly before this moment, UTC; None = everything.

    Raises:
        UnknownPlugin: There is no such format.
        WrongUse: The folder holds something, or nothing is left to export.
        NoRelease: There is no such release.
    """
    (chosen,) = choose(FORMATS, [format_name], config.plugin_folders)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WrongUse(f"--out: {out} holds something already\n  give a new folder: two releases must not mix")
    store = open_store(config)
    found = get_release(store, release)
    sources = [_until(one, before) for one in feature_sources(store, found, choice)]
    sources = [one for one in sources if len(one.known) and one.columns]
    if not sources:
        raise WrongUse(f"{found.name}: nothing was known before {before}\n  give a later moment: --before")
    out.mkdir(parents=True, exist_ok=True)
    project = re.sub(r"\W", "_", config.folder.name, flags=re.ASCII) or "shop"
    exported = Exported(found, tuple(sources), project, partial(open_dataset, config))
    steps = chosen.write(exported, out)
    tables = {column.name: len(source.known) for source, column in exported.columns()}
    about = {
        "release": found.name,
        "format": chosen.name,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "before": before and before.isoformat(),
        "columns": [{"name": one.name, "rows": len(of.known), **one.facts} for of, one in exported.columns()],
    }
    write_whole(out / ABOUT, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return Export(out, found.name, tables, tuple(steps))


def _until(source: Source, before: datetime | None) -> Source:
    """Return what was known strictly before a moment."""
    if before is None:
        return source
    moment = int(before.timestamp() * 1_000_000)
    rows = np.flatnonzero(source.known < moment)
    columns = tuple(replace(one, values=_some(one, rows)) for one in source.columns)
    return replace(source, entities=source.entities[rows], known=source.known[rows], columns=columns)


def _some(column: Column, rows: np.ndarray) -> np.ndarray | pl.Series:
    return column.values[rows] if isinstance(column.values, np.ndarray) else column.values.gather(rows)
