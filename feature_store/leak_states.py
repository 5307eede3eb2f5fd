"""One number for all that a leak check reads about a subject, so that a later check can pass over what is as it was.

A subject is a user, an item, an event or a query that has rows. Its state is made of its rows with their texts and both
clocks, the files that hold their answers (a file of a table never changes), the instructions of their prompts, the rows
that they read, and the data about it: events of the user with the fields of their items, events of an item, searches.
"""

import polars as pl

from feature_store.leak_clocks import rows_read
from feature_store.leak_evidence import Evidence
from feature_store.leak_rows import COLUMNS
from feature_store.leak_subjects import instructions_of

SUBJECT = ["entity_type", "entity"]
STATES = pl.Schema({"subject": pl.UInt64, "state": pl.UInt64})


def subject_of(rows: pl.DataFrame) -> pl.Series:
    """Return the number of the subject of each row."""
    return rows.select(SUBJECT).hash_rows(0).alias("subject")


def states_of(rows: pl.DataFrame, held: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Return the states of all subjects: subject, state.

    Args:
        rows: All rows, from `leak_rows.read_rows`.
        held: The answers, from `leak_rows.held_answers`.
        evidence: The data.
    """
    users, items, fields, queries = _of_data(evidence)
    about = rows.select("entity_type", _number("user", "target", "query"), of_rows=_of_rows(rows, held, evidence))
    of_items = items.select(target="item", of_events="of_item")
    of_fields = fields.rename({"item": "target"})
    for table, key in ((users, "user"), (of_items, "target"), (of_fields, "target"), (queries, "query")):
        about = about.join(table, on=key, how="left", maintain_order="left")
    # An item has new events every night; they say nothing of a row about one event with it.
    of_events = pl.when(pl.col("entity_type") == "item").then("of_events")
    parts = about.select("of_rows", "of_user", "fields", "of_query", of_events=of_events)
    states = pl.DataFrame([subject_of(rows), parts.hash_rows(0).alias("state")], STATES)
    return states.group_by("subject").agg(pl.col("state").sum()).sort("subject")


def _of_rows(rows: pl.DataFrame, held: pl.DataFrame, evidence: Evidence) -> pl.Series:
    """Return a number for each row, its answer, its instructions and what it read."""
    others = rows.filter(~pl.col("served"))
    read = (
        rows_read(others)
        .select("row", "reads")
        .join(
            others.select(reads="row", known=pl.max_horizontal("as_of", "model_seen_until"), read="text"),
            on="reads",
            how="left",
        )
    )
    seen = read.select("row", of_read=read.hash_rows(0)).group_by("row").agg(pl.col("of_read").sum())
    told = instructions_of(evidence)
    every = rows.select(*COLUMNS, "served")
    for table, left, right in (
        (held.select("key", "answered", "file"), "answer_key", "key"),
        (told, "prompt_digest", "prompt_digest"),
        (seen, "row", "row"),
    ):
        every = every.join(table, left_on=left, right_on=right, how="left", maintain_order="left")
    return every.hash_rows(0).alias("of_rows")


def _of_data(evidence: Evidence) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return numbers for the data about each user, the events of each item, its fields, and each query.

    All are named by their numbers. Should two have the same, their data is one, and both are checked again.
    """
    items, events = evidence.items, evidence.events.select(pl.exclude("part"))
    fields = items.select(_number("item"), fields=items.hash_rows(0)).group_by("item").agg(pl.col("fields").sum())
    one = events.select(_number("user", "item"), number=events.hash_rows(0))
    one = one.join(fields, on="item", how="left", maintain_order="left")
    one = one.select("user", "item", number=one.select("number", "fields").hash_rows(0))
    met, by_item = (one.lazy().group_by(whose).agg(pl.col("number").sum()) for whose in ("user", "item"))
    says = evidence.users.select(_number("user"), number=evidence.users.select("user", "says").hash_rows(1))
    of_users = pl.concat([met, says.lazy()]).group_by("user").agg(of_user=pl.col("number").sum())
    users, of_items = pl.collect_all([of_users, by_item.rename({"number": "of_item"})], engine="streaming")
    log = evidence.queries.select(_number("item"), query="query", number=evidence.queries.hash_rows(0))
    log = log.join(fields, on="item", how="left", maintain_order="left")
    log = log.select(_number("query"), number=log.select("number", "fields").hash_rows(0))
    queries = log.group_by("query").agg(of_query=pl.col("number").sum())
    return users, of_items, fields, queries


def _number(*columns: str) -> pl.Expr:
    """Return numbers for texts, which are grouped and joined in half the time."""
    return pl.col(*columns).hash(0)
