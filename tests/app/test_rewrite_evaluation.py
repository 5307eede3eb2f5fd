"""The evaluation of rewrites reads a pinned release, holds test queries out, and says what it lacks and how to fix it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.rewrite_evaluation import evaluate_rewrites, open_inputs, read_rewrites
from base.faults import WrongUse
from feature_store.database import Store
from feature_store.lineage import EPOCH, row_key, write_lineage
from feature_store.releases import NoRelease, publish
from feature_store.schemas import LINEAGE
from feature_store.vectors import text_key
from retrieval.rewrite_table import RewriteTable

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
QUERIES = 30


def add_queries(shop: Any) -> None:
    """Query `want n` led to item n of 60, typed n minutes after noon; item n is called `Thing n`."""
    rows = [(f"Want {n}", f"u{n % 4}", f"i{n}", NOON + timedelta(minutes=n)) for n in range(QUERIES)]
    table = pl.DataFrame(rows, schema=["query", "user", "item", "time"], orient="row")
    table.write_parquet(shop.folder / "queries.parquet")
    columns = {name: name for name in ("query", "user", "item", "time")}
    shop.configure(queries={"path": "queries.parquet", **columns})


def say(shop: Any, texts: dict[tuple[str, str], str], facts: dict | None = None) -> str:
    """Publish a release in which tasks say things: (task, entity) -> text."""
    rows = [
        {
            **dict.fromkeys(LINEAGE.names),
            "row": row_key(task, entity, EPOCH),
            "task": task,
            "entity": entity,
            "as_of": EPOCH,
            "text": text,
            "text_key": text_key(text),
            "created_at": NOON,
        }
        for (task, entity), text in texts.items()
    ]
    with Store(shop.folder / "runs" / "store").writer("a test") as writer:
        write_lineage(writer, rows)
        return publish(writer, facts or {}).name


def serve(shop: Any, query: str, rewrites: list[str]) -> None:
    """Write a table of rewrites that holds one query."""
    made = [{"text": text, "score": 1.0, "relevance": 1.0, "increment": 0.0} for text in rewrites]
    told = dict.fromkeys(("answer_key", "prompt", "model"), "x") | {"answered_at": NOON, "dropped": 0}
    row = {"query": query.casefold(), "shown": query, "rewrites": made, **told}
    with Store(shop.folder / "runs" / "store").writer("a test") as writer:
        RewriteTable([row], "a test", 0.0).write(writer)


def rewrites_of(number: Callable[[int], int]) -> dict[tuple[str, str], str]:
    """Rewrites of every query, in place of its number another one."""
    return {("query_rewrite", f"want {n}"): f"thing {number(n)}\nnothing" for n in range(QUERIES)}


@pytest.fixture
def asked(make_shop) -> Any:
    shop = make_shop(items=60)
    add_queries(shop)
    return shop


def test_right_rewrites_gain_and_wrong_ones_do_not(asked):
    say(asked, rewrites_of(lambda n: n))
    right, inputs, judged = evaluate_rewrites(load_config(asked.config), {})
    say(asked, rewrites_of(lambda n: n + 30))  # there is an item of that number, and nobody wanted it
    wrong, *_ = evaluate_rewrites(load_config(asked.config), {})

    assert (right["release"], wrong["release"]) == ("rel-000001", "rel-000002")
    assert right["queries"] == QUERIES
    assert right["rewrites"] == {"recorded": QUERIES}
    # The number is a word of the title, so the query finds its item; `thing` brings 49 others, never the right one.
    assert right["segments"]["all"]["original"] == 1
    assert right["segments"]["all"]["recorded"] == 1
    assert wrong["arms"]["recorded_first"]["all"]["hit@10"]["mean"] < 0.5
    assert judged.hits["recorded"].shape == (QUERIES,)
    assert inputs.queries.held_out.any()
    json.dumps(right, allow_nan=False)  # plain JSON


def test_an_older_release_is_read_as_it_was(asked):
    old = say(asked, rewrites_of(lambda n: n))
    say(asked, rewrites_of(lambda n: n + 30))

    inputs = open_inputs(load_config(asked.config), {}, old)

    assert inputs.rewrites["recorded"][0][0] == "thing 0"
    assert open_inputs(load_config(asked.config), {}, None).rewrites["recorded"][0][0] == "thing 30"


def test_the_served_table_of_the_release_is_an_arm_in_its_own_order(asked):
    say(asked, rewrites_of(lambda n: n))
    without, *_ = evaluate_rewrites(load_config(asked.config), {})
    serve(asked, "Want 3", ["nothing", "thing 3"])
    say(asked, rewrites_of(lambda n: n))

    result, inputs, judged = evaluate_rewrites(load_config(asked.config), {})

    assert "served" not in without["arms"]
    assert {"served", "served_first", "served_union"} <= set(result["arms"])
    assert result["rewrites"] == {"recorded": QUERIES, "served": 1}
    assert {name: result[name] for name in ("original", "recorded", "gain")} == {
        name: without[name] for name in ("original", "recorded", "gain")
    }
    row = inputs.queries.query.index("want 3")
    assert inputs.rewrites["served"][row] == ["nothing", "thing 3"]
    assert (judged.arms["served_first"].found[row] == -1).all()  # no document holds `nothing`
    assert (judged.arms["recorded_first"].found[row] >= 0).any()
    other = inputs.queries.query.index("want 4")  # the table lacks it: searched as typed
    assert judged.arms["served_first"].found[other].tolist() == judged.arms["original"].found[other].tolist()


def test_descriptions_of_the_release_are_searched_and_become_the_headline(asked):
    say(asked, {**rewrites_of(lambda n: n), ("kar_item", "i3"): "a marvel", ("kar_item", "gone"): "not an item"})
    result, inputs, _ = evaluate_rewrites(load_config(asked.config), {})

    assert list(result["documents"]) == ["fields", "described"]
    assert result["headline"]["documents"] == "described"
    place = inputs.items["item"].to_list().index("i3")
    assert inputs.documents["described"][place] == "Thing 3 a marvel"
    assert inputs.documents["fields"][place] == "Thing 3"


def test_thresholds_are_calibrated_on_training_queries_alone(asked):
    """A test query's clicks are changed: no threshold and no figure of the calibration moves."""
    say(asked, rewrites_of(lambda n: n))
    before = open_inputs(load_config(asked.config), {}, None)
    held_out = np.flatnonzero(before.queries.held_out)
    name = before.queries.query[held_out[0]]
    table = pl.read_parquet(asked.folder / "queries.parquet")
    moved = pl.when(pl.col("query").str.to_lowercase() == name).then(pl.lit("i59")).otherwise(pl.col("item"))
    table.with_columns(moved.alias("item")).write_parquet(asked.folder / "queries.parquet")

    after = open_inputs(load_config(asked.config), {}, None)

    assert after.items["item"].gather(after.queries.engaged[held_out[0]]).to_list() == ["i59"]
    assert after.calibrations == before.calibrations


