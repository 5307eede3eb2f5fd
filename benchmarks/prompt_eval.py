"""Measure how often `prompts eval` calls noise a gain, and how often it finds a real one.

Simulated log: 250 users rate 300 items by taste, quality and noise, about 40 each; 150 items are sampled, some with few
ratings. A text is a vector of 64 numbers: what the item is about, and what is by chance in it, half of which all texts
about the item share.

A/A: two versions and the facts have texts of the same kind. A sentence that one version is worth more is false.
A/B: texts of the second version also say how good the item is, as well as the key `planted` says: `cue` is the
correlation of what they say with the item's true quality, `probe` are the mean probes of both versions. A sentence that
it is worth more than the first is right.
Both go through `evals.prompts.worth`, as the command does. Every 5 repetitions there are new users, items and ratings.

    PYTHONPATH=. .venv/bin/python benchmarks/prompt_eval.py

The last line printed is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat as repeat_value
from multiprocessing import get_context
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import numpy as np
import polars as pl
from scipy.stats import beta

from evals.prompts.worth.ground import Ground, open_ground
from evals.prompts.worth.measure import measure_on, one_thread
from evals.prompts.worth.verdicts import verdicts
from evals.trial import Measured, Trial, TrialAnswer, TrialRow
from prompts.domain import load_domain
from sources.config import SplitConfig
from sources.events import with_parts
from sources.tables import Dataset

USERS, ITEMS, SAMPLE, EACH = 250, 300, 150, 40
"""Users, items, sampled items, events of a user."""
TOPICS, WIDTH = 8, 64
"""Numbers of a taste, and of a text's vector."""
CHANCE = 1.0
"""Size of what is by chance in a text; what it is about has size 1."""
CUE = 0.65
"""Correlation of what a planted text says of an item's quality with the quality."""
REUSED = 5
"""Repetitions on the same simulated log."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VERSIONS = ("toy.v1", "toy.v2")


@dataclass(frozen=True)
class World:
    """A simulated log."""

    ground: Ground
    """What the events say of the sample."""
    rows: tuple[TrialRow, ...]
    """The sample."""
    topics: np.ndarray
    """[n, TOPICS] of the sampled items."""
    quality: np.ndarray
    """[n] of the sampled items, of mean 0 and deviation 1 over all items."""


def simulate(random: np.random.Generator, sample: int = SAMPLE) -> World:
    """Simulate a log and sample items from it, as many of the rarely rated half as of the other."""
    topics, tastes = random.normal(size=(ITEMS, TOPICS)), random.normal(size=(USERS, TOPICS))
    quality, mild = random.normal(size=ITEMS), 0.4 * random.normal(size=USERS)
    fame = np.exp(0.8 * random.normal(size=ITEMS))
    user = np.repeat(np.arange(USERS), EACH)
    item = np.concatenate([random.choice(ITEMS, EACH, replace=False, p=fame / fame.sum()) for _ in range(USERS)])
    liking = 0.4 * quality[item] + 0.4 * (topics[item] * tastes[user]).sum(axis=1) / np.sqrt(TOPICS)
    rating = np.clip(np.round(2 * (3.5 + mild[user] + liking + 0.8 * random.normal(size=len(user)))) / 2, 0.5, 5)
    events = pl.DataFrame(
        {
            "user": user.astype(str),
            "item": item.astype(str),
            "time": [EPOCH + timedelta(days=10_000, minutes=int(at)) for at in random.permutation(len(user))],
            "rating": pl.Series(rating, dtype=pl.Float32),
            "label": pl.Series(rating >= 4, dtype=pl.Float32),
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
    events = events.sort("time", "item", "user")
    events = events.with_columns(position=pl.int_range(pl.len(), dtype=pl.UInt32).over("user"))
    items = pl.DataFrame({"item": np.arange(ITEMS).astype(str), "title": [f"item {at}" for at in range(ITEMS)]})
    events = with_parts(events, SplitConfig(train=0.8, validation=0.1))
    dataset = Dataset(events, items, None, None, (), (), (), "simulated")
    by_fame = np.argsort(np.bincount(item, minlength=ITEMS), kind="stable")
    halves = np.split(by_fame, 2)
    chosen = np.concatenate([random.choice(half, sample // 2, replace=False) for half in halves])
    rows = tuple(TrialRow(f"toy/{at}", str(at), EPOCH, "any", {}) for at in chosen)
    ground = open_ground("toy", "item", rows, dataset, load_domain("generic"))
    return World(ground, rows, topics[chosen], quality[chosen])


def write_texts(world: World, random: np.random.Generator, cues: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Make the vectors of every version's texts.

    Args:
        world: The log.
        random: Random number generator.
        cues: Version -> correlation of what its texts say of quality with the quality; 0 = they say nothing.
    """
    turn = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0]
    shape = (len(world.rows), WIDTH)
    shared = random.normal(size=shape)
    out = {}
    for version, cue in cues.items():
        by_chance = (shared + random.normal(size=shape)) / np.sqrt(2 * WIDTH)
        says = cue * world.quality + np.sqrt(1 - cue**2) * random.normal(size=len(world.rows))
        about = np.column_stack([world.topics / np.sqrt(TOPICS), says if cue else 0 * says])
        out[version] = about @ turn[: TOPICS + 1] + CHANCE * by_chance
    return out


