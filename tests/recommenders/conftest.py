"""Small logs by hand, and what recommenders are fitted on."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from feature_store.releases import NoRelease
from recommenders.log import Log
from recommenders.protocol import Context

START = np.datetime64("2024-01-01T00:00:00", "us")


def log_by_hand(rows: list[tuple[str, int, int, float]]) -> Log:
    """Events of user, item, hour and rating; 4 and more is liked."""
    user, item, hour, rating = zip(*rows, strict=True)
    time = START + np.array(hour).astype("timedelta64[h]")
    rated = np.array(rating, dtype=np.float32)
    return Log(np.array(user), np.array(item, dtype=np.int64), time, rated, (rated >= 4).astype(np.float32))


def context_of(log: Log, items: int, vectors: dict[str, np.ndarray] | None = None, seed: int = 0) -> Context:
    """What a recommender is fitted on, with released vectors by name."""

    def read(name: str) -> np.ndarray:
        if name not in (vectors or {}):
            raise NoRelease(f"no vectors {name}")
        return (vectors or {})[name]

    return Context(log, pl.DataFrame({"item": [f"i{place}" for place in range(items)]}), read, read, seed)


@pytest.fixture
def make_log() -> Callable[..., Log]:
    return log_by_hand


@pytest.fixture
def make_context() -> Callable[..., Context]:
    return context_of


@pytest.fixture
def hour() -> Callable[[float], np.datetime64]:
    return lambda count: START + np.timedelta64(int(count * 60), "m")
