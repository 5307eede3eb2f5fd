"""A small made world: a log with ties that a model can learn from, and vectors about its items and users.

Also read by `runpy` from a fresh process, which must make the same world.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from ctr.batch import Fields, PastStates, States
from ctr.samples import Samples, build_samples
from feature_store.vectors import Knowledge
from sources.config import SplitConfig
from sources.events import histories, with_parts
from sources.tables import Dataset, event_id

START = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH = np.datetime64(0, "us")
GENRES = ("action", "comedy", "drama", "horror")


def made_dataset(users: int = 40, items: int = 25, events: int = 20, ratings: bool = True, seed: int = 3) -> Dataset:
    """Users like items whose hidden vector is near theirs; three events share each moment."""
    random = np.random.default_rng(seed)
    taste, nature = random.normal(size=(users, 3)), random.normal(size=(items, 3))
    rows = []
    for user in range(users):
        for place, item in enumerate(random.permutation(np.arange(events) % items)):
            liking = taste[user] @ nature[item] + 0.5 * random.normal()
            rating = float(np.clip(np.round(3.5 + liking), 1, 5))
            rows.append(
                (f"u{user:02d}", f"i{item:02d}", START + timedelta(minutes=20 * (place // 3) + user % 7), rating)
            )
    log = pl.DataFrame(rows, schema=["user", "item", "time", "rating"], orient="row")
    log = log.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")), pl.col("rating").cast(pl.Float32))
    log = log.unique(["user", "item", "time"]).sort("time", "item", "user")
    log = log.with_columns((pl.col("rating") >= 4).cast(pl.Float32).alias("label"))
    log = log.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over("user").alias("position"))
    if not ratings:
        log = log.with_columns(pl.lit(None, dtype=pl.Float32).alias("rating"))
    genres = [[GENRES[g] for g in range(4) if nature[item, g % 3] * (-1) ** (g // 3) > 0] for item in range(items)]
    catalogue = pl.DataFrame(
        {
            "item": [f"i{item:02d}" for item in range(items)],
            "title": [f"Thing {item}" for item in range(items)],
            "genres": genres,
            "year": [None if item == 0 else 1990.0 + item for item in range(items)],
        },
        schema_overrides={"genres": pl.List(pl.String), "year": pl.Float64},
    )
    log = with_parts(log, SplitConfig(train=0.6, validation=0.2))
    return Dataset(log, catalogue, None, None, (), ("genres",), ("year",), "made")


def samples_of(dataset: Dataset, length: int = 6) -> Samples:
    """As `app.samples.open_samples` builds them."""
    return build_samples(dataset, histories(dataset.events, length))


def made_samples(**options: Any) -> Samples:
    return samples_of(made_dataset(**options))


def made_knowledge(
    samples: Samples,
    entity: str = "item",
    encoder: str = "dense",
    task: str | None = None,
    width: int = 5,
    seed: int = 0,
) -> Knowledge:
    """Vectors of length one about three quarters of all entities; users have two snapshots, some items a late one."""
    random = np.random.default_rng([seed, len(entity), *encoder.encode()])
    ids = samples.item_ids if entity == "item" else samples.user_ids
    chosen = ids[np.arange(len(ids)) % 4 != 3]
    middle = np.sort(samples.time)[len(samples.time) // 2]
    if entity == "item":
        entities, as_of = chosen, np.where(np.arange(len(chosen)) % 3 == 2, middle, EPOCH)
    else:
        entities, as_of = np.repeat(chosen, 2), np.tile(np.array([EPOCH, middle]), len(chosen))
    vectors = random.normal(size=(len(entities), width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Knowledge(task or f"kar_{entity}", encoder, entity, entities, as_of.astype("datetime64[us]"), vectors)


def made_examples(samples: Samples, encoder: str = "dense", width: int = 5, every: int = 11) -> Knowledge:
    """Vectors of length one about every eleventh training event, as of that event's own time."""
    rows = np.flatnonzero(samples.part == 0)[::every]
    return events_known(samples, rows.tolist(), encoder, width)


