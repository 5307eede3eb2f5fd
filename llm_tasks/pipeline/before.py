"""What the lineage table says of one technique: how its rows were made last time, and which rest on nothing now."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
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
    "text_key",
    "error",
    "reads",
]


@dataclass(frozen=True)
class Before:
    """The lineage of one technique as it is before a refresh."""

    table: pl.DataFrame
    """Its rows, with the columns of `COLUMNS`."""
    made: Mapping[str, tuple[str, str, str]]
    """Row key -> prompt digest, input digest, model."""
    text_keys: Mapping[str, str]
    """Row key -> key of its text."""
    entities: frozenset[str]
    """Entities that have a row."""
    unparsed: frozenset[str]
    """Keys of rows whose answer could not be parsed."""

    @classmethod
    def read(cls, store: Store, task: str) -> "Before":
        """Read the lineage of one technique."""
        table = read_lineage(store, [task], COLUMNS)
        made = {r[0]: r[1:] for r in table.select("row", "prompt_digest", "input_digest", "model").iter_rows()}
        text_keys = dict(table.select("row", "text_key").iter_rows())
        unparsed = table.filter(pl.col("error").str.starts_with("parse"))["row"].to_list()
        return cls(table, made, text_keys, frozenset(table["entity"].to_list()), frozenset(unparsed))

    def judge(
        self, row: str, entity: str, digest: str, prompt: Prompt | None, model: ModelIdentity, *, known: bool
    ) -> tuple[Status, str]:
        """Say whether a row is cached, new or changed, and why."""
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
        """Find rows that a technique no longer yields and that the data, or their own clocks, deny.

        A row that a technique no longer yields is an old snapshot, and what was known then stays known: it is kept,
        and a sample between it and the next snapshot sees it. So are rows of users and items that have left the data
        (no sample asks for them) and rows from before a user's first event (data may be a sliding window).
        But when the event at `seen_until` was deleted or its time was fixed, though the log covers that moment, the
        row would pass for newer than the one that replaces it, and samples would be served what the data now denies.
        And a row that has seen later than its own `as_of` leaks: it is what a technique left that has been fixed.
        A row about an event tells its outcome: when the event does not train any more, or is gone from a moment that
        the log covers, the row must go, too.
        So must a row that is dated by the tuning of a model that does not answer any more: it is no snapshot of
        anything, and would pass for newer than what answers now.
        Such rows are withdrawn: deleted from the lineage, so that the next release is without them; releases made
        earlier keep them.

        Args:
            wanted: Row keys that the technique yields now; never withdrawn.
            dataset: The data as it is now.
            model: Which model answers now.
            there: Row keys on record of the techniques that this one reads: a row that rests on none of them any more
                must go as well.

        Returns:
            Row keys.
        """
        unwanted = self.table.filter(~pl.col("row").is_in(pl.Series(sorted(wanted), dtype=pl.String).implode()))
        by_tuning = (pl.col("as_of") == pl.col("model_seen_until")) & (pl.col("entity_type") != "event")
        replaced = unwanted.filter(by_tuning & (pl.col("model") != model_name(model)))
        old = unwanted.filter(pl.col("seen_until").is_not_null())
        leaking = old.filter(pl.col("seen_until") > pl.col("as_of"))
        of_users = old.filter(pl.col("entity_type") == "user").select("row", user="entity", time="seen_until")
        first = dataset.events.group_by("user").agg(pl.col("time").min().alias("first"))
        covered = of_users.join(first, on="user").filter(pl.col("time") >= pl.col("first"))
        denied = covered.join(dataset.events, on=["user", "time"], how="anti")
        withdrawn = {*leaking["row"], *denied["row"], *replaced["row"]}
        if len(of_events := _events_of(old.filter(pl.col("entity_type") == "event"))):
            training = dataset.events.filter(pl.col("part") == "train")
            told = of_events.join(first, on="user").filter(pl.col("time") >= pl.col("first"))
            withdrawn |= {*told.join(training, on=["user", "item", "time"], how="anti")["row"]}
        read = unwanted.drop_nulls("reads").select("row", "reads").iter_rows()
        withdrawn |= {row for row, reads in read if not set(json.loads(reads)) <= set(there)}
        return tuple(sorted(withdrawn))


def _events_of(rows: pl.DataFrame) -> pl.DataFrame:
    """The event that each row is about: row, user, item, time."""
    named = [event_of(entity) for entity in rows["entity"]]
    pairs = pl.DataFrame(named, schema={"user": pl.String, "item": pl.String}, orient="row")
    return pl.concat([rows.select("row", time="as_of"), pairs], how="horizontal")


def model_name(identity: ModelIdentity) -> str:
    """Model, revision and adapter in one text."""
    return "@".join(part for part in (identity.model, identity.revision, identity.adapter) if part)
