"""knowflow examples: shows the in-context examples that one sample would get."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import polars as pl
from cyclopts import Parameter

from app.config import Config, load_config
from app.workplace import open_dataset, open_domain, open_store
from cli.errors import WRONG_INPUT
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say
from feature_store.releases import get_release
from retrieval.example_search import open_examples
from retrieval.examples import ExampleRule
from sources.tables import Dataset
from sources.times import to_time


def examples(
    *,
    user: Annotated[str, Parameter(help="Id of a user; one without events has no history.")],
    item: Annotated[str, Parameter(help="Id of an item.")],
    time: Annotated[str | None, Parameter(help="A date or ISO time in UTC; default: now.")] = None,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Show the most similar examples that a user and an item would get, half of them liked, half not.

    `train.examples:` in knowflow.yaml sets how many, and how old they must be.

    Example: knowflow examples --user 7 --item 318 --time 2017-06-01
    """
    settings = load_config(config)
    store = open_store(settings)
    chosen = get_release(store, release)
    dataset = open_dataset(settings)
    names = _names(settings, dataset)
    moment = datetime.now(UTC) if time is None else to_time(pl.Series([time]))[0][0]
    if item not in names or moment is None:
        say(f"--item: the data has no item '{item}'" if item not in names else f"--time: '{time}' is not a time")
        say("  give an item by its id, a time like 2017-06-01 or 2017-06-01T12:30")
        return WRONG_INPUT
    rule = ExampleRule(settings.train.examples.count, settings.train.examples.strict)
    found = open_examples(store, chosen, dataset.events).examples_of(user, item, moment, rule)
    if json:
        asked = {"release": chosen.name, "user": user, "item": item, "time": moment.isoformat()}
        print_json({**asked, "lacking": found.lacking, "examples": [dict(example) for example in found.examples]})
        return 0
    print_line(
        f"user {user}, {names[item]}, {moment:%Y-%m-%d %H:%M} UTC: {len(found.examples)} examples of {rule.count}"
    )
    for example in found.examples:
        print_line(_heading(example, names))
        print_line(f"  {example['text']}")
    if found.lacking:
        say(f"{found.lacking} missing: release {chosen.name} has too few earlier examples")
    return 0


def _heading(example: Mapping[str, Any], names: Mapping[str, str]) -> str:
    decision = "liked    " if example["label"] else "not liked"
    name, when = names[example["item"]], f"{example['time']:%Y-%m-%d}"
    return f"{decision}  similarity {example['similarity']:.3f}  {name}, user {example['user']}, {when}"


def _names(settings: Config, dataset: Dataset) -> dict[str, str]:
    """Map each item id to its display name."""
    domain = open_domain(settings)
    return {row["item"]: domain.item_name(row) for row in dataset.items.iter_rows(named=True)}
