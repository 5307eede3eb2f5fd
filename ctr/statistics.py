"""Leak-free statistics: features counted from earlier events.

Every number comes only from strictly earlier events: the user's own, anyone's on the same item, and all of them for the
averages (`Prior`). Events at the same moment are excluded. So no row sees its own label or a later one, whatever part
of the split it is in, and a training row sees only what it would see in serving.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ctr.earlier import Earlier, strictly_earlier
from ctr.order import index_type, stable_order

RECENT = (1, 3, 10, 30)
SHRINK = 5.0
"""Weight of the prior in every shrunk mean, in events."""
HOUR = 3600 * 1_000_000
"""In microseconds."""
OF_USER, OF_BOTH, OF_ITEM = slice(0, 20), slice(20, 22), slice(22, 26)
"""The columns that depend on a row's user and moment, on its user and item, and on its item and moment."""
COLUMNS = 26
"""Statistics of a sample."""
ROWS = 2**18
"""Rows counted at a time, all those of some users or items: little memory, most of it in the processor's cache."""


@dataclass(frozen=True)
class Log:
    """The columns of all events used to count statistics, and of rows that only read them."""

    user: np.ndarray
    """[N] int64 codes."""
    item: np.ndarray
    """[N] int64 codes."""
    time: np.ndarray
    """[N] datetime64[us]."""
    rating: np.ndarray
    """[N] float32 or float64; sums and differences are taken in float64, where they stay exact."""
    label: np.ndarray
    """[N] float32 or float64."""
    happened: np.ndarray | None = None
    """[N] bool: the events that statistics count; False for sampled negatives; None = all."""

    def rows(self, chosen: np.ndarray) -> "Log":
        """Return some rows, in their order, with ratings and labels in float64."""
        happened = None if self.happened is None else self.happened[chosen]
        user, item, time = self.user[chosen], self.item[chosen], self.time[chosen]
        rating, label = (of[chosen].astype(np.float64, copy=False) for of in (self.rating, self.label))
        return Log(user, item, time, rating, label, happened)

    def earlier(self, key: np.ndarray) -> Earlier:
        """Return the strictly earlier events with the same key ([N] int64), from `ctr.earlier.strictly_earlier`."""
        return strictly_earlier(key, self.time, self.happened)


@dataclass(frozen=True)
class Prior:
    """Averages so far, the prior of every shrunk mean of a sample; NaN where no event is earlier."""

    rating: np.ndarray
    """[N] float64: mean rating of all strictly earlier events, of all users."""
    variance: np.ndarray
    """[N] float64: variance of the same."""
    label: np.ndarray
    """[N] float64: mean label of the same."""

    def rows(self, chosen: np.ndarray) -> "Prior":
        """Return those of some rows."""
        return Prior(self.rating[chosen], self.variance[chosen], self.label[chosen])


@dataclass(frozen=True)
class Statistics:
    """The statistics of N samples."""

    values: np.ndarray
    """[N, F] float64, not standardised; NaN where unknown."""
    user_mean: np.ndarray
    """[N] float64: the user's shrunk mean rating over strictly earlier events; NaN where no event is earlier."""
    surprise: np.ndarray
    """[N] float64: the rating minus the item's earlier mean over all users; 0 where no event is earlier. It uses the
    row's own rating, so only later rows may read it."""


def prior_of(log: Log) -> Prior:
    """Average over all strictly earlier events."""
    everybody = log.earlier(np.zeros(len(log.time), dtype=np.int8))
    rating = everybody.mean(log.rating, prior=np.nan)
    variance = everybody.mean(np.square(log.rating, dtype=np.float64), prior=np.nan)
    variance -= np.square(rating)
    return Prior(rating, np.maximum(variance, 0, out=variance), everybody.mean(log.label, prior=np.nan))


def count_statistics(log: Log, item_categories: np.ndarray) -> Statistics:
    """Count all statistics of every sample.

    Args:
        log: N events.
        item_categories: [I, C] float32 shares.
    """
    counted = Counted.of(log, item_categories)
    values = np.empty((len(log.user), COLUMNS))
    for place, column in counted.columns:
        values[:, place] = column
    return Statistics(values, counted.user_mean, counted.surprise)


