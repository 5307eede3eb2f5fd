"""The interface of a code maker: a few integers for every vector, the coarsest first, unique to each row.

A maker is a `CodeMaker` at the top level of a file in this folder, or in a folder listed under `plugins:`;
`knowflow codes NAME --vectors technique/encoder` runs it and publishes its codes.
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
    """The codes of M vectors."""

    codes: np.ndarray
    """[M, L] int32, at least 0."""
    figures: Mapping[str, Any]
    """Figures to report, plain JSON."""


@dataclass(frozen=True)
class CodeMaker(Generic[O]):
    """One way to make codes from vectors."""

    name: str
    """Name of its file, and of the set of codes it makes."""
    about: str
    """What it does, in a few words for a table or a page."""
    options: type[O]
    """The model of its options; every option has a default."""
    make: Callable[[np.ndarray, O, int, Progress], Coded]
    """Takes vectors [M, d] float32, options, a seed and a progress callback; returns the codes of each row."""


CODE_MAKERS = Kind("maker of codes", "recommenders", CodeMaker)
"""Where makers of codes are found."""


def tell_apart(codes: np.ndarray) -> np.ndarray:
    """Add a code that numbers rows with equal codes, in order, so that all rows are unique.

    Example:
        >>> tell_apart(np.array([[3, 1], [3, 2], [3, 1]], dtype=np.int32)).tolist()
        [[3, 1, 0], [3, 2, 0], [3, 1, 1]]
    """
    columns = [f"c{place}" for place in range(codes.shape[1])]
    number = pl.DataFrame(codes, schema=columns).select(pl.int_range(pl.len()).over(columns)).to_series()
    return np.concatenate([codes, number.to_numpy()[:, None].astype(np.int32)], axis=1)


def collision_rate(codes: np.ndarray) -> float:
    """Return the share of rows whose codes another row has too: [M, L] -> 0 to 1."""
    _, group, size = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return float((size[group.ravel()] > 1).mean()) if len(codes) else 0.0


def usage(codes: np.ndarray, size: int) -> list[float]:
    """Return the share of codes in use, one figure per level: [M, L], codes below `size`."""
    return [len(np.unique(level)) / size for level in codes.T]


def entropy(codes: np.ndarray) -> list[float]:
    """Return the entropy of each level in bits; log2 of the number of codes if all are equally frequent."""
    shares = [np.unique(level, return_counts=True)[1] / max(len(codes), 1) for level in codes.T]
    return [float(-(share * np.log2(share)).sum()) for share in shares]
