"""Leak-free statistics: features counted from earlier events.

Every number comes only from strictly earlier events: the user's own, anyone's on the same item, and all of them for the
averages (`Prior`). Events at the same moment are excluded. So no row sees its own label or a later one, whatever part
of the split it is in, and a training row sees only what it would see in serving.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ctr.earlier import Earlier, strictly_earlier
from ctr.order import stable_order

RECENT = (1, 3, 10, 30)
SHRINK = 5.0
"""Weight of the prior in every shrunk mean, in events."""
HOUR = np.timedelta64(1, "h")
OF_USER, OF_BOTH, OF_ITEM = slice(0, 20), slice(20, 22), slice(22, 26)
"""The columns that depend on a row's user and moment, on its user and item, and on its item and moment."""
COLUMNS = 26
"""Statistics of a sample."""
ROWS = 1_000_000
"""Rows counted at a time where a row has several entries, so that a large log needs no more memory than a small one."""


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
    """[N] float64, so that sums and differences stay exact."""
    label: np.ndarray
    """[N] float64."""
    happened: np.ndarray | None = None
    """[N] bool: the events that statistics count; False for sampled negatives; None = all."""

    def rows(self, chosen: np.ndarray) -> "Log":
        """Return some rows, in their order."""
        happened = None if self.happened is None else self.happened[chosen]
        user, item, time = self.user[chosen], self.item[chosen], self.time[chosen]
        return Log(user, item, time, self.rating[chosen], self.label[chosen], happened)

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
    everybody = log.earlier(np.zeros(len(log.time), dtype=np.int64))
    rating, square = (everybody.mean(values, prior=np.nan) for values in (log.rating, np.square(log.rating)))
    return Prior(rating, np.maximum(square - np.square(rating), 0), everybody.mean(log.label, prior=np.nan))


def count_statistics(log: Log, item_categories: np.ndarray) -> Statistics:
    """Count all statistics of every sample.

    Args:
        log: N events.
        item_categories: [I, C] float32 shares.
    """
    counted = Counted.of(log, item_categories)
    return Statistics(np.stack(list(counted.columns), axis=1), counted.user_mean, counted.surprise)


@dataclass(frozen=True)
class Counted:
    """`Statistics` column by column, so that few columns of a large log are in memory at a time."""

    columns: Iterator[np.ndarray]
    """The columns, `COLUMNS` of [N] float64; each is counted when it is asked for."""
    user_mean: np.ndarray
    """[N] float64."""
    surprise: np.ndarray
    """[N] float64."""

    @classmethod
    def of(cls, log: Log, item_categories: np.ndarray) -> "Counted":
        """Count what the columns need."""
        prior, earlier = prior_of(log), log.earlier(log.user)
        count = earlier.count()
        user_mean = prior.rating + (earlier.total(log.rating) - count * prior.rating) / (count + SHRINK)
        of_item = list(item_statistics(log, prior, user_mean))
        surprise = np.nan_to_num(log.rating - prior.rating - of_item[1])
        parts = (
            user_statistics(log, earlier, prior),
            recent_statistics(log, earlier, prior, surprise),
            category_affinity(log, earlier, item_categories).T,
            of_item,
        )
        return cls(chain.from_iterable(parts), user_mean, surprise)


def user_statistics(log: Log, earlier: Earlier, prior: Prior) -> Iterator[np.ndarray]:
    """Summarise each user's strictly earlier events.

    Returns:
        5 columns, [N] float64: shrunk mean label, log count, shrunk mean (minus the prior) and deviation of the rating,
        and the deviation of the last 30 ratings.
    """
    count = earlier.count()
    yield (earlier.total(log.label) + prior.label * SHRINK) / (count + SHRINK)
    yield np.log1p(count)
    rating, square = earlier.running(log.rating), earlier.running(np.square(log.rating))
    yield (rating.total() - count * prior.rating) / (count + SHRINK)
    spread = square.mean() - np.square(rating.mean())
    yield np.sqrt((np.maximum(spread, 0) * count + prior.variance * SHRINK) / (count + SHRINK))
    last = RECENT[-1]
    yield np.sqrt(np.maximum(square.mean(last) - np.square(rating.mean(last)), 0))