@dataclass(frozen=True)
class Counted:
    """`Statistics` column by column, so that few columns of a large log are in memory at a time."""

    columns: Iterator[tuple[int, np.ndarray]]
    """Each of the `COLUMNS` once: its place and its values, [N] float64. A few at a time are counted when asked for."""
    user_mean: np.ndarray
    """[N] float64."""
    surprise: np.ndarray
    """[N] float64."""

    @classmethod
    def of(cls, log: Log, item_categories: np.ndarray) -> "Counted":
        """Count what the columns need."""
        prior, users, size = prior_of(log), list(rows_by(log.user)), len(log.user)
        (user_mean,) = _columns(size, 1, ((rows, [_user_mean(log.rows(rows), prior.rows(rows))]) for rows in users))
        of_items = (
            (rows, item_statistics(log.rows(rows), prior.rows(rows), user_mean[rows])) for rows in rows_by(log.item)
        )
        items = _columns(size, OF_ITEM.stop - OF_ITEM.start, of_items)
        surprise = np.nan_to_num(log.rating - prior.rating - items[1])
        passes: tuple[tuple[int, Callable[[UserRows], Iterable[np.ndarray]]], ...] = (
            (5, user_statistics),
            (4, lambda of: recent_means(of.earlier, of.log.rating, of.prior.rating)),
            (4, lambda of: recent_means(of.earlier, of.log.label, of.prior.label)),
            (5, surprise_statistics),
            (4, lambda of: chain(time_statistics(of), category_affinity(of.log, of.earlier, item_categories).T)),
        )

        def user_rows(rows: np.ndarray) -> UserRows:
            some = log.rows(rows)
            return UserRows(some, some.earlier(some.user), prior.rows(rows), surprise[rows])

        def columns() -> Iterator[tuple[int, np.ndarray]]:
            yield from _handed_over(items, OF_ITEM.start)
            place = 0
            for count, statistics in passes:
                of_users = ((rows, statistics(user_rows(rows))) for rows in users)
                yield from _handed_over(_columns(size, count, of_users), place)
                place += count

        return cls(columns(), user_mean, surprise)


