"""Who judges rewrites, the same for the served table, the evaluation and tuning: documents, vectors, f, threshold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from app.config import Config
from app.workplace import open_store
from base.progress import silent
from encoders.choose import kind_of
from feature_store.database import Store
from feature_store.lineage import TEXTS, newest_texts, read_lineage
from feature_store.releases import NoRelease, Release, get_release, released_knowledge
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.encode import model_encoder
from llm_tasks.pipeline.workplace import OptionFault, Workplace
from retrieval.relevance import (
    Calibration,
    DenseCosine,
    Encode,
    LexicalOverlap,
    Relevance,
    calibrate,
    random_pairs,
)
from retrieval.search import document_texts
from retrieval.vectors import unit_length
from sources.config import QueriesConfig
from sources.queries import training_queries
from sources.tables import Dataset

TASK = "query_rewrite"


@dataclass(frozen=True)
class Vectors:
    """Vectors of the items' texts, and who encodes queries alike."""

    documents: Mapping[str, np.ndarray]
    """Task -> [N, d], each of length one; an item that a task says nothing of has its vector of the first task."""
    encode: Encode
    """Texts -> [n, d], each of length one."""

    def relevance(self) -> DenseCosine:
        """The relevance model that takes the nearest of an item's texts."""
        first, *others = self.documents.values()
        return DenseCosine(first, self.encode, others)


def check_rewrites(config: Config) -> None:
    """See that rewrites can be judged, before any is paid for.

    Raises:
        OptionFault: Settings name what is not there; all faults at once.
    """
    chosen, faults = config.rewrites, list[str]()
    if chosen.descriptions is not None and not _about_items(config, chosen.descriptions):
        faults.append(f"rewrites.descriptions: {chosen.descriptions} is no technique about items\n  name kar_item, say")
    if chosen.relevance != "lexical":
        faults += [f"rewrites.relevance: {fault}" for fault in _unfit_vectors(config, *chosen.relevance.split("/"))]
    queries = config.source.queries
    if queries is not None and queries.item is None and chosen.threshold is None:
        faults.append(
            "rewrites.threshold: is missing, and cannot be calibrated, for no item is known that a query led to\n"
            "  map queries.item, or give a threshold"
        )
    if faults:
        raise OptionFault("\n".join(faults))


def _about_items(config: Config, task: str) -> bool:
    described = find_tasks(config.plugin_folders).get(task)
    return described is not None and described.entity == "item"


def _unfit_vectors(config: Config, task: str, encoder: str) -> list[str]:
    """Why released vectors cannot say what is relevant; nothing when they can."""
    faults: list[str] = []
    if not _about_items(config, task):
        faults.append(f"{task} is no technique about items\n  name item_facts/dense, say, or write lexical")
    if encoder not in config.encoders or kind_of(config.encoders[encoder], config.plugin_folders).fitted:
        faults.append(
            f"'{encoder}' is no encoder that could encode queries\n"
            "  name one of encoders: that is not fitted on texts, as in item_facts/dense, or write lexical"
        )
    if faults:
        return faults
    try:
        _released(config, get_release(open_store(config)), encoder, [task])
    except NoRelease as error:
        return [str(error)]
    return []


def searched_texts(config: Config, place: Workplace) -> list[str]:
    """The document of every item: its fields, and what the technique that `rewrites.descriptions` names says of it.

    Raises:
        OptionFault: That technique has said nothing yet.
    """
    descriptions: dict[str, str] = {}
    if config.rewrites.descriptions is not None:
        descriptions = newest_texts(read_lineage(place.store, [config.rewrites.descriptions], TEXTS))
        if not descriptions:
            name = config.rewrites.descriptions
            raise OptionFault(
                f"rewrites.descriptions: {name} has no texts yet\n  make them first: knowflow refresh --task {name}"
            )
    return document_texts(place.dataset.items, descriptions=descriptions)


def relevance_model(config: Config, place: Workplace, texts: Sequence[str]) -> Relevance:
    """Build what says how relevant a document is, as `rewrites.relevance` names it.

    Args:
        config: The config; where it names vectors, those of `rewrites.descriptions` under the same encoder count, too.
        place: Data and store.
        texts: [N] documents.

    Raises:
        NoRelease: It needs vectors, and the current release does not hold them.
    """
    if config.rewrites.relevance == "lexical":
        return LexicalOverlap(texts)
    task, encoder = config.rewrites.relevance.split("/")
    others = [config.rewrites.descriptions] if config.rewrites.descriptions else []
    release = get_release(place.store)
    return open_vectors(config, place.store, release, place.dataset.items, encoder, [task, *others]).relevance()


