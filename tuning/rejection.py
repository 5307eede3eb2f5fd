"""Rejection sampling: learn only rewrites that find relevant items, and more of them.

Paper:     Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE, arXiv
           2311.03758), sections 3.2 and 3.3.
Idea:      a search over the catalogue judges every rewrite, so no human labels are needed.
Formula:   kept if relevance > tau_rele and increment > tau_incr; reward = weighted mean of relevance, increment / (1
           + increment) and min(hitrate, 1), scaled to 0..1 within each query.
Consumes:  rewrites that a search has judged, with relevance, increment and hitrate (null where undefined).
Relations: `instructions.py` makes rows of what is kept here, and `preference.py` learns to rank by the rewards.
"""

import polars as pl

from tuning.config import TIED, RewriteConfig


def keep(judged: pl.DataFrame, config: RewriteConfig) -> pl.Series:
    """Return for every judged rewrite whether it passes both filters: [n] Boolean `kept`."""
    passes = (pl.col("relevance") > config.min_relevance) & (pl.col("increment") > config.min_increment)
    return judged.select(passes.alias("kept"))["kept"]


def rewards(judged: pl.DataFrame, config: RewriteConfig) -> pl.Series:
    """Return the reward of every judged rewrite: [n] Float64 `reward`, 0 to 1 within its query, 0 if all are equal.

    Increment and hitrate may be far above 1 if a query finds almost nothing, and would outweigh relevance: increment is
    damped as in the served table, and hitrate counts up to 1. Without a known hitrate, the other two decide.

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
