"""Check the clocks of a release by joining lineage with events and searches, without any reader of the store."""

import polars as pl

from feature_store.leak_evidence import FOUND, Evidence, leaks

SHOWN = "a prompt shows an event later than its as_of"
SEEN = "a sample sees a row that has seen its time or later"
UNTRAINED = "a row tells the outcome of an event that is not for training"
ELSEWHEN = "a row tells the outcome of an event at another time than the event's"
UNDATED = "a row is known earlier than the newest event that its model was tuned on"
FORGOTTEN = "a row does not say what the model of its answer was tuned on"
READ = "a row is known earlier than a row of another technique that it read"
UNREAD = "a row read another one that the release does not hold, so what it knows is unknown"
LOST = "a row's answer is not in the release, so what was asked is unknown"
NONE = pl.DataFrame(schema=FOUND)
NEWEST = pl.max_horizontal("as_of", "seen_until", "model_seen_until")


def seen_too_early(rows: pl.DataFrame, evidence: Evidence) -> tuple[pl.DataFrame, int]:
    """Join every sample and every tested search with the row that it sees, and compare their clocks.

    Returns:
        Leaks, and the number of pairs.
    """
    found, pairs = [], 0
    samples = evidence.events.select("user", "item", "time")
    searches = evidence.queries.filter("tested").select("query", "item", "time").drop_nulls("time")
    for (_, kind), part in rows.group_by(["task", "entity_type"], maintain_order=True):
        about = searches if kind == "query" else samples
        if kind not in about.columns or about.is_empty():
            continue
        first = part.group_by(pl.col("entity").alias(str(kind))).agg(known=pl.col("as_of").min())
        seeing = about.lazy().select(str(kind), "time").join(first.lazy(), on=str(kind))
        pairs += seeing.filter(pl.col("time") > pl.col("known")).select(pl.len()).collect(engine="streaming").item()
        # A sample sees only rows with an earlier as_of: one of them has seen too much if its other clocks are later.
        late = part.filter(pl.col("as_of") < NEWEST).select(pl.col("entity").unique())
        if len(late):
            found.append(_seen(part.join(late, on="entity", how="semi", maintain_order="left"), about, str(kind)))
    return pl.concat([NONE, *found]), pairs


def _seen(rows: pl.DataFrame, about: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Find the samples or searches that see a row which has seen their time or later."""
    joined = _see(rows, about.join(rows, left_on=kind, right_on="entity", how="semi", maintain_order="left"), kind)
    what = "search {} for item {}" if kind == "query" else "sample of user {} on item {}"
    event = pl.format(what, *(pl.col(one).fill_null("none") for one in about.columns[:2]))
    return leaks(joined.filter(pl.col("time") <= NEWEST).with_columns(event=event), SEEN)


def _see(rows: pl.DataFrame, samples: pl.DataFrame, entity: str) -> pl.DataFrame:
    """Join every sample with the row it sees, as a reader by `as_of` would: the newest strictly earlier one."""
    left = samples.with_columns(pl.col(entity).alias("entity")).sort("time", maintain_order=True)
    right = rows.select("entity", "as_of", "seen_until", "model_seen_until", "row").sort("as_of", maintain_order=True)
    return left.join_asof(
        right,
        left_on="time",
        right_on="as_of",
        by="entity",
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
        coalesce=False,
    ).filter(pl.col("row").is_not_null())


def wrongly_dated(rows: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Find rows whose own columns, or whose answer, contradict their `as_of`.

    Rows about events keep the time of their event; code that shows them also checks `model_seen_until`.

    Args:
        rows: Lineage with a text.
        held: The answers of the release, from `leak_rows.held_answers`.
    """
    shown = rows.filter(pl.col("seen_until") > pl.col("as_of"))
    undated = rows.filter((pl.col("entity_type") != "event") & (pl.col("model_seen_until") > pl.col("as_of")))
    told = held.select("key", "answered").drop_nulls()
    asked = rows.join(told, left_on="answer_key", right_on="key", maintain_order="left")
    forgotten = asked.filter((pl.col("answered") > pl.col("model_seen_until")).fill_null(value=True))
    return pl.concat(
        [
            leaks(shown.with_columns(event=pl.lit("newest event shown"), time="seen_until"), SHOWN),
            leaks(undated.with_columns(event=pl.col("model"), time="model_seen_until"), UNDATED),
            leaks(forgotten.with_columns(event=pl.col("model"), time="answered"), FORGOTTEN),
        ]
    )


def read_too_early(rows: pl.DataFrame, every: pl.DataFrame) -> pl.DataFrame:
    """Find rows that are dated before what they read from other techniques, or that read rows that do not exist.

    Args:
        rows: The rows to check.
        every: All rows of the lineage with a text.
    """
    there = rows_read(rows).join(
        every.select(reads="row", known=pl.max_horizontal("as_of", "model_seen_until")),
        on="reads",
        how="left",
        maintain_order="left",
    )
    early = there.filter(pl.col("known") > pl.col("as_of"))
    lost = there.filter(pl.col("known").is_null())
    return pl.concat(
        [
            leaks(early.with_columns(event="reads", time="known"), READ),
            leaks(lost.with_columns(event="reads", time=pl.lit(None)), UNREAD),
        ]
    )


def rows_read(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what rows read from other techniques: row, as_of, reads; a line each."""
    reading = rows.drop_nulls("reads").with_columns(pl.col("reads").str.json_decode(pl.List(pl.String)))
    return reading.select("row", "as_of", "reads").explode("reads").drop_nulls("reads")


def lost_answers(rows: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Find rows whose answer the release does not hold."""
    asked = rows.drop_nulls("answer_key")
    lost = asked.join(held, left_on="answer_key", right_on="key", how="anti", maintain_order="left")
    return leaks(lost.with_columns(event=pl.format("answer {}", "answer_key"), time=pl.lit(None)), LOST)


def outcomes_told(rows: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Find rows about events that are not training events, or that did not happen when the row says.

    A row whose event has left the log, or that is older than all the log holds of its user, reveals nothing about any
    sample; but one that is dated before its event reveals its outcome.

    Args:
        rows: Lineage with a text, and the user and the item (`target`) of each event.
        evidence: The data.
    """
    about = rows.filter(pl.col("entity_type") == "event").select("row", "as_of", "user", item="target")
    if about.is_empty():
        return NONE
    events = evidence.events.select("user", "item", "time", "part")
    pairs = about.join(events, on=["user", "item"], maintain_order="left")
    pairs = pairs.with_columns(event=pl.format("event of user {} with item {}", "user", "item"))
    same = pl.col("time") == pl.col("as_of")
    untrained = pairs.filter(same & (pl.col("part") != "train"))
    gap = (pl.col("time") - pl.col("as_of")).abs()
    elsewhen = pairs.filter(~same.any().over("row")).sort("row", gap, "time").unique("row", keep="first")
    return pl.concat([leaks(untrained.sort("row"), UNTRAINED), leaks(elsewhen.sort("row"), ELSEWHEN)])
