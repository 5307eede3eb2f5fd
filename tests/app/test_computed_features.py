"""Computed features: a row gets what a training sample of the same user, item and time gets, whatever stands beside it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.feature_choice import FeatureChoice
from app.features import features_of, make_features
from app.samples import open_samples
from app.workplace import open_store
from base.faults import WrongUse
from base.plugins import UnknownPlugin
from ctr.adapters.quality import ADAPTER as QUALITY
from ctr.adapters.similarity import ADAPTER as SIMILARITY
from feature_store.releases import get_release, released_knowledge

START = datetime(2024, 1, 1, tzinfo=UTC)
CHOICE = FeatureChoice(columns=(), tasks=("kar_item", "kar_user"), adapters=("similarity", "quality"))
NAMES = ["similarity_kar_item_lexical", "quality_kar_item_lexical"]


@pytest.fixture(scope="module")
def released(shop_builder, tmp_path_factory):
    shop = shop_builder(tmp_path_factory.mktemp("computed") / "shop", 24, 16, 20)
    shop.release("kar_item", "kar_user")
    return shop


@pytest.fixture
def config(released):
    return load_config(released.config)


def log_of(shop) -> pl.DataFrame:
    return pl.DataFrame(shop.events(), schema=["user", "item", "time", "rating"], orient="row")


@pytest.mark.parametrize(("adapter", "name"), [(SIMILARITY, NAMES[0]), (QUALITY, NAMES[1])])
def test_a_row_has_the_view_of_the_training_sample_of_its_user_item_and_time(config, released, adapter, name):
    samples = open_samples(config)
    knowledge = released_knowledge(open_store(config), get_release(open_store(config)), "kar_item", "lexical")
    (view,) = adapter.prepare([knowledge], samples, config.train.folds).values()
    wanted = [view.table[row].tolist() if row >= 0 else None for row in view.rows]
    keys = [samples.user_ids[samples.user], samples.item_ids[samples.item], samples.time]
    frame = pl.DataFrame(dict(zip(("user", "item", "time"), keys, strict=True)))

    found = features_of(config, frame, choice=CHOICE)

    assert found.columns == ["user", "item", "time", *NAMES, "knowflow_release"]
    assert 0 < found[name].null_count() < len(found)
    for ours, theirs in zip(found[name].to_list(), wanted, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or ours == pytest.approx(theirs, abs=1e-6)


def test_neither_other_rows_nor_chunks_change_a_row_and_unknown_ones_are_null(config, released, tmp_path):
    odd = {"user": ["u1", None, "u2", "new"], "item": ["i3", "i3", "new", "i4"]}
    frame = pl.DataFrame({**odd, "time": [START + timedelta(hours=1), None, None, None]})
    frame = frame.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
    many = pl.concat([frame, log_of(released).select(frame.columns)])
    many.write_parquet(tmp_path / "rows.parquet")

    alone = features_of(config, frame, choice=CHOICE)
    made = make_features(config, tmp_path / "rows.parquet", tmp_path / "f.parquet", choice=CHOICE)

    assert pl.read_parquet(made.file).head(4).equals(alone)
    # similarity needs a history and a vector; quality is the item's alone
    assert alone[NAMES[0]].is_null().to_list() == [False, True, True, True]
    assert alone[NAMES[1]].is_null().to_list() == [False, False, True, False]
    assert made.known[NAMES[0]] == pl.read_parquet(made.file)[NAMES[0]].is_not_null().sum()


def test_events_at_the_rows_own_moment_and_later_change_nothing(config, released, make_shop):
    moment = START + timedelta(minutes=10)
    frame = pl.DataFrame({"user": ["u1"], "item": ["i5"], "time": [moment]})
    before = features_of(config, frame, choice=CHOICE)
    events = [(u, i, t, 6 - r if t >= moment else r) for u, i, t, r in released.events()]
    written = (released.folder / "events.parquet").read_bytes()

    try:
        released.write_events(events)
        after = features_of(config, frame, choice=CHOICE)
    finally:
        (released.folder / "events.parquet").write_bytes(written)

    assert after.select(NAMES[0]).equals(before.select(NAMES[0]))
    np.testing.assert_array_equal(after[NAMES[1]].to_list(), before[NAMES[1]].to_list())


def test_an_adapter_that_reads_examples_and_an_unknown_one_are_refused(config):
    frame = pl.DataFrame({"user": ["u1"], "item": ["i5"]})

    with pytest.raises(WrongUse, match="in_context reads whole samples"):
        features_of(config, frame, choice=FeatureChoice(adapters=("in_context",)))
    with pytest.raises(UnknownPlugin, match="no such adapter: similar"):
        features_of(config, frame, choice=FeatureChoice(adapters=("similar",)))
