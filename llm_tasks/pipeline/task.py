"""The seam of a technique: which rows, which prompt, what text is encoded. Nothing about engines, stores or batches."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""`as_of` of knowledge that rests on no event at all, such as facts about an item."""
REAL = ("item", "user", "query", "event")
"""What the data holds. An event is named by `sources.tables.event_id`, and its time is `as_of`."""
Entity = str
"""What a row of knowledge is about: one of `REAL`, or a kind that answers create, such as `cluster`."""


class EntityList(Frozen):
    """A file that lists entities."""

    path: str
    """A Parquet or CSV file, relative to knowflow.yaml."""
    column: str | tuple[str, str, str]
    """Its column of ids; where events are listed, its columns of user, item and time."""


class AdapterConfig(Frozen):
    """A LoRA adapter, as peft saves it."""

    name: str
    """Its name, part of every answer's key."""
    path: str
    """Its folder, relative to knowflow.yaml."""
    revision: str = ""
    """Its revision, part of every answer's key; a fingerprint of its files when left out."""
    seen_until: SeenUntil = None
    """Time of the newest event of yours that it was tuned on; `none` = on none. Needed where its folder has no
    knowflow_tuning.json that says it."""


class TaskOptions(Frozen):
    """What knowflow.yaml may say of every task, under `tasks:`; a technique adds options of its own."""

    prompt_version: int | None = None
    """A fixed version of the prompt; the newest active one when left out."""
    only: EntityList | None = None
    """The entities to ask about; all when left out."""
    encoders: tuple[str, ...] | None = None
    """Encoders for this task's text; all of `encoders:` when left out."""
    adapter: AdapterConfig | None = None
    """A LoRA adapter for this task; the model as it is when left out."""
    too_long: Literal["drop_oldest", "error"] = "drop_oldest"
    """What becomes of a row that does not fit the model's context: its oldest events are dropped, or it is an error."""


class SampledOptions(TaskOptions):
    """Options of a technique that chooses among several answers."""

    candidates: int = Field(default=1, ge=1, le=8)
    """How many answers are sampled for each row; the best one is kept."""


Options = TypeVar("Options", bound=TaskOptions)


@dataclass(frozen=True)
class Read:
    """A row of another technique, as a technique that needs it reads it."""

    row: str
    """Its key in the lineage."""
    entity: str
    """What it is about."""
    as_of: datetime
    """The newest event behind it, that of its model's tuning among them."""
    text: str
    """Its text, as it is encoded."""
    fields: Any
    """The parsed answer: a text, or the fields of an object; the text where no model was asked."""


@dataclass(frozen=True)
class Reads:
    """All rows of another technique."""

    of_entity: Mapping[str, Sequence[Read]]
    """Entity -> its rows, the oldest first."""

    def newest(self, entity: str, before: datetime | None = None) -> Read | None:
        """The newest row about an entity; with `before`, the newest one known strictly before that moment."""
        rows = self.of_entity.get(entity, ())
        return next((one for one in reversed(rows) if before is None or one.as_of < before), None)

    def all(self) -> Iterator[Read]:
        """The newest row of every entity, in the order of the entities."""
        yield from (rows[-1] for _, rows in sorted(self.of_entity.items()))


@dataclass(frozen=True)
class Parts:
    """Several texts of one answer: the whole, and named parts with vectors of their own."""

    text: str
    """The text of the row itself."""
    parts: Mapping[str, str | Sequence[str]]
    """Part -> its text; or several texts, a set, of which each has a vector. A part without a text has no row."""


