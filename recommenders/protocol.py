"""The interface of a recommender: its training data, its requests and its results.

A recommender is a `Recommender` at the top level of a file in this folder, or in a folder listed under `plugins:`.
It is fitted once on training events, and then serves requests of users at moments: it sees the events it was fitted
on, and the requesting user's events strictly before the moment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import polars as pl

from base.frozen import Frozen
from base.plugins import Kind
from base.progress import Progress, silent
from feature_store.releases import NoRelease
from recommenders.log import Log, Requests

O = TypeVar("O", bound=Frozen)  # noqa: E741 - the options


def no_texts(name: str) -> Mapping[str, str]:
    """Raise the error for a release without texts.

    Raises:
        NoRelease: Always.
    """
    raise NoRelease(f"no release holds texts of {name}\n  make one: knowflow refresh --task {name}")


@dataclass(frozen=True)
class Context:
    """The data a recommender is fitted on."""

    log: Log
    """The training events, in order of time."""
    items: pl.DataFrame
    """The catalogue: one row per item, as in the dataset; an item's index is its row number."""
    vectors: Callable[[str], np.ndarray]
    """Takes the name of released vectors of items, such as `item_facts/dense`; returns [I, d] float32 as known strictly
    before the first request, zeros where nothing was known. Raises `NoRelease`."""
    codes: Callable[[str], np.ndarray]
    """Takes the name of a released set of codes of items, such as `rqvae`; returns [I, L] int32 as known at the same
    moment, -1 where nothing was. Raises `NoRelease`."""
    seed: int = 0
    """Random seed."""
    progress: Progress = silent
    """Called with the progress of a long fit."""
    texts: Callable[[str], Mapping[str, str]] = no_texts
    """Takes the name of a technique; returns entity -> its newest released text known strictly before the same moment,
    for any kind of entity, in the order of the entities. Raises `NoRelease`."""


@dataclass(frozen=True)
class Ranked:
    """The recommendations for Q requests."""

    items: np.ndarray
    """[Q, k] int64: indices of items, the best first, without repeats and without items that the user had before; -1
    after the end of a shorter list."""
    scores: np.ndarray
    """[Q, k] float32, falling; -inf where there is no item."""


@dataclass(frozen=True)
class State:
    """The complete state of a fitted model, for saving."""

    arrays: Mapping[str, np.ndarray]
    """Name -> array."""
    facts: Mapping[str, Any]
    """The rest, plain JSON."""


class Fitted(Protocol):
    """A fitted recommender."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Recommend the k best items for every request, out of all items that its user has not had before."""
        ...

    def state(self) -> State:
        """Return the complete state; `Recommender.load` restores a model with the same recommendations."""
        ...


@dataclass(frozen=True)
class Recommender(Generic[O]):
    """One way to recommend items."""

    name: str
    """Name of its file, without a trailing underscore."""
    about: str
    """What it does, in a few words for a table or a page."""
    options: type[O]
    """The model of its options; every option has a default."""
    fit: Callable[[Context, O], Fitted]
    """Fits a model."""
    load: Callable[[State, O], Fitted]
    """Restores a saved model."""


class NoOptions(Frozen):
    """Options of a recommender that has none."""


RECOMMENDERS = Kind("recommender", "recommenders", Recommender)
"""Where recommenders are found."""
