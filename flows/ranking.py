"""Ranking rewrites: a search over the data's items says what each is worth, and the served table follows from it."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from feature_store.answers import read_answers
from feature_store.feedback import feedback_of_all
from feature_store.lineage import read_lineage
from feature_store.releases import get_release, released_knowledge
from feature_store.relevance import Calibration, DenseCosine, LexicalOverlap, Relevance, calibrate, random_pairs
from feature_store.rewrite_table import RewriteTable
from feature_store.rewrites import cleaned, ranked
from feature_store.search import BulkSearch, document_texts
from flows.config import Config
from llm_tasks.pipeline.catalogue import find_tasks
from llm_tasks.pipeline.encode import model_encoder
from llm_tasks.pipeline.workplace import OptionFault, Workplace
from sources.progress import silent
from sources.queries import query_table, segments, training_queries

TASK = "query_rewrite"


def check_rewrites(config: Config) -> None:
    """See that rewrites can be ranked, before any is paid for.

    Raises:
        OptionFault: A setting names what is not there.
    """
    chosen, faults = config.rewrites, []
    described = find_tasks().get(chosen.descriptions or "")
    if chosen.descriptions is not None and (described is None or described.entity != "item"):
        faults.append(f"rewrites.descriptions: {chosen.descriptions} is no technique about items\n  name kar_item, say")
    encoder = chosen.relevance.partition("/")[2]
    if encoder and (encoder not in config.encoders or config.encoders[encoder].kind == "lexical"):
        faults.append(
            f"rewrites.relevance: '{encoder}' is no encoder that could encode queries\n"
            "  name one of encoders: that is of kind dense or vllm, as in item_facts/dense, or write lexical"
        )
    queries = config.source.queries
    if queries is not None and queries.item is None and chosen.threshold is None:
        faults.append(
            "rewrites.threshold: is missing, and cannot be calibrated, for no item is known that a query led to\n"
            "  map queries.item, or give a threshold"
        )
    if faults:
        raise OptionFault("\n".join(faults))


def rank_rewrites(config: Config, place: Workplace) -> RewriteTable:
    """Rank what the model answered and make the served table of it; nothing is written.

    Args:
        config: The config; `rewrites:` says how.
        place: Data and store.

    Returns:
        The table as it shall be: one row a query of the served segments that has an answer.
    """
    asked = _answered(config, place)
    texts = searched_texts(config, place)
    search = BulkSearch(place.dataset.items["item"].to_list(), texts)
    model = relevance_model(config, place, texts)
    threshold, found = threshold_of(config, place, model)
    proposed = [cleaned(query, text.split("\n")) for query, text in asked.select("query", "text").iter_rows()]
    queries = asked["query"].to_list()
    told = judge_rewrites(search, model, threshold, queries, proposed, config.rewrites.results)
    rows = []
    for row, rewrites, relevance, increment in zip(asked.iter_rows(named=True), proposed, *told, strict=True):
        number = len(rewrites)
        best = ranked(rewrites, relevance[:number], increment[:number], config.rewrites.weights)
        rows.append(
            {
                "query": row["query"],
                "shown": row["shown"],
                "rewrites": [vars(one) for one in best],
                "dropped": len(row["text"].split("\n")) - number,
                "answer_key": row["answer_key"],
                "prompt": row["prompt"],
                "model": row["model"],
                "answered_at": row["answered_at"],
            }
        )
    return RewriteTable(rows, _judge(config), threshold, found.auc if found else None)


def judge_rewrites(
    search: BulkSearch,
    model: Relevance,
    threshold: float,
    queries: Sequence[str],
    rewrites: Sequence[Sequence[str]],
    results: int,
) -> tuple[list[list[float]], list[list[float]]]:
    """Search for queries and rewrites, and judge every rewrite by what is found; no engaged item is looked at.

    Args:
        search: The search.
        model: Says how relevant a document is to a query.
        threshold: From above which score it is relevant.
        queries: [Q].
        rewrites: [Q] lists of rewrites, n at most.
        results: Results of one search.

    Returns:
        Relevance and increment, [Q, n] each; where a query has fewer rewrites, 0.
    """
    number = max([1, *map(len, rewrites)])
    padded = [text for row in rewrites for text in [*row, *[""] * (number - len(row))]]
    original = search.search(queries, results)  # [Q, k]
    rewritten = search.search(padded, results).reshape(len(queries), number, results)
    places = np.concatenate([original[:, None], rewritten], axis=1).reshape(len(queries), -1)  # [Q, (1 + n) k]
    scores = model.scores(queries, places)
    relevant = [
        np.unique(row[score > threshold]) for row, score in zip(places, scores, strict=True)
    ]  # nan is not above
    none = [np.array([], dtype=np.int64)] * len(queries)
    told = feedback_of_all(original, rewritten, relevant, none)
    return np.asarray(told.relevance).tolist(), np.asarray(told.increment).tolist()


def searched_texts(config: Config, place: Workplace) -> list[str]:
    """The document of every item: its fields, and what the technique that `rewrites.descriptions` names says of it.

    Raises:
        OptionFault: That technique has said nothing yet.
    """
    descriptions: dict[str, str] = {}
    if config.rewrites.descriptions is not None:
        rows = read_lineage(place.store, [config.rewrites.descriptions], ["entity", "as_of", "text"])
        descriptions = dict(rows.drop_nulls("text").sort("entity", "as_of").select("entity", "text").iter_rows())
        if not descriptions:
            name = config.rewrites.descriptions
            raise OptionFault(
                f"rewrites.descriptions: {name} has no texts yet\n  make them first: knowflow refresh --task {name}"
            )
    return document_texts(place.dataset.items, descriptions=descriptions)


def relevance_model(config: Config, place: Workplace, texts: Sequence[str]) -> Relevance:
    """Build what says how relevant a document is, as `rewrites.relevance` names it.

    Args:
        config: The config.
        place: Data and store.
        texts: [N] documents.

    Raises:
        NoRelease: It needs vectors, and no release holds them.
    """
    if config.rewrites.relevance == "lexical":
        return LexicalOverlap(texts)
    task, encoder = config.rewrites.relevance.split("/")
    known = released_knowledge(place.store, get_release(place.store), task, encoder)
    where = {str(item): row for row, item in enumerate(known.entities)}
    rows = np.array([where.get(item, -1) for item in place.dataset.items["item"]])
    vectors = np.where(rows[:, None] >= 0, known.vectors[rows], 0)  # an item without a vector is like nothing
    model = model_encoder(encoder, config.encoders[encoder], config.folder)
    return DenseCosine(_unit(vectors), lambda queries: _unit(model.encode(list(queries), silent)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def threshold_of(config: Config, place: Workplace, model: Relevance) -> tuple[float, Calibration | None]:
    """The threshold of knowflow.yaml, else the one that best tells what training queries led to from random items."""
    if config.rewrites.threshold is not None:
        return config.rewrites.threshold, None
    assert config.source.queries is not None  # the flow has seen to it
    table = training_queries(place.dataset, config.source.queries.split).filter(pl.col("items").list.len() > 0)
    where = {item: row for row, item in enumerate(place.dataset.items["item"])}
    engaged = [np.array([where[item] for item in items], dtype=np.int64) for items in table["items"]]
    if not engaged:
        raise OptionFault(
            "rewrites.threshold: cannot be calibrated, for no training query led to an item\n  give a threshold"
        )
    queries = table["query"].to_list()
    pairs = [query for query, places in zip(queries, engaged, strict=True) for _ in places], np.concatenate(engaged)
    split = config.source.queries.split
    found = calibrate(model, pairs, random_pairs(queries, engaged, len(where), split.seed))
    return found.threshold, found


def _answered(config: Config, place: Workplace) -> pl.DataFrame:
    """Queries to be served whose rewrites were answered: query, shown, text, answer_key, prompt, model, answered_at."""
    assert config.source.queries is not None  # the flow has seen to it
    table = query_table(place.dataset)
    served = table.filter(segments(table, config.source.queries.segments).is_in(config.rewrites.serve))
    columns = ["entity", "text", "answer_key", "prompt", "model"]
    rows = read_lineage(place.store, [TASK], columns).drop_nulls("text").rename({"entity": "query"})
    answers = read_answers(place.store, rows["answer_key"], ["key", "created_at"])
    made = rows.join(answers.rename({"key": "answer_key", "created_at": "answered_at"}), on="answer_key")
    return served.select("query", "shown").join(made, on="query").sort("query")


def _judge(config: Config) -> str:
    chosen: Mapping[str, object] = config.rewrites.model_dump(
        include={"descriptions", "relevance", "threshold", "results"}
    )
    return ", ".join(f"{name}: {value}" for name, value in chosen.items() if value is not None)
