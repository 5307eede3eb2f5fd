"""A judge: how one measure of worth scores a choice of texts; the same for versions, facts and swapped versions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evals.intervals import draw, effective_users, user_interval
from evals.prompts.worth.swaps import Score
from evals.trial import Figure
from evals.words import LEAST_USERS

REPLICATES = 1_000
"""Resamples of an interval."""


@dataclass(frozen=True)
class Named:
    """One number that a judge gives."""

    name: str
    """As `--fail-under` uses it."""
    about: str
    """What it says, for a reader of the page."""
    rows: int
    """Number of items, users or rows behind it."""
    effective: float
    """Number of equal items or users that give as much evidence; drawn for the interval."""
    why: str = ""
    """Why it is not given; empty if it is."""


@dataclass(frozen=True)
class Judge:
    """One way to judge, which gives k numbers."""

    named: tuple[Named, ...]
    """The k numbers."""
    score: Score
    """[n] which vector of the pool each row uses -> [k], NaN where undefined."""
    replicates: Callable[[np.ndarray], np.ndarray]
    """The same -> [k, R]: scores under the R resamples, the same ones for every choice."""
    base: np.ndarray | None = None
    """[k]: scores without any text; None if there is no such thing."""


def not_judged(named: dict[str, str], why: str) -> Judge:
    """Return a judge that gives no number, and says why.

    Args:
        named: Name -> what it says.
        why: Why there is none.
    """
    none = np.full(len(named), np.nan)
    given = tuple(Named(name, about, 0, 0.0, why) for name, about in named.items())
    return Judge(given, lambda chosen: none, lambda chosen: none[:, None])


def draws_of(weight: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """Draw units with replacement.

    Args:
        weight: [U] how much each unit counts.
        seed: Seed.

    Returns:
        [U, R] float64 how often each is in each resample, and the number of equal units that weigh as much.
    """
    return draw(len(weight), 1, REPLICATES, seed).users.astype(np.float64), effective_users(weight)


def figure(score: float, replicates: np.ndarray, of: Named, p: float | None = None) -> Figure:
    """Write a score, or a difference of two, with its interval."""
    if of.why or np.isnan(score):
        return Figure(None, rows=of.rows, why=of.why or "it is not defined on these rows")
    p = None if p is None or np.isnan(p) else float(p)
    if of.effective < LEAST_USERS / 2:
        return Figure(float(score), rows=of.rows, why="too few for an interval", p=p)
    low, high = user_interval(replicates, score, of.effective)
    if np.isnan(low):
        return Figure(float(score), rows=of.rows, why="too few for an interval", p=p)
    return Figure(float(score), float(low), float(high), of.rows, p=p)
