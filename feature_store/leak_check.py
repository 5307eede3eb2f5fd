"""The leak check: go through a release and look for knowledge that a sample could not have had.

It reads the tables directly, never through a reader that a model uses, and asks:

1. Clocks (leak_clocks.py): has a row seen an event, by its prompt or by its model's tuning, later than its `as_of`?
   Does a sample or a tested search see a row that has seen its time or later? Does a row about an event have exactly
   the time of a training event? Is its answer in the release?
2. Texts (leak_texts.py): does a stored prompt, or a text that no model wrote, name an event of its user that came after
   `as_of`, or what its query led to, however it is written? Does a text name any of these when its answer does not?
3. Ratings (leak_ratings.py): does a row about an item reveal how it was rated later?
4. What was made from texts (leak_made.py): does the release serve vectors earlier than the newest event that their
   encoder was fitted or tuned on? The served table of rewrites is checked like rows about queries.
5. Codes and edges (leak_codes.py): does the release serve them earlier than the newest event behind them?

docs/explanation/how-it-works.md lists what it cannot detect.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from feature_store.database import Store
from feature_store.leak_clocks import (
    ELSEWHEN,
    FORGOTTEN,
    LOST,
    UNDATED,
    UNTRAINED,
    lost_answers,
    outcomes_told,
    read_too_early,
    seen_too_early,
    wrongly_dated,
)
from feature_store.leak_codes import UNSAID_CODES, unsaid_codes
from feature_store.leak_evidence import Evidence
from feature_store.leak_made import UNSAID, unsaid_encoders
from feature_store.leak_parts import check_texts
from feature_store.leak_ratings import RATED
from feature_store.leak_rows import held_answers, read_rows
from feature_store.leak_states import STATES, states_of, subject_of
from feature_store.leak_subjects import untold
from feature_store.leak_texts import NAMED
from feature_store.releases import Release

SHOW = 20
FIXES = {
    UNTRAINED: "use only training events (those whose part is train), then: knowflow refresh --task TASK",
    ELSEWHEN: "set as_of to the event's own time, then: knowflow refresh --task TASK",
    UNDATED: "date its rows again: knowflow refresh --task TASK",
    FORGOTTEN: "set seen_until: to what the model was tuned on when it answered, or set another revision:, and refresh",
    LOST: "ask again: knowflow refresh --task TASK",
    NAMED["answer"]: "let encode make the text from the answer alone, then: knowflow refresh --task TASK",
    RATED: "set as_of and seen_until to the newest rating shown, then: knowflow refresh --task TASK",
    UNSAID_CODES: "make the set again, with the seen_until that feature_store.leak_codes.seen_behind returns",
    UNSAID: "record what the encoder has seen: knowflow refresh --task TASK",
}
"""Question -> how to fix it; `FIX` for all others."""
FIX = "show only events up to as_of, and set as_of to the newest one shown, then: knowflow refresh --task TASK"


@dataclass(frozen=True)
class CounterExample:
    """One leak."""

    question: str
    """What went wrong, in words."""
    row: str
    """Row of the lineage, or `rewrites/QUERY` for the served table."""
    as_of: datetime
    """Its as_of."""
    event: str
    """The event that should not have been seen, or the sample that should not have seen the row."""
    time: datetime | None
    """Time of that event or sample; None if unknown."""
    fix: str = FIX
    """How to fix it."""


@dataclass(frozen=True)
class LeakReport:
    """The result of a leak check."""

    rows: int
    """Number of rows of knowledge checked."""
    samples: int
    """Number of samples checked."""
    pairs: int
    """Number of samples that see a row, summed over tasks."""
    leaks: int
    """Number of leaks."""
    counter_examples: tuple[CounterExample, ...]
    """The first leaks, taking each kind in turn."""
    texts: int = 0
    """Number of prompts and texts; those after which nothing happened that they could tell need no reading."""
    checked: int = 0
    """Number of rows that were checked now; an earlier check covers the others."""
    scope: str = ""
    """What was checked, in words."""
    states: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=STATES), compare=False, repr=False)
    """subject and state of what is covered now, if there is no leak."""

    def to_dict(self) -> dict:
        """Return counts and counter-examples, ready for JSON."""
        return {
            "rows": self.rows,
            "checked": self.checked,
            "scope": self.scope,
            "texts": self.texts,
            "samples": self.samples,
            "pairs": self.pairs,
            "leaks": self.leaks,
            "counter_examples": [
                {k: v.isoformat() if isinstance(v, datetime) else v for k, v in vars(example).items()}
                for example in self.counter_examples
            ],
        }


def leak_check(store: Store, release: Release, evidence: Evidence, covered: pl.DataFrame | None = None) -> LeakReport:
    """Check a release: every row and every sample, or those of the subjects that an earlier check does not cover.

    Whatever is covered, all that follows from the whole release is checked: outcomes of events, encoders, codes.

    Args:
        store: The store.
        release: The release to check, published or about to be.
        evidence: The current data, and the words in which prompts show it.
        covered: subject and state (`leak_states.states_of`) of what an earlier check found no leak in; None = nothing.

    Returns:
        Counts, the first counter-examples, and what this check and the earlier one cover together.
    """
    held = held_answers(store, release)
    every = read_rows(store, release, held)
    states = states_of(every, held, evidence)
    chosen = every if covered is None else _uncovered(every, states, covered)
    lineage, rows = (some.filter(~pl.col("served")) for some in (every, chosen))
    about = evidence if covered is None else _events_about(chosen, evidence)
    seen, pairs = seen_too_early(chosen, about)
    texts = check_texts(store, release, chosen, every, held, about)
    found = pl.concat(
        [
            wrongly_dated(rows, held),
            lost_answers(chosen, held),
            read_too_early(rows, lineage),
            seen,
            outcomes_told(lineage, evidence),
            texts.found,
            unsaid_encoders(store, release, lineage, evidence),
            unsaid_codes(store, release, evidence),
        ]
    )
    # What other rows decide, too, is never covered: quoted texts, and lines that all prompts share.
    open_ = pl.concat([texts.quoting, untold(every, evidence).select("row")])
    again = subject_of(every.join(open_, on="row", how="semi")).to_frame()
    return LeakReport(
        rows=len(every),
        samples=len(evidence.events),
        pairs=pairs,
        leaks=len(found),
        counter_examples=_first(found),
        texts=texts.count,
        checked=len(chosen),
        states=states.join(again, on="subject", how="anti", maintain_order="left"),
    )


def _uncovered(rows: pl.DataFrame, states: pl.DataFrame, covered: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of subjects that are not as they were when they were checked."""
    changed = states.join(covered, on=["subject", "state"], how="anti")
    return rows.filter(subject_of(rows).is_in(changed["subject"].implode()))


def _events_about(rows: pl.DataFrame, evidence: Evidence) -> Evidence:
    """Return the same evidence with the events of the users and the items of some rows alone."""
    items = rows.filter(pl.col("entity_type") == "item")["target"].unique()
    theirs = pl.col("user").is_in(rows["user"].drop_nulls().unique().implode()) | pl.col("item").is_in(items.implode())
    return replace(evidence, events=evidence.events.filter(theirs))


def _first(found: pl.DataFrame) -> tuple[CounterExample, ...]:
    """Return the first leaks, taking each question in turn, so that many of one kind do not hide another."""
    turn = pl.int_range(pl.len()).over("question")
    chosen = found.with_columns(turn=turn).sort("turn", maintain_order=True).head(SHOW).drop("turn")
    examples = []
    for row in chosen.iter_rows(named=True):
        fix = FIXES.get(row["question"], FIX).replace("TASK", row["row"].split("/")[0])
        examples.append(CounterExample(**row, fix=fix))
    return tuple(examples)
