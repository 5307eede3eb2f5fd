"""A refresh checks what is new for leaks, and finds what a check of everything would find."""

import random
import sys
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_store.database import Store
from feature_store.leak_check import LeakReport, leak_check
from feature_store.leak_record import FACT, Covered, read_covered, write_record
from feature_store.releases import TABLE, Release, get_release, publish

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from leak_shop import LeakShop

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def candidate(store: Store) -> Release:
    """What a refresh is about to publish."""
    return Release("the candidate", NOW, None, {one: store.version(one) for one in store.tables() if one != TABLE}, {})


def refresh(store: Store, shop: LeakShop, now: datetime = NOW, days: int = 7) -> tuple[LeakReport, Covered | str]:
    """Write what is new, check it as a refresh does, and publish it if no leak was found."""
    with store.writer("a test") as writer:
        shop.write(writer)
        before = get_release(store) if store.has(TABLE) else None
        evidence, release = shop.evidence(), candidate(store)
        covered = read_covered(store.folder, before, evidence, now, days)
        report = leak_check(store, release, evidence, None if isinstance(covered, str) else covered.states)
        if report.leaks == 0:
            publish(writer, {FACT: write_record(store.folder, report, evidence, covered, now)})
    return report, covered


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_what_a_refresh_finds_is_what_a_check_of_everything_finds(tmp_path_factory, seed):
    chance = random.Random(seed)
    shop, store = LeakShop(chance), Store(tmp_path_factory.mktemp("leak") / "store")
    for _ in range(6):
        report, _ = refresh(store, shop)
        whole = leak_check(store, candidate(store), shop.evidence())

        assert (report.leaks, report.counter_examples) == (whole.leaks, whole.counter_examples)
        assert (report.rows, report.samples) == (whole.rows, whole.samples)

        shop.mend({one.row for one in whole.counter_examples})
        shop.night()
