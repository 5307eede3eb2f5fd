"""A judge's preferences: pairs of texts in both orders, as win rates, with how far the judge agrees with itself.

A text that is preferred in one order only has half a win: such a judge prefers a place, not a text (position bias;
Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evals.prompts.intervals import ByRow, mean_of_rows, measured_by_row
from evals.trial import Figure, Measured

POINTS = {"A": 1.0, "tie": 0.5, "B": 0.0}
"""Points of text A."""
ABOUT = {
    "judge": "Share of comparisons with other versions that a judge decides for this one, both orders, a tie half.",
    "judge_swapped": "Share of the pairs of which the judge names the same winner in both orders.",
    "judge_again": "Share of the pairs of which the judge says the same when it is asked again.",
    "judge_first": "Share of the decisions for the text that stands first: 0.5 is fair.",
}
Pair = tuple[str, str]
"""Two versions."""


@dataclass(frozen=True)
class Judged:
    """What the judge said about one row and two versions."""

    first: str | None
    """With the first version as A: A, B or tie; None if it did not say."""
    swapped: str | None
    """With the second version as A."""
    again: str | None = None
    """With the first version as A, asked once more; None if it was not."""

    @property
    def points(self) -> float | None:
        """Return the points of the first version: the mean of both orders, None if one is missing.

        Example:
            >>> Judged("A", "B").points, Judged("A", "A").points, Judged("tie", None).points
            (1.0, 0.5, None)
        """
        if self.first is None or self.swapped is None:
            return None
        return (POINTS[self.first] + 1 - POINTS[self.swapped]) / 2

    @property
    def same(self) -> float | None:
        """Return whether both orders name the same winner."""
        if self.first is None or self.swapped is None:
            return None
        return float(POINTS[self.first] == 1 - POINTS[self.swapped])


def measure_judge(
    versions: Sequence[str], judged: Mapping[Pair, Sequence[Judged]], why_once: str = "asked once", seed: int = 0
) -> list[Measured]:
    """Measure what a judge prefers, and how far it can be trusted.

    Args:
        versions: The versions, in order.
        judged: Two versions -> what the judge said of each row; each pair once.
        why_once: Why the judge was not asked the same twice.
        seed: Seed of the intervals.

    Returns:
        `judge` (win rate of each version over all others), `judge_swapped` (agreement of both orders), `judge_again`
        (agreement when asked twice) and `judge_first` (how often it names the text that stands first).
    """
    points: dict[Pair, list[float | None]] = {}
    for (one, other), rows in judged.items():
        points[one, other] = [row.points for row in rows]
        points[other, one] = [None if row.points is None else 1 - row.points for row in rows]
    wins = {version: _mean_by_row([points[pair] for pair in points if pair[0] == version]) for version in versions}
    against = {
        version: {
            other: mean_of_rows([None if p is None else 2 * p - 1 for p in points[version, other]], seed)
            for other in versions
            if (version, other) in points
        }
        for version in versions
    }
    figures = {version: mean_of_rows(values, seed) for version, values in wins.items()}
    judge = Measured("judge", ABOUT["judge"], "judge", "higher", figures, against, wins)
    return [judge, *_trust(versions, judged, why_once, seed)]


def _trust(versions: Sequence[str], judged: Mapping[Pair, Sequence[Judged]], why: str, seed: int) -> list[Measured]:
    """Measure how far the judge agrees with itself, over the pairs of each version."""
    of = {version: [rows for pair, rows in judged.items() if version in pair] for version in versions}
    same = {v: _mean_by_row([[row.same for row in rows] for rows in several]) for v, several in of.items()}
    first = {v: _mean_by_row([[_place(row) for row in rows] for rows in several]) for v, several in of.items()}
    again = {v: _mean_by_row([[_repeated(row) for row in rows] for rows in several]) for v, several in of.items()}
    twice = _trusted("judge_again", "higher", again, seed)
    if all(figure.mean is None for figure in twice.figures.values()):
        twice = replace(twice, figures={version: Figure(None, why=why) for version in versions})
    return [_trusted("judge_swapped", "higher", same, seed), twice, _trusted("judge_first", "neither", first, seed)]


def _trusted(name: str, better: Literal["higher", "neither"], rows: ByRow, seed: int) -> Measured:
    return replace(measured_by_row(name, ABOUT[name], better, rows, kind="judge", seed=seed), against={}, by_row={})


def _place(row: Judged) -> float | None:
    """Return how often the judge named the text that stands first, of the decisions that are no ties."""
    decided = [said for said in (row.first, row.swapped) if said in ("A", "B")]
    return sum(said == "A" for said in decided) / len(decided) if decided else None


def _repeated(row: Judged) -> float | None:
    return None if row.first is None or row.again is None else float(row.first == row.again)


def _mean_by_row(several: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Return the mean of each row over several lists, of the values that there are."""
    return [mean_of_rows(values).mean for values in zip(*several, strict=True)]
