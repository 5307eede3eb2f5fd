"""Leak-free statistics: features counted from earlier events.

Every number comes only from strictly earlier events: the user's own, anyone's on the same item, and all of them for the
averages (`Prior`). Events at the same moment are excluded. So no row sees its own label or a later one, whatever part
of the split it is in, and a training row sees only what it would see in serving.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Earlier:
    """For each row, the range of strictly earlier rows with the same key, in an order sorted by key and time."""

    order: np.ndarray
    """[M] int64: the rows that count, sorted by key, then time."""
    begin: np.ndarray
    """[N] int64: where each row's key begins in `order`."""
    end: np.ndarray
    """[N] int64: one past the last strictly earlier row in `order`."""

    def total(self, values: np.ndarray, last: int | None = None) -> np.ndarray:
        """Sum a column over each row's strictly earlier rows.

        Every key has its own running sum, so that other rows do not change a total, not even its rounding.

        Args:
            values: [N], aligned with the rows.
            last: Number of newest earlier rows to use; None = all.

        Returns:
            [N] float64.
        """
        rows = pl.DataFrame({"key": self.begin[self.order], "value": values[self.order].astype(np.float64)})
        sums = rows.select(pl.col("value").cum_sum().over("key")).to_series().to_numpy()
        running = np.concatenate([[0.0], sums])  # at k + 1: sum of the key's rows up to index k
        begin = self.begin if last is None else np.maximum(self.begin, self.end - last)
        until = np.where(self.end > self.begin, running[self.end], 0)
        return until - np.where(begin > self.begin, running[begin], 0)

    def count(self, last: int | None = None) -> np.ndarray:
        """Count each row's strictly earlier rows, at most `last`: [N] float64."""
        number = (self.end - self.begin).astype(np.float64)
        return number if last is None else np.minimum(number, last)

    def mean(self, values: np.ndarray, last: int | None = None, prior: float | np.ndarray = 0.0) -> np.ndarray:
        """Average a column over each row's strictly earlier rows; `prior` where there are none: [N] float64."""
        number = self.count(last)
        return np.where(number > 0, self.total(values, last) / np.maximum(number, 1), prior)

    def newest(self) -> np.ndarray:
        """Return each row's newest strictly earlier row: [N] int64, -1 = none."""
        return np.where(self.end > self.begin, self.order[np.maximum(self.end - 1, 0)], -1)


def strictly_earlier(key: np.ndarray, time: np.ndarray, counted: np.ndarray | None = None) -> Earlier:
    """Find, for each row, the rows with the same key and a strictly earlier time.

    Args:
        key: [N] int64.
        time: [N] datetime64[us].
        counted: [N] bool: the rows that others may see; None = all.

    Returns:
        The ranges.

    Example:
        >>> second = np.array([0, 1, 1, 2], dtype="datetime64[us]")
        >>> strictly_earlier(np.array([7, 7, 7, 7]), second).count().tolist()
        [0.0, 1.0, 1.0, 3.0]
    """
    rows = np.arange(len(key))
    order = np.lexsort((rows, time, key))
    sorted_key, sorted_time = key[order], time[order]
    new_key = np.ones(len(key), dtype=bool)
    new_key[1:] = sorted_key[1:] != sorted_key[:-1]
    new_moment = new_key.copy()
    new_moment[1:] |= sorted_time[1:] != sorted_time[:-1]
    seen = np.ones(len(key), dtype=bool) if counted is None else counted[order]
    before = np.cumsum(seen) - seen  # [N] how many of those that count come before each place
    begin, end = np.empty_like(rows), np.empty_like(rows)
    begin[order] = np.maximum.accumulate(np.where(new_key, before, 0))
    end[order] = np.maximum.accumulate(np.where(new_moment, before, 0))
    return Earlier(order[seen], begin, end)


RECENT = (1, 3, 10, 30)
SHRINK = 5.0
"""Weight of the prior in every shrunk mean, in events."""
HOUR = np.timedelta64(1, "h")
OF_USER, OF_BOTH, OF_ITEM = slice(0, 20), slice(20, 22), slice(22, 26)
"""The columns that depend on a row's user and moment, on its user and item, and on its item and moment."""


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

    def earlier(self, key: np.ndarray) -> Earlier:
        """Return the strictly earlier events with the same key ([N] int64), from `strictly_earlier`."""
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
    prior, earlier = prior_of(log), log.earlier(log.user)
    count = earlier.count()
    user_mean = prior.rating + (earlier.total(log.rating) - count * prior.rating) / (count + SHRINK)
    of_item = item_statistics(log, prior, user_mean)
    surprise = np.nan_to_num(log.rating - prior.rating - of_item[:, 1])
    blocks = [
        user_statistics(log, earlier, prior),
        recent_statistics(log, earlier, prior, surprise),
        category_affinity(log, earlier, item_categories),
        of_item,
    ]
    return Statistics(np.concatenate(blocks, axis=1), user_mean, surprise)


