"""Check the clocks of a release by joining lineage with events and searches, without any reader of the store."""

import polars as pl

from feature_store.leak_evidence import FOUND, Evidence, leaks
from sources.tables import event_of

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
        joined = _see(part, about, str(kind))
        pairs += len(joined)
        newest = pl.max_horizontal("as_of", "seen_until", "model_seen_until")
        what = "search {} for item {}" if kind == "query" else "sample of user {} on item {}"
        event = pl.format(what, *(pl.col(one).fill_null("none") for one in about.columns[:2]))
        found.append(leaks(joined.filter(newest >= pl.col("time")).with_columns(event=event), SEEN))
    return pl.concat([NONE, *found]), pairs


def _see(rows: pl.DataFrame, samples: pl.DataFrame, entity: str) -> pl.DataFrame:
    """Join every sample with the row it sees, as a reader by `as_of` would: the newest strictly earlier one."""
    left = samples.with_columns(pl.col(entity).alias("entity")).sort("time")
    right = rows.select("entity", "as_of", "seen_until", "model_seen_until", "row").sort("as_of")
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


def wrongly_dated(rows: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Find rows whose own columns, or whose answer, contradict their `as_of`.

    Rows about events keep the time of their event; code that shows them also checks `model_seen_until`.

    Args:
        rows: Lineage with a text.
        answers: key and seen_until of the answers that they name.
    """
    shown = rows.filter(pl.col("seen_until") > pl.col("as_of"))
    undated = rows.filter((pl.col("entity_type") != "event") & (pl.col("model_seen_until") > pl.col("as_of")))
    told = answers.select("key", answered="seen_until").drop_nulls()
    asked = rows.join(told, left_on="answer_key", right_on="key")
    forgotten = asked.filter((pl.col("answered") > pl.col("model_seen_until")).fill_null(value=True))
    return pl.concat(
        [
            leaks(shown.with_columns(event=pl.lit("newest event shown"), time="seen_until"), SHOWN),
            leaks(undated.with_columns(event=pl.col("model"), time="model_seen_until"), UNDATED),
            leaks(forgotten.with_columns(event=pl.col("model"), time="answered"), FORGOTTEN),
        ]
    )


def read_too_early(rows: pl.DataFrame) -> pl.DataFrame:
    """Find rows that are dated before what they read from other techniques, or that read rows that do not exist."""
    reading = rows.drop_nulls("reads").with_columns(pl.col("reads").str.json_decode(pl.List(pl.String)))
    pairs = reading.select("row", "as_of", "reads").explode("reads").drop_nulls("reads")
    known = pl.max_horizontal("as_of", "model_seen_until")
    there = pairs.join(rows.select(reads="row", known=known), on="reads", how="left")
    early = there.filter(pl.col("known") > pl.col("as_of"))
    lost = there.filter(pl.col("known").is_null())
    return pl.concat(
        [
            leaks(early.with_columns(event="reads", time="known"), READ),
            leaks(lost.with_columns(event="reads", time=pl.lit(None)), UNREAD),
        ]
    )


def lost_answers(rows: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Find rows whose answer the release does not hold."""
    lost = rows.drop_nulls("answer_key").join(answers, left_on="answer_key", right_on="key", how="anti")
    return leaks(lost.with_columns(event=pl.format("answer {}", "answer_key"), time=pl.lit(None)), LOST)


def outcomes_told(rows: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Find rows about events that are not training events, or that did not happen when the row says.

    A row whose event has left the log, or that is older than all the log holds of its user, reveals nothing about any
    sample; but one that is dated before its event reveals its outcome.
    """
    about = rows.filter(pl.col("entity_type") == "event").select("row", "entity", "as_of")
    named = pl.DataFrame(
        [event_of(one) for one in about["entity"]], {"user": pl.String, "item": pl.String}, orient="row"
    )
    events = evidence.events.select("user", "item", "time", "part")
    pairs = pl.concat([about, named], how="horizontal").join(events, on=["user", "item"])
    pairs = pairs.with_columns(event=pl.format("event of user {} with item {}", "user", "item"))
    same = pl.col("time") == pl.col("as_of")
    untrained = pairs.filter(same & (pl.col("part") != "train"))
    gap = (pl.col("time") - pl.col("as_of")).abs()
    elsewhen = pairs.filter(~same.any().over("row")).sort("row", gap, "time").unique("row", keep="first")
    return pl.concat([leaks(untrained.sort("row"), UNTRAINED), leaks(elsewhen.sort("row"), ELSEWHEN)])
