"""In-context examples in a report: statistics by arm, the cost of their pool, and some examples."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from app.config import Config
from app.workplace import open_dataset, open_domain
from evals.report import InContext
from feature_store.lineage import row_key
from retrieval.example_search import TASK
from sources.tables import event_id

BEGIN = 240
"""Number of characters of a reasoning to show."""


def in_context(
    config: Config, lineage: pl.DataFrame, result: Mapping[str, Any], costs: Sequence[Mapping[str, Any]]
) -> InContext | None:
    """Collect the facts that the arms of a training run recorded about the examples they show.

    Args:
        config: The config.
        lineage: Lineage of the release that the run read.
        result: Result of the run; the training facts of an arm that shows examples hold `retrieval`, and `shown`
            (from `ctr.examples.shown_to_test`) unless an older version trained it.
        costs: The report's table of costs.

    Returns:
        The facts, with samples of the first arm that shows examples; None if no arm does.
    """
    arms = {arm: made["retrieval"] for arm, made in result["training"].items() if made.get("retrieval")}
    if not arms:
        return None
    older: Mapping[str, Any] = {"task": TASK, "samples": []}  # for runs made before samples were recorded
    noted = next((made["shown"] for made in result["training"].values() if made.get("shown")), older)
    domain = open_domain(config)
    names = {item["item"]: domain.item_name(item) for item in open_dataset(config).items.iter_rows(named=True)}
    texts = dict(lineage.filter(pl.col("task") == noted["task"]).select("row", "text").iter_rows())
    (cost,) = [row for row in costs if row["task"] == noted["task"]]
    return InContext(arms, cost, [_sample(sample, noted["task"], texts, names) for sample in noted["samples"]])


def _sample(sample: Mapping[str, Any], task: str, texts: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a test sample with its examples: names instead of ids, and the beginning of each reasoning."""
    examples = []
    for one in sample["examples"]:
        time = datetime.fromisoformat(one["time"])
        text = texts[row_key(task, event_id(one["user"], one["item"]), time)]
        examples.append({**one, "time": time, "item": names[one["item"]], "text": begin(text)})
    time, item = datetime.fromisoformat(sample["time"]), names[sample["item"]]
    return {**sample, "time": time, "item": item, "examples": examples}


def begin(text: str, length: int = BEGIN) -> str:
    """Return the beginning of a text, cut at a word boundary.

    Example:
        >>> begin("Heist films matter most.", 14)
        'Heist films …'
    """
    if len(text) <= length:
        return text
    return text[:length].rsplit(" ", 1)[0] + " …"
