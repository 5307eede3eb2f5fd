"""A logistic regression on top of a fixed model's logits, by Newton's method: milliseconds, always the same numbers.

Formula:   min over w, c of sum_r log(1 + exp(-s_r (b_r + c + w z_r))) + p/2 |w|^2,   s_r = 1 for a click, -1 without;
           b_r = logit of the fixed model, z_r = the text's columns, standardised by the training rows.
"""

import numpy as np

PENALTY = 10.0
"""Strength of the ridge penalty."""
STEPS = 20
"""Newton steps at most."""
ENOUGH = 1e-6
"""A step that moves no weight by more is the last one."""


def head_logits(columns: np.ndarray, offset: np.ndarray, label: np.ndarray, trains: np.ndarray) -> np.ndarray:
    """Fit on the training rows and return the logits of all others.

    Args:
        columns: [N, k].
        offset: [N] logits of the fixed model.
        label: [N], 0 or 1.
        trains: [N] bool.

    Returns:
        [number of rows that do not train] float64.
    """
    fitted = columns[trains]
    scale = fitted.std(axis=0)
    scaled = (columns - fitted.mean(axis=0)) / np.where(scale > 1e-9, scale, 1)
    whole = np.column_stack([scaled, np.ones(len(columns))])
    x, b, y = whole[trains], offset[trains], label[trains]
    penalty = np.full(whole.shape[1], PENALTY)
    penalty[-1] = 1e-9
    weight = np.zeros(whole.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(b + x @ weight, -30, 30)))
        slope = x.T @ (p - y) + penalty * weight
        curve = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        weight = weight - step
        if np.abs(step).max() < ENOUGH:
            break
    return offset[~trains] + whole[~trains] @ weight
