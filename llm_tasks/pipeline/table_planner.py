"""Plan the rows of a table: keys are made from texts, without messages where the answer is there already.

Rows for which that might not be exact are planned one by one: those whose texts are changed in a prompt
(`prompts/untrusted.py`), those that may not fit the model's context, and those whose answer is an error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from engines.request import Request, TextKeys, is_utf8
from feature_store.lineage import row_key
from llm_tasks.pipeline.fit import Renderer
from llm_tasks.pipeline.row_planner import PlannedRow, RowPlanner, digest_of_texts
from llm_tasks.pipeline.row_table import RowTable
from prompts.joined import Place
from prompts.untrusted import is_plain

Planned = tuple[PlannedRow, Sequence[Request], bool]
"""A planned row, the requests to send for it, and whether it was shortened."""


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
    places: tuple[tuple[int, Place], ...]
    """Where the messages show variables, in order, each with the number of the variable."""
    keys: TextKeys | None
    """Makes the keys of plain rows; None if no row is plain."""
    room: int | None
    """How many bytes of shown texts are sure to fit the model's context; None = any number."""

    @classmethod
    def of(cls, table: RowTable, planner: RowPlanner, renderer: Renderer) -> "TablePlanner":
        """Prepare for a table."""
        names = tuple(sorted(table.variables))
        parts = renderer.filled.plain_parts(names) or ()
        constant = "".join(text for _, joined in parts for text in joined.constant)
        plain = parts and is_utf8(constant) and planner.candidates == 1 and not planner.retry
        return cls(
            table,
            planner,
            renderer,
            names,
            tuple((names.index(place.name), place) for _, joined in parts for place in joined.places),
            TextKeys(renderer.keys, [(role, joined.constant) for role, joined in parts]) if plain else None,
            renderer.room_for(constant) if plain else None,
        )

    def plan(self) -> Iterator[Planned]:
        """Yield all rows, planned."""
        table, planner, task = self.table, self.planner, self.planner.task.name
        rows = zip(*(table.variables[name] for name in self.names), strict=True)
        for number, texts in enumerate(rows):
            key = self._key(texts)
            if key is None:
                row = table.row(number)
                fitting, request, fault = self.renderer.fitted(row)
                yield *planner.plan(fitting, request, fault), fitting is not row
            elif planner.answers.get(key, "") is not None:  # not asked yet, or an error
                row = table.row(number)
                yield *planner.plan(row, self.renderer.render(row.variables, key), None), False
            else:
                entity, as_of = table.entity[number], planner.dated(table.as_of[number])
                digest = digest_of_texts(self.names, texts)
                known = row_key(task, entity, as_of), entity, as_of, table.seen_until[number], None, key, digest
                yield PlannedRow(*known, "cached", ""), (), False

    def _key(self, texts: Sequence[str]) -> str | None:
        """Return the key of a row's answer; None if the row is not plain, or may be too long."""
        if self.keys is None:
            return None
        shown = []
        for variable, place in self.places:
            text = texts[variable]
            for old, new in place.replaced:
                text = text.replace(old, new)
            if not is_plain(text):
                return None
            try:
                shown.append(orjson.dumps(text)[1:-1])
            except TypeError:  # half of a surrogate pair
                return None
        if self.room is not None and sum(map(len, shown)) > self.room:  # escaped, a text is not shorter than its UTF-8
            return None
        return self.keys.key(shown)
