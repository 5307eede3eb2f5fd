"""The clock was an hour ahead while a store was written, and has jumped back: what comes later is still newer."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from app.code_making import make_codes
from app.config import load_config
from app.publish import check_release
from base.progress import silent
from feature_store.releases import get_release, list_releases, publish
from feature_store.schemas import ANSWERS, LINEAGE, RELEASES, STATES
from feature_store.vectors import STATES_TABLE, newest_state, write_state
from llm_tasks.pipeline.row_planner import SERVER

AHEAD = timedelta(hours=1)
WRITTEN = {"answers": ANSWERS, "lineage": LINEAGE, "releases": RELEASES, STATES_TABLE: STATES}


def written_ahead(shop, by: timedelta = AHEAD) -> None:
    """Date everything that the store holds as a clock would have that was ahead."""
    store = shop.place().store
    with store.writer("a test") as writer:
        for table, schema in WRITTEN.items():
            rows = store.read(table, schema).to_pylist()
            dated = [{**row, "created_at": row["created_at"] + by} for row in rows]
            writer.upsert(table, pa.Table.from_pylist(dated, schema=schema), schema)


def test_the_next_release_is_current_and_asks_and_leaks_as_without_the_jump(make_shop):
    shops = [make_shop(name=name, users=5) for name in ("steady", "jumped")]
    for shop in shops:
        shop.release("kar_item", "kar_user", "item_facts")
    written_ahead(shops[1])
    asked = []
    for shop in shops:
        before, events = len(shop.calls()), shop.events()
        user, _, time, _ = events[-1]
        shop.write_events([*events, (user, "i0", time + timedelta(minutes=9), 5.0)])
        shop.write_items({f"i{place}": f"Thing {place}" for place in range(13)})

        name = shop.release("kar_item", "kar_user", "item_facts")

        asked.append(sorted(shop.calls()[before:]))
        releases = list_releases(shop.place().store)
        assert name == releases[-1].name == "rel-000002"
        release, leaks = check_release(load_config(shop.config), shop.place(), shop.place().store, None)
        assert (release.name, leaks["leaks"]) == ("rel-000002", 0)
    assert asked[0] == asked[1]
    assert asked[0]
    assert releases[0].created_at > releases[1].created_at  # the clock did jump


def test_a_state_that_is_fitted_after_the_jump_is_the_newest(shop):
    shop.release("kar_item")
    store = shop.place().store
    (row,) = store.read(STATES_TABLE, STATES).to_pylist()
    written_ahead(shop)
    with store.writer("a test") as writer:
        write_state(writer, row["encoder"], row["space"], "refitted", ["key"], b"state")

    newest = newest_state(store, row["encoder"], row["space"])

    assert newest is not None
    assert newest["fingerprint"] == "refitted"


def test_codes_made_after_the_jump_are_dated_by_all_the_texts_behind_them(make_shop):
    shops = [make_shop(name=name) for name in ("steady", "jumped")]
    made = []
    for shop, ahead in zip(shops, (timedelta(0), AHEAD), strict=True):
        shop.release("kar_item", "kar_user")
        written_ahead(shop, ahead)
        store = shop.place().store
        with store.writer("a test") as writer:
            publish(writer, get_release(store).facts)  # which holds the rows as they are dated now
        made.append(make_codes(load_config(shop.config), "rqvae", "kar_user/lexical", silent, {"epochs": 1}))

    assert made[0]["seen_until"] == made[1]["seen_until"]
    assert made[1]["seen_until"] is not None


@pytest.mark.parametrize("last", ["ahead", "now"])
def test_a_row_that_failed_in_the_future_does_not_wait_until_then(make_shop, last):
    shop = make_shop(items=4, users=1, tasks={"kar_item": {}})
    shop.configure(rules={"Thing 3": "error:http_503"})
    for _ in range(3):
        shop.ask("kar_item")
    if last == "ahead":
        written_ahead(shop, timedelta(days=365))

    plan = shop.plan("kar_item", now=datetime.now(UTC))

    waits = [row for row in plan.rows if row.waits_until is not None]
    assert len(plan.asks) == (1 if last == "ahead" else 0), plan.summary()
    assert bool(waits) == (last == "now")
    assert plan.summary()["why"] == ({f"{SERVER}: http_503": 1} if last == "ahead" else {})
