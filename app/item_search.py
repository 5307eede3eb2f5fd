"""Search over the items of a release: by words and by vectors at once, the two rankings fused by their ranks."""

from dataclasses import dataclass

import numpy as np

from app.config import Config
from base.progress import silent
from encoders.choose import kind_of
from feature_store.database import Store, Writer
from feature_store.lineage import TEXTS, newest_texts, read_lineage
from feature_store.releases import NoRelease, Release
from llm_tasks.pipeline.catalogue import choose_tasks
from llm_tasks.pipeline.encode import model_encoder
from llm_tasks.pipeline.workplace import OptionFault, Workplace
from retrieval.search import TABLE as DOCUMENTS
from retrieval.search import document_texts, fuse, open_search, write_documents
from retrieval.similar import items_near, searched_vectors

FACTS, DENSE = "item_facts", "dense"
"""The technique and the encoder whose vectors are searched when none is named."""
DEPTH = 50
"""Items of each ranking that are fused."""


@dataclass(frozen=True)
class FoundItem:
    """One result of a search."""

    item: str
    """Its id."""
    by_words: int | None
    """Rank among the documents that share words with the query, from 1; None when it is not among the first ones."""
    by_vectors: int | None
    """Rank among the vectors nearest to the query's, from 1; None when it is not among the first ones."""


@dataclass(frozen=True)
class FoundItems:
    """What a search gave."""

    items: tuple[FoundItem, ...]
    """The best first."""
    vectors: str | None
    """`task/encoder` whose vectors were searched; None when none were."""
    words: bool
    """Whether documents were searched by words."""
    lacking: str | None
    """Why only one of the two was searched; None when both were."""


def write_item_documents(config: Config, place: Workplace, writer: Writer) -> bool:
    """Bring the documents of all items up to date; nothing is written when they are so already.

    Args:
        config: The config; `rewrites.descriptions` names the technique whose texts stand in the documents.
        place: Data and store.
        writer: The store's writer.

    Returns:
        Whether anything was written.
    """
    described: dict[str, str] = {}
    if config.rewrites.descriptions is not None:
        described = newest_texts(read_lineage(place.store, [config.rewrites.descriptions], TEXTS))
    items = place.dataset.items
    return write_documents(writer, items["item"].to_list(), document_texts(items, descriptions=described))


def search_items(
    config: Config,
    store: Store,
    release: Release,
    query: str,
    k: int = 10,
    task: str | None = None,
    encoder: str | None = None,
) -> FoundItems:
    """Search the items of a release by words and by vectors.

    Each gives its 50 best (or k, if that is more), and their ranks are fused (`retrieval.search.fuse`); a document
    that holds the query's very words and lies near it by meaning comes first.

    Args:
        config: The config.
        store: The store.
        release: The release.
        query: Any text.
        k: Results, at most.
        task: Technique about items whose vectors are searched; item_facts when left out.
        encoder: Encoder of its vectors, which then encodes the query; `dense` when left out.

    Raises:
        NoRelease: The release holds neither documents nor these vectors, or vectors were named that it lacks.
        OptionFault: The encoder cannot encode a query, or is another one than the release was made with.
        UnknownPlugin: The task is no technique.
    """
    named = task is not None or encoder is not None
    task, encoder = task or FACTS, encoder or DENSE
    if choose_tasks([task], config.plugin_folders)[0].entity != "item":
        raise OptionFault(f"--task: {task} is not about items\n  name one that is, such as {FACTS}")
    depth = max(k, DEPTH)
    has_words, has_vectors = DOCUMENTS in release.versions, f"{task}/{encoder}" in release.facts.get("vectors", {})
    if not has_words and not has_vectors:
        raise NoRelease(
            f"{release.name}: holds neither documents nor vectors of {task} under {encoder}\n"
            "  make them: knowflow refresh"
        )
    by_words = [hit.item for hit in open_search(store, release).search(query, depth)] if has_words else []
    by_vectors: list[str] = []
    if has_vectors or named:
        vector = encode_query(config, release, task, encoder, query)
        by_vectors = [near.item for near in items_near(store, release, task, encoder, vector, depth)]
    lacking = None
    if not has_words:
        lacking = f"{release.name} holds no documents: knowflow refresh makes them"
    elif not has_vectors:
        lacking = f"{release.name} holds no vectors of {task} under {encoder}; others: --task and --encoder"
    return FoundItems(_fused(by_words, by_vectors, k), f"{task}/{encoder}" if has_vectors else None, has_words, lacking)


def encode_query(config: Config, release: Release, task: str, encoder: str, query: str) -> np.ndarray:
    """Encode a query as the release's vectors of a technique were: [d] float32.

    Raises:
        NoRelease: The release holds no such vectors.
        OptionFault: knowflow.yaml lacks the encoder, or it cannot encode a query, or is another one by now.
    """
    made = searched_vectors(release, task, encoder)
    chosen = config.encoders.get(encoder)
    if chosen is None or kind_of(chosen, config.plugin_folders).fitted:
        able = (
            ", ".join(name for name, one in config.encoders.items() if not kind_of(one, config.plugin_folders).fitted)
            or "none"
        )
        what = "there is no such encoder in knowflow.yaml" if chosen is None else "it is fitted on texts"
        raise OptionFault(f"--encoder: {encoder} cannot encode queries: {what}\n  those that can: {able}")
    model = model_encoder(encoder, chosen, config.folder, config.plugin_folders)
    if model.fingerprint != made["fingerprint"]:
        raise OptionFault(
            f"encoders.{encoder}: is another encoder than {release.name} was made with, so nothing would be near\n"
            f"  encode anew: knowflow refresh --task {task}"
        )
    return model.encode([query], silent)[0]


def _fused(by_words: list[str], by_vectors: list[str], k: int) -> tuple[FoundItem, ...]:
    """Fuse two rankings of items; of equally good ones the one that is higher by words, then the first id."""
    ids = sorted({*by_words, *by_vectors})
    place = {item: number for number, item in enumerate(ids)}
    ranks = [{item: rank for rank, item in enumerate(ranking, start=1)} for ranking in (by_words, by_vectors)]
    rankings = np.full((1, 2, max(len(by_words), len(by_vectors))), -1)
    for row, ranking in enumerate((by_words, by_vectors)):
        rankings[0, row, : len(ranking)] = [place[item] for item in ranking]
    best = [ids[number] for number in fuse(rankings, k)[0] if number >= 0]
    return tuple(FoundItem(item, ranks[0].get(item), ranks[1].get(item)) for item in best)
