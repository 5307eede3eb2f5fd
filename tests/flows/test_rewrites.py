"""The rewrites flow: asks only new and changed queries, ranks them by search, serves them when all gates hold."""

import json
from datetime import timedelta

import polars as pl
import pytest

from app.config import load_config
from app.rewriting import live_rewrites
from app.workplace import chosen_tasks
from base.faults import WrongUse
from feature_store.gate import GatesClosed
from feature_store.releases import get_release, list_releases, publish
from feature_store.served import read_rewrites
from flows.refresh import refresh
from flows.rewrites import rewrites
from retrieval.rewrites import look_up
from retrieval.search import open_search

pytestmark = pytest.mark.usefixtures("prefect_server")
QUERIES = {"path": "queries.parquet", "query": "query", "item": "item", "time": "time"}
TITLES = {"i0": "Bank Robbery", "i1": "Space Opera", "i2": "Quiet Snow", "i3": "Robbery in Space"}


def answer(*rewrites: str) -> str:
    return json.dumps({"thought": "a thought", "rewrites": rewrites})


DENSE = {"dense": {"kind": "dense"}}
RULES = {
    "<query>heist</query>": answer("Snow", "bank robbery"),
    "<query>space film</query>": answer("space opera", "Space Film"),
    "<query>": answer("quiet snow"),
}


def write_queries(shop, rows) -> None:
    """Rows of query and item, an hour apart, after all events."""
    begin = shop.events()[-1][2]
    times = [begin + timedelta(hours=place) for place in range(len(rows))]
    table = {"query": [one for one, _ in rows], "item": [item for _, item in rows], "time": times}
    pl.DataFrame(table).write_parquet(shop.folder / "queries.parquet")


TYPED = [("heist", "i0"), ("Heist", "i3"), ("space film", "i1"), ("snow", "i2")]


@pytest.fixture
def searched(make_shop):
    """Four items and three queries; every segment is served, items are relevant above a score of 0."""
    shop = make_shop(items=4, tasks={"query_rewrite": {"encoders": []}}, queries=QUERIES, rules=RULES)
    shop.write_items(TITLES)
    shop.configure(
        rewrites={"serve": ["head", "torso", "tail"], "threshold": 0.0},
        gates={"rewrites": {"relevance_fall": 1.0}},  # of three queries each weighs a third
    )
    write_queries(shop, TYPED)
    return shop


def run(shop) -> str:
    return rewrites(config=str(shop.config))


def served(shop, query: str) -> list[str]:
    store = shop.place().store
    return [one.text for one in look_up(store, get_release(store), query).rewrites]


def test_a_second_run_asks_nothing_and_one_changed_query_asks_one(searched):
    assert run(searched) == "rel-000001"
    assert len(searched.calls()) == 3
    before = searched.store_bytes()

    assert run(searched) == "rel-000001"
    assert searched.store_bytes() == before  # not a byte of a single table
    write_queries(searched, [("robbers", "i0") if row == ("snow", "i2") else row for row in TYPED])
    assert run(searched) == "rel-000002"

    assert len(searched.calls()) == 3 + 1
    assert {row["query"] for row in read_rewrites(searched.place().store)} == {"heist", "space film", "robbers"}
    store = searched.place().store
    assert look_up(store, get_release(store, "rel-000001"), "snow").source == "served"
    assert look_up(store, get_release(store), "snow").source == "fallback"


def test_rewrites_are_ranked_by_what_they_find_and_unusable_ones_are_dropped(searched):
    run(searched)

    # "space film" finds i1 and i3 by `space`; its one usable rewrite "space opera" finds the same: relevance 1, nothing
    # new. "heist" shares no word with any document, so that nothing is relevant and the model's own order stays.
    (film,) = [row for row in read_rewrites(searched.place().store) if row["query"] == "space film"]
    assert [(one["text"], one["relevance"], one["increment"]) for one in film["rewrites"]] == [
        ("space opera", 1.0, 0.0)
    ]
    assert (film["dropped"], film["prompt"]) == (1, "query_rewrite.v1")
    assert served(searched, "HEIST ") == ["Snow", "bank robbery"]


def test_the_release_holds_the_documents_that_were_searched(searched):
    run(searched)

    store = searched.place().store
    assert [hit.item for hit in open_search(store, get_release(store)).search("robbery bank")] == ["i0", "i3"]


def test_a_closed_gate_publishes_nothing_and_no_later_refresh_lets_the_table_slip_in(searched):
    run(searched)
    write_queries(searched, [*TYPED, ("robbers", "i0"), ("quiet", "i2")])
    searched.configure(
        gates={"rewrites": {"unchanged": 0.0}},
        rules={"<query>robbers</query>": answer("Robbers", "", "bank robbery"), **RULES},
    )

    with pytest.raises(GatesClosed, match=r"(?s)FAILED  rewrites that change the query.*run: knowflow rewrites$"):
        run(searched)

    store = searched.place().store
    assert [release.name for release in list_releases(store)] == ["rel-000001"]
    assert len(searched.calls()) == 5  # what was answered is kept
    refresh(config=str(searched.config))
    assert look_up(store, get_release(store), "robbers").source == "fallback"
    assert get_release(store).facts["rewrites"] == get_release(store, "rel-000001").facts["rewrites"]
    assert "query_rewrite" in get_release(store).facts["tasks"]


