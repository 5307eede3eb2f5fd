"""Leak-free statistics: what a sample may know from counting alone.

A user's statistics come from this user's strictly earlier events: events of the same second are not seen.
An item's statistics come from training rows of users of other folds, so that no row ever sees its own label.
"""

from dataclasses import dataclass

import numpy as np

RECENT = (1, 10, 30)
SHRINK = 5.0


@dataclass(frozen=True)
class Earlier:
    """For each row, the range of rows of the same key that are strictly earlier, in an order sorted by key and time."""

    order: np.ndarray
    """[N] int64: rows sorted by key, then time."""
    begin: np.ndarray
    """[N] int64: where each row's key begins in `order`."""
    end: np.ndarray
    """[N] int64: one past the last strictly earlier row in `order`."""

    def total(self, values: np.ndarray, last: int | None = None) -> np.ndarray:
        """Add up a column over each row's strictly earlier rows.

        Args:
            values: [N] or [N, K], aligned with the rows.
            last: How many of the newest earlier rows to take; all where None.

        Returns:
            [N] or [N, K] float64.
        """
        running = np.concatenate(
            [np.zeros_like(values[:1], dtype=np.float64), np.cumsum(values[self.order], axis=0, dtype=np.float64)]
        )
        begin = self.begin if last is None else np.maximum(self.begin, self.end - last)
        return running[self.end] - running[begin]

    def count(self, last: int | None = None) -> np.ndarray:
        """Count each row's strictly earlier rows, `last` at most: [N] float64."""
        number = (self.end - self.begin).astype(np.float64)
        return number if last is None else np.minimum(number, last)


def strictly_earlier(key: np.ndarray, time: np.ndarray) -> Earlier:
    """Find for each row the rows of the same key whose time is strictly earlier.

    Args:
        key: [N] int64.
        time: [N] datetime64[us].

    Returns:
        The ranges.
    """
    rows = np.arange(len(key))
    order = np.lexsort((rows, time, key))
    sorted_key, sorted_time = key[order], time[order]
    new_key = np.ones(len(key), dtype=bool)
    new_key[1:] = sorted_key[1:] != sorted_key[:-1]
    new_moment = new_key.copy()
    new_moment[1:] |= sorted_time[1:] != sorted_time[:-1]
    begin, end = np.empty_like(rows), np.empty_like(rows)
    begin[order] = np.maximum.accumulate(np.where(new_key, rows, 0))
    end[order] = np.maximum.accumulate(np.where(new_moment, rows, 0))
    return Earlier(order, begin, end)


def statistics(
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    rating: np.ndarray,
    label: np.ndarray,
    train: np.ndarray,
    item_categories: np.ndarray,
    folds: int,
) -> np.ndarray:
    """Compute every statistic of every sample.

    Args:
        user: [N] int64 codes.
        item: [N] int64 codes, rows of `item_categories`.
        time: [N] datetime64[us].
        rating: [N] float32.
        label: [N] float32.
        train: [N] bool, the training rows.
        item_categories: [I, C] float32 shares.
        folds: Folds of users for the item statistics.

    Returns:
        [N, F] float64, not yet standardised.
    """
    of_user = user_statistics(user, time, rating, label, train)
    of_category = category_affinity(user, item, time, rating, item_categories)
    of_item = item_statistics(user, item, rating, label, train, len(item_categories), folds)
    return np.concatenate([of_user, of_category, of_item], axis=1)


def user_statistics(
    user: np.ndarray, time: np.ndarray, rating: np.ndarray, label: np.ndarray, train: np.ndarray
) -> np.ndarray:
    """Summarise each user's strictly earlier events.

    Returns:
        [N, 7] float64: shrunk mean label, log count, shrunk mean and deviation of the rating, and the mean rating of
        the last 1, 10 and 30 events minus the running mean.
    """
    earlier = strictly_earlier(user, time)
    count = earlier.count()
    prior_rating, prior_label = float(rating[train].mean()), float(label[train].mean())
    mean_label = (earlier.total(label) + prior_label * SHRINK) / (count + SHRINK)
    mean = (earlier.total(rating) + prior_rating * SHRINK) / (count + SHRINK)
    spread = earlier.total(np.square(rating - prior_rating, dtype=np.float64)) / np.maximum(count, 1)
    spread -= np.square(earlier.total(rating - prior_rating) / np.maximum(count, 1))
    deviation = np.sqrt((np.maximum(spread, 0) * count + float(rating[train].var()) * SHRINK) / (count + SHRINK))
    columns = [mean_label, np.log1p(count), mean, deviation]
    for last in RECENT:
        number = earlier.count(last)
        columns.append(np.where(number > 0, earlier.total(rating, last) / np.maximum(number, 1), mean))
    return np.stack(columns, axis=1)


def category_affinity(
    user: np.ndarray, item: np.ndarray, time: np.ndarray, rating: np.ndarray, item_categories: np.ndarray
) -> np.ndarray:
    """Say how much better than usual the user rated the target's categories so far.

    Over the strictly earlier events of (user, category): affinity = sum(rating - user's running mean) / (count + 5),
    averaged over the target's categories by their shares.

    Returns:
        [N, 2] float64: the affinity, and the log of the mean count behind it.
    """
    row, category = np.nonzero(item_categories[item])
    share = item_categories[item[row], category]
    of_user = strictly_earlier(user, time)
    user_mean = of_user.total(rating) / np.maximum(of_user.count(), 1)
    key = user[row].astype(np.int64) * item_categories.shape[1] + category
    earlier = strictly_earlier(key, time[row])
    count = earlier.count()
    affinity = (earlier.total(rating[row]) - count * user_mean[row]) / (count + SHRINK)
    total_share = np.maximum(np.bincount(row, share, len(user)), 1e-9)
    mean = np.bincount(row, affinity * share, len(user)) / total_share
    mean_count = np.bincount(row, count * share, len(user)) / total_share
    return np.stack([mean, np.log1p(mean_count)], axis=1)


def item_statistics(
    user: np.ndarray, item: np.ndarray, rating: np.ndarray, label: np.ndarray, train: np.ndarray, items: int, folds: int
) -> np.ndarray:
    """Summarise each item's training rows, leaving out the users of the sample's own fold.

    Returns:
        [N, 4] float64: log count, shrunk mean rating, shrunk mean label, and shrunk mean residual against the mean
        rating of each rating's user over the training rows.
    """
    fold = user % folds
    prior_rating, prior_label = rating[train].mean(dtype=np.float64), label[train].mean(dtype=np.float64)
    users = int(user.max()) + 1
    user_mean = np.bincount(user[train], rating[train], users) / np.maximum(
        np.bincount(user[train], minlength=users), 1
    )
    columns = np.stack(
        [np.ones(len(user)), rating - prior_rating, label - prior_label, rating - user_mean[user]], axis=1
    )
    cell = item * folds + fold
    total = np.stack([np.bincount(cell[train], columns[train, c], items * folds) for c in range(4)], axis=1)
    total = total.reshape(items, folds, 4)
    others = total.sum(axis=1)[item] - total[item, fold]  # [N, 4]
    count = others[:, :1]
    return np.concatenate([np.log1p(count), others[:, 1:] / (count + SHRINK)], axis=1)
