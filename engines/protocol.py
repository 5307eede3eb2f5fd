"""The seam of an engine: how one is declared, and a stream of requests in, a stream of answers out as they finish."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field, field_validator

from base.faults import WrongUse
from base.frozen import Frozen
from engines.cutoffs import published_cutoff, read_cutoff
from engines.request import Answer, ModelIdentity, Request
from engines.seen import SeenUntil
from prompts.domain import Domain

SecretReader = Callable[[str], str]
"""Reads a stored secret by its name; handed in from `flows`, the only room that knows Prefect."""


class EngineConfig(Frozen):
    """Which engine answers, as knowflow.yaml says it under `engine:`."""

    name: str = "recorded"
    """`recorded`, `vllm`, `openai`, the name of an engine in a folder of your own, or `package.module:Class`."""
    model: str = "recorded"
    """Name of the model, or its folder; the name (for a folder, the folder's own) is part of every answer's key."""
    revision: str = ""
    """Revision of the model's weights, part of every answer's key."""
    knowledge_cutoff: date | None = None
    """Until when the model knows the world: 2023-10-31, or a month such as 2023-10. Kept with every answer, and
    compared with the events: only rows after it are free of what the model knows of their future. Left out: what the
    makers of a known model have published (engines/cutoffs.py), else unknown. No part of any key."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that engine alone; for `recorded`: `files`, prompt name -> Parquet file of its answers; for the others
    see docs/how-to/vllm.md and docs/how-to/openai-server.md."""
    seen_until: SeenUntil = None
    """Time of the newest event of yours that the model was tuned on, such as 2018-09-24T14:27:30Z; `none` = on none.
    Its answers are shown to later samples alone. Needed where a tuned model's folder does not say it, and for a tuned
    model on a server; a model as its makers published it needs none. No part of any key."""

    @property
    def told_until(self) -> datetime | None:
        """That time; None for a model that knows no event."""
        return self.seen_until if isinstance(self.seen_until, datetime) else None

    @field_validator("knowledge_cutoff", mode="before")
    @classmethod
    def _month(cls, value: Any) -> Any:
        return read_cutoff(value) if isinstance(value, str) else value

    @property
    def cutoff(self) -> date | None:
        """The cutoff as it is kept with every answer: what the file says, else what is published of the model."""
        return self.knowledge_cutoff or published_cutoff(self.model)


class EngineFault(WrongUse):
    """An engine cannot be built, or it broke off; the text says why and what to do."""


class Engine(Protocol):
    """Answers requests. Answers may come in any order; each request gets exactly one, if only an error.

    A request that cannot be answered (refused, too long) is an `Answer` with an error and never an exception, so that
    one bad row does not end a batch. Requests are made as they are taken: take only as many as are in flight.
    """

    @property
    def identity(self) -> ModelIdentity:
        """Which model answers."""
        ...

    @property
    def token_counter(self) -> str:
        """How tokens are counted, in plain words for the report."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """Tokens of prompt and answer that fit the model together; None when that is not known."""
        ...

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt exactly as the engine will, chat template included."""
        ...

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer a stream of requests, yielding each answer as it finishes."""
        ...


@dataclass(frozen=True)
class EngineKind:
    """An engine that knowflow.yaml may name: one object at the top of a file.

    Reading it loads no model and no client; `build` imports what the engine needs.
    """

    name: str
    """What stands under `engine.name`."""
    about: str
    """What it is, in one line."""
    options: type[Frozen]
    """Model of what stands under `engine.options`; each field's docstring says what it is for."""
    build: Callable[[EngineConfig, Any, Domain, Path, SecretReader | None], Engine]
    """Makes it: the `engine:` part of knowflow.yaml, its options as read, the words of the domain, the folder that
    relative paths are relative to, and what reads a stored secret. Raises `EngineFault`."""
    page: str = ""
    """Where its options are explained."""
