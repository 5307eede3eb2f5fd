"""A folder of small files and the mapping that reads them, as a user would have them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sources.config import SourceConfig, parse_source_config
from sources.faults import FaultKind, SourceFaults
from sources.load import load
from sources.tables import Dataset

EVENTS = "user,item,time,rating\n1,10,1700000000,4\n1,9,1700000060,3.5\n2,10,1700000000,5\n"
ITEMS = "id,title\n9,Heat\n10,Fargo\n"
MAPPING: dict[str, dict[str, Any]] = {
    "events": {
        "path": "events.csv",
        "user": "user",
        "item": "item",
        "time": "time",
        "rating": "rating",
        "earliest": "1970-01-01",  # small numbers are good enough as times here
    },
    "items": {"path": "items.csv", "id": "id", "title": "title"},
    "label": {"rating_at_least": 4},
}


@dataclass
class Source:
    """Three events of two users on two items, until a test writes others."""

    folder: Path

    def write(self, name: str, content: str | bytes | pl.DataFrame) -> str:
        path = self.folder / name
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def write_rows(self, name: str, rows: list[dict[str, Any]]) -> str:
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def config(self, **sections: Mapping[str, Any]) -> SourceConfig:
        """Sections are added to those of MAPPING; a setting that is None is left out."""
        merged = {name: {**MAPPING.get(name, {}), **sections.get(name, {})} for name in {**MAPPING, **sections}}
        kept = {name: {key: value for key, value in of.items() if value is not None} for name, of in merged.items()}
        return parse_source_config(kept, self.folder / "knowflow.yaml")

    def load(self, skip: Collection[FaultKind] = (), **sections: Mapping[str, Any]) -> Dataset:
        return load(self.config(**sections), self.folder, skip)

    def message(self, **sections: Mapping[str, Any]) -> str:
        with pytest.raises(SourceFaults) as caught:
            self.load(**sections)
        return str(caught.value)

    @staticmethod
    def check_same(one: Dataset, other: Dataset) -> None:
        for name in ("events", "items", "users", "queries"):
            left, right = getattr(one, name), getattr(other, name)
            if left is None or right is None:
                assert left is right
            else:
                assert_frame_equal(left, right)
        assert one.version == other.version


@pytest.fixture
def source(tmp_path: Path) -> Source:
    made = Source(tmp_path)
    made.write("events.csv", EVENTS)
    made.write("items.csv", ITEMS)
    return made
