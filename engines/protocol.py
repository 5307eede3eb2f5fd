"""The interface of an engine: its declaration, and a stream of requests in, a stream of answers out."""

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

KEPT = "the answers so far are kept; run the same command again to continue"
"""Ends the message of a run that stops early."""
SecretReader = Callable[[str], str]
"""Reads a stored secret by name; passed in from `flows`, the only room that uses Prefect."""


class EngineConfig(Frozen):
    """Which engine answers: `engine:` in knowflow.yaml."""

    name: str = "recorded"
    """`recorded`, `vllm`, `openai`, the name of an engine in a folder of your own, or `package.module:Class`."""
    model: str = "recorded"
    """Name of the model, or its folder; the name (the last part of a folder's path) is part of every answer's key."""
    revision: str = ""
    """Revision of the model's weights, part of every answer's key."""
    knowledge_cutoff: date | None = None
    """Knowledge cutoff of the model: 2023-10-31, or a month such as 2023-10. Stored with every answer and compared with
    the events: only rows after it are free of what the model knows about their future. If not given: what the makers
    of a known model have published (engines/cutoffs.py), else unknown. Not part of any key."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that engine; for `recorded`: `files`, prompt name -> Parquet file of its answers; for the others see
    docs/how-to/vllm.md and docs/how-to/openai-server.md."""
    seen_until: SeenUntil = None
    """Time of the newest event of your data that the model was tuned on, such as 2018-09-24T14:27:30Z; `none` if it saw
    none. Its answers are shown only to later samples. Required if a tuned model's folder does not record it, and for a
    tuned model on a server; a model as published by its makers needs none. Not part of any key."""
    stop_after_failures: int = Field(default=32, ge=0)
    """Stop asking when the first answers of a technique, this many, all end in the same error; 0 = never."""

    @property
    def told_until(self) -> datetime | None:
        """Return `seen_until` as a time; None for a model that has seen no event."""
        return self.seen_until if isinstance(self.seen_until, datetime) else None

    @field_validator("knowledge_cutoff", mode="before")
    @classmethod
    def _month(cls, value: Any) -> Any:
        return read_cutoff(value) if isinstance(value, str) else value

    @property
    def cutoff(self) -> date | None:
        """Return the cutoff stored with every answer: the configured one, else the published one."""
        return self.knowledge_cutoff or published_cutoff(self.model)


class EngineFault(WrongUse):
    """An engine cannot be built, or it failed; the text says why and what to do."""


class Engine(Protocol):
    """Answers requests. Answers may come in any order; each request gets exactly one, possibly an error.

    A request that cannot be answered (refused, too long) gets an `Answer` with an error, never an exception, so that
    one bad row does not end a batch. Requests are built when they are taken: take only as many as are in flight.

    An engine that answers without cost may say so with an attribute `costs_nothing = True`: then a run goes on even if
    all its rows end in the same error. One that can answer some requests only, such as `recorded`, may say which it
    cannot with a method `unanswered(keys)`, which returns how many of these keys have no answer: then `plan` shows it.
    One that needs a server or files may have a method `reachable()` for `knowflow doctor`: it looks without a call that
    costs, returns what it found in words, and raises `EngineFault` if no row could be answered.
    One that knows the tokenizer may give its special tokens with an attribute `special_tokens`; without it, those of
    the known families of models are kept out of data. One that takes several requests before its first answer may say
    how many with an attribute `in_flight`: a limit that these exceed is refused before they are paid for.
    One that knows the tokens of unfinished answers may have a method `watch(call)`: during `generate` it calls `call`
    about once a second with all tokens written so far in that run, for the progress bar; `watch(None)` ends it.
    """

    @property
    def identity(self) -> ModelIdentity:
        """Return which model answers."""
        ...

    @property
    def token_counter(self) -> str:
        """Describe how tokens are counted, for the report."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """Return how many tokens of prompt and answer fit the model together; None if unknown."""
        ...

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Count the tokens of a rendered prompt as the engine will, including the chat template."""
        ...

    def generate(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answer a stream of requests, yielding each answer as it finishes."""
        ...


def special_tokens(engine: Engine) -> tuple[str, ...]:
    """Return the special tokens that an engine says its tokenizer has; none if it does not say."""
    return tuple(getattr(engine, "special_tokens", ()))


def in_flight(engine: Engine) -> int:
    """Return how many requests an engine takes before its first answer; 1 if it does not say."""
    return int(getattr(engine, "in_flight", 1))


@dataclass(frozen=True)
class EngineKind:
    """An engine that knowflow.yaml can name: one object at the top of a file.

    Importing it loads no model and no client; `build` imports what the engine needs.
    """

    name: str
    """The value of `engine.name`."""
    about: str
    """A description in one line."""
    options: type[Frozen]
    """Model of `engine.options`; each field has a docstring."""
    build: Callable[[EngineConfig, Any, Domain, Path, SecretReader | None], Engine]
    """Builds the engine from the `engine:` part of knowflow.yaml, its validated options, the words of the domain, the
    base folder of relative paths, and a reader of stored secrets. Raises `EngineFault`."""
    page: str = ""
    """The page that explains its options."""
