"""The interface of a tuning recipe (what it learns from, its options, its loss, what it exports), and its execution.

`knowflow tune RECIPE` finds the recipes in `tuning/recipes/` and in a team's own folders. A recipe prepares a job: what
decides the result (the plan), and the function that tunes and writes the model. Everything else is shared: the folder,
resuming after a kill, and `seen_until` in knowflow_tuning.json, which is computed from what the recipe read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from base.frozen import Frozen
from base.plugins import Kind
from engines.seen import learnt_until
from tuning.inputs import RecipeInputs, Source
from tuning.workfolder import RESULT, WorkFolder, read_json

O = TypeVar("O", bound=Frozen)  # noqa: E741 - options


@dataclass(frozen=True)
class Line:
    """A line of results."""

    text: str
    """The text to print."""


@dataclass(frozen=True)
class Note:
    """An additional line: what was left out, what to do next."""

    text: str
    """The text to print."""


@dataclass(frozen=True)
class Table:
    """A table of results; its first column is text."""

    title: str
    """The line to print above it."""
    columns: Sequence[str]
    """Its column headings."""
    rows: Sequence[Sequence[object]]
    """Its cells."""


Shown = Line | Note | Table


@dataclass(frozen=True)
class Made(Generic[O]):
    """A finished tuning, for printing."""

    options: O
    """The recipe's options."""

    result: Mapping[str, Any]
    """The content of knowflow_tuning.json."""
    out: Path
    """Its folder, as the user gave it."""
    revision: str
    """Fingerprint of the folder."""


def nothing_more(out: Path) -> None:
    """Write nothing in addition to the tuned model."""


@dataclass(frozen=True)
class Job:
    """A tuning that is ready to start."""

    base: Path
    """Folder of the base model."""
    plan: Mapping[str, Any]
    """Everything that decides what is learned: settings, fingerprint of the model, digests of the data under `data`. A
    stopped tuning resumes only with the same plan."""
    learn: Callable[[WorkFolder], Mapping[str, Any]]
    """Tunes, writes the model to the folder's `out`, and returns what knowflow_tuning.json holds besides the plan."""
    finish: Callable[[Path], None] = nothing_more
    """Called with the finished folder, even if it was finished before: writes the additional outputs."""
    shown: Sequence[Shown] = ()
    """Findings from before the tuning; printed above its results."""


def show_all(made: Made[Any]) -> Iterable[Shown]:
    """Show the results of a recipe that does not define `show`."""
    yield Line(f"tuned {made.out}, revision {made.revision}; events seen until {made.result.get('seen_until')}")


@dataclass(frozen=True)
class Recipe(Generic[O]):
    """One way of tuning. Its docstring (that of its file) has the sections of a technique's."""

    name: str
    """The word after `knowflow tune`."""
    summary: str
    """What it does, in a line."""
    options: type[O]
    """Its options; each field is an option of the command, with its default, its bounds and its docstring."""
    learns_from: tuple[Source, ...]
    """What it reads; the inputs give nothing else."""
    loss: str
    """What it minimises, in a line."""
    exports: str
    """What is written to --out."""
    prepare: Callable[[RecipeInputs, str, O], Job]
    """Reads the inputs and makes the job, from the value of --model and the options."""
    example: str
    """A call that works, from `knowflow` on."""
    model: str | None = None
    """The model that is tuned when --model is left out; None: it has to be named."""
    show: Callable[[Made[O]], Iterable[Shown]] = show_all
    """How its results are shown."""


RECIPES: Kind[Recipe[Any]] = Kind("recipe", "tuning.recipes", Recipe)


def carry_out(
    job: Job, out: Path, *, resume: bool = False, noted: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Do a job and write its folder.

    Killed at any moment, it goes on from its newest checkpoint. Under torchrun every process calls this with the same
    arguments, and the first one writes.

    Args:
        job: The job.
        out: Folder of the tuned model; a new or an empty one, unless it goes on.
        resume: Go on with the tuning that lies in `out`; begin when there is none.
        noted: Kind of data -> facts with the `newest_event` of what the job was made from, as in `RecipeInputs.noted`.

    Returns:
        What knowflow_tuning.json says: the plan, what `learn` returned, and `seen_until`, the newest event that the
        data or the model it began with has seen. Data without times leave it out: whoever uses the model is asked.

    Raises:
        WrongUse: `out` holds something else, or the model cannot be tuned.
    """
    from accelerate import PartialState  # noqa: PLC0415 - takes seconds; wrong input is reported first

    process, folder = PartialState(), WorkFolder(out)
    if process.is_main_process:
        folder.begin(job.plan, resume=resume)
    process.wait_for_everyone()
    if (folder.out / RESULT).is_file():
        result = read_json(folder.out / RESULT)
    else:
        learnt = job.learn(folder)
        seen = learnt_until(job.base, {"data": job.plan.get("data", {}), "inputs": noted or {}})
        result = {**job.plan, **learnt, **seen}
        if process.is_main_process:
            folder.finish(result)
        process.wait_for_everyone()
    if process.is_main_process:
        job.finish(folder.out)
    return result
