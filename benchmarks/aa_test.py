"""Measure how often noise is called a gain: simulated, equally good arms, judged like any comparison.

Two arms see the same part of the truth and differ only by independent noise, half of whose variance is the same in
all training seeds and half differs between seeds. A sentence about all test rows that says "better" or "a loss" is
false. Users differ in their tastes; in half of the cases one user has a quarter of the rows, as one did under a
global time split. 200 runs per case by default. With the percentile interval alone, 7.6% of the sentences were false at
20 users and 6.2% at 30 where all of the noise stayed the same in all seeds, the worst case (1,000 runs).

    PYTHONPATH=. .venv/bin/python benchmarks/aa_test.py

One CPU-minute (44 s). The last line printed is one JSON object.
"""

import argparse
import json
from collections.abc import Sequence

import numpy as np

from evals.conclusion import conclude
from evals.evaluate import Scores, evaluate

USERS = (20, 30, 50)
SHARES = (None, 0.25)
"""Share of the rows of the largest user; None if all have equally many."""
FALSE_WORDS = ("better than", "ahead of", "a loss against")


def noise_scores(
    users: int, largest: float | None, random: np.random.Generator, seeds: int = 3, rows: int = 20, fixed: float = 0.5
) -> Scores:
    """Make the scores of two arms that are equally good.

    Args:
        users: Number of users.
        largest: Share of the rows of the largest user; None if all have equally many.
        random: Random number generator.
        seeds: Training seeds per arm.
        rows: Rows of every other user.
        fixed: Share of the noise's variance that is the same in all seeds.
    """
    first = rows if largest is None else round(rows * (users - 1) * largest / (1 - largest))
    user = np.repeat(np.arange(users), [first, *[rows] * (users - 1)])
    truth = random.normal(size=len(user)) + random.normal(size=users)[user]
    label = (random.random(len(user)) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    seen = 0.7 * truth + 0.5 * random.normal(size=len(user))
    probabilities = {}
    for arm in ("base", "knowledge"):
        noise = 0.3 * np.sqrt(fixed) * random.normal(size=len(user))
        by_seed = 0.3 * np.sqrt(1 - fixed) * random.normal(size=(seeds, len(user)))
        probabilities[arm] = (1 / (1 + np.exp(-(seen + noise + by_seed)))).astype(np.float32)
    return Scores(label, user, {"all": np.ones(len(user), dtype=bool)}, probabilities)


def aa_false_share(
    users: int, largest: float | None = None, runs: int = 200, replicates: int = 500, fixed: float = 0.5
) -> float:
    """Return the share of runs whose sentence claims a difference although there is none.

    Args:
        users: Number of users.
        largest: Share of the rows of the largest user; None if all have equally many.
        runs: Simulated runs; the same number gives the same share.
        replicates: Replicates of each run's bootstrap.
        fixed: Share of the noise's variance that is the same in all seeds.
    """
    false = 0
    for run in range(runs):
        scores = noise_scores(users, largest, np.random.default_rng((users, run)), fixed=fixed)
        found = evaluate(scores, ("base",), replicates, seed=run)
        text = conclude(found["gains"], found["segments"], ("base",))
        false += any(word in text for word in FALSE_WORDS)
    return false / runs


def measure(users: Sequence[int] = USERS, runs: int = 200, fixed: float = 0.5) -> dict[str, float | dict[str, float]]:
    """Measure every case: `aa_false_share` over all, and `by_users`, with and without a large user."""
    by_users = {}
    for count in users:
        for largest in SHARES:
            name = f"{count}" if largest is None else f"{count}, one with {largest:.0%} of the rows"
            by_users[name] = aa_false_share(count, largest, runs, fixed=fixed)
    return {
        "aa_false_share": float(np.mean(list(by_users.values()))),
        "by_users": by_users,
        "runs": runs * len(by_users),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How often noise is called a gain.")
    parser.add_argument("--runs", type=int, default=200, help="simulated runs a case")
    parser.add_argument("--fixed", type=float, default=0.5, help="share of the noise that all seeds have in common")
    given = parser.parse_args()
    print(json.dumps(measure(runs=given.runs, fixed=given.fixed)))
