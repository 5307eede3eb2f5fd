"""Export a release for other tools: entity tables in their formats, beside what says where they come from."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shutil import rmtree

import numpy as np
import polars as pl

from app.config import Config
from app.exports.protocol import FORMATS, Exported, ExportFormat, is_vectors
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
        WrongUse: The folder holds something, or nothing is left to export that the format can hold.
        NoRelease: There is no such release.
    """
    (chosen,) = choose(FORMATS, [format_name], config.plugin_folders)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WrongUse(f"--out: {out} holds something already\n  give a new folder: two releases must not mix")
    store = open_store(config)
    found = get_release(store, release)
    sources = _fitting(feature_sources(store, found, choice), chosen, found.name)
    sources = [one for one in (_until(source, before) for source in sources) if len(one.known)]
    if not sources:
        raise WrongUse(f"{found.name}: nothing was known before {before}\n  give a later moment: --before")
    project = re.sub(r"\W", "_", config.folder.name, flags=re.ASCII) or "shop"
    exported = Exported(found, tuple(sources), project, partial(open_dataset, config))
    steps = _written(chosen, exported, out)
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


def _fitting(sources: Sequence[Source], chosen: ExportFormat, release: str) -> list[Source]:
    """Return what a format holds of some sources.

    Raises:
        WrongUse: Some are about what the format knows nothing of, or no column is left.
    """
    tables = [one for one in sources if one.columns]
    if not tables:
        fix = "ages are no tables; choose others: --columns"
        raise WrongUse(f"{release}: the chosen columns hold no table to export\n  {fix}")
    if others := [one for one in tables if one.entity not in chosen.entities]:
        what = ", ".join(f"{one.name} is about {one.entity}s" for one in others)
        raise WrongUse(f"{chosen.name} holds {', '.join(chosen.entities)} alone, and {what}\n  use --format parquet")
    if not chosen.vectors_only:
        return tables
    held = [replace(one, columns=tuple(filter(is_vectors, one.columns))) for one in tables]
    if not any(one.columns for one in held):
        names = ", ".join(column.name for one in tables for column in one.columns)
        raise WrongUse(f"{chosen.name} holds vectors alone, and there are none in {names}\n  use --format parquet")
    return [one for one in held if one.columns]


def _written(chosen: ExportFormat, exported: Exported, out: Path) -> Sequence[str]:
    """Write an export; where that fails, leave nothing that would stop the next try."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        return chosen.write(exported, out)
    except BaseException:
        rmtree(out)
        raise


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
