"""Ranking rewrites: a search over the data's items says what each is worth, and the served table follows from it."""

from collections.abc import Mapping

import polars as pl

from app.config import Config
from app.rewrite_judges import TASK, relevance_model, searched_texts, threshold_of
from feature_store.answers import read_answers
from feature_store.lineage import read_lineage
from llm_tasks.pipeline.workplace import Workplace
from retrieval.rewrite_table import RewriteTable
from retrieval.rewrites import cleaned, ranked
from retrieval.search import BulkSearch
from retrieval.simulator import Simulator, judge_rewrites
from sources.queries import query_table, segments


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
    told = judge_rewrites(Simulator(search, model, threshold, config.rewrites.results), queries, proposed)
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
