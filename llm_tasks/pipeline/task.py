"""The interface of a technique: its rows, its prompt, the text to encode. Nothing about engines, stores or batches."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import polars as pl
from pydantic import Field

from base.frozen import Frozen
from engines.seen import SeenUntil
from prompts.domain import Domain
from sources.tables import Dataset

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""`as_of` of knowledge that uses no event, such as facts about an item."""
REAL = ("item", "user", "query", "event")
"""Kinds of entities in the data. The id of an event comes from `sources.tables.event_id`, and its time is `as_of`."""
Entity = str
"""What a row of knowledge is about: one of `REAL`, or a kind that answers create, such as `cluster`."""


class EntityList(Frozen):
    """A file that lists entities."""

    path: str
    """A Parquet or CSV file, relative to knowflow.yaml."""
    column: str | tuple[str, str, str]
    """Its column of ids; for a list of events, its columns of user, item and time."""


class AdapterConfig(Frozen):
    """A LoRA adapter, as peft saves it."""

    name: str
    """Its name, part of every answer's key."""
    path: str
    """Its folder, relative to knowflow.yaml."""
    revision: str = ""
    """Its revision, part of every answer's key; a fingerprint of its files if not given."""
    seen_until: SeenUntil = None
    """Time of the newest event of your data that it was tuned on; `none` if it saw none. Required if its folder has no
    knowflow_tuning.json."""


class TaskOptions(Frozen):
    """Options of every task under `tasks:` in knowflow.yaml; a technique may add its own."""

    prompt_version: int | None = None
    """A fixed version of the prompt; the newest live one if not given."""
    only: EntityList | None = None
    """The entities to ask about; all if not given."""
    encoders: tuple[str, ...] | None = None
    """Encoders for this task's text; all of `encoders:` if not given."""
    adapter: AdapterConfig | None = None
    """A LoRA adapter for this task; the plain model if not given."""
    too_long: Literal["drop_oldest", "error"] = "drop_oldest"
    """What to do with a row that does not fit the model's context: drop its oldest events, or make it an error."""
    budget_weight: float | None = Field(default=None, gt=0)
    """Share of a run's limits, relative to those of other tasks; what a task leaves goes to the others. Without it on
    any task, the first task may spend all."""


class SampledOptions(TaskOptions):
    """Options of a technique that chooses among several answers."""

    candidates: int = Field(default=1, ge=1, le=8)
    """How many answers to sample for each row; the best one is kept."""


Options = TypeVar("Options", bound=TaskOptions)


@dataclass(frozen=True)
class Read:
    """A row of another technique, as read by a technique that needs it."""

    row: str
    """Its key in the lineage."""
    entity: str
    """What it is about."""
    as_of: datetime
    """The newest event behind it, including those its model was tuned on."""
    text: str
    """Its text, as encoded."""
    fields: Any
    """The parsed answer: a text, or the fields of an object; the text if no model was asked."""


@dataclass(frozen=True)
class Reads:
    """All rows of another technique."""

    of_entity: Mapping[str, Sequence[Read]]
    """Entity -> its rows, oldest first."""

    def newest(self, entity: str, before: datetime | None = None) -> Read | None:
        """Return the newest row about an entity; with `before`, the newest one strictly before that moment."""
        rows = self.of_entity.get(entity, ())
        return next((one for one in reversed(rows) if before is None or one.as_of < before), None)

    def all(self) -> Iterator[Read]:
        """Yield the newest row of every entity, in order of the entities."""
        yield from (rows[-1] for _, rows in sorted(self.of_entity.items()))


@dataclass(frozen=True)
class Parts:
    """Several texts of one answer: the whole, and named parts with their own vectors."""

    text: str
    """The text of the row itself."""
    parts: Mapping[str, str | Sequence[str]]
    """Part -> its text, or several texts (a set), each with its own vector. A part without a text has no row."""


