"""The interface of an encoder: its declaration, texts in, vectors out, and a fingerprint of what shapes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import ConfigDict

from base.frozen import Frozen
from base.progress import Progress

PoolingName = Literal["mean", "cls", "last_token", "first_last_mean", "top_two_mean", "position_weighted_mean"]


class EncoderConfig(Frozen):
    """One encoder under `encoders:` in knowflow.yaml: its kind and the settings of that kind."""

    model_config = ConfigDict(extra="allow")

    kind: str
    """`dense`, `lexical`, `vllm`, or the name of an encoder in a folder of your own."""

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of its kind."""
        return dict(self.model_extra or {})


class Encoder(Protocol):
    """Turns texts into vectors; the same text and fingerprint always give the same vector."""

    @property
    def dimension(self) -> int:
        """Return the length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Return the hash of everything that shapes a vector."""
        ...

    @property
    def seen_until(self) -> datetime | None:
        """Return the time of the newest event that it was tuned on; None if it has seen no event of the user."""
        ...

    def encode(self, texts: Sequence[str], progress: Progress) -> np.ndarray:
        """Encode texts: [n] -> [n, dimension] float32, each of norm 1."""
        ...


class FittedEncoder(Encoder, Protocol):
    """An encoder that is fitted on texts; its state is stored and belongs to a release."""

    def state(self) -> bytes:
        """Return the fitted state as bytes: plain arrays and JSON, no pickle."""
        ...


class TooFewTexts(ValueError):
    """The texts do not suffice to fit an encoder: there are too few, or they hold too few words."""


@dataclass(frozen=True)
class Fitting:
    """How an encoder is fitted, saved and loaded."""

    fit: Callable[[Any, Sequence[str], str], FittedEncoder]
    """Fits on texts: options, texts, purpose of the state. Raises `TooFewTexts` if they do not suffice."""
    from_state: Callable[[bytes], FittedEncoder]
    """Loads a state."""
    keeps: Callable[[Any, Any, int, int, int], bool]
    """Returns whether a fit is still good: options, the encoder, how many texts it was fitted on, how many there are
    now, and how many of these are new."""


@dataclass(frozen=True)
class EncoderKind:
    """A kind of encoder that knowflow.yaml can name: one object at the top of a file.

    Importing it loads no model and no model library; `build` imports what the encoder needs.
    """

    name: str
    """The value of `kind:`."""
    about: str
    """A description in one line."""
    options: type[Frozen]
    """Model of the settings next to `kind:`; each field has a docstring."""
    build: Callable[[Any, Path], Encoder] | Fitting
    """Builds it from its options and the base folder of relative paths; or how it is fitted. Building loads no weights;
    it raises `OSError` or `ValueError` if the encoder cannot be used."""
    loads_a_model: bool = True
    """Whether encoding loads a model, which takes seconds and a gigabyte."""
    fix: str = "fix its settings"
    """What to do if it cannot be used, for messages."""

    @property
    def fitted(self) -> bool:
        """Return whether it is fitted on the texts of a technique, and so encodes no others."""
        return isinstance(self.build, Fitting)
