"""What a report shows of in-context examples: their statistics by arm, what their pool cost, and some of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from app.config import Config
from app.workplace import open_dataset, open_domain, open_store
from evals.report import InContext
from feature_store.releases import Release
from retrieval.pool import TASK, ExampleSearch, open_pool

SHOWN = 3
"""Test samples whose examples are shown."""
BEGIN = 240
"""Characters of a reasoning that are shown."""


def in_context(
    config: Config, release: Release, result: Mapping[str, Any], costs: Sequence[Mapping[str, Any]], train: Mapping
) -> InContext | None:
    """Collect what the arms of a training run say of the examples they show, and look for some of them again.

    Args:
        config: The config.
        release: The release that the run read.
        result: What the run came to; the training facts of an arm that shows examples hold `retrieval`.
        costs: The report's table of costs.
        train: How the run was trained.

    Returns:
        None when no arm shows examples.
    """
    arms = {arm: made["retrieval"] for arm, made in result["training"].items() if made.get("retrieval")}
    if not arms:
        return None
    dataset = open_dataset(config)
    search = open_pool(open_store(config), release, dataset.events, dataset.events["part"].to_list())
    domain = open_domain(config)
    names = {item["item"]: domain.item_name(item) for item in dataset.items.iter_rows(named=True)}
    (cost,) = [row for row in costs if row["task"] == TASK]
    test = dataset.events.filter(pl.col("part") == "test")
    return InContext(arms, cost, list(_samples(search, test, names, train["examples"])))


def _samples(
    search: ExampleSearch, test: pl.DataFrame, names: Mapping[str, str], choice: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Some test samples, evenly over time, with the examples that they are shown."""
    for number in range(min(SHOWN, len(test))):
        sample = test.row((2 * number + 1) * len(test) // (2 * SHOWN), named=True)
        found = search.examples_of(
            sample["user"], sample["item"], sample["time"], choice["count"], strict=choice["strict"]
        )
        examples = [{**one, "item": names[one["item"]], "text": begin(one["text"])} for one in found.examples]
        yield {
            **{key: sample[key] for key in ("user", "time", "label")},
            "item": names[sample["item"]],
            "lacking": found.lacking,
            "examples": examples,
        }


def begin(text: str, length: int = BEGIN) -> str:
    """The begin of a text, whole words alone.

    Example:
        >>> begin("Heist films matter most.", 14)
        'Heist films …'
    """
    if len(text) <= length:
        return text
    return text[:length].rsplit(" ", 1)[0] + " …"
