"""The seam of a recommender: what it is fitted on, what it is asked, and what it names.

A recommender is a `Recommender` at the top of a file of this folder, or of a folder that a team names under `plugins:`.
It is fitted once on events that train, and then asked by users at moments: of the log it sees what it was fitted on,
and of whoever asks what he had strictly before the moment.
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
    """Stand for a release that holds no texts.

    Raises:
        NoRelease: Always.
    """
    raise NoRelease(f"no release holds texts of {name}\n  make one: knowflow refresh --task {name}")


@dataclass(frozen=True)
class Context:
    """What a recommender is fitted on."""

    log: Log
    """The events that train, in the order of time."""
    items: pl.DataFrame
    """The catalogue: one row an item, as the dataset has it; a row's number is the item's place."""
    vectors: Callable[[str], np.ndarray]
    """Takes the name of released vectors of items, such as `item_facts/dense`; gives [I, d] float32 as they were known
    strictly before the first moment that is served, zeros where nothing was known. Raises `NoRelease`."""
    codes: Callable[[str], np.ndarray]
    """Takes the name of a released set of codes of items, such as `rqvae`; gives [I, L] int32 as they were known at the
    same moment, -1 where nothing was. Raises `NoRelease`."""
    seed: int = 0
    """Decides what is left to chance."""
    progress: Progress = silent
    """Told how far a long fit is."""
    texts: Callable[[str], Mapping[str, str]] = no_texts
    """Takes the name of a technique; gives entity -> its newest released text known strictly before the same moment, of
    whatever the technique is about, in the order of the entities. Raises `NoRelease`."""


@dataclass(frozen=True)
class Ranked:
    """What is named for Q requests."""

    items: np.ndarray
    """[Q, k] int64: places of items, the best first, none twice and none that the user had before; -1 behind the end of
    a shorter list."""
    scores: np.ndarray
    """[Q, k] float32, falling; -inf where no item is named."""


@dataclass(frozen=True)
class State:
    """All that a fitted model is, as it is kept."""

    arrays: Mapping[str, np.ndarray]
    """Name -> array."""
    facts: Mapping[str, Any]
    """The rest, plain JSON."""


class Fitted(Protocol):
    """A fitted recommender."""

    def recommend(self, requests: Requests, k: int) -> Ranked:
        """Name the k best items of every request, all items but those that its user had before being candidates."""
        ...

    def state(self) -> State:
        """Give all that it is; `Recommender.load` makes of it one that names the same."""
        ...


@dataclass(frozen=True)
class Recommender(Generic[O]):
    """One way to name items."""

    name: str
    """Name of its file, without a last underscore."""
    about: str
    """What it does, in a few words for a table or a page."""
    options: type[O]
    """The model of its options; it can be made without any."""
    fit: Callable[[Context, O], Fitted]
    """Fits it."""
    load: Callable[[State, O], Fitted]
    """Makes a fitted one of what was kept."""


class NoOptions(Frozen):
    """Options of a recommender that has none."""


RECOMMENDERS = Kind("recommender", "recommenders", Recommender)
"""Where recommenders are found."""
