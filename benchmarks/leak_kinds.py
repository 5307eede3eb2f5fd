"""Count the kinds of planted leaks that the leak check finds, and check that it finds none in an honest release.

Run:   .venv/bin/python benchmarks/leak_kinds.py
An honest release of a toy shop has a row of every sort; each kind changes one thing in it. It takes some ten
CPU-seconds. The last line printed is one JSON object. tests/feature_store/test_leak_kinds.py tests each kind.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from feature_store.answers import answer_log
from feature_store.database import Store
from feature_store.leak_check import LeakReport, leak_check
from feature_store.leak_evidence import QUERIES, Evidence
from feature_store.lineage import EPOCH, row_key, write_lineage
from feature_store.releases import publish
from feature_store.schemas import ANSWERS, LINEAGE
from feature_store.vectors import text_key, write_state
from retrieval.rewrite_table import RewriteTable
from sources.tables import event_id

START = datetime(2024, 1, 1, tzinfo=UTC)
ITEMS = {
    "a": ("Alien (1979)", "Alien", "Horror"),
    "b": ("Brazil (1985)", "Brazil", "Comedy"),
    "c": ("Cabaret (1972)", "Cabaret", "Musical"),
    "d": ("The Long Goodbye (1973)", "The Long Goodbye", "Crime"),
    "e": ("Amélie (2001)", "Amélie", "Romance"),
}
"""Item -> name, title, genre."""
LOG = [
    ("u", "a", 0, 4.0), ("u", "b", 1, 3.0), ("u", "c", 2, 5.0), ("u", "d", 3, 2.0), ("u", "e", 4, 4.5),
    ("v", "b", 1, 5.0), ("v", "a", 2, 2.0), ("v", "e", 5, 3.5),
    ("w", "e", 0, 3.5), ("w", "d", 6, 4.0),
]  # fmt: skip
"""user, item, minute, rating; minutes below 3 train, the others test."""


def minute(number: float) -> datetime:
    """Return a moment of the toy shop."""
    return START + timedelta(minutes=number)


def evidence() -> Evidence:
    """Return the data of the toy shop."""
    events = pl.DataFrame(
        [
            (user, item, minute(at), rating, f"{ITEMS[item][0]}: {rating:g}", "train" if at < 3 else "test")
            for user, item, at, rating in LOG
        ],
        schema=["user", "item", "time", "rating", "shown", "part"],
        orient="row",
    )
    items = [(item, name, title, f"{name} [{genre}]", genre) for item, (name, title, genre) in ITEMS.items()]
    searches = [("space monster", "a", minute(2), False), ("fast machines", "d", minute(4), True)]
    return Evidence(
        events=events,
        items=pl.DataFrame(items, schema=["item", "name", "title", "described", "says"], orient="row"),
        queries=pl.DataFrame(searches, schema=QUERIES, orient="row"),
        encoders={"tuned": minute(2)},
    )


def made(
    task: str, kind: str, entity: str, as_of: datetime, prompt: str | None, text: str = "a text", **changes: Any
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return a lineage row and its answer; no model was called without a prompt. `changes` are columns of the row."""
    key = None if prompt is None else f"answer of {task} to {entity} {as_of}"
    row = {
        "row": row_key(task, entity, as_of), "task": task, "entity_type": kind, "entity": entity, "as_of": as_of,
        "answer_key": key, "text": text, "text_key": text_key(text), "created_at": START,
    }  # fmt: skip
    answered = changes.pop("answer", text)
    answer = {"key": key, "text": answered, "messages": sent(prompt or ""), "created_at": START}
    answer["seen_until"] = changes.pop("answered_until", None)
    whole = {**dict.fromkeys(LINEAGE.names), **row, **changes}
    return whole, None if key is None else {**dict.fromkeys(ANSWERS.names), **answer}


def sent(prompt: str) -> str:
    """Return a stored prompt."""
    return json.dumps([{"role": "user", "content": prompt}])


Made = tuple[dict[str, Any], dict[str, Any] | None]


