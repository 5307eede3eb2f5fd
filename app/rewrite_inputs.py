"""What an evaluation of rewrites is made of: queries and what they led to, documents, vectors, rewrites."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from app.config import Config
from app.rewrite_judges import TASK, Vectors, calibrated, item_places, open_vectors
from app.workplace import open_dataset, open_store
from encoders.choose import kind_of
from evals.rewrites import Queries, shared
from feature_store.database import Store
from feature_store.lineage import TEXTS, newest_texts
from feature_store.releases import NoRelease, Release, get_release, released_lineage
from feature_store.served import TABLE as SERVED_TABLE
from feature_store.served import read_rewrites as read_served
from llm_tasks.pipeline.workplace import OptionFault
from retrieval.relevance import Calibration, LexicalOverlap, Relevance
from retrieval.search import document_texts
from retrieval.search_arms import RECORDED, SERVED, Rank
from retrieval.vectors import dense_ranking
from sources.config import QueriesConfig
from sources.queries import engagements, normalised, query_table, segments, split_queries
from sources.tables import Dataset

FACTS, DESCRIPTIONS = "item_facts", "kar_item"
FIELDS, DESCRIBED = "fields", "described"
"""Documents of the items' own fields, and of fields and what a model says of the items."""


@dataclass(frozen=True)
class Inputs:
    """All of it."""

    release: str
    """The release that was read."""
    items: pl.DataFrame
    """The items; places count along them."""
    queries: Queries
    """The queries that led to an item."""
    rewrites: Mapping[str, Sequence[Sequence[str]]]
    """Source -> [Q] lists of rewrites; of the release are `recorded`, as answered, and `served`, as ranked."""
    documents: Mapping[str, Sequence[str]]
    """`fields`, and `described` last where there are descriptions: [N] texts each."""
    vectors: Vectors | None
    """Vectors, where the release holds some that a query can be compared with."""
    models: Mapping[str, Relevance]
    """Who says what is relevant: lexical, and dense where there are vectors."""
    calibrations: Mapping[str, Calibration]
    """Model -> its threshold, calibrated on training queries."""
    left_out: Sequence[str]
    """What could not be had, why, and the command that mends it."""


def open_inputs(config: Config, files: Mapping[str, Path], release: str | None) -> Inputs:
    """Gather everything.

    Args:
        config: The config.
        files: Name of a source -> file of its rewrites.
        release: Name of a release; the current one when left out.

    Raises:
        OptionFault: There are no queries with items, or a file cannot be used.
        NoRelease: There is none, or it holds no rewrites and no file was given.
    """
    about = _mapped(config)
    sources = {name: read_rewrites(name, path) for name, path in files.items()}
    dataset, store = open_dataset(config), open_store(config)
    chosen = get_release(store, release)
    describer = config.rewrites.descriptions or DESCRIPTIONS
    recorded, descriptions = (_texts(store, chosen, task) for task in (TASK, describer))
    served = _served(store, chosen)
    if served:
        sources = {SERVED: served} | sources
    if recorded:
        sources = {RECORDED: {query: text.split("\n") for query, text in recorded.items()}} | sources
    if not sources:
        raise NoRelease(f"{chosen.name}: holds no rewrites of queries\n  make them: knowflow rewrites")
    queries = judged_queries(dataset, about)
    vectors, left_out = _vectors(config, chosen, store, dataset, describer)
    documents = {FIELDS: document_texts(dataset.items)}
    if descriptions:
        documents[DESCRIBED] = document_texts(dataset.items, descriptions=descriptions)
    else:
        left_out.append(f"documents with descriptions: none are there\n  knowflow refresh --task {describer}")
    if about.user is None:
        left_out.append(f"intervals: {config.path.name} does not say who typed a query\n  map queries.user")
    models: dict[str, Relevance] = {"lexical": LexicalOverlap(documents[next(reversed(documents))])}
    if vectors is not None:
        models["dense"] = vectors.relevance()
    return Inputs(
        chosen.name,
        dataset.items,
        queries,
        {name: [list(of.get(query, ())) for query in queries.query] for name, of in sources.items()},
        documents,
        vectors,
        models,
        {name: calibrated(model, dataset, about) for name, model in models.items()},
        left_out,
    )


