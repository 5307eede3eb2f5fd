"""Plan the rows of a table: keys are made from texts, without messages where the answer is there already.

Rows for which that might not be exact are planned one by one: those whose texts are changed in a prompt
(`prompts/untrusted.py`), those that may not fit the model's context, and those whose answer is an error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from engines.request import Request, TextKeys, is_utf8
from feature_store.lineage import row_key
from llm_tasks.pipeline.before import Status
from llm_tasks.pipeline.fit import Renderer
from llm_tasks.pipeline.row_planner import PlannedRow, RowPlanner, TextDigests
from llm_tasks.pipeline.row_table import RowTable
from prompts.joined import Joined
from prompts.untrusted import is_plain

Planned = tuple[PlannedRow, Sequence[Request], bool]
"""A planned row, the requests to send for it, and whether it was shortened."""
UNKNOWN = ""
"""Stands for the error of an answer that is not there."""


@dataclass(frozen=True)
class TablePlanner:
    """Plans the rows of a table; create it with `of`."""

    table: RowTable
    """The rows."""
    planner: RowPlanner
    """Plans one row."""
    renderer: Renderer
    """Turns one row into its request."""
    names: tuple[str, ...]
    """The names of the variables, sorted."""
    parts: tuple[tuple[str, Joined], ...]
    """Role and text of each message; empty if all rows are planned one by one."""
    places: tuple[int, ...]
    """The number of the variable at each place of the messages, in order."""
    replaced: tuple[tuple[int, tuple[tuple[str, str], ...]], ...]
    """Numbers of places, with what is replaced there."""
    keys: TextKeys
    """Makes the keys of answers."""
    digests: TextDigests
    """Makes the digests of what rows show."""
    room: int | None
    """How many bytes of shown texts are sure to fit the model's context; None = any number."""

    @classmethod
    def of(cls, table: RowTable, planner: RowPlanner, renderer: Renderer) -> "TablePlanner":
        """Prepare for a table."""
        names = tuple(sorted(table.variables))
        parts = renderer.filled.plain_parts(names) or ()
        constant = "".join(text for _, joined in parts for text in joined.constant)
        if not is_utf8(constant) or planner.candidates > 1 or planner.retry:
            parts, constant = (), ""
        keys = TextKeys(renderer.keys, [(role, joined.constant) for role, joined in parts])
        places = [place for _, joined in parts for place in joined.places]
        return cls(
            table,
            planner,
            renderer,
            names,
            parts,
            tuple(names.index(place.name) for place in places),
            tuple((number, place.replaced) for number, place in enumerate(places) if place.replaced),
            keys,
            TextDigests(names),
            renderer.room_for(constant),
        )

    def plan(self) -> Iterator[Planned]:
        """Yield all rows, planned."""
        planner, table, task, answers = self.planner, self.table, self.planner.task.name, self.planner.answers
        columns = zip(table.entity, table.as_of, table.seen_until, strict=True)
        rows = zip(*(table.variables[name] for name in self.names), strict=True)
        for number, ((entity, as_of, seen_until), texts) in enumerate(zip(columns, rows, strict=True)):
            shown = self._shown(texts)
            key = self._key(shown) if self.parts else None
            error = None if key is None else answers.get(key, UNKNOWN)
            if key is None or error:
                yield self._alone(number)
                continue
            known, digest = planner.dated(as_of), self.digests.digest(texts)
            row = row_key(task, entity, known)
            status, why = ("cached", "") if error is None else self._why(row, entity, digest)
            planned = PlannedRow(row, entity, known, seen_until, None, key, digest, status, why)
            yield planned, () if error is None else (self._request(key, shown),), False

    def _why(self, row: str, entity: str, digest: str) -> tuple[Status, str]:
        """Return the status of a row whose answer is not there, and why."""
        before, planner = self.planner.before, self.planner
        return before.status_of(row, entity, digest, planner.prompt, planner.identity, known=False)

    def _alone(self, number: int) -> Planned:
        row = self.table.row(number)
        fitting, request, fault = self.renderer.fitted(row)
        return *self.planner.plan(fitting, request, fault), fitting is not row

    def _shown(self, texts: Sequence[str]) -> list[str]:
        """Return the text at each place of the messages, in order."""
        shown = [texts[number] for number in self.places]
        for number, replaced in self.replaced:  # in most prompts nothing
            for old, new in replaced:
                shown[number] = shown[number].replace(old, new)
        return shown

    def _key(self, shown: Sequence[str]) -> str | None:
        """Return the key of a row's answer; None if the row is not plain, or may be too long."""
        for text in shown:
            if not is_plain(text):
                return None
        try:
            written = [orjson.dumps(text)[1:-1] for text in shown]
        except TypeError:  # half of a surrogate pair
            return None
        # What JSON writes is never shorter than UTF-8.
        return None if self.room is not None and sum(map(len, written)) > self.room else self.keys.key(written)

    def _request(self, key: str, shown: Sequence[str]) -> Request:
        messages, texts = [], iter(shown)
        for role, joined in self.parts:
            content = joined.begin + "".join(next(texts) + place.after for place in joined.places)
            messages.append({"role": role, "content": content})
        return self.renderer.request_of(key, messages)
