"""Find what a store holds of some users: their rows, answers and texts, and what others were shown of them."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import polars as pl

from feature_store.answers import TABLE as ANSWERS_TABLE
from feature_store.answers import journal_rows
from feature_store.checksums import versions_of
from feature_store.damage import reading
from feature_store.database import Store
from feature_store.lineage import TABLE as LINEAGE_TABLE
from feature_store.needles import QUOTED, Needles, needles_of
from sources.tables import event_of

ROWS = ["row", "task", "entity_type", "entity", "answer_key", "text", "text_key", "reads"]
ASKED = ["key", "prompt", "messages", "text"]
IMPERSONAL = ("item", "query")
"""Kinds of entities that are no users: an item may have the id of a user."""


@dataclass(frozen=True)
class Traces:
    """What a store holds of some users."""

    users: frozenset[str]
    """Their ids."""
    rows: frozenset[str]
    """Keys of the rows of lineage to delete: theirs, and those that read them or were made from answers about them."""
    of_others: int
    """How many of these rows are about somebody or something else, whose prompt quoted the users."""
    answers: frozenset[str]
    """Keys of the answers to delete."""
    unnamed: int
    """How many of these answers no row names, so that nothing says whose they are."""
    kept_texts: frozenset[str]
    """Keys of all texts that stay."""
    personal: frozenset[str]
    """Techniques with rows that are not about items or queries."""
    needles: Needles
    """What to search for."""
    tasks: dict[str, int] = field(default_factory=dict)
    """Technique -> how many of its rows go."""
    doubtful: frozenset[str] = frozenset()
    """Ids of theirs that items or queries have, too: where no kind is told, as in edges, they name the others."""


def is_of(kind: str, entity: str, users: Collection[str]) -> bool:
    """Return whether an entity is one of some users, an event or an agent of theirs.

    Example:
        >>> is_of("user", "7", {"7"}), is_of("event", '["7","318"]', {"7"}), is_of("item", "7", {"7"})
        (True, True, False)
    """
    if kind in IMPERSONAL:
        return False
    return (event_of(entity)[0] if kind == "event" else entity) in users


def of_users(frame: pl.DataFrame, users: Collection[str]) -> pl.Series:
    """Return which rows are about some users: frame with entity_type and entity -> [n] Boolean."""
    pairs = frame.select("entity_type", "entity").unique()
    theirs = [(kind, entity) for kind, entity in pairs.iter_rows() if entity is not None and is_of(kind, entity, users)]
    known = pl.DataFrame(theirs, {"entity_type": pl.String, "entity": pl.String}, orient="row")
    return (
        frame.select("entity_type", "entity")
        .join(known.with_columns(theirs=True), on=["entity_type", "entity"], how="left", maintain_order="left")[
            "theirs"
        ]
        .fill_null(value=False)
    )


def reading_any(reads: pl.Series, rows: Collection[str]) -> pl.Series:
    """Return which lists of read rows, as JSON, name one of some rows: [n] String -> [n] Boolean."""
    told = [one is not None and not set(json.loads(one)).isdisjoint(rows) for one in reads]
    return pl.Series(told, dtype=pl.Boolean)


def every_version(store: Store, table: str, columns: list[str]) -> pl.DataFrame:
    """Read text columns of a table in all versions that there are, each row once; empty without the table.

    Raises:
        StoreFault: The table is damaged.
    """
    parts = [pl.DataFrame(schema=dict.fromkeys(columns, pl.String))]
    seen: set[tuple] = set()
    for version in versions_of(store.path(table)) if store.has(table) else ():
        dataset = store.open(table, version, whole=False)
        there = [name for name in columns if name in dataset.schema.names]
        for fragment in dataset.get_fragments():
            files = (tuple(one.path for one in fragment.metadata.files), fragment.deletion_file())
            if files not in seen:
                seen.add(files)
                with reading(store.path(table)):
                    parts.append(pl.DataFrame(pl.from_arrow(fragment.to_table(columns=there))))
    return pl.concat(parts, how="diagonal").unique()


def find_traces(
    store: Store,
    users: Collection[str],
    impersonal: Collection[str] = (),
    unsearched: Collection[str] = (),
    doubtful: Collection[str] = (),
) -> Traces:
    """Find what a store holds of some users. Writes nothing.

    A row of lineage is theirs by what it is about. It draws others in: rows that read it, and answers whose prompt or
    text holds a text of theirs. An answer that a row about somebody else names too stays, for it says nothing of them.
    Of the answers that no row names (other candidates of a row, pages of agents, what a killed run left), those stay
    that are known by their prompt or text to be somebody else's, and those of prompts that show no user.

    Args:
        store: The store.
        users: Ids of the users.
        impersonal: Names of prompts, without version, that show no user.
        unsearched: Ids that are not searched for in texts, because they stand in texts about others.
        doubtful: Ids that items or queries have, too.

    Raises:
        StoreFault: A table is damaged.
    """
    wanted, rows = frozenset(users), every_version(store, LINEAGE_TABLE, ROWS)
    searched = wanted - frozenset(unsearched)
    asked = every_version(store, ANSWERS_TABLE, ASKED)
    journal = [{name: row.get(name) for name in ASKED} for row in journal_rows(store)]
    asked = pl.concat([asked, pl.DataFrame(journal, schema=asked.schema)]).unique()
    theirs, lost_rows = of_users(rows, wanted), _lost_rows(rows, wanted - frozenset(doubtful))
    drawn, quoting = theirs, set[str]()
    while True:
        named = rows["answer_key"].is_in(_listed(quoting)).fill_null(value=False)
        gone = _closed(rows, drawn | named | reading_any(rows["reads"], lost_rows))
        needles, answers = _exclusive(searched, rows, gone, asked, quoting)
        more = set(asked.filter(needles.hits(asked["messages"]) | needles.hits(asked["text"]))["key"]) | answers
        drawn = gone | needles.hits(rows["text"])
        if more <= quoting and drawn.sum() == gone.sum():
            break
        quoting |= more
    unnamed = _unnamed(rows, gone, asked, answers, impersonal)
    lost = asked.filter(pl.col("key").is_in(_listed(unnamed)))
    kept = rows.filter(~gone)
    texts = {*_contents(lost), *lost["text"]}
    needles = Needles(needles.texts | needles_of((), texts, _texts(kept, asked, answers | unnamed)).texts, needles.ids)
    newest = rows.filter(gone).unique("row")
    return Traces(
        wanted,
        frozenset(newest["row"]) | lost_rows,
        len(newest) - rows.filter(theirs)["row"].n_unique(),
        frozenset(answers | unnamed),
        len(unnamed),
        frozenset(kept["text_key"].drop_nulls()),
        frozenset(rows.filter(~pl.col("entity_type").is_in(list(IMPERSONAL)))["task"]),
        needles,
        dict(sorted(newest["task"].value_counts().iter_rows())),
        frozenset(doubtful),
    )


def _lost_rows(rows: pl.DataFrame, users: Collection[str]) -> frozenset[str]:
    """Return the keys of rows of users that other rows have read, and that are themselves gone."""
    read = {key for keys in rows["reads"].drop_nulls().unique() for key in json.loads(keys)} - {*rows["row"]}
    entities = {key: key.partition("/")[2].rpartition("/")[0] for key in read}
    return frozenset(
        key
        for key, entity in entities.items()
        if entity in users or (entity.startswith("[") and is_of("event", entity, users))
    )


def _closed(rows: pl.DataFrame, gone: pl.Series) -> pl.Series:
    """Add the rows that read rows that go, until there are no more: [n] Boolean -> [n] Boolean."""
    while True:
        more = gone | reading_any(rows["reads"], set(rows.filter(gone)["row"]))
        if more.sum() == gone.sum():
            return gone
        gone = more


def _exclusive(
    users: Collection[str], rows: pl.DataFrame, gone: pl.Series, asked: pl.DataFrame, quoting: set[str]
) -> tuple[Needles, set[str]]:
    """Return the texts that are the users' alone, and the keys of the answers that are."""
    kept = rows.filter(~gone)
    answers = (set(rows.filter(gone)["answer_key"].drop_nulls()) | quoting) - set(kept["answer_key"].drop_nulls())
    lost = asked.filter(pl.col("key").is_in(_listed(answers)))
    own = rows.filter(gone & ~rows["text_key"].is_in(kept["text_key"].drop_nulls().implode()))
    written = {*own.filter(pl.col("answer_key").is_not_null())["text"], *lost["text"]}
    texts = {*own["text"], *written, *_contents(lost)}
    return needles_of(users, texts, _texts(kept, asked, answers), written), answers


