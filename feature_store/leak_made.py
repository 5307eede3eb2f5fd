"""Check what was made from texts: vectors, by what their encoder has seen, and the served table of rewrites."""

from datetime import datetime

import polars as pl

from feature_store.database import Store
from feature_store.fitted import fitted_until
from feature_store.leak_evidence import FOUND, MOMENT, Evidence, leaks
from feature_store.lineage import EPOCH
from feature_store.releases import Release, released_answers
from feature_store.served import TABLE as REWRITES_TABLE
from feature_store.served import read_rewrites

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


def served_rewrites(store: Store, release: Release, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the served table of rewrites in the form of lineage, to check it like rows about queries.

    Args:
        store: The store.
        release: The release.
        rows: Its lineage, which says which prompt asked for an answer.

    Returns:
        Rows with the columns of `rows`; none if the release has no such table.
    """
    if REWRITES_TABLE not in release.versions:
        return rows.clear()
    served = read_rewrites(store, release.versions[REWRITES_TABLE])
    table = pl.DataFrame(
        [
            {
                "row": f"{REWRITES_TABLE}/{one['query']}",
                "task": REWRITES_TABLE,
                "entity_type": "query",
                "entity": one["query"],
                "as_of": EPOCH,
                "answer_key": one["answer_key"],
                "model": one["model"],
                "text": "\n".join(rewrite["text"] for rewrite in one["rewrites"]),
            }
            for one in served
        ],
        schema={name: kind for name, kind in rows.schema.items() if name in ROW},
    )
    digests = rows.drop_nulls("answer_key").select("answer_key", "prompt_digest").unique("answer_key")
    seen = released_answers(store, release, table["answer_key"].drop_nulls().to_list(), ["key", "seen_until"])
    table = table.join(digests, on="answer_key", how="left").join(
        seen.rename({"seen_until": "model_seen_until"}), left_on="answer_key", right_on="key", how="left"
    )
    return pl.concat([rows.clear(), table], how="diagonal")


ROW = ("row", "task", "entity_type", "entity", "as_of", "answer_key", "model", "text")
