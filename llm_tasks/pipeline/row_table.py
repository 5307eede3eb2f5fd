"""Rows in columns: a technique that has a million rows returns them as one table, which is planned faster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from llm_tasks.pipeline.task import Row


@dataclass(frozen=True)
class RowTable:
    """All rows of a technique that shows texts and reads no other technique; iterating gives them one by one.

    Example:
        >>> from llm_tasks.pipeline.task import EPOCH
        >>> table = RowTable(["7", "8"], [EPOCH, EPOCH], [None, None], {"input": ["Heat", "Fargo"]})
        >>> [(row.entity, row.variables) for row in table]
        [('7', {'input': 'Heat'}), ('8', {'input': 'Fargo'})]
    """

    entity: Sequence[str]
    """Id of each row's item, user, query or event."""
    as_of: Sequence[datetime]
    """The newest event that each row may have seen."""
    seen_until: Sequence[datetime | None]
    """Time of the newest event that each row's variables contain; None if there is none."""
    variables: Mapping[str, Sequence[str]]
    """The variables of the prompt's text, at least one, all of them texts."""
    shorter: Callable[[int], Row | None] | None = None
    """Returns the row of a number showing less, or None; for prompts that would be too long."""

    def __post_init__(self) -> None:
        """Check that all columns are of one length."""
        lengths = {len(self.entity), len(self.as_of), len(self.seen_until), *map(len, self.variables.values())}
        if not self.variables or len(lengths) > 1:
            raise ValueError("a table of rows has at least one variable, and columns of one length")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.entity)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows one by one."""
        return map(self.row, range(len(self)))

    def row(self, number: int) -> Row:
        """Return one row."""
        shorter = self.shorter
        return Row(
            self.entity[number],
            self.as_of[number],
            {name: texts[number] for name, texts in self.variables.items()},
            seen_until=self.seen_until[number],
            shorter=None if shorter is None else lambda: shorter(number),
        )