def _texts(kept: pl.DataFrame, asked: pl.DataFrame, gone: set[str]) -> pl.Series:
    """Return all texts of rows and answers that a row about somebody else names."""
    named = asked.filter(pl.col("key").is_in(kept["answer_key"].drop_nulls().implode()) & ~_in(gone))
    texts = pl.Series([*kept["text"].drop_nulls(), *named["text"].drop_nulls(), *_contents(named)], dtype=pl.String)
    return texts.unique()


def _in(keys: Iterable[str]) -> pl.Expr:
    return pl.col("key").is_in(_listed(keys))


def _listed(keys: Iterable[str]) -> pl.Series:
    return pl.Series(sorted(keys), dtype=pl.String).implode()


def _contents(asked: pl.DataFrame) -> Iterable[str]:
    """Yield what the messages of prompts say."""
    for messages in asked["messages"].drop_nulls().unique():
        yield from (message["content"] for message in json.loads(messages))


def _unnamed(
    rows: pl.DataFrame, gone: pl.Series, asked: pl.DataFrame, answers: set[str], impersonal: Collection[str]
) -> set[str]:
    """Return the answers that no row names and that may be about the users."""
    kept = rows.filter(~gone)
    named = pl.col("key").is_in(rows["answer_key"].drop_nulls().implode())
    others = asked.filter(pl.col("key").is_in(kept["answer_key"].drop_nulls().implode()) & ~_in(answers))
    left = asked.filter(~named & ~_in(answers))
    left = left.filter(~pl.col("messages").is_in(others["messages"].drop_nulls().implode()).fill_null(value=False))
    if left.is_empty():
        return set()
    told = Needles(frozenset(text[:QUOTED] for text in kept["text"].drop_nulls().unique() if len(text) >= QUOTED))
    left = left.filter(~told.hits(left["messages"]) & ~told.hits(left["text"]))
    task = pl.col("prompt").str.replace(r"\.v\d+$", "")
    return set(left.filter(~task.is_in(sorted(impersonal)).fill_null(value=False))["key"])
