"""Encode the texts in the lineage; only new texts are encoded."""

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import polars as pl
from pydantic import ValidationError

from base.failures import how_to_go_on
from base.faults import WrongUse
from base.frozen import Frozen
from base.plugins import UnknownPlugin
from base.progress import Progress, silent
from encoders.choose import kind_of
from encoders.protocol import Encoder, EncoderConfig, EncoderKind, Fitting, TooFewTexts
from encoders.spread import Spread, stay
from feature_store.database import Store, Writer
from feature_store.identity import StoreFault
from feature_store.lineage import VectorName, find_texts, read_lineage
from feature_store.vector_index import update_index
from feature_store.vectors import STATES_TABLE, known_vectors, newest_state, write_state, write_vectors
from llm_tasks.pipeline.rows import parts_of
from llm_tasks.pipeline.task import Task

ENCODED_AT_ONCE = 2_048
FIRST = 32
"""Texts that are encoded before the clock starts: the model is loaded, and an encoder may check some vectors."""
WRITE_ROWS, WRITE_SECONDS = 65_536, 30.0
"""Vectors are written when so many wait, or after so long: each write is a file, and a kill costs what waits."""


@dataclass(frozen=True)
class Encoded:
    """What encoding did for one task, or one part of its answers, with one encoder."""

    task: str
    """Name of the technique, or TECHNIQUE.PART."""
    encoder: str
    """Name of the encoder."""
    fingerprint: str
    """Identifies everything that shapes the vectors."""
    dimension: int
    """Length of a vector."""
    texts: int
    """Number of distinct texts."""
    new: int
    """How many of them were encoded now."""
    fitted: str
    """`fitted on N texts` if the encoder was fitted now, else empty."""
    seen_until: str | None = None
    """ISO time of the newest event that the encoder was tuned on: its vectors may be used only after that."""
    seconds: float = 0.0
    """How long the new texts took, without the start."""
    start_seconds: float = 0.0
    """How long the encoder took to fit, or to load its model; 0 where it was ready."""


def encode_task(
    task: Task,
    encoders: Mapping[str, EncoderConfig],
    writer: Writer,
    progress: Progress,
    folder: Path | None = None,
    folders: Sequence[Path] = (),
    spread: Spread = stay,
) -> list[Encoded]:
    """Encode a task's texts with several encoders.

    Args:
        task: The technique.
        encoders: Encoder name -> config.
        writer: The store's writer.
        progress: Called with the number of encoded texts.
        folder: Base of relative paths; the folder of knowflow.yaml.
        folders: Folders of a team's own plug-ins.
        spread: Where encoders that need no fitting work.

    Raises:
        WrongUse: There are too few texts to fit an encoder on.
        WrongUse: An encoder cannot be used.
    """
    store = writer.store
    of_each = {name: _text_keys(store, name) for name in [task.name, *parts_of(task)]}
    done: list[Encoded] = []
    for name, config in encoders.items():
        begun = time.monotonic()
        kind, options = _read(name, config, folders)
        if isinstance(kind.build, Fitting):
            encoder, fitted = _fitted(name, kind.build, options, task.lexical_space, writer)
        else:
            encoder, fitted = spread(_built(name, kind, options, folder), config), ""
        seen_until = encoder.seen_until.isoformat() if encoder.seen_until else None
        for whose, keys in of_each.items():
            vectors = VectorName(whose, name)
            known = known_vectors(store, vectors, encoder.dimension, encoder.fingerprint)
            missing = find_texts(store, _others(keys, known)).sort("text_key")
            if len(missing):
                encoder.encode(missing["text"].head(FIRST).to_list(), silent)
            started = time.monotonic()
            _encode_missing(vectors, encoder, missing, writer, progress)
            ended = time.monotonic()
            if task.entity == "item":  # what `similar` and `search` read; nothing searches the others
                update_index(writer, vectors, encoder.dimension, encoder.fingerprint)
            made = (whose, name, encoder.fingerprint, encoder.dimension, len(keys), len(missing), fitted, seen_until)
            done.append(Encoded(*made, ended - started, started - begun))
            begun = time.monotonic()
    return done


