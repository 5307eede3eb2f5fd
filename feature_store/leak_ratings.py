"""Find ratings in rows about items that came later than the row may know.

A row about an item may contain any number from the item's own fields or the prompt's instructions. Other numbers count
as later ratings if they are part of a later event as a history shows it (`Heat (1995): 4`), or if they match ratings of
later events, their mean or their number, and are next to a rating word or are two or more that all match.
"""

import polars as pl

from feature_store.leak_evidence import FOUND, Evidence, leaks
from feature_store.leak_names import times_named

RATED = "a row about an item tells how it was rated later"
NUMBER = r"(?:^|[^\p{L}\p{N}._])(\d{1,7}(?:\.\d{1,4})?)(?:[^\p{L}\p{N}_.]|\.?$|\.\s)"
CUE = r"\b(?:rat(?:e|ed|es|ing|ings)|scor(?:e|ed|es)|stars?|reviews?|votes?|average|mean|likes?|liked|users?)\b"
"""Rating words: next to one of them, a single number is enough."""


def rated_later(subjects: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Find later ratings in prompts and texts about items.

    Args:
        subjects: Result of `read_subjects`.
        evidence: The data; of the events, at least all of the items of these subjects.

    Returns:
        Rows with the columns of `FOUND`.
    """
    read = subjects.filter((pl.col("entity_type") == "item") & (pl.col("source") != "answer"))
    rated = evidence.events.filter(pl.col("rating").is_not_null())
    if read.is_empty() or rated.is_empty():
        return pl.DataFrame(schema=FOUND)
    fixed = read.with_columns(given=pl.concat_str("given", "alike", separator="\n", ignore_nulls=True))
    found = pl.concat([_as_shown(fixed, rated), _as_numbers(fixed, rated)])
    return leaks(found.unique("row", keep="first", maintain_order=True).sort("row"), RATED)


def _as_shown(read: pl.DataFrame, rated: pl.DataFrame) -> pl.DataFrame:
    """Find events as a history shows them that appear more often than earlier ones explain."""
    keys = ["place", "row", "as_of", "shown"]
    events = rated.select("shown", "time", target="item")
    ways = events.select("target", "shown").unique(maintain_order=True)  # an item has many events, shown in few ways
    there = read.select("place", "row", "as_of", "target", "content", "given").join(
        ways, on="target", maintain_order="left_right"
    ).filter(pl.col("content").str.contains(pl.col("shown"), literal=True))  # fmt: skip
    named = there.join(events, on=["target", "shown"], maintain_order="left_right")
    counts = named.group_by(keys, maintain_order=True).agg(
        (pl.col("time") <= pl.col("as_of")).sum().alias("before"),
        pl.col("time").filter(pl.col("time") > pl.col("as_of")).min(),
        pl.col("content").first(),
        pl.col("given").first(),
    )
    often = counts.with_columns(
        named=times_named(pl.col("content"), pl.col("shown")), rightly=times_named(pl.col("given"), pl.col("shown"))
    ).filter(pl.col("time").is_not_null() & (pl.col("named") > pl.col("rightly") + pl.col("before")))
    return often.select("row", "as_of", "time", event="shown")


def _numbers(texts: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the numbers in texts: place, number, count."""
    spread = pl.col(column).str.replace_all(r"([;,|/()\s:])", "$1$1")  # so that neighbours do not share a mark
    listed = texts.select("place", spread.str.extract_all(NUMBER).alias("number")).explode("number").drop_nulls()
    bare = listed.select("place", pl.col("number").str.extract(r"(\d+(?:\.\d+)?)").cast(pl.Float64))
    return bare.group_by("place", "number").agg(pl.len().cast(pl.Int64).alias("count"))


def _as_numbers(read: pl.DataFrame, rated: pl.DataFrame) -> pl.DataFrame:
    """Find unexplained numbers that equal later ratings, or the mean or number of ratings."""
    whom = read.select("place", "row", "as_of", "target", cue=_beside_a_word())
    loose = _numbers(read, "content").join(_numbers(read, "given"), on=["place", "number"], how="anti")
    loose = loose.join(whom, on="place")
    if loose.is_empty():
        return pl.DataFrame(schema={name: FOUND[name] for name in ("row", "as_of", "time", "event")})
    of_rows = loose.select("place", "as_of", "target").unique().join(
        rated.select("rating", "time", target="item"), on="target"
    )  # fmt: skip
    before = pl.col("time") <= pl.col("as_of")
    single = of_rows.group_by("place", pl.col("rating").cast(pl.Float64).alias("number")).agg(
        before.sum().cast(pl.Int64).alias("before"),
        (~before).sum().cast(pl.Int64).alias("after"),
        pl.col("time").filter(~before).min(),
    )
    ratings = pl.concat([single, _aggregates(of_rows)], how="diagonal_relaxed").unique(
        ["place", "number"], keep="first"
    )
    hits = loose.join(ratings, on=["place", "number"], how="left").with_columns(
        hit=pl.min_horizontal(pl.col("count") - pl.col("before"), "after").clip(lower_bound=0).fill_null(0)
    )
    per_row = hits.group_by("place", "row", "as_of", "cue", maintain_order=True).agg(
        pl.col("hit").sum(),
        pl.col("count").sum(),
        pl.col("time").filter(pl.col("hit") > 0).min(),
        pl.col("number").filter(pl.col("hit") > 0).sort().alias("told"),
    )
    # A single number may be anything; several that are all ratings, or one next to a rating word, are not chance.
    enough = (pl.col("hit") > 0) & (pl.col("cue") | ((pl.col("hit") >= 2) & (pl.col("hit") == pl.col("count"))))
    said = pl.format("ratings: {}", pl.col("told").cast(pl.List(pl.String)).list.join(", "))
    return per_row.filter(enough).select("row", "as_of", "time", event=said)


def _aggregates(of_rows: pl.DataFrame) -> pl.DataFrame:
    """Return means, with up to two decimals, and counts of an item's ratings, where these include later ones."""
    later = pl.col("time") > pl.col("as_of")
    by_row = of_rows.group_by("place").agg(
        pl.col("rating").mean().alias("mean"),
        pl.len().alias("number"),
        pl.col("time").filter(later).min(),
        later.any().alias("any"),
    )
    told = [pl.col("mean").round(2), pl.col("mean").round(1), pl.col("number")]
    listed = [
        by_row.filter("any").select(
            "place",
            value.cast(pl.Float64).alias("number"),
            "time",
            before=pl.lit(0, pl.Int64),
            after=pl.lit(1, pl.Int64),
        )
        for value in told
    ]
    return pl.concat(listed).unique(["place", "number"], keep="first", maintain_order=True)


def _beside_a_word() -> pl.Expr:
    """Return whether a text has a number next to a rating word, while its instructions and fields do not."""
    near = rf"(?i){CUE}[^\n]{{0,40}}\d|\d[^\n]{{0,40}}{CUE}"
    return pl.col("content").str.contains(near) & ~pl.col("given").fill_null("").str.contains(near)
