"""Ridge regression in kernel form, whose predictions for an entity come from all other entities.

Formula:   f = K (K + s W^-1)^-1 y for n observations with weights W and kernel K = X X', without an intercept; with
           M = (K + s W^-1)^-1, the residuals of the observations B of an entity, predicted without them, are
           y_B - f_-B = (M_BB)^-1 (M y)_B: one inverse gives what n fits would.
An intercept of each fit would be lower where the left-out entity is higher, which would count against every text.
Source: Golub, Heath and Wahba 1979 (leaving one out); Rasmussen and Williams 2006, "Gaussian Processes for Machine
Learning", equation 5.12, for single rows; the block form is the same conditional mean.
"""

from collections.abc import Sequence

import numpy as np

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Penalties to choose from; vectors have length one."""


def left_out(
    kernel: np.ndarray, target: np.ndarray, weight: np.ndarray, group: np.ndarray, strength: float
) -> np.ndarray:
    """Predict each observation from those of all other groups.

    Args:
        kernel: [n, n] inner products.
        target: [n].
        weight: [n], positive.
        group: [n] int64: the entity that an observation is about.
        strength: Penalty.

    Returns:
        [n] float64.
    """
    inverse = np.linalg.inv(kernel + strength * np.diag(1 / weight))
    solved = inverse @ target
    if len(np.unique(group)) == len(group):
        return target - solved / np.diag(inverse)
    out = np.empty(len(target))
    order = np.argsort(group, kind="stable")
    for block in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        out[block] = target[block] - np.linalg.solve(inverse[np.ix_(block, block)], solved[block])
    return out


def choose_strength(
    kernel: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    group: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
) -> float:
    """Return the penalty whose left-out predictions have the smallest weighted squared error; the first of equal ones.

    Args:
        kernel: [n, n] inner products.
        target: [n].
        weight: [n], positive.
        group: [n] int64.
        strengths: Penalties to choose from.
    """

    def error(strength: float) -> float:
        return float(weight @ np.square(target - left_out(kernel, target, weight, group, strength)))

    return min(strengths, key=error)


def weighted_correlation(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Compute Pearson's correlation under one or several columns of weights.

    Args:
        first: [n].
        second: [n].
        weight: [n, R], not negative.

    Returns:
        [R]; 0 where one of both is constant.
    """
    columns = np.stack([np.ones_like(first), first, second, first**2, second**2, first * second])
    total, a, b, aa, bb, ab = columns @ weight
    total = np.maximum(total, 1e-12)
    spread = np.sqrt(np.maximum(aa - a**2 / total, 0) * np.maximum(bb - b**2 / total, 0))
    return np.divide(ab - a * b / total, spread, out=np.zeros(len(spread)), where=spread > 1e-12)
