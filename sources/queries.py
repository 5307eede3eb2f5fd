"""Queries: what was typed, how often, what it led to; head, torso and tail; and splits that do not leak.

A query is identified by its normalised text in every table: `Sci-Fi`, `sci-fi ` and `SCI-FI` are one query. A prompt
shows the spelling that was typed most often.
"""

import hashlib
import re
import unicodedata
from datetime import UTC, datetime

import polars as pl

from base.faults import WrongUse
from sources.config import QuerySplit, SegmentsConfig
from sources.tables import Dataset

MOMENT = pl.Datetime("us", "UTC")
SCHEMA = pl.Schema(
    {
        "query": pl.String(),
        "shown": pl.String(),
        "count": pl.UInt32(),
        "items": pl.List(pl.String()),
        "first": MOMENT,
        "last": MOMENT,
    }
)
"""Columns of the query table."""
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
"""Characters not allowed in queries, such as those of terminal escape sequences; tabs and line ends are allowed."""


def check_query(query: str, longest: int) -> str:
    """Check a query by the rules of the query table, and normalise it.

    Args:
        query: The query as typed.
        longest: Maximum number of characters.

    Returns:
        The normalised query.

    Raises:
        WrongUse: It is empty or too long, contains control characters, or is not valid Unicode.
    """
    faults = []
    if not normalised(query):
        faults.append("is empty")
    if len(query) > longest:
        faults.append(f"has {len(query):,} characters, at most {longest:,} are allowed (queries.longest)")
    if re.search(CONTROL, query):
        faults.append("holds control characters")
    if any("\ud800" <= letter <= "\udfff" for letter in query):
        faults.append("is not UTF-8")
    if faults:
        raise WrongUse(f"the query {' and '.join(faults)}\n  write it as a user would type it: a few words")
    return normalised(query)


