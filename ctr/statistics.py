"""Leak-free statistics: what a sample may know from counting alone.

A user's statistics come from this user's strictly earlier events: events of the same second are not seen.
An item's statistics come from training rows of users of other folds, so that no row ever sees its own label.
"""

from dataclasses import dataclass

import numpy as np

from ctr.earlier import Earlier, strictly_earlier

RECENT = (1, 3, 10, 30)
SHRINK = 5.0
"""Weight of the prior in every shrunk mean, in events."""
HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class Log:
    """The columns of all events from which statistics are counted."""

    user: np.ndarray
    """[N] int64 codes."""
    item: np.ndarray
    """[N] int64 codes."""
    time: np.ndarray
    """[N] datetime64[us]."""
    rating: np.ndarray
    """[N] float32."""
    label: np.ndarray
    """[N] float32."""
    train: np.ndarray
    """[N] bool, the training rows."""


@dataclass(frozen=True)
class Statistics:
    """What was counted for each of N samples."""

    values: np.ndarray
    """[N, F] float64, not standardised; NaN where nothing can be said."""
    user_mean: np.ndarray
    """[N] float64: the user's shrunk mean rating over strictly earlier events."""
    surprise: np.ndarray
    """[N] float64: the rating minus what the item usually gets from users of other folds."""
    residual: np.ndarray
    """[N] float64: the rating minus the mean of its user over the training rows."""


def count_statistics(log: Log, item_categories: np.ndarray, folds: int) -> Statistics:
    """Count everything about every sample.

    Args:
        log: N events.
        item_categories: [I, C] float32 shares.
        folds: Folds of users for the item statistics.
    """
    earlier = strictly_earlier(log.user, log.time)
    of_item = item_statistics(log, len(item_categories), folds)
    mean = float(log.rating[log.train].mean(dtype=np.float64))
    surprise = log.rating - mean - of_item[:, 1]
    user_mean = mean + earlier.total(log.rating - mean) / (earlier.count() + SHRINK)
    blocks = [
        user_statistics(log, earlier),
        recent_statistics(log, earlier, surprise, user_mean),
        category_affinity(log, earlier, item_categories),
        of_item,
    ]
    return Statistics(np.concatenate(blocks, axis=1), user_mean, surprise, user_residual(log))


def user_statistics(log: Log, earlier: Earlier) -> np.ndarray:
    """Summarise each user's strictly earlier events.

    Returns:
        [N, 5] float64: shrunk mean label, log count, shrunk mean and deviation of the rating, and the deviation of
        the last 30 ratings.
    """
    count = earlier.count()
    centred = log.rating.astype(np.float64) - log.rating[log.train].mean()
    prior_label, variance = float(log.label[log.train].mean()), float(log.rating[log.train].var())
    mean_label = (earlier.total(log.label) + prior_label * SHRINK) / (count + SHRINK)
    mean = earlier.total(centred) / (count + SHRINK)
    spread = earlier.mean(np.square(centred)) - np.square(earlier.mean(centred))
    deviation = np.sqrt((np.maximum(spread, 0) * count + variance * SHRINK) / (count + SHRINK))
    last = RECENT[-1]
    recent = earlier.mean(np.square(centred), last) - np.square(earlier.mean(centred, last))
    return np.stack([mean_label, np.log1p(count), mean, deviation, np.sqrt(np.maximum(recent, 0))], axis=1)


def recent_statistics(log: Log, earlier: Earlier, surprise: np.ndarray, user_mean: np.ndarray) -> np.ndarray:
    """Summarise each user's mood: the newest events, and how quickly they follow each other.

    Args:
        log: N events.
        earlier: Strictly earlier events of the same user.
        surprise: [N] float64: each event's rating minus what its item usually gets.
        user_mean: [N] float64: the user's shrunk mean rating so far.

    Returns:
        [N, 15] float64: for the last 1, 3, 10 and 30 events the mean rating, label and surprise; the shrunk mean
        surprise of all; log seconds since the newest event; log number of events in the last hour.
    """
    columns = [earlier.mean(log.rating, last, user_mean) for last in RECENT]
    columns += [earlier.mean(log.label, last, float(log.label[log.train].mean())) for last in RECENT]
    columns += [earlier.mean(surprise, last) for last in RECENT]
    columns.append(earlier.total(surprise) / (earlier.count() + SHRINK))
    newest = earlier.newest()
    gap = (log.time - log.time[np.maximum(newest, 0)]).astype("timedelta64[us]").astype(np.float64) / 1e6
    columns.append(np.where(newest >= 0, np.log1p(gap), np.nan))
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
    """Say how much better than usual the user rated the target's categories so far.

    Over the strictly earlier events of (user, category): affinity = sum(rating - user's running mean) / (count + 5),
    averaged over the target's categories by their shares.

    Returns:
        [N, 2] float64: the affinity, and the log of the mean count behind it.
    """
    row, category = np.nonzero(item_categories[log.item])
    share = item_categories[log.item[row], category]
    user_mean = earlier.mean(log.rating)
    key = log.user[row].astype(np.int64) * item_categories.shape[1] + category
    of_category = strictly_earlier(key, log.time[row])
    count = of_category.count()
    affinity = (of_category.total(log.rating[row]) - count * user_mean[row]) / (count + SHRINK)
    total_share = np.maximum(np.bincount(row, share, len(log.user)), 1e-9)
    mean = np.bincount(row, affinity * share, len(log.user)) / total_share
    mean_count = np.bincount(row, count * share, len(log.user)) / total_share
    return np.stack([mean, np.log1p(mean_count)], axis=1)


def item_statistics(log: Log, items: int, folds: int) -> np.ndarray:
    """Summarise each item's training rows, leaving out the users of the sample's own fold.

    Returns:
        [N, 4] float64: log count, and shrunk means of the rating, of the label (both minus their mean) and of the
        residual against the mean rating of each rating's user over the training rows.
    """
    train, fold = log.train, log.user % folds
    rating = log.rating - log.rating[train].mean(dtype=np.float64)
    label = log.label - log.label[train].mean(dtype=np.float64)
    columns = np.stack([np.ones(len(rating)), rating, label, user_residual(log)], axis=1)
    cell = log.item * folds + fold
    total = np.stack([np.bincount(cell[train], columns[train, c], items * folds) for c in range(4)], axis=1)
    total = total.reshape(items, folds, 4)
    others = total.sum(axis=1)[log.item] - total[log.item, fold]  # [N, 4]
    count = others[:, :1]
    return np.concatenate([np.log1p(count), others[:, 1:] / (count + SHRINK)], axis=1)


def user_residual(log: Log) -> np.ndarray:
    """Ratings minus the mean rating of their user over the training rows: [N] float64."""
    users = int(log.user.max(initial=-1)) + 1
    count = np.bincount(log.user[log.train], minlength=users)
    mean = np.bincount(log.user[log.train], log.rating[log.train], users) / np.maximum(count, 1)
    return log.rating - mean[log.user]
