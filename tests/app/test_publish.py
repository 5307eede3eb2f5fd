"""Publishing checks for leaks what is new, says so in the gate, and everything when it must."""

from datetime import UTC, datetime, timedelta

import pytest

from app import publish
from app.config import load_config
from feature_store.leak_record import FACT, FILE
from feature_store.releases import get_release, roll_back, unpin


def scope(shop) -> str:
    """What the gate of the current release says it has checked."""
    (gate,) = (one for one in get_release(shop.place().store).facts["gates"] if one["name"] == "no leak")
    return gate["found"].partition("; ")[2]


def meets(shop, user: str = "u0", item: str = "i5") -> None:
    """Let a user meet an item after all others."""
    at = max(time for _, _, time, _ in shop.events()) + timedelta(minutes=1)
    shop.write_events([*shop.events(), (user, item, at, 5.0)])


@pytest.fixture
def released(shop):
    shop.configure(tasks={"kar_user": {"snapshots": [0.5, 1.0]}, "kar_item": {}})
    shop.release("kar_item", "kar_user")
    return shop


def test_the_second_release_checks_the_rows_of_whoever_met_something_and_the_first_one_all(released):
    # two rows for each of four users; twelve items
    assert scope(released) == "checked all 20 rows (there is no release yet)"

    meets(released)
    released.release("kar_item", "kar_user")

    facts = get_release(released.place().store).facts[FACT]
    # u0 has four rows now, two of them new, and somebody met i5
    assert (facts["checked"], facts["rows"], facts["since"]) == (5, 22, "rel-000001")
    assert scope(released).startswith("checked 5 new rows of 22; the rest was checked in rel-000001 (all of it last in")


@pytest.mark.parametrize("change", ["rollback", "domain", "mapping", "file"])
def test_a_release_is_checked_whole_when_what_was_checked_may_not_be_what_there_is(released, change):
    store = released.place().store
    if change == "rollback":
        with store.writer("a test") as writer:
            roll_back(writer, "rel-000001")
            unpin(writer, "rel-000001")
    elif change == "domain":
        released.configure(domain="films")
    elif change == "mapping":
        released.configure(label={"rating_at_least": 3})
    else:
        (store.folder / FILE).write_bytes(b"")
    meets(released)
    released.release("kar_item", "kar_user")

    said = scope(released)
    why = {"rollback": "rel-000002 points to the tables of rel-000001", "file": f"{FILE} is not that of rel-000001"}
    changed = "the check, or what it depends on in knowflow.yaml, has changed since rel-000001"
    assert said.startswith("checked all ")
    assert said.endswith(f"({why.get(change, changed)})")


def test_a_week_later_everything_is_checked(released, monkeypatch):
    class NextWeek(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2100, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(publish, "datetime", NextWeek)
    meets(released)
    released.release("kar_item", "kar_user")

    assert "rows (the last time was on " in scope(released)


def test_the_command_checks_everything_or_what_has_changed_since_the_release(released):
    config = load_config(released.config)

    def checked(**options) -> int:
        place = released.place()
        return publish.check_release(config, place, place.store, None, **options)[1]["checked"]

    assert (checked(), checked(full=False)) == (20, 0)
    meets(released)
    assert (checked(), checked(full=False)) == (20, 3)  # u0's rows and that of i5, though no release has them anew
