"""Setup of the evaluation of item vectors: the items, their division, the settings, and every arm."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from base.progress import Progress
from encoders.dense import DenseEncoder
from encoders.lexical import LexicalEncoder
from evals.similar import Pairs, Score, by_lift, choose_pairs, cosine
from tuning.note_pairs import note_pairs, pair_users, share_of

VALIDATES = 0.2
"""Share of the held-out items for choosing the weight of the prior."""
FROZEN, TUNED = "facts", "tuned"
HEADLINE = "held-out queries"
"""The headline setting: the query item was never learnt, the items to find may have been."""


@dataclass(frozen=True)
class Pool:
    """The N items to search, and what is known about them."""

    items: Sequence[str]
    """[N] ids, sorted."""
    facts: Sequence[str]
    """[N] notes without a model's answer."""
    knowledge: Sequence[str]
    """[N] a model's answers."""
    events: pl.DataFrame
    """Liked events with these items: user, item, time and part."""


@dataclass(frozen=True)
class Division:
    """Which of N items the encoder never saw, and what they are used for."""

    tests: np.ndarray
    """[N] bool: query items of the test."""
    validates: np.ndarray
    """[N] bool: query items for choosing the weight of the prior; none of them is tested."""


def divide(pool: Pool, held_out: Collection[str]) -> Division:
    """Divide the held-out items: a random part chooses the weight of the prior, the others are tested."""
    items = np.array(pool.items)
    validates = np.isin(items, share_of(held_out, VALIDATES, "weight of the prior"))
    return Division(np.isin(items, list(held_out)) & ~validates, validates)


def tasks_of(pool: Pool, division: Division) -> dict[str, tuple[Pairs, Pairs]]:
    """Return test pairs of each setting, and pairs of untested items for choosing the weight of the prior."""
    tests, every, known = division.tests, np.ones(len(pool.items), dtype=bool), ~division.tests
    later = pool.events.filter(pl.col("part") != "train")
    scored, lift, newest = note_pairs(pool.events), lifted(pool.events), note_pairs(later)
    tasks = {
        HEADLINE: (scored, pool.events, every),
        "disjoint": (scored, pool.events, tests),
        "disjoint, by lift": (lift, pool.events, tests),
        "held-out queries, by lift": (lift, pool.events, every),
        "later events": (newest, later, every),
    }
    return {
        name: (
            choose_pairs(table, pool.items, tests, found, pair_users(events, table)),
            choose_pairs(table, pool.items, division.validates, known),
        )
        for name, (table, events, found) in tasks.items()
    }


def popularity_of(pool: Pool) -> np.ndarray:
    """Count the liked training events of each item: [N] float64."""
    counts = dict(pool.events.filter(pl.col("part") == "train")["item"].value_counts().iter_rows())
    return np.array([counts.get(item, 0) for item in pool.items], dtype=np.float64)


def lifted(events: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs with the highest lift of each source."""
    every = note_pairs(events, low=0.0, high=float("inf"), top=events["item"].n_unique())
    items = events.group_by("user").agg(pl.col("item").n_unique())["item"]
    return by_lift(every, float((1 / items).mean()))  # pyright: ignore[reportArgumentType] - of floats


def counted_arms(pool: Pool, popularity: np.ndarray) -> dict[str, Score]:
    """Return the arms that count training events: popularity, and how often an item follows the query item."""
    together = np.zeros((len(pool.items), len(pool.items)), dtype=np.float32)
    place = {item: number for number, item in enumerate(pool.items)}
    seen = note_pairs(pool.events.filter(pl.col("part") == "train"))
    for source, target, score in seen.iter_rows():
        together[place[source], place[target]] = score
    return {
        "popularity": lambda query: np.tile(popularity, (len(query), 1)),
        "co-occurrence": lambda query: together[query],
    }


def vector_arms(pool: Pool, folder: Path, progress: Progress) -> dict[str, Score]:
    """Return the arms that compare vectors of texts; the frozen encoders are the defaults of KnowFlow."""
    frozen = DenseEncoder("all-MiniLM-L6-v2", "mean", 256, 32)
    tuned = DenseEncoder(str(folder.resolve()), "mean", 256, 32)
    facts, knowledge = frozen.encode(pool.facts, progress), frozen.encode(pool.knowledge, progress)
    lexical = {name: lexical_of(texts) for name, texts in (("facts", pool.facts), ("knowledge", pool.knowledge))}
    chance = np.random.default_rng(0)
    return {
        FROZEN: cosine(facts),
        "knowledge": cosine(knowledge),
        "lexical facts": cosine(lexical["facts"]),
        "lexical knowledge": cosine(lexical["knowledge"]),
        "shuffled": cosine(facts[chance.permutation(len(facts))]),
        "random": cosine(chance.standard_normal(facts.shape).astype(np.float32)),
        TUNED: cosine(tuned.encode(pool.facts, progress)),
    }


def lexical_of(texts: Sequence[str]) -> np.ndarray:
    """Encode texts with lexical vectors fitted on these texts: [N, d]."""
    return LexicalEncoder.fit(list(texts), 384).encode(list(texts), lambda *_: None)
