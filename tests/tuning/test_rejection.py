"""Rejection sampling: what is kept passes both filters when judged anew, and rewards are what the formula says."""

import numpy as np
import polars as pl
import pytest

from retrieval.feedback import feedback
from retrieval.relevance import LexicalOverlap
from retrieval.search import BulkSearch
from tuning.candidates import candidate_table
from tuning.config import RewriteConfig
from tuning.rejection import Judge, judge, keep, rewards

ITEMS = ["h", "i", "r", "a", "n", "t"]
TEXTS = [
    "Heat heist crime",
    "Inside Job heist robbery bank",
    "Rififi robbery jewels heist",
    "Alien space horror",
    "Nostromo space crew",
    "Titanic ship love",
]
QUERIES = pl.DataFrame(
    {"query": ["heist", "space"], "shown": ["Heist", "space"], "items": [["h", "r"], ["n", "gone"]]},
    schema_overrides={"items": pl.List(pl.String)},
)
CANDIDATES = candidate_table(
    [
        ("heist", "Robberies.", "robbery"),
        ("heist", "Robberies.", "titanic love"),
        ("heist", "Robberies.", "nothing at all like it"),
        ("space", None, "alien nostromo"),
        ("elsewhere", None, "space"),
    ]
)
BY = Judge(BulkSearch(ITEMS, TEXTS), LexicalOverlap(TEXTS), 0.5, results=2)


def test_rewrites_are_judged_as_worked_out_by_hand():
    judged = judge(QUERIES, CANDIDATES, BY)

    # Two results: `heist` finds h (the shortest) and r (a tie with i would go to the lower place; r is shorter than i).
    # `robbery` finds r and i, both relevant to heist; i is new beside h and r: 1 of 2. Both engaged films were found.
    # `titanic love` finds t alone, which is not relevant. `nothing at all like it` finds nothing.
    rows = {row["rewrite"]: row for row in judged.iter_rows(named=True)}
    assert [rows["robbery"][name] for name in ("relevance", "increment", "hitrate")] == [1.0, 0.5, 1.0]
    assert [rows["titanic love"][name] for name in ("relevance", "increment", "hitrate")] == [0.0, 0.0, 1.0]
    assert [rows["nothing at all like it"][name] for name in ("relevance", "increment")] == [0.0, 0.0]
    assert rows["alien nostromo"]["shown"] == "space"
    assert "space" not in rows  # its query is not in the table


def test_every_kept_pair_passes_both_filters_when_it_is_judged_anew_one_by_one():
    config = RewriteConfig(min_relevance=0.3, min_increment=0.1)
    judged = judge(QUERIES, CANDIDATES, BY)
    kept = judged.filter(keep(judged, config))

    assert kept["rewrite"].to_list() == ["robbery"]
    for row in judged.iter_rows(named=True):
        original, rewritten = BY.search.search([row["query"], row["rewrite"]], 2)
        scores = BY.model.scores([row["query"]], np.arange(len(ITEMS))[None])[0]
        relevant = set(np.flatnonzero(scores > BY.threshold).tolist())
        said = feedback(original, rewritten, relevant, set())
        passes = said.relevance > config.min_relevance and said.increment > config.min_increment
        assert passes == (row["rewrite"] in kept["rewrite"].to_list())


def table(**columns: list) -> pl.DataFrame:
    return pl.DataFrame(columns, schema_overrides={"hitrate": pl.Float64})


def test_rewards_go_from_0_to_1_within_each_query_and_follow_the_weights():
    judged = table(
        query=["a", "a", "a", "b", "b"],
        relevance=[0.0, 0.5, 1.0, 0.3, 0.3],
        increment=[3.0, 1.0, 0.0, 1.0, 1.0],
        hitrate=[0.0, 2.0, 0.5, None, None],
    )
    # (relevance + increment / (1 + increment) + min(hitrate, 1)) / 3: 0.75, 2 and 1.5 thirds; b is all alike.
    assert rewards(judged, RewriteConfig()).to_list() == pytest.approx([0, 1, 0.6, 0, 0])
    # Relevance alone.
    alone = RewriteConfig(increment_weight=0, hitrate_weight=0)
    assert rewards(judged, alone).to_list() == pytest.approx([0, 0.5, 1, 0, 0])


def test_where_no_hitrate_is_known_it_does_not_count_as_a_miss():
    judged = table(query=["a", "a"], relevance=[0.2, 0.9], increment=[0.0, 0.0], hitrate=[None, None])

    assert rewards(judged, RewriteConfig(hitrate_weight=50)).to_list() == [0, 1]


def test_without_candidates_of_these_queries_the_table_is_empty_and_has_its_columns():
    judged = judge(QUERIES, candidate_table([("other", None, "space")]), BY)

    assert judged.is_empty()
    assert {"query", "shown", "rewrite", "relevance", "increment", "hitrate"} <= set(judged.columns)
