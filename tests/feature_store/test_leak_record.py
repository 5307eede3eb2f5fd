"""A refresh checks what is new for leaks, and finds what a check of everything would find."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leak_shop import LeakShop

from feature_store.database import Store
from feature_store.forget import forget_in_store
from feature_store.leak_check import LeakReport, leak_check
from feature_store.leak_record import FACT, FILE, Covered, drop_record, read_covered, told, write_record
from feature_store.releases import (
    TABLE,
    Release,
    all_releases,
    get_release,
    list_releases,
    mark_damaged,
    publish,
    roll_back,
    unpin,
)
from feature_store.traces import find_traces

NOW = datetime(2026, 5, 1, 3, tzinfo=UTC)


def candidate(store: Store) -> Release:
    """What a refresh is about to publish."""
    return Release("the candidate", NOW, None, {one: store.version(one) for one in store.tables() if one != TABLE}, {})


def refresh(
    store: Store, shop: LeakShop, now: datetime = NOW, days: int = 7, rules: str = ""
) -> tuple[LeakReport, Covered | str]:
    """Write what is new, check it as a refresh does, and publish it if no leak was found."""
    evidence = replace(shop.evidence(), rules=rules)
    with store.writer("a test") as writer:
        shop.write(writer)
        before = next(reversed(list_releases(store)), None)
        covered = read_covered(store.folder, before, evidence, now, days)
        report = leak_check(store, candidate(store), evidence, None if isinstance(covered, str) else covered.states)
        if report.leaks == 0:
            publish(writer, {FACT: write_record(store.folder, report, evidence, covered, now)})
    return report, covered


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_what_a_refresh_finds_is_what_a_check_of_everything_finds(tmp_path_factory, seed):
    shop, store = LeakShop(random.Random(seed)), Store(tmp_path_factory.mktemp("leak") / "store")
    for _ in range(6):
        report, _ = refresh(store, shop)
        whole = leak_check(store, candidate(store), shop.evidence())

        assert (report.leaks, report.counter_examples) == (whole.leaks, whole.counter_examples)
        assert (report.rows, report.samples) == (whole.rows, whole.samples)

        shop.mend({one.row for one in whole.counter_examples})
        shop.night()


@pytest.fixture
def shop() -> LeakShop:
    """A shop without a leak: three rows, each about a user's first minute."""
    shop = LeakShop(random.Random(0))
    shop.rows.clear()
    shop.says.clear()
    for user in ("u", "v", "w"):
        shop.put("user", user, datetime(2024, 1, 1, tzinfo=UTC), "nothing", "grim", None)
    shop.rows = {row: ({**line, "prompt_digest": "known"}, answer) for row, (line, answer) in shop.rows.items()}
    return shop


@pytest.fixture
def released(tmp_path, shop) -> Store:
    """A store with one release of it."""
    store = Store(tmp_path / "store")
    report, covered = refresh(store, shop)
    assert (report.leaks, report.checked, covered) == (0, 3, "there is no release yet")
    return store


def meets(shop: LeakShop, user: str) -> None:
    """Let a user meet an item that no row names."""
    shop.now += 1
    shop.events.append((user, "i4", shop.now, 3.0))


def test_a_refresh_checks_the_rows_of_whoever_met_something_and_says_so(released, shop):
    meets(shop, "v")
    report, covered = refresh(released, shop)

    assert (report.checked, report.rows) == (1, 3)
    assert told(report, covered) == (
        "checked 1 new rows of 3; the rest was checked in rel-000001 (all of it last in rel-000001, 2026-05-01)"
    )
    report, covered = refresh(released, shop, NOW + timedelta(days=1))
    assert told(report, covered) == (
        "checked 0 new rows of 3; the rest was checked in rel-000002 (all of it last in rel-000001, 2026-05-01)"
    )


def test_a_leak_that_stopped_a_release_is_found_again_until_it_is_mended(released, shop):
    row, (line, answer) = next(iter(shop.rows.items()))
    shop.rows[row] = ({**line, "seen_until": line["as_of"] + timedelta(minutes=1)}, answer)

    assert [refresh(released, shop)[0].leaks for _ in range(2)] == [1, 1]
    shop.rows[row] = (line, answer)
    assert refresh(released, shop)[0].leaks == 0


