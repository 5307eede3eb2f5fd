"""The next served table of rewrites: compared with the current one, checked by its gates, then written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feature_store.database import Store, Writer
from feature_store.gate import Gate, RewriteGates
from feature_store.releases import Release
from feature_store.schemas import REWRITES
from feature_store.served import TABLE, read_rewrites

FILE = pa.schema([column for column in REWRITES if column.name != "created_at"])
"""Columns of a table before it is written."""


@dataclass(frozen=True)
class RewriteTable:
    """The next table: written only if its gates, and all others, pass."""

    rows: Sequence[Mapping[str, Any]]
    """One dict per query, with the columns of `schemas.REWRITES` except `created_at`."""
    judge: str
    """Name of the relevance model; relevance from two models cannot be compared."""
    threshold: float
    """Score above which an item was relevant."""
    auc: float | None = None
    """AUC of the relevance model for engaged items against random ones; None if it was not calibrated."""
    config: RewriteGates = field(default_factory=RewriteGates)
    """Thresholds of the gates."""

    @property
    def command(self) -> str:
        """Return the command that makes it."""
        return "knowflow rewrites"

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts that a release records about it."""
        counts = {"queries": len(self.rows), "rewrites": sum(len(row["rewrites"]) for row in self.rows)}
        judged = {"judge": self.judge, "threshold": self.threshold, "auc": self.auc}
        return {"rewrites": {**counts, "relevance": mean_relevance(self.rows), **judged}}

    def save(self, path: Path) -> None:
        """Write the table to a Parquet file, whether or not its gates pass."""
        about = json.dumps({"judge": self.judge, "threshold": self.threshold, "auc": self.auc})
        schema = FILE.with_metadata({"knowflow": about})
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([dict(row) for row in self.rows], schema=schema), path)

    @classmethod
    def load(cls, path: str | Path, config: RewriteGates) -> "RewriteTable":
        """Read a file written by `save`."""
        table = pq.read_table(path)
        return cls(table.to_pylist(), **json.loads(table.schema.metadata[b"knowflow"]), config=config)

    def changes(self, store: Store) -> bool:
        """Return whether writing would change the store."""
        changed, gone = _differences(self.rows, read_rewrites(store))
        return bool(changed or gone)

    def write(self, writer: Writer) -> None:
        """Write the rows that differ, and delete those of queries that are no longer served."""
        changed, gone = _differences(self.rows, read_rewrites(writer.store))
        if changed:
            made = [{**row, "created_at": datetime.now(UTC)} for row in changed]
            writer.upsert(TABLE, pa.Table.from_pylist(made, schema=REWRITES), REWRITES)
        if gone:
            writer.delete(TABLE, "query", gone)

    def gates(self, store: Store, before: Release | None) -> list[Gate]:
        """Check the table against its thresholds and the current release."""
        old = before.facts.get("rewrites") if before else None
        version = before.versions.get(TABLE) if before else None
        served = [] if version is None else read_rewrites(store, version)
        return [
            _relevance_gate(self.facts["rewrites"], old, self.config.relevance_fall),
            _unchanged_gate(self.rows, self.config.unchanged),
            _drift_gate(self.rows, served, self.config.drift),
        ]


def mean_relevance(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean over queries of the mean relevance of their rewrites; a query without any counts 0."""
    means = [
        sum(one["relevance"] for one in row["rewrites"]) / len(row["rewrites"]) if row["rewrites"] else 0.0
        for row in rows
    ]
    return sum(means) / len(means) if means else 0.0


def _differences(
    rows: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the rows that are new or changed, and the keys of rows that are gone."""
    known = {row["query"]: {name: value for name, value in row.items() if name != "created_at"} for row in there}
    changed = [row for row in rows if known.get(row["query"]) != row]
    return changed, sorted(known.keys() - {row["query"] for row in rows})


def _relevance_gate(now: Mapping[str, Any], before: Mapping[str, Any] | None, fall: float) -> Gate:
    name, found = "rewrites relevance", f"{now['relevance']:.4f} on average over {now['queries']:,} queries"
    if not now["queries"]:
        return Gate(name, holds=False, found="no query has rewrites")
    if before is None or before["judge"] != now["judge"]:
        return Gate(name, True, f"{found}; {'first table' if before is None else 'judged otherwise before'}")
    holds = now["relevance"] >= before["relevance"] - fall - 1e-12
    return Gate(name, holds, f"{found}, {before['relevance']:.4f} before, may fall by {fall:g}")


def _unchanged_gate(rows: Sequence[Mapping[str, Any]], most: float) -> Gate:
    dropped = sum(row["dropped"] for row in rows)
    number = dropped + sum(len(row["rewrites"]) for row in rows)
    share = dropped / max(number, 1)
    found = f"{share:.1%} of {number:,} rewrites are empty, the query itself or double, at most {most:.1%}"
    return Gate("rewrites that change the query", share <= most, found)


def _drift_gate(rows: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]], most: float) -> Gate:
    if not before:
        return Gate("rewrites drift", True, "first table")
    old = {row["query"]: _best(row) for row in before}
    both = [(_best(row), old[row["query"]]) for row in rows if row["query"] in old]
    share = sum(new != was for new, was in both) / max(len(both), 1)
    found = f"{share:.1%} of {len(both):,} queries have another best rewrite, at most {most:.1%}"
    return Gate("rewrites drift", share <= most, found)


def _best(row: Mapping[str, Any]) -> str | None:
    return row["rewrites"][0]["text"] if row["rewrites"] else None
