"""The seam of a maker of codes: a few integers for every vector, the coarsest first, each row's own.

A maker is a `CodeMaker` at the top of a file of this folder, or of a folder that a team names under `plugins:`;
`knowflow codes NAME --vectors technique/encoder` runs it and publishes what it gives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl

from base.frozen import Frozen
from base.plugins import Kind
from base.progress import Progress

O = TypeVar("O", bound=Frozen)  # noqa: E741 - the options


@dataclass(frozen=True)
class Coded:
    """What a maker made of M vectors."""

    codes: np.ndarray
    """[M, L] int32, 0 or more."""
    figures: Mapping[str, Any]
    """What is reported of it, plain JSON."""


@dataclass(frozen=True)
class CodeMaker(Generic[O]):
    """One way to make codes of vectors."""

    name: str
    """Name of its file; also that of the set of codes that it makes."""
    about: str
    """What it does, in a few words for a table or a page."""
    options: type[O]
    """The model of its options; it can be made without any."""
    make: Callable[[np.ndarray, O, int, Progress], Coded]
    """Takes vectors [M, d] float32, options, a seed, and is told who listens; gives a code a row."""


CODE_MAKERS = Kind("maker of codes", "recommenders", CodeMaker)
"""Where makers of codes are found."""


def tell_apart(codes: np.ndarray) -> np.ndarray:
    """Add a code that counts rows of equal codes, in their order, so that no two rows are alike.

    Example:
        >>> tell_apart(np.array([[3, 1], [3, 2], [3, 1]], dtype=np.int32)).tolist()
        [[3, 1, 0], [3, 2, 0], [3, 1, 1]]
    """
    columns = [f"c{place}" for place in range(codes.shape[1])]
    number = pl.DataFrame(codes, schema=columns).select(pl.int_range(pl.len()).over(columns)).to_series()
    return np.concatenate([codes, number.to_numpy()[:, None].astype(np.int32)], axis=1)


def collision_rate(codes: np.ndarray) -> float:
    """Share of rows whose codes another row has, too: [M, L] -> 0 to 1."""
    _, group, size = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return float((size[group.ravel()] > 1).mean()) if len(codes) else 0.0


def usage(codes: np.ndarray, size: int) -> list[float]:
    """Share of a level's codes that some row has, a figure a level: [M, L], codes below `size`."""
    return [len(np.unique(level)) / size for level in codes.T]


def entropy(codes: np.ndarray) -> list[float]:
    """Entropy of each level in bits; log2 of the number of codes where all are equally frequent."""
    shares = [np.unique(level, return_counts=True)[1] / max(len(codes), 1) for level in codes.T]
    return [float(-(share * np.log2(share)).sum()) for share in shares]
