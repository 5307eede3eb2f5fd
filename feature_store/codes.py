"""Codes and edges: semantic ids of entities and graphs between them, with two clocks like all knowledge.

A set of codes has a name (`rqvae`) and the fingerprint of what made it. The table may hold sets of the same name with
other fingerprints, and a release says which one to read. A row is known from the later of its own `as_of` and
`seen_until`, the newest event that the maker of the set has seen: codes made from vectors that were tuned on later
events reveal those events.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from feature_store.database import Store, Writer
from feature_store.release_record import utc_moment
from feature_store.releases import NoRelease, Release
from feature_store.schemas import CODES, EDGES
from feature_store.vectors import Knowledge, as_of_rows
from feature_store.writer import quoted

CODES_TABLE, EDGES_TABLE = "codes", "edges"


@dataclass(frozen=True)
class Made:
    """How a set of codes or edges was made."""

    name: str
    """Name of the set, such as `rqvae`."""
    fingerprint: str
    """Identifies everything that shapes it."""
    made_from: Mapping[str, str]
    """Name of the vectors that it was made from, such as `item_facts/dense` -> their fingerprint."""
    seen_until: np.datetime64 | None = None
    """datetime64[us], UTC: the newest event that its maker has seen; None if it has seen none."""

    def facts(self) -> dict[str, Any]:
        """Return what a release records of it."""
        seen = None if self.seen_until is None else _moment(self.seen_until).isoformat()
        return {"fingerprint": self.fingerprint, "made_from": dict(self.made_from), "seen_until": seen}


@dataclass(frozen=True)
class Codes:
    """A set of codes: L integers per row, from the coarsest to the finest."""

    made: Made
    """How it was made."""
    entity: str
    """What a row is about: `item`, `user` and so on."""
    entities: np.ndarray
    """[M] str, the id of each row's entity."""
    as_of: np.ndarray
    """[M] datetime64[us], UTC: the newest event the row may have seen; unique among the rows of an entity."""
    codes: np.ndarray
    """[M, L] int32, 0 or more."""

    def at(self, entities: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return the codes of entities as they were known strictly before given times.

        Args:
            entities: [N] str.
            time: [N] datetime64[us], UTC.

        Returns:
            [N, L] int32, -1 where nothing was known yet.
        """
        known = self.knowledge()
        _, code = np.unique(np.concatenate([known.entities, entities]).astype(str), return_inverse=True)
        rows = as_of_rows(code[len(known.entities) :], time, code[: len(known.entities)], known.as_of)
        out = np.full((len(entities), self.codes.shape[1]), -1, dtype=np.int32)
        out[rows >= 0] = known.vectors[rows[rows >= 0]]
        return out

    def knowledge(self) -> Knowledge:
        """Return the codes as arms read them; a row is known from the later of its two clocks."""
        order = np.argsort(self.as_of, kind="stable")  # of rows that become known together, the newest is read
        known = _known_from(self.as_of, self.made.seen_until)[order]
        return Knowledge(CODES_TABLE, self.made.name, self.entity, self.entities[order], known, self.codes[order])


@dataclass(frozen=True)
class Edges:
    """A graph: M weighted edges between entities."""

    made: Made
    """How it was made."""
    source: np.ndarray
    """[M] str."""
    target: np.ndarray
    """[M] str."""
    kind: np.ndarray
    """[M] str: what an edge means, such as `complements`."""
    weight: np.ndarray
    """[M] float32."""
    as_of: np.ndarray
    """[M] datetime64[us], UTC: the newest event the edge may have seen."""

    def before(self, time: np.datetime64) -> "Edges":
        """Return the edges known strictly before a moment; of several rows of one edge, the newest."""
        known = _known_from(self.as_of, self.made.seen_until) < time
        columns = {name: getattr(self, name)[known] for name in ("source", "target", "kind", "weight", "as_of")}
        newest = pl.DataFrame(columns).sort("as_of", maintain_order=True)
        kept = newest.unique(["source", "target", "kind"], keep="last", maintain_order=True)
        texts = {name: kept[name].to_numpy().astype(str) for name in ("source", "target", "kind")}
        return replace(self, **texts, weight=kept["weight"].to_numpy(), as_of=kept["as_of"].to_numpy())


def write_codes(writer: Writer, codes: Codes) -> int:
    """Commit a set of codes; existing rows are replaced."""
    rows = {
        "key": _keys(codes.made, codes.entities, codes.as_of),
        "entity_type": [codes.entity] * len(codes.entities),
        "entity": codes.entities.tolist(),
        "codes": codes.codes.astype(np.int32).tolist(),
        **_clocks(codes.made, codes.as_of),
    }
    return writer.upsert(CODES_TABLE, pa.table(rows, schema=CODES), CODES)


def write_edges(writer: Writer, edges: Edges) -> int:
    """Commit a graph; existing edges are replaced."""
    rows = {
        "key": _keys(edges.made, zip(edges.source, edges.target, edges.kind, strict=True), edges.as_of),
        **{name: getattr(edges, name).tolist() for name in ("source", "target", "kind", "weight")},
        **_clocks(edges.made, edges.as_of),
    }
    return writer.upsert(EDGES_TABLE, pa.table(rows, schema=EDGES), EDGES)


def released_codes(store: Store, release: Release, name: str) -> Codes:
    """Read a set of codes through a release.

    Raises:
        NoRelease: The release holds no such set.
    """
    made = made_of(release, CODES_TABLE, name)
    rows = read_rows(store, release, CODES_TABLE, made)
    return Codes(
        made=made,
        entity=rows["entity_type"][0] if len(rows) else "item",
        entities=rows["entity"].to_numpy().astype(str),
        as_of=_times(rows),
        codes=np.array(rows["codes"].to_list(), dtype=np.int32).reshape(len(rows), -1),
    )


def released_edges(store: Store, release: Release, name: str) -> Edges:
    """Read a graph through a release.

    Raises:
        NoRelease: The release holds no such graph.
    """
    made = made_of(release, EDGES_TABLE, name)
    rows = read_rows(store, release, EDGES_TABLE, made)
    source, target, kind = (rows[name].to_numpy().astype(str) for name in ("source", "target", "kind"))
    return Edges(made, source, target, kind, rows["weight"].to_numpy(), _times(rows))


def made_of(release: Release, table: str, name: str) -> Made:
    """Return what a release records of a set of codes or edges.

    Args:
        release: The release.
        table: `codes` or `edges`.
        name: Name of the set.

    Raises:
        NoRelease: The release holds none of that name.
    """
    sets = release.facts.get(table, {})
    if name not in sets:
        there = ", ".join(sets) or "none"
        raise NoRelease(f"{release.name}: holds no {table} {name}; there are: {there}\n  see: knowflow release show")
    said = sets[name]
    seen_until = datetime.fromisoformat(said["seen_until"]) if said.get("seen_until") else None
    return Made(name, said["fingerprint"], said["made_from"], utc_moment(seen_until))


def read_rows(store: Store, release: Release, table: str, made: Made) -> pl.DataFrame:
    """Return the rows of a set as a release holds them, ordered by key; none if it has no such table."""
    schema = {CODES_TABLE: CODES, EDGES_TABLE: EDGES}[table]
    if table not in release.versions:
        return pl.DataFrame(pl.from_arrow(schema.empty_table()))
    where = f"name = {quoted(made.name)} AND fingerprint = {quoted(made.fingerprint)}"
    rows = store.read(table, schema, where=where, version=release.versions[table])
    return pl.DataFrame(pl.from_arrow(rows)).sort("key")


def _keys(made: Made, about: Iterable[Any], as_of: np.ndarray) -> list[str]:
    """Return the keys of rows: a hash of the set, the entity or edge, and `as_of`."""
    parts = (
        [made.name, made.fingerprint, *map(str, one if isinstance(one, tuple) else (one,)), int(time)]
        for one, time in zip(about, as_of.astype("datetime64[us]").astype(np.int64), strict=True)
    )
    return [hashlib.sha256(json.dumps(part, ensure_ascii=False).encode()).hexdigest() for part in parts]


def _clocks(made: Made, as_of: np.ndarray) -> dict[str, Sequence[Any]]:
    """Return the columns that codes and edges share."""
    count = len(as_of)
    seen = None if made.seen_until is None else _moment(made.seen_until)
    return {
        "name": [made.name] * count,
        "fingerprint": [made.fingerprint] * count,
        "as_of": [_moment(time) for time in as_of],
        "seen_until": [seen] * count,
        "created_at": [datetime.now(UTC)] * count,
    }


def _known_from(as_of: np.ndarray, seen_until: np.datetime64 | None) -> np.ndarray:
    return as_of if seen_until is None else np.maximum(as_of, seen_until)


def _times(rows: pl.DataFrame) -> np.ndarray:
    return rows["as_of"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")


def _moment(time: np.datetime64) -> datetime:
    return time.astype("datetime64[us]").astype(datetime).replace(tzinfo=UTC)
