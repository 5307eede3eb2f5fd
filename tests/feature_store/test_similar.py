"""Near items: never the item itself, nearest first, by the vectors of one release."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from feature_store.database import Store
from feature_store.lineage import EPOCH, row_key, write_lineage
from feature_store.releases import NoRelease, publish
from feature_store.schemas import LINEAGE
from feature_store.similar import UnknownItem, find_item, similar_items
from feature_store.vectors import text_key, write_vectors

VECTORS = {"a": [1.0, 0.0], "b": [1.0, 0.1], "c": [0.0, 1.0], "d": [1.0, 1.0]}


@pytest.fixture
def released(tmp_path):
    store = Store(tmp_path / "store")
    about = {"task": "facts", "entity_type": "item", "as_of": EPOCH, "created_at": datetime(2024, 1, 1, tzinfo=UTC)}
    texts = {**{item: f"text of {item}" for item in VECTORS}, "twin": "text of b"}  # two items of one text
    rows = [
        {**dict.fromkeys(LINEAGE.names), **about, "row": row_key("facts", item, EPOCH), "entity": item, "text": text}
        | {"text_key": text_key(text)}
        for item, text in texts.items()
    ]
    with store.writer("a test") as writer:
        write_lineage(writer, rows)
        keys = [text_key(f"text of {item}") for item in VECTORS]
        write_vectors(writer, "dense", "fit", keys, np.array(list(VECTORS.values()), dtype=np.float32))
        other = [text_key("text of nobody")]
        write_vectors(writer, "dense", "fit", other, np.array([[1.0, 0.0]], dtype=np.float32))
        return store, publish(writer, {"vectors": {"facts/dense": {"fingerprint": "fit", "dimension": 2}}})


def test_the_nearest_come_first_without_the_item_itself_and_texts_of_nobody(released):
    found = similar_items(*released, "facts", "dense", "a", k=3)

    assert [one.item for one in found] == ["b", "twin", "d"]
    assert [one.score for one in found] == pytest.approx([1 / 1.01**0.5, 1 / 1.01**0.5, 0.5**0.5], abs=2e-3)


def test_an_item_of_the_same_text_is_near_and_all_are_given_when_fewer_are_there(released):
    found = similar_items(*released, "facts", "dense", "b", k=99)

    assert [one.item for one in found] == ["twin", "a", "d", "c"]


def test_an_item_without_a_vector_is_told(released):
    with pytest.raises(NoRelease, match="facts/dense holds no vector of item z"):
        similar_items(*released, "facts", "dense", "z")


def test_items_are_found_by_id_and_title_and_like_titles_are_named():
    items = pl.DataFrame({"item": ["1", "2", "3"], "title": ["Heat", "Ran", "Ran"]})

    assert (find_item(items, "1"), find_item(items, " hEAT ")) == ("1", "1")
    with pytest.raises(UnknownItem, match="several items have this title\n  name one by its id: 2, 3"):
        find_item(items, "Ran")
    with pytest.raises(UnknownItem, match="did you mean Heat"):
        find_item(items, "Heta")
