"""Speed of NoteLLM's pairs: a million synthetic events, in a separate process.

Run:   .venv/bin/python benchmarks/pairs_speed.py
Items are drawn by Zipf's law from 100,000; users have 33 events on average, a few of them thousands. It takes about ten
CPU-seconds. The last line printed is one JSON object.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np
import polars as pl

from tuning.note_pairs import note_pairs

EVENTS, ITEMS, USERS = 1_000_000, 100_000, 60_000


def main() -> None:
    """Start the child process, or run as the child."""
    if sys.argv[1:] == ["child"]:
        measure()
    else:
        subprocess.run([sys.executable, __file__, "child"], check=True)


def measure() -> None:
    """Make events, count their pairs, and print time and memory."""
    events = synthetic_events()
    begun = time.process_time()
    pairs = note_pairs(events)
    seconds, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"events": len(events), "pairs": len(pairs), "cpu_seconds": seconds, "peak_gib": peak}))


def synthetic_events() -> pl.DataFrame:
    """Return user, item and time of a million events; always the same ones."""
    chance = np.random.default_rng(0)
    lengths = chance.lognormal(3, 1.2, USERS).astype(int) + 1
    user = np.repeat(np.arange(USERS), lengths)[:EVENTS]
    share = 1 / np.arange(1, ITEMS + 1)
    item = chance.choice(ITEMS, size=len(user), p=share / share.sum())
    return pl.DataFrame(
        {"user": user.astype(str), "item": item.astype(str), "time": chance.integers(0, 10**9, len(user))}
    )


if __name__ == "__main__":
    main()
