"""The leak check: walks a whole release and looks for knowledge that a sample could not have had.

Five questions, each answered from other columns than the reader uses:
1. Does a row's prompt show an event later than the row's own `as_of`?
2. Does a sample see a row that has seen an event at or after the sample's time? (joined by Polars, not by the reader)
3. Does the stored text of a prompt name an event of its user that came after `as_of`? A row about an event shows this
   event, whose time is `as_of`, as its target; of the user's other events it may name strictly earlier ones alone.
4. Does a row tell the outcome of an event that validates or tests, or before the event's time?
5. Does a sample get a vector of an encoder that was tuned on an event at or after the sample's time? (joined by Polars,
   from the vectors as the reader gives them)
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from feature_store.database import Store
from feature_store.knowledge import Knowledge
from feature_store.releases import (
    Release,
    encoder_seen_until,
    released_answers,
    released_knowledge,
    released_lineage,
)
from sources.tables import event_of

SHOW = 20


@dataclass(frozen=True)
class CounterExample:
    """One leak."""

    question: str
    """What went wrong, in words."""
    row: str
    """Row of the lineage."""
    as_of: datetime
    """Its as_of."""
    event: str
    """The event that should not have been seen, or the sample that should not have seen the row."""
    time: datetime
    """When that event or sample happened."""


@dataclass(frozen=True)
class LeakReport:
    """What the walk found."""

    rows: int
    """Rows of knowledge looked at."""
    samples: int
    """Samples looked at."""
    pairs: int
    """Samples that see a row, summed over tasks."""
    leaks: int
    """Number of leaks."""
    counter_examples: tuple[CounterExample, ...]
    """The first of them."""

    def to_dict(self) -> dict:
        """Counts and counter-examples, ready for JSON."""
        return {
            "rows": self.rows,
            "samples": self.samples,
            "pairs": self.pairs,
            "leaks": self.leaks,
            "counter_examples": [
                {k: v.isoformat() if isinstance(v, datetime) else v for k, v in vars(example).items()}
                for example in self.counter_examples
            ],
        }


def leak_check(store: Store, release: Release, events: pl.DataFrame) -> LeakReport:
    """Walk every row and every sample of a release.

    Args:
        store: The store.
        release: The release to walk, published or about to be.
        events: user, item, time, `shown` (the event as a history shows it), `target` (its item as the subject of a
            prompt) and `part` (train, validation or test), one row an event; each is a sample.

    Returns:
        Counts and the first counter-examples.
    """
    rows = released_lineage(store, release).filter(pl.col("text").is_not_null())
    leaks = [*_later_than_as_of(rows)]
    pairs = 0
    for (_, kind), part in rows.group_by(["task", "entity_type"], maintain_order=True):
        if kind not in ("user", "item"):
            continue
        joined = _join(part, events, str(kind))
        pairs += len(joined)
        late = joined.filter((pl.col("as_of") >= pl.col("time")) | (pl.col("seen_until") >= pl.col("time")))
        for row in late.iter_rows(named=True):
            leaks.append(
                CounterExample(
                    "a sample sees a row that has seen its time or later",
                    row["row"],
                    row["as_of"],
                    f"sample of user {row['user']} on item {row['item']}",
                    row["time"],
                )
            )
    about = _with_events(rows)
    leaks += _outcomes_told(about.filter(pl.col("item").is_not_null()), events)
    leaks += _named_in_prompts(store, release, about, events)
    for name, made in release.facts.get("vectors", {}).items():
        if (newest := encoder_seen_until(made)) is not None:
            leaks += _tuned_on_later(released_knowledge(store, release, *name.split("/", 1)), newest, events)
    return LeakReport(len(rows), len(events), pairs, len(leaks), tuple(leaks[:SHOW]))


def _later_than_as_of(rows: pl.DataFrame) -> Iterator[CounterExample]:
    for row in rows.filter(pl.col("seen_until") > pl.col("as_of")).iter_rows(named=True):
        yield CounterExample(
            "a prompt shows an event later than its as_of",
            row["row"],
            row["as_of"],
            "newest event shown",
            row["seen_until"],
        )


def _join(rows: pl.DataFrame, events: pl.DataFrame, entity: str) -> pl.DataFrame:
    """Every sample with the row it sees, as a reader by `as_of` would: the newest strictly earlier one."""
    left = events.select("user", "item", "time", pl.col(entity).alias("entity")).sort("time")
    right = rows.select("entity", "as_of", "seen_until", "row").sort("as_of")
    return left.join_asof(
        right,
        left_on="time",
        right_on="as_of",
        by="entity",
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
        coalesce=False,
    ).filter(pl.col("row").is_not_null())


def _tuned_on_later(knowledge: Knowledge, newest: np.datetime64, events: pl.DataFrame) -> Iterator[CounterExample]:
    """Look for samples that get a vector although its encoder was tuned on an event of their time or later.

    Rows about events are not looked up by sample; `ctr.retrieval` shows them, and asks the same.
    """
    if knowledge.entity not in ("user", "item"):
        return
    about = knowledge.entities
    rows = pl.DataFrame({"entity": about.tolist(), "as_of": knowledge.as_of, "row": about.tolist()}).with_columns(
        pl.col("as_of").dt.replace_time_zone("UTC"), seen_until=pl.lit(newest).dt.replace_time_zone("UTC")
    )
    what = f"{knowledge.task}/{knowledge.encoder}"
    for row in (
        _join(rows, events, knowledge.entity).filter(pl.col("seen_until") >= pl.col("time")).iter_rows(named=True)
    ):
        yield CounterExample(
            "a sample gets a vector of an encoder that was tuned on an event of its time or later",
            f"{what}/{row['row']}",
            row["as_of"],
            f"sample of user {row['user']} on item {row['item']}",
            row["time"],
        )


def _with_events(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows about users and events, with columns user and item; the item of a row about a user is null."""
    about = rows.filter(pl.col("entity_type").is_in(["user", "event"]))
    kinds = about.select("entity_type", "entity").iter_rows()
    named = [event_of(entity) if kind == "event" else (entity, None) for kind, entity in kinds]
    pairs = pl.DataFrame(named, schema={"user": pl.String, "item": pl.String}, orient="row")
    return pl.concat([about, pairs], how="horizontal")