@dataclass(frozen=True)
class World:
    """A release before it is published."""

    rows: tuple[Made, ...]
    """Rows of the lineage with their answers."""
    rewrites: tuple[str, ...] = ("slow cars", "quick engines")
    """Served rewrites of the query `fast machines`."""
    fitted_on: tuple[str, ...] = ("Horror", "Musical")
    """Training texts of the lexical encoder."""
    facts: tuple[tuple[str, str | None], ...] = (("facts/lexical", None), ("facts/note", minute(2).isoformat()))
    """Released vectors, and the newest event that their encoder has seen, according to the release."""

    def changed(self, task: str, entity: str, new: Made) -> "World":
        """Return the same world with one row replaced."""
        kept = [one for one in self.rows if (one[0]["task"], one[0]["entity"]) != (task, entity)]
        return replace(self, rows=(*kept, new))


U = "Alien (1979): 4; Brazil (1985): 3"
"""The items of user u up to minute 1."""
ASK = "Given this user's history, say what the user likes.\n"
WHY = "Explain.\nHistory:\n{}\nTarget:\n{} [{}]\nDecision:\n{}"


def told(prompt: str, **changes: Any) -> Made:
    """Return a row about user u at minute 1."""
    text = "Likes grim films, and may like Cabaret (1972) or The Long Goodbye (1973)."
    return made("told", "user", "u", minute(1), ASK + prompt, **({"text": text, "seen_until": minute(1)} | changes))


def reason(item: str, at: float, decision: str = "likes", history: str = U) -> Made:
    """Return a row about an event of user u."""
    name, _, genre = ITEMS[item]
    prompt = WHY.format(history, name, genre, decision)
    return made("reason", "event", event_id("u", item), minute(at), prompt, seen_until=minute(at))


def rewritten(prompt: str, answer: str = "slow cars\nquick engines") -> Made:
    """Return a row about a query."""
    return made("rewrite", "query", "fast machines", EPOCH, f"Rewrite.\nQuery: {prompt}", answer)


def facts() -> tuple[Made, ...]:
    """Return rows about items that no model wrote."""
    return tuple(
        made("facts", "item", item, EPOCH, None, f"{name} [{genre}]") for item, (name, _, genre) in ITEMS.items()
    )


def honest() -> World:
    """Return a release without a leak, with rows of every sort; its answers name later films, as a model may."""
    return World(
        (
            told(U),
            made("told", "user", "v", minute(1), ASK + "Brazil (1985): 5", seen_until=minute(1)),
            made("listed", "user", "u", minute(1), None, U, seen_until=minute(1)),
            made("about", "item", "a", EPOCH, "Tell.\nAlien (1979) [Horror]", "Ridley Scott, 2 Oscars, rated highly"),
            made("about", "item", "c", EPOCH, "Tell.\nCabaret (1972) [Musical]", "Bob Fosse"),
            reason("c", 2),
            rewritten("fast machines"),
            made("rewrite", "query", "space monster", EPOCH, "Rewrite.\nQuery: space monster", "alien film"),
            *facts(),
        )
    )


def _all_alike(world: World) -> World:
    line = "\nOf late: The Long Goodbye (1973): 2"
    other = made("told", "user", "v", minute(1), ASK + "Brazil (1985): 5" + line, seen_until=minute(1))
    return world.changed("told", "u", told(U + line)).changed("told", "v", other)


def _fitted_later(world: World) -> World:
    text = "grew fond of crime"
    late = made("listed", "user", "u", minute(3), None, text, seen_until=minute(3))
    return replace(world, rows=(*world.rows, late), fitted_on=(text, U), facts=(("listed/lexical", None),))


