"""Search over the items of a release, configured in knowflow.yaml; `retrieval/item_search.py` searches."""

from functools import partial

import numpy as np

from app.config import Config
from base.faults import WrongUse
from base.progress import silent
from encoders.choose import kind_of
from feature_store.database import Store, Writer
from feature_store.lineage import TEXTS, newest_texts, read_lineage
from feature_store.releases import Release
from llm_tasks.pipeline.catalogue import choose_tasks
from llm_tasks.pipeline.encode import model_encoder
from llm_tasks.pipeline.workplace import Workplace
from retrieval.item_search import FoundItems, search_words_and_vectors
from retrieval.search import document_texts, write_documents
from retrieval.similar import searched_vectors

FACTS, DENSE = "item_facts", "dense"
"""The default technique and encoder whose vectors are searched."""


def write_item_documents(config: Config, workplace: Workplace, writer: Writer) -> bool:
    """Update the documents of all items; write nothing if they are up to date.

    Args:
        config: The config; `rewrites.descriptions` names the technique whose texts are part of the documents.
        workplace: Data and store.
        writer: The store's writer.

    Returns:
        Whether anything was written.
    """
    described: dict[str, str] = {}
    if config.rewrites.descriptions is not None:
        described = newest_texts(read_lineage(workplace.store, [config.rewrites.descriptions], TEXTS))
    items = workplace.dataset.items
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

    Args:
        config: The config.
        store: The store.
        release: The release.
        query: Any text.
        k: Maximum number of results.
        task: Technique about items whose vectors are searched; None for item_facts.
        encoder: Encoder of the vectors, which also encodes the query; None for `dense`.

    Raises:
        NoRelease: The release holds neither documents nor these vectors, or it lacks the named vectors.
        WrongUse: The encoder cannot encode a query, or differs from the one that the release was made with.
        UnknownPlugin: The task is not a technique.
    """
    named = task is not None or encoder is not None
    task, encoder = task or FACTS, encoder or DENSE
    if choose_tasks([task], config.plugin_folders)[0].entity != "item":
        raise WrongUse(f"--task: {task} is not about items\n  choose one that is, such as {FACTS}")
    encode = partial(encode_query, config, release, task, encoder)
    return search_words_and_vectors(store, release, query, task, encoder, encode, k, vectors_needed=named)


def encode_query(config: Config, release: Release, task: str, encoder: str, query: str) -> np.ndarray:
    """Encode a query with the encoder of the release's vectors: [d] float32.

    Raises:
        NoRelease: The release holds no such vectors.
        WrongUse: The encoder is not in knowflow.yaml, cannot encode a query, or has changed since the release.
    """
    made = searched_vectors(release, task, encoder)
    chosen = config.encoders.get(encoder)
    if chosen is None or kind_of(chosen, config.plugin_folders).fitted:
        able = (
            ", ".join(name for name, one in config.encoders.items() if not kind_of(one, config.plugin_folders).fitted)
            or "none"
        )
        what = "there is no such encoder in knowflow.yaml" if chosen is None else "it is fitted on texts"
        raise WrongUse(f"--encoder: {encoder} cannot encode queries: {what}\n  those that can: {able}")
    model = model_encoder(encoder, chosen, config.folder, config.plugin_folders)
    if model.fingerprint != made.fingerprint:
        raise WrongUse(
            f"encoders.{encoder}: differs from the encoder of {release.name}, so its vectors are not comparable\n"
            f"  encode again: knowflow refresh --task {task}"
        )
    return model.encode([query], silent)[0]