def events_known(samples: Samples, rows: list[int], encoder: str = "dense", width: int = 5) -> Knowledge:
    """Vectors of length one about the events of some samples."""
    about = [event_id(str(samples.user_ids[samples.user[r]]), str(samples.item_ids[samples.item[r]])) for r in rows]
    vectors = np.random.default_rng([7, *encoder.encode()]).normal(size=(len(rows), width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Knowledge("cot_examples", encoder, "event", np.array(about, dtype=str), samples.time[rows], vectors)


def bare_samples(
    user: list[int], item: list[int], second: list[int], history: list[list[int]] | None = None, **columns: Any
) -> Samples:
    """Samples of given codes and times, with nothing else in them unless it is given; the users are named 0, 1, ..."""
    count = len(user)
    flat = {name: np.zeros(count, dtype=np.float32) for name in ("rating", "label", "user_mean", "surprise")}
    users, items = max(user, default=-1) + 1, max([*item, columns.pop("items", 1) - 1]) + 1
    given = {
        "user": np.array(user, dtype=np.int64),
        "item": np.array(item, dtype=np.int64),
        "time": np.array(second, dtype="datetime64[s]").astype("datetime64[us]"),
        "part": np.zeros(count, dtype=np.int8),
        "history": np.array(history if history is not None else [[-1]] * count, dtype=np.int32),
        "statistics": np.zeros((count, 0), dtype=np.float32),
        "item_categories": np.zeros((items, 0), dtype=np.float32),
        "item_numbers": np.zeros((items, 0), dtype=np.float32),
        "user_ids": np.array([str(code) for code in range(users)], dtype=str),
        "item_ids": np.array([str(code) for code in range(items)], dtype=str),
    }
    return Samples(**(flat | given | {name: np.asarray(value) for name, value in columns.items()}))


def made_states(
    rows: int = 7, fields: int = 4, width: int = 3, events: int = 5, dense: int = 2, seed: int = 0
) -> States:
    """What a backbone reads, at random; row 0 has no history and no past at all."""
    random = torch.Generator().manual_seed(seed)
    mask = (torch.rand(rows, events, generator=random) < 0.6).float()
    mask[0] = 0
    states = States(
        fields=torch.randn(rows, fields, width, generator=random),
        dense=torch.randn(rows, dense, generator=random),
        target=torch.randn(rows, width, generator=random),
        history=torch.randn(rows, events, width, generator=random),
        history_rating=torch.randn(rows, events, generator=random) * mask,
        history_mask=mask,
    )
    age = (10 ** (7 * torch.rand(rows, events, generator=random))).long().sort(dim=1, descending=True).values
    there = torch.arange(events) >= torch.arange(rows)[:, None] % (events + 1)  # the newest last, in the last column
    there[0] = False
    rating = torch.randn(rows, events, generator=random) * there
    items = torch.randn(rows, events, width, generator=random)
    return replace(states, past=PastStates(items, rating, age * there, there.float()))


def fields_of(samples: Samples, width: int = 4) -> Fields:
    """As `ctr.learners.make_model` makes them."""
    categories = samples.item_categories.shape[1]
    return Fields(len(samples.user_ids), len(samples.item_ids), categories, samples.history.shape[1], width)


class World:
    """The maker functions, for tests to take as one fixture."""

    dataset = staticmethod(made_dataset)
    samples = staticmethod(made_samples)
    samples_of = staticmethod(samples_of)
    knowledge = staticmethod(made_knowledge)
    examples = staticmethod(made_examples)
    events_known = staticmethod(events_known)
    bare = staticmethod(bare_samples)
    states = staticmethod(made_states)
    fields = staticmethod(fields_of)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """As `app.arm_process` trains; the same sums in the same order on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def samples() -> Samples:
    """The made world's samples; nobody may change them."""
    return made_samples()
