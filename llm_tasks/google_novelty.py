"""Google's novelty model: the next interest cluster for a user who likes two others.

Paper:     Wang et al. 2024, "LLMs for User Interest Exploration in Large-scale Recommendation Systems"
           (arXiv 2405.16363), its novelty model without the fine-tuning; the second model, which uses feedback to pick
           among several sampled answers, is left out: one answer per pair, at temperature 0.
Idea:      there are few pairs of clusters, so all of them are asked offline, and serving is a lookup.
Formula:   next = LLM(a, b) in C \\ {a, b} for every unordered pair of K = 2 clusters, including a = b:
           C (C + 1) / 2 rows, 210 for C = 20
Consumes:  the answers of interest_clusters: ids and descriptions.
Produces:  one cluster per pair: the id of an existing one that is neither of the two; any other answer is an error
           row. as_of = the newest of the answers it read.
Cost:      1 call per pair, about 500 tokens in, 5 out;
           all pairs are asked again when a cluster or its description changes.
Relations: the recommender `novelty` serves the table; interest_clusters makes the clusters.
Example:   knowflow plan --task google_novelty

A user who has liked only one cluster is served by the pair of that cluster with itself. The order within a pair is
ignored: it would double the calls and at most say which cluster was liked last.
"""

from collections.abc import Iterator
from itertools import combinations_with_replacement

from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task

BETWEEN = " + "
"""Separates the two clusters in the id of a pair."""


@llm_task(entity="cluster_pair", prompt="google_novelty", creates=True, needs=("interest_clusters",), opt_in=True)
def google_novelty(inputs: Inputs) -> Iterator[Row]:
    """Yield one row per pair of clusters; every row shows all clusters, so it reads all of them."""
    read = list(inputs.answers("interest_clusters").all())
    about = {one.entity: one.text for one in read}
    for first, second in combinations_with_replacement(sorted(about), 2):
        pair = pair_id(first, second)
        if not inputs.wanted(pair):
            continue
        liked = dict.fromkeys((first, second))
        others = tuple(cluster for cluster in about if cluster not in liked)
        shown = {
            "pair": pair,
            "liked": "\n".join(f"- {one}: {about[one]}" for one in liked),
            "others": "\n".join(f"- {one}: {about[one]}" for one in others),
        }
        yield Row(pair, EPOCH, shown, reads=read, choices=others)


def pair_id(first: str, second: str) -> str:
    """Return the id of a pair of clusters, in either order.

    Example:
        >>> pair_id("Drama", "Comedy, Romance")
        'Comedy, Romance + Drama'
    """
    return BETWEEN.join(sorted((first, second)))
