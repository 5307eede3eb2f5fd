"""One query asked of the model now, by the same plan, key and table of answers as a nightly run: asked once, ever."""

from dataclasses import replace

import polars as pl

from app.config import Config
from app.rewrite_judges import TASK
from base.progress import silent
from feature_store.database import command_line
from feature_store.lineage import delete_lineage, read_lineage
from llm_tasks.pipeline.catalogue import choose_tasks
from llm_tasks.pipeline.generate import Spending, generate
from llm_tasks.pipeline.plan import plan_task
from llm_tasks.pipeline.task import TaskOptions
from llm_tasks.pipeline.workplace import Workplace
from retrieval.rewrites import Rewrite, Served, cleaned, fallback
from sources.queries import normalised


def live_rewrites(config: Config, place: Workplace, query: str) -> Served:
    """Ask for the rewrites of one query, unless its answer is there.

    Args:
        config: The config.
        place: Data, engine and store.
        query: A checked query. One that users have typed before is shown to the model as the nightly run shows it, so
            that both share the answer.

    Returns:
        Its rewrites in the model's own order, not judged by any search; the query itself when there is no usable one.

    Raises:
        StoreBusy: Another process writes to the store.
        EngineFault: The engine cannot answer.
    """
    (task,), key = choose_tasks([TASK], place.plugins), normalised(query)
    known = {row.entity: row.variables["query"] for row in task.rows(place.inputs_of(task))}
    options: TaskOptions = place.options_of(task).model_copy(update={"only": None})
    alone = replace(place.dataset, queries=pl.DataFrame({"query": [known.get(key, query)]}))
    at = replace(place, dataset=alone, options={**place.options, TASK: options})
    columns = ["row", "entity", "text", "error", "answer_key", "prompt", "model"]
    with place.store.writer(command_line()) as writer:
        spending = Spending(config.prices)
        asked = generate(plan_task(task, at, count_tokens=False), at, writer, silent, spending)
        if asked.errors and not asked.calls:  # an error of an earlier time is on record: that was then
            generate(plan_task(task, at, retry=["all"], count_tokens=False), at, writer, silent, spending)
        row = read_lineage(place.store, [TASK], columns).filter(pl.col("entity") == key).row(0, named=True)
        if key not in known:  # its answer is kept, but no row: the lineage is about queries of the data alone
            delete_lineage(writer, [row["row"]])
    rewrites = cleaned(query, row["text"].split("\n")) if row["text"] else []
    if not rewrites:
        return fallback(query, row["error"] or "its rewrites were all empty or the query itself")
    made = {name: row[name] for name in ("answer_key", "prompt", "model")}
    return Served(key, "live", tuple(Rewrite(text, None, None, None) for text in rewrites), **made)
