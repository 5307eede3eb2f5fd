"""Rewrites of queries: who judges them, the served table, one query asked now, and what a rewriter learns from.

All of them judge by the same search simulator (`retrieval/simulator.py`), as knowflow.yaml sets it up.
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
    """See that rewrites can be judged, before any is paid for.

    Raises:
        WrongUse: Settings name what is not there; all faults at once.
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
        raise WrongUse("\n".join(faults))


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
        comparable_tasks(get_release(open_store(config)), [task], encoder, _model(config, encoder).fingerprint)
    except NoRelease as error:
        return [str(error)]
    return []


def searched_texts(config: Config, workplace: Workplace) -> list[str]:
    """The document of every item: its fields, and what the technique that `rewrites.descriptions` names says of it.

    Raises:
        WrongUse: That technique has said nothing yet.
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
    """Build what says how relevant a document is, as `rewrites.relevance` names it.

    Args:
        config: The config; where it names vectors, those of `rewrites.descriptions` under the same encoder count, too.
        workplace: Data and store.
        texts: [N] documents.

    Raises:
        NoRelease: It needs vectors, and the current release does not hold them.
    """
    if config.rewrites.relevance == "lexical":
        return LexicalOverlap(texts)
    task, encoder = config.rewrites.relevance.split("/")
    others = [config.rewrites.descriptions] if config.rewrites.descriptions else []
    release, items = get_release(workplace.store), workplace.dataset.items["item"].to_list()
    return open_vectors(workplace.store, release, items, [task, *others], encoder, _model(config, encoder)).relevance()


def _model(config: Config, encoder: str) -> Encoder:
    """An encoder of knowflow.yaml that can encode queries."""
    return model_encoder(encoder, config.encoders[encoder], config.folder, config.plugin_folders)


def threshold_of(config: Config, workplace: Workplace, model: Relevance) -> tuple[float, Calibration | None]:
    """The threshold of knowflow.yaml, else the one that best tells what training queries led to from random items.

    Raises:
        WrongUse: No training query led to an item.
    """
    if config.rewrites.threshold is not None:
        return config.rewrites.threshold, None
    assert config.source.queries is not None  # the flow has seen to it
    found = calibrated(model, workplace.dataset, config.source.queries.split)
    return found.threshold, found


def open_simulator(
    config: Config, workplace: Workplace, results: int | None = None
) -> tuple[Simulator, Calibration | None]:
    """The search simulator that knowflow.yaml sets up under `rewrites:`, and how it was calibrated.

    Args:
        config: The config.
        workplace: Data and store.
        results: Results of a search that count; those of `rewrites.results` when left out.

    Raises:
        WrongUse: Descriptions are named and not there, or no training query led to an item.
        NoRelease: It needs vectors, and the current release does not hold them.
    """
    texts = searched_texts(config, workplace)
    model = relevance_model(config, workplace, texts)
    threshold, calibration = threshold_of(config, workplace, model)
    search = BulkSearch(workplace.dataset.items["item"].to_list(), texts)
    return Simulator(search, model, threshold, results or config.rewrites.results), calibration


def rank_rewrites(config: Config, workplace: Workplace) -> RewriteTable:
    """Rank what the model answered and make the served table of it; nothing is written.

    Args:
        config: The config; `rewrites:` says how.
        workplace: Data and store.

    Returns:
        The table as it shall be: one row a query of the served segments that has an answer.
    """
    asked = _answered(config, workplace)
    by, calibration = open_simulator(config, workplace)
    rows = rank_answers(asked, by, config.rewrites.weights)
    return RewriteTable(rows, _judge(config), by.threshold, calibration.auc if calibration else None)


def _answered(config: Config, workplace: Workplace) -> pl.DataFrame:
    """Queries to be served whose rewrites were answered: query, shown, text, answer_key, prompt, model, answered_at."""
    assert config.source.queries is not None  # the flow has seen to it
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
    """Ask for the rewrites of one query, unless its answer is there.

    Args:
        config: The config.
        workplace: Data, engine and store.
        query: A checked query. One that users have typed before is shown to the model as the nightly run shows it, so
            that both share the answer.

    Returns:
        Its rewrites in the model's own order, not judged by any search; the query itself when there is no usable one.

    Raises:
        WrongUse: Another process writes to the store.
        EngineFault: The engine cannot answer.
    """
    (task,), key = choose_tasks([TASK], workplace.plugins), normalised(query)
    known = {row.entity: row.variables["query"] for row in task.rows(workplace.inputs_of(task))}
    options: TaskOptions = workplace.options_of(task).model_copy(update={"only": None})
    alone = replace(workplace.dataset, queries=pl.DataFrame({"query": [known.get(key, query)]}))
    at = replace(workplace, dataset=alone, options={**workplace.options, TASK: options})
    columns = ["row", "entity", "text", "error", "answer_key", "prompt", "model"]
    with workplace.store.writer(command_line()) as writer:
        spending = Spending(config.prices)
        asked = generate(plan_task(task, at, count_tokens=False), at, writer, silent, spending)
        if asked.errors and not asked.calls:  # an error of an earlier time is on record: that was then
            generate(plan_task(task, at, retry=["all"], count_tokens=False), at, writer, silent, spending)
        row = read_lineage(workplace.store, [TASK], columns).filter(pl.col("entity") == key).row(0, named=True)
        if key not in known:  # its answer is kept, but no row: the lineage is about queries of the data alone
            delete_lineage(writer, [row["row"]])
    rewrites = cleaned(query, row["text"].split("\n")) if row["text"] else []
    if not rewrites:
        return fallback(query, row["error"] or "its rewrites were all empty or the query itself")
    made = {name: row[name] for name in ("answer_key", "prompt", "model")}
    return Served(key, "live", tuple(Rewrite(text, None, None, None) for text in rewrites), **made)


def judged_rewrites(config: Config, settings: RewriteConfig, files: Sequence[Path] = ()) -> JudgedRewrites:
    """Read candidates and judge them.

    Args:
        config: The config; its `rewrites:` says what is searched and who says what is relevant.
        settings: Filters, weights and number of results.
        files: Files of candidates; the answers of `query_rewrite` in the store when there are none.

    Raises:
        SourceFaults: Data or files of candidates cannot be used.
        WrongUse: Rewrites cannot be judged as knowflow.yaml says.
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
            f"no candidate is of a training query ({len(training):,} queries)\n  give others by --candidate-file"
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
    """The rewrites that `query_rewrite` was answered with.

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
            continue  # an answer that does not parse is a row with an error, which `knowflow retry` asks again
    if not found:
        raise WrongUse(
            f"there are no rewrites to learn from\n"
            f"  make them: knowflow refresh --task {TASK}, or give --candidate-file FILE"
        )
    return candidate_table(found)
