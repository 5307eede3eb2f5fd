"""The served table of rewrites: query -> what to search for instead, best first, one version per release.

BEQUE (Peng et al. 2024, arXiv 2311.03758, section 5) serves rewrites offline: a batch makes a table for torso and tail
queries, and a search only does a lookup. Rewrites are ranked by the offline feedback of the search simulator:

    score(y) = w_o / place(y) + w_r relevance(y) + w_i increment(y) / (1 + increment(y))

place(y) is 1 for the rewrite that the model wrote first. The increment has no upper bound (it is an added share), so
it is mapped to [0, 1) before weighting. It rises as relevance falls: the paper describes this trade-off, and the
weights set it. Using the model's own order is our addition: docs/explanation/beque.md has the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from base.frozen import Frozen
from feature_store.database import Store
from feature_store.releases import Release
from feature_store.served import TABLE, read_rewrites
from feature_store.writer import quoted
from sources.queries import normalised


class Weights(Frozen):
    """Weights for ranking rewrites."""

    order: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    """Weight of the model's own order: 1 for the rewrite that it wrote first, 1/2 for the second, and so on."""
    relevance: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Weight of the share of a rewrite's results that are relevant to the query."""
    increment: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Weight of the relevant results that the query alone does not find."""


class RewritesConfig(Frozen):
    """Settings of the served table, under `rewrites:` in knowflow.yaml."""

    serve: tuple[Literal["head", "torso", "tail"], ...] = Field(default=("torso", "tail"), min_length=1)
    """Segments of queries in the table; the others are searched as typed."""
    descriptions: str | None = None
    """Technique whose texts about items are searched along with the items' own fields, such as kar_item."""
    relevance: str = Field(default="lexical", pattern=r"^(lexical|[A-Za-z0-9_]+/[A-Za-z0-9_-]+)$")
    """Relevance model: `lexical` (words in common), or item vectors of a release, such as `item_facts/dense`; vectors
    of `descriptions` under the same encoder are used too, and the nearer one counts."""
    threshold: float | None = Field(default=None, allow_inf_nan=False)
    """Score above which an item is relevant; by default calibrated on the items that queries led to."""
    results: int = Field(default=50, ge=1)
    """Results of one search to judge."""
    weights: Weights = Weights()
    """Weights of a rewrite's score."""


@dataclass(frozen=True)
class Rewrite:
    """One rewrite with its measures from the search simulator."""

    text: str
    """What to search for."""
    score: float | None
    """Score for ranking; None if it was not judged."""
    relevance: float | None
    """Share of its results that are relevant to the query."""
    increment: float | None
    """Relevant results that only it finds, over those that the query finds."""


@dataclass(frozen=True)
class Served:
    """What to search for instead of a query."""

    query: str
    """The normalised query."""
    source: Literal["served", "fallback", "live"]
    """served: from the table; fallback: the query itself, because the table does not have it; live: just answered."""
    rewrites: tuple[Rewrite, ...]
    """Best first; the query itself for a fallback."""
    release: str | None = None
    """The release that was read."""
    why: str | None = None
    """Why it is a fallback."""
    answer_key: str | None = None
    """The answer that the rewrites come from."""
    prompt: str | None = None
    """The prompt used."""
    model: str | None = None
    """The model that answered."""


def cleaned(query: str, rewrites: Sequence[str]) -> list[str]:
    """Drop rewrites that are empty, the query itself or duplicates, by their normalised text; keep the order.

    Example:
        >>> cleaned("sci-fi", ["Science Fiction", "Sci-Fi ", "", "science  fiction", "space opera"])
        ['Science Fiction', 'space opera']
    """
    seen, kept = {normalised(query), ""}, []
    for rewrite in rewrites:
        key = normalised(rewrite)
        if key not in seen:
            seen.add(key)
            kept.append(" ".join(rewrite.split()))
    return kept


def ranked(
    texts: Sequence[str], relevance: Sequence[float], increment: Sequence[float], weights: Weights
) -> list[Rewrite]:
    """Rank the rewrites of one query by score; equal ones keep the model's own order.

    Args:
        texts: [n] rewrites in the model's order.
        relevance: [n] from 0 to 1.
        increment: [n], at least 0.
        weights: Weights of the score.

    Example:
        >>> judged = ["a", "b", "c"], [0.2, 0.5, 0.2], [1.0, 0.0, 1.0]
        >>> [(one.text, one.score) for one in ranked(*judged, Weights(order=0))]
        [('a', 0.7), ('c', 0.7), ('b', 0.5)]
        >>> [one.text for one in ranked(*judged, Weights(order=2))]  # 2 + 0.7, 1 + 0.5, 2 / 3 + 0.7
        ['a', 'b', 'c']
    """
    judged = [
        Rewrite(text, weights.order / place + weights.relevance * r + weights.increment * i / (1 + i), r, i)
        for place, (text, r, i) in enumerate(zip(texts, map(float, relevance), map(float, increment), strict=True), 1)
    ]
    return sorted(judged, key=lambda one: -(one.score or 0.0))  # sorted keeps the order of equal ones


def look_up(store: Store, release: Release, query: str) -> Served:
    """Read one query's rewrites from a release; a fallback to the query itself if the release has none.

    Args:
        store: The store.
        release: The release; later rows are ignored.
        query: The query as typed.
    """
    key = normalised(query)
    rows = (
        read_rewrites(store, release.versions.get(TABLE), f"query = {quoted(key)}") if TABLE in release.versions else []
    )
    if not rows or not rows[0]["rewrites"]:
        why = "its rewrites were all empty or the query itself" if rows else "the table of rewrites does not have it"
        why = why if TABLE in release.versions else "the release has no table of rewrites; make it: knowflow rewrites"
        return fallback(query, why, release.name)
    row = rows[0]
    made = {name: row[name] for name in ("answer_key", "prompt", "model")}
    return Served(key, "served", tuple(Rewrite(**one) for one in row["rewrites"]), release.name, **made)


def fallback(query: str, why: str, release: str | None = None) -> Served:
    """Return the query itself as its only rewrite, with the reason."""
    itself = Rewrite(" ".join(query.split()), None, None, None)
    return Served(normalised(query), "fallback", (itself,), release, why)
