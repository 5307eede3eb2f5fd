"""Rows that the lineage holds as they are need not be made again; whatever could have changed a row is looked at."""

import polars as pl
import pytest

from feature_store.lineage import read_lineage
from llm_tasks.pipeline.rows import COMPARED, _shared_columns
from llm_tasks.pipeline.settled import settled_rows


def settled(shop, task: str, **change: pl.Expr) -> set[str]:
    """Return what is settled in the plan of a technique, if its lineage held what `change` says."""
    plan, place = shop.plan(task), shop.place()
    lineage = read_lineage(place.store, [task], ["row", "task", "entity", "as_of", *COMPARED]).with_columns(**change)
    return settled_rows(plan, place, lineage, _shared_columns(plan, place))


def test_nothing_is_settled_before_it_was_asked(shop):
    assert settled(shop, "kar_item") == set()


def test_all_rows_with_a_text_are_settled_and_those_with_an_error_are_not(shop):
    shop.configure(rules={"Thing 2": "empty", "Thing 3": "refused"})
    shop.ask("kar_item")

    rows = shop.lineage("kar_item")
    assert settled(shop, "kar_item") == {key for key, row in rows.items() if row["error"] is None}
    assert len(rows) == 12 == len(settled(shop, "kar_item")) + 2


@pytest.mark.parametrize("column", [name for name in COMPARED if name != "error"])
def test_a_row_of_which_anything_changed_is_not_settled(shop, column):
    shop.ask("kar_user")
    rows = shop.lineage("kar_user")
    one = min(rows)
    is_it, clock = pl.col("row") == one, column in ("seen_until", "model_seen_until")
    other = pl.col("as_of") - pl.duration(microseconds=1) if clock else pl.lit("other")

    found = settled(shop, "kar_user", **{column: pl.when(is_it).then(other).otherwise(pl.col(column))})

    assert found == set(rows) - {one}


def test_a_row_that_keeps_an_older_text_beside_an_error_is_not_settled(shop):
    shop.ask("kar_item")

    assert settled(shop, "kar_item", error=pl.lit("timeout: the server is slow")) == set()


def test_new_rows_and_rows_that_show_something_else_are_made(shop):
    shop.ask("kar_item")
    shop.write_items({**{f"i{place}": f"Thing {place}" for place in range(13)}, "i0": "Another thing"})

    assert settled(shop, "kar_item") == {f"kar_item/i{place}/0" for place in range(1, 12)}


def test_rows_that_share_an_answer_are_settled_one_by_one(shop):
    shop.write_items({f"i{place}": "Thing" for place in range(12)})
    shop.ask("kar_item")
    wrong = pl.when(pl.col("entity") == "i1").then(pl.lit("other")).otherwise(pl.col("text_key"))

    assert len({row["answer_key"] for row in shop.lineage("kar_item").values()}) == 1
    assert settled(shop, "kar_item") == {f"kar_item/i{place}/0" for place in range(12)}
    assert "kar_item/i1/0" not in settled(shop, "kar_item", text_key=wrong)


def test_a_technique_that_fails_on_an_answer_settles_nothing(shop, monkeypatch):
    shop.ask("kar_item")
    plan = shop.plan("kar_item")

    def encode(answer: str) -> str:
        raise KeyError(answer)

    monkeypatch.setitem(vars(plan.task), "encode", encode)

    assert settled(shop, "kar_item") == set()
