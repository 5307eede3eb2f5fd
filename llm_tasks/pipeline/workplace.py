"""All that the stages of a refresh share, and what knowflow.yaml says of each technique."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from feature_store.database import Store
from llm_tasks.engine.fingerprint import fingerprint
from llm_tasks.engine.protocol import Engine
from llm_tasks.pipeline.request import Adapter, ModelIdentity
from llm_tasks.pipeline.task import Inputs, Task, TaskOptions
from prompts.domain import Domain
from sources.tables import Dataset


class OptionFault(Exception):
    """A task's option in knowflow.yaml cannot be used; the text says what to change."""


@dataclass(frozen=True)
class Workplace:
    """All that the stages of a refresh share."""

    dataset: Dataset
    """The user's data."""
    domain: Domain
    """The words of the domain."""
    engine: Engine
    """Who answers."""
    store: Store
    """Where answers, lineage and vectors are kept."""
    options: Mapping[str, TaskOptions]
    """Task name -> options; a missing task has the defaults."""
    folder: Path
    """What relative paths in options are relative to."""

    def options_of(self, task: str) -> TaskOptions:
        """Options of one task."""
        return self.options.get(task, TaskOptions())

    def inputs_of(self, task: Task) -> Inputs:
        """What a technique makes its rows from.

        Raises:
            OptionFault: The file that lists its entities cannot be used.
        """
        options = self.options_of(task.name)
        return Inputs(self.dataset, self.domain, options, only_entities(options, self.folder, task))

    def adapter_of(self, task: str) -> Adapter | None:
        """The LoRA adapter of a task.

        Raises:
            OptionFault: Its folder holds no adapter.
        """
        config = self.options_of(task).adapter
        return read_adapter(task, config.name, config.revision, self.folder / config.path) if config else None

    def identity_of(self, task: str) -> ModelIdentity:
        """Which model answers a task, its adapter among it."""
        adapter = self.adapter_of(task)
        if adapter is None:
            return self.engine.identity
        return replace(self.engine.identity, adapter=f"{adapter.name}@{adapter.revision}")


def read_adapter(task: str, name: str, revision: str, folder: Path) -> Adapter:
    """Find the adapter that a task names.

    Raises:
        OptionFault: Its folder holds no adapter.
    """
    path = folder.resolve()
    if not (path / "adapter_config.json").is_file():
        raise OptionFault(
            f"tasks.{task}.adapter: {path} holds no adapter_config.json\n"
            "  name the folder that peft's save_pretrained wrote"
        )
    return Adapter(name, revision or fingerprint(path), str(path))


def only_entities(options: TaskOptions, folder: Path, task: Task) -> frozenset[str] | None:
    """Read the file that lists the entities to ask about.

    Raises:
        OptionFault: The file or its column is missing.
    """
    if options.only is None:
        return None
    path = folder / options.only.path
    where = f"tasks.{task.name}.only"
    if not path.is_file():
        raise OptionFault(f"{where}: there is no file {path}\n  mend the path, or leave `only` out to ask about all")
    table = pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)
    if options.only.column not in table.columns:
        raise OptionFault(f"{where}: {path} has no column '{options.only.column}'\n  it has {', '.join(table.columns)}")
    return frozenset(table[options.only.column].cast(pl.String).to_list())