@dataclass(frozen=True)
class Row:
    """One thing to ask about: an entity at a moment, and what the prompt may show of it."""

    entity: str
    """Id of the item, user, query or event."""
    as_of: datetime
    """The newest event this row may have seen; only strictly later samples see the row."""
    variables: Mapping[str, Any]
    """Variables of the prompt's text."""
    seen_until: datetime | None = None
    """Time of the newest event that the variables really contain, for a user one of their own; None if there is
    none. Once that event has left the log, the row is withdrawn (`Before.withdrawn`)."""
    reads: Sequence[Read] | None = field(default=None, compare=False, repr=False)
    """Rows of other techniques that the variables contain. A technique with `needs` must give this for every row, () if
    there are none. The row's `as_of` is then at least theirs."""
    choices: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The allowed answers, if each row has its own and the prompt's schema, a `text`, cannot list them. Answers are
    read as with a schema `choice`: any other answer is an error of its row. Empty = any answer."""
    shorter: "Callable[[], Row | None] | None" = field(default=None, compare=False, repr=False)
    """Returns the same row showing less, or None if nothing more can be dropped; for prompts that would be too long."""


@dataclass(frozen=True)
class Inputs:
    """The inputs of a technique's rows."""

    dataset: Dataset
    """The user's events, items, users and queries. Show outcomes only of events whose part is `train`."""
    domain: Domain
    """The words of the domain."""
    options: TaskOptions
    """The task's options in knowflow.yaml; `own_options` returns them in the type that the technique declares."""
    only: frozenset[str] | None = None
    """Entities to ask about; None = all."""
    listed: pl.DataFrame | None = None
    """Events to ask about: user, item (String), time (Datetime us UTC); None = the technique chooses them."""
    needed: Mapping[str, Callable[[], Reads]] = field(default_factory=dict, compare=False, repr=False)
    """Needed technique -> function that reads its stored answers."""

    def answers(self, task: str) -> Reads:
        """Return the stored answers of another technique.

        Args:
            task: Its name, one of this technique's `needs`.

        Raises:
            TypeError: It is not declared: `@llm_task(..., needs=("kar_item",))`.
        """
        if task not in self.needed:
            raise TypeError(f"{task} is read but not declared\n  declare it: @llm_task(..., needs=({task!r},))")
        return self.needed[task]()

    def own_options(self, kind: type[Options]) -> Options:
        """Return the options in the type that the technique declares.

        Raises:
            TypeError: The options are those of another technique.
        """
        if not isinstance(self.options, kind):
            raise TypeError(f"these are {type(self.options).__name__}, not {kind.__name__}")
        return self.options

    def wanted(self, entity: str) -> bool:
        """Return whether to ask about an entity."""
        return self.only is None or entity in self.only


@dataclass(frozen=True)
class Task:
    """A technique that asks a model or, without a prompt, makes its text itself."""

    name: str
    """Name of the technique, its file, its prompt and its vectors."""
    entity: Entity
    """What a row is about."""
    prompt: str | None
    """Task name of the prompt; None if no model is asked, then `variables["text"]` is the text."""
    encode: Callable[[Any], "str | Parts"]
    """Turns a parsed answer into the text to encode, or into several."""
    rows: Callable[[Inputs], Iterable[Row]]
    """Yields the rows, or returns them in columns (`llm_tasks.pipeline.row_table.RowTable`)."""
    lexical_space: str
    """Name of the task on whose texts the lexical encoder is fitted; its own unless it must match another's."""
    decision: str | None = None
    """Variable with the outcome that an answer must conclude with; needed to choose among candidates."""
    opt_in: bool = False
    """Whether it runs only if it is named; all others run if none is named."""
    options: type[TaskOptions] = TaskOptions
    """Its options under `tasks:` in knowflow.yaml."""
    needs: tuple[str, ...] = ()
    """Techniques whose answers it reads; they run before it."""
    parts: tuple[str, ...] = ()
    """Named parts of an answer: `NAME.PART` has its own vectors."""
    own_data: bool = False
    """Whether rows are made of their subject's own data alone; then a refresh plans only subjects that changed."""
    doc: str = field(repr=False, default="")
    """The docstring of the technique's file."""