def judge(world: World, texts: Mapping[str, np.ndarray], seed: int) -> tuple[list[Measured], list[str]]:
    """Measure texts as the command does; `facts` are the catalogue's."""
    vectors = {f"{version} {at}": of[at] for version, of in texts.items() for at in range(len(of))}
    answers = {
        version: [_answer(f"{version} {at}") for at in range(len(world.rows))]
        for version in texts
        if version in VERSIONS
    }
    trial = Trial("toy", "item", VERSIONS, world.rows, answers)
    facts = {row.entity: f"facts {at}" for at, row in enumerate(world.rows)} if "facts" in texts else {}
    measured = measure_on(world.ground, trial, facts, lambda texts: np.stack([vectors[one] for one in texts]), seed)
    return measured, verdicts(measured, VERSIONS)


def _answer(text: str) -> TrialAnswer:
    return TrialAnswer(text, text, text, text, None, "stop", 1, 1)


@dataclass(frozen=True)
class Said:
    """What one repetition said."""

    second: bool
    """That the second version is worth more than the first."""
    first: bool
    """That the first is worth more than the second."""
    facts: bool
    """That a version is worth more than the facts."""
    probes: tuple[float, float]
    """Probes of both versions."""


def repeat(log: int, runs: int, cue: float, sample: int) -> list[Said]:
    """Judge pairs of versions on one simulated log.

    Args:
        log: Seed of the log.
        runs: Repetitions.
        cue: What the second version says of quality; 0 = both and the facts are the same.
        sample: Sampled items.
    """
    with one_thread():
        world = simulate(np.random.default_rng((log, 0)), sample)
        return [_said(world, np.random.default_rng((log, 1, run)), cue, run) for run in range(runs)]


def _said(world: World, random: np.random.Generator, cue: float, seed: int) -> Said:
    texts = write_texts(world, random, {VERSIONS[0]: 0.0, VERSIONS[1]: cue} | ({} if cue else {"facts": 0.0}))
    measured, sentences = judge(world, texts, seed)
    text = " ".join(sentences)
    first, second = (measured[0].figures[version].mean or 0.0 for version in VERSIONS)
    return Said(
        f"{VERSIONS[1]} is worth more than {VERSIONS[0]}" in text,
        f"{VERSIONS[0]} is worth more than {VERSIONS[1]}" in text,
        "is worth more than the catalogue's facts" in text,
        (first, second),
    )


def repeat_all(pool: Executor, runs: int, cue: float, sample: int, begin: int) -> list[Said]:
    """Judge pairs on as many logs as needed, several at a time; how many changes no result."""
    sizes = [min(REUSED, runs - at) for at in range(0, runs, REUSED)]
    logs = [begin + place for place in range(len(sizes))]
    out: list[Said] = []
    for found in pool.map(repeat, logs, sizes, repeat_value(cue), repeat_value(sample)):
        out += found
        print(f"  {len(out)} of {runs} with a cue of {cue:g}", file=sys.stderr, flush=True)
    return out


def share(found: Sequence[bool]) -> dict[str, float | list[float]]:
    """Return a share and its exact 95% interval (Clopper and Pearson 1934)."""
    right, runs = sum(found), len(found)
    low = float(beta.ppf(0.025, right, runs - right + 1)) if right else 0.0
    high = float(beta.ppf(0.975, right + 1, runs - right)) if right < runs else 1.0
    return {"share": right / runs, "interval": [low, high], "runs": runs}


def main() -> None:
    """Run both, and print the shares."""
    parser = argparse.ArgumentParser(description="How often noise is called a gain, and a real one is found.")
    parser.add_argument("--equal", type=int, default=200, help="repetitions with two versions of the same kind")
    parser.add_argument("--planted", type=int, default=100, help="repetitions with a planted gain")
    parser.add_argument("--cue", type=float, default=CUE, help="what the planted texts say of an item's quality")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="sampled items")
    parser.add_argument("--begin", type=int, default=0, help="seed of the first simulated log")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        planted = repeat_all(pool, given.planted, given.cue, given.sample, given.begin + 10_000)
        equal = repeat_all(pool, given.equal, 0.0, given.sample, given.begin)
    alarms, right = share([one.first or one.second for one in equal]), share([one.second for one in planted])
    probes = np.mean([one.probes for one in planted], axis=0).tolist()
    cpu = sum(getrusage(who).ru_utime + getrusage(who).ru_stime for who in (RUSAGE_SELF, RUSAGE_CHILDREN))
    found = {
        "false_alarms": alarms["share"],
        "power": right["share"],
        "equal": alarms,
        "equal_to_facts": share([one.facts for one in equal]),
        "planted": right | {"cue": given.cue, "probe": probes},
        "sample": given.sample,
        "cpu_seconds": cpu,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
