"""Full-text search: the bulk one and the store's rank alike, by the published formula; any text is a query."""

import math
from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_store.database import Store
from feature_store.releases import NoRelease, Release, publish
from retrieval.search import BulkSearch, StoreSearch, analysed, document_texts, fuse, open_search, write_documents

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "movielens"
FILMS = ["Star Wars 1977 Sci-Fi", "Star Trek 1979 Sci-Fi", "The Godfather 1972 Crime", "Godfather Part II 1974 Crime"]
HOSTILE = {
    "empty": "",
    "blank": " \t\n",
    "operators": '+star -wars && || ! ( ) { } [ ] ^ " ~ * ? : \\ / AND NOT title:star "star wars"~2 star*',
    "unclosed": '"star wars (',
    "long": "star " * 2000,
    "one long word": "a" * 10_000,
    "many words": " ".join(map(str, range(3_000))),
    "not latin": "звёздные войны スター・ウォーズ 星球大战 حرب النجوم",
    "injection": "ignore previous instructions'; DROP TABLE documents; --",
    "surrogate": "star \ud800",
    "zero": "star\x00wars",
}


def in_store(folder, texts: list[str]) -> StoreSearch:
    store = Store(folder)
    with store.writer("a test") as writer:
        write_documents(writer, [f"i{place}" for place in range(len(texts))], texts)
        release = publish(writer, {})
    return open_search(store, release)


def assert_same_ranking(bulk: BulkSearch, stored: StoreSearch, query: str, k: int) -> int:
    """Compare both rankings of a query: the same but for documents whose scores are the same; returns the results."""
    mine, theirs = [int(place) for place in bulk.search([query], k)[0] if place >= 0], stored.search(query, k)
    assert len(mine) == len(theirs)
    score = bm25(bulk.words, analysed([query])[0])
    assert [hit.score for hit in theirs] == pytest.approx([score[hit.place] for hit in theirs], rel=1e-4)
    assert [score[place] for place in mine] == pytest.approx([hit.score for hit in theirs], rel=1e-4)
    return len(mine)


def bm25(documents: list[list[str]], query: list[str]) -> dict[int, float]:
    """The formula of the docstring, document by document in float64."""
    count = sum(map(bool, documents))
    mean = sum(map(len, documents)) / max(count, 1)
    holding = Counter(word for words in documents for word in set(words))
    idf = {w: math.log(1 + (count - holding[w] + 0.5) / (holding[w] + 0.5)) for w in query}
    asked = Counter(query)
    out = {}
    for place in {p for p, words in enumerate(documents) if set(words) & set(query)}:
        words = Counter(documents[place])
        norm = 1.2 * (0.25 + 0.75 * len(documents[place]) / mean)
        shared = words.keys() & asked.keys()
        out[place] = sum(asked[w] * idf[w] * 2.2 * words[w] / (words[w] + norm) for w in shared)
    return out


def test_words_lose_case_accents_and_endings_but_no_word_is_too_common():
    assert analysed(["The AMÉLIE's Dreams", "Ёлки", "x\u0301", "…"]) == [
        ["the", "ameli", "s", "dream"],
        ["елки"],
        ["x"],
        [],
    ]


def test_documents_hold_the_chosen_fields_and_what_is_known():
    items = pl.DataFrame(
        {"item": ["1", "2"], "title": ["Heat", None], "genres": [["Crime"], None], "year": [1995.0, None]}
    )

    assert document_texts(items, ["title", "genres"]) == ["Heat Crime", ""]
    assert document_texts(items, descriptions={"2": "unknown"}) == ["Heat Crime 1995", "unknown"]


def test_a_search_ranks_by_bm25_and_breaks_ties_by_place():
    search = BulkSearch(list("abcd"), FILMS)
    found = search.search(["star", "godfather crimes", "nothing of it", ""], k=3)

    assert found.tolist() == [[0, 1, -1], [2, 3, -1], [-1, -1, -1], [-1, -1, -1]]
    score = bm25(search.words, ["godfath", "crime"])
    assert score[2] > score[3]  # the shorter one


def test_more_documents_than_asked_for_with_one_score_give_the_lowest_places():
    assert BulkSearch([str(n) for n in range(9)], ["same words"] * 9).search(["same"], k=4).tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("texts", [[], ["", "…"]])
def test_documents_without_a_word_are_never_found(texts, tmp_path):
    assert BulkSearch(list("ab")[: len(texts)], texts).search(["star"], k=2).tolist() == [[-1, -1]]
    if texts:
        assert in_store(tmp_path, texts).search("star") == []


def test_items_and_texts_must_be_as_many():
    with pytest.raises(ValueError, match="1 items, but 2 texts"):
        BulkSearch(["a"], ["x", "y"])


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> tuple[BulkSearch, StoreSearch, pl.DataFrame]:
    """All films of MovieLens small, with the recorded texts, in both searches."""
    items = pl.read_parquet(EXAMPLE / "items.parquet").with_columns(pl.col("item_id").cast(pl.String).alias("item"))
    known = pl.read_parquet(EXAMPLE / "recorded" / "items.parquet").select("item_id", "answer").rows()
    texts = document_texts(items, ["title", "year", "genres"], {str(item): answer for item, answer in known})
    return BulkSearch(items["item"].to_list(), texts), in_store(tmp_path_factory.mktemp("films"), texts), items


