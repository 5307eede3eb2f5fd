"""Count the rows of each part of a split, and warn where they differ from the settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sources.config import SplitConfig
from sources.events import PARTS

TOLERANCE = 0.05
"""Maximum difference between a part's share of the events and the setting, without a warning."""
FEW = 20
"""Minimum rows of each label in a part, without a warning."""
TO_TIME = "split by time, which keeps the shares: split: {by: global_time} in knowflow.yaml"
NO_REMEDY = "give that part a larger share under split: in knowflow.yaml, or add events"


@dataclass(frozen=True)
class PartCount:
    """Counts of one part."""

    part: str
    """train, validation or test."""
    rows: int
    """Events."""
    positives: int
    """Events with label 1."""
    users: int
    """Users with at least one event in it."""
    share: float
    """Its share of all events."""
    wanted: float
    """The configured share."""

    def to_dict(self) -> dict[str, Any]:
        """Return this as plain JSON."""
        return vars(self).copy()


def count_parts(events: pl.DataFrame, config: SplitConfig) -> list[PartCount]:
    """Count rows, positives and users of each part.

    Args:
        events: Canonical events with their part.
        config: The configured split.

    Returns:
        One count for each of train, validation and test, even if a part is empty.
    """
    wanted = (config.train, config.validation, 1 - config.train - config.validation)
    grouped = events.group_by("part").agg(
        pl.len().alias("rows"), (pl.col("label") > 0).sum().alias("positives"), pl.col("user").n_unique().alias("users")
    )
    found = {row["part"]: row for row in grouped.iter_rows(named=True)}
    counts = []
    for part, share in zip(PARTS, wanted, strict=True):
        row = found.get(part, {"rows": 0, "positives": 0, "users": 0})
        of = row["rows"] / max(len(events), 1)
        counts.append(PartCount(part, row["rows"], row["positives"], row["users"], of, share))
    return counts


def split_warnings(counts: Sequence[PartCount], config: SplitConfig) -> list[str]:
    """Warn where a split differs from the settings, and where a part is too small; each warning includes a fix.

    Example:
        >>> counts = [PartCount("train", 90, 40, 9, 0.9, 0.8), PartCount("validation", 0, 0, 0, 0.0, 0.1)]
        >>> print(split_warnings([*counts, PartCount("test", 10, 3, 9, 0.1, 0.1)], SplitConfig())[0].splitlines()[0])
        the split is 90/0/10% where 80/10/10% was set: most users have too few events for these shares
    """
    warnings = []
    by_user = config.by == "user_position"
    if any(abs(one.share - one.wanted) > TOLERANCE for one in counts):
        found, wanted = ("/".join(f"{100 * value:.0f}" for value in of) for of in _shares(counts))
        why = "most users have too few events for these shares" if by_user else "many events share the time of a cut"
        fix = TO_TIME if by_user else "change the shares under split: in knowflow.yaml"
        warnings.append(f"the split is {found}% where {wanted}% was set: {why}\n  {fix}")
    for one in counts:
        fewest = min(one.positives, one.rows - one.positives)
        if fewest < FEW:
            what = "positives" if one.positives == fewest else "negatives"
            use = {"train": "learn from", "validation": "choose settings by", "test": "compare arms by"}[one.part]
            fix = TO_TIME if by_user and one.share < one.wanted - TOLERANCE else NO_REMEDY
            warnings.append(f"{one.part} has {one.rows:,} rows with {fewest:,} {what}: too few to {use}\n  {fix}")
    return warnings


def _shares(counts: Sequence[PartCount]) -> tuple[list[float], list[float]]:
    return [one.share for one in counts], [one.wanted for one in counts]