@dataclass(frozen=True)
class Row:
    """One thing to ask about: an entity at a moment, and what the prompt may see of it."""

    entity: str
    """Id of the item, user, query or event."""
    as_of: datetime
    """The newest event this row may have seen; a sample sees the row only when strictly later."""
    variables: Mapping[str, Any]
    """What the prompt's text may use."""
    seen_until: datetime | None = None
    """Time of the newest event that really stands in the variables, for a user one of its own; None when there is
    none. Once that event has left the log, the row is withdrawn (`Before.withdrawn`)."""
    reads: Sequence[Read] | None = field(default=None, compare=False, repr=False)
    """What of other techniques stands in the variables. A technique with `needs` says it of every row, if only that it
    is nothing: (). The row's `as_of` is then at least theirs."""
    choices: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The answers there are for this row, where each row has its own and the prompt's schema, a `text`, cannot list
    them. An answer is read as one of a schema `choice`: another one is an error of its row. Empty = any answer."""
    shorter: "Callable[[], Row | None] | None" = field(default=None, compare=False, repr=False)
    """Makes the same row with less to show, or None when nothing more can go; for prompts that would be too long."""


@dataclass(frozen=True)
class Inputs:
    """What a technique's rows are made from."""

    dataset: Dataset
    """The user's events, items, users and queries. Outcomes are shown of events whose part is `train` alone."""
    domain: Domain
    """The words of the domain."""
    options: TaskOptions
    """What knowflow.yaml says of this task; `own_options` has the type that the technique declares."""
    only: frozenset[str] | None = None
    """Entities to ask about; None = all."""
    listed: pl.DataFrame | None = None
    """Events to ask about: user, item (String), time (Datetime us UTC); None = the technique chooses them."""
    needed: Mapping[str, Callable[[], Reads]] = field(default_factory=dict, compare=False, repr=False)
    """Technique that is needed -> reads what it has on record."""

    def answers(self, task: str) -> Reads:
        """What another technique has on record.

        Args:
            task: Its name, one of the technique's `needs`.

        Raises:
            TypeError: It is not declared: `@llm_task(..., needs=("kar_item",))`.
        """
        if task not in self.needed:
            raise TypeError(f"{task} is read and not declared: @llm_task(..., needs=({task!r},))")
        return self.needed[task]()

    def own_options(self, kind: type[Options]) -> Options:
        """The options as the technique declares them.

        Raises:
            TypeError: They are of another technique.
        """
        if not isinstance(self.options, kind):
            raise TypeError(f"these are {type(self.options).__name__}, not {kind.__name__}")
        return self.options

    def wanted(self, entity: str) -> bool:
        """Say whether an entity is to be asked about."""
        return self.only is None or entity in self.only


@dataclass(frozen=True)
class Task:
    """A technique that asks a model, or (without a prompt) one that makes its text itself."""

    name: str
    """Name of the technique, the same as its file, its prompt and its vectors."""
    entity: Entity
    """What a row is about."""
    prompt: str | None
    """Task name of the prompt; None when no model is asked, then `variables["text"]` is the text."""
    encode: Callable[[Any], "str | Parts"]
    """Turns a parsed answer into the text that is encoded, or into several."""
    rows: Callable[[Inputs], Iterator[Row]]
    """Yields the rows."""
    lexical_space: str
    """Name of the task on whose texts the lexical encoder is fitted; its own unless it must match another's."""
    decision: str | None = None
    """Variable with the outcome that an answer must come to; a technique that has one can choose among candidates."""
    opt_in: bool = False
    """Whether it runs only where it is named; of the others all run where none is named."""
    options: type[TaskOptions] = TaskOptions
    """What knowflow.yaml may say of it under `tasks:`."""
    needs: tuple[str, ...] = ()
    """Techniques whose answers it reads; they run before it."""
    parts: tuple[str, ...] = ()
    """Named parts of an answer: `NAME.PART` has vectors of its own."""
    doc: str = field(repr=False, default="")
    """The docstring of the technique's file."""


def answer_text(answer: Any) -> str:
    """Encode the answer alone: prompt and history stay out of the vector (KAR, section 4.2).

    Args:
        answer: A text, or the fields of an object, which are written one after the other.

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
) -> Callable[[Callable[[Inputs], Iterator[Row]]], Task]:
    """Declare a technique: decorate the function that yields its rows.

    Args:
        entity: What a row is about.
        prompt: Task name of its prompt file, or None when no model is asked.
        encode: Turns a parsed answer into the text that is encoded.
        lexical_space: Task on whose texts the lexical encoder is fitted, when not on its own.
        decision: Variable with the outcome that an answer must come to, when there is one.
        opt_in: Run it only where it is named: in knowflow.yaml or by `--task`.
        options: Its options: a subclass of `TaskOptions` in its file, when it has any of its own.
        needs: Techniques whose answers it reads by `inputs.answers(NAME)`; they run before it.
        parts: Names of the parts that `encode` may give, each with vectors of its own.
        creates: Whether its rows are about something that answers create, such as clusters or synthetic events, and
            that the data does not hold. Such rows never meet samples or evaluations.

    Raises:
        ValueError: An entity that the data does not hold is not declared, or the other way round; or a technique that
            chooses among answers has parts.

    Example:
        >>> @llm_task(entity="item", prompt="kar_item")
        ... def my_task(inputs):
        ...     yield Row(entity="1", as_of=EPOCH, variables={"input": "Heat (1995)"})
        >>> my_task.name, my_task.entity
        ('my_task', 'item')
    """

    if creates == (entity in REAL):
        what = "is real" if creates else "is not in the data"
        raise ValueError(f"{entity} {what}: say creates={not creates}, or name {' or '.join(REAL)}")
    if parts and decision is not None:
        raise ValueError("a technique that chooses among several answers has one text an answer, and no parts")

    def declare(rows: Callable[[Inputs], Iterator[Row]]) -> Task:
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
            doc=inspect.getdoc(module) or "" if module else "",
        )

    return declare
