"""Find later events of a row's subject in prompts and texts, however they are written.

A row about a user may name what the user met up to `as_of`; one about an event, what came strictly before it, and its
target; one about a query must not name what the query led to later. The check reads the stored prompts, the texts of
techniques that ask no model, and what other texts say beyond their answer: an answer may name any film, because a model
knows many.

A name is explained by an earlier event, by the fields of the row's subject, by the prompt's instructions, or by the
text of another row that was known by then and is quoted in full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from feature_store.leak_evidence import FOUND, Evidence, leaks
from feature_store.leak_names import FIELDS, MENTIONS, holds, item_patterns, mentions, times_named

NAMED = {
    "prompt": "a prompt names a later event",
    "text": "a text that no model wrote names a later event",
    "answer": "a text names a later event that its answer does not",
}
LED_TO = "a row about a query names what the query led to later"
WHOM = ["place", "row", "entity_type", "source", "as_of", "user", "query", "strict"]
SUSPECT = [*WHOM, "pattern", "item", "shown", "time"]
NAMING = pl.DataFrame(schema=MENTIONS)
MANY = 4
"""Items are many if they are more than a fourth of all."""
READ_AT_ONCE = 50_000
"""Texts whose words are looked at at once, so that memory does not grow with their number."""


@dataclass(frozen=True)
class Names:
    """The names of all items."""

    items: pl.DataFrame
    """item, name, title, described, says."""

    @cached_property
    def patterns(self) -> pl.DataFrame:
        """Return pattern and item."""
        return item_patterns(self.items)

    @cached_property
    def carriers(self) -> pl.DataFrame:
        """Return pattern and item: items whose own fields contain a pattern, as those of The Heat contain `Heat`."""
        return _carriers(self.items, self.patterns["pattern"].unique())

    def carriers_of(self, patterns: pl.Series, items: pl.Series) -> pl.DataFrame:
        """Return at least the carriers of some patterns among some items."""
        if len(items) > len(self.items) // MANY:  # the same ones are asked for in every part
            return self.carriers
        return _carriers(self.items.filter(pl.col("item").is_in(items.implode())), patterns)

    def named_in(self, texts: pl.DataFrame, column: str, some: pl.Series | None = None) -> pl.DataFrame:
        """Find the names, or some of their patterns, in a column of texts: place, pattern; sorted by both."""
        found = mentions(texts[column], (self.patterns["pattern"] if some is None else some).unique())
        places = texts.select("place").with_row_index("at")
        joined = found.rename({"place": "at"}).join(places, on="at", maintain_order="left")
        return joined.select("place", "pattern")


def _carriers(items: pl.DataFrame, patterns: pl.Series) -> pl.DataFrame:
    said = items.select("item", text=pl.concat_str(*FIELDS, separator="\n")).with_row_index("place")
    return mentions(said["text"], patterns).join(said, on="place").select("pattern", "item").unique()


@dataclass(frozen=True)
class Named:
    """Names of later events in some prompts and texts."""

    wrong: pl.DataFrame
    """Names that nothing explains but, perhaps, a quoted text: `SUSPECT` and content."""
    often: pl.DataFrame
    """Events that are shown more often than earlier ones explain: `SUSPECT`."""


def named_later(subjects: pl.DataFrame, evidence: Evidence, names: Names) -> Named:
    """Find the names of later events in some prompts and texts.

    Args:
        subjects: Result of `read_subjects`; those about items are passed over (leak_ratings.py checks them).
        evidence: The data; of the events, at least all of the users of these subjects.
        names: The names of all items.
    """
    read = subjects.filter(pl.col("entity_type") != "item")
    named = names.named_in(read, "content").join(names.patterns, on="pattern", maintain_order="left_right")
    suspects = _suspects(named, read, evidence)
    if suspects.is_empty():
        return Named(suspects.with_columns(content=pl.lit("")), suspects)
    explained = _explained(suspects, read, evidence, names)
    wrong = suspects.join(explained, on=["place", "pattern"], how="anti", maintain_order="left")
    often = suspects.join(explained, on=["place", "pattern"], how="semi", maintain_order="left")
    contents = read.select("place", "content")
    return Named(wrong.join(contents, on="place", maintain_order="left"), _too_often(often, read, evidence, names))


def shown_later(found: Sequence[Named], rows: pl.DataFrame, names: Names) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Decide which names of later events are leaks, by what the texts quote.

    Args:
        found: Results of `named_later`.
        rows: All rows with a text.
        names: The names of all items.

    Returns:
        Rows with the columns of `FOUND`; and the rows (column `row`) that only a quoted text of another row explains.
    """
    named = pl.concat([one.wrong for one in found]) if found else pl.DataFrame(schema={"row": pl.String})
    if named.is_empty() and not any(len(one.often) for one in found):
        return pl.DataFrame(schema=FOUND), named.select("row")
    wrong = _unquoted(named, rows, names)
    quoting = named.select("row").unique().join(wrong, on="row", how="anti")
    every = pl.concat([wrong, *(one.often for one in found)])
    told = every.unique(["row", "item", "time"], keep="first", maintain_order=True).sort("row", "time", "item")
    return pl.concat(
        [
            pl.DataFrame(schema=FOUND),
            *(
                leaks(part.rename({"shown": "event"}), LED_TO if kind == "query" else NAMED[str(source)])
                for (kind, source), part in told.group_by("entity_type", "source", maintain_order=True)
            ),
        ]
    ), quoting