def answer_text(answer: Any) -> str:
    """Return the text of the answer alone: prompt and history stay out of the vector (KAR, section 4.2).

    Args:
        answer: A text, or the fields of an object, which are joined in order.

    Example:
        >>> answer_text({"mood": ["grim", "slow"], "director": "Jane Doe", "acclaim": 4.5})
        'mood: grim, slow. director: Jane Doe. acclaim: 4.5.'
    """
    if not isinstance(answer, dict):
        return answer
    shown = {name: ", ".join(value) if isinstance(value, list) else value for name, value in answer.items()}
    return " ".join(f"{name}: {value}." for name, value in shown.items() if value not in ("", None))


def llm_task(
    *,
    entity: Entity,
    prompt: str | None,
    encode: Callable[[Any], str | Parts] = answer_text,
    lexical_space: str | None = None,
    decision: str | None = None,
    opt_in: bool = False,
    options: type[TaskOptions] = TaskOptions,
    needs: tuple[str, ...] = (),
    parts: tuple[str, ...] = (),
    creates: bool = False,
    own_data: bool = False,
) -> Callable[[Callable[[Inputs], Iterable[Row]]], Task]:
    """Declare a technique: decorate the function that yields its rows.

    Args:
        entity: What a row is about.
        prompt: Task name of its prompt file, or None if no model is asked.
        encode: Turns a parsed answer into the text to encode.
        lexical_space: Task on whose texts the lexical encoder is fitted, if not its own.
        decision: Variable with the outcome that an answer must conclude with, if there is one.
        opt_in: Run it only if it is named: in knowflow.yaml or with `--task`.
        options: Its options: a subclass of `TaskOptions` in its file, if it has any of its own.
        needs: Techniques whose answers it reads with `inputs.answers(NAME)`; they run before it.
        parts: Names of the parts that `encode` may return, each with its own vectors.
        creates: Whether its rows are about something that answers create, such as clusters or synthetic events, and
            that is not in the data. Such rows never reach samples or evaluations.
        own_data: Whether the rows about an item are made of the item's fields alone, and those about a user of the
            user's fields and events, with the fields of their items. A refresh then plans only subjects that changed,
            and the technique gets no more: for items no events, for users events without their `part` (null).

    Raises:
        ValueError: Of `creates`, `parts`, `decision` and `own_data`, some contradict each other or the entity.

    Example:
        >>> @llm_task(entity="item", prompt="kar_item")
        ... def my_task(inputs):
        ...     yield Row(entity="1", as_of=EPOCH, variables={"input": "Heat (1995)"})
        >>> my_task.name, my_task.entity
        ('my_task', 'item')
    """

    if creates == (entity in REAL):
        what = "is real" if creates else "is not in the data"
        raise ValueError(f"{entity} {what}: pass creates={not creates}, or use {' or '.join(REAL)}")
    if parts and decision is not None:
        raise ValueError("a technique with `decision` has one text per answer: leave out `parts`, or `decision`")
    if own_data and (entity not in ("item", "user") or needs):
        raise ValueError("only rows about items or users that read no other technique can be of their own data alone")

    def declare(rows: Callable[[Inputs], Iterable[Row]]) -> Task:
        module = inspect.getmodule(rows)
        return Task(
            name=rows.__name__,
            entity=entity,
            prompt=prompt,
            encode=encode,
            rows=rows,
            lexical_space=lexical_space or rows.__name__,
            decision=decision,
            opt_in=opt_in,
            options=options,
            needs=needs,
            parts=parts,
            own_data=own_data,
            doc=inspect.getdoc(module) or "" if module else "",
        )

    return declare
