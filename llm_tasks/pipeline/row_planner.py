"""Plan one row: whether its answer exists, whether to ask for it, and why."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from json.encoder import encode_basestring_ascii
from types import MappingProxyType
from typing import Any, NamedTuple

from base.failures import kind_of, next_attempt
from engines.request import ModelIdentity, Request, candidates_of
from feature_store.answers import Tried
from feature_store.lineage import EPOCH, row_key
from feature_store.vectors import text_key
from llm_tasks.pipeline.before import Before, Status
from llm_tasks.pipeline.task import Parts, Row, Task
from prompts.prompt import Prompt

AGAIN = "the error is to be retried"
"""Begins the reason of a row whose stored error is asked again."""
SERVER = "the server failed last time"
"""Begins the reason of a row whose stored error was the server's, not its own."""
NO_PARTS: Mapping[str, str | Sequence[str]] = MappingProxyType({})
"""The parts of a row that has none."""


class PlannedRow(NamedTuple):
    """One planned row of knowledge; what its prompt shows is not kept, so that millions of rows fit in memory."""

    row: str
    """Row key: task, entity and as_of."""
    entity: str
    """Id of the item, user, query or event."""
    as_of: datetime
    """The newest event the row may have seen."""
    seen_until: datetime | None
    """The newest event that the prompt really contains."""
    text: str | None
    """The text itself if no model is asked."""
    answer_key: str | None
    """Key of its answer; None if no model is asked or the prompt cannot be sent."""
    input_digest: str
    """Hash of what the prompt shows."""
    status: Status
    """cached: already answered; failed: an error is stored, or the prompt cannot be sent; new or changed: to be
    asked."""
    why: str
    """Why it must be asked, or why it failed."""
    candidates: tuple[str, ...] = ()
    """Keys of all its answers if several are sampled and the best is kept; the first is `answer_key`."""
    shown: Mapping[str, Any] | None = None
    """What its prompt shows; kept only to compare candidates with it."""
    reads: str | None = None
    """Keys of the rows of other techniques that it read, as a JSON list; None if its technique reads none."""
    parts: Mapping[str, str | Sequence[str]] = NO_PARTS
    """Texts of its parts if no model is asked."""
    choices: tuple[str, ...] = ()
    """The allowed answers, if each row has its own; empty = any."""
    waits_until: datetime | None = None
    """When a row whose error was the server's is asked again; None if it does not wait."""


