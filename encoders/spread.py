"""Encode on a Ray cluster: each actor builds the configured encoder and takes a part of the texts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from base.progress import Progress, silent
from encoders.choose import kind_of
from encoders.protocol import Encoder, EncoderConfig, Fitting
from engines.ray.config import ExecutorConfig
from engines.ray.pool import Job, Pool, check_installed

Spread = Callable[[Encoder, EncoderConfig], Encoder]
"""Takes an encoder and its config; gives one with the same vectors, which may be made elsewhere."""


def stay(encoder: Encoder, config: EncoderConfig) -> Encoder:
    """Encode in this process."""
    return encoder


@contextmanager
def spread_over(executor: ExecutorConfig, folder: Path, folders: Sequence[Path]) -> Iterator[Spread]:
    """Give how encoders work under an executor; one encoder at a time has actors, and keeps them for all techniques.

    Args:
        executor: The `executor:` part of knowflow.yaml.
        folder: Base of relative paths.
        folders: Folders of a team's own plug-ins.

    Raises:
        EngineFault: Ray is not installed.
    """
    if executor.name == "local":
        yield stay
        return
    check_installed()
    made: list[tuple[EncoderConfig, SpreadEncoder]] = []

    def spread(encoder: Encoder, config: EncoderConfig) -> Encoder:
        if made and made[-1][0] == config:
            return made[-1][1]
        if made:
            made.pop()[1].close()  # two at once would wait for each other's cores
        build = partial(encoding, config, folder, tuple(folders))
        made.append((config, SpreadEncoder(encoder, build, config.kind, executor)))
        return made[-1][1]

    try:
        yield spread
    finally:
        for _, one in made:
            one.close()


class SpreadEncoder:
    """An encoder whose texts are encoded by actors; they start with the first text and end with `close`.

    Args:
        encoder: The same encoder in this process, which loads no model.
        build: Builds it in an actor.
        kind: Its kind, for the progress bar.
        executor: Which cluster, how many actors.
    """

    def __init__(
        self, encoder: Encoder, build: Callable[[], tuple[Any, Job]], kind: str, executor: ExecutorConfig
    ) -> None:
        self._here, self._build, self._kind, self._executor = encoder, build, kind, executor
        self._pool: Pool | None = None

    @property
    def dimension(self) -> int:
        """Return the length of a vector."""
        return self._here.dimension

    @property
    def fingerprint(self) -> str:
        """Return the hash of everything that shapes a vector."""
        return self._here.fingerprint

    @property
    def seen_until(self) -> datetime | None:
        """Return the time of the newest event that it was tuned on."""
        return self._here.seen_until

    def encode(self, texts: Sequence[str], progress: Progress) -> np.ndarray:
        """Encode texts: [n] -> [n, d] float32."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        self._pool = self._pool or Pool(self._build, self._executor, self.fingerprint)
        # An actor pads within its block, so a block holds texts of similar length; and the longest ones go first.
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        found, done = dict[int, np.ndarray](), 0
        for number, (vectors,) in self._pool.work(texts[place] for place in order):
            found[number], done = vectors, done + len(vectors)
            progress(f"encoding ({self._kind})", done, len(texts))
        out = np.empty((len(texts), self.dimension), dtype=np.float32)
        out[order] = np.concatenate([found[number] for number in sorted(found)])
        return out

    def close(self) -> None:
        """End the actors."""
        if self._pool is not None:
            self._pool.close()


def encoding(config: EncoderConfig, folder: Path, folders: Sequence[Path]) -> tuple[str, Job]:
    """Build an encoder in an actor; return its fingerprint, and what encodes a block into one array."""
    kind = kind_of(config, folders)
    assert not isinstance(kind.build, Fitting), "fitted encoders stay where their texts are"
    encoder = kind.build(kind.options.model_validate(config.settings), folder)
    return encoder.fingerprint, lambda texts: [encoder.encode(texts, silent)]
