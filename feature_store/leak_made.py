"""Check the vectors that were made from texts, by what their encoder has seen."""

from datetime import datetime

import polars as pl

from feature_store.database import Store
from feature_store.fitted import fitted_until
from feature_store.leak_evidence import FOUND, MOMENT, Evidence, leaks
from feature_store.lineage import EPOCH
from feature_store.releases import Release

UNSAID = "a sample gets a vector whose encoder has seen its time or later, and the release does not say so"


def unsaid_encoders(store: Store, release: Release, rows: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Find vectors that a release serves earlier than the newest event that their encoder has seen.

    What an encoder has seen is read from its source: for a fitted one the texts it was fitted on, for a tuned one its
    own folder. What the release says decides from when samples get the vectors.
    """
    fitted, found = fitted_until(store, release.versions), [pl.DataFrame(schema=FOUND)]
    for name, made in release.vectors.items():
        seen = [time for time in (fitted.get(made.fingerprint), evidence.encoders.get(made.fingerprint)) if time]
        known = made.seen_until or EPOCH
        if not seen or max(seen) <= known:
            continue
        early = first_samples(rows.filter(pl.col("task") == name.task), evidence.events, known, max(seen))
        found.append(leaks(early.with_columns(row=pl.format("{} by {}", "row", pl.lit(str(name)))), UNSAID))
    return pl.concat(found)


def first_samples(rows: pl.DataFrame, events: pl.DataFrame, known: datetime, seen: datetime) -> pl.DataFrame:
    """Find the first sample of each row that gets what was made from it although the maker has seen its time or later.

    Args:
        rows: row, entity_type, entity and as_of.
        events: The samples.
        known: When the release starts to serve the rows.
        seen: The newest event that their maker has seen.
    """
    known_from = pl.max_horizontal("as_of", pl.lit(known).cast(MOMENT))
    about = rows.select("row", "entity_type", "entity", "as_of", known_from=known_from).sort("known_from")
    samples = events.select("user", "item", "time").filter(pl.col("time") <= seen).sort("time")
    found = []
    for (kind,), part in about.group_by("entity_type", maintain_order=True):
        whom = ("entity", str(kind)) if kind in ("user", "item") else (None, None)
        if kind == "query":  # no sample asks for one
            continue
        asked = samples.with_columns(a_user="user", an_item="item")  # copies: join columns are merged with the entity
        joined = part.join_asof(
            asked,
            left_on="known_from",
            right_on="time",
            strategy="forward",
            allow_exact_matches=False,
            coalesce=False,
            check_sortedness=False,
            by_left=whom[0],
            by_right=whom[1],
        )
        found.append(joined.drop_nulls("time").select("row", "as_of", "time", "a_user", "an_item"))
    schema = {"row": pl.String, "as_of": MOMENT, "time": MOMENT, "a_user": pl.String, "an_item": pl.String}
    early = pl.concat([pl.DataFrame(schema=schema), *found]).sort("row")
    return early.with_columns(event=pl.format("sample of user {} on item {}", "a_user", "an_item"))
