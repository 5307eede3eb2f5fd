"""Forgetting one user takes nothing of anybody else, and refuses what it could not do rightly."""

from datetime import UTC, datetime, timedelta

import pytest

from app.config import load_config
from app.forgetting import forget, plan_forgetting
from base.faults import WrongUse

START = datetime(2024, 1, 1, tzinfo=UTC)


def released(make_shop, histories, items):
    """A shop with these histories, user -> items, and these items, id -> title; with one release."""
    shop = make_shop(items=12, tasks={"kar_item": {"encoders": []}, "kar_user": {"encoders": []}})
    shop.write_items(items)
    events = [
        (user, item, START + timedelta(hours=place, seconds=number), 4.0)
        for number, (user, of) in enumerate(histories.items())
        for place, item in enumerate(of)
    ]
    shop.write_events(sorted(events, key=lambda event: event[2]))
    shop.release("kar_item", "kar_user")
    return shop


def rows(shop):
    return {row["entity"]: row["text"] for task in ("kar_item", "kar_user") for row in shop.lineage(task).values()}


ITEMS = {f"1000000{number}": f"Thing {number}" for number in range(10)}
SOME = ["10000001", "10000002", "10000003"]


@pytest.mark.parametrize(
    ("user", "others"),
    [
        ("maria.lopez", ["maria.lopez_2", "x-maria.lopez", "maria.lopez@shop.example"]),
        ("10000001", ["10000011", "anna"]),  # the id of an item, too
        ("Superman", ["anna", "bert"]),  # a word of titles
        ("7", ["17", "77", "anna"]),
    ],
)
def test_who_or_what_has_a_like_id_stays(make_shop, user, others):
    items = ITEMS | {"10000012": "Superman returns", "10000013": "Superman again", "17": "Seven"}
    histories = {user: SOME, **{other: [*SOME[::-1], "10000012", "10000013"] for other in others}}
    shop = released(make_shop, histories, items)
    before = rows(shop)
    users = {row["entity"] for row in shop.lineage("kar_user").values()}
    kept_items = {row["entity"]: row["text"] for row in shop.lineage("kar_item").values()}

    forget(load_config(shop.config), [user])

    assert users == set(histories)
    assert {row["entity"] for row in shop.lineage("kar_user").values()} == set(others)
    assert {row["entity"]: row["text"] for row in shop.lineage("kar_item").values()} == kept_items
    assert {other: rows(shop)[other] for other in others} == {other: before[other] for other in others}
    assert {row["item"] for row in shop.place().store.open("documents").to_table().to_pylist()} == set(items)


def test_a_history_that_begins_like_another_draws_nobody_in(make_shop):
    shop = released(make_shop, {"anna": SOME[:1], "bert": SOME[:2], "carl": SOME}, ITEMS)
    plan = plan_forgetting(load_config(shop.config), ["anna"])

    forget(load_config(shop.config), ["anna"])

    assert (plan.traces.of_others, dict(plan.traces.tasks)) == (0, {"kar_user": 1})
    assert {row["entity"] for row in shop.lineage("kar_user").values()} == {"bert", "carl"}


@pytest.mark.parametrize("user", ["nobody", "\ufeffanna", " anna", "Anna"])
def test_an_id_that_is_nobody_s_is_refused_and_nothing_changes(make_shop, user):
    shop = released(make_shop, {"anna": SOME}, ITEMS)
    before = shop.store_bytes()

    with pytest.raises(
        WrongUse, match=r"1 of 2 ids are of no user in the data or in the store: .*\n  give ids as they"
    ):
        forget(load_config(shop.config), ["anna", user])
    assert shop.store_bytes() == before
    forget(load_config(shop.config), ["anna"])
    forget(load_config(shop.config), ["anna"])  # a second time, as somebody who was forgotten


def test_a_home_with_input_files_or_links_is_refused_and_all_are_named(make_shop, tmp_path):
    shop = released(make_shop, {"anna": SOME}, ITEMS)
    home = shop.folder / "runs"
    (shop.folder / "events.parquet").rename(home / "events.parquet")
    (home / "link").symlink_to(tmp_path)
    shop.configure(events={**shop.settings["events"], "path": "runs/events.parquet"})
    before = (home / "events.parquet").read_bytes()

    with pytest.raises(WrongUse) as refused:
        forget(load_config(shop.config), ["anna"])

    told = str(refused.value)
    assert f"{home / 'events.parquet'} lies in {home}, where this command changes files" in told
    assert f"{home / 'link'} is a symbolic link" in told
    assert (home / "events.parquet").read_bytes() == before