def rows_by(key: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of some keys at a time, rising: `ROWS` of them, or more if one key has more.

    Args:
        key: [N] ints, not negative.

    Yields:
        [n] int32, or int64 of 2^31 rows.
    """
    order, ends = stable_order(key).astype(index_type(len(key))), np.cumsum(np.bincount(key))
    first = 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        until = max(int(np.searchsorted(ends, begin + ROWS, side="right")), first + 1)
        if ends[until - 1] > begin:
            yield np.sort(order[begin : ends[until - 1]])
        first = until


def _columns(size: int, count: int, parts: Iterable[tuple[np.ndarray, Iterable[np.ndarray]]]) -> list[np.ndarray]:
    """Put columns together from parts, which are some rows and their values: `count` of [size] float64."""
    out = [np.empty(size) for _ in range(count)]
    for rows, columns in parts:
        for column, values in zip(out, columns, strict=True):
            column[rows] = values
    return out


def _handed_over(columns: list[np.ndarray], place: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield columns with their places, from `place` on, and keep none that was yielded."""
    while columns:
        yield place, columns.pop(0)
        place += 1


@dataclass(frozen=True)
class UserRows:
    """All rows of some users, and what their statistics are counted from."""

    log: Log
    """n rows."""
    earlier: Earlier
    """Strictly earlier events of the same user."""
    prior: Prior
    """Averages so far."""
    surprise: np.ndarray
    """[n] float64: each event's rating minus its item's earlier mean."""


def _user_mean(log: Log, prior: Prior) -> np.ndarray:
    """Return the user's shrunk mean rating over strictly earlier events: [n] float64."""
    earlier = log.earlier(log.user)
    count = earlier.count()
    return prior.rating + (earlier.total(log.rating) - count * prior.rating) / (count + SHRINK)


def user_statistics(of: UserRows) -> Iterator[np.ndarray]:
    """Summarise each user's strictly earlier events.

    Returns:
        5 columns, [n] float64: shrunk mean label, log count, shrunk mean (minus the prior) and deviation of the rating,
        and the deviation of the last 30 ratings.
    """
    earlier, prior = of.earlier, of.prior
    count = earlier.count()
    yield (earlier.total(of.log.label) + prior.label * SHRINK) / (count + SHRINK)
    yield np.log1p(count)
    rating, square = earlier.running(of.log.rating), earlier.running(np.square(of.log.rating))
    yield (rating.total() - count * prior.rating) / (count + SHRINK)
    spread = square.mean() - np.square(rating.mean())
    yield np.sqrt((np.maximum(spread, 0) * count + prior.variance * SHRINK) / (count + SHRINK))
    last = RECENT[-1]
    yield np.sqrt(np.maximum(square.mean(last) - np.square(rating.mean(last)), 0))


def recent_means(earlier: Earlier, values: np.ndarray, prior: np.ndarray | float = 0.0) -> Iterator[np.ndarray]:
    """Average a column over the last 1, 3, 10 and 30 events: 4 columns, [n] float64; the prior where there are none."""
    running = earlier.running(values)
    yield from (running.mean(last, prior) for last in RECENT)


def surprise_statistics(of: UserRows) -> Iterator[np.ndarray]:
    """Summarise how a user's events differ from what was usual.

    Returns:
        5 columns, [n] float64: for the last 1, 3, 10 and 30 events the mean surprise (0 where there are none); the
        shrunk mean surprise of all.
    """
    yield from recent_means(of.earlier, of.surprise)
    yield of.earlier.total(of.surprise) / (of.earlier.count() + SHRINK)


def time_statistics(of: UserRows) -> Iterator[np.ndarray]:
    """Summarise the time between a user's events.

    Returns:
        2 columns, [n] float64: log seconds since the newest event; log number of events in the last hour.
    """
    newest, time = of.earlier.newest(), of.log.time
    gap = (time - time[np.maximum(newest, 0)]).astype("timedelta64[us]").astype(np.float64) / 1e6
    yield np.where(newest >= 0, np.log1p(np.maximum(gap, 0)), np.nan)
    yield np.log1p(_within(of, HOUR))


def _within(of: UserRows, span: int) -> np.ndarray:
    """Count each row's strictly earlier events of the same user that are at most `span` microseconds old."""
    time, user = of.log.time.astype("datetime64[us]").astype(np.int64), of.log.user - of.log.user.min()
    by_time = np.argsort(time, kind="stable")
    place = np.empty_like(by_time)
    place[by_time] = np.arange(len(time))
    oldest = np.searchsorted(time[by_time], time - span, side="left")  # the place of the oldest that counts
    size = len(time) + 1
    there = user * size + place  # rises with the user, then with the time, and is smaller than a time in microseconds
    begin = np.searchsorted(there[of.earlier.order], user * size + oldest, side="left")
    return (of.earlier.end - np.maximum(begin, of.earlier.begin)).astype(np.float64)


def category_affinity(log: Log, earlier: Earlier, item_categories: np.ndarray) -> np.ndarray:
    """Return how much better than average the user rated the target's categories so far.

    Over the strictly earlier events of (user, category): affinity = sum(rating - user's running mean) / (count + 5),
    averaged over the target's categories by their shares.

    Returns:
        [N, 2] float64: the affinity, and the log of the mean count behind it.
    """
    user_mean = earlier.mean(log.rating)
    row, category, share = _categories_of(log.item, item_categories)
    key = log.user[row].astype(np.int64) * item_categories.shape[1] + category
    of_category = strictly_earlier(key, log.time[row], None if log.happened is None else log.happened[row])
    count = of_category.count()
    affinity = (of_category.total(log.rating[row]) - count * user_mean[row]) / (count + SHRINK)
    total_share = np.maximum(np.bincount(row, share, len(log.user)), 1e-9)
    mean = np.bincount(row, affinity * share, len(log.user)) / total_share
    mean_count = np.bincount(row, count * share, len(log.user)) / total_share
    return np.stack([mean, np.log1p(mean_count)], axis=1)


def _categories_of(item: np.ndarray, item_categories: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List each row's categories: the row, the category and its share, [E] each, without a table of N x C."""
    owner, category = np.nonzero(item_categories)  # sorted by item
    first = np.searchsorted(owner, np.arange(len(item_categories) + 1))
    size = np.diff(first)[item]  # [N]
    row = np.repeat(np.arange(len(item)), size)
    entry = np.arange(len(row)) + np.repeat(first[item] - (np.cumsum(size) - size), size)
    return row, category[entry], item_categories[owner[entry], category[entry]]


def item_statistics(log: Log, prior: Prior, user_mean: np.ndarray) -> Iterator[np.ndarray]:
    """Summarise each item's strictly earlier events, of all users.

    Args:
        log: N events.
        prior: Averages so far.
        user_mean: [N] float64: shrunk mean rating of each event's user just before it.

    Returns:
        4 columns, [n] float64: log count, and shrunk means of the rating, of the label (both minus the prior) and of
        the residual: each earlier rating minus its user's mean before it.
    """
    earlier = log.earlier(log.item)
    count = earlier.count()
    yield np.log1p(count)
    for values, prior_mean in ((log.rating, prior.rating), (log.label, prior.label)):
        yield (earlier.total(values) - count * prior_mean) / (count + SHRINK)
    yield earlier.total(np.nan_to_num(log.rating - user_mean)) / (count + SHRINK)


def user_residuals(user: np.ndarray, rating: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Subtract from each rating the mean rating of its user.

    Args:
        user: [N] int64 codes.
        rating: [N] ratings.
        counted: [N] bool, the rows included in the means.

    Returns:
        [N] float64; the rating itself if no row of the user is included.
    """
    users = int(user.max(initial=-1)) + 1
    count = np.bincount(user[counted], minlength=users)
    mean = np.bincount(user[counted], rating[counted], users) / np.maximum(count, 1)
    return rating - mean[user]
