"""The search simulator: what it says of every rewrite, by hand and when judged anew one by one."""

import numpy as np
import polars as pl

from retrieval.feedback import feedback
from retrieval.relevance import LexicalOverlap
from retrieval.search import BulkSearch
from retrieval.simulator import Simulator, judge_candidates
from tuning.candidates import candidate_table
from tuning.config import RewriteConfig
from tuning.rejection import keep

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
BY = Simulator(BulkSearch(ITEMS, TEXTS), LexicalOverlap(TEXTS), 0.5, results=2)


def test_rewrites_are_judged_as_worked_out_by_hand():
    judged = judge_candidates(QUERIES, CANDIDATES, BY)

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
    judged = judge_candidates(QUERIES, CANDIDATES, BY)
    kept = judged.filter(keep(judged, config))

    assert kept["rewrite"].to_list() == ["robbery"]
    for row in judged.iter_rows(named=True):
        original, rewritten = BY.search.search([row["query"], row["rewrite"]], 2)
        scores = BY.model.scores([row["query"]], np.arange(len(ITEMS))[None])[0]
        relevant = set(np.flatnonzero(scores > BY.threshold).tolist())
        said = feedback(original, rewritten, relevant, set())
        passes = said.relevance > config.min_relevance and said.increment > config.min_increment
        assert passes == (row["rewrite"] in kept["rewrite"].to_list())


def test_without_candidates_of_these_queries_the_table_is_empty_and_has_its_columns():
    judged = judge_candidates(QUERIES, candidate_table([("other", None, "space")]), BY)

    assert judged.is_empty()
    assert {"query", "shown", "rewrite", "relevance", "increment", "hitrate"} <= set(judged.columns)