def _outcomes_told(rows: pl.DataFrame, events: pl.DataFrame) -> Iterator[CounterExample]:
    """Look for rows about events that do not train, or that happened later than the row says.

    A row whose event has left the log tells nothing that a sample could be asked.
    """
    pairs = rows.select("row", "user", "item", "as_of").join(events, on=["user", "item"])
    same = pl.col("time") == pl.col("as_of")
    untrained = pairs.filter(same & (pl.col("part") != "train"))
    elsewhere = pairs.filter(~same.any().over("row") & (pl.col("time") > pl.col("as_of")))
    for words, found in (
        ("a row tells the outcome of an event that is not for training", untrained),
        ("a row tells the outcome of an event before its time", elsewhere.unique("row", keep="first")),
    ):
        for row in found.sort("row").iter_rows(named=True):
            event = f"event of user {row['user']} with item {row['item']}"
            yield CounterExample(words, row["row"], row["as_of"], event, row["time"])


def _named_in_prompts(
    store: Store, release: Release, about: pl.DataFrame, events: pl.DataFrame
) -> Iterator[CounterExample]:
    """Look for later events of a row's user in the text that was really sent."""
    asked = about.filter(pl.col("answer_key").is_not_null())
    answers = released_answers(store, release, asked["answer_key"].to_list(), ["key", "messages"])
    asked = asked.join(answers, left_on="answer_key", right_on="key", how="left")
    logs = {str(user): log for (user,), log in events.sort("time").group_by("user", maintain_order=True)}
    targets = dict(events.select("item", "target").unique("item").iter_rows())
    shown = _own_part(asked)
    for row in asked.iter_rows(named=True):
        prompt, log = shown[row["row"]], logs.get(row["user"])
        if log is None:
            continue
        is_earlier = pl.col("time") <= row["as_of"] if row["item"] is None else pl.col("time") < row["as_of"]
        rightly = [*log.filter(is_earlier)["shown"], targets.get(row["item"], "")]
        for later in log.filter(~is_earlier).iter_rows(named=True):
            named = prompt.count(later["shown"])
            # A rewatched film, or a title inside another title, may stand there rightly.
            if named and named > sum(text.count(later["shown"]) for text in rightly):
                yield CounterExample(
                    "a prompt names a later event", row["row"], row["as_of"], later["shown"], later["time"]
                )


def _own_part(asked: pl.DataFrame) -> dict[str, str]:
    """Row -> its prompt without the lines that every prompt of its task has: instructions name no events.

    An event is shown by its item's name alone where data has no ratings, and an item may well be called `history`.
    """
    own: dict[str, str] = {}
    for _, part in asked.group_by("task", "prompt_digest"):
        prompts = {
            row: [line for message in json.loads(messages or "[]") for line in message["content"].split("\n")]
            for row, messages in part.select("row", "messages").iter_rows()
        }
        shared: set[str] = set.intersection(*map(set, prompts.values()))
        if all(shared.issuperset(lines) for lines in prompts.values()):  # one prompt, or all of them alike
            shared = set()
        own |= {row: "\n".join(line for line in lines if line not in shared) for row, lines in prompts.items()}
    return own