def test_head_queries_are_left_to_the_search_as_they_are(searched):
    searched.configure(
        gates={"rewrites": {"unchanged": 1.0}},
        rewrites={"threshold": 0.0},
        queries={**QUERIES, "segments": {"head": 0.4, "torso": 0.3}},
    )

    run(searched)

    # heist was typed twice of four: nothing lies before it. Half of all lies before the other two.
    assert served(searched, "heist") == ["heist"]
    assert served(searched, "space film") == ["space opera"]


def test_without_a_threshold_it_is_calibrated_on_what_training_queries_led_to(searched):
    searched.configure(
        rewrites={"serve": ["head", "torso", "tail"]},
        queries={**QUERIES, "split": {"train": 0.9, "validation": 0.05}},
    )

    run(searched)

    facts = get_release(searched.place().store).facts["rewrites"]
    assert 0 <= facts["threshold"] < 1
    assert 0 <= facts["auc"] <= 1


def test_vectors_of_a_release_say_what_is_relevant_when_they_are_named(searched):
    tasks = {"item_facts": {"encoders": ["dense"]}, "query_rewrite": {"encoders": []}}
    write_queries(searched, [("burglary", "i0"), *TYPED[2:]])
    searched.configure(
        encoders=DENSE,
        rules={"<query>burglary</query>": answer("Snow", "bank robbery"), **RULES},
        tasks=tasks,
        gates={"rewrites": {"relevance_fall": 1.0}},
        rewrites={"serve": ["head", "torso", "tail"], "relevance": "item_facts/dense", "threshold": 0.3},
    )
    with pytest.raises(WrongUse, match="nothing has been released"):
        run(searched)
    assert searched.calls() == []  # told before anything was paid for
    searched.ask("item_facts")
    (made,) = searched.encode("item_facts")
    vectors = {"item_facts/dense": {"fingerprint": made.fingerprint, "dimension": made.dimension}}
    with searched.place().store.writer("a test") as writer:
        publish(writer, {"vectors": vectors, "tasks": ["item_facts"]})

    name = run(searched)

    # "burglary" shares no word with i0 and i3, but means what they are about (cosine 0.6 and 0.4; i2 has 0.15): the
    # rewrite that finds them is the better one. 2/1 + 0 + 0 = 2 against 2/2 + 1 + 2/(1 + 2) = 2.67
    store = searched.place().store
    (found,) = [row for row in read_rewrites(store) if row["query"] == "burglary"]
    judged = [(one["text"], one["relevance"], one["increment"]) for one in found["rewrites"]]
    assert judged == [("bank robbery", 1.0, 2.0), ("Snow", 0.0, 0.0)]
    assert "relevance: item_facts/dense" in get_release(store, name).facts["rewrites"]["judge"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rewrites": {"descriptions": "kar_user"}}, "kar_user is not a technique about items"),
        ({"rewrites": {"relevance": "item_facts/lexical"}}, "cannot encode queries"),
        ({"rewrites": {"relevance": "kar_user/dense"}, "encoders": DENSE}, "kar_user is not a technique about items"),
        ({"rewrites": {"relevance": "item_facts/dense"}, "encoders": DENSE}, "relevance: .* nothing has been released"),
        ({"queries": {"path": "queries.parquet", "query": "query"}, "rewrites": {}}, r"map queries\.item, or set"),
        ({"rewrites": {"descriptions": "item_facts"}}, "knowflow refresh --task item_facts"),
    ],
)
def test_settings_that_cannot_work_are_told(searched, changes, told):
    searched.configure(**changes)

    with pytest.raises(WrongUse, match=told):
        run(searched)


def test_data_without_queries_is_told_and_a_refresh_of_everything_passes_over_them(make_shop):
    shop = make_shop(tasks={})

    assert "query_rewrite" not in [task.name for task in chosen_tasks(load_config(shop.config), None)]
    with pytest.raises(WrongUse, match=r"query_rewrite: the data has no queries"):
        run(shop)


def test_a_live_query_is_asked_once_ever_and_leaves_no_row_about_what_nobody_typed(searched):
    run(searched)
    config = load_config(searched.config)

    told = [live_rewrites(config, searched.place(), query) for query in ("deep sea", "deep sea", "HEIST")]

    assert [(one.source, [r.text for r in one.rewrites]) for one in told] == [
        ("live", ["quiet snow"]),
        ("live", ["quiet snow"]),
        ("live", ["Snow", "bank robbery"]),
    ]
    assert len(searched.calls()) == 3 + 1  # heist is shown as the nightly run shows it, and has its answer
    assert len(searched.lineage("query_rewrite")) == 3


def test_a_live_query_without_an_answer_falls_back_and_is_asked_anew_next_time(searched):
    searched.configure(rules={"deep": "refused", **RULES})
    config = load_config(searched.config)
    first = live_rewrites(config, searched.place(), "deep sea")
    searched.configure(rules={**RULES})

    second = live_rewrites(config, searched.place(), "deep sea")

    assert (first.source, first.why) == ("fallback", "refused: the model will not")
    assert [one.text for one in second.rewrites] == ["quiet snow"]
