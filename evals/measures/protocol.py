"""The seam of a measure: what a list of k items is worth, per query or of all lists together.

A measure is a `Measure` at the top of a file of this folder, or of a folder that a team names under `plugins:`. It sees
ranked lists and the ranks of what was wanted (`evals/lists.py`), never a model. One that has a value for each query
gets an interval by drawn users; one of all lists together has none: with users drawn twice the lists repeat, so that
a share of the catalogue would always come out too small.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from base.plugins import Kind
from evals.lists import Lists

Value = Callable[[Lists, int], np.ndarray | float]
"""Takes the lists of Q queries and k; gives [Q] float64, NaN where a query has none, or one number of all lists."""


@dataclass(frozen=True)
class Measure:
    """One measure of lists of k items."""

    name: str
    """Its name; figures are called `name@k`."""
    about: str
    """What it says, in a line for the page."""
    value: Value
    """Its value for every query, whose mean is the figure, or the figure of all lists together."""


MEASURES = Kind("measure", "evals.measures", Measure)
"""Where measures are found."""
