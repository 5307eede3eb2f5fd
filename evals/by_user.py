"""Intervals over users for a figure that is a mean over queries or query items.

Queries share users: a user who typed one rare query also typed others, and supplied the items that each should find. So
the parts of a figure are the users behind its queries, and the bootstrap draws users:

    figure = sum_t w_t v_t / sum_t w_t                      over parts t: the share of one user in one query
    in a replicate: sum_t m_t w_t v_t / sum_t m_t w_t       m_t = how often the user of t was drawn

The weights of a query's parts sum to the query's weight in the mean, so that with every user drawn once the figure is
the mean over queries. This is the bootstrap of a ratio with users as clusters. Queries and wanted items are the same in
every replicate; a user who is not drawn removes his part of both.

An interval from few users is too narrow: for n users it takes the percentiles at z = t(n - 1) sqrt(n / (n - 1)) instead
of the normal 1.96. Users count by their weights, n = (sum_u b_u)^2 / sum_u b_u^2 with b_u the weight of user u, so that
a figure which comes almost entirely from one user counts as almost no evidence.
Sources: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 8; Hesterberg 2015, "What Teachers
Should Know About the Bootstrap" (expanded percentiles); Kish 1965, "Survey Sampling" (the effective number).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from evals.intervals import LEVEL, draw, percentile_interval
from evals.words import LEAST_USERS, NOTHING, percent, signed

REPLICATES = 2_000
"""Number of resamples; the extreme percentiles of few users need more than a thousand."""
AT_ONCE = 200
"""Resamples processed together, so that a long list of users fits into memory."""


@dataclass(frozen=True)
class Parts:
    """T parts of a mean, each of one user."""

    of: np.ndarray
    """[T] int64: the query, or pair of items, that a part belongs to."""
    user: np.ndarray
    """[T] int64: codes of the users, from 0."""
    weight: np.ndarray
    """[T] float64: how much a part counts in the mean, above 0."""

    def draws(self, replicates: int = REPLICATES, seed: int = 0) -> np.ndarray:
        """Draw how often each user is in each replicate, [U, R] uint16, the same for all figures of these parts."""
        return draw(int(self.user.max(initial=0)) + 1, 1, replicates, seed).users

    def where(self, chosen: np.ndarray) -> "Parts":
        """Select some of the parts: [T] bool."""
        return Parts(self.of[chosen], self.user[chosen], self.weight[chosen])


def intervals(values: np.ndarray, parts: Parts, draws: np.ndarray) -> list[dict[str, Any]]:
    """Compute the mean of every column and its interval under resampled users.

    Args:
        values: [T, C], NaN where a part has no value.
        parts: The parts.
        draws: [U, R] how often each user is in each replicate.

    Returns:
        For each of C columns: `mean`, `low`, `high`, `users` (how many have a value) and `largest_user` (the largest
        share of the weight that one user has); None where undefined. No interval under `LEAST_USERS` users.

    Example:
        >>> parts = Parts(np.arange(20), np.arange(20), np.ones(20))
        >>> intervals(np.full((20, 1), 0.5), parts, parts.draws(10))
        [{'mean': 0.5, 'low': 0.5, 'high': 0.5, 'users': 20, 'largest_user': 0.05}]
    """
    known = ~np.isnan(values)
    weight = known * parts.weight[:, None]  # [T, C]
    above, below = (_by_user(of, parts.user, len(draws)) for of in (np.where(known, values, 0.0) * weight, weight))
    both = np.concatenate([above, below], axis=1)  # [U, 2C]
    starts = range(0, draws.shape[1], AT_ONCE)
    sums = np.concatenate([draws[:, at : at + AT_ONCE].T.astype(np.float64) @ both for at in starts])
    over, under = np.split(sums, 2, axis=1)  # [R, C]
    means = np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)
    return [_interval(*columns) for columns in zip(above.T, below.T, means.T, strict=True)]


def _by_user(values: np.ndarray, user: np.ndarray, users: int) -> np.ndarray:
    """Sum by user: [T, C] -> [U, C]."""
    return np.stack([np.bincount(user, column, minlength=users) for column in values.T], axis=1)


def _interval(above: np.ndarray, below: np.ndarray, means: np.ndarray) -> dict[str, Any]:
    """Compute the interval of one column: [U], [U], [R]."""
    total, users = below.sum(), int((below > 0).sum())
    if not users:
        return {"mean": None, "low": None, "high": None, "users": 0, "largest_user": None}
    out = {"mean": float(above.sum() / total), "low": None, "high": None}
    if users >= LEAST_USERS:
        low, high = percentile_interval(means, expanded(float(total**2 / (below**2).sum())))
        out |= {} if np.isnan(low) else {"low": low, "high": high}
    return {**out, "users": users, "largest_user": float(below.max() / total)}


def expanded(users: float) -> float:
    """Return the share of the replicates that an interval of this many equal users must hold to cover 95%.

    Example:
        >>> round(expanded(20), 4), round(expanded(1e6), 4)
        (0.9682, 0.95)
    """
    if users <= 1:
        return 1.0
    bound = stats.t.ppf((1 + LEVEL) / 2, users - 1) * np.sqrt(users / (users - 1))
    return float(1 - 2 * stats.norm.sf(bound))


def shown(gain: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Format a gain with its interval, or the reason why there is none.

    >>> shown({"mean": 0.2, "low": 0.1, "high": 0.3, "users": 40, "largest_user": 0.25})
    '+0.200 [+0.100, +0.300]'
    >>> shown({"mean": 0.2, "low": None, "high": None, "users": 7, "largest_user": 0.25})
    '+0.200 (7 users: no interval)'
    """
    if gain is None or gain["mean"] is None:
        return NOTHING
    mean = signed(gain["mean"], digits)
    if gain["low"] is None:
        return f"{mean} ({people(gain['users'])}: no interval)"
    return f"{mean} [{signed(gain['low'], digits)}, {signed(gain['high'], digits)}]"


def verdict(gain: Mapping[str, Any], better: str, worse: str, neither: str) -> str:
    """Say in words what an interval allows to claim; under `LEAST_USERS` users, say why it allows nothing."""
    if gain["low"] is None:
        few = gain["users"] < LEAST_USERS
        return "too few users for an interval" + (f" ({gain['users']} of {LEAST_USERS})" if few else "")
    if gain["low"] > 0:
        return better
    return worse if gain["high"] < 0 else neither


def crowd(gain: Mapping[str, Any] | None) -> list[str]:
    """Return two table cells: the number of users behind a figure, and the largest share of one user."""
    if gain is None or not gain["users"]:
        return ["0", NOTHING]
    return [f"{gain['users']:,}", percent(gain["largest_user"])]


def people(users: int) -> str:
    """Format a number of users."""
    return f"{users:,} user" + ("" if users == 1 else "s")
