"""Interest clusters: a model describes each group of similar items, so that interests have names.

Paper:     Wang et al. 2024, "LLMs for User Interest Exploration in Large-scale Recommendation Systems"
           (arXiv 2405.16363), its 761 topic clusters of two levels; here few, and made from a catalogue field.
Idea:      a language model cannot name one of millions of items, but it can name one of a few clusters.
Consumes:  items: one category field, and the names of some items of each cluster.
Produces:  one description and its vectors per cluster; as_of = the epoch, because no event is shown.
Cost:      1 call per cluster, about 150 tokens in, 30 out; `clusters` calls (20).
Relations: google_novelty reads the descriptions; the recommender `novelty` assigns items to these clusters.
Example:   knowflow plan --task interest_clusters

A cluster is one combination of the field's values, such as `Comedy, Romance`, and its id is that combination; the
`clusters` most frequent combinations of the catalogue are used. An item belongs to the cluster with the most similar
values: |own and the cluster's| / |own or the cluster's|; ties go to the first id. An item that shares no value with
any cluster belongs to none.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl
from pydantic import Field

from base.faults import WrongUse
from llm_tasks.pipeline.task import EPOCH, Inputs, Row, TaskOptions, llm_task


class ClusterOptions(TaskOptions):
    """Options of interest_clusters."""

    field: str | None = None
    """The category field that clusters are made from; the first one of `items:` if not given."""
    clusters: int = Field(default=20, ge=3)
    """Maximum number of clusters."""
    shown: int = Field(default=8, ge=1)
    """How many items of a cluster a prompt names."""


@llm_task(entity="cluster", prompt="interest_clusters", creates=True, options=ClusterOptions, opt_in=True)
def interest_clusters(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per cluster."""
    options = inputs.own_options(ClusterOptions)
    values = values_of(inputs.dataset.items, options.field)
    clusters = most_frequent(values, options.clusters)
    members = nearest(values, clusters)
    for place, cluster in enumerate(clusters):
        if not inputs.wanted(cluster):
            continue
        own = [row for row, found in enumerate(members) if found == place][: options.shown]
        names = [inputs.domain.item_name(item) for item in inputs.dataset.items[own].iter_rows(named=True)]
        yield Row(cluster, EPOCH, {"cluster": cluster, "items": "; ".join(names)})


def values_of(items: pl.DataFrame, field: str | None) -> list[frozenset[str]]:
    """Return the values of each item in a category field; an empty set where it has none.

    Args:
        items: The catalogue.
        field: Name of the field; the first category field when None.

    Raises:
        WrongUse: The items have no such field.
    """
    fields = [name for name, kind in items.schema.items() if kind == pl.List(pl.String)]
    chosen = field or next(iter(fields), "at all")
    if chosen not in fields:
        there = ", ".join(fields) or "none"
        what = f"clusters of items: there is no category field {chosen}; there are: {there}"
        raise WrongUse(f"{what}\n  map one under items: categories: in knowflow.yaml")
    return [frozenset(one or ()) for one in items[chosen].to_list()]


def most_frequent(values: Sequence[frozenset[str]], number: int) -> list[str]:
    """Return the ids of the most frequent combinations of values, sorted; ties go to the first in the alphabet.

    Example:
        >>> most_frequent([frozenset({"Noir", "Crime"}), frozenset({"Drama"}), frozenset({"Crime", "Noir"})], 1)
        ['Crime, Noir']
    """
    count = Counter(", ".join(sorted(one)) for one in values if one)
    return sorted(sorted(count, key=lambda name: (-count[name], name))[:number])


def nearest(values: Sequence[frozenset[str]], clusters: Sequence[str]) -> list[int]:
    """Return the index in `clusters` of the cluster that each item belongs to, -1 for none.

    Example:
        >>> nearest([frozenset({"Crime"}), frozenset({"War"})], ["Crime, Noir", "Drama"])
        [0, -1]
    """
    of_clusters = [frozenset(cluster.split(", ")) for cluster in clusters]
    found: dict[frozenset[str], int] = {}
    for own in set(values):
        likeness = [len(own & one) / len(own | one) for one in of_clusters]
        best = max(likeness, default=0)
        found[own] = likeness.index(best) if best > 0 else -1
    return [found[own] for own in values]
