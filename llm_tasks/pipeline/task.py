"""The seam of a technique: which rows, which prompt, what text is encoded. Nothing about engines, stores or batches."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.domain import Domain
from sources.tables import Dataset

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""`as_of` of knowledge that rests on no event at all, such as facts about an item."""
Entity = Literal["item", "user", "query"]


class EntityList(BaseModel):
    """A file that lists entities."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    path: str
    """A Parquet or CSV file, relative to knowflow.yaml."""
    column: str
    """Its column of ids."""


class TaskOptions(BaseModel):
    """What knowflow.yaml may say of one task, under `tasks:`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    prompt_version: int | None = None
    """A fixed version of the prompt; the newest active one when left out."""
    only: EntityList | None = None
    """The entities to ask about; all when left out."""
    history_length: int = Field(default=20, ge=1)
    """How many events of a user's history a prompt shows, the newest ones."""
    snapshots: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0,), min_length=1)
    """At which shares of a user's log (by position) the user is asked about; 1.0 is today."""
    encoders: tuple[str, ...] | None = None
    """Encoders for this task's text; all of `encoders:` when left out."""


@dataclass(frozen=True)
class Row:
    """One thing to ask about: an entity at a moment, and what the prompt may see of it."""

    entity: str
    """Id of the item, user or query."""
    as_of: datetime
    """The newest event this row may have seen; a sample sees the row only when strictly later."""
    variables: Mapping[str, Any]
    """What the prompt's text may use."""
    seen_until: datetime | None = None
    """Time of the newest event that really stands in the variables, for a user one of its own; None when there is
    none. Once that event has left the log, the row is withdrawn (`Before.withdrawn`)."""


@dataclass(frozen=True)
class Inputs:
    """What a technique's rows are made from."""

    dataset: Dataset
    """The user's events, items, users and queries."""
    domain: Domain
    """The words of the domain."""
    options: TaskOptions
    """What knowflow.yaml says of this task."""
    only: frozenset[str] | None = None
    """Entities to ask about; None = all."""

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
    encode: Callable[[str], str]
    """Turns a parsed answer into the text that is encoded."""
    rows: Callable[[Inputs], Iterator[Row]]
    """Yields the rows."""
    lexical_space: str
    """Name of the task on whose texts the lexical encoder is fitted; its own unless it must match another's."""
    doc: str = field(repr=False, default="")
    """The docstring of the technique's file."""


def answer_text(answer: str) -> str:
    """Encode the answer as it is: prompt and history stay out of the vector (KAR, section 4.2)."""
    return answer


def llm_task(
    *, entity: Entity, prompt: str | None, encode: Callable[[str], str] = answer_text, lexical_space: str | None = None
) -> Callable[[Callable[[Inputs], Iterator[Row]]], Task]:
    """Declare a technique: decorate the function that yields its rows.

    Args:
        entity: What a row is about.
        prompt: Task name of its prompt file, or None when no model is asked.
        encode: Turns a parsed answer into the text that is encoded.
        lexical_space: Task on whose texts the lexical encoder is fitted, when not on its own.

    Example:
        >>> @llm_task(entity="item", prompt="kar_item")
        ... def my_task(inputs):
        ...     yield Row(entity="1", as_of=EPOCH, variables={"input": "Heat (1995)"})
        >>> my_task.name, my_task.entity
        ('my_task', 'item')
    """

    def declare(rows: Callable[[Inputs], Iterator[Row]]) -> Task:
        module = inspect.getmodule(rows)
        return Task(
            name=rows.__name__,
            entity=entity,
            prompt=prompt,
            encode=encode,
            rows=rows,
            lexical_space=lexical_space or rows.__name__,
            doc=inspect.getdoc(module) or "" if module else "",
        )

    return declare