def recent_statistics(log: Log, earlier: Earlier, prior: Prior, surprise: np.ndarray) -> Iterator[np.ndarray]:
    """Summarise each user's recent behaviour: the newest events and the time between them.

    Args:
        log: N events.
        earlier: Strictly earlier events of the same user.
        prior: Averages so far.
        surprise: [N] float64: each event's rating minus its item's earlier mean.

    Returns:
        15 columns, [N] float64: for the last 1, 3, 10 and 30 events the mean rating, label and surprise (the prior
        where there are none); the shrunk mean surprise of all; log seconds since the newest event; log number of events
        in the last hour.
    """
    for values, prior_mean in ((log.rating, prior.rating), (log.label, prior.label), (surprise, 0.0)):
        running = earlier.running(values)
        yield from (running.mean(last, prior_mean) for last in RECENT)
    yield earlier.total(surprise) / (earlier.count() + SHRINK)
    newest = earlier.newest()
    gap = (log.time - log.time[np.maximum(newest, 0)]).astype("timedelta64[us]").astype(np.float64) / 1e6
    yield np.where(newest >= 0, np.log1p(np.maximum(gap, 0)), np.nan)
    yield np.log1p(_within(log, HOUR))


def _within(log: Log, span: np.timedelta64) -> np.ndarray:
    """Count each row's strictly earlier events of the same user that are at most `span` old: [N] float64."""
    out, age = np.zeros(len(log.time)), int(span.astype("timedelta64[us]").astype(np.int64))
    time = log.time.astype(np.int64)
    width = int(time.max(initial=0)) - int(time.min(initial=0)) + age + 1
    for rows in _by_user(log, max(2**62 // width, 1)):
        of = log.rows(rows)
        earlier = of.earlier(of.user)
        moment = (of.user - of.user.min()) * width + (time[rows] - time.min())  # by user, then time
        then = np.searchsorted(moment[earlier.order], moment - age, side="left")
        out[rows] = earlier.end - np.maximum(then, earlier.begin)
    return out


def _by_user(log: Log, users: int = 2**62) -> Iterator[np.ndarray]:
    """Yield the rows of some users at a time, rising: about a million rows, of so many users at most."""
    order, ends = stable_order(log.user), np.cumsum(np.bincount(log.user))
    first = 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        until = min(max(int(np.searchsorted(ends, begin + ROWS, side="right")), first + 1), first + users, len(ends))
        rows = np.sort(order[begin : ends[until - 1]])
        if len(rows):
            yield rows
        first = until


def category_affinity(log: Log, earlier: Earlier, item_categories: np.ndarray) -> np.ndarray:
    """Return how much better than average the user rated the target's categories so far.

    Over the strictly earlier events of (user, category): affinity = sum(rating - user's running mean) / (count + 5),
    averaged over the target's categories by their shares.

    Returns:
        [N, 2] float64: the affinity, and the log of the mean count behind it.
    """
    user_mean, out = earlier.mean(log.rating), np.zeros((2, len(log.user)))
    for rows in _by_user(log):
        out[:, rows] = _affinity(log.rows(rows), user_mean[rows], item_categories)
    return out.T


def _affinity(log: Log, user_mean: np.ndarray, item_categories: np.ndarray) -> np.ndarray:
    row, category, share = _categories_of(log.item, item_categories)
    key = log.user[row].astype(np.int64) * item_categories.shape[1] + category
    of_category = strictly_earlier(key, log.time[row], None if log.happened is None else log.happened[row])
    count = of_category.count()
    affinity = (of_category.total(log.rating[row]) - count * user_mean[row]) / (count + SHRINK)
    total_share = np.maximum(np.bincount(row, share, len(log.user)), 1e-9)
    mean = np.bincount(row, affinity * share, len(log.user)) / total_share
    mean_count = np.bincount(row, count * share, len(log.user)) / total_share
    return np.stack([mean, np.log1p(mean_count)])


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
        4 columns, [N] float64: log count, and shrunk means of the rating, of the label (both minus the prior) and of
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
