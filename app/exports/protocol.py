"""The protocol of an export format: what it gets, and what it writes."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.plugins import Kind
from feature_store.features import OF_WHOM, Column, Source
from feature_store.releases import Release
from sources.tables import Dataset


@dataclass(frozen=True)
class Exported:
    """What is exported: a release's knowledge of items and users, and the log that some tools want beside it."""

    release: Release
    """The release."""
    sources: tuple[Source, ...]
    """What it knows; one column a source, and the fields of a technique's answers together."""
    project: str
    """Name of the data set: letters, digits and underscores."""
    load_dataset: Callable[[], Dataset]
    """Loads events and items."""

    def columns(self) -> Iterator[tuple[Source, Column]]:
        """Yield every column with its source."""
        for source in self.sources:
            for column in source.columns:
                yield source, column

    def vectors(self) -> Iterator[tuple[Source, Column, np.ndarray]]:
        """Yield every column of vectors with its source and its table, [M, d] float32."""
        for source, column in self.columns():
            if isinstance(column.values, np.ndarray) and is_vectors(column):
                yield source, column, column.values


def is_vectors(column: Column) -> bool:
    """Return whether a column holds vectors: neither codes nor fields nor texts."""
    return isinstance(column.values, np.ndarray) and column.values.dtype == np.float32


@dataclass(frozen=True)
class ExportFormat:
    """One format."""

    name: str
    """Its name, by which `knowflow export --format` calls it."""
    about: str
    """What is written, in a line."""
    write: Callable[[Exported, Path], Sequence[str]]
    """Writes files into an empty folder; returns what to do with them, line by line."""
    entities: Collection[str] = tuple(OF_WHOM)
    """Kinds of entities that the format can hold knowledge of."""
    vectors_only: bool = False
    """Whether it holds vectors alone, and leaves out codes, fields and texts."""


FORMATS = Kind("export format", "app.exports", ExportFormat)