def test_what_a_training_query_led_to_after_the_cut_moves_no_threshold(asked):
    """Where queries are split by time, a click of the time that is tested is not known when f is calibrated."""
    say(asked, rewrites_of(lambda n: n))
    mapped = {name: name for name in ("query", "user", "item", "time")}
    by_time = {"path": "queries.parquet", **mapped, "split": {"by": "time", "train": 0.6, "validation": 0.2}}
    asked.configure(queries=by_time)
    before = open_inputs(load_config(asked.config), {}, None)
    table = pl.read_parquet(asked.folder / "queries.parquet")
    later = table.filter(pl.col("query") == "Want 3").with_columns(item=pl.lit("i59"), time=table["time"].max())
    pl.concat([table, later]).write_parquet(asked.folder / "queries.parquet")

    after = open_inputs(load_config(asked.config), {}, None)

    row = after.queries.query.index("want 3")
    assert after.items["item"].gather(after.queries.engaged[row]).sort().to_list() == ["i3", "i59"]
    assert not after.queries.held_out[row]
    assert after.calibrations == before.calibrations


def test_every_engagement_is_a_part_of_its_query_and_of_its_user(asked):
    say(asked, rewrites_of(lambda n: n))
    table = pl.read_parquet(asked.folder / "queries.parquet")
    shared = table.filter(pl.col("query") == "Want 3").with_columns(user=pl.lit("u9"), query=pl.lit(" WANT 3"))
    pl.concat([table, shared, shared]).write_parquet(asked.folder / "queries.parquet")

    result, inputs, judged = evaluate_rewrites(load_config(asked.config), {})

    queries = inputs.queries
    row = queries.query.index("want 3")
    mine = queries.parts.of == row
    assert queries.parts.weight[mine].tolist() == [0.5, 0.5]  # u3 and u9, who typed it twice
    assert len(set(queries.parts.user[mine])) == 2
    assert inputs.items["item"].gather(queries.place[mine]).to_list() == ["i3", "i3"]
    gain = result["segments"]["all"]["gain"]
    assert (gain["users"], gain["low"]) == (5, None)
    assert gain["mean"] == pytest.approx(judged.hits["recorded"].mean() - judged.hits["original"].mean())


