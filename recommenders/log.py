"""The log as recommenders read it: events in arrays, and the histories of requests, strictly earlier than each."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ctr.samples import codes_of
from sources.tables import Dataset


@dataclass(frozen=True)
class Log:
    """E events in the order of time."""

    user: np.ndarray
    """[E] str: who."""
    item: np.ndarray
    """[E] int64: place of the item in the catalogue."""
    time: np.ndarray
    """[E] datetime64[us], UTC."""
    rating: np.ndarray
    """[E] float32: the rating, or the label where the data has no ratings."""
    label: np.ndarray
    """[E] float32, 0 or 1."""

    def where(self, chosen: np.ndarray) -> "Log":
        """Some of the events: [E] bool."""
        return Log(*(column[chosen] for column in (self.user, self.item, self.time, self.rating, self.label)))


@dataclass(frozen=True)
class Requests:
    """Q requests: who asks, when, and the M events that these users had strictly before."""

    user: np.ndarray
    """[Q] str."""
    time: np.ndarray
    """[Q] datetime64[us], UTC."""
    start: np.ndarray
    """[Q + 1] int64: request q had the events start[q] to start[q + 1] (exclusive), the newest last."""
    past: Log
    """M events, request after request."""

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.user)

    @property
    def row(self) -> np.ndarray:
        """The request of each past event: [M] int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def part(self, first: int, last: int) -> "Requests":
        """Requests `first` to `last` (exclusive)."""
        start = self.start[first : last + 1]
        inside = np.arange(start[0], start[-1])
        return Requests(self.user[first:last], self.time[first:last], start - start[0], self.past.where(inside))

    def liked(self) -> "Requests":
        """The same requests with the events of label 1 alone."""
        kept = self.past.label == 1
        before = np.concatenate([[0], np.cumsum(kept)])
        return Requests(self.user, self.time, before[self.start], self.past.where(kept))

    def newest(self, length: int) -> np.ndarray:
        """Indices into `past` of the newest events: [Q, length] int64, the newest in the last column, -1 = none."""
        wanted = self.start[1:, None] - np.arange(length, 0, -1)
        return np.where(wanted >= self.start[:-1, None], wanted, -1)


def log_of(dataset: Dataset) -> Log:
    """Turn a dataset's events into arrays; items by their place in the dataset."""
    events = dataset.events
    label = events["label"].to_numpy().astype(np.float32)
    rating = events["rating"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return Log(
        user=events["user"].to_numpy().astype(str),
        item=codes_of(events["item"].to_numpy().astype(str), dataset.items["item"].to_numpy().astype(str)),
        time=events["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]"),
        rating=np.where(np.isnan(rating), label, rating).astype(np.float32),
        label=label,
    )


def requests_at(log: Log, user: np.ndarray, time: np.ndarray) -> Requests:
    """Give each request what its user had strictly before it; an event of the same moment is not history.

    Args:
        log: All events.
        user: [Q] str.
        time: [Q] datetime64[us].
    """
    names, of_log = np.unique(log.user, return_inverse=True)
    code = codes_of(user, names)
    moments = np.unique(log.time)
    width = len(moments) + 1
    rank = np.searchsorted(moments, log.time)
    order = np.lexsort((np.arange(len(rank)), rank, of_log))
    key = (of_log * width + rank)[order]
    first = np.searchsorted(key, code * width)
    end = np.searchsorted(key, code * width + np.searchsorted(moments, time))  # side=left: strictly earlier
    end = np.where(code >= 0, end, first)  # an unknown user has no history
    number = end - first
    start = np.concatenate([[0], np.cumsum(number)])
    taken = np.repeat(first - start[:-1], number) + np.arange(start[-1])
    return Requests(user, time, start, log.where(order[taken]))
