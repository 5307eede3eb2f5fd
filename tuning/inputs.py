"""What a recipe may learn from: each part is read when the recipe asks for it, and its newest event is noted.

A tuned model is known only to samples later than the newest event it has seen. A recipe cannot forget to say so: it
gets its data here, and what was read here is what `seen_until` is made from.
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
from prompts.notes import Labels, labels_of, notes
from sources.tables import Dataset
from tuning.config import RewriteConfig, TuningConfig
from tuning.mixture import Mixture, mix
from tuning.note_pairs import TrainingPairs, training_pairs

Source = Literal["events", "instructions", "pairs", "notes", "rewrites"]
"""events: training events; instructions: a file of conversations; pairs: items that people go on to from one another;
notes: texts of items; rewrites: judged rewrites of queries."""


@dataclass(frozen=True)
class JudgedRewrites:
    """Rewrites of training and validation queries; those of test queries are not even looked at."""

    table: pl.DataFrame
    """query, thought, rewrite, place, shown, relevance, increment, hitrate, kept, reward, part."""
    found: pl.DataFrame
    """shown, title: what users found with training queries."""
    domain: Domain
    """The words of the domain."""
    threshold: float
    """An item is relevant when the relevance model is above it."""
    auc: float | None
    """How well the relevance model tells training queries' items; None when knowflow.yaml names the threshold."""
    facts: dict[str, Any]
    """Where all this comes from, for the record; `newest_event` is null where queries carry no times."""

    def part(self, name: str) -> pl.DataFrame:
        """The rewrites of training or of validation queries."""
        return self.table.filter(pl.col("part") == name)


@dataclass(frozen=True)
class Notes:
    """Texts of items, and what a language model may learn to write about them."""

    texts: Mapping[str, str]
    """Item -> note."""
    labels: Mapping[str, Labels] | None
    """Item -> its category and hashtags; None where the data has no categories."""
    field: str
    """What the category is called."""


@dataclass(frozen=True)
class Readers:
    """How the parts are read; the room that knows the config and the store makes these."""

    dataset: Callable[[], Dataset]
    """The user's data."""
    domain: Callable[[], Domain]
    """The words of the domain."""
    texts: Callable[[str], pl.DataFrame]
    """Texts of a technique about items: entity, as_of, text, known (when it could be known; null: always)."""
    rewrites: Callable[[RewriteConfig, Sequence[Path]], JudgedRewrites]
    """Rewrites of some files, or of the store, judged."""
    template: Mapping[str, Any]
    """Further variables of the chat template."""
    skip_bad_rows: bool
    """Leave out rows of files with faults."""
    progress: Progress
    """Told how far a long step is."""


class RecipeInputs:
    """Gives a recipe what it declares.

    Args:
        recipe: Its name, for messages.
        declared: What it learns from.
        readers: How the parts are read.
    """

    def __init__(self, recipe: str, declared: Collection[Source], readers: Readers) -> None:
        self._recipe, self._declared, self._readers = recipe, declared, readers
        self._noted: dict[str, Mapping[str, Any]] = {}
        self.template, self.progress = readers.template, readers.progress

    @property
    def noted(self) -> Mapping[str, Mapping[str, Any]]:
        """What was read: source -> facts with its `newest_event`."""
        return dict(self._noted)

    def domain(self) -> Domain:
        """The words of the domain."""
        return self._readers.domain()

    def items(self) -> pl.DataFrame:
        """The catalogue."""
        return self._readers.dataset().items

    def events(self) -> pl.DataFrame:
        """The training events, canonical."""
        self._allow("events")
        events = self._readers.dataset().events.filter(pl.col("part") == "train")
        self._note("events", events["time"].max())
        return events

    def mixture(self, config: TuningConfig, instructions: Path | None) -> Mixture:
        """Recommendation rows of training events and general instructions, half and half."""
        self._allow("events")
        if instructions is not None:
            self._allow("instructions")
        found = mix(self._readers.dataset(), self.domain(), config, instructions, self._readers.skip_bad_rows)
        self._noted["mixture"] = found.facts
        return found

    def pairs(self, *, items: Collection[str], until: datetime | None = None) -> TrainingPairs:
        """Pairs of items, counted from training events with these items strictly before a moment."""
        self._allow("pairs")
        found = training_pairs(self._readers.dataset(), until=until, items=items)
        self._note("pairs", found.seen_until)
        return found

    def notes(self, *, knowledge: str | None = None, show_fields: bool = True, until: datetime | None = None) -> Notes:
        """Notes of all items.

        Args:
            knowledge: A technique about items whose newest texts stand in the notes too.
            show_fields: Show the items' fields.
            until: Only texts that were known strictly before this moment.

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
        """Judged rewrites of training and validation queries, of some files or of the store."""
        self._allow("rewrites")
        found = self._readers.rewrites(config, files)
        self._noted["rewrites"] = found.facts
        return found

    def _knowledge(self, task: str, until: datetime | None) -> dict[str, str]:
        """Item -> newest text of a technique; a text is as new as the newest event that it, or its model, has seen."""
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
                f"the recipe {self._recipe} reads {source} and does not say so\n"
                f"  add it to learns_from: in the recipe's file"
            )

    def _note(self, source: str, newest: object) -> None:
        if newest is not None:
            self._noted[source] = {"newest_event": str(newest)}
