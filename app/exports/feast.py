"""Feast: a feature repository over the tables of a release, which `feast apply` takes.

Reads:     Feast 0.67, its local provider and file store; the definitions move to any other store that has the tables.
Time:      Feast shows a row what has event_timestamp <= its time; KnowFlow's rule is as_of < time. So event_timestamp
           is as_of plus one microsecond, and get_historical_features gives the same values. Feature views have no ttl.
Relations: `knowflow features` does the same join, and keeps every row: Feast's file store drops rows of which a view
           knows nothing yet.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from app.exports.protocol import Exported, ExportFormat
from feature_store.entity_table import entity_table
from feature_store.features import Column, Source

MOMENT = "event_timestamp"
SHIFT = pl.duration(microseconds=1)
TYPES: dict[Any, str] = {
    pl.Float32: "Float32",
    pl.Float64: "Float64",
    pl.Int32: "Int32",
    pl.Int64: "Int64",
    pl.Boolean: "Bool",
    pl.String: "String",
}
"""Types of columns -> types of Feast."""
STORE = {
    "provider": "local",
    "registry": "data/registry.db",
    "offline_store": {"type": "file"},
    "online_store": {"type": "sqlite", "path": "data/online_store.db"},
    "entity_key_serialization_version": 3,
}
HEAD = '''"""Features of {release}, written by `knowflow export --format feast`: feast apply, in this folder.

event_timestamp is as_of plus one microsecond: Feast shows a row what has event_timestamp <= its time, and what became
known at that very time must not be seen.
"""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String

'''
ENTITY = '{kind} = Entity(name="{kind}", join_keys=["{kind}"], value_type=ValueType.STRING)\n'
VIEW = """
{name} = FeatureView(
    name="{name}",
    entities=[{kind}],
    ttl=timedelta(0),  # no limit
    schema=[Field(name="{name}", dtype={dtype})],
    source=FileSource(path="data/{name}.parquet", timestamp_field="event_timestamp"),
    description={meaning!r},
)
"""


def write(exported: Exported, out: Path) -> Sequence[str]:
    """Write the tables, the definitions and the settings of the repository."""
    (out / "data").mkdir()
    views = []
    for source, column in exported.columns():
        table = entity_table(source, column).rename({"as_of": MOMENT}).with_columns(pl.col(MOMENT) + SHIFT)
        table.write_parquet(out / "data" / f"{column.name}.parquet")
        views.append(_view(source, column, table.schema[column.name]))
    kinds = dict.fromkeys(source.entity for source in exported.sources)
    entities = "".join(ENTITY.format(kind=kind) for kind in kinds)
    text = HEAD.format(release=exported.release.name) + entities + "".join(views)
    (out / "definitions.py").write_text(text, encoding="utf-8")
    settings = yaml.safe_dump({"project": exported.project, **STORE}, sort_keys=False)
    (out / "feature_store.yaml").write_text(settings, encoding="utf-8")
    return [f"cd {out} && feast apply", 'FeatureStore(repo_path=".").get_historical_features(rows, features=[...])']


def _view(source: Source, column: Column, kind: pl.DataType) -> str:
    inner = kind.inner if isinstance(kind, pl.Array | pl.List) else None
    dtype = TYPES[type(kind)] if inner is None else f"Array({TYPES[type(inner)]})"
    return VIEW.format(name=column.name, kind=source.entity, dtype=dtype, meaning=column.facts["meaning"])


FEAST = ExportFormat("feast", "a feature repository for feast apply", write, ("user", "item"))
