"""The schema file beside features: what each column means, where it comes from, and how often it is known."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from base.files import write_whole
from feature_store.features import Source
from feature_store.releases import Release

RELEASE = "knowflow_release"
"""Name of the column that holds the name of the release."""
RULE = (
    "A row at time t sees the newest knowledge of its user or item whose as_of is strictly before t; what became known"
    " at t itself is not seen. A row without a time sees everything. null = nothing was known."
)
COMPUTED = "from strictly earlier events of the log, each number standardised by earlier events, as in training"
AGE = "days from the newest event that {} may have seen (its as_of) to the row; null where it uses no event"


def schema_file(out: Path) -> Path:
    """Return the schema file of a file of features: `features.schema.json` of `features.parquet`."""
    return out.with_name(f"{out.stem}.schema.json")


def write_schema(
    out: Path,
    release: Release,
    sources: Sequence[Source],
    meanings: Mapping[str, str],
    types: Mapping[str, pl.DataType],
    kept: Sequence[str],
    rows: int,
    known: Mapping[str, int],
) -> Path:
    """Write the schema file.

    Args:
        out: The file of features.
        release: The release they come from.
        sources: The features that are joined.
        meanings: The features that are computed -> what each is.
        types: Column -> its type, of all columns.
        kept: Columns of the user's rows.
        rows: Number of rows.
        known: Feature -> rows for which something was known.
    """
    content = {
        "made_by": f"knowflow {version('knowflow')}",
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": release.name,
        "release_made_at": release.created_at.isoformat(),
        "data_version": release.facts.get("data_version"),
        "model": release.facts.get("model"),
        "knowledge_cutoff": release.facts.get("knowledge_cutoff"),
        "rows": rows,
        "rule": RULE,
        "columns": [*(_said(name, types, {"meaning": "a column of your rows"}) for name in kept)],
    }
    for source in sources:
        for one in source.columns:
            coverage = round(known[one.name] / max(rows, 1), 6)
            content["columns"].append(_said(one.name, types, {**one.facts, "coverage": coverage}))
        if source.age:
            content["columns"].append(_said(source.age, types, {"meaning": AGE.format(source.name)}))
    for name, meaning in meanings.items():
        told = {"meaning": f"{meaning}; {COMPUTED}", "coverage": round(known[name] / max(rows, 1), 6)}
        content["columns"].append(_said(name, types, told))
    content["columns"].append(_said(RELEASE, types, {"meaning": "the release that the features come from"}))
    file = schema_file(out)
    write_whole(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return file


def _said(name: str, types: Mapping[str, pl.DataType], facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": str(types[name]), **facts}