def test_both_searches_rank_the_films_alike_for_tags_and_titles(films):
    bulk, stored, items = films
    tags = pl.read_parquet(EXAMPLE / "tags.parquet")["tag"].unique().sort().sample(60, seed=1).to_list()
    titles = items["title"].sample(40, seed=1).to_list()

    results = [assert_same_ranking(bulk, stored, query, k=50) for query in [*tags, *titles]]

    assert sum(results) > 3_000  # real rankings, not empty ones


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_query_holds_is_words(query, films):
    bulk, stored, _ = films
    assert_same_ranking(bulk, stored, query, k=20)


WORDS = st.lists(st.sampled_from(["red", "blue", "star", "wars", "the", "é", "猫", "cats"]), max_size=6).map(" ".join)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(WORDS, min_size=1, max_size=12), queries=st.lists(st.text(max_size=8) | WORDS, max_size=4))
def test_both_searches_rank_any_documents_alike(texts, queries, tmp_path_factory):
    bulk = BulkSearch([f"i{place}" for place in range(len(texts))], texts)
    stored = in_store(tmp_path_factory.mktemp("any"), texts)
    for query in queries:
        assert_same_ranking(bulk, stored, query, k=5)


def test_a_release_searches_the_documents_it_was_made_of(tmp_path):
    store = Store(tmp_path)
    with store.writer("a test") as writer:
        write_documents(writer, ["a", "b"], ["old star", "old moon"])
        old = publish(writer, {})
        assert write_documents(writer, ["b", "c"], ["new star", "old star"])
        new = publish(writer, {})

    assert [hit.item for hit in open_search(store, old).search("old star")] == ["a", "b"]
    assert [hit.item for hit in open_search(store, new).search("new star")] == ["b", "c"]
    assert open_search(store, old).search("new") == []
    assert open_search(store, new).search("moon") == []


def test_documents_that_are_there_already_write_nothing(tmp_path):
    store = Store(tmp_path)
    with store.writer("a test") as writer:
        assert write_documents(writer, ["a", "b"], ["star", "moon"])
        version = store.version("documents")
        assert not write_documents(writer, ["a", "b"], ["star", "moon"])
        assert store.version("documents") == version
        assert not write_documents(writer, ["b", "a"], ["moon", "star"])


def test_a_new_item_before_others_rewrites_none_of_them(tmp_path):
    store = Store(tmp_path)
    with store.writer("a test") as writer:
        write_documents(writer, ["b", "d"], ["star", "moon"])
        write_documents(writer, ["a", "b", "c", "d"], ["star", "star", "star", "full moon"])
        release = publish(writer, {})

    files = [[row["item"] for row in one.to_table().to_pylist()] for one in store.open("documents").get_fragments()]
    places = {row["item"]: row["place"] for row in store.open("documents").to_table().to_pylist()}
    assert [sorted(of) for of in files] == [["b"], ["a", "c", "d"]]
    assert places == {"b": 0, "d": 1, "a": 2, "c": 3}
    assert [hit.item for hit in open_search(store, release).search("star")] == ["b", "a", "c"]


def test_a_writer_killed_before_the_index_is_made_up_for(tmp_path, monkeypatch):
    store = Store(tmp_path)
    with store.writer("a test") as writer:
        write_documents(writer, ["a"], ["star"])
        with monkeypatch.context() as patch:
            patch.setattr(writer, "index_words", lambda *_: None)  # the kill: rows are there, the index is not
            write_documents(writer, ["a", "b"], ["star", "star star"])
        assert write_documents(writer, ["a", "b"], ["star", "star star"])
        release = publish(writer, {})
    assert [hit.item for hit in open_search(store, release).search("star")] == ["b", "a"]


def test_a_release_without_documents_says_what_to_run(tmp_path):
    release = Release("rel-000001", datetime.now(UTC), None, {"answers": 1}, {})
    with pytest.raises(NoRelease, match="rel-000001: holds no documents to search\n  make them: knowflow rewrites"):
        open_search(Store(tmp_path), release)


def test_fusion_adds_reciprocal_ranks():
    # 7: 1/62 + 1/61; 4: 1/61; 2: 1/62; 9 is alone in its query
    rankings = np.array([[[4, 7, -1], [7, 2, -1]], [[-1, -1, -1], [9, -1, -1]]])
    assert fuse(rankings, k=3).tolist() == [[7, 4, 2], [9, -1, -1]]
    assert fuse(rankings, k=1).tolist() == [[7], [9]]


def test_of_equal_sums_the_document_of_the_earlier_ranking_comes_first():
    assert fuse(np.array([[[8, 3], [3, 8], [5, -1]]]), k=9)[0].tolist() == [8, 3, 5, *[-1] * 6]


RANKINGS = st.lists(st.lists(st.integers(0, 12), max_size=6, unique=True), min_size=1, max_size=5)


@given(queries=st.lists(RANKINGS, min_size=1, max_size=4), k=st.integers(1, 8), constant=st.sampled_from([0, 1, 60]))
def test_fusion_is_the_sum_in_exact_numbers(queries, k, constant):
    rankings = np.full((len(queries), max(map(len, queries)), 6), -1)
    for query, lists in enumerate(queries):
        for n, places in enumerate(lists):
            rankings[query, n, : len(places)] = places
    found = fuse(rankings, k, constant)
    for query, lists in enumerate(queries):
        score: dict[int, Fraction] = {}
        for places in lists:  # a dictionary keeps the order in which documents were first seen
            for rank, place in enumerate(places, 1):
                score[place] = score.get(place, Fraction(0)) + Fraction(1, constant + rank)
        wanted = sorted(score, key=lambda place: -score[place])[:k]
        assert found[query].tolist() == wanted + [-1] * (k - len(wanted))
