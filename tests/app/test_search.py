"""Search over items: what a release holds of documents, words and vectors fused, and what is told where one is lacking."""

import numpy as np
import pytest

from app.config import load_config
from app.search import encode_query, search_items
from base.faults import WrongUse
from feature_store.releases import NoRelease, get_release
from retrieval.search import TABLE, open_search

NONE = {"encoders": []}


def search(shop, query, **options):
    store = shop.place().store
    return search_items(load_config(shop.config), store, get_release(store), query, **options)


def test_a_document_that_holds_the_words_and_lies_near_comes_first_and_ranks_are_told(searched_shop):
    found = search(searched_shop, "heist", k=3)

    # "Bank Heist" is first by words and by vectors; no other document has the word, and a robbery is like a heist
    assert [(one.item, one.by_words, one.by_vectors) for one in found.items[:2]] == [("i0", 1, 1), ("i1", None, 2)]
    assert len(found.items) == 3
    assert (found.words, found.vectors, found.lacking) == (True, "item_facts/dense", None)


def test_fused_ranks_are_the_sum_of_reciprocals_by_hand(searched_shop):
    found = search(searched_shop, "the savanna", k=7)

    def score(one):
        return sum(1 / (60 + rank) for rank in (one.by_words, one.by_vectors) if rank is not None)

    assert len(found.items) == 7  # every item has a vector
    assert [score(one) for one in found.items] == sorted(map(score, found.items), reverse=True)
    assert sorted(one.by_vectors or 0 for one in found.items) == [1, 2, 3, 4, 5, 6, 7]
    assert {one.item: one.by_words for one in found.items if one.by_words} == {"i3": 1, "i1": 2}


def test_a_query_is_encoded_as_the_release_was(searched_shop):
    shop, release = searched_shop, get_release(searched_shop.place().store)

    vector = encode_query(load_config(shop.config), release, "item_facts", "dense", "Bank Heist")

    from sentence_transformers import SentenceTransformer

    from engines.model_folder import minilm_folder

    (reference,) = SentenceTransformer(str(minilm_folder())).encode(["Bank Heist"], normalize_embeddings=True)
    np.testing.assert_allclose(vector, reference, atol=2e-6)


def test_a_release_holds_the_documents_of_all_items_and_a_second_one_writes_nothing(make_shop):
    shop = make_shop(items=3, tasks={"item_facts": NONE})
    first = shop.release("item_facts")
    before = shop.store_bytes()

    second = shop.release("item_facts")

    assert (second, shop.store_bytes()) == (first, before)
    release = get_release(shop.place().store)
    assert TABLE in release.versions
    assert [hit.item for hit in open_search(shop.place().store, release).search("thing 2")] == ["i2", "i0", "i1"]


def test_an_older_release_keeps_its_documents(make_shop):
    shop = make_shop(items=3, tasks={"item_facts": NONE})
    old = shop.release("item_facts")
    shop.write_items({"i0": "Other", "i1": "Thing 1", "i2": "Thing 2"})
    shop.release("item_facts")
    store = shop.place().store

    found = {
        name: search_items(load_config(shop.config), store, get_release(store, name), "thing").items
        for name in (old, None)
    }

    assert [one.item for one in found[old]] == ["i0", "i1", "i2"]
    assert [one.item for one in found[None]] == ["i1", "i2"]


def test_what_a_model_says_of_an_item_is_found_once_it_has_said_it(make_shop):
    shop = make_shop(
        items=3,
        tasks={"kar_item": NONE, "item_facts": NONE},
        rewrites={"descriptions": "kar_item"},
        rules={"Thing 1": "A lighthouse keeper."},
    )
    shop.release("item_facts")
    before = search(shop, "lighthouse").items

    shop.release("kar_item")

    assert before == ()
    assert [one.item for one in search(shop, "lighthouse").items] == ["i1"]


def test_where_only_words_or_only_vectors_can_be_searched_it_is_told(make_shop, searched_shop):
    shop = make_shop(items=3, tasks={"item_facts": NONE})
    shop.release("item_facts")
    store = searched_shop.place().store
    release = get_release(store)
    bare = type(release)(**{**vars(release), "versions": {k: v for k, v in release.versions.items() if k != TABLE}})

    words = search(shop, "thing")
    vectors = search_items(load_config(searched_shop.config), store, bare, "heist", k=2)

    assert (words.words, words.vectors) == (True, None)
    assert words.lacking == "rel-000001 holds no vectors of item_facts under dense; others: --task and --encoder"
    assert [one.by_vectors for one in words.items] == [None] * 3
    assert (vectors.words, vectors.vectors) == (False, "item_facts/dense")
    assert vectors.lacking == "rel-000001 holds no documents: knowflow refresh makes them"
    assert [(one.item, one.by_words, one.by_vectors) for one in vectors.items] == [("i0", None, 1), ("i1", None, 2)]
    neither = type(release)(**{**vars(bare), "facts": {}})
    with pytest.raises(NoRelease, match="holds neither documents nor vectors of item_facts under dense"):
        search_items(load_config(searched_shop.config), store, neither, "heist")


def test_vectors_that_are_named_must_be_there_and_their_encoder_must_be_the_same(searched_shop):
    release = get_release(searched_shop.place().store)
    config = load_config(searched_shop.config)
    other = config.encoders["dense"].model_copy(update={"max_tokens": 64})
    changed = config.model_copy(update={"encoders": {**config.encoders, "dense": other}})

    with pytest.raises(WrongUse, match=r"lexical cannot encode queries.*\n  those that can: dense"):
        search(searched_shop, "heist", encoder="lexical")
    with pytest.raises(NoRelease, match="no vectors of kar_item under dense; there are: item_facts/dense"):
        search(searched_shop, "heist", task="kar_item")
    with pytest.raises(WrongUse, match="kar_user is not about items"):
        search(searched_shop, "heist", task="kar_user")
    with pytest.raises(WrongUse, match="differs from the encoder of rel-000001, so its vectors are not comparable"):
        encode_query(changed, release, "item_facts", "dense", "heist")