@dataclass(frozen=True)
class RowPlanner:
    """Compares the rows that one technique yields with what the store holds."""

    task: Task
    """The technique."""
    prompt: Prompt | None
    """Its prompt; None if no model is asked."""
    identity: ModelIdentity
    """Which model answers."""
    before: Before
    """The technique's current lineage."""
    answers: Mapping[str, str | None]
    """Every stored answer key -> its error, None where the model answered."""
    tried: Mapping[str, Tried]
    """Key of every stored error -> how often it was asked."""
    now: datetime
    """The present: rows whose error was the server's wait before they are asked again."""
    retry: frozenset[str]
    """Kinds of errors that are asked again; `all` is every kind."""
    candidates: int
    """Number of answers for each row."""
    seen_until: datetime | None
    """The newest event that its model was tuned on, unless its rows are about events; see `known_from`."""

    def plan(self, row: Row, request: Request | None, fault: str | None) -> tuple[PlannedRow, Sequence[Request]]:
        """Plan one row.

        Args:
            row: The row.
            request: Its request; None if no model is asked.
            fault: Why it cannot be asked; None if it can.

        Returns:
            The planned row, and the requests to send for it.
        """
        row, digest = known_from(row, self.seen_until), digest_of(row.variables)
        key = row_key(self.task.name, row.entity, row.as_of)
        if fault:
            return PlannedRow(key, row.entity, row.as_of, row.seen_until, None, None, digest, "failed", fault), ()
        text, parts, several = None, NO_PARTS, self.candidates > 1
        asked = () if request is None else candidates_of(request, self.identity, self.candidates)
        if request is None:
            made = self.task.encode(row.variables["text"])
            text, parts = (made.text, made.parts) if isinstance(made, Parts) else (made, NO_PARTS)
            known = self.before.text_keys.get(key) == text_key(text)
        else:
            known = all(one.key in self.answers for one in asked)
        status, why = self._status(key, row, digest, asked, known=known)
        waits_until = self._waits_until(asked) if status == "failed" and kind_of(why).passes else None
        planned = PlannedRow(
            key,
            row.entity,
            row.as_of,
            row.seen_until,
            text,
            request.key if request else None,
            digest,
            status,
            why,
            tuple(one.key for one in asked) if several else (),
            row.variables if several else None,
            None if row.reads is None else json.dumps(sorted({one.row for one in row.reads})),
            parts,
            row.choices,
            waits_until,
        )
        if status not in ("new", "changed"):
            return planned, ()
        # Ask for the missing candidates; if all are stored, this is a retry of all of them.
        return planned, [one for one in asked if known or one.key not in self.answers]

    def dated(self, as_of: datetime) -> datetime:
        """Return the `as_of` of a row; see `known_from`."""
        return as_of if self.seen_until is None else max(as_of, self.seen_until)

    def _status(self, key: str, row: Row, digest: str, asked: Sequence[Request], *, known: bool) -> tuple[Status, str]:
        errors = [self.answers[one.key] for one in asked if known]
        error = errors[0] if errors and None not in errors else None  # one answered candidate is enough
        if error is not None:
            if self.retry & {"all", error}:
                return "changed", f"{AGAIN}: {error}"
            until = self._waits_until(asked) if kind_of(error).passes and not self.retry else None
            return ("changed", f"{SERVER}: {error}") if until is not None and until <= self.now else ("failed", error)
        if known and key in self.before.unparsed and self.retry & {"all", "parse"}:
            return "changed", f"{AGAIN}: parse"
        return self.before.status_of(key, row.entity, digest, self.prompt, self.identity, known=known)

    def _waits_until(self, asked: Sequence[Request]) -> datetime | None:
        """Return when a row that failed may be asked again; None if it was asked often enough.

        A time that lies in the future, because the clock has jumped back, keeps no row waiting.
        """
        tried = [self.tried[one.key] for one in asked if one.key in self.tried]
        last = max((one.last for one in tried if one.last <= self.now), default=EPOCH)
        return next_attempt(max(one.attempts for one in tried), last) if tried else None


def known_from(row: Row, model_seen_until: datetime | None) -> Row:
    """Date a row by what its model was tuned on: anything such a model says may reveal those events.

    Rows about events keep the time of their event, which identifies them; code that shows them also checks
    `model_seen_until`.
    """
    if model_seen_until is None or model_seen_until <= row.as_of:
        return row
    return replace(row, as_of=model_seen_until)


def digest_of(variables: Mapping[str, Any]) -> str:
    """Return the digest of what a prompt shows: the hash of its JSON.

    Example:
        >>> digest_of({"input": "Heat (1995)"}) == TextDigests(["input"]).digest(["Heat (1995)"])
        True
    """
    shown = json.dumps(dict(variables), sort_keys=True, default=str)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


class TextDigests:
    """Makes the digests of many rows that show texts under the same names; see `digest_of`.

    Args:
        names: The names of the variables, sorted.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._before = [f"{', ' if place else '{'}{json.dumps(name)}: " for place, name in enumerate(names)]

    def digest(self, texts: Sequence[str]) -> str:
        """Return the digest of one row, given the text of each variable."""
        shown = [before + encode_basestring_ascii(text) for before, text in zip(self._before, texts, strict=True)]
        return hashlib.sha256(f"{''.join(shown)}}}".encode("ascii")).hexdigest()[:16]
