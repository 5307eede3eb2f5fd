"""The seam of an encoder: how one is declared, texts in, vectors out, a fingerprint of everything that shapes them."""

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
    """One encoder, as knowflow.yaml says it under `encoders:`; beside its kind stand the settings of that kind."""

    model_config = ConfigDict(extra="allow")

    kind: str
    """`dense`, `lexical`, `vllm`, or the name of an encoder in a folder of your own."""

    @property
    def settings(self) -> dict[str, Any]:
        """What stands beside its kind."""
        return dict(self.model_extra or {})


class Encoder(Protocol):
    """Turns texts into vectors; the same text and fingerprint always give the same vector."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything that shapes a vector."""
        ...

    @property
    def seen_until(self) -> datetime | None:
        """Time of the newest event that it was tuned on; None for one that knows no event of the user's."""
        ...

    def encode(self, texts: Sequence[str], progress: Progress) -> np.ndarray:
        """Encode texts: [n] -> [n, dimension] float32, each of length one."""
        ...


class FittedEncoder(Encoder, Protocol):
    """An encoder that is fitted on texts; its state is kept and belongs to a release."""

    def state(self) -> bytes:
        """The fitted state as bytes: plain arrays and JSON, no pickle."""
        ...


@dataclass(frozen=True)
class Fitting:
    """How an encoder is fitted, kept and taken up again."""

    fit: Callable[[Any, Sequence[str], str], FittedEncoder]
    """Fits on texts: options, texts, what the state is for. Raises `ValueError` where the texts do not suffice."""
    from_state: Callable[[bytes], FittedEncoder]
    """Takes up a state."""
    keeps: Callable[[Any, Any, int, int, int], bool]
    """Whether a fit is still good: options, the encoder, how many texts it was fitted on, how many there are now, and
    how many of these it has not seen."""


@dataclass(frozen=True)
class EncoderKind:
    """A kind of encoder that knowflow.yaml may name: one object at the top of a file.

    Reading it loads no model and no library of models; `build` imports what the encoder needs.
    """

    name: str
    """What stands under `kind:`."""
    about: str
    """What it is, in one line."""
    options: type[Frozen]
    """Model of the settings beside `kind:`; each field's docstring says what it is for."""
    build: Callable[[Any, Path], Encoder] | Fitting
    """Makes it of its options, and the folder that relative paths are relative to; or how it is fitted. Building loads
    no weights; it raises `OSError` or `ValueError` where the encoder cannot be used."""
    loads_a_model: bool = True
    """Whether encoding loads a model, which takes seconds and a gigabyte."""
    fix: str = "fix its settings"
    """What to do where it cannot be used, for messages."""

    @property
    def fitted(self) -> bool:
        """Whether it is fitted on the texts of a technique, so that it encodes no others."""
        return isinstance(self.build, Fitting)
