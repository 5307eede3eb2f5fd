"""Rows a technique no longer yields: old snapshots stay, rows that rest on a deleted event go."""

from datetime import UTC, datetime, timedelta

import pytest

from feature_store.lineage import row_key

START = datetime(2024, 1, 1, tzinfo=UTC)  # as in conftest.py


def minute(number: int):
    return START + timedelta(minutes=number)


def key(user: str, number: int) -> str:
    return row_key("kar_user", user, minute(number))


@pytest.fixture
def asked(make_shop):
    """Four users with events at minutes 0 to 4, asked about after all five of them."""
    shop = make_shop(tasks={"kar_user": {"snapshots": [1.0]}})
    shop.ask("kar_user")
    assert sorted(shop.lineage("kar_user")) == [key(f"u{number}", 4) for number in range(4)]
    return shop


def test_an_old_snapshot_stays_beside_the_new_one(asked):
    asked.write_events([*asked.events(), ("u0", "i1", minute(9), 5.0)])

    done = asked.ask("kar_user")

    assert (done.calls, done.withdrawn) == (1, 0)
    assert {key("u0", 4), key("u0", 9)} < set(asked.lineage("kar_user"))


def test_a_row_whose_newest_event_was_deleted_is_withdrawn_lest_it_pass_for_newer_than_its_successor(asked):
    asked.write_events([row for row in asked.events() if row[0] != "u0" or row[2] < minute(4)])

    plan = asked.plan("kar_user")
    done = asked.ask("kar_user")

    assert plan.summary()["withdrawn"] == done.withdrawn == 1
    rows = asked.lineage("kar_user")
    assert key("u0", 3) in rows
    assert key("u0", 4) not in rows
    assert asked.ask("kar_user").withdrawn == 0


def test_a_row_whose_newest_event_got_another_time_is_withdrawn(asked):
    asked.write_events(
        [
            (u, i, minute(2) + timedelta(seconds=30) if (u, t) == ("u1", minute(4)) else t, r)
            for u, i, t, r in asked.events()
        ]
    )

    asked.ask("kar_user")

    rows = asked.lineage("kar_user")
    assert key("u1", 4) not in rows
    assert key("u1", 3) in rows  # minute 3 is the newest one now


def test_rows_from_before_a_sliding_window_stay(asked):
    asked.write_events([(user, item, time + timedelta(days=1), rating) for user, item, time, rating in asked.events()])

    done = asked.ask("kar_user")

    assert done.withdrawn == 0
    assert len(asked.lineage("kar_user")) == 8


def test_rows_of_a_user_who_has_left_the_data_stay_for_no_sample_asks_for_them(asked):
    asked.write_events([row for row in asked.events() if row[0] != "u0"])

    assert asked.ask("kar_user").withdrawn == 0
    assert key("u0", 4) in asked.lineage("kar_user")


def test_rows_left_out_by_a_changed_option_stay_for_they_are_still_true(asked):
    asked.configure(tasks={"kar_user": {"snapshots": [0.4]}})

    assert asked.ask("kar_user").withdrawn == 0
    assert {key("u0", 1), key("u0", 4)} < set(asked.lineage("kar_user"))


def test_rows_of_items_stay_when_the_item_is_gone(make_shop):
    shop = make_shop(items=12, users=1, events=2)
    shop.ask("kar_item")
    shop.write_items({f"i{place}": f"Thing {place}" for place in range(11)})

    assert shop.ask("kar_item").withdrawn == 0
    assert "kar_item/i11/0" in shop.lineage("kar_item")


def test_an_earlier_release_keeps_a_row_that_was_withdrawn(asked):
    from feature_store.releases import publish, released_lineage

    store = asked.place().store
    with store.writer("a test") as writer:
        release = publish(writer, {})
    asked.write_events([row for row in asked.events() if row[0] != "u0" or row[2] < minute(4)])
    asked.ask("kar_user")

    assert key("u0", 4) in released_lineage(store, release)["row"].to_list()
    assert key("u0", 4) not in asked.lineage("kar_user")