KINDS: dict[str, Callable[[World], World]] = {
    "a prompt newer than its as_of": lambda w: w.changed("told", "u", told(U, seen_until=minute(1.5))),
    "a later event as a history shows it": lambda w: w.changed("told", "u", told(f"{U}; Cabaret (1972): 5")),
    "a later event without its rating": lambda w: w.changed("told", "u", told(f"{U}; Cabaret (1972)")),
    "a later event in other words": lambda w: w.changed(
        "told", "u", told(f"{U}\nLater gave two stars to THE LONG GOODBYE, and loved “Amelie”!")
    ),
    "the same later line in all prompts": _all_alike,
    "a text without a prompt that lists later events": lambda w: w.changed(
        "listed", "u", made("listed", "user", "u", minute(1), None, f"{U}; Cabaret (1972): 5", seen_until=minute(1))
    ),
    "an item's prompt with later ratings": lambda w: w.changed(
        "about", "a", made("about", "item", "a", EPOCH, "Tell.\nAlien (1979) [Horror]\nViewers rated it 4, 2")
    ),
    "a query's prompt with what it led to": lambda w: w.changed(
        "rewrite", "fast machines", rewritten("fast machines\nChosen: the long goodbye")
    ),
    "a reasoning about a test event dated a minute after it": lambda w: w.changed(
        "reason", event_id("u", "c"), reason("d", 4, "does not like")
    ),
    "a text that says what its answer does not": lambda w: w.changed(
        "told", "u", told(U, text=f"{U}; Cabaret (1972): 5", answer="Likes grim films.")
    ),
    "a served rewrite that no model wrote": lambda w: replace(w, rewrites=("the long goodbye",)),
    "an encoder fitted on later texts": _fitted_later,
    "a tuned encoder whose release forgets what it has seen": lambda w: replace(w, facts=(("facts/note", None),)),
    "a tuned model's row from before its tuning": lambda w: w.changed(
        "about",
        "a",
        made("about", "item", "a", EPOCH, "Tell.\nAlien (1979) [Horror]", answered_until=minute(3)),
    ),
}
"""Kind -> function that plants it in an honest release."""


def walk(world: World, folder: Path) -> LeakReport:
    """Release a world in a new store and check it."""
    store, fingerprints = Store(folder), {"lexical": "fitted", "note": "tuned"}
    with store.writer("planted leaks") as writer:
        with answer_log(writer) as log:
            for _, answer in world.rows:
                if answer:
                    log.append(answer)
        write_lineage(writer, [row for row, _ in world.rows])
        keys = sorted(text_key(text) for text in world.fitted_on)
        space = world.facts[0][0].split("/")[0]
        write_state(writer, "lexical", space, "fitted", keys, b"")
        answered = next(row for row, _ in world.rows if row["entity"] == "fast machines")
        served = {"query": "fast machines", "shown": "fast machines", "dropped": 0, "answered_at": START}
        scores = {"score": 1.0, "relevance": 1.0, "increment": 0.0}
        served |= {"rewrites": [{"text": text, **scores} for text in world.rewrites]}
        served |= {"answer_key": answered["answer_key"], "prompt": None, "model": None}
        RewriteTable([served], "toy", 0.5).write(writer)
        vectors = {
            name: {"fingerprint": fingerprints[name.split("/")[1]], "dimension": 2}
            | ({"seen_until": said} if said else {})
            for name, said in world.facts
        }
        release = publish(writer, {"vectors": vectors})
    return leak_check(store, release, evidence())


def leak_kinds_found(tell: Callable[[str], None] = lambda line: None) -> tuple[int, int]:
    """Plant every kind in a separate store.

    Args:
        tell: Called with one line per kind.

    Returns:
        Kinds found, and kinds planted.

    Raises:
        AssertionError: The honest release is reported as leaking, so the result would mean nothing.
    """
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        clean = walk(honest(), Path(folder) / "honest")
        assert clean.leaks == 0, clean.counter_examples
        for number, (kind, plant) in enumerate(KINDS.items()):
            report = walk(plant(honest()), Path(folder) / str(number))
            found += report.leaks > 0
            why = report.counter_examples[0].question if report.leaks else "NOT FOUND"
            tell(f"{kind:58} {why}")
    return found, len(KINDS)


def main() -> None:
    """Print the results."""
    found, kinds = leak_kinds_found(print)
    print(json.dumps({"leak_kinds_found": found, "leak_kinds": kinds}))


if __name__ == "__main__":
    main()
