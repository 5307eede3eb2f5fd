"""Go through the prompts and texts of a release in parts, so that memory does not grow with their number.

A text can only tell what happened later than its row may know. So the rows are found first whose subject has a later
event, rating or search; the others need no reading. All texts of a subject are in one part, beside its events.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from feature_store.database import Store
from feature_store.leak_evidence import FOUND, Evidence
from feature_store.leak_ratings import rated_later
from feature_store.leak_rows import read_texts
from feature_store.leak_subjects import ALIKE, GROUP, read_subjects, sent, shared_lines, untold
from feature_store.leak_texts import Named, Names, named_later, shown_later
from feature_store.releases import Release

ROWS = 50_000
"""Rows whose prompts and texts are in memory at once."""
EVENTS = 1_000_000
"""Events that are beside them, about."""


@dataclass(frozen=True)
class TextReport:
    """What the texts of some rows tell."""

    found: pl.DataFrame
    """Leaks: rows with the columns of `FOUND`."""
    count: int
    """Number of prompts and texts."""
    quoting: pl.DataFrame
    """row: rows that name a later event and that only a quoted text of another row explains."""


def check_texts(
    store: Store, release: Release, chosen: pl.DataFrame, every: pl.DataFrame, held: pl.DataFrame, evidence: Evidence
) -> TextReport:
    """Find later events and ratings in the prompts and texts of some rows.

    Args:
        store: The store.
        release: The release.
        chosen: The rows to check, from `leak_rows.read_rows`; with one of a technique whose instructions are unknown,
            all of it.
        every: All rows.
        held: The answers, from `leak_rows.held_answers`.
        evidence: The data.
    """
    asked = chosen.join(held, left_on="answer_key", right_on="key", how="semi", maintain_order="left")
    count = len(asked) + chosen["answer_key"].null_count()
    may_tell = open_rows(chosen, evidence)
    unknown = untold(asked, evidence).join(untold(may_tell, evidence), on=GROUP, how="semi", nulls_equal=True)
    alike = shared_lines(_prompts(store, release, unknown, held)) if len(unknown) else pl.DataFrame(schema=ALIKE)
    names, named, rated = Names(evidence.items), list[Named](), [pl.DataFrame(schema=FOUND)]
    texts, first = every.filter(~pl.col("served")).select("row", "text"), 0
    for rows, data in _parts(may_tell, evidence):
        answers = read_texts(store, release, held, rows["answer_key"])
        subjects = read_subjects(rows, texts, answers, data, alike, first)
        first += len(subjects)
        count += len(subjects.filter(pl.col("source") == "answer"))
        named.append(named_later(subjects, data, names))
        rated.append(rated_later(subjects, data))
    shown, quoting = shown_later(named, every, names)
    return TextReport(pl.concat([shown, pl.concat(rated).sort("row")]), count, quoting)


def open_rows(rows: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Return the rows after which something happened that they could tell: an event, a rating or a search."""
    theirs = evidence.events.join(rows.select("user").unique(), on="user", how="semi")
    met = theirs.group_by("user").agg(met=pl.col("time").max())
    items = rows.filter(pl.col("entity_type") == "item").select(item="target").unique()
    ratings = evidence.events.filter(pl.col("rating").is_not_null()).join(items, on="item", how="semi")
    rated = ratings.group_by(target="item").agg(rated=pl.col("time").max())
    log = evidence.queries.join(evidence.items, on="item", how="semi")
    led = log.group_by("query").agg(led=pl.col("time").max(), undated=pl.col("time").is_null().any())
    known, kind = pl.col("as_of"), pl.col("entity_type")
    told = (pl.col("met") > known) | ((kind == "event") & (pl.col("met") == known))
    told = pl.when(kind == "item").then(pl.col("rated") > known).otherwise(told)
    told = told | (pl.col("led") > known) | pl.col("undated")
    marked = rows
    for table, key in ((met, "user"), (rated, "target"), (led, "query")):
        marked = marked.join(table, on=key, how="left", maintain_order="left")
    return marked.filter(told.fill_null(value=False)).select(rows.columns)


def _parts(rows: pl.DataFrame, evidence: Evidence) -> Iterator[tuple[pl.DataFrame, Evidence]]:
    """Split rows by their user, their item or their query, each part with the events of its subjects."""
    items = pl.col("entity_type") == "item"
    for some, by, key in (
        (rows.filter(pl.col("user").is_not_null()), "user", "user"),
        (rows.filter(items), "target", "item"),
        (rows.filter(pl.col("user").is_null() & ~items), "row", None),
    ):
        if some.is_empty():
            continue
        parts = max(-(-len(some) // ROWS), 0 if key is None else _parts_of_events(some[by], evidence.events, key))
        for number in range(parts):
            here = some.filter(pl.col(by).hash(0) % parts == number)
            events = evidence.events.clear()
            if key is not None:
                events = evidence.events
                events = events if parts == 1 else events.filter(pl.col(key).hash(0) % parts == number)
                events = events.join(here.select(pl.col(by).alias(key)), on=key, how="semi", maintain_order="left")
            yield here, replace(evidence, events=evidence.show(events))


def _parts_of_events(chosen: pl.Series, events: pl.DataFrame, key: str) -> int:
    """Return into how many parts to split the events of some users or items."""
    all_of_them = max(events.select(pl.col(key).approx_n_unique()).item(), 1)
    return -(-int(min(chosen.n_unique() / all_of_them, 1) * len(events)) // EVENTS)


def _prompts(store: Store, release: Release, rows: pl.DataFrame, held: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield task, prompt_digest and content of the prompts of some rows, in parts."""
    for part in rows.iter_slices(ROWS):
        texts = read_texts(store, release, held, part["answer_key"])
        asked = part.join(texts.select("key", "messages"), left_on="answer_key", right_on="key", maintain_order="left")
        yield asked.select(*GROUP, content=sent(pl.col("messages")))
