"""The log for recommenders: events in arrays, and the history of each request, strictly before it."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ctr.samples import codes_of
from sources.tables import Dataset


@dataclass(frozen=True)
class Log:
    """E events in order of time."""

    user: np.ndarray
    """[E] str."""
    item: np.ndarray
    """[E] int64: index of the item in the catalogue."""
    time: np.ndarray
    """[E] datetime64[us], UTC."""
    rating: np.ndarray
    """[E] float32: the rating, or the label if the data has no ratings."""
    label: np.ndarray
    """[E] float32, 0 or 1."""

    def where(self, chosen: np.ndarray) -> "Log":
        """Return a subset of the events: [E] bool."""
        return Log(*(column[chosen] for column in (self.user, self.item, self.time, self.rating, self.label)))


@dataclass(frozen=True)
class Requests:
    """Q requests: users, times, and the M events that these users had strictly before."""

    user: np.ndarray
    """[Q] str."""
    time: np.ndarray
    """[Q] datetime64[us], UTC."""
    start: np.ndarray
    """[Q + 1] int64: request q has the events start[q] to start[q + 1] (exclusive), the newest last."""
    past: Log
    """M events, grouped by request."""

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.user)

    @property
    def row(self) -> np.ndarray:
        """Return the request of each past event: [M] int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def part(self, first: int, last: int) -> "Requests":
        """Return the requests `first` to `last` (exclusive)."""
        start = self.start[first : last + 1]
        inside = np.arange(start[0], start[-1])
        return Requests(self.user[first:last], self.time[first:last], start - start[0], self.past.where(inside))

    def liked(self) -> "Requests":
        """Return the same requests with only the events of label 1."""
        kept = self.past.label == 1
        before = np.concatenate([[0], np.cumsum(kept)])
        return Requests(self.user, self.time, before[self.start], self.past.where(kept))

    def newest(self, length: int) -> np.ndarray:
        """Return the newest events as indices into `past`: [Q, length] int64, the newest last, -1 = none."""
        wanted = self.start[1:, None] - np.arange(length, 0, -1)
        return np.where(wanted >= self.start[:-1, None], wanted, -1)


def log_of(dataset: Dataset) -> Log:
    """Turn a dataset's events into arrays; items become their index in the dataset."""
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
    """Find each request's events strictly before it; an event at the same moment is not history.

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
