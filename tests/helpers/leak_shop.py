"""A small shop that changes at random from night to night, with rows of every sort, some of which leak."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from feature_store.answers import write_answers
from feature_store.database import Writer
from feature_store.files import join_small_files
from feature_store.leak_evidence import QUERIES, Evidence
from feature_store.lineage import EPOCH, delete_lineage, row_key, write_lineage
from feature_store.schemas import ANSWERS, LINEAGE
from sources.tables import event_id

START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = ["Heat (1995)", "The Heat", "Alien", "It", "Long Goodbye, The", "Amélie (2001)"]
USERS = ["u", "v", "w", "x", "y"]
EVENT = pl.Schema(
    {"user": pl.String, "item": pl.String, "time": pl.Datetime("us", "UTC"), "rating": pl.Float32, "shown": pl.String}
)
Made = tuple[dict[str, Any], dict[str, Any] | None]


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


@dataclass
class LeakShop:
    """What there is tonight; `night` changes it, `write` brings a store up to date."""

    chance: random.Random
    now: int = 6
    """The minute it is."""
    items: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Item -> name, genre."""
    events: list[tuple[str, str, int, float]] = field(default_factory=list)
    """user, item, minute, rating."""
    says: dict[str, str] = field(default_factory=dict)
    """What the data says of a user."""
    searches: list[tuple[str, str, int | None, bool]] = field(default_factory=list)
    """query, item, minute, tested."""
    instructions: dict[str, str] = field(default_factory=lambda: {"known": "As in Heat (1995) or\nIt\nsay."})
    """Digest of a prompt -> its text."""
    rows: dict[str, Made] = field(default_factory=dict)
    """Row -> lineage and answer."""
    written: dict[str, Made] = field(default_factory=dict)
    """What the store holds."""
    joins: bool = False
    """Whether the files of the answers are joined tonight."""
    trained: int = 4
    """Events before this minute are for training."""

    def __post_init__(self) -> None:
        self.items = {f"i{place}": (name, "Ratings: 3" if place % 2 else "Drama") for place, name in enumerate(NAMES)}
        for _ in range(14):
            self.event()
        self.searches = [("space monster", "i2", 2, False), ("a film", "i0", None, True)]
        for _ in range(20):
            self.row()

    def pick(self, among: Any) -> Any:
        return self.chance.choice(sorted(among))

    def shown(self, item: str, rating: float) -> str:
        return f"{self.items[item][0]}: {rating:g}"

    def event(self, late: bool = False) -> None:
        """Let a user meet an item, now or earlier."""
        at = self.chance.randrange(self.now) if late else self.now - self.chance.randrange(2)
        self.events.append((self.pick(USERS), self.pick(self.items), at, float(self.chance.randint(1, 5))))

    def history(self, user: str, as_of: int, strict: bool = False) -> list[str]:
        met = sorted(one for one in self.events if one[0] == user and one[2] < as_of + (not strict))
        return [self.shown(item, rating) for _, item, _, rating in met]

    def row(self) -> None:
        """Make or replace a row; most name something that may be explained, may not have happened yet, or leaks."""
        kind = self.chance.choice(["user", "user", "user", "item", "event", "query"])
        as_of = minute(self.chance.randrange(self.now)) if kind == "user" else EPOCH
        if kind == "event":
            user, item, at, _ = self.pick(self.events)
            entity, as_of, lines = event_id(user, item), minute(at), self.history(user, at, strict=True)
        elif kind == "user":
            entity = self.pick(USERS)
            lines = self.history(entity, int((as_of - START).total_seconds() // 60))
        else:
            entity = self.pick(self.items) if kind == "item" else self.pick({one[0] for one in self.searches})
            lines = [self.chance.choice(["Ratings: 3", "grim"])] if kind == "item" else []
        named = self.items[self.chance.choice(["i0", "i3", self.pick(self.items)])][0]
        lines += [named] * (self.chance.random() < 0.6)
        read = self.pick(self.rows) if self.rows and self.chance.random() < 0.3 else None
        quoted = self.rows[self.pick(self.rows)][0]["text"] if self.rows and self.chance.random() < 0.3 else ""
        told = self.chance.choice(["grim", f"as in {named}", "; ".join(lines)])
        self.put(kind, entity, as_of, "\n".join([*lines, quoted]), told or "grim", read)

    def put(self, kind: str, entity: str, as_of: datetime, asked: str, text: str, read: str | None) -> None:
        """Add a row and its answer, whose clocks are now and then wrong."""
        task = self.chance.choice(["one", "other"])
        row = row_key(task, entity, as_of)
        digest = self.chance.choice(["known"] * 5 + ["unknown"])
        wrong, asks = self.chance.random(), self.chance.random() < 0.8
        model = minute(1) if wrong > 0.98 else None
        said = self.instructions.get(digest, "Tell.\nIt") + "\n" + asked
        key = f"{row} {self.chance.randrange(3)}" if asks else None
        line = {
            "row": row, "task": task, "entity_type": kind, "entity": entity, "as_of": as_of, "answer_key": key,
            "seen_until": as_of + timedelta(minutes=wrong < 0.02), "prompt_digest": digest if asks else None,
            "text": text, "model": "toy", "model_seen_until": model, "created_at": START,
            "reads": None if read is None or read == row else json.dumps([read]),
        }  # fmt: skip
        answered = self.chance.choice([text, text, "else"])
        answer = {"key": key, "text": answered, "messages": sent(said), "seen_until": model, "created_at": START}
        self.rows[row] = ({**dict.fromkeys(LINEAGE.names), **line}, {**dict.fromkeys(ANSWERS.names), **answer})
        if not asks:
            self.rows[row] = (self.rows[row][0], None)

    def night(self) -> None:
        """Change a few things."""
        for _ in range(self.chance.randint(1, 2)):
            self.chance.choice(CHANGES)(self)

    def mend(self, leaking: set[str]) -> None:
        """Take most of the rows out that were found to leak."""
        for row in sorted(leaking & self.rows.keys()):
            if self.chance.random() < 0.9:
                del self.rows[row]

    def evidence(self) -> Evidence:
        """Return the data of tonight."""
        shown = [(u, i, minute(at), r, self.shown(i, r)) for u, i, at, r in sorted(self.events, key=lambda e: e[2])]
        part = pl.when(pl.col("time") < minute(self.trained)).then(pl.lit("train")).otherwise(pl.lit("test"))
        items = [(item, name, name, f"{name} [{genre}]", genre) for item, (name, genre) in self.items.items()]
        fields = pl.Schema([(name, pl.String()) for name in ("item", "name", "title", "described", "says")])
        searches = [(q, i, None if at is None else minute(at), tested) for q, i, at, tested in self.searches]
        return Evidence(
            events=pl.DataFrame(shown, EVENT, orient="row").with_columns(part=part),
            items=pl.DataFrame(items, fields, orient="row"),
            users=pl.DataFrame(
                list(self.says.items()), pl.Schema({"user": pl.String, "says": pl.String}), orient="row"
            ),
            queries=pl.DataFrame(searches, QUERIES, orient="row"),
            instructions=dict(self.instructions),
        )

    def write(self, writer: Writer) -> None:
        """Bring the tables of a store up to date."""
        changed = [made for row, made in self.rows.items() if self.written.get(row) != made]
        write_answers(writer, list({one["key"]: one for _, one in changed if one is not None}.values()))
        write_lineage(writer, [line for line, _ in changed])
        if gone := self.written.keys() - self.rows.keys():
            delete_lineage(writer, gone)
        self.written = dict(self.rows)
        if self.joins and writer.store.has("answers"):
            join_small_files(writer.store.path("answers"))
        self.joins = False


def sent(text: str) -> str:
    return json.dumps([{"role": "user", "content": text}])


def _asked_again(shop: LeakShop) -> None:
    """Let an answer change under its key, and the row stay."""
    row = shop.pick({row for row, (_, answer) in shop.rows.items() if answer is not None} or shop.rows)
    line, answer = shop.rows[row]
    if answer is not None:
        late = minute(1) if shop.chance.random() < 0.2 else answer["seen_until"]
        asked = sent(f"{json.loads(answer['messages'])[0]['content']}\n{shop.items[shop.pick(shop.items)][0]}")
        shop.rows[row] = (line, {**answer, "messages": asked, "seen_until": late})


def _unlike(shop: LeakShop) -> None:
    """Ask with an unknown prompt that does not share the line of the others."""
    shop.put("user", shop.pick(USERS), minute(0), "", "grim", None)
    row, (line, answer) = list(shop.rows.items())[-1]
    if answer is not None:
        shop.rows[row] = ({**line, "prompt_digest": "unknown"}, {**answer, "messages": sent("Tell.\nno more")})


def _later(shop: LeakShop) -> None:
    shop.now += 1
    shop.event()


def _gone(shop: LeakShop) -> None:
    shop.events.pop(shop.chance.randrange(len(shop.events)))
    if len(shop.events) < 3:
        shop.event()


def _renamed(shop: LeakShop) -> None:
    item = shop.pick(shop.items)
    shop.items[item] = (
        shop.pick([shop.items[item][0], *NAMES, "Cabaret (1972)"]),
        shop.pick(["Drama", "Alien", "Ratings: 3"]),
    )


def _added(shop: LeakShop) -> None:
    shop.items[f"i{len(shop.items)}"] = (shop.pick([*NAMES, "Brazil"]), "Heat (1995)")


def _dropped(shop: LeakShop) -> None:
    if len(shop.rows) > 3:
        del shop.rows[shop.pick(shop.rows)]


def _said(shop: LeakShop) -> None:
    shop.says[shop.pick(USERS)] = shop.items[shop.pick(shop.items)][0]


def _told(shop: LeakShop) -> None:
    shop.instructions["known"] = shop.pick(["Say what the user likes.", "As in Heat (1995) or\nIt\nsay."])


def _searched(shop: LeakShop) -> None:
    shop.searches.append((shop.searches[0][0], shop.pick(shop.items), shop.now, shop.chance.random() < 0.5))


def _joined(shop: LeakShop) -> None:
    shop.joins = True


def _split(shop: LeakShop) -> None:
    shop.trained = shop.chance.randint(0, shop.now)


CHANGES: list[Callable[[LeakShop], None]] = [
    LeakShop.row, LeakShop.row, _asked_again, _unlike, _later, _later, _gone, _renamed, _renamed, _added, _dropped, _said,
    _told, _searched, _split, _joined, lambda shop: shop.event(late=True),
]  # fmt: skip
"""What may happen in a night."""
