"""The record of a release: which version of every table it holds, and how it was made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from feature_store.lineage import VectorName


@dataclass(frozen=True)
class ReleasedVectors:
    """What a release records of the vectors of one technique from one encoder."""

    fingerprint: str
    """Everything that shapes the vectors."""
    dimension: int
    """Their length."""
    seen_until: datetime | None = None
    """The newest event that the encoder was tuned or fitted on; None if it has seen none."""

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "ReleasedVectors":
        """Read what `to_facts` wrote."""
        said = facts.get("seen_until")
        return cls(facts["fingerprint"], facts["dimension"], datetime.fromisoformat(said) if said else None)

    def to_facts(self) -> dict[str, Any]:
        """Return this as plain JSON, as releases have always stored it."""
        made: dict[str, Any] = {"fingerprint": self.fingerprint, "dimension": self.dimension}
        return made | ({"seen_until": self.seen_until.isoformat()} if self.seen_until else {})

    @property
    def known_from(self) -> np.datetime64 | None:
        """Return `seen_until` as datetime64[us] in UTC.

        Example:
            >>> ReleasedVectors("f", 2, datetime(2018, 1, 1, 10, tzinfo=UTC)).known_from
            np.datetime64('2018-01-01T10:00:00.000000')
        """
        return utc_moment(self.seen_until)


@dataclass(frozen=True)
class Release:
    """One published state of the whole store."""

    name: str
    """rel-000001 and so on, in order of publication."""
    created_at: datetime
    """When it was published."""
    rolled_back_to: str | None
    """The older release whose tables it points to; None for a new release."""
    versions: Mapping[str, int]
    """Table -> version."""
    facts: Mapping[str, Any]
    """How it was made: data version, tasks, knowledge cutoff, encoders (fingerprint and dimension), gates, software."""

    @property
    def pinned(self) -> bool:
        """Return whether it stays current until it is unpinned by name: no refresh publishes meanwhile."""
        return self.rolled_back_to is not None and not self.facts.get("unpinned", False)

    @property
    def damaged(self) -> str | None:
        """Return why `knowflow repair` took it out of service; None if it did not."""
        return self.facts.get("damaged")

    @property
    def vectors(self) -> dict[VectorName, ReleasedVectors]:
        """Return what it records of its vectors."""
        made = self.facts.get("vectors", {})
        return {VectorName.read(name): ReleasedVectors.read(facts) for name, facts in made.items()}


def read_row(row: Mapping[str, Any]) -> Release:
    """Return the release of a row of the table."""
    pinned, facts = json.loads(row["versions"]), json.loads(row["facts"])
    return Release(row["name"], row["created_at"], row["rolled_back_to"], pinned, facts)


def row_of(release: Release) -> dict[str, Any]:
    """Return the row of the table for a release."""
    return {
        "name": release.name,
        "created_at": release.created_at,
        "rolled_back_to": release.rolled_back_to,
        "versions": json.dumps(dict(release.versions)),
        "facts": json.dumps(dict(release.facts)),
    }


def utc_moment(time: datetime | None) -> np.datetime64 | None:
    """Return a time as datetime64[us] in UTC, and None as None."""
    return None if time is None else np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")
