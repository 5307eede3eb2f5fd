"""Vectors: named by text and encoder, read in the order asked for, in half precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.faults import WrongUse
from feature_store.database import Store
from feature_store.lineage import VectorName
from feature_store.vectors import (
    FEW,
    known_vectors,
    newest_state,
    read_vectors,
    spaces_of,
    text_key,
    vector_key,
    vectors_table,
    write_state,
    write_vectors,
)

text = st.text(max_size=8)
LEXICAL, DENSE = VectorName("facts", "lexical"), VectorName("facts", "dense")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@given(one=text, other=text)
def test_texts_share_a_key_only_when_they_are_the_same(one, other):
    assert (text_key(one) == text_key(other)) == (one == other)


@given(
    keys=st.lists(text.map(text_key), min_size=2, max_size=2),
    fits=st.lists(st.sampled_from(["aa", "a", "b"]), min_size=2, max_size=2),
)
def test_vectors_share_a_key_only_under_the_same_text_and_encoder(keys, fits):
    same = keys[0] == keys[1] and fits[0] == fits[1]

    assert (vector_key(keys[0], fits[0]) == vector_key(keys[1], fits[1])) == same


def test_vectors_of_two_fits_stand_side_by_side_and_are_never_mixed(store):
    with store.writer("a test") as writer:
        write_vectors(writer, LEXICAL, "fit1", ["a", "b"], np.array([[1, 0], [0, 1]], dtype=np.float32))
        write_vectors(writer, LEXICAL, "fit2", ["a"], np.array([[5, 5]], dtype=np.float32))

    assert set(known_vectors(store, LEXICAL, 2, "fit1")) == {"a", "b"}
    assert set(known_vectors(store, LEXICAL, 2, "fit2")) == {"a"}
    assert read_vectors(store, vectors_table(LEXICAL, 2), 2, "fit1", ["b", "a", "b"]).tolist() == [
        [0, 1],
        [1, 0],
        [0, 1],
    ]
    assert read_vectors(store, vectors_table(LEXICAL, 2), 2, "fit2", ["a"]).tolist() == [[5, 5]]
    assert set(known_vectors(store, LEXICAL, 3, "fit1")) == set()


def test_a_text_without_a_vector_is_an_error_that_counts_them(store):
    with store.writer("a test") as writer:
        write_vectors(writer, DENSE, "fit", ["a"], np.ones((1, 2), dtype=np.float32))

    with pytest.raises(WrongUse) as caught:
        read_vectors(store, vectors_table(DENSE, 2), 2, "fit", ["a", "b", "c"], holder="release 7")

    assert str(caught.value) == (
        "release 7: 2 of 3 texts have no vector in the table vectors_dense_2.facts\n"
        "  make them, and a release that holds them: knowflow refresh"
    )


def test_few_vectors_are_read_by_their_keys_and_are_the_same_as_among_many(store):
    keys = [f"k{number}" for number in range(3 * FEW)]
    vectors = np.arange(2 * len(keys), dtype=np.float32).reshape(-1, 2)
    with store.writer("a test") as writer:
        write_vectors(writer, DENSE, "fit", keys, vectors)
        write_vectors(writer, DENSE, "another", keys, vectors + 700)

    few, many = (read_vectors(store, vectors_table(DENSE, 2), 2, "fit", keys[:count]) for count in (FEW, FEW + 1))

    assert few.tolist() == many[:FEW].tolist() == vectors[:FEW].tolist()


def test_no_text_reads_as_no_vector(store):
    assert read_vectors(store, vectors_table(DENSE, 2), 2, "fit", []).shape == (0, 2)
    with store.writer("a test") as writer:
        write_vectors(writer, DENSE, "fit", ["a"], np.ones((1, 2), dtype=np.float32))
    assert read_vectors(store, vectors_table(DENSE, 2), 2, "fit", []).shape == (0, 2)


def test_half_precision_costs_a_unit_vector_less_than_a_thousandth(store):
    vectors = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = [f"k{place}" for place in range(50)]
    with store.writer("a test") as writer:
        write_vectors(writer, DENSE, "fit", keys, vectors)

    found = read_vectors(store, vectors_table(DENSE, 16), 16, "fit", keys)

    assert found.dtype == np.float32
    assert np.abs(found - vectors).max() < 1e-3


def test_vectors_are_read_as_a_pinned_version_holds_them(store):
    with store.writer("a test") as writer:
        write_vectors(writer, DENSE, "fit", ["a"], np.zeros((1, 2), dtype=np.float32))
        pinned = store.version(vectors_table(DENSE, 2))
        write_vectors(writer, DENSE, "fit", ["a", "b"], np.ones((2, 2), dtype=np.float32))

    assert read_vectors(store, vectors_table(DENSE, 2), 2, "fit", ["a"], pinned).tolist() == [[0, 0]]
    with pytest.raises(WrongUse, match=rf"in the table vectors_dense_2.facts \(version {pinned}\)"):
        read_vectors(store, vectors_table(DENSE, 2), 2, "fit", ["b"], pinned)


def test_the_newest_state_of_a_space_is_found_whatever_its_name_holds(store):
    with store.writer("a test") as writer:
        write_state(writer, "lexical", "it's", "f1", ["a"], b"one")
        write_state(writer, "lexical", "it's", "f2", ["a", "b"], b"two")
        write_state(writer, "lexical", "other", "f3", [], b"three")

    newest = newest_state(store, "lexical", "it's")

    assert newest is not None
    assert (newest["fingerprint"], newest["text_keys"], newest["state"]) == ("f2", ["a", "b"], b"two")
    assert newest_state(store, "dense", "it's") is None
    assert spaces_of(store) == {"f1": "it's", "f2": "it's", "f3": "other"}
