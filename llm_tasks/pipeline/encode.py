"""Encoding: every text of the lineage gets its vectors, and only new texts are encoded."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from base.progress import Progress
from encoders.dense import DenseEncoder
from encoders.protocol import Encoder, EncoderConfig
from encoders.vllm import VllmEncoder
from feature_store.database import Store, Writer
from feature_store.lineage import read_lineage
from feature_store.vectors import known_vectors, newest_state, write_state, write_vectors
from llm_tasks.pipeline.task import Task
from llm_tasks.pipeline.workplace import OptionFault

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
    seen_until: str | None = None
    """ISO time of the newest event that the encoder was tuned on: its vectors are known only later than that."""


def encode_task(
    task: Task,
    encoders: Mapping[str, EncoderConfig],
    writer: Writer,
    progress: Progress,
    folder: Path | None = None,
) -> list[Encoded]:
    """Encode a task's texts under several encoders.

    Args:
        task: The technique.
        encoders: Encoder name -> config.
        writer: The store's writer.
        progress: Told how many texts are done.
        folder: What relative paths are relative to; the folder of knowflow.yaml.

    Raises:
        NothingToFit: A lexical encoder has no texts to be fitted on.
        OptionFault: An encoder's model cannot be used.
    """
    store = writer.store
    texts = task_texts(store, task.name)
    done: list[Encoded] = []
    for name, config in encoders.items():
        encoder: Encoder
        if config.kind == "lexical":
            encoder, fitted = _lexical(name, config, task.lexical_space, writer)
        else:
            encoder, fitted = model_encoder(name, config, folder), ""
        missing = sorted(set(texts) - known_vectors(store, name, encoder.dimension, encoder.fingerprint))
        for start in range(0, len(missing), WRITE_EVERY):
            keys = missing[start : start + WRITE_EVERY]
            vectors = encoder.encode([texts[key] for key in keys], _shifted(progress, task.name, start, len(missing)))
            write_vectors(writer, name, encoder.fingerprint, keys, vectors)
        known = encoder.seen_until.isoformat() if encoder.seen_until else None
        made = (task.name, name, encoder.fingerprint, encoder.dimension, len(texts), len(missing), fitted, known)
        done.append(Encoded(*made))
    return done


def task_texts(store: Store, task: str) -> dict[str, str]:
    """All texts of a task: text key -> text."""
    rows = read_lineage(store, [task], ["text_key", "text"]).filter(pl.col("text").is_not_null())
    return dict(rows.unique("text_key").sort("text_key").iter_rows())


def _shifted(progress: Progress, task: str, start: int, total: int) -> Progress:
    return lambda what, done, _: progress(f"{what} {task}", start + done, total)


def choose_encoders(
    task: str, wanted: Sequence[str] | None, encoders: Mapping[str, EncoderConfig], folder: Path
) -> dict[str, EncoderConfig]:
    """Take the encoders that a task names, or all, and see that they can be used.

    Args:
        task: The technique.
        wanted: Names from `tasks:`; None = all.
        encoders: All of `encoders:`.
        folder: The folder of knowflow.yaml.

    Raises:
        OptionFault: A name is no encoder or cannot name a table, or a model cannot be used.
    """
    names = list(encoders) if wanted is None else list(wanted)
    unknown = [name for name in names if name not in encoders]
    if unknown:
        there = ", ".join(encoders)
        raise OptionFault(f"tasks.{task}.encoders: there is no encoder {', '.join(unknown)}\n  there are: {there}")
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise OptionFault(f"encoders: '{name}' cannot name a table\n  use letters, digits, - and _")
        if encoders[name].kind != "lexical":
            model_encoder(name, encoders[name], folder)
    return {name: encoders[name] for name in names}


def model_encoder(name: str, config: EncoderConfig, folder: Path | None) -> DenseEncoder | VllmEncoder:
    """Build a dense encoder or one of vLLM; its weights are loaded when it first encodes.

    Raises:
        OptionFault: Its model cannot be used.
    """
    try:
        if config.kind == "vllm":
            return VllmEncoder(
                config.model, config.max_tokens, config.batch_size, config.dtype, config.enforce_eager, folder
            )
        return DenseEncoder(config.model, config.pooling, config.max_tokens, config.batch_size, folder)
    except (OSError, ValueError, KeyError, ModuleNotFoundError) as error:
        other = "kind: dense" if config.kind == "vllm" else "all-MiniLM-L6-v2"
        mend = f"mend the path (it is relative to knowflow.yaml), or use {other}"
        raise OptionFault(f"encoders.{name}: {error}\n  {mend}") from error


def _lexical(name: str, config: EncoderConfig, space: str, writer: Writer) -> tuple[Encoder, str]:
    """Take up the fitted state of a space, or fit it anew when too many of its texts are new."""
    from encoders.lexical import LexicalEncoder  # noqa: PLC0415 - scikit-learn takes a second, a plan needs none

    texts = task_texts(writer.store, space)
    state = newest_state(writer.store, name, space)
    if state is not None:
        encoder = LexicalEncoder.from_state(state["state"])
        unseen = len(set(texts) - set(state["text_keys"]))
        if unseen <= config.refit_share * len(texts) and encoder.fits(config.dimension, len(state["text_keys"])):
            return encoder, ""
    try:
        encoder = LexicalEncoder.fit(list(texts.values()), config.dimension, place=f"{name}/{space}")
    except ValueError:
        raise NothingToFit(
            f"encoder {name}: it is fitted on the texts of {space}, and the {len(texts)} there are hold too few words\n"
            f"  make more first (knowflow refresh --task {space}), or name other encoders under tasks: in knowflow.yaml"
        ) from None
    write_state(writer, name, space, encoder.fingerprint, sorted(texts), encoder.state())
    return encoder, f"fitted on {len(texts):,} texts"