@pytest.mark.parametrize(
    ("days", "later", "whole"), [(7, 6.99, False), (7, 7, True), (1, 1, True), (0, 0, True), (7, -0.01, True)]
)
def test_everything_is_checked_again_when_the_last_time_is_so_many_days_ago(released, shop, days, later, whole):
    report, covered = refresh(released, shop, NOW + timedelta(days=later), days)

    assert report.checked == (3 if whole else 0)
    assert isinstance(covered, str) == whole
    assert not whole or "(the last time was on 2026-05-01)" in told(report, covered)


def test_the_date_of_the_last_whole_check_is_handed_on_and_set_by_the_next_one(released, shop):
    dates = []
    for day in (3, 6, 7, 10, 14):
        meets(shop, "u")
        refresh(released, shop, NOW + timedelta(days=day))
        said = get_release(released).facts[FACT]
        dates.append((said["whole_at"][:10], said["whole_in"], said["checked"]))

    assert dates == [
        ("2026-05-01", "rel-000001", 1),
        ("2026-05-01", "rel-000001", 1),
        ("2026-05-08", None, 3),
        ("2026-05-08", "rel-000004", 1),
        ("2026-05-15", None, 3),
    ]


def _rolled_back(store: Store) -> None:
    with store.writer("a test") as writer:
        roll_back(writer, "rel-000001")
        unpin(writer, "rel-000001")


def _damaged(store: Store) -> None:
    with store.writer("a test") as writer:
        mark_damaged(writer, get_release(store), "a test")


def _told_nothing(store: Store) -> None:
    with store.writer("a test") as writer:
        publish(writer, {})


def _changed(store: Store) -> None:
    pl.read_parquet(store.folder / FILE).with_columns(pl.col("state") + 1).write_parquet(store.folder / FILE)


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (_rolled_back, "rel-000003 points to the tables of rel-000001"),
        (_damaged, "leak-check.parquet is not that of rel-000001"),
        (_told_nothing, "rel-000003 does not say what was checked"),
        (_changed, "leak-check.parquet is not that of rel-000002"),
        (lambda store: drop_record(store.folder), "leak-check.parquet is not that of rel-000002"),
    ],
)
def test_everything_is_checked_when_what_was_checked_is_not_what_is_current(released, shop, happens, why):
    meets(shop, "v")
    refresh(released, shop)
    happens(released)
    meets(shop, "v")

    report, covered = refresh(released, shop)

    assert (report.checked, covered) == (3, why)
    assert refresh(released, shop)[0].checked == 0
    assert all_releases(released)[-1].facts[FACT]["since"] is not None


def test_everything_is_checked_when_the_check_or_the_reading_of_the_data_has_changed(released, shop, monkeypatch):
    why = "the check, or what it depends on in knowflow.yaml, has changed since rel-00000"
    assert refresh(released, shop, rules="another domain")[1] == f"{why}1"
    assert isinstance(refresh(released, shop, rules="another domain")[1], Covered)

    monkeypatch.setattr(pl, "__version__", "0")  # its hashes are the same within one version only
    assert refresh(released, shop, rules="another domain")[1] == f"{why}3"


def test_no_state_is_kept_of_what_other_rows_decide(released, shop):
    row, (line, answer) = next((row, made) for row, made in shop.rows.items() if made[1] is not None)
    shop.rows[row] = ({**line, "prompt_digest": "unknown"}, answer)

    assert [refresh(released, shop)[0].checked for _ in range(2)] == [1, 1]


def test_a_store_without_rows_is_checked(tmp_path):
    store = Store(tmp_path / "store")
    empty = LeakShop(random.Random(0))
    empty.rows.clear()

    assert refresh(store, empty)[0].checked == refresh(store, empty)[0].checked == 0


def test_forgetting_somebody_drops_what_would_tell_that_they_were_there(released, shop):
    with released.writer("a test") as writer:
        forget_in_store(writer, find_traces(released, ["v"]))

    assert not (released.folder / FILE).exists()
    assert refresh(released, shop)[1] == "leak-check.parquet is not that of rel-000001"