def _mapped(config: Config) -> QueriesConfig:
    about = config.source.queries
    if about is None or about.item is None:
        lacking = "maps no queries" if about is None else "maps no items of the queries"
        raise OptionFault(
            f"{config.path.name}: {lacking}, so nothing tells what a search should find\n"
            "  add: queries: {path: ..., query: ..., item: ...}"
        )
    return about


def judged_queries(dataset: Dataset, config: QueriesConfig) -> Queries:
    """Take the queries that led to an item.

    Raises:
        OptionFault: None did.
    """
    whole = query_table(dataset)
    table = whole.with_columns(
        segments(whole, config.segments).alias("segment"), split_queries(whole, config.split).alias("part")
    ).filter(pl.col("items").list.len() > 0)
    if table.is_empty():
        raise OptionFault("queries: none of them led to an item, so nothing tells what a search should find")
    row, place, user = _engaged(dataset, table["query"])
    return Queries(
        table["query"].to_list(),
        table["shown"].to_list(),
        item_places(dataset, table["items"]),
        table["segment"].to_numpy(),
        (table["part"] == "test").to_numpy(),
        place,
        shared(row, place, user),
    )


def _engaged(dataset: Dataset, queries: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every engagement once: the row of its query, the place of its item and the code of its user, [T] int64 each."""
    found = engagements(dataset)
    user = found["user"].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()  # 0 = nobody knows who
    rows, places = ({name: at for at, name in enumerate(of)} for of in (queries, dataset.items["item"]))
    row, place = (found[name].replace_strict(of, return_dtype=pl.Int64).to_numpy()
                  for name, of in (("query", rows), ("item", places)))  # fmt: skip
    return row, place, user


def _texts(store: Store, release: Release, task: str) -> dict[str, str]:
    """Entity -> the newest text of a task, as the release holds it."""
    return newest_texts(released_lineage(store, release, [task], TEXTS))


def _served(store: Store, release: Release) -> dict[str, list[str]]:
    """Normalised query -> its rewrites as the release's table ranks them; nothing where it has no such table."""
    if SERVED_TABLE not in release.versions:
        return {}
    rows = read_served(store, release.versions[SERVED_TABLE])
    return {row["query"]: [one["text"] for one in row["rewrites"]] for row in rows}


def _vectors(
    config: Config, release: Release, store: Store, dataset: Dataset, describer: str
) -> tuple[Vectors | None, list[str]]:
    """Vectors of the first encoder that can encode queries too; why not, where there are none."""
    name = next(
        (name for name, encoder in config.encoders.items() if not kind_of(encoder, config.plugin_folders).fitted), None
    )
    if name is None:
        return None, ["dense retrieval: knowflow.yaml names no encoder that could encode queries"]
    try:
        return open_vectors(config, store, release, dataset.items, name, [FACTS, describer]), []
    except NoRelease as error:
        return None, [f"dense retrieval: {error}"]


def ranks(vectors: Vectors, documents: str) -> Rank:
    """Rank by the vectors of the texts that stand in the documents of that name."""
    of = [found for task, found in vectors.documents.items() if task == FACTS or documents == DESCRIBED]
    return lambda queries, k: dense_ranking(vectors.encode(queries), of, k)


def read_rewrites(name: str, path: Path) -> dict[str, list[str]]:
    """Read a file of rewrites: normalised query -> rewrites, best first.

    Raises:
        OptionFault: It cannot be read, or lacks a column.
    """
    mend = "give a Parquet file with the columns query (text) and rewrites (a list of texts)"
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise OptionFault(f"--rewrites {name}={path}: cannot be read: {error}\n  {mend}") from None
    kinds = {"query": pl.String(), "rewrites": pl.List(pl.String)}
    faults = [f"column {column} " + ("is missing" if column not in table.columns else f"is {table.schema[column]}")
              for column, kind in kinds.items() if table.schema.get(column) != kind]  # fmt: skip
    if faults:
        raise OptionFault(f"--rewrites {name}={path}: {'; '.join(faults)}\n  {mend}")
    rows = table.select("query", "rewrites").drop_nulls().iter_rows()
    return {normalised(query): [text for text in of if text and text.strip()] for query, of in rows}
