"""Evaluation of rewrites: reads them from a release, the data and files; `evals/rewrites.py` compares them."""

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
"""Documents of the items' own fields, and of the fields and a model's texts about the items."""
RelevanceName = Literal["lexical", "dense"]


@dataclass(frozen=True)
class RewriteInputs:
    """Everything that the evaluation reads."""

    release: str
    """Name of the release."""
    items: pl.DataFrame
    """The items; indices refer to their order."""
    queries: Queries
    """The queries that led to an item."""
    rewrites: Mapping[str, Sequence[Sequence[str]]]
    """Source -> [Q] lists of rewrites; `recorded` (as answered) and `served` (as ranked) are from the release."""
    documents: Mapping[str, Sequence[str]]
    """`fields`, then `described` if there are descriptions: [N] texts each."""
    vectors: Vectors | None
    """Vectors, if the release holds some that can be compared with a query."""
    models: Mapping[str, Relevance]
    """Relevance models: lexical, and dense if there are vectors."""
    calibrations: Mapping[str, Calibration]
    """Model -> its threshold, calibrated on training queries."""
    left_out: Sequence[str]
    """What was not available, why, and the command that fixes it."""


def evaluate_rewrites(
    config: Config,
    files: Mapping[str, Path],
    relevance: RelevanceName | None = None,
    release: str | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, Any], RewriteInputs, Judged]:
    """Evaluate the rewrites of a release, and those of files.

    Args:
        config: The config.
        files: Name of an arm -> Parquet file of its rewrites, with the columns query and rewrites (a list of texts).
        relevance: The relevance model; None for the one that best separates engaged from random pairs.
        release: Name of a release; None for the current one.
        progress: Called with the progress.

    Returns:
        The result as plain JSON; the inputs; and what the arms found in the documents of the headline.

    Raises:
        WrongUse: There are no queries with items, a file is invalid, or there are no vectors for `dense`.
        NoRelease: There is no release, or it holds no rewrites and no file was given.
    """
    inputs = open_inputs(config, files, release)
    if relevance is not None and relevance not in inputs.models:
        raise WrongUse(f"--relevance {relevance}: is not available\n  " + "\n  ".join(inputs.left_out))
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
    """Return the techniques with vectors whose texts are part of the named documents."""
    return [task for task in vectors.documents if task == FACTS or documents == DESCRIBED]


def open_inputs(config: Config, files: Mapping[str, Path], release: str | None) -> RewriteInputs:
    """Collect all inputs of the evaluation.

    Args:
        config: The config.
        files: Name of a source -> file of its rewrites.
        release: Name of a release; None for the current one.

    Raises:
        WrongUse: There are no queries with items, or a file is invalid.
        NoRelease: There is no release, or it holds no rewrites and no file was given.
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
        left_out.append(
            f"documents with descriptions: there are none\n  make them: knowflow refresh --task {describer}"
        )
    if about.user is None:
        left_out.append(f"intervals: {config.path.name} does not map the user of a query\n  map queries.user")
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
        missing = "maps no queries" if about is None else "maps no items of the queries"
        raise WrongUse(
            f"{config.path.name}: {missing}, so it is unknown what a search should find\n"
            "  add: queries: {path: ..., query: ..., item: ...}"
        )
    return about


def _texts(store: Store, release: Release, task: str) -> dict[str, str]:
    """Map each entity to its newest text of a task in the release."""
    return newest_texts(released_lineage(store, release, [task], TEXTS))


def _served(store: Store, release: Release) -> dict[str, list[str]]:
    """Map normalised queries to their rewrites as ranked in the release's table; empty without such a table."""
    if SERVED_TABLE not in release.versions:
        return {}
    rows = read_served(store, release.versions[SERVED_TABLE])
    return {row["query"]: [one["text"] for one in row["rewrites"]] for row in rows}


def _vectors(
    config: Config, release: Release, store: Store, dataset: Dataset, describer: str
) -> tuple[Vectors | None, list[str]]:
    """Open vectors of the first encoder that can also encode queries; if there are none, say why."""
    name = next(
        (name for name, encoder in config.encoders.items() if not kind_of(encoder, config.plugin_folders).fitted), None
    )
    if name is None:
        return None, ["dense retrieval: knowflow.yaml names no encoder that can encode queries"]
    try:
        model = model_encoder(name, config.encoders[name], config.folder, config.plugin_folders)
        items = dataset.items["item"].to_list()
        return open_vectors(store, release, items, [FACTS, describer], name, model), []
    except NoRelease as error:
        return None, [f"dense retrieval: {error}"]


def read_rewrites(name: str, path: Path) -> dict[str, list[str]]:
    """Read a file of rewrites: normalised query -> rewrites, best first.

    Raises:
        WrongUse: The file cannot be read, or lacks a column.
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
