"""What the input files hold of some users: KnowFlow leaves these rows out, and never rewrites the files."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from app.config import Config
from base.faults import WrongUse
from llm_tasks.cot_examples import event_hashes
from sources.faults import SourceFaults
from sources.load import load
from sources.queries import normalised
from sources.tables import Dataset


@dataclass(frozen=True)
class Inputs:
    """What the input files hold of some users."""

    rows: tuple[tuple[str, int], ...]
    """File -> rows of theirs."""
    first: datetime | None
    """Their first event; None if there is none."""
    queries: int
    """Queries that nobody else typed; what was made of them stays in the store."""
    fault: str | None = None
    """Why the files could not be read."""
    keys: frozenset[int] = frozenset()
    """Keys of their events, by which a training run finds its test rows again."""

    def told(self) -> dict[str, Any]:
        """Return this as plain JSON."""
        return {file: count for file, count in self.rows if count} | ({"fault": self.fault} if self.fault else {})


def read_data(config: Config) -> Dataset | str:
    """Read the input files; return why not if they have faults, for users are forgotten all the same."""
    try:
        return load(config.source, config.folder, config.skipped())
    except (SourceFaults, WrongUse) as error:
        return str(error).partition("\n")[0]


def count_inputs(config: Config, dataset: Dataset | str, users: Collection[str]) -> Inputs:
    """Count the rows of some users in the input files; files with faults are said to be unread.

    Args:
        config: The config.
        dataset: From `read_data`.
        users: Ids of the users.
    """
    if isinstance(dataset, str):
        return Inputs((), None, 0, dataset)
    theirs = pl.col("user").is_in(sorted(users))
    events = dataset.events.filter(theirs)
    rows = [(config.source.events.path, len(events))]
    if dataset.users is not None and config.source.users is not None:
        rows.append((config.source.users.path, len(dataset.users.filter(theirs))))
    only = 0
    if dataset.queries is not None and config.source.queries is not None and "user" in dataset.queries.columns:
        typed = dataset.queries.drop_nulls("query").with_columns(mine=theirs.fill_null(value=False))
        rows.append((config.source.queries.path, int(typed["mine"].sum())))
        mine, others = (
            {normalised(one) for one in typed.filter(pl.col("mine") == side)["query"].unique()}
            for side in (True, False)
        )
        only = len(mine - others)
    sampled = events.clear() if dataset.sampled is None else dataset.sampled.filter(theirs)
    keys = event_hashes(pl.concat([one.select("user", "item", "time") for one in (events, sampled)]))
    first = None if events.is_empty() else events["time"][0]
    return Inputs(tuple(rows), first, only, keys=frozenset(keys))