def user_statistics(log: Log, earlier: Earlier, prior: Prior) -> np.ndarray:
    """Summarise each user's strictly earlier events.

    Returns:
        [N, 5] float64: shrunk mean label, log count, shrunk mean (minus the prior) and deviation of the rating, and
        the deviation of the last 30 ratings.
    """
    count = earlier.count()
    mean_label = (earlier.total(log.label) + prior.label * SHRINK) / (count + SHRINK)
    mean = (earlier.total(log.rating) - count * prior.rating) / (count + SHRINK)
    spread = earlier.mean(np.square(log.rating)) - np.square(earlier.mean(log.rating))
    deviation = np.sqrt((np.maximum(spread, 0) * count + prior.variance * SHRINK) / (count + SHRINK))
    last = RECENT[-1]
    recent = earlier.mean(np.square(log.rating), last) - np.square(earlier.mean(log.rating, last))
    return np.stack([mean_label, np.log1p(count), mean, deviation, np.sqrt(np.maximum(recent, 0))], axis=1)


def recent_statistics(log: Log, earlier: Earlier, prior: Prior, surprise: np.ndarray) -> np.ndarray:
    """Summarise each user's recent behaviour: the newest events and the time between them.

    Args:
        log: N events.
        earlier: Strictly earlier events of the same user.
        prior: Averages so far.
        surprise: [N] float64: each event's rating minus its item's earlier mean.

    Returns:
        [N, 15] float64: for the last 1, 3, 10 and 30 events the mean rating, label and surprise (the prior where there
        are none); the shrunk mean surprise of all; log seconds since the newest event; log number of events in the
        last hour.
    """
    columns = [earlier.mean(log.rating, last, prior.rating) for last in RECENT]
    columns += [earlier.mean(log.label, last, prior.label) for last in RECENT]
    columns += [earlier.mean(surprise, last) for last in RECENT]
    columns.append(earlier.total(surprise) / (earlier.count() + SHRINK))
    newest = earlier.newest()
    gap = (log.time - log.time[np.maximum(newest, 0)]).astype("timedelta64[us]").astype(np.float64) / 1e6
    columns.append(np.where(newest >= 0, np.log1p(np.maximum(gap, 0)), np.nan))
    columns.append(np.log1p(_within(log, earlier, HOUR)))
    return np.stack(columns, axis=1)


def _within(log: Log, earlier: Earlier, span: np.timedelta64) -> np.ndarray:
    """Count each row's strictly earlier events of the same user that are at most `span` old: [N] float64."""
    _, moment = np.unique(np.concatenate([log.time, log.time - span]), return_inverse=True)
    width = np.int64(moment.max(initial=0) + 1)
    now, then = moment[: len(log.time)], moment[len(log.time) :]
    keys = (log.user * width + now)[earlier.order]  # sorted: by user, then time
    return earlier.end - np.searchsorted(keys, log.user * width + then, side="left").astype(np.float64)


def category_affinity(log: Log, earlier: Earlier, item_categories: np.ndarray) -> np.ndarray:
    """Return how much better than average the user rated the target's categories so far.

    Over the strictly earlier events of (user, category): affinity = sum(rating - user's running mean) / (count + 5),
    averaged over the target's categories by their shares.

    Returns:
        [N, 2] float64: the affinity, and the log of the mean count behind it.
    """
    row, category, share = _categories_of(log.item, item_categories)
    user_mean = earlier.mean(log.rating)
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


def item_statistics(log: Log, prior: Prior, user_mean: np.ndarray) -> np.ndarray:
    """Summarise each item's strictly earlier events, of all users.

    Args:
        log: N events.
        prior: Averages so far.
        user_mean: [N] float64: shrunk mean rating of each event's user just before it.

    Returns:
        [N, 4] float64: log count, and shrunk means of the rating, of the label (both minus the prior) and of the
        residual: each earlier rating minus its user's mean before it.
    """
    earlier = log.earlier(log.item)
    count = earlier.count()
    rating = earlier.total(log.rating) - count * prior.rating
    label = earlier.total(log.label) - count * prior.label
    residual = earlier.total(np.nan_to_num(log.rating - user_mean))
    shrunk = [total / (count + SHRINK) for total in (rating, label, residual)]
    return np.stack([np.log1p(count), *shrunk], axis=1)


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
