"""What all stages of a refresh share, and the options of each technique in knowflow.yaml."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from base.faults import WrongUse
from engines.model_folder import fingerprint
from engines.protocol import Engine
from engines.request import Adapter, ModelIdentity
from engines.seen import Unsaid, latest, tuned_until
from feature_store.database import Store
from llm_tasks.pipeline.own_data import own_data_of
from llm_tasks.pipeline.reads import read_task
from llm_tasks.pipeline.slices import Slice
from llm_tasks.pipeline.task import EntityList, Inputs, Task, TaskOptions
from prompts.domain import Domain
from prompts.library import SHIPPED, Library
from sources.columns import to_id
from sources.tables import Dataset
from sources.times import to_time


@dataclass(frozen=True)
class KeptPlans:
    """Where refreshes keep what they planned, so that the next one plans only subjects that changed."""

    folder: Path
    """The folder."""
    code: str
    """Digest of all code that shapes a plan."""
    engine: str = ""
    """Digest of the engine's settings and of the files that they name, such as a tokenizer's."""
    named: Callable[[Any], str] = lambda _: ""
    """Returns a digest of the files that settings name."""
    covers: Callable[[], bool] = lambda: True
    """Returns whether the digest of the code still covers all that was imported."""


@dataclass(frozen=True)
class Workplace:
    """What all stages of a refresh share."""

    dataset: Dataset
    """The user's data."""
    domain: Domain
    """The words of the domain."""
    engine: Engine
    """The engine that answers."""
    store: Store
    """Holds answers, lineage and vectors."""
    options: Mapping[str, TaskOptions]
    """Task name -> options; a missing task has the defaults."""
    folder: Path
    """Base of relative paths in options."""
    cutoff: date | None = None
    """Knowledge cutoff of the engine's model; None if unknown."""
    library: Library = SHIPPED
    """Where prompts are looked for."""
    stop_after_failures: int = 32
    """Number of first answers that, if all end in the same error, stop a run; 0 = never."""
    slice: Slice | None = None
    """The part of the users and items that a model is asked about; None = all."""
    kept: KeptPlans | None = None
    """Where plans are kept; None = every plan is made of all subjects."""

    def options_of(self, task: Task) -> TaskOptions:
        """Return the options of one task; its defaults if knowflow.yaml gives none."""
        return self.options.get(task.name) or task.options()

    def inputs_of(self, task: Task) -> Inputs:
        """Return the inputs of a technique's rows.

        Raises:
            WrongUse: The file that lists its entities cannot be used.
        """
        options = self.options_of(task)
        only = listed = None
        if options.only is not None and task.entity == "event":
            listed = listed_events(options.only, self.folder, task)
        elif options.only is not None:
            only = only_entities(options.only, self.folder, task)
        # What asks no model is free, and encoders are fitted on it: it is always whole.
        part = self.slice.subjects(task.entity, self.dataset) if self.slice and task.prompt else None
        only = only if part is None else part if only is None else only & part
        needed = {name: cache(partial(read_task, self.store, name)) for name in task.needs}
        dataset = own_data_of(self.dataset, task.entity) if task.own_data else self.dataset
        return Inputs(dataset, self.domain, options, only, listed, needed)

    def adapter_of(self, task: Task) -> Adapter | None:
        """Return the LoRA adapter of a task, or None.

        Raises:
            WrongUse: Its folder has no adapter, or it is not known what it was tuned on.
        """
        config = self.options_of(task).adapter
        if config is None:
            return None
        return read_adapter(task.name, config.name, config.revision, self.folder / config.path, config.seen_until)

    def identity_of(self, task: Task) -> ModelIdentity:
        """Return which model answers a task, including its adapter, and the newest event that either was tuned on."""
        adapter = self.adapter_of(task)
        if adapter is None:
            return self.engine.identity
        identity = self.engine.identity
        seen = latest(identity.seen_until, adapter.seen_until)
        return replace(identity, adapter=f"{adapter.name}@{adapter.revision}", seen_until=seen)


def read_adapter(
    task: str, name: str, revision: str, folder: Path, said: datetime | Literal["none"] | None = None
) -> Adapter:
    """Load the adapter that a task names.

    Args:
        task: The task.
        name: Name of the adapter.
        revision: Its revision; a fingerprint of its files if empty.
        folder: Its folder.
        said: The newest event that it was tuned on, according to knowflow.yaml.

    Raises:
        WrongUse: Its folder has no adapter, or it is not known what it was tuned on.
    """
    path = folder.resolve()
    if not (path / "adapter_config.json").is_file():
        raise WrongUse(
            f"tasks.{task}.adapter: {path} has no adapter_config.json\n"
            "  set path to the folder that peft's save_pretrained wrote"
        )
    try:
        seen = tuned_until(path, said, f"tasks.{task}.adapter")
    except Unsaid as fault:
        raise WrongUse(str(fault)) from None
    return Adapter(name, revision or fingerprint(path), str(path), seen)


def only_entities(only: EntityList, folder: Path, task: Task) -> frozenset[str]:
    """Read the file that lists the entities to ask about.

    Raises:
        WrongUse: The file or its column is missing.
    """
    if not isinstance(only.column, str):
        raise WrongUse(f"tasks.{task.name}.only.column: has three names\n  give one, of {task.entity} ids")
    (ids,) = _read_columns(only, folder, task, [only.column])
    return frozenset(ids.cast(pl.String).to_list())


def listed_events(only: EntityList, folder: Path, task: Task) -> pl.DataFrame:
    """Read the file that lists the events to ask about: user, item (String), time (Datetime us UTC).

    Raises:
        WrongUse: The file or a column is missing, or a time cannot be read.
    """
    if isinstance(only.column, str):
        raise WrongUse(f"tasks.{task.name}.only.column: has one name\n  give three: [user, item, time] of an event")
    user, item, time = _read_columns(only, folder, task, only.column)
    times, wrong = to_time(time)
    if wrong.any():
        raise WrongUse(f"tasks.{task.name}.only: {wrong.sum():,} values of {only.column[2]} are not a time")
    events = {"user": to_id(user).cast(pl.String), "item": to_id(item).cast(pl.String), "time": times}
    return pl.DataFrame(events).drop_nulls().unique(maintain_order=True)


def _read_columns(only: EntityList, folder: Path, task: Task, columns: Sequence[str]) -> list[pl.Series]:
    path, where = folder / only.path, f"tasks.{task.name}.only"
    if not path.is_file():
        raise WrongUse(f"{where}: there is no file {path}\n  fix the path, or leave `only` out to ask about all")
    table = pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)
    for column in columns:
        if column not in table.columns:
            raise WrongUse(f"{where}: {path} has no column '{column}'\n  it has {', '.join(table.columns)}")
    return [table[column] for column in columns]