def _encode_missing(
    name: VectorName, encoder: Encoder, missing: pl.DataFrame, writer: Writer, progress: Progress
) -> None:
    """Encode texts that have no vector yet, given as text_key and text in order of the keys."""
    waiting, since = list[tuple[list[str], np.ndarray]](), time.monotonic()

    def write() -> None:
        written = [key for of_one, _ in waiting for key in of_one]
        write_vectors(writer, name, encoder.fingerprint, written, np.concatenate([one for _, one in waiting]))
        waiting.clear()

    try:
        for start in range(0, len(missing), ENCODED_AT_ONCE):
            part = missing[start : start + ENCODED_AT_ONCE]
            vectors = encoder.encode(part["text"].to_list(), _shifted(progress, name.task, start, len(missing)))
            waiting.append((part["text_key"].to_list(), vectors))
            if len(waiting) * ENCODED_AT_ONCE >= WRITE_ROWS or time.monotonic() - since >= WRITE_SECONDS:
                write()
                since = time.monotonic()
    finally:
        if waiting:  # an interrupt keeps what is encoded
            write()


def task_texts(store: Store, task: str) -> dict[str, str]:
    """Return all texts of a task: text key -> text."""
    rows = read_lineage(store, [task], ["text_key", "text"]).filter(pl.col("text").is_not_null())
    return dict(rows.unique("text_key").sort("text_key").iter_rows())


def _text_keys(store: Store, task: str) -> pl.Series:
    """Return the keys of all texts of a task, each once, in any order."""
    return read_lineage(store, [task], ["text_key"])["text_key"].drop_nulls().unique()


def _others(keys: pl.Series, known: pl.Series) -> pl.Series:
    """Return the keys that are not known."""
    return keys.to_frame("key").join(known.to_frame("key"), on="key", how="anti")["key"]


def _shifted(progress: Progress, task: str, start: int, total: int) -> Progress:
    return lambda what, done, _: progress(f"{what} {task}", start + done, total)


def choose_encoders(
    task: str,
    wanted: Sequence[str] | None,
    encoders: Mapping[str, EncoderConfig],
    folder: Path,
    folders: Sequence[Path] = (),
) -> dict[str, EncoderConfig]:
    """Return the encoders that a task names, or all, after checking that they can be used.

    Args:
        task: The technique.
        wanted: Names from `tasks:`; None = all.
        encoders: All of `encoders:`.
        folder: The folder of knowflow.yaml.
        folders: Folders of a team's own plug-ins.

    Raises:
        WrongUse: There is no encoder of a name, a name cannot name a table, or an encoder cannot be used; all faults
            are reported at once.
    """
    names = list(encoders) if wanted is None else list(wanted)
    unknown = [name for name in names if name not in encoders]
    faults = []
    if unknown:
        there = ", ".join(encoders)
        faults.append(f"tasks.{task}.encoders: there is no encoder {', '.join(unknown)}\n  there are: {there}")
    for name in [name for name in names if name in encoders]:
        try:
            _check(name, encoders[name], folder, folders)
        except WrongUse as fault:
            faults.append(str(fault))
    if faults:
        raise WrongUse("\n".join(faults))
    return {name: encoders[name] for name in names}


