"""What a model learns rewriting from: candidates, judged by the same search that makes the served table."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from app.config import Config
from app.progress import progress
from app.rewrite_judges import TASK, check_rewrites, relevance_model, searched_texts, threshold_of
from app.workplace import open_workplace
from feature_store.answers import read_answers
from feature_store.lineage import read_lineage
from llm_tasks.pipeline.workplace import Workplace
from retrieval.search import BulkSearch
from retrieval.simulator import Simulator, judge_candidates
from sources.queries import training_queries, validation_queries
from tuning.candidates import candidate_table, read_candidates
from tuning.config import RewriteConfig
from tuning.conversations import digest
from tuning.inputs import JudgedRewrites
from tuning.rejection import keep, rewards
from tuning.workfolder import TuningFault


def judged_rewrites(config: Config, settings: RewriteConfig, files: Sequence[Path] = ()) -> JudgedRewrites:
    """Read candidates and judge them.

    Args:
        config: The config; its `rewrites:` says what is searched and who says what is relevant.
        settings: Filters, weights and number of results.
        files: Files of candidates; the answers of `query_rewrite` in the store when there are none.

    Raises:
        SourceFaults: Data or files of candidates cannot be used.
        OptionFault: Rewrites cannot be judged as knowflow.yaml says.
        TuningFault: There are no queries, or no candidates.
    """
    if config.source.queries is None:
        raise TuningFault("there are no queries\n  map them in knowflow.yaml: queries: {path: ..., query: ...}")
    candidates = read_candidates(files) if files else None
    check_rewrites(config)
    place = open_workplace(config)
    candidates = stored_candidates(place) if candidates is None else candidates
    candidates = candidates.filter(pl.col("place") < settings.candidates)
    split = config.source.queries.split
    training, validation = (of(place.dataset, split) for of in (training_queries, validation_queries))
    texts = searched_texts(config, place)
    model = relevance_model(config, place, texts)
    threshold, calibration = threshold_of(config, place, model)
    by = Simulator(BulkSearch(place.dataset.items["item"].to_list(), texts), model, threshold, settings.results)
    queries = pl.concat([part.select("query", "shown", "items") for part in (training, validation)])
    table = judge_candidates(queries, candidates, by, progress())
    is_training = pl.col("query").is_in(training["query"].implode())
    table = table.with_columns(
        pl.when(is_training).then(pl.lit("train")).otherwise(pl.lit("validation")).alias("part"),
        keep(table, settings),
        rewards(table, settings),
    )
    if not (table["part"] == "train").any():
        raise TuningFault(
            f"no candidate is of a training query ({len(training):,} queries)\n  give others by --candidate-file"
        )
    said = [({"role": "user", "content": q}, {"role": "assistant", "content": r}) for q, r in _pairs(candidates)]
    facts = {
        "data_version": place.dataset.version,
        "split": split.model_dump(),
        "training_queries": table.filter(is_training)["query"].n_unique(),
        "validation_queries": table.filter(~is_training)["query"].n_unique(),
        "newest_event": None if (last := training["last"].max()) is None else str(last),  # queries may have no times
        "candidates": len(table),
        "kept": int(table.filter(is_training)["kept"].sum()),
        "digest": digest(said),
        "relevance": config.rewrites.relevance,
        "descriptions": config.rewrites.descriptions,
        "threshold": round(threshold, 6),
    }
    titles = dict(place.dataset.items.select("item", "title").iter_rows())
    led = training.select("shown", "items").explode("items").drop_nulls("items")
    rows = [(shown, titles[item]) for shown, item in led.iter_rows() if item in titles]
    found = pl.DataFrame(rows, {"shown": pl.String, "title": pl.String}, orient="row")
    auc = calibration.auc if calibration else None
    return JudgedRewrites(table, found, place.domain, threshold, auc, facts)


def _pairs(candidates: pl.DataFrame) -> list[tuple[str, str]]:
    return list(candidates.select("query", "rewrite").iter_rows())


def stored_candidates(place: Workplace) -> pl.DataFrame:
    """The rewrites that `query_rewrite` was answered with.

    Raises:
        TuningFault: There are none.
    """
    rows = read_lineage(place.store, [TASK], ["entity", "answer_key"]).drop_nulls("answer_key").sort("entity")
    answers = read_answers(place.store, rows["answer_key"], ["key", "text"]).drop_nulls("text")
    found: list[tuple[str, str | None, str]] = []
    for query, text in rows.join(answers, left_on="answer_key", right_on="key").select("entity", "text").iter_rows():
        try:
            answer = json.loads(text)
            found += [(query, answer["thought"], rewrite) for rewrite in answer["rewrites"]]
        except (ValueError, KeyError, TypeError):
            continue  # an answer that does not parse is a row with an error, which `knowflow retry` asks again
    if not found:
        raise TuningFault(
            f"there are no rewrites to learn from\n"
            f"  make them: knowflow refresh --task {TASK}, or give --candidate-file FILE"
        )
    return candidate_table(found)
