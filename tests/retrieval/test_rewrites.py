"""The served table of rewrites: ranked by hand-made feedback, read through a release, kept out by its gates."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.database import Store
from feature_store.gate import RewriteGates
from feature_store.releases import get_release, publish, roll_back
from feature_store.served import read_rewrites
from retrieval.rewrite_table import RewriteTable, mean_relevance
from retrieval.rewrites import Weights, cleaned, look_up, ranked
from sources.queries import normalised

DAY = datetime(2024, 5, 1, tzinfo=UTC)
STRANGE = [
    "it's",
    '" * ( ) : ^ ~ and or',
    "</query> ignore",
    "七人の侍",
    "[red]",
    "'; drop table rewrites; --",
    "a\\b%_",
]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def row(query: str, *rewrites: str, relevance: float = 0.5, dropped: int = 0) -> dict:
    made = [{"text": text, "score": relevance, "relevance": relevance, "increment": 0.0} for text in rewrites]
    return {
        "query": query,
        "shown": query,
        "rewrites": made,
        "dropped": dropped,
        "answer_key": f"key of {query}",
        "prompt": "query_rewrite.v1",
        "model": "m@1",
        "answered_at": DAY,
    }


def table(*rows: dict, judge: str = "lexical", **gates: float) -> RewriteTable:
    return RewriteTable(rows, judge, 0.1, None, RewriteGates(**gates))


def released(store: Store, *rows: dict, **options):
    made = table(*rows, **options)
    with store.writer("a test") as writer:
        made.write(writer)
        return publish(writer, made.facts)


def held(store: Store, made: RewriteTable) -> dict[str, bool]:
    return {gate.name: gate.holds for gate in made.gates(store, get_release(store))}


def test_rewrites_are_ranked_by_weighed_relevance_and_bounded_increment():
    # a: 1 * 0.5 + 2 * 1/(1+1) = 1.5;  b: 1 * 0.9 + 2 * 0 = 0.9;  c: 1 * 0 + 2 * 9/(1+9) = 1.8
    made = ranked(["a", "b", "c"], [0.5, 0.9, 0.0], [1.0, 0.0, 9.0], Weights(order=0, increment=2))

    assert [(one.text, one.score) for one in made] == [("c", 1.8), ("a", 1.5), ("b", 0.9)]
    assert [
        one.text for one in ranked(["a", "b", "c"], [0.5, 0.9, 0.0], [1.0, 0.0, 9.0], Weights(order=0, increment=0))
    ] == [
        "b",
        "a",
        "c",
    ]


def test_the_models_own_order_counts_and_alone_it_decides():
    # a: 2/1 + 0.0 = 2;  b: 2/2 + 0.5 = 1.5;  c: 2/3 + 0.9 + 9/(1+9) = 2.4667
    made = ranked(["a", "b", "c"], [0.0, 0.5, 0.9], [0.0, 0.0, 9.0], Weights(order=2))
    alone = ranked(["a", "b", "c"], [0.0, 0.5, 0.9], [0.0, 0.0, 9.0], Weights(order=1, relevance=0, increment=0))

    assert [(one.text, round(one.score or 0, 4)) for one in made] == [("c", 2.4667), ("a", 2.0), ("b", 1.5)]
    assert [one.text for one in alone] == ["a", "b", "c"]


@given(st.lists(st.sampled_from([0.0, 0.5]), max_size=6))
def test_ties_stay_in_the_models_own_order(relevance):
    texts = [str(place) for place in range(len(relevance))]

    order = [int(one.text) for one in ranked(texts, relevance, [0.0] * len(texts), Weights(order=0))]

    assert order == sorted(range(len(texts)), key=lambda place: (-relevance[place], place))


@given(st.text(), st.lists(st.text(max_size=4)))
def test_what_is_kept_is_new_once_and_not_empty(query, rewrites):
    keys = [normalised(one) for one in cleaned(query, rewrites)]

    assert len(set(keys)) == len(keys)
    assert not {"", normalised(query)} & set(keys)
    assert set(keys) == {normalised(one) for one in rewrites} - {"", normalised(query)}


def test_a_query_is_read_from_the_release_that_is_named_whatever_came_later(store):
    first = released(store, row("noir", "film noir"), row("heist", "bank heist"))
    second = released(store, row("noir", "dark crime"))

    old, new = (look_up(store, release, " NOIR ") for release in (first, second))

    assert (old.source, [one.text for one in old.rewrites], old.release) == ("served", ["film noir"], "rel-000001")
    assert (old.query, old.answer_key, old.prompt, old.model) == ("noir", "key of noir", "query_rewrite.v1", "m@1")
    assert [one.text for one in new.rewrites] == ["dark crime"]
    assert look_up(store, first, "heist").source == "served"
    assert look_up(store, second, "heist").source == "fallback"  # not served any more
    with store.writer("a test") as writer:
        back = roll_back(writer, "rel-000001")
    assert look_up(store, back, "heist").source == "served"


def test_a_query_without_rewrites_falls_back_to_itself_and_says_why(store):
    release = released(store, row("noir", dropped=4))
    with Store(store.folder.parent / "bare").writer("a test") as writer:
        bare = publish(writer, {})

    lacking, empty = look_up(store, release, " Deep  Space"), look_up(store, release, "noir")
    none = look_up(Store(store.folder.parent / "bare"), bare, "noir")

    assert (lacking.source, [one.text for one in lacking.rewrites]) == ("fallback", ["Deep Space"])
    assert lacking.why == "the table of rewrites does not have it"
    assert (empty.source, empty.why) == ("fallback", "its rewrites were all empty or the query itself")
    assert (none.source, none.why) == ("fallback", "the release has no table of rewrites; make it: knowflow rewrites")


def test_strange_queries_are_keys_like_any_other(store):
    release = released(store, *(row(query, f"rewrite of {query}") for query in STRANGE))

    for query in STRANGE:
        assert [one.text for one in look_up(store, release, query).rewrites] == [f"rewrite of {query}"]
    assert look_up(store, release, "' OR 1=1 --").source == "fallback"


def test_only_rows_that_differ_are_written_and_those_of_unserved_queries_go(store):
    released(store, row("a", "x"), row("b", "y"), row("c", "z"))
    before = {one["query"]: one["created_at"] for one in read_rewrites(store)}
    same, other = table(row("a", "x"), row("b", "y"), row("c", "z")), table(row("a", "x"), row("b", "new"))

    assert not same.changes(store)
    assert other.changes(store)
    with store.writer("a test") as writer:
        version = store.version("rewrites")
        same.write(writer)
        assert store.version("rewrites") == version
        other.write(writer)

    after = {one["query"]: one for one in read_rewrites(store)}
    assert set(after) == {"a", "b"}
    assert after["a"]["created_at"] == before["a"]
    assert after["b"]["created_at"] > before["b"]


def test_a_table_is_saved_and_loaded_as_it_was(store, tmp_path):
    made = table(row("noir", "film noir"), row("heist", dropped=2))

    made.save(tmp_path / "new" / "rewrites.parquet")
    again = RewriteTable.load(tmp_path / "new" / "rewrites.parquet", RewriteGates())

    assert (list(again.rows), again.facts) == (list(made.rows), made.facts)
    released(store, *map(dict, made.rows))
    assert not again.changes(store)


def test_mean_relevance_is_over_queries_and_one_without_rewrites_counts_nothing():
    rows = [row("a", "x", "y", relevance=0.6), row("b", "z", relevance=0.3), row("c")]

    assert mean_relevance(rows) == pytest.approx((0.6 + 0.3 + 0) / 3)
    assert mean_relevance([]) == 0


@pytest.mark.parametrize(("relevance", "holds"), [(0.6, True), (0.5, True), (0.45, True), (0.449, False)])
def test_relevance_may_fall_by_a_set_amount_against_the_current_release(store, relevance, holds):
    released(store, row("a", "x", relevance=0.5))

    new = table(row("a", "y", relevance=relevance), relevance_fall=0.05)

    assert held(store, new)["rewrites relevance"] == holds


def test_relevance_that_another_judge_told_is_not_compared_and_a_table_of_nothing_never_holds(store):
    released(store, row("a", "x", relevance=0.5))

    assert held(store, table(row("a", "y", relevance=0.1), judge="another"))["rewrites relevance"]
    assert not held(store, table())["rewrites relevance"]


@pytest.mark.parametrize(("dropped", "holds"), [(0, True), (1, True), (2, False)])
def test_too_many_rewrites_that_change_nothing_close_their_gate(store, dropped, holds):
    released(store, row("a", "x"))

    made = table(row("a", "x", "y", "z", dropped=dropped), unchanged=0.25)  # of 3, 4 and 5 rewrites 0, 1/4 and 2/5

    assert held(store, made)["rewrites that change the query"] == holds


@pytest.mark.parametrize(("changed", "holds"), [(0, True), (1, True), (2, False)])
def test_too_many_other_best_rewrites_close_the_drift_gate_and_new_queries_do_not_count(store, changed, holds):
    released(store, *(row(query, "first", "second") for query in "abcd"))

    rows = [
        row(query, *(("second", "first") if place < changed else ("first", "third")))
        for place, query in enumerate("abcd")
    ]

    assert held(store, table(*rows, row("new", "x"), drift=0.25))["rewrites drift"] == holds
