"""The seam of an encoder: texts in, vectors out, and a fingerprint of everything that shapes a vector."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

import numpy as np
from pydantic import Field

from base.frozen import Frozen
from base.progress import Progress

PoolingName = Literal["mean", "cls", "last_token", "first_last_mean", "top_two_mean", "position_weighted_mean"]


class EncoderConfig(Frozen):
    """One encoder, as knowflow.yaml says it under `encoders:`."""

    kind: Literal["dense", "lexical", "vllm"]
    """dense: a sentence-transformers model; vllm: a large one inside vLLM; lexical: TF-IDF, then truncated SVD."""
    model: str = "all-MiniLM-L6-v2"
    """dense: `all-MiniLM-L6-v2` (in a package, no download), or a folder of a sentence-transformers model; vllm: such a
    folder."""
    pooling: PoolingName = "mean"
    """dense: how token states become one vector; vllm: the folder says it."""
    max_tokens: int = Field(default=256, ge=8)
    """dense, vllm: longer texts are cut here."""
    batch_size: int = Field(default=32, ge=1)
    """dense, vllm: texts in one forward pass; never changes a vector."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """vllm: number format of the weights; `auto` takes the model's own, 16 bits for one of 32."""
    enforce_eager: bool = False
    """vllm: do without compiling; it starts faster and runs slower."""
    dimension: int = Field(default=384, ge=2)
    """lexical: length of the vectors."""
    refit_share: float = Field(default=0.2, ge=0, le=1)
    """lexical: fit anew when this share of the texts was not there at the last fit; 0 = with every new text."""

    @property
    def loads_a_model(self) -> bool:
        """Whether encoding loads a model, which takes seconds and a gigabyte."""
        return self.kind != "lexical"


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
