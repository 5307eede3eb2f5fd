"""The rows that a leak check goes through: lineage and served rewrites, with their subjects and the answers behind."""

import polars as pl

from feature_store.answers import TABLE as ANSWERS_TABLE
from feature_store.damage import reading
from feature_store.database import Store
from feature_store.identity import StoreFault
from feature_store.leak_evidence import MOMENT
from feature_store.lineage import EPOCH
from feature_store.releases import Release, released_lineage
from feature_store.schemas import ANSWERS
from feature_store.served import TABLE as REWRITES_TABLE
from feature_store.served import read_rewrites

COLUMNS = [
    "row", "task", "entity_type", "entity", "as_of", "seen_until", "answer_key", "prompt_digest", "model", "text",
    "model_seen_until", "reads",
]  # fmt: skip
"""What is read of the lineage."""
HELD = pl.Schema({"key": pl.String, "answered": MOMENT, "file": pl.String, "at": pl.UInt32})
SERVED = ("row", "task", "entity_type", "entity", "as_of", "answer_key", "model", "text")


def read_rows(store: Store, release: Release, held: pl.DataFrame) -> pl.DataFrame:
    """Read all rows with a text.

    Args:
        store: The store.
        release: The release.
        held: Its answers, from `held_answers`.

    Returns:
        `COLUMNS`; `served`, true for a row of the served table of rewrites; and the subject: user, target (an item) and
        query, or null.
    """
    rows = released_lineage(store, release, columns=COLUMNS).filter(pl.col("text").is_not_null())
    every = pl.concat([rows.with_columns(served=False), _served(store, release, rows, held).with_columns(served=True)])
    kind, whose = pl.col("entity_type"), pl.col("entity")
    pair = pl.when(kind == "event").then(whose).str.json_decode(pl.List(pl.String))  # sources.tables.event_id
    return every.with_columns(
        user=pl.when(kind == "event").then(pair.list.get(0, null_on_oob=True)).when(kind == "user").then(whose),
        target=pl.when(kind == "event").then(pair.list.get(1, null_on_oob=True)).when(kind == "item").then(whose),
        query=pl.when(kind == "query").then(whose),
    )


def _served(store: Store, release: Release, rows: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return the served table of rewrites in the form of lineage; the lineage says which prompt asked for an answer."""
    if REWRITES_TABLE not in release.versions:
        return rows.clear()
    table = pl.DataFrame(
        [
            {
                "row": f"{REWRITES_TABLE}/{one['query']}",
                "task": REWRITES_TABLE,
                "entity_type": "query",
                "entity": one["query"],
                "as_of": EPOCH,
                "answer_key": one["answer_key"],
                "model": one["model"],
                "text": "\n".join(rewrite["text"] for rewrite in one["rewrites"]),
            }
            for one in read_rewrites(store, release.versions[REWRITES_TABLE])
        ],
        schema={name: kind for name, kind in rows.schema.items() if name in SERVED},
    )
    asked = rows.drop_nulls("answer_key").select("answer_key", "prompt_digest")
    digests = asked.unique("answer_key", keep="first", maintain_order=True)
    seen = held.select("key", model_seen_until="answered")
    table = table.join(digests, on="answer_key", how="left", maintain_order="left")
    table = table.join(seen, left_on="answer_key", right_on="key", how="left", maintain_order="left")
    return pl.concat([rows.clear(), table], how="diagonal")


def held_answers(store: Store, release: Release) -> pl.DataFrame:
    """Find the answers of a release, without their texts.

    Returns:
        key; `answered`: what the model had seen; `file`: the names of the files that hold it, which never change; `at`:
        its place in the table.
    """
    if ANSWERS_TABLE not in release.versions:
        return pl.DataFrame(schema=HELD)
    version = release.versions[ANSWERS_TABLE]
    dataset = store.open(ANSWERS_TABLE, version)
    lacking = store.added_columns(ANSWERS_TABLE, ["key", "seen_until"], ANSWERS, dataset.schema.names)
    there = [name for name in ("key", "seen_until") if name not in lacking]
    with reading(store.uri(ANSWERS_TABLE)):
        table = dataset.scanner(columns=there, with_row_address=True, scan_in_order=True).to_table()
        parts = [(one.fragment_id, [file.path for file in one.metadata.files]) for one in dataset.get_fragments()]
    files = [(number, "\n".join(sorted(paths))) for number, paths in parts]
    named = pl.DataFrame(files, {"part": pl.UInt64, "file": pl.String}, orient="row")
    rows = pl.DataFrame(pl.from_arrow(table)).with_row_index("at").with_columns(part=pl.col("_rowaddr") // 2**32)
    rows = rows.join(named, on="part", how="left", maintain_order="left")
    seen = pl.lit(None, MOMENT) if lacking else pl.col("seen_until")
    return rows.select("key", seen.alias("answered"), "file", "at").cast(HELD)


def read_texts(store: Store, release: Release, held: pl.DataFrame, keys: pl.Series) -> pl.DataFrame:
    """Read what was asked and answered: key, messages and text of some answers; those that are not held are left out.

    Args:
        store: The store.
        release: The release.
        held: Its answers, from `held_answers`.
        keys: Keys of answers; each may be there several times.
    """
    wanted = held.join(keys.drop_nulls().unique().alias("key").to_frame(), on="key", how="semi").sort("at")
    columns = ["key", "messages", "text"]
    if wanted.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    dataset = store.open(ANSWERS_TABLE, release.versions[ANSWERS_TABLE])
    with reading(store.uri(ANSWERS_TABLE)):
        found = pl.DataFrame(pl.from_arrow(dataset.take(wanted["at"].to_list(), columns=columns)))
    if not found["key"].equals(wanted["key"]):
        raise StoreFault(f"{store.uri(ANSWERS_TABLE)}: other answers were read than were asked for: knowflow verify")
    return found
