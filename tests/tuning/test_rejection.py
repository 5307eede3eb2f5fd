"""Rejection sampling: what is kept passes both filters, and rewards are what the formula says."""

import polars as pl
import pytest

from tuning.config import RewriteConfig
from tuning.rejection import keep, rewards


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


def test_a_rewrite_is_kept_when_it_is_above_both_filters_and_not_when_it_is_on_one():
    judged = table(query=["a"] * 4, relevance=[0.4, 0.3, 0.4, 0.2], increment=[0.2, 0.2, 0.1, 0.05], hitrate=[None] * 4)

    assert keep(judged, RewriteConfig(min_relevance=0.3, min_increment=0.1)).to_list() == [True, False, False, False]