def _suspects(named: pl.DataFrame, read: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Return names of items that the row's user met, or the row's query led to, later than the row may know."""
    named = named.join(read.select(WHOM), on="place", maintain_order="left")
    met = evidence.events.select("user", "item", "time", "shown")
    later = (pl.col("time") > pl.col("as_of")) | (pl.col("strict") & (pl.col("time") == pl.col("as_of")))
    of_users = named.join(met, on=["user", "item"], maintain_order="left_right").filter(later)
    led = evidence.queries.select("query", "item", "time").join(
        evidence.items.select("item", shown="name"), on="item"
    )  # fmt: skip
    of_queries = named.join(led, on=["query", "item"], maintain_order="left_right")
    of_queries = of_queries.filter(later.fill_null(value=True))
    return pl.concat([of_users.select(SUSPECT), of_queries.select(SUSPECT)]).unique(maintain_order=True)


def _explained(suspects: pl.DataFrame, read: pl.DataFrame, evidence: Evidence, names: Names) -> pl.DataFrame:
    """Return the names that are legitimate: place, pattern."""
    keys = suspects.select(*WHOM, "pattern").unique()
    texts = read.join(keys.select("place").unique(), on="place", how="semi")
    some = keys["pattern"].unique()
    given = names.named_in(texts, "given", some)
    # The instructions are unknown: shared lines explain a word such as a heading, but not a list of events.
    alike = names.named_in(texts, "alike", some).filter(pl.col("pattern").str.starts_with(" | "))
    earlier = _earlier(keys, evidence, names).select("place", "pattern")
    return pl.concat([given, alike, earlier]).unique()


def _earlier(keys: pl.DataFrame, evidence: Evidence, names: Names) -> pl.DataFrame:
    """Return earlier events of the row's user with an item whose fields contain the name."""
    met = evidence.events.select("user", "item", before="time", was="shown")
    met = met.join(keys.select("user").unique(), on="user", how="semi")
    known = (pl.col("before") < pl.col("as_of")) | (~pl.col("strict") & (pl.col("before") == pl.col("as_of")))
    carriers = names.carriers_of(keys["pattern"].unique(), met["item"].unique())
    return keys.join(carriers, on="pattern").join(met, on=["user", "item"]).filter(known)


def _too_often(suspects: pl.DataFrame, read: pl.DataFrame, evidence: Evidence, names: Names) -> pl.DataFrame:
    """Return events that are shown, with rating, more often than earlier ones, or a target, explain."""
    texts = read.select("place", "content", "once", "alike")
    shown, single = pl.col("shown"), pl.col("pattern").str.starts_with(" | ")
    count = suspects.filter(pl.col("entity_type") != "query").join(texts, on="place", maintain_order="left")
    count = count.with_columns(
        named=times_named(pl.col("content"), shown),
        rightly=times_named(pl.col("once"), shown)
        + pl.when(single).then(times_named(pl.col("alike"), shown)).otherwise(0),
    ).filter(pl.col("named") > pl.col("rightly"))
    keys = ["place", "pattern", "shown"]
    earlier = _earlier(count.select(*WHOM, "pattern", "shown").unique(), evidence, names)
    before = earlier.group_by(keys).agg(times_named(pl.col("was"), shown).sum().alias("before"))
    left = count.join(before, on=keys, how="left", maintain_order="left").filter(
        pl.col("named") > pl.col("rightly") + pl.col("before").fill_null(0)
    )
    return left.select(SUSPECT)


def _unquoted(wrong: pl.DataFrame, rows: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Drop names from the quoted text of another row that a model wrote and that was known by then."""
    if wrong.is_empty():
        return wrong.select(SUSPECT)
    others = rows.drop_nulls("answer_key").select(quoted="text", known="as_of", other="row").with_row_index("place")
    some = wrong["pattern"].unique()
    named = [names.named_in(part, "quoted", some) for part in others.iter_slices(READ_AT_ONCE)]
    naming = pl.concat([NAMING, *named]).join(others, on="place").drop("place")
    texts = wrong.select("place", "pattern", "row", "as_of", "content").unique(["place", "pattern"])
    quotes = texts.join(naming, on="pattern").filter(
        (pl.col("known") <= pl.col("as_of"))
        & (pl.col("other") != pl.col("row"))
        & pl.col("content").str.contains(pl.col("quoted"), literal=True)
    )
    left = dict(texts.select("place", "content").iter_rows())
    for place, quoted in quotes.select("place", "quoted").unique().sort("place", "quoted").iter_rows():
        left[place] = left[place].replace(quoted, " | ")
    unquoted = pl.Series("unquoted", [left[place] for place in wrong["place"]], dtype=pl.String)
    return wrong.with_columns(unquoted).filter(holds(pl.col("unquoted"), pl.col("pattern"))).select(SUSPECT)
