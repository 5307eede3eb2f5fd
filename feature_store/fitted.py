"""Find what a fitted encoder has seen: the newest event behind the texts that it was fitted on."""

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from feature_store.database import Store
from feature_store.lineage import EPOCH, read_lineage
from feature_store.lineage import TABLE as LINEAGE_TABLE
from feature_store.schemas import STATES
from feature_store.vectors import STATES_TABLE


def fitted_until(store: Store, versions: Mapping[str, int]) -> dict[str, datetime | None]:
    """Find the newest event behind every fitted state.

    A text is known from the `as_of` of its first row. Texts that a state was fitted on and that have left the lineage
    count as being as new as the newest text of their technique.

    Args:
        store: The store.
        versions: Table -> version to read.

    Returns:
        Fingerprint -> time; None if no event is behind the texts.
    """
    if STATES_TABLE not in versions or LINEAGE_TABLE not in versions:
        return {}
    columns = ["fingerprint", "space", "text_keys"]
    states = pl.DataFrame(
        pl.from_arrow(store.read(STATES_TABLE, STATES, columns=columns, version=versions[STATES_TABLE]))
    )
    spaces = states["space"].unique().to_list()
    rows = read_lineage(store, spaces, ["task", "text_key", "as_of"], versions[LINEAGE_TABLE]).drop_nulls("text_key")
    texts = rows.group_by("task", "text_key").agg(pl.col("as_of").min())
    newest = rows.group_by("task").agg(pl.col("as_of").max().alias("newest"))
    fitted = (
        states.explode("text_keys")
        .join(texts, left_on=["space", "text_keys"], right_on=["task", "text_key"], how="left")
        .join(newest, left_on="space", right_on="task", how="left")
        .group_by("fingerprint")
        .agg(pl.col("as_of").fill_null(pl.col("newest")).max())
    )
    return {one: time if time and time > EPOCH else None for one, time in fitted.iter_rows()}