def _check(name: str, config: EncoderConfig, folder: Path, folders: Sequence[Path]) -> None:
    """Raise `WrongUse` if an encoder cannot be used."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise WrongUse(f"encoders: '{name}' cannot name a table\n  use letters, digits, - and _")
    kind, options = _read(name, config, folders)
    if not kind.fitted:
        _built(name, kind, options, folder)


def model_encoder(name: str, config: EncoderConfig, folder: Path | None, folders: Sequence[Path] = ()) -> Encoder:
    """Build an encoder that needs no fitting; its weights are loaded when it first encodes.

    Raises:
        WrongUse: It cannot be used, or it must be fitted on a technique's texts.
    """
    kind, options = _read(name, config, folders)
    return _built(name, kind, options, folder)


def _read(name: str, config: EncoderConfig, folders: Sequence[Path]) -> tuple[EncoderKind, Frozen]:
    try:
        kind = kind_of(config, folders)
        return kind, kind.options.model_validate(config.settings)
    except UnknownPlugin as error:
        raise WrongUse(f"encoders.{name}.kind: {error}") from None
    except ValidationError as error:
        places = [(".".join(map(str, detail["loc"])), detail["msg"]) for detail in error.errors()]
        raise WrongUse("\n".join(f"encoders.{name}.{place}: {words}" for place, words in places)) from None


def _built(name: str, kind: EncoderKind, options: Frozen, folder: Path | None) -> Encoder:
    if isinstance(kind.build, Fitting):
        raise WrongUse(
            f"encoders.{name}: needs fitting on a technique's texts\n  use an encoder that does not, such as dense"
        )
    try:
        return kind.build(options, folder or Path())
    except (OSError, ValueError, KeyError, ModuleNotFoundError) as error:
        raise WrongUse(f"encoders.{name}: {error}\n  {kind.fix}") from error


def _loaded(name: str, fitting: Fitting, state: bytes, store: Store) -> Encoder:
    try:
        return fitting.from_state(state)
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise StoreFault(
            f"{store.uri(STATES_TABLE)}: the fitted state of encoder {name} is damaged: {error}\n"
            "  what that costs, and what to do: knowflow verify"
        ) from error


def ready_encoder(
    name: str,
    config: EncoderConfig,
    space: str,
    keys: Collection[str],
    store: Store,
    folder: Path | None = None,
    folders: Sequence[Path] = (),
) -> Encoder | None:
    """Return the encoder that would encode texts; None if it would be fitted first.

    Args:
        name: Its name.
        config: Its config.
        space: The technique whose texts it is fitted on, if it is fitted.
        keys: Keys of the space's texts; of texts that are not known yet, anything that differs.
        store: The store.
        folder: Base of relative paths; the folder of knowflow.yaml.
        folders: Folders of a team's own plug-ins.

    Raises:
        WrongUse: It cannot be used.
    """
    kind, options = _read(name, config, folders)
    if isinstance(kind.build, Fitting):
        return _kept_fit(name, kind.build, options, space, pl.Series(list(keys), dtype=pl.String), store)
    return _built(name, kind, options, folder)


def _kept_fit(
    name: str, fitting: Fitting, options: Frozen, space: str, keys: pl.Series, store: Store
) -> Encoder | None:
    """Load the fitted state of a space if it suits the texts."""
    state = newest_state(store, name, space)
    if state is None:
        return None
    encoder = _loaded(name, fitting, state["state"], store)
    unseen = len(_others(keys, pl.Series(state["text_keys"], dtype=pl.String)))
    return encoder if fitting.keeps(options, encoder, len(state["text_keys"]), len(keys), unseen) else None


def _fitted(name: str, fitting: Fitting, options: Frozen, space: str, writer: Writer) -> tuple[Encoder, str]:
    """Load the fitted state of a space, or fit it again if it no longer suits the texts."""
    kept = _kept_fit(name, fitting, options, space, _text_keys(writer.store, space), writer.store)
    if kept is not None:
        return kept, ""
    texts = task_texts(writer.store, space)
    try:
        encoder = fitting.fit(options, list(texts.values()), f"{name}/{space}")
    except TooFewTexts:
        errors = read_lineage(writer.store, [space], ["error"])["error"].drop_nulls().to_list()
        failed = "".join(f"\n  {line}" for line in [f"{len(errors):,} rows failed:", *how_to_go_on(errors)] if errors)
        raise WrongUse(
            f"encoder {name}: it is fitted on the texts of {space}, and its {len(texts)} texts have too few words"
            f"{failed}\n"
            f"  make more first (knowflow refresh --task {space}), or name other encoders under tasks: in knowflow.yaml"
        ) from None
    write_state(writer, name, space, encoder.fingerprint, sorted(texts), encoder.state())
    return encoder, f"fitted on {len(texts):,} texts"
