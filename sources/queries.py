"""Queries as a source: what was typed, how often, what it led to; head, torso and tail; and splits that do not leak.

A query is known by its normalised text: `Sci-Fi`, `sci-fi ` and `SCI-FI` are one query, and every table that names a
query names it so. The spelling that was typed most often is what a prompt shows.
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
"""Columns of a table of queries."""
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
"""Characters that no query holds, such as those that begin a terminal's escape sequences; tabs and line ends may."""


def check_query(query: str, longest: int) -> str:
    """See that a query can be asked for, by the rules of the table of queries.

    Args:
        query: As it was typed.
        longest: Characters it may have.

    Returns:
        The normalised query.

    Raises:
        WrongUse: It is empty or too long, holds control characters, or is no Unicode.
    """
    faults = []
    if not normalised(query):
        faults.append("is empty")
    if len(query) > longest:
        faults.append(f"has {len(query):,} characters, at most {longest:,} are read (queries.longest)")
    if re.search(CONTROL, query):
        faults.append("holds control characters")
    if any("\ud800" <= letter <= "\udfff" for letter in query):
        faults.append("is not UTF-8")
    if faults:
        raise WrongUse(f"the query {' and '.join(faults)}\n  give it as a user would type it: a few words")
    return normalised(query)


def normalised(query: str) -> str:
    """Bring a query to the form by which it is known: NFKC, case folded, white space collapsed.

    Example:
        >>> normalised("  Sci-Fi\\tw/ TIME  travel ")
        'sci-fi w/ time travel'
        >>> normalised("ＳＴＲＡＳＳＥ") == normalised("Straße")
        True
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", query).casefold())
    return " ".join(unicodedata.normalize("NFKC", text.casefold()).split())


def query_table(dataset: Dataset) -> pl.DataFrame:
    """Gather what was typed by query.

    Args:
        dataset: The data; without a table of queries there is none.

    Returns:
        One row a query, sorted by query: `query` (normalised), `shown` (the spelling typed most often, of equals the
        first typed, its white space collapsed), `count` (UInt32, how often), `items` (List(String), the distinct items
        it led to, by first time), `first` and `last` (Datetime us UTC, when it was typed; null without times).
    """
    return _gathered(_log(dataset))


def engagements(dataset: Dataset) -> pl.DataFrame:
    """Who came to which item by which query.

    Args:
        dataset: The data; without a table of queries there is none.

    Returns:
        query (normalised), item, user (String each): every combination once, sorted. All events that name no user
        count as those of one user, whose name is null: nothing tells them apart.
    """
    return _log(dataset).drop_nulls("item").select("query", "item", "user").unique().sort("query", "item", "user")


def segments(table: pl.DataFrame, config: SegmentsConfig = SegmentsConfig()) -> pl.Series:  # noqa: B008 - is frozen
    """Say of each query whether it is head, torso or tail, by its cumulative share of all that was typed.

    Queries stand by falling count. Head are those before which less than `head` of all events lie, torso those before
    which less than `head + torso` lie, tail are the others. Queries of one count are never parted: they go by the
    first of them.

    Args:
        table: From `query_table`.
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
    place = pl.col("before") + 1e-9  # a share of 0.3 must not be missed by its binary rest
    named = pl.when(place < config.head).then(pl.lit("head")).when(place < config.head + config.torso)
    return joined.select(named.then(pl.lit("torso")).otherwise(pl.lit("tail")).alias("segment"))["segment"]


def split_queries(table: pl.DataFrame, config: QuerySplit) -> pl.Series:
    """Say of each query whether it is for training, validation or test; whole queries, whatever their spellings.

    By query a hash of the normalised text and the seed decides, so that a query keeps its part while others come and
    go. By time the time decides when a query was first typed; queries of one moment are never parted.

    Args:
        table: From `query_table`.
        config: By query or by time, the shares, the seed.

    Returns:
        [Q] String `part`, aligned with `table`: `train`, `validation` or `test`.

    Raises:
        ValueError: By time, and a query has no time.
    """
    if config.by == "query":
        place = pl.Series([_place(query, config.seed) for query in table["query"]], dtype=pl.Float64)
        return _parts(place, config.train, config.train + config.validation)
    if table["first"].null_count():
        raise ValueError("a split by time needs the time of every query")
    first, second = _cuts(table, config)
    return _parts(table["first"], first, second)


def training_queries(dataset: Dataset, config: QuerySplit) -> pl.DataFrame:
    """The queries to train on, with no more than training may know of them.

    By time, what was typed at or after the cut is not counted and what it led to is not seen, also where the query is
    one of training: else a model would be taught clicks of the time it is tested on.

    Returns:
        As `query_table`, the training queries alone.
    """
    return _part(dataset, config, "train", 0)


def validation_queries(dataset: Dataset, config: QuerySplit) -> pl.DataFrame:
    """The queries by which weights are chosen, with no more than validation may know of them.

    By time, what they led to at or after the moment at which the test begins is not seen.

    Returns:
        As `query_table`, the validation queries alone.
    """
    return _part(dataset, config, "validation", 1)


def _part(dataset: Dataset, config: QuerySplit, part: str, cut: int) -> pl.DataFrame:
    """The queries of one part; by time, of events before a cut alone."""
    log = _log(dataset)
    table = _gathered(log)
    chosen = table.filter(split_queries(table, config) == part)
    if config.by == "time":
        log = log.filter(pl.col("time") < _cuts(table, config)[cut])
    return _gathered(log.join(chosen, on="query", how="semi", maintain_order="left"))


def _log(dataset: Dataset) -> pl.DataFrame:
    """What was typed, oldest first (without times: as it stands in the file), with normalised queries."""
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
    """Where a query lies between 0 and 1, evenly over queries."""
    digest = hashlib.blake2b(f"{seed}/{query}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _cuts(table: pl.DataFrame, config: QuerySplit) -> tuple[datetime, datetime]:
    """The two moments at which validation and test begin."""
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
