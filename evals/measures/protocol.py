"""The protocol of a measure: the value of lists of k items, per query or for all lists together.

A measure is a `Measure` at the top of a file in this folder, or in a folder under `plugins:`. It sees ranked lists and
the ranks of wanted items (`evals/lists.py`), never a model. A measure with a value per query gets an interval by
drawing users. A measure of all lists together gets none: users drawn twice repeat their lists, so a share of the
catalogue would always be too small.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from base.plugins import Kind
from evals.lists import Lists

Value = Callable[[Lists, int], np.ndarray | float]
"""Takes the lists of Q queries and k; returns [Q] float64, NaN where undefined, or one number for all lists."""


@dataclass(frozen=True)
class Measure:
    """One measure of lists of k items."""

    name: str
    """Its name; figures are called `name@k`."""
    about: str
    """One line about it for the page."""
    value: Value
    """Returns its value for every query, whose mean is the figure, or the figure of all lists together."""


MEASURES = Kind("measure", "evals.measures", Measure)
"""Where measures are found."""