def open_vectors(
    config: Config, store: Store, release: Release, items: pl.DataFrame, encoder: str, tasks: Sequence[str]
) -> Vectors:
    """Read the items' vectors of a release, and what encodes queries alike.

    Args:
        config: The config.
        store: The store.
        release: The release.
        items: The N items.
        encoder: Name of an encoder of kind dense or vllm.
        tasks: Techniques about items. The first has to be there; the others count where the release holds them.

    Raises:
        NoRelease: The release holds no vectors of the first, or its encoder was another one then.
    """
    documents: dict[str, np.ndarray] = {}
    for task in _released(config, release, encoder, tasks):
        known = released_knowledge(store, release, task, encoder)
        order = np.argsort(known.as_of, kind="stable")  # of several texts about one item the newest counts
        row_of = {str(known.entities[row]): int(row) for row in order}
        rows = np.array([row_of.get(item, -1) for item in items["item"]])
        nothing = np.zeros((1, known.vectors.shape[1]), dtype=np.float32)  # is like no query
        missing = next(iter(documents.values()), nothing)
        documents[task] = unit_length(np.where(rows[:, None] >= 0, known.vectors[rows], missing))
    model = model_encoder(encoder, config.encoders[encoder], config.folder, config.plugin_folders)
    return Vectors(documents, remembering(lambda texts: unit_length(model.encode(list(texts), silent))))


def _released(config: Config, release: Release, encoder: str, tasks: Sequence[str]) -> list[str]:
    """The techniques whose vectors the release holds, as the encoder would make them now; the first has to be there."""
    now = model_encoder(encoder, config.encoders[encoder], config.folder, config.plugin_folders).fingerprint
    made = release.facts.get("vectors", {})
    there = [task for task in dict.fromkeys(tasks) if made.get(f"{task}/{encoder}", {}).get("fingerprint") == now]
    if tasks[0] not in there:
        changed = ", as that encoder is set now" if f"{tasks[0]}/{encoder}" in made else ""
        raise NoRelease(
            f"{release.name}: holds no vectors of {tasks[0]} under {encoder}{changed}\n"
            f"  make them: knowflow refresh --task {tasks[0]}"
        )
    return there


def remembering(encode: Callable[[Sequence[str]], np.ndarray]) -> Encode:
    """Encode every text once: the same queries are ranked, calibrated on and judged, in several kinds of documents."""
    memory: dict[str, np.ndarray] = {}

    def remembered(texts: Sequence[str]) -> np.ndarray:
        new = sorted(set(texts) - memory.keys())
        if new:
            memory.update(zip(new, encode(new), strict=True))
        return np.stack([memory[text] for text in texts])

    return remembered


def threshold_of(config: Config, place: Workplace, model: Relevance) -> tuple[float, Calibration | None]:
    """The threshold of knowflow.yaml, else the one that best tells what training queries led to from random items.

    Raises:
        OptionFault: No training query led to an item.
    """
    if config.rewrites.threshold is not None:
        return config.rewrites.threshold, None
    assert config.source.queries is not None  # the flow has seen to it
    found = calibrated(model, place.dataset, config.source.queries)
    return found.threshold, found


def calibrated(model: Relevance, dataset: Dataset, config: QueriesConfig) -> Calibration:
    """Calibrate on training queries, and on no more than training may know of them.

    Raises:
        OptionFault: None of them led to an item.
    """
    table = training_queries(dataset, config.split).filter(pl.col("items").list.len() > 0)
    if table.is_empty():
        raise OptionFault(
            "rewrites.threshold: cannot be calibrated, for no training query led to an item\n"
            "  give a threshold, or more queries with items"
        )
    queries, engaged = table["query"].to_list(), item_places(dataset, table["items"])
    pairs = [query for query, places in zip(queries, engaged, strict=True) for _ in places], np.concatenate(engaged)
    return calibrate(model, pairs, random_pairs(queries, engaged, len(dataset.items), config.split.seed))


def item_places(dataset: Dataset, items: pl.Series) -> list[np.ndarray]:
    """Where items stand among the dataset's: [Q] lists of ids -> [Q] arrays of places, rising."""
    where = {item: place for place, item in enumerate(dataset.items["item"])}
    return [np.array(sorted(where[item] for item in of), dtype=np.int64) for of in items]
