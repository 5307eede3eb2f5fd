"""Rewrites of queries: their evaluation by search, the served table, live requests, and training data of a rewriter.

All of them use the same search simulator (`retrieval/simulator.py`), configured in knowflow.yaml.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from app.config import Config
from app.progress import progress
from app.workplace import open_store, open_workplace
from base.faults import WrongUse
from base.progress import silent
from encoders.choose import kind_of
from encoders.protocol import Encoder
from feature_store.answers import read_answers
from feature_store.database import command_line
from feature_store.lineage import TEXTS, delete_lineage, newest_texts, read_lineage
from feature_store.releases import NoRelease, get_release
from llm_tasks.pipeline.catalogue import choose_tasks, find_tasks
from llm_tasks.pipeline.encode import model_encoder
from llm_tasks.pipeline.generate import Spending, generate
from llm_tasks.pipeline.plan import plan_task
from llm_tasks.pipeline.task import TaskOptions
from llm_tasks.pipeline.workplace import Workplace
from retrieval.item_vectors import comparable_tasks, open_vectors
from retrieval.relevance import Calibration, LexicalOverlap, Relevance, calibrated
from retrieval.rewrite_table import RewriteTable
from retrieval.rewrites import Rewrite, Served, cleaned, fallback
from retrieval.search import BulkSearch, document_texts
from retrieval.simulator import Simulator, judge_candidates, rank_answers
from sources.queries import normalised, query_table, segments, training_queries, validation_queries
from tuning.candidates import candidate_table, read_candidates
from tuning.config import RewriteConfig
from tuning.conversations import digest
from tuning.inputs import JudgedRewrites
from tuning.rejection import keep, rewards

TASK = "query_rewrite"


def check_rewrites(config: Config) -> None:
    """Check that rewrites can be evaluated, before any is paid for.

    Raises:
        WrongUse: Settings name something that does not exist; all faults at once.
    """
    chosen, faults = config.rewrites, list[str]()
    if chosen.descriptions is not None and not _about_items(config, chosen.descriptions):
        faults.append(
            f"rewrites.descriptions: {chosen.descriptions} is not a technique about items\n"
            "  choose one, such as kar_item"
        )
    if chosen.relevance != "lexical":
        faults += [f"rewrites.relevance: {fault}" for fault in _unfit_vectors(config, *chosen.relevance.split("/"))]
    queries = config.source.queries
    if queries is not None and queries.item is None and chosen.threshold is None:
        faults.append(
            "rewrites.threshold: is missing, and cannot be calibrated without the items that queries led to\n"
            "  map queries.item, or set a threshold"
        )
    if faults:
        raise WrongUse("\n".join(faults))


def _about_items(config: Config, task: str) -> bool:
    described = find_tasks(config.plugin_folders).get(task)
    return described is not None and described.entity == "item"


def _unfit_vectors(config: Config, task: str, encoder: str) -> list[str]:
    """Return the reasons why released vectors cannot serve as relevance model; empty if they can."""
    faults: list[str] = []
    if not _about_items(config, task):
        faults.append(f"{task} is not a technique about items\n  choose one, such as item_facts/dense, or set lexical")
    if encoder not in config.encoders or kind_of(config.encoders[encoder], config.plugin_folders).fitted:
        faults.append(
            f"'{encoder}' cannot encode queries\n"
            "  choose one under encoders: that is not fitted on texts, as in item_facts/dense, or set lexical"
        )
    if faults:
        return faults
    try:
        comparable_tasks(get_release(open_store(config)), [task], encoder, _model(config, encoder).fingerprint)
    except NoRelease as error:
        return [str(error)]
    return []


def searched_texts(config: Config, workplace: Workplace) -> list[str]:
    """Return the document of every item: its fields, and its text by the technique in `rewrites.descriptions`.

    Raises:
        WrongUse: That technique has no texts yet.
    """
    descriptions: dict[str, str] = {}
    if config.rewrites.descriptions is not None:
        descriptions = newest_texts(read_lineage(workplace.store, [config.rewrites.descriptions], TEXTS))
        if not descriptions:
            name = config.rewrites.descriptions
            raise WrongUse(
                f"rewrites.descriptions: {name} has no texts yet\n  make them first: knowflow refresh --task {name}"
            )
    return document_texts(workplace.dataset.items, descriptions=descriptions)


def relevance_model(config: Config, workplace: Workplace, texts: Sequence[str]) -> Relevance:
    """Build the relevance model that `rewrites.relevance` names.

    Args:
        config: The config; if it names vectors, those of `rewrites.descriptions` under the same encoder are used too.
        workplace: Data and store.
        texts: [N] documents.

    Raises:
        NoRelease: The model needs vectors that the current release lacks.
    """
    if config.rewrites.relevance == "lexical":
        return LexicalOverlap(texts)
    task, encoder = config.rewrites.relevance.split("/")
    others = [config.rewrites.descriptions] if config.rewrites.descriptions else []
    release, items = get_release(workplace.store), workplace.dataset.items["item"].to_list()
    return open_vectors(workplace.store, release, items, [task, *others], encoder, _model(config, encoder)).relevance()


def _model(config: Config, encoder: str) -> Encoder:
    """Open an encoder of knowflow.yaml that can encode queries."""
    return model_encoder(encoder, config.encoders[encoder], config.folder, config.plugin_folders)


def threshold_of(config: Config, workplace: Workplace, model: Relevance) -> tuple[float, Calibration | None]:
    """Return the configured threshold, else the one that best separates items of training queries from random ones.

    Raises:
        WrongUse: No training query led to an item.
    """
    if config.rewrites.threshold is not None:
        return config.rewrites.threshold, None
    assert config.source.queries is not None  # checked by the flow
    found = calibrated(model, workplace.dataset, config.source.queries.split)
    return found.threshold, found


def open_simulator(
    config: Config, workplace: Workplace, results: int | None = None
) -> tuple[Simulator, Calibration | None]:
    """Build the search simulator configured under `rewrites:` in knowflow.yaml, with its calibration.

    Args:
        config: The config.
        workplace: Data and store.
        results: Number of search results that count; None for `rewrites.results`.

    Raises:
        WrongUse: The named descriptions are missing, or no training query led to an item.
        NoRelease: It needs vectors that the current release lacks.
    """
    texts = searched_texts(config, workplace)
    model = relevance_model(config, workplace, texts)
    threshold, calibration = threshold_of(config, workplace, model)
    search = BulkSearch(workplace.dataset.items["item"].to_list(), texts)
    return Simulator(search, model, threshold, results or config.rewrites.results), calibration


def rank_rewrites(config: Config, workplace: Workplace) -> RewriteTable:
    """Rank the model's answers and make the served table from them; write nothing.

    Args:
        config: The config, with settings under `rewrites:`.
        workplace: Data and store.

    Returns:
        The new table: one row per answered query of the served segments.
    """
    asked = _answered(config, workplace)
    by, calibration = open_simulator(config, workplace)
    rows = rank_answers(asked, by, config.rewrites.weights)
    return RewriteTable(rows, _judge(config), by.threshold, calibration.auc if calibration else None)


def _answered(config: Config, workplace: Workplace) -> pl.DataFrame:
    """Return the answered queries to serve: query, shown, text, answer_key, prompt, model, answered_at."""
    assert config.source.queries is not None  # checked by the flow
    table = query_table(workplace.dataset)
    served = table.filter(segments(table, config.source.queries.segments).is_in(config.rewrites.serve))
    columns = ["entity", "text", "answer_key", "prompt", "model"]
    rows = read_lineage(workplace.store, [TASK], columns).drop_nulls("text").rename({"entity": "query"})
    answers = read_answers(workplace.store, rows["answer_key"], ["key", "created_at"])
    made = rows.join(answers.rename({"key": "answer_key", "created_at": "answered_at"}), on="answer_key")
    return served.select("query", "shown").join(made, on="query").sort("query")


def _judge(config: Config) -> str:
    chosen: Mapping[str, object] = config.rewrites.model_dump(
        include={"descriptions", "relevance", "threshold", "results"}
    )
    return ", ".join(f"{name}: {value}" for name, value in chosen.items() if value is not None)


def live_rewrites(config: Config, workplace: Workplace, query: str) -> Served:
    """Ask for the rewrites of one query, unless the answer is stored.

    Args:
        config: The config.
        workplace: Data, engine and store.
        query: A checked query. A query of the data is shown to the model as in the nightly run, so that both share the
            answer.

    Returns:
        The rewrites in the model's own order, not evaluated by search; the query itself if no rewrite is usable.

    Raises:
        WrongUse: Another process writes to the store.
        EngineFault: The engine cannot answer.
    """
    (task,), key = choose_tasks([TASK], workplace.library.plugins), normalised(query)
    known = {row.entity: row.variables["query"] for row in task.rows(workplace.inputs_of(task))}
    options: TaskOptions = workplace.options_of(task).model_copy(update={"only": None})
    alone = replace(workplace.dataset, queries=pl.DataFrame({"query": [known.get(key, query)]}))
    at = replace(workplace, dataset=alone, options={**workplace.options, TASK: options})
    columns = ["row", "entity", "text", "error", "answer_key", "prompt", "model"]
    with workplace.store.writer(command_line()) as writer:
        spending = Spending(config.prices)
        asked = generate(plan_task(task, at, count_tokens=False), at, writer, silent, spending)
        if asked.errors and not asked.calls:  # retry an error that was recorded earlier
            generate(plan_task(task, at, retry=["all"], count_tokens=False), at, writer, silent, spending)
        row = read_lineage(workplace.store, [TASK], columns).filter(pl.col("entity") == key).row(0, named=True)
        if key not in known:  # keep the answer but not the row: the lineage is only about queries of the data
            delete_lineage(writer, [row["row"]])
    rewrites = cleaned(query, row["text"].split("\n")) if row["text"] else []
    if not rewrites:
        return fallback(query, row["error"] or "its rewrites were all empty or equal to the query")
    made = {name: row[name] for name in ("answer_key", "prompt", "model")}
    return Served(key, "live", tuple(Rewrite(text, None, None, None) for text in rewrites), **made)


def judged_rewrites(config: Config, settings: RewriteConfig, files: Sequence[Path] = ()) -> JudgedRewrites:
    """Read candidates and evaluate them by search.

    Args:
        config: The config; `rewrites:` sets what is searched and the relevance model.
        settings: Filters, weights and number of results.
        files: Files of candidates; if empty, the store's answers of `query_rewrite`.

    Raises:
        SourceFaults: Data or files of candidates are invalid.
        WrongUse: Rewrites cannot be evaluated with the settings in knowflow.yaml.
        WrongUse: There are no queries, or no candidates.
    """
    if config.source.queries is None:
        raise WrongUse("there are no queries\n  map them in knowflow.yaml: queries: {path: ..., query: ...}")
    candidates = read_candidates(files) if files else None
    check_rewrites(config)
    workplace = open_workplace(config)
    candidates = stored_candidates(workplace) if candidates is None else candidates
    candidates = candidates.filter(pl.col("place") < settings.candidates)
    split = config.source.queries.split
    training, validation = (of(workplace.dataset, split) for of in (training_queries, validation_queries))
    by, calibration = open_simulator(config, workplace, settings.results)
    queries = pl.concat([part.select("query", "shown", "items") for part in (training, validation)])
    table = judge_candidates(queries, candidates, by, progress())
    is_training = pl.col("query").is_in(training["query"].implode())
    table = table.with_columns(
        pl.when(is_training).then(pl.lit("train")).otherwise(pl.lit("validation")).alias("part"),
        keep(table, settings),
        rewards(table, settings),
    )
    if not (table["part"] == "train").any():
        raise WrongUse(
            f"no candidate belongs to a training query ({len(training):,} queries)\n  give others with --candidate-file"
        )
    said = [({"role": "user", "content": q}, {"role": "assistant", "content": r}) for q, r in _pairs(candidates)]
    facts = {
        "data_version": workplace.dataset.version,
        "split": split.model_dump(),
        "training_queries": table.filter(is_training)["query"].n_unique(),
        "validation_queries": table.filter(~is_training)["query"].n_unique(),
        "newest_event": None if (last := training["last"].max()) is None else str(last),  # queries may have no times
        "candidates": len(table),
        "kept": int(table.filter(is_training)["kept"].sum()),
        "digest": digest(said),
        "relevance": config.rewrites.relevance,
        "descriptions": config.rewrites.descriptions,
        "threshold": round(by.threshold, 6),
    }
    titles = dict(workplace.dataset.items.select("item", "title").iter_rows())
    led = training.select("shown", "items").explode("items").drop_nulls("items")
    rows = [(shown, titles[item]) for shown, item in led.iter_rows() if item in titles]
    found = pl.DataFrame(rows, {"shown": pl.String, "title": pl.String}, orient="row")
    auc = calibration.auc if calibration else None
    return JudgedRewrites(table, found, workplace.domain, by.threshold, auc, facts)


def _pairs(candidates: pl.DataFrame) -> list[tuple[str, str]]:
    return list(candidates.select("query", "rewrite").iter_rows())


def stored_candidates(workplace: Workplace) -> pl.DataFrame:
    """Read the rewrites in the answers of `query_rewrite`.

    Raises:
        WrongUse: There are none.
    """
    rows = read_lineage(workplace.store, [TASK], ["entity", "answer_key"]).drop_nulls("answer_key").sort("entity")
    answers = read_answers(workplace.store, rows["answer_key"], ["key", "text"]).drop_nulls("text")
    found: list[tuple[str, str | None, str]] = []
    for query, text in rows.join(answers, left_on="answer_key", right_on="key").select("entity", "text").iter_rows():
        try:
            answer = json.loads(text)
            found += [(query, answer["thought"], rewrite) for rewrite in answer["rewrites"]]
        except (ValueError, KeyError, TypeError):
            continue  # has an error row already; `knowflow retry` asks again
    if not found:
        raise WrongUse(
            f"there are no rewrites to learn from\n"
            f"  make them: knowflow refresh --task {TASK}, or give --candidate-file FILE"
        )
    return candidate_table(found)
