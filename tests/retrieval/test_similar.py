"""Near items: never the item itself, nearest first, by the vectors of one release."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from base.faults import WrongUse
from feature_store.database import Store
from feature_store.lineage import EPOCH, VectorName, row_key, write_lineage
from feature_store.releases import NoRelease, publish, roll_back
from feature_store.schemas import LINEAGE
from feature_store.vector_index import update_index
from feature_store.vectors import text_key, write_vectors
from retrieval.similar import BY_INDEX, find_item, items_near, open_items, similar_items

VECTORS = {"a": [1.0, 0.0], "b": [1.0, 0.1], "c": [0.0, 1.0], "d": [1.0, 1.0]}


def release_of(
    folder,
    texts: dict[str, str],
    vectors: dict[str, list[float]],
    more: Sequence[tuple[str, str]] = (),
    indexed_from: int | None = None,
):
    """Release items with their texts, later texts of some, and vectors of texts."""
    store = Store(folder / "store")
    about = {"task": "facts", "entity_type": "item", "as_of": EPOCH, "created_at": datetime(2024, 1, 1, tzinfo=UTC)}
    rows = [
        {**dict.fromkeys(LINEAGE.names), **about, "row": row_key("facts", item, EPOCH), "entity": item, "text": text}
        | {"text_key": text_key(text)}
        for item, text in texts.items()
    ]
    for item, text in more:
        key, time = text_key(text), EPOCH + timedelta(days=1)
        later = {"row": row_key("facts", item, time), "entity": item, "as_of": time, "text": text, "text_key": key}
        rows.append({**rows[0], **later})
    name, table = VectorName("facts", "dense"), np.array(list(vectors.values()), dtype=np.float32)
    with store.writer("a test") as writer:
        write_lineage(writer, rows)
        write_vectors(writer, name, "fit", [text_key(text) for text in vectors], table)
        if indexed_from is not None:
            update_index(writer, name, table.shape[1], "fit", indexed_from)
        made = {"fingerprint": "fit", "dimension": table.shape[1]}
        return store, publish(writer, {"vectors": {"facts/dense": made}})


@pytest.fixture
def released(tmp_path):
    texts = {**{item: f"text of {item}" for item in VECTORS}, "twin": "text of b"}  # two items of one text
    vectors = {f"text of {item}": vector for item, vector in VECTORS.items()}
    return release_of(tmp_path, texts, vectors | {"text of nobody": [1.0, 0.0]})


def test_the_nearest_come_first_without_the_item_itself_and_texts_of_nobody(released):
    found = similar_items(*released, "facts", "dense", "a", k=3)

    assert [one.item for one in found] == ["b", "twin", "d"]
    assert [one.score for one in found] == pytest.approx([1 / 1.01**0.5, 1 / 1.01**0.5, 0.5**0.5], abs=2e-3)


def test_an_item_of_the_same_text_is_near_and_all_are_given_when_fewer_are_there(released):
    found = similar_items(*released, "facts", "dense", "b", k=99)

    assert [one.item for one in found] == ["twin", "a", "d", "c"]


def test_items_near_a_vector_are_all_items_and_of_vectors_that_are_not_there_is_told(released):
    store, release = released

    found = items_near(store, release, "facts", "dense", np.array([0.0, 2.0], dtype=np.float32), k=3)

    # By hand: c lies along it, d at 45 degrees, b and its twin at cos = 0.1 / sqrt 1.01
    assert [one.item for one in found] == ["c", "d", "b"]
    assert [one.score for one in found] == pytest.approx([1, 0.5**0.5, 0.1 / 1.01**0.5], abs=2e-3)
    with pytest.raises(NoRelease, match="holds no vectors of facts under note; there are: facts/dense"):
        items_near(store, release, "facts", "note", np.ones(2, dtype=np.float32))
    with pytest.raises(WrongUse, match="k: 0 results cannot be found"):
        items_near(store, release, "facts", "dense", np.ones(2, dtype=np.float32), k=0)


def test_of_more_equally_near_items_than_are_asked_for_the_first_ids_are_given(tmp_path):
    # Texts of their own, so that the search meets 40 vectors of one distance; written in the order of falling ids.
    names = [f"i{place:02}" for place in reversed(range(40))]
    texts = {name: f"text of {name}" for name in names} | {"asked": "text of asked"}
    vectors = {text: [1.0, 1.0] for text in texts.values()} | {"text of asked": [1.0, 0.0]}
    store, release = release_of(tmp_path, texts, vectors)

    found = similar_items(store, release, "facts", "dense", "asked", k=3)

    assert [one.item for one in found] == ["i00", "i01", "i02"]


def test_neighbours_are_those_of_an_independent_reference_by_cosine_then_id_also_by_an_index(tmp_path):
    chance = np.random.default_rng(1)
    centres = chance.normal(size=(4, 16))
    vectors = {f"text {n}": (centres[n % 4] + 0.2 * chance.normal(size=16)).tolist() for n in range(500)}
    texts = {f"i{n:03}": f"text {n % 480}" for n in range(600)}  # 120 texts of two items, 20 of nobody
    store, release = release_of(tmp_path, texts, vectors, indexed_from=100)
    items = open_items(store, release, "facts", "dense")

    def reference(item: str, k: int) -> list[tuple[float, str]]:
        stored = {text: np.float16(vector).astype(np.float64) for text, vector in vectors.items()}
        unit = {text: vector / np.sqrt((vector**2).sum()) for text, vector in stored.items()}
        cosine = {other: float(unit[texts[item]] @ unit[text]) for other, text in texts.items() if other != item}
        return sorted((-round(score, 5), other) for other, score in cosine.items())[:k]

    asked = [f"i{n:03}" for n in range(0, 600, 23)]
    exact = {item: items.near_item(item, 12, exact=True) for item in asked}
    by_index = {item: {one.item for one in items.near_item(item, 12)} for item in asked}

    assert items.vectors is not None
    assert items.vectors.probes == 1
    for item in asked:
        wanted = reference(item, 12)
        assert {one.item for one in exact[item]} == {other for _, other in wanted}
        assert [one.score for one in exact[item]] == pytest.approx([-score for score, _ in wanted], abs=1e-3)
        assert exact[item] == sorted(exact[item], key=lambda one: (-one.score, one.item))
    assert np.mean([len(by_index[item] & {one.item for one in exact[item]}) / 12 for item in asked]) >= 0.95
    assert len(items.near_item("i000", 599)) == 599  # more than the partition holds: all are compared


def test_many_items_are_looked_for_without_the_index_which_would_miss_more_of_them(tmp_path):
    chance = np.random.default_rng(1)
    vectors = {f"text {n}": chance.normal(size=16).tolist() for n in range(4000)}  # in no clusters
    texts = {f"i{n:04}": f"text {n}" for n in range(4000)}
    store, release = release_of(tmp_path, texts, vectors, indexed_from=100)
    items = open_items(store, release, "facts", "dense")
    asked = [f"i{n:04}" for n in range(0, 4000, 400)]

    few, many = (
        [items.near_item(item, k) == items.near_item(item, k, exact=True) for item in asked]
        for k in (BY_INDEX, BY_INDEX + 1)
    )

    assert not all(few)
    assert all(many)


def test_a_release_goes_on_finding_its_own_vectors_after_later_ones_and_when_it_is_current_again(tmp_path):
    texts = {item: f"text of {item}" for item in VECTORS}
    store, old = release_of(tmp_path, texts, {f"text of {item}": vector for item, vector in VECTORS.items()})
    moved = VECTORS | {"b": [-1.0, 0.0]}
    _, new = release_of(tmp_path, texts, {f"text of {item}": vector for item, vector in moved.items()})
    with store.writer("a test") as writer:
        again = roll_back(writer, old.name)

    first = [similar_items(store, one, "facts", "dense", "a", k=1)[0].item for one in (old, new, again)]

    assert first == ["b", "d", "b"]


def test_of_an_item_with_several_texts_the_newest_are_asked_for_and_the_nearest_counts(tmp_path):
    store, release = release_of(
        tmp_path,
        {"a": "a old", "b": "b one"},
        {"a old": [0.0, 1.0], "a new": [1.0, 0.0], "b one": [1.0, 0.1], "b two": [1.0, 0.01]},
        more=[("a", "a new"), ("b", "b two")],
    )

    near = similar_items(store, release, "facts", "dense", "a", k=5)

    assert [one.item for one in near] == ["b"]
    assert near[0].score == pytest.approx(1 / (1 + 0.01**2) ** 0.5, abs=1e-3)


def test_an_item_without_a_vector_is_told(released):
    with pytest.raises(NoRelease, match="facts/dense holds no vector of item z"):
        similar_items(*released, "facts", "dense", "z")


def test_items_are_found_by_id_and_title_and_like_titles_are_named():
    items = pl.DataFrame({"item": ["1", "2", "3"], "title": ["Heat", "Ran", "Ran"]})

    assert (find_item(items, "1"), find_item(items, " hEAT ")) == ("1", "1")
    with pytest.raises(WrongUse, match="several items have this title\n  name one by its id: 2, 3"):
        find_item(items, "Ran")
    with pytest.raises(WrongUse, match="did you mean Heat"):
        find_item(items, "Heta")
