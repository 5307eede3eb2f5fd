"""Rejection sampling: of all rewrites only those are learnt that find what is relevant, and find more of it.

Paper:     Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE, arXiv
           2311.03758), sections 3.2 and 3.3.
Idea:      a search over the catalogue judges every rewrite, so that no human label is needed.
Formula:   kept when relevance > tau_rele and increment > tau_incr; reward = weighted mean of relevance, increment / (1
           + increment) and min(hitrate, 1), brought to 0..1 within each query.
Consumes:  rewrites that a search has judged, with relevance, increment and hitrate (null where it is undefined).
Relations: what is kept here is learnt by `instructions.py`, and the rewards are ranked by `preference.py`.
"""

import polars as pl

from tuning.config import TIED, RewriteConfig


def keep(judged: pl.DataFrame, config: RewriteConfig) -> pl.Series:
    """Say of every judged rewrite whether it passes both filters: [n] Boolean `kept`."""
    passes = (pl.col("relevance") > config.min_relevance) & (pl.col("increment") > config.min_increment)
    return judged.select(passes.alias("kept"))["kept"]


def rewards(judged: pl.DataFrame, config: RewriteConfig) -> pl.Series:
    """The reward of every judged rewrite: [n] Float64 `reward`, from 0 to 1 within its query, 0 where all are equal.

    Increment and hitrate may be far above 1 where a query finds next to nothing, and would drown relevance: increment
    is damped as in the served table, hitrate counts up to 1. Where no hitrate is known, the other two decide.

    Example:
        >>> judged = pl.DataFrame({"query": ["a", "a", "a"], "relevance": [0.2, 0.4, 0.4], "increment": [0.0, 9.0, 0.5],
        ...                        "hitrate": [None, None, None]}, schema_overrides={"hitrate": pl.Float64})
        >>> rewards(judged, RewriteConfig()).round(3).to_list()  # (0.2, 1.3, 0.733) / 2 before
        [0.0, 1.0, 0.485]
    """
    weights = {"relevance": config.relevance_weight, "increment": config.increment_weight}
    weights["hitrate"] = config.hitrate_weight
    measured = {name: pl.col(name) for name in weights}
    measured["increment"] = pl.col("increment") / (1 + pl.col("increment"))
    measured["hitrate"] = pl.col("hitrate").clip(upper_bound=1.0)
    total = pl.sum_horizontal(weight * measured[name].fill_null(0.0) for name, weight in weights.items())
    known = pl.sum_horizontal(weight * measured[name].is_not_null() for name, weight in weights.items())
    mean = pl.when(known > 0).then(total / known).otherwise(0.0).alias("mean")
    low, high = pl.col("mean").min().over("query"), pl.col("mean").max().over("query")
    scaled = pl.when(high - low > TIED).then((pl.col("mean") - low) / (high - low)).otherwise(0.0)
    return judged.with_columns(mean).select(scaled.alias("reward"))["reward"]
