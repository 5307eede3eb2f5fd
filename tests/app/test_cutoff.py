"""The knowledge cutoff goes from knowflow.yaml with every answer into the release, and never into a key."""

from datetime import date

import numpy as np
import pyarrow as pa

from app.asking import with_engine
from app.config import load_config
from engines.protocol import EngineConfig
from feature_store.answers import TABLE, read_answers
from feature_store.database import Store
from feature_store.releases import get_release, knowledge_cutoff, released_answers
from feature_store.schemas import ANSWERS


def cutoffs(shop, task="kar_item"):
    keys = [row["answer_key"] for row in shop.lineage(task).values()]
    return set(read_answers(shop.place().store, keys)["knowledge_cutoff"])


def configure(shop, **engine):
    shop.configure(engine={**shop.settings["engine"], **engine})


def test_the_cutoff_is_kept_with_every_answer_and_in_no_key(shop, make_shop):
    configure(shop, knowledge_cutoff=date(2024, 6, 30))
    plain = make_shop(name="plain")

    shop.ask("kar_item")
    plain.ask("kar_item")

    assert cutoffs(shop) == {date(2024, 6, 30)}
    assert cutoffs(plain) == {None}
    keys = [{row["answer_key"] for row in one.lineage("kar_item").values()} for one in (shop, plain)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 12


def test_a_release_says_the_latest_cutoff_of_its_answers(shop):
    configure(shop, knowledge_cutoff=date(2024, 6, 30))
    shop.release("kar_item")
    configure(shop, model="newer", knowledge_cutoff=date(2025, 2, 28))
    shop.release("kar_user")  # kar_item's answers stay those of the older model
    store = shop.place().store

    assert get_release(store, "rel-000001").facts["knowledge_cutoff"] == "2024-06-30"
    assert get_release(store).facts["knowledge_cutoff"] == "2025-02-28"
    assert knowledge_cutoff(get_release(store)) == np.datetime64("2025-02-28T23:59:59.999999")


def test_one_answer_of_unknown_cutoff_makes_the_release_s_unknown(shop):
    configure(shop, knowledge_cutoff=date(2024, 6, 30))
    shop.release("kar_item")
    settings = {key: value for key, value in shop.settings["engine"].items() if key != "knowledge_cutoff"}
    shop.configure(engine={**settings, "model": "nobody-knows"})

    shop.release("kar_user")
    older, newer = (get_release(shop.place().store, name) for name in ("rel-000001", "rel-000002"))
    assert (older.facts["knowledge_cutoff"], newer.facts["knowledge_cutoff"]) == ("2024-06-30", None)
    assert knowledge_cutoff(get_release(shop.place().store)) is None


def test_an_unknown_or_wrong_cutoff_is_fixed_without_asking_again(shop):
    shop.release("kar_item")
    first = get_release(shop.place().store)
    configure(shop, knowledge_cutoff=date(2024, 6, 30))

    name = shop.release("kar_item")

    assert (first.facts["knowledge_cutoff"], name) == (None, "rel-000002")
    assert get_release(shop.place().store).facts["knowledge_cutoff"] == "2024-06-30"
    assert shop.release("kar_item") == "rel-000002"  # nothing has changed since
    assert len(shop.calls()) == 12


def test_a_store_of_before_cutoffs_still_opens_and_goes_on(shop):
    shop.ask("kar_item")
    table = shop.place().store.read(TABLE, ANSWERS)
    # Columns are only ever added at the end: a store of before the cutoff lacks those that came after it, too.
    before = pa.schema(list(ANSWERS)[: ANSWERS.get_field_index("knowledge_cutoff")])
    older = Store(shop.folder / "older")
    with older.writer("an older version") as writer:
        writer.upsert(TABLE, table.select(before.names), before)
        version = older.version(TABLE)
        writer.tag(TABLE, "rel-000001", version)

    assert read_answers(older, table["key"].to_pylist())["knowledge_cutoff"].to_list() == [None] * 12
    answer = {**table.slice(0, 1).to_pylist()[0], "key": "new", "knowledge_cutoff": date(2024, 6, 30)}
    with older.writer("this version") as writer:
        writer.upsert(TABLE, pa.Table.from_pylist([answer], schema=ANSWERS), ANSWERS)

    kept = dict(read_answers(older, [*table["key"].to_pylist(), "new"]).select("key", "knowledge_cutoff").iter_rows())
    assert (len(kept), kept.pop("new"), set(kept.values())) == (13, date(2024, 6, 30), {None})
    pinned = read_answers(older, table["key"].to_pylist(), ["key", "knowledge_cutoff"], version)
    assert (len(pinned), set(pinned["knowledge_cutoff"])) == (12, {None})


def test_the_answers_of_a_release_without_any_have_the_column_too(shop):
    shop.release("item_facts")
    release = get_release(shop.place().store)

    assert "knowledge_cutoff" in released_answers(shop.place().store, release, []).columns
    assert release.facts["knowledge_cutoff"] is None


def test_another_model_does_not_inherit_the_cutoff(shop):
    configure(shop, knowledge_cutoff=date(2024, 6, 30))
    config = load_config(shop.config)

    assert with_engine(config, None, "gpt-4o").engine.cutoff == date(2023, 10, 31)
    assert with_engine(config, None, "other").engine.cutoff is None
    assert with_engine(config, "recorded", None).engine == EngineConfig(name="recorded", model="scripted")
