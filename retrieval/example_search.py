"""Search the examples of a release for a single sample, with the same encodings, guards and order as in training."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from feature_store.database import Store
from feature_store.releases import NoRelease, Release, released_knowledge, released_lineage
from feature_store.vectors import Knowledge, as_of_rows
from retrieval.examples import RECENT, STRICT, Encodings, ExamplePool, ExampleRule, Situations, encodings, retrieve
from sources.events import chosen, histories
from sources.tables import event_of

TASK, ITEMS = "cot_examples", ("item_facts", "dense")
"""The technique whose reasonings are the examples, and the one whose vectors encode items."""
EVENT = ["user", "item", "time"]


@dataclass(frozen=True)
class ShownExamples:
    """The examples of one sample."""

    examples: tuple[Mapping[str, Any], ...]
    """user, item, time, label (0 or 1), text (the reasoning) and similarity of each: liked ones first, then the
    others, each by falling similarity."""
    lacking: int
    """Number of requested examples that the guards left none for; 0 if there were enough of both labels."""


@dataclass(frozen=True)
class ExampleSearch:
    """A pool of examples and everything needed to encode a sample."""

    examples: pl.DataFrame
    """user, item, time, label (0 or 1) and text, in the order of the pool."""
    pool: ExamplePool
    """The same examples in searchable form."""
    events: pl.DataFrame
    """user, item, time of the events that were rated or chosen, sorted by time."""
    users: Mapping[str, int]
    """User id -> code, for all users with events."""
    items: Knowledge
    """Vectors of items."""

    def examples_of(self, user: str, item: str, time: datetime, rule: ExampleRule = STRICT) -> ShownExamples:
        """Find the examples for a user, an item and a moment.

        Args:
            user: Id of a user; one without events has no history.
            item: Id of an item.
            time: The moment, with a time zone.
            rule: Number of examples, and guards.

        Raises:
            ValueError: The number of examples is odd.
        """
        log = self.events.filter((pl.col("user") == user) & (pl.col("time") < time)).tail(RECENT)["item"].to_list()
        past = np.array([[""] * (RECENT - len(log)) + log])  # [1, H]
        moment = np.array([time.astimezone(UTC).replace(tzinfo=None)], dtype="datetime64[us]")
        encoded = _encode(self.items, np.array([item]), past, moment)
        asked = Situations(np.array([self.users.get(user, -1)]), moment, encoded)
        found = retrieve(self.pool, asked, rule)
        near = zip(found.chosen[0].tolist(), found.similarity[0].tolist(), strict=True)
        shown = [(self.examples.row(place, named=True), similarity, place) for place, similarity in near if place >= 0]
        shown.sort(key=lambda one: (-one[0]["label"], -one[1], one[2]))
        rows = tuple({**row, "similarity": similarity} for row, similarity, _ in shown)
        return ShownExamples(rows, rule.count - len(rows))


def open_examples(store: Store, release: Release, events: pl.DataFrame) -> ExampleSearch:
    """Read the examples of a release.

    Args:
        store: The store.
        release: The release; later rows are ignored.
        events: user, item, time, label, part and, if there is one, rating of the dataset's events, sorted by time;
            examples about events outside the training part are left out.

    Raises:
        NoRelease: The release has no vectors of items, or no examples.
    """
    if not any(name.task == TASK for name in release.vectors):
        raise NoRelease(f"{release.name}: holds no {TASK}\n  ask for some: knowflow refresh --task {TASK}")
    items = released_knowledge(store, release, *ITEMS)
    rows = released_lineage(store, release, [TASK]).filter(pl.col("text").is_not_null()).sort("row")
    named = pl.DataFrame(
        [event_of(entity) for entity in rows["entity"]], {"user": pl.String, "item": pl.String}, orient="row"
    )
    reasonings = pl.concat([named, rows.select("text", time="as_of")], how="horizontal")
    log = events.select(*EVENT, "label", "part").with_row_index("row")
    training = log.filter(pl.col("part") == "train").unique(EVENT, keep="first", maintain_order=True)
    examples = reasonings.join(training, on=EVENT, maintain_order="left")
    users = {user: code for code, user in enumerate(log["user"].unique(maintain_order=True))}
    times = examples["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    recent = chosen(events)
    past = histories(log, RECENT, recent)[examples["row"].to_numpy()]  # [M, H]
    named_past = np.where(past >= 0, log["item"].to_numpy().astype(str)[past], "")
    encoded = _encode(items, examples["item"].to_numpy().astype(str), named_past, times)
    user = np.array([users[one] for one in examples["user"]], dtype=np.int64)
    told = max(rows["model_seen_until"].dt.replace_time_zone(None).drop_nulls(), default=None)
    seen_until = None if told is None else np.datetime64(told, "us")
    pool = ExamplePool(Situations(user, times, encoded), examples["label"].to_numpy().astype(np.float32), seen_until)
    shown = examples.select(*EVENT, "label", "text")
    return ExampleSearch(shown, pool, log.filter(pl.Series(recent)).select(EVENT), users, items)


def _encode(items: Knowledge, item: np.ndarray, past: np.ndarray, time: np.ndarray) -> Encodings:
    """Encode n samples by the vectors known strictly before each: [n] ids, [n, H] ids ("" = none), [n] times."""
    names = {name: code for code, name in enumerate(dict.fromkeys(items.entities.tolist()))}
    codes = np.array([names[name] for name in items.entities.tolist()], dtype=np.int64)

    def known(asked: np.ndarray) -> np.ndarray:
        wanted = np.array([names.get(name, -1) for name in asked.ravel().tolist()], dtype=np.int64).reshape(asked.shape)
        moments = np.broadcast_to(time.reshape(-1, *[1] * (asked.ndim - 1)), asked.shape)
        rows, there = np.full(asked.shape, -1, dtype=np.int64), wanted >= 0
        rows[there] = as_of_rows(wanted[there], moments[there], codes, items.as_of)
        return rows

    return encodings(items.vectors, known(item), known(past))
