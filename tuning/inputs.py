"""The inputs of a recipe: each part is read when the recipe asks for it, and its newest event is recorded.

A tuned model may be shown only to samples later than the newest event it has seen. A recipe cannot forget this: it gets
its data here, and `seen_until` is computed from what was read here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from base.faults import WrongUse
from base.progress import Progress
from prompts.domain import Domain
from prompts.library import Library
from prompts.notes import Labels, labels_of, notes
from sources.faults import FaultKind
from sources.tables import Dataset
from tuning.config import RewriteConfig, TuningConfig
from tuning.mixture import Mixture, mix
from tuning.note_pairs import TrainingPairs, training_pairs

Source = Literal["events", "instructions", "pairs", "notes", "rewrites"]
"""events: training events; instructions: a file of conversations; pairs: items that people go on to from one another;
notes: texts of items; rewrites: judged rewrites of queries."""


@dataclass(frozen=True)
class JudgedRewrites:
    """Rewrites of training and validation queries; those of test queries are never read."""

    table: pl.DataFrame
    """query, thought, rewrite, place, shown, relevance, increment, hitrate, kept, reward, part."""
    found: pl.DataFrame
    """shown, title: items that users found with training queries."""
    domain: Domain
    """The words of the domain."""
    threshold: float
    """An item is relevant if the relevance model's score is above this."""
    auc: float | None
    """AUC of the relevance model on training queries' items; None if knowflow.yaml sets the threshold."""
    facts: dict[str, Any]
    """The origin of the data, for the record; `newest_event` is null if queries have no times."""

    def part(self, name: str) -> pl.DataFrame:
        """Return the rewrites of training or of validation queries."""
        return self.table.filter(pl.col("part") == name)


@dataclass(frozen=True)
class Notes:
    """Texts of items, and what a language model may learn to write about them."""

    texts: Mapping[str, str]
    """Item -> note."""
    labels: Mapping[str, Labels] | None
    """Item -> its category and hashtags; None if the data has no categories."""
    field: str
    """Name of the category field."""


@dataclass(frozen=True)
class Readers:
    """Functions that read the parts; made by the room that has the config and the store."""

    dataset: Callable[[], Dataset]
    """The user's data."""
    domain: Callable[[], Domain]
    """The words of the domain."""
    library: Library
    """Where the prompts of conversations are looked for."""
    texts: Callable[[str], pl.DataFrame]
    """Texts of a technique about items: entity, as_of, text, known (from when it is known; null: always)."""
    rewrites: Callable[[RewriteConfig, Sequence[Path]], JudgedRewrites]
    """Judged rewrites, from files or from the store."""
    template: Mapping[str, Any]
    """Additional variables of the chat template."""
    skip: Collection[FaultKind]
    """Leave out file rows with faults."""
    progress: Progress
    """Called with the progress of long steps."""


class RecipeInputs:
    """Gives a recipe the data that it declares.

    Args:
        recipe: Name of the recipe, for messages.
        declared: What it learns from.
        readers: Functions that read the parts.
    """

    def __init__(self, recipe: str, declared: Collection[Source], readers: Readers) -> None:
        self._recipe, self._declared, self._readers = recipe, declared, readers
        self._noted: dict[str, Mapping[str, Any]] = {}
        self.template, self.progress, self.library = readers.template, readers.progress, readers.library

    @property
    def noted(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what was read: source -> facts with its `newest_event`."""
        return dict(self._noted)

    def domain(self) -> Domain:
        """Return the words of the domain."""
        return self._readers.domain()

    def items(self) -> pl.DataFrame:
        """Return the catalogue."""
        return self._readers.dataset().items

    def events(self) -> pl.DataFrame:
        """Return the canonical training events."""
        self._allow("events")
        events = self._readers.dataset().events.filter(pl.col("part") == "train")
        self._note("events", events["time"].max())
        return events

    def mixture(self, config: TuningConfig, instructions: Path | None) -> Mixture:
        """Return recommendation rows of training events and general instructions, half and half."""
        self._allow("events")
        if instructions is not None:
            self._allow("instructions")
        found = mix(self._readers.dataset(), self.domain(), config, instructions, self._readers.skip, self.library)
        self._noted["mixture"] = found.facts
        return found

    def pairs(self, *, items: Collection[str], until: datetime | None = None) -> TrainingPairs:
        """Return pairs of items, counted from training events with these items strictly before a moment."""
        self._allow("pairs")
        found = training_pairs(self._readers.dataset(), until=until, items=items)
        self._note("pairs", found.seen_until)
        return found

    def notes(self, *, knowledge: str | None = None, show_fields: bool = True, until: datetime | None = None) -> Notes:
        """Return the notes of all items.

        Args:
            knowledge: A technique about items whose newest texts are added to the notes.
            show_fields: Show the items' fields.
            until: Use only texts that were known strictly before this moment.

        Raises:
            WrongUse: The technique has no such text.
        """
        self._allow("notes")
        dataset = self._readers.dataset()
        rows = dataset.items.to_dicts()
        known = self._knowledge(knowledge, until) if knowledge else {}
        field = next(iter(dataset.category_fields), None)
        texts = notes(rows, self.domain(), known, show_fields=show_fields)
        return Notes(texts, labels_of(rows, field) if field else None, field or "category")

    def rewrites(self, config: RewriteConfig, files: Sequence[Path]) -> JudgedRewrites:
        """Return judged rewrites of training and validation queries, from files or from the store."""
        self._allow("rewrites")
        found = self._readers.rewrites(config, files)
        self._noted["rewrites"] = found.facts
        return found

    def _knowledge(self, task: str, until: datetime | None) -> dict[str, str]:
        """Return item -> newest text of a technique; a text is as new as the newest event it or its model has seen."""
        rows = self._readers.texts(task)
        if until is not None:
            rows = rows.filter(pl.col("known").is_null() | (pl.col("known") < until))
        if rows.is_empty():
            raise WrongUse(f"--knowledge: {task} has no text that was known before --until\n  give a later --until")
        newest = rows.sort("entity", "as_of").unique("entity", keep="last", maintain_order=True)
        self._note("knowledge", newest["known"].max())
        return dict(newest.select("entity", "text").iter_rows())

    def _allow(self, source: Source) -> None:
        if source not in self._declared:
            raise WrongUse(
                f"the recipe {self._recipe} reads {source} without declaring it\n"
                f"  add it to learns_from in the recipe's file"
            )

    def _note(self, source: str, newest: object) -> None:
        if newest is not None:
            self._noted[source] = {"newest_event": str(newest)}
