"""The lineage of one technique before a refresh: how its rows were made, and which of them no longer hold."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import polars as pl

from engines.request import ModelIdentity
from feature_store.database import Store
from feature_store.lineage import read_lineage
from prompts.prompt import Prompt
from sources.tables import Dataset, event_of

Status = Literal["cached", "new", "changed", "failed"]
COLUMNS = [
    "row",
    "entity",
    "entity_type",
    "as_of",
    "seen_until",
    "prompt_digest",
    "input_digest",
    "model",
    "model_seen_until",
    "answer_key",
    "text_key",
    "error",
    "reads",
]


@dataclass(frozen=True)
class Before:
    """The lineage of one technique before a refresh."""

    table: pl.DataFrame
    """Its rows, with the columns in `COLUMNS`."""

    @classmethod
    def read(cls, store: Store, task: str) -> "Before":
        """Read the lineage of one technique."""
        return cls(read_lineage(store, [task], COLUMNS))

    def without(self, rows: pl.Series) -> "Before":
        """Return all other rows.

        Args:
            rows: Hashes of the keys of rows.
        """
        return Before(self.table.filter(~pl.col("row").hash(0).is_in(rows.implode())))

    @cached_property
    def made(self) -> Mapping[str, tuple[str, str, str]]:
        """Return row key -> prompt digest, input digest, model."""
        return {r[0]: r[1:] for r in self.table.select("row", "prompt_digest", "input_digest", "model").iter_rows()}

    @cached_property
    def text_keys(self) -> Mapping[str, str]:
        """Return row key -> key of its text."""
        return dict(self.table.select("row", "text_key").iter_rows())

    @cached_property
    def entities(self) -> frozenset[str]:
        """Return the entities that have a row."""
        return frozenset(self.table["entity"])

    @cached_property
    def unparsed(self) -> frozenset[str]:
        """Return the keys of rows whose answer could not be parsed."""
        return frozenset(self.table.filter(pl.col("error").str.starts_with("parse"))["row"])

    def status_of(
        self, row: str, entity: str, digest: str, prompt: Prompt | None, model: ModelIdentity, *, known: bool
    ) -> tuple[Status, str]:
        """Return whether a row is cached, new or changed, and why."""
        if known:
            return "cached", ""
        if row in self.made:
            was_prompt, was_input, was_model = self.made[row]
            reasons = [
                ("the prompt's text, sampling or schema", prompt is not None and was_prompt != prompt.digest),
                ("what the prompt shows", was_input != digest),
                ("the model", prompt is not None and was_model != model_name(model)),
            ]
            changed = [what for what, differs in reasons if differs]
            return "changed", " and ".join(changed) + " changed" if changed else "its answer is missing"
        if entity in self.entities:
            return "changed", "have new events"
        return "new", "were never asked"

    def withdrawn(
        self,
        wanted: Collection[str],
        dataset: Dataset,
        model: ModelIdentity,
        there: Collection[str] = frozenset(),
    ) -> tuple[str, ...]:
        """Find rows that a technique no longer yields and that the data, or their own times, contradict.

        A row that a technique no longer yields is usually an old snapshot. It is kept, because what was known then
        stays known: a sample between it and the next snapshot sees it. Also kept are rows of users and items that
        have left the data (no sample asks for them) and rows from before a user's first event (data may be a sliding
        window). These rows are withdrawn:

        - The event at `seen_until` was deleted or its time corrected, although the log covers that moment. The row
          would count as newer than its replacement, and samples would get what the data now contradicts.
        - The row has seen something later than its own `as_of`, so it leaks: a technique made it and was fixed since.
        - The row is about an event, so it contains the outcome, and the event is no longer a training event or is
          gone from a moment that the log covers.
        - The row is dated by the tuning of a model that is no longer used. It is not a snapshot of anything and would
          count as newer than the current answers.
        - The row read rows of other techniques that no longer exist.

        Withdrawn rows are deleted from the lineage, so the next release is without them; earlier releases keep them.

        Args:
            wanted: Row keys that the technique yields now; these are never withdrawn.
            dataset: The data as it is now.
            model: Which model answers now.
            there: Row keys in the lineage of the techniques that this one reads.

        Returns:
            Row keys.
        """
        unwanted = self.table.filter([row not in wanted for row in self.table["row"].to_list()])
        if unwanted.is_empty():
            return ()
        by_tuning = (pl.col("as_of") == pl.col("model_seen_until")) & (pl.col("entity_type") != "event")
        replaced = unwanted.filter(by_tuning & (pl.col("model") != model_name(model)))
        old = unwanted.filter(pl.col("seen_until").is_not_null())
        leaking = old.filter(pl.col("seen_until") > pl.col("as_of"))
        of_users = old.filter(pl.col("entity_type") == "user").select("row", user="entity", time="seen_until")
        of_events = _events_of(old.filter(pl.col("entity_type") == "event"))
        about = pl.concat([of_users.select("user"), of_events.select("user")])
        events = dataset.events.join(about, on="user", how="semi")
        first = events.group_by("user").agg(pl.col("time").min().alias("first"))
        covered = of_users.join(first, on="user").filter(pl.col("time") >= pl.col("first"))
        denied = covered.join(events, on=["user", "time"], how="anti")
        withdrawn = {*leaking["row"], *denied["row"], *replaced["row"]}
        if len(of_events):
            training = events.filter(pl.col("part") == "train")
            told = of_events.join(first, on="user").filter(pl.col("time") >= pl.col("first"))
            withdrawn |= {*told.join(training, on=["user", "item", "time"], how="anti")["row"]}
        read = unwanted.drop_nulls("reads").select("row", "reads").iter_rows()
        withdrawn |= {row for row, reads in read if not set(json.loads(reads)) <= set(there)}
        return tuple(sorted(withdrawn))


def _events_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the event that each row is about: row, user, item, time."""
    named = [event_of(entity) for entity in rows["entity"]]
    pairs = pl.DataFrame(named, schema={"user": pl.String, "item": pl.String}, orient="row")
    return pl.concat([rows.select("row", time="as_of"), pairs], how="horizontal")


def model_name(identity: ModelIdentity) -> str:
    """Join model, revision and adapter with `@`."""
    return "@".join(part for part in (identity.model, identity.revision, identity.adapter) if part)
