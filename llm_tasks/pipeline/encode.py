"""Encoding: every text of the lineage gets its vectors, and only new texts are encoded."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from feature_store.database import Store, Writer
from feature_store.lineage import read_lineage
from feature_store.vectors import known_vectors, newest_state, write_state, write_vectors
from llm_tasks.encoders.dense import DenseEncoder
from llm_tasks.encoders.lexical import LexicalEncoder
from llm_tasks.encoders.protocol import Encoder, EncoderConfig
from llm_tasks.pipeline.task import Task
from sources.progress import Progress

WRITE_EVERY = 2_048


class NothingToFit(Exception):
    """An encoder must be fitted on texts of a task that has none; the text says what to run."""


@dataclass(frozen=True)
class Encoded:
    """What encoding did for one task under one encoder."""

    task: str
    """Name of the technique."""
    encoder: str
    """Name of the encoder."""
    fingerprint: str
    """Everything that shapes the vectors."""
    dimension: int
    """Length of a vector."""
    texts: int
    """Distinct texts."""
    new: int
    """Of these, encoded now."""
    fitted: str
    """`fitted on N texts` when the encoder was fitted now, else empty."""


def encode_task(
    task: Task, encoders: Mapping[str, EncoderConfig], store: Store, writer: Writer, progress: Progress
) -> list[Encoded]:
    """Encode a task's texts under several encoders.

    Args:
        task: The technique.
        encoders: Encoder name -> config.
        store: Where the lineage is.
        writer: The store's writer.
        progress: Told how many texts are done.

    Raises:
        NothingToFit: A lexical encoder has no texts to be fitted on.
    """
    texts = task_texts(store, task.name)
    done: list[Encoded] = []
    for name, config in encoders.items():
        encoder, fitted = _build(name, config, task, store, writer)
        missing = sorted(set(texts) - known_vectors(store, name, encoder.dimension, encoder.fingerprint))
        for start in range(0, len(missing), WRITE_EVERY):
            keys = missing[start : start + WRITE_EVERY]
            vectors = encoder.encode([texts[key] for key in keys], _shifted(progress, task.name, start, len(missing)))
            write_vectors(writer, name, encoder.fingerprint, keys, vectors)
        done.append(Encoded(task.name, name, encoder.fingerprint, encoder.dimension, len(texts), len(missing), fitted))
    return done


def task_texts(store: Store, task: str) -> dict[str, str]:
    """All texts of a task: text key -> text."""
    rows = read_lineage(store, [task], ["text_key", "text"]).filter(pl.col("text").is_not_null())
    return dict(rows.unique("text_key").sort("text_key").iter_rows())


def _shifted(progress: Progress, task: str, start: int, total: int) -> Progress:
    return lambda what, done, _: progress(f"{what} {task}", start + done, total)


def _build(name: str, config: EncoderConfig, task: Task, store: Store, writer: Writer) -> tuple[Encoder, str]:
    if config.kind == "dense":
        return DenseEncoder(config.model, config.pooling, config.max_tokens, config.batch_size), ""
    return _lexical(name, config, task.lexical_space, store, writer)


def _lexical(name: str, config: EncoderConfig, space: str, store: Store, writer: Writer) -> tuple[LexicalEncoder, str]:
    """Take up the fitted state of a space, or fit it anew when too many of its texts are new."""
    texts = task_texts(store, space)
    state = newest_state(store, name, space)
    if state is not None:
        encoder = LexicalEncoder.from_state(state["state"])
        unseen = len(set(texts) - set(state["text_keys"]))
        if unseen <= config.refit_share * len(texts) and encoder.dimension <= config.dimension:
            return encoder, ""
    if len(texts) < 2:
        raise NothingToFit(
            f"encoder {name}: it is fitted on the texts of {space}, and there are {len(texts)}\n"
            f"  make them first: knowflow refresh --task {space}"
        )
    encoder = LexicalEncoder.fit(list(texts.values()), config.dimension)
    write_state(writer, name, space, encoder.fingerprint, sorted(texts), encoder.state())
    return encoder, f"fitted on {len(texts):,} texts"