def test_a_file_adds_an_arm_and_what_it_lacks_stays_the_query(asked, tmp_path):
    say(asked, rewrites_of(lambda n: n))
    file = tmp_path / "tuned.parquet"
    pl.DataFrame({"query": ["WANT  3"], "rewrites": [["thing 3", " "]]}).write_parquet(file)

    result, inputs, judged = evaluate_rewrites(load_config(asked.config), {"tuned": file})

    assert read_rewrites("tuned", file) == {"want 3": ["thing 3"]}
    assert result["rewrites"] == {"recorded": QUERIES, "tuned": 1}
    row = inputs.queries.query.index("want 4")
    assert judged.arms["tuned"].found[row].tolist() == judged.arms["original"].found[row].tolist()
    row = inputs.queries.query.index("want 3")
    assert judged.arms["tuned"].found[row].tolist() != judged.arms["original"].found[row].tolist()


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"query": ["a"]}, "column rewrites is missing"),
        ({"query": [1], "rewrites": ["x"]}, "column query is Int64; column rewrites is String"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_told(table, fault, tmp_path):
    file = tmp_path / "f.parquet"
    if table is None:
        file.write_text("no parquet")
    else:
        pl.DataFrame(table).write_parquet(file)
    with pytest.raises(WrongUse, match=rf"--rewrites x=.*{fault}.*\n  give a Parquet file"):
        read_rewrites("x", file)


def test_without_rewrites_a_release_or_queries_it_says_what_to_do(asked, make_shop):
    config = load_config(asked.config)
    with pytest.raises(NoRelease, match="nothing has been released yet"):
        evaluate_rewrites(config, {})
    say(asked, {("kar_item", "i1"): "a thing"})
    with pytest.raises(NoRelease, match="holds no rewrites of queries\n  make them: knowflow rewrites"):
        evaluate_rewrites(config, {})
    with pytest.raises(WrongUse, match=r"knowflow\.yaml: maps no queries"):
        evaluate_rewrites(load_config(make_shop(name="other").config), {})
    say(asked, rewrites_of(lambda n: n))
    with pytest.raises(
        WrongUse, match=r"--relevance dense: is not available\n  dense retrieval: knowflow\.yaml names no"
    ):
        evaluate_rewrites(config, {}, relevance="dense")


def test_vectors_of_the_release_add_dense_arms_and_a_relevance_model(make_shop):
    shop = make_shop(items=60, encoders={"dense": {"kind": "dense"}}, tasks={"item_facts": {}})
    add_queries(shop)
    shop.ask("item_facts")
    (made,) = shop.encode("item_facts")
    facts = {"vectors": {"item_facts/dense": {"fingerprint": made.fingerprint, "dimension": made.dimension}}}
    say(shop, rewrites_of(lambda n: n), facts)

    result, inputs, judged = evaluate_rewrites(load_config(shop.config), {}, relevance="dense")

    assert {"dense", "original_dense"} <= set(result["arms"])
    assert set(result["calibration"]["models"]) == {"lexical", "dense"}
    assert result["calibration"]["model"] == "dense"
    assert result["left_out"] == [
        "documents with descriptions: there are none\n  make them: knowflow refresh --task kar_item"
    ]
    assert (judged.arms["dense"].found >= 0).all()
    assert inputs.vectors is not None
    assert np.linalg.norm(inputs.vectors.encode(["Want 3"]), axis=1) == pytest.approx(1)


def test_vectors_of_another_encoder_are_not_compared(make_shop):
    shop = make_shop(items=60, encoders={"dense": {"kind": "dense"}})
    add_queries(shop)
    facts = {"vectors": {"item_facts/dense": {"fingerprint": "another", "dimension": 384}}}
    say(shop, rewrites_of(lambda n: n), facts)

    inputs = open_inputs(load_config(shop.config), {}, None)

    assert inputs.vectors is None
    assert "no vectors of item_facts under dense" in inputs.left_out[0]
