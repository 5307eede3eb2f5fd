"""The leak check: walks a whole release and looks for knowledge that a sample could not have had.

Three questions, each answered from other columns than the reader uses:
1. Does a row's prompt show an event later than the row's own `as_of`?
2. Does a sample see a row that has seen an event at or after the sample's time? (joined by Polars, not by the reader)
3. Does the stored text of a prompt name an event of its user that came after `as_of`?
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

import polars as pl

from feature_store.database import Store
from feature_store.releases import Release, released_answers, released_lineage

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
        events: user, item, time and `shown` (the event as a history shows it), one row an event; each is a sample.

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
    leaks += _named_in_prompts(store, release, rows, events)
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


def _named_in_prompts(
    store: Store, release: Release, rows: pl.DataFrame, events: pl.DataFrame
) -> Iterator[CounterExample]:
    """Look for later events of a row's user in the text that was really sent."""
    users = rows.filter((pl.col("entity_type") == "user") & pl.col("answer_key").is_not_null())
    answers = released_answers(store, release, users["answer_key"].to_list(), ["key", "messages"])
    users = users.join(answers, left_on="answer_key", right_on="key", how="left")
    logs = {str(user): log for (user,), log in events.sort("time").group_by("user", maintain_order=True)}
    shown = _own_part(users)
    for row in users.iter_rows(named=True):
        prompt = shown[row["row"]]
        log = logs.get(row["entity"])
        if log is None:
            continue
        earlier = log.filter(pl.col("time") <= row["as_of"])["shown"].to_list()
        for later in log.filter(pl.col("time") > row["as_of"]).iter_rows(named=True):
            named = prompt.count(later["shown"])
            # A rewatched film, or a title inside another title, may stand there rightly.
            if named and named > sum(text.count(later["shown"]) for text in earlier):
                yield CounterExample(
                    "a prompt names a later event", row["row"], row["as_of"], later["shown"], later["time"]
                )


def _own_part(users: pl.DataFrame) -> dict[str, str]:
    """Row -> its prompt without the lines that open every prompt of its task: instructions name no events.

    An event is shown by its item's name alone where data has no ratings, and an item may well be called `history`.
    """
    own: dict[str, str] = {}
    for _, part in users.group_by("task", "prompt_digest"):
        prompts = {
            row: "\n".join(message["content"] for message in json.loads(messages or "[]"))
            for row, messages in part.select("row", "messages").iter_rows()
        }
        first, last = min(prompts.values()), max(prompts.values())  # what these two share, all between them share
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))))
        start = first.rfind("\n", 0, shared) + 1 if first != last else 0
        own |= {row: prompt[start:] for row, prompt in prompts.items()}
    return own
