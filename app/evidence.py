"""Evidence for the leak check: events, names and searches in the data, prompts, tuned encoders."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

import polars as pl

from app.config import Config
from base.faults import WrongUse
from encoders.choose import kind_of
from feature_store.leak_evidence import QUERIES, Evidence
from llm_tasks.pipeline.encode import model_encoder
from llm_tasks.pipeline.workplace import Workplace
from prompts.domain import Domain
from prompts.library import Library, find_prompts, find_shadowed
from sources.queries import normalised, query_table, split_queries

WAY = ["item", "rating", "label"]
"""Columns of an event that say how a history shows it."""


def leak_evidence(config: Config, workplace: Workplace) -> Evidence:
    """Collect the evidence for the leak check.

    Args:
        config: The config.
        workplace: Data and domain.
    """
    dataset, domain = workplace.dataset, workplace.domain
    items = list(dataset.items.iter_rows(named=True))
    names = {item["item"]: domain.item_name(item) for item in items}
    users = [] if dataset.users is None else dataset.users.iter_rows(named=True)
    return Evidence(
        events=dataset.events.select("user", "item", "time", "rating", "label", "part"),
        show=partial(_show, domain, names),
        items=pl.DataFrame(
            {
                "item": list(names),
                "name": list(names.values()),
                "title": [item["title"] for item in items],
                "described": [domain.item_description(item) for item in items],
                "says": [_said(item, "item") for item in items],
            },
            schema=dict.fromkeys(("item", "name", "title", "described", "says"), pl.String),
        ),
        users=pl.DataFrame(
            [(user["user"], _said(user, "user")) for user in users],
            dict.fromkeys(("user", "says"), pl.String),
            orient="row",
        ),
        queries=_queries(config, workplace),
        instructions=_instructions(domain, workplace.library),
        encoders=_tuned_encoders(config),
        rules=_rules(config, domain),
    )


def _show(domain: Domain, names: Mapping[str, str], events: pl.DataFrame) -> pl.DataFrame:
    """Add `shown` to events: the event as a history shows it, which a few others have in common with it."""
    ways = events.select(WAY).unique()
    words = [domain.event(names[item], rating, label) for item, rating, label in ways.iter_rows()]
    ways = ways.with_columns(shown=pl.Series(words, dtype=pl.String))
    return events.join(ways, on=WAY, how="left", nulls_equal=True, maintain_order="left")


def _rules(config: Config, domain: Domain) -> str:
    """Return a digest of how the data is read and shown; what a change of it does to the data is seen there, too."""
    return sha256(f"{config.source.model_dump_json()}\n{domain.model_dump_json()}".encode()).hexdigest()


def _said(row: Mapping[str, Any], key: str) -> str:
    """Format all fields of a user or an item, one per line."""
    values: Iterable[Any] = (value for name, value in row.items() if name != key and value is not None)
    return "\n".join(", ".join(map(str, value)) if isinstance(value, list) else f"{value}" for value in values)


def _queries(config: Config, workplace: Workplace) -> pl.DataFrame:
    """Return what was typed, when, and what it led to; and, when queries are split by time, which of it is tested."""
    typed, about = workplace.dataset.queries, config.source.queries
    if typed is None or about is None:
        return pl.DataFrame(schema=QUERIES)
    lacking = [pl.lit(None, QUERIES[name]).alias(name) for name in ("item", "time") if name not in typed.columns]
    log = typed.with_columns(lacking).drop_nulls("query")
    known = {spelling: normalised(spelling) for spelling in log["query"].unique()}
    log = log.with_columns(pl.Series("query", [known[one] for one in log["query"]], dtype=pl.String))
    table = query_table(workplace.dataset)
    tests = table.filter(split_queries(table, about.split) == "test")["query"] if about.split.by == "time" else []
    tested = pl.col("query").is_in(pl.Series("query", tests, dtype=pl.String).implode())
    return log.with_columns(tested=tested).select(QUERIES.names()).cast(QUERIES)


def _instructions(domain: Domain, library: Library) -> dict[str, str]:
    """Map the digest of every prompt version, also of shadowed ones, to its text without variables."""
    prompts = [
        one
        for of in (find_shadowed(library), find_prompts(library))
        for versions in of.values()
        for one in versions.values()
    ]
    rendered = {prompt.digest: prompt.render(dict.fromkeys(prompt.variables, ""), domain) for prompt in prompts}
    return {digest: "\n".join(one["content"] for one in messages) for digest, messages in rendered.items()}


def _tuned_encoders(config: Config) -> dict[str, datetime]:
    """Map the fingerprint of each tuned encoder in knowflow.yaml whose folder exists to its newest event."""
    found: dict[str, datetime] = {}
    for name, chosen in config.encoders.items():
        if kind_of(chosen, config.plugin_folders).fitted:
            continue
        try:
            encoder = model_encoder(name, chosen, config.folder, config.plugin_folders)
        except WrongUse:  # an unusable folder says nothing about vectors that were made earlier
            continue
        if encoder.seen_until is not None:
            found[encoder.fingerprint] = encoder.seen_until
    return found