def normalised(query: str) -> str:
    """Normalise a query: NFKC, case folded, whitespace collapsed.

    Example:
        >>> normalised("  Sci-Fi\\tw/ TIME  travel ")
        'sci-fi w/ time travel'
        >>> normalised("ＳＴＲＡＳＳＥ") == normalised("Straße")
        True
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", query).casefold())
    return " ".join(unicodedata.normalize("NFKC", text.casefold()).split())


def query_table(dataset: Dataset) -> pl.DataFrame:
    """Collect what was typed, by query.

    Args:
        dataset: The data; without a table of queries the result is empty.

    Returns:
        One row per query, sorted by query: `query` (normalised), `shown` (the spelling typed most often, in a tie the
        first typed, with whitespace collapsed), `count` (UInt32, how often), `items` (List(String), the distinct items
        it led to, by first time), `first` and `last` (Datetime us UTC, when it was typed; null without times).
    """
    return _gathered(_log(dataset))


def engagements(dataset: Dataset) -> pl.DataFrame:
    """Return which users reached which items with which queries.

    Args:
        dataset: The data; without a table of queries the result is empty.

    Returns:
        query (normalised), item, user (String each): every combination once, sorted. All events without a user count
        as those of one user with id null, because nothing distinguishes them.
    """
    return _log(dataset).drop_nulls("item").select("query", "item", "user").unique().sort("query", "item", "user")


def segments(table: pl.DataFrame, config: SegmentsConfig = SegmentsConfig()) -> pl.Series:  # noqa: B008 - frozen
    """Return for each query whether it is head, torso or tail, by its cumulative share of all typed queries.

    Queries are ordered by descending count. A query is head if less than `head` of all events come before it, torso if
    less than `head + torso` do, else tail. Queries with the same count are never separated: the first one decides.

    Args:
        table: Result of `query_table`.
        config: The two shares.

    Returns:
        [Q] String `segment`, aligned with `table`.

    Example:
        >>> table = pl.DataFrame({"query": ["a", "b", "c", "d"], "count": [6, 2, 1, 1]})
        >>> segments(table, SegmentsConfig(head=0.5, torso=0.3)).to_list()
        ['head', 'torso', 'tail', 'tail']
    """
    counts = table["count"].cast(pl.Int64)
    by_count = counts.value_counts(name="of").sort("count", descending=True)
    events = by_count["count"] * by_count["of"]
    before = (events.cum_sum() - events) / max(int(counts.sum()), 1)
    shares = pl.DataFrame({"count": by_count["count"], "before": before})
    joined = pl.DataFrame({"count": counts}).join(shares, on="count", how="left", maintain_order="left")
    place = pl.col("before") + 1e-9  # a share of 0.3 must not be missed because of binary rounding
    named = pl.when(place < config.head).then(pl.lit("head")).when(place < config.head + config.torso)
    return joined.select(named.then(pl.lit("torso")).otherwise(pl.lit("tail")).alias("segment"))["segment"]


def split_queries(table: pl.DataFrame, config: QuerySplit) -> pl.Series:
    """Return for each query whether it is for training, validation or test; all spellings of a query stay together.

    With `by: query`, a hash of the normalised text and the seed decides, so that a query keeps its part while others
    come and go. With `by: time`, the time it was first typed decides; queries of one moment are never separated.

    Args:
        table: Result of `query_table`.
        config: By query or by time, the shares, the seed.

    Returns:
        [Q] String `part`, aligned with `table`: `train`, `validation` or `test`.

    Raises:
        ValueError: The split is by time, and a query has no time.
    """
    if config.by == "query":
        place = pl.Series([_place(query, config.seed) for query in table["query"]], dtype=pl.Float64)
        return _parts(place, config.train, config.train + config.validation)
    if table["first"].null_count():
        raise ValueError("a split by time needs the time of every query")
    first, second = _cuts(table, config)
    return _parts(table["first"], first, second)


def training_queries(dataset: Dataset, config: QuerySplit) -> pl.DataFrame:
    """Return the training queries, with only what training may know about them.

    With a split by time, events at or after the cut are not counted, even for training queries: otherwise a model would
    learn clicks from the time it is tested on.

    Returns:
        Like `query_table`, only training queries.
    """
    return _part(dataset, config, "train", 0)


def validation_queries(dataset: Dataset, config: QuerySplit) -> pl.DataFrame:
    """Return the validation queries, which choose weights, with only what validation may know about them.

    With a split by time, events at or after the start of the test are not counted.

    Returns:
        Like `query_table`, only validation queries.
    """
    return _part(dataset, config, "validation", 1)


def _part(dataset: Dataset, config: QuerySplit, part: str, cut: int) -> pl.DataFrame:
    """Return the queries of one part; with a split by time, from events before a cut only."""
    log = _log(dataset)
    table = _gathered(log)
    chosen = table.filter(split_queries(table, config) == part)
    if config.by == "time":
        log = log.filter(pl.col("time") < _cuts(table, config)[cut])
    return _gathered(log.join(chosen, on="query", how="semi", maintain_order="left"))


def _log(dataset: Dataset) -> pl.DataFrame:
    """Return what was typed, oldest first (without times: in file order), with normalised queries."""
    typed = dataset.queries if dataset.queries is not None else pl.DataFrame({"query": pl.Series([], dtype=pl.String)})
    columns = {"item": pl.String(), "user": pl.String(), "time": MOMENT}
    lacking = [pl.lit(None, dtype).alias(name) for name, dtype in columns.items() if name not in typed.columns]
    rows = typed.with_columns(lacking).select("item", "user", "time", shown=pl.col("query")).drop_nulls("shown")
    spellings = rows["shown"].unique()
    known = {spelling: (normalised(spelling), " ".join(spelling.split())) for spelling in spellings}
    names = [known[spelling] for spelling in rows["shown"]]
    pairs = pl.DataFrame(names, {"query": pl.String, "shown": pl.String}, orient="row")
    log = pl.concat([pairs, rows.drop("shown")], how="horizontal").filter(pl.col("query") != "")
    return log.sort("time", maintain_order=True, nulls_last=True)


def _gathered(log: pl.DataFrame) -> pl.DataFrame:
    spellings = log.with_row_index("row").group_by("query", "shown").agg(pl.len().alias("often"), pl.col("row").min())
    shown = spellings.sort("query", pl.col("often") * -1, "row").unique("query", keep="first").select("query", "shown")
    table = log.group_by("query", maintain_order=True).agg(
        pl.len().cast(pl.UInt32).alias("count"),
        pl.col("item").drop_nulls().unique(maintain_order=True).alias("items"),
        pl.col("time").min().alias("first"),
        pl.col("time").max().alias("last"),
    )
    return table.join(shown, on="query").sort("query").select(list(SCHEMA)).cast(SCHEMA)


def _place(query: str, seed: int) -> float:
    """Map a query to a number between 0 and 1, uniformly over queries."""
    digest = hashlib.blake2b(f"{seed}/{query}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _cuts(table: pl.DataFrame, config: QuerySplit) -> tuple[datetime, datetime]:
    """Return the two times at which validation and test begin."""
    times = table["first"].sort()
    if times.is_empty():
        last = datetime.max.replace(tzinfo=UTC)
        return last, last
    first, second = (
        times[min(int(len(times) * share + 1e-9), len(times) - 1)]
        for share in (config.train, config.train + config.validation)
    )
    return first, second


def _parts(place: pl.Series, first: float | datetime, second: float | datetime) -> pl.Series:
    trains, validates = pl.col("place") < first, pl.col("place") < second
    chosen = pl.when(trains).then(pl.lit("train")).when(validates).then(pl.lit("validation")).otherwise(pl.lit("test"))
    return place.alias("place").to_frame().select(chosen.alias("part"))["part"]
