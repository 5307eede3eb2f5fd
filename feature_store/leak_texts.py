"""Find later events of a row's subject in prompts and texts, however they are written.

A row about a user may name what the user met up to `as_of`; one about an event, what came strictly before it, and its
target; one about a query must not name what the query led to later. The check reads the stored prompts, the texts of
techniques that ask no model, and what other texts say beyond their answer: an answer may name any film, because a model
knows many.

A name is explained by an earlier event, by the fields of the row's subject, by the prompt's instructions, or by the
text of another row that was known by then and is quoted in full.
"""

from dataclasses import dataclass

import polars as pl

from feature_store.leak_evidence import FOUND, Evidence, leaks
from feature_store.leak_names import FIELDS, holds, item_patterns, mentions, times_named

NAMED = {
    "prompt": "a prompt names a later event",
    "text": "a text that no model wrote names a later event",
    "answer": "a text names a later event that its answer does not",
}
LED_TO = "a row about a query names what the query led to later"
WHOM = ["place", "row", "entity_type", "source", "as_of", "user", "query", "strict"]
SUSPECT = [*WHOM, "pattern", "item", "shown", "time"]


@dataclass(frozen=True)
class Names:
    """The names of all items."""

    patterns: pl.DataFrame
    """pattern, item."""
    carriers: pl.DataFrame
    """pattern, item: items whose own fields contain a pattern, as those of The Heat contain `Heat`."""

    @classmethod
    def of(cls, items: pl.DataFrame) -> "Names":
        """Collect the names, and which items' fields contain which of them."""
        patterns = item_patterns(items)
        said = items.select("item", text=pl.concat_str(*FIELDS, separator="\n")).with_row_index("place")
        held = mentions(said["text"], patterns["pattern"].unique())
        return cls(patterns, held.join(said, on="place").select("pattern", "item").unique())

    def named_in(self, texts: pl.DataFrame, column: str) -> pl.DataFrame:
        """Find the names in a column of texts: place, pattern."""
        found = mentions(texts[column], self.patterns["pattern"].unique())
        places = texts.select("place").with_row_index("at")
        return found.rename({"place": "at"}).join(places, on="at").select("place", "pattern")


def shown_later(subjects: pl.DataFrame, rows: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Find later events in all prompts and texts.

    Args:
        subjects: Result of `read_subjects`.
        rows: Lineage with a text.
        evidence: The data.

    Returns:
        Rows with the columns of `FOUND`.
    """
    read = subjects.filter(pl.col("entity_type") != "item")  # leak_ratings.py checks items
    names = Names.of(evidence.items)
    suspects = _suspects(names.named_in(read, "content").join(names.patterns, on="pattern"), read, evidence)
    explained = _explained(suspects, read, evidence, names)
    wrong = _unquoted(suspects.join(explained, on=["place", "pattern"], how="anti"), read, rows, names)
    often = _too_often(suspects.join(explained, on=["place", "pattern"], how="semi"), read, evidence, names)
    found = pl.concat([wrong, often]).unique(["row", "item", "time"], keep="first").sort("row", "time", "item")
    return pl.concat(
        [
            pl.DataFrame(schema=FOUND),
            *(
                leaks(part.rename({"shown": "event"}), LED_TO if kind == "query" else NAMED[str(source)])
                for (kind, source), part in found.group_by("entity_type", "source", maintain_order=True)
            ),
        ]
    )


def _suspects(named: pl.DataFrame, read: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Return names of items that the row's user met, or the row's query led to, later than the row may know."""
    named = named.join(read.select(WHOM), on="place")
    met = evidence.events.select("user", "item", "time", "shown")
    later = (pl.col("time") > pl.col("as_of")) | (pl.col("strict") & (pl.col("time") == pl.col("as_of")))
    of_users = named.join(met, on=["user", "item"]).filter(later)
    led = evidence.queries.select("query", "item", "time").join(
        evidence.items.select("item", shown="name"), on="item"
    )  # fmt: skip
    of_queries = named.join(led, on=["query", "item"]).filter(later.fill_null(value=True))
    return pl.concat([of_users.select(SUSPECT), of_queries.select(SUSPECT)]).unique(maintain_order=True)


def _explained(suspects: pl.DataFrame, read: pl.DataFrame, evidence: Evidence, names: Names) -> pl.DataFrame:
    """Return the names that are legitimate: place, pattern."""
    keys = suspects.select(*WHOM, "pattern").unique()
    texts = read.join(keys.select("place").unique(), on="place", how="semi")
    given = names.named_in(texts, "given")
    # The instructions are unknown: shared lines explain a word such as a heading, but not a list of events.
    alike = names.named_in(texts, "alike").filter(pl.col("pattern").str.starts_with(" | "))
    earlier = _earlier(keys, evidence, names).select("place", "pattern")
    return pl.concat([given, alike, earlier]).unique()


def _earlier(keys: pl.DataFrame, evidence: Evidence, names: Names) -> pl.DataFrame:
    """Return earlier events of the row's user with an item whose fields contain the name."""
    met = evidence.events.select("user", "item", before="time", was="shown")
    known = (pl.col("before") < pl.col("as_of")) | (~pl.col("strict") & (pl.col("before") == pl.col("as_of")))
    return keys.join(names.carriers, on="pattern").join(met, on=["user", "item"]).filter(known)


def _too_often(suspects: pl.DataFrame, read: pl.DataFrame, evidence: Evidence, names: Names) -> pl.DataFrame:
    """Return events that are shown, with rating, more often than earlier ones, or a target, explain."""
    texts = read.select("place", "content", "once", "alike")
    shown, single = pl.col("shown"), pl.col("pattern").str.starts_with(" | ")
    count = suspects.filter(pl.col("entity_type") != "query").join(texts, on="place").with_columns(
        named=times_named(pl.col("content"), shown),
        rightly=times_named(pl.col("once"), shown)
        + pl.when(single).then(times_named(pl.col("alike"), shown)).otherwise(0),
    ).filter(pl.col("named") > pl.col("rightly"))  # fmt: skip
    keys = ["place", "pattern", "shown"]
    earlier = _earlier(count.select(*WHOM, "pattern", "shown").unique(), evidence, names)
    before = earlier.group_by(keys).agg(times_named(pl.col("was"), shown).sum().alias("before"))
    left = count.join(before, on=keys, how="left").filter(
        pl.col("named") > pl.col("rightly") + pl.col("before").fill_null(0)
    )
    return left.select(SUSPECT)


def _unquoted(wrong: pl.DataFrame, read: pl.DataFrame, rows: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Drop names from the quoted text of another row that a model wrote and that was known by then."""
    if wrong.is_empty():
        return wrong
    others = rows.drop_nulls("answer_key").select(quoted="text", known="as_of", other="row").with_row_index("place")
    naming = names.named_in(others, "quoted").join(others, on="place").drop("place")
    texts = wrong.select("place", "pattern").unique().join(read.select("place", "row", "as_of", "content"), on="place")
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
