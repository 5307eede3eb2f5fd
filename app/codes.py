"""Publishes codes and edges: staged beside the existing tables, behind their own gates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.config import Config
from app.publish import publish_release
from feature_store.codes import (
    CODES_TABLE,
    EDGES_TABLE,
    Codes,
    Edges,
    released_codes,
    released_edges,
    write_codes,
    write_edges,
)
from feature_store.database import Store, Writer
from feature_store.gate import Gate
from feature_store.leak_codes import seen_behind
from feature_store.releases import NoRelease, Release
from llm_tasks.pipeline.workplace import Workplace


@dataclass(frozen=True)
class StagedSets:
    """Sets of codes and graphs to add to a release."""

    codes: Sequence[Codes]
    """Sets of codes, each with its own name."""
    edges: Sequence[Edges]
    """Graphs, each with its own name."""
    before: Release | None
    """The current release."""
    command: str
    """The command that makes them."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Facts about them for the release."""
        return {
            CODES_TABLE: {one.made.name: one.made.facts() | {"entity": one.entity} for one in self.codes},
            EDGES_TABLE: {one.made.name: one.made.facts() for one in self.edges},
        }

    def changes(self, store: Store) -> bool:
        """Return whether the current release lacks one of them, or holds another version of it."""
        noted = self.before.facts if self.before else {}
        if any(noted.get(table, {}).get(name) != one for table, of in self.facts.items() for name, one in of.items()):
            return True
        return any(not self._holds(store, one) for one in (*self.codes, *self.edges))

    def _holds(self, store: Store, one: Codes | Edges) -> bool:
        """Return whether the current release holds the set with the same number of rows and the same times."""
        if self.before is None:
            return False
        read = released_codes if isinstance(one, Codes) else released_edges
        try:
            return np.array_equal(np.sort(read(store, self.before, one.made.name).as_of), np.sort(one.as_of))
        except NoRelease:
            return False

    def gates(self, store: Store, before: Release | None) -> Sequence[Gate]:
        """Check that codes are valid, and that every set is dated no earlier than the newest event behind it."""
        gates = []
        for one in self.codes:
            wrong = int((one.codes < 0).any(axis=1).sum())
            found = f"{wrong:,} of {len(one.codes):,} rows hold a code below 0"
            gates.append(Gate(f"{one.made.name} coded", wrong == 0 and len(one.codes) > 0, found))
        for one in (*self.codes, *self.edges):
            behind = seen_behind(store, before, one.made.made_from) if before else None
            said = one.made.seen_until
            late = behind is not None and (said is None or said < np.datetime64(behind.replace(tzinfo=None), "us"))
            found = f"made of what has seen events until {behind or 'none'}, says until {said or 'none'}"
            gates.append(Gate(f"{one.made.name} dated", not late, found))
        return gates

    def write(self, writer: Writer) -> None:
        """Write all sets."""
        for codes in self.codes:
            write_codes(writer, codes)
        for edges in self.edges:
            write_edges(writer, edges)


def publish_sets(
    config: Config,
    workplace: Workplace,
    before: Release | None,
    command: str,
    codes: Sequence[Codes] = (),
    edges: Sequence[Edges] = (),
) -> str:
    """Publish codes and edges beside everything that the tables hold.

    Args:
        config: The config.
        workplace: Data and store.
        before: The release whose vectors they were made of; None if they were made of none.
        command: The command that makes them, shown when a gate fails.
        codes: Sets of codes.
        edges: Graphs.

    Returns:
        Name of the release that is current afterwards.

    Raises:
        GatesClosed: A gate does not hold; nothing was written.
        WrongUse: Another process writes.
    """
    return publish_release(config, workplace, [], [], [], StagedSets(codes, edges, before, command))
