"""What rewrites are worth: opens what a release, the data and files hold of it; `evals/rewrites.py` compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from app.config import Config
from app.rewriting import TASK
from app.workplace import open_dataset, open_store
from base.faults import WrongUse
from base.progress import Progress, silent
from encoders.choose import kind_of
from evals.rewrites import Judged, Queries, compare_arms, judged_queries
from feature_store.database import Store
from feature_store.lineage import TEXTS, newest_texts
from feature_store.releases import NoRelease, Release, get_release, released_lineage
from feature_store.served import TABLE as SERVED_TABLE
from feature_store.served import read_rewrites as read_served
from llm_tasks.pipeline.encode import model_encoder
from retrieval.item_vectors import Vectors, open_vectors
from retrieval.relevance import Calibration, LexicalOverlap, Relevance, calibrated
from retrieval.search import document_texts
from retrieval.search_arms import RECORDED, SERVED
from sources.config import QueriesConfig
from sources.queries import normalised
from sources.tables import Dataset

FACTS, DESCRIPTIONS = "item_facts", "kar_item"
FIELDS, DESCRIBED = "fields", "described"
"""Documents of the items' own fields, and of fields and what a model says of the items."""
RelevanceName = Literal["lexical", "dense"]


@dataclass(frozen=True)
class RewriteInputs:
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
    """What could not be had, why, and the command that fixes it."""


def evaluate_rewrites(
    config: Config,
    files: Mapping[str, Path],
    relevance: RelevanceName | None = None,
    release: str | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, Any], RewriteInputs, Judged]:
    """Judge the rewrites of a release, and of files beside them.

    Args:
        config: The config.
        files: Name of an arm -> Parquet file of its rewrites, with the columns query and rewrites (a list of texts).
        relevance: Who says what is relevant; whoever tells engaged from random pairs best when left out.
        release: Name of a release; the current one when left out.
        progress: Hears what is done.

    Returns:
        The result, which is plain JSON; what went in; and what the arms found in the documents of the headline.

    Raises:
        WrongUse: There are no queries with items, a file cannot be used, or there are no vectors for `dense`.
        NoRelease: There is none, or it holds no rewrites and no file was given.
    """
    inputs = open_inputs(config, files, release)
    if relevance is not None and relevance not in inputs.models:
        raise WrongUse(f"--relevance {relevance}: there is none\n  " + "\n  ".join(inputs.left_out))
    result, judged = compare_arms(
        inputs.queries,
        inputs.items["item"].to_list(),
        inputs.documents,
        inputs.rewrites,
        {name: partial(inputs.vectors.rank, tasks=tasks_in(name, inputs.vectors)) for name in inputs.documents}
        if inputs.vectors
        else {},
        inputs.models,
        inputs.calibrations,
        relevance,
        progress,
    )
    return {**result, "release": inputs.release, "left_out": list(inputs.left_out)}, inputs, judged


def tasks_in(documents: str, vectors: Vectors) -> list[str]:
    """The techniques whose texts stand in the documents of that name, of those that have vectors."""
    return [task for task in vectors.documents if task == FACTS or documents == DESCRIBED]


def open_inputs(config: Config, files: Mapping[str, Path], release: str | None) -> RewriteInputs:
    """Gather everything.

    Args:
        config: The config.
        files: Name of a source -> file of its rewrites.
        release: Name of a release; the current one when left out.

    Raises:
        WrongUse: There are no queries with items, or a file cannot be used.
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
    queries = judged_queries(dataset, about.segments, about.split)
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
    return RewriteInputs(
        chosen.name,
        dataset.items,
        queries,
        {name: [list(of.get(query, ())) for query in queries.query] for name, of in sources.items()},
        documents,
        vectors,
        models,
        {name: calibrated(model, dataset, about.split) for name, model in models.items()},
        left_out,
    )


def _mapped(config: Config) -> QueriesConfig:
    about = config.source.queries
    if about is None or about.item is None:
        lacking = "maps no queries" if about is None else "maps no items of the queries"
        raise WrongUse(
            f"{config.path.name}: {lacking}, so nothing tells what a search should find\n"
            "  add: queries: {path: ..., query: ..., item: ...}"
        )
    return about


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
        model = model_encoder(name, config.encoders[name], config.folder, config.plugin_folders)
        items = dataset.items["item"].to_list()
        return open_vectors(store, release, items, [FACTS, describer], name, model), []
    except NoRelease as error:
        return None, [f"dense retrieval: {error}"]


def read_rewrites(name: str, path: Path) -> dict[str, list[str]]:
    """Read a file of rewrites: normalised query -> rewrites, best first.

    Raises:
        WrongUse: It cannot be read, or lacks a column.
    """
    fix = "give a Parquet file with the columns query (text) and rewrites (a list of texts)"
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise WrongUse(f"--rewrites {name}={path}: cannot be read: {error}\n  {fix}") from None
    kinds = {"query": pl.String(), "rewrites": pl.List(pl.String)}
    faults = [f"column {column} " + ("is missing" if column not in table.columns else f"is {table.schema[column]}")
              for column, kind in kinds.items() if table.schema.get(column) != kind]  # fmt: skip
    if faults:
        raise WrongUse(f"--rewrites {name}={path}: {'; '.join(faults)}\n  {fix}")
    rows = table.select("query", "rewrites").drop_nulls().iter_rows()
    return {normalised(query): [text for text in of if text and text.strip()] for query, of in rows}
