"""A small log of films with known qualities, a sample of its items and texts about them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from evals.prompts.worth.ground import Ground, open_ground
from evals.prompts.worth.measure import measure_on
from evals.trial import Measured, Trial, TrialAnswer, TrialRow
from prompts.domain import load_domain
from sources.tables import Dataset

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
USERS, ITEMS, EACH = 60, 60, 24
V1, V2 = "toy.v1", "toy.v2"


@dataclass(frozen=True)
class Log:
    """A log and what is true of it."""

    dataset: Dataset
    quality: np.ndarray

    def changed(self, where: pl.Expr, rating: float, label: float) -> "Log":
        """Put other ratings and labels where an expression holds."""
        new = [
            pl.when(where).then(pl.lit(value, dtype=pl.Float32)).otherwise(pl.col(name)).alias(name)
            for name, value in (("rating", rating), ("label", label))
        ]
        return replace(self, dataset=replace(self.dataset, events=self.dataset.events.with_columns(new)))

    def ground(self, entity: str = "item", as_of: datetime = EPOCH, only: Sequence[int] | None = None) -> Ground:
        """Build the ground of a sample of all items or users, or of some."""
        rows = rows_of(entity, as_of, only)
        return open_ground("toy", entity, rows, self.dataset, load_domain("generic"))

    def measure(
        self, vectors: Mapping[str, np.ndarray], entity: str = "item", as_of: datetime = EPOCH, seed: int = 0
    ) -> dict[str, Measured]:
        """Measure versions, and facts where there are any, whose texts have these vectors."""
        trial, facts, encode = trial_of(vectors, entity, as_of)
        return {one.name: one for one in measure_on(self.ground(entity, as_of), trial, facts, encode, seed)}


def rows_of(entity: str, as_of: datetime = EPOCH, only: Sequence[int] | None = None) -> tuple[TrialRow, ...]:
    places = range(ITEMS if entity == "item" else USERS) if only is None else only
    return tuple(TrialRow(f"toy/{at}", name(entity, at), as_of, "any", {}) for at in places)


def name(entity: str, at: int) -> str:
    return f"{entity[0]}{at:03}"


def trial_of(
    vectors: Mapping[str, np.ndarray], entity: str = "item", as_of: datetime = EPOCH
) -> tuple[Trial, dict[str, str], Callable[[Sequence[str]], np.ndarray]]:
    """Write texts that encode to the given vectors; descriptions of items encode by the item's number."""
    rows = rows_of(entity, as_of)
    known = {f"{version} {at}": of[at] for version, of in vectors.items() for at in range(len(of))}
    width = next(iter(vectors.values())).shape[1]
    described = np.random.default_rng(5).normal(size=(ITEMS, width))
    known |= {f"Film {at}": described[at] for at in range(ITEMS)}
    versions = tuple(version for version in vectors if version != "facts")
    answers = {version: [answer(f"{version} {at}") for at in range(len(rows))] for version in versions}
    facts = {row.entity: f"facts {at}" for at, row in enumerate(rows)} if "facts" in vectors else {}
    trial = Trial("toy", entity, versions, rows, answers)
    return trial, facts, lambda texts: np.stack([known[text] for text in texts])


def answer(text: str | None, fields: object = None) -> TrialAnswer:
    return TrialAnswer("key", text, text, fields, None if text else "parse: no text", "stop", 1, 1)


@pytest.fixture(scope="session")
def log() -> Log:
    """60 users rate 24 of 60 items each, by quality and noise; the last tenth of each user's events is for testing."""
    random = np.random.default_rng(3)
    quality = random.normal(size=ITEMS)
    user = np.repeat(np.arange(USERS), EACH)
    item = np.concatenate([random.choice(ITEMS, EACH, replace=False) for _ in range(USERS)])
    rating = np.clip(np.round(2 * (3.5 + 0.8 * quality[item] + 0.6 * random.normal(size=len(user)))) / 2, 0.5, 5)
    place = np.tile(np.arange(EACH), USERS)
    part = np.where(place < 17, "train", np.where(place < 21, "validation", "test"))
    events = pl.DataFrame(
        {
            "user": [name("user", at) for at in user],
            "item": [name("item", at) for at in item],
            "time": [BEGIN + timedelta(hours=int(at) * USERS + int(of)) for at, of in zip(place, user, strict=True)],
            "rating": pl.Series(rating, dtype=pl.Float32),
            "label": pl.Series(rating >= 4, dtype=pl.Float32),
            "position": pl.Series(place, dtype=pl.UInt32),
            "part": part,
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    ).sort("time", "item", "user")
    items = pl.DataFrame(
        {"item": [name("item", at) for at in range(ITEMS)], "title": [f"Film {at}" for at in range(ITEMS)]}
    )
    return Log(Dataset(events, items, None, None, (), (), (), "toy"), quality)


@pytest.fixture(scope="session")
def vectors(log: Log) -> dict[str, np.ndarray]:
    """Texts of v2 say how good an item is; those of v1 and the facts say nothing."""
    random = np.random.default_rng(4)
    noise = {version: random.normal(size=(ITEMS, 12)) / np.sqrt(12) for version in (V1, V2, "facts")}
    return noise | {V2: np.column_stack([noise[V2][:, :11], 1.5 * log.quality])}
