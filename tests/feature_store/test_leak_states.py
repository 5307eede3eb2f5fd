"""Whatever may make an old row leak, a check of what is new looks at that row again, and at few others."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from feature_store.answers import write_answers
from feature_store.database import Store
from feature_store.leak_check import leak_check
from feature_store.leak_clocks import FORGOTTEN, LOST, READ, UNREAD, UNTRAINED
from feature_store.leak_evidence import QUERIES, Evidence
from feature_store.leak_ratings import RATED
from feature_store.leak_texts import LED_TO, NAMED
from feature_store.lineage import EPOCH, delete_lineage, row_key, write_lineage
from feature_store.releases import TABLE, Release

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import leak_kinds
from leak_kinds import ITEMS, Made, made, minute, reason, rewritten

SAID = {"asked": "Say what the user likes.", "shown": "As in: Cabaret (1972): 5"}


def asked(task: str, user: str, lines: str, digest: str = "asked", **changes: Any) -> Made:
    """A row about a user at minute 1."""
    prompt = f"{SAID.get(digest, 'Tell.')}\n{lines}"
    return made(task, "user", user, minute(1), prompt, seen_until=minute(1), prompt_digest=digest, **changes)


def about(item: str, lines: str, text: str = "a text", **changes: Any) -> Made:
    """A row about an item, as of the epoch."""
    prompt = f"{SAID['asked']}\n{ITEMS[item][0]}\n{lines}"
    return made("about", "item", item, EPOCH, prompt, text, prompt_digest="asked", **changes)


def rows() -> dict[str, Made]:
    """Rows that each need something to be honest, by a name."""
    searched = rewritten("space monster\nThe Long Goodbye")
    other = {"row": row_key("rewrite", "space monster", EPOCH), "entity": "space monster", "prompt_digest": "asked"}
    told = {"prompt_digest": "asked"}
    return {
        "not met": asked("told", "w", "Amélie (2001): 3.5\nCabaret (1972)"),
        "not called so": asked("called", "w", "Zardoz"),
        "of the user": asked("club", "v", "From the club The Long Goodbye"),
        "met before": asked("again", "u", "Alien (1979): 4"),
        "of the item": about("a", "stars: 4, 2"),
        "not rated so": about("e", "Ratings: 1"),
        "read": about("d", "", "The Long Goodbye (1973), of Los Angeles"),
        "reading": asked("reads", "w", "The Long Goodbye (1973)", reads=json.dumps([row_key("about", "d", EPOCH)])),
        "quoted": about("b", "", "A film like Cabaret (1972) in its bitterness."),
        "quoting": asked("quotes", "z", "A film like Cabaret (1972) in its bitterness."),
        "instructed": asked("shows", "u", "Alien (1979): 4", digest="shown"),
        "said": asked("says", "u", "Alien (1979): 4", text="Perhaps Cabaret (1972)"),
        "event": (reason("c", 2)[0] | told, reason("c", 2)[1]),
        "searched": (searched[0] | other, searched[1]),
        "alike": asked("alike", "x", "Amélie\nAlien (1979): 4", digest="unknown"),
        "alike too": asked("alike", "y", "Amélie\nBrazil (1985): 5", digest="unknown"),
    }


def with_events(evidence: Evidence, *added: tuple[str, str, float, float]) -> Evidence:
    shown = [(u, i, minute(at), r, f"{ITEMS[i][0]}: {r:g}", "test") for u, i, at, r in added]
    return replace(
        evidence, events=pl.concat([evidence.events, pl.DataFrame(shown, evidence.events.schema, orient="row")])
    )


def shop() -> Evidence:
    """The toy shop, where u meets Alien again, v meets The Long Goodbye, and there are users whose rows depend on others."""
    more = [("x", "a", 0, 4.0), ("x", "e", 4, 3.5), ("y", "b", 1, 5.0), ("y", "e", 5, 3.5), ("z", "c", 4, 5.0)]
    evidence = with_events(leak_kinds.evidence(), ("u", "a", 9, 4.0), ("v", "d", 7, 1.0), *more)
    fields = pl.when(pl.col("item") == "a").then(pl.lit("Horror\nstars: 4, 2")).otherwise("says").alias("says")
    users = pl.DataFrame({"user": ["v"], "says": ["The Long Goodbye"]})
    return replace(evidence, items=evidence.items.with_columns(fields), users=users, instructions=SAID)


@dataclass
class Tonight:
    """What a change may change."""

    rows: dict[str, Made] = field(default_factory=rows)
    evidence: Evidence = field(default_factory=shop)

    def without(self, user: str, item: str, at: float) -> None:
        gone = (pl.col("user") == user) & (pl.col("item") == item) & (pl.col("time") == minute(at))
        self.evidence = replace(self.evidence, events=self.evidence.events.filter(~gone))

    def items(self, item: str, **fields: str) -> None:
        chosen = pl.col("item") == item
        new = [pl.when(chosen).then(pl.lit(value)).otherwise(name).alias(name) for name, value in fields.items()]
        self.evidence = replace(self.evidence, items=self.evidence.items.with_columns(new))

    def row(self, name: str, **columns: Any) -> None:
        line, answer = self.rows[name]
        self.rows[name] = (line | columns, answer)

    def answer(self, name: str, **columns: Any) -> None:
        line, answer = self.rows[name]
        assert answer is not None
        self.rows[name] = (line, answer | columns)


def _events(*added: tuple[str, str, float, float]) -> Callable[[Tonight], None]:
    def change(tonight: Tonight) -> None:
        tonight.evidence = with_events(tonight.evidence, *added)

    return change


def _untrained(tonight: Tonight) -> None:
    part = pl.when(pl.col("item") == "c").then(pl.lit("test")).otherwise("part").alias("part")
    tonight.evidence = replace(tonight.evidence, events=tonight.evidence.events.with_columns(part))


def _searched(tonight: Tonight) -> None:
    one = pl.DataFrame([("space monster", "d", minute(9), False)], QUERIES, orient="row")
    tonight.evidence = replace(tonight.evidence, queries=pl.concat([tonight.evidence.queries, one]))


def _no_user(tonight: Tonight) -> None:
    tonight.evidence = replace(tonight.evidence, users=tonight.evidence.users.clear())


def _instructed(tonight: Tonight) -> None:
    tonight.evidence = replace(tonight.evidence, instructions=SAID | {"shown": "As in: a film"})


def _apart(tonight: Tonight) -> None:
    tonight.rows["alike too"] = asked("alike", "y", "Brazil (1985): 5", digest="unknown")


CHANGES: dict[str, tuple[Callable[[Tonight], Any], set[str]]] = {
    "a new event": (_events(("w", "c", 9, 2.0)), {NAMED["prompt"]}),
    "a new rating": (_events(("v", "e", 9, 1.0)), {RATED}),
    "an event that came late": (_events(("w", "c", 3, 2.0)), {NAMED["prompt"]}),
    "an earlier event is gone": (lambda t: t.without("u", "a", 0), {NAMED["prompt"]}),
    "an item has another name": (lambda t: t.items("d", name="Zardoz (1974)", title="Zardoz"), {NAMED["prompt"]}),
    "an item has other fields": (lambda t: t.items("a", says="Horror"), {RATED}),
    "a user has other fields": (_no_user, {NAMED["prompt"]}),
    "other instructions": (_instructed, {NAMED["prompt"]}),
    "a text that was read": (lambda t: t.row("read", text="Of Los Angeles"), {NAMED["prompt"]}),
    "a row that was read is dated later": (lambda t: t.row("read", as_of=minute(2)), {READ}),
    "a row that was read is gone": (lambda t: t.rows.pop("read"), {UNREAD, NAMED["prompt"]}),
    "a text that was quoted": (lambda t: t.row("quoted", text="Bitter."), {NAMED["prompt"]}),
    "an answer has changed": (lambda t: t.answer("said", text="else"), {NAMED["answer"]}),
    "a prompt has changed": (
        lambda t: t.answer("not called so", messages=leak_kinds.sent("The Long Goodbye (1973)")),
        {NAMED["prompt"]},
    ),
    "an answer of a tuned model": (lambda t: t.answer("said", seen_until=minute(1)), {FORGOTTEN}),
    "an answer is gone": (lambda t: t.row("said", answer_key="gone"), {LOST}),
    "a row has seen more": (lambda t: t.row("said", model_seen_until=minute(1)), set()),
    "an event does not train any more": (_untrained, {UNTRAINED}),
    "a search": (_searched, {LED_TO}),
    "a line that prompts no longer share": (_apart, {NAMED["prompt"]}),
}
"""What may change -> the leaks that follow, of rows that do not change."""


@pytest.fixture
def store(tmp_path):
    """A store with the rows."""
    store = Store(tmp_path / "store")
    write(store, rows())
    return store


def write(store: Store, wanted: dict[str, Made], there: dict[str, Made] | None = None) -> None:
    """Bring a store up to date."""
    before = there or {}
    changed = [one for name, one in wanted.items() if before.get(name) != one]
    with store.writer("a test") as writer:
        write_lineage(writer, [line for line, _ in changed])
        write_answers(writer, [answer for _, answer in changed if answer is not None])
        if gone := {before[name][0]["row"] for name in before.keys() - wanted.keys()}:
            delete_lineage(writer, gone)


def newest(store: Store) -> Release:
    return Release("new", minute(0), None, {one: store.version(one) for one in store.tables() if one != TABLE}, {})


@pytest.mark.parametrize("change", CHANGES)
def test_an_old_row_that_leaks_now_is_found_by_a_check_of_what_is_new(store, change):
    before = leak_check(store, newest(store), shop())
    assert (before.leaks, before.counter_examples, before.checked) == (0, (), len(rows()))
    tonight, (do, why) = Tonight(), CHANGES[change]
    do(tonight)
    write(store, tonight.rows, rows())

    report = leak_check(store, newest(store), tonight.evidence, before.states)
    whole = leak_check(store, newest(store), tonight.evidence)

    assert {one.question for one in whole.counter_examples} == why
    assert (report.leaks, report.counter_examples) == (whole.leaks, whole.counter_examples)
    assert report.checked < report.rows == whole.checked
