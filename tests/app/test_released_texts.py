"""Texts of a release as recommenders read them: the newest that was known strictly before the first moment served."""

from datetime import timedelta

import numpy as np
import pytest

from app.config import load_config
from app.recommend_evaluation import Released
from feature_store.releases import NoRelease

MINUTE = timedelta(minutes=1)


@pytest.fixture
def read(shop):
    """Read a technique's texts as known before a moment."""
    shop.release("kar_item", "kar_user", "item_facts")

    def texts(task, moment, release=None):
        first = np.datetime64(moment.replace(tzinfo=None), "us")
        return Released(load_config(shop.config), release, [], first).texts(task)

    return texts


def test_a_text_is_read_strictly_after_it_became_known_and_the_newest_wins(shop, read):
    rows = [row for row in shop.lineage("kar_user").values() if row["entity"] == "u1"]
    older, newer = sorted(rows, key=lambda row: row["as_of"])

    assert "u1" not in read("kar_user", older["as_of"])
    assert read("kar_user", older["as_of"] + MINUTE / 60)["u1"] == older["text"]
    assert read("kar_user", newer["as_of"])["u1"] == older["text"]
    assert read("kar_user", newer["as_of"] + MINUTE)["u1"] == newer["text"]


def test_a_text_of_a_model_that_was_tuned_on_events_is_news_of_these(make_shop):
    shop = make_shop(name="tuned")
    seen = max(time for _, _, time, _ in shop.events()) + MINUTE
    shop.configure(engine={**shop.settings["engine"], "seen_until": seen.isoformat()})
    shop.release("kar_item")
    config = load_config(shop.config)
    at, after = (np.datetime64(one.replace(tzinfo=None), "us") for one in (seen, seen + MINUTE))

    assert Released(config, None, [], at).texts("kar_item") == {}
    assert len(Released(config, None, [], after).texts("kar_item")) == 12


def test_a_release_is_read_as_it_was_published(shop, read):
    shop.write_items({f"i{place}": f"Other {place}" for place in range(12)})
    shop.release("item_facts")
    moment = max(time for _, _, time, _ in shop.events()) + MINUTE

    assert read("item_facts", moment, "rel-000001")["i0"] == "Thing 0"
    assert read("item_facts", moment)["i0"] == "Other 0"
    with pytest.raises(NoRelease, match="rel-000002: holds no texts of cot_examples"):
        read("cot_examples", moment)
