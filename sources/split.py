"""Splits of events by time: chronological, and never between two events of one moment where time decides."""

import polars as pl

from sources.config import SplitConfig


def split(events: pl.DataFrame, config: SplitConfig) -> pl.Series:
    """Say of each event whether it is for training, validation or test.

    Args:
        events: Canonical events.
        config: By each user's position, or by a moment for everybody.

    Returns:
        [N] String, aligned with `events`: `train`, `validation` or `test`. By position, a user's first
        floor(n * train) events train, up to floor(n * (train + validation)) validate. By time, events of the same
        moment always fall to the same part, the later one.
    """
    if config.by == "user_position":
        place, size = pl.col("position"), pl.len().over("user")
        first = (size * config.train + 1e-9).floor()  # a whole multiple must not fall by its binary rest
        second = (size * (config.train + config.validation) + 1e-9).floor()
        return events.select(_name(place < first, place < second))["part"]
    times = events["time"].sort()
    if times.is_empty():
        return pl.Series("part", [], dtype=pl.String)
    first_cut, second_cut = (
        times[min(int(len(times) * share + 1e-9), len(times) - 1)]
        for share in (config.train, config.train + config.validation)
    )
    return events.select(_name(pl.col("time") < first_cut, pl.col("time") < second_cut))["part"]


def _name(trains: pl.Expr, validates: pl.Expr) -> pl.Expr:
    chosen = pl.when(trains).then(pl.lit("train")).when(validates).then(pl.lit("validation")).otherwise(pl.lit("test"))
    return chosen.alias("part")
