"""Tables and examples of the evaluation of rewrites, the same for the terminal and the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evals.by_user import crowd, people, shown, verdict
from evals.page import Example, Section, Table
from evals.rewrites import HEADLINE, HIT, METRICS, Queries
from evals.words import NOTHING, fixed, percent
from retrieval.feedback import member
from retrieval.search_arms import ORIGINAL, RECORDED, Arm

SHOWN = 8
"""Number of won examples to show, and of lost ones."""
LISTED = 12
"""Number of titles in one line of an example."""
DOCUMENTS = {"fields": "titles and fields", "described": "titles, fields and descriptions"}
SEGMENTS = {
    "all": "all queries",
    "head": "head",
    "torso": "torso",
    "tail": "tail",
    "held_out": "held-out queries",
    "held_out_tail": "held-out tail queries",
}
CAVEATS = (
    "The items that users engaged with for a query are those in its log entries. On MovieLens the queries are tags, and"
    " the engaged films are those that got the tag: an equally fitting film that nobody tagged counts as a miss.",
    "The model that wrote the rewrites and the descriptions may have known the data itself, tags of MovieLens included."
    " For items and queries that are newer than the model, such knowledge is not available.",
    "The relevance model is only a substitute, calibrated on training queries: the order of arms in relevance and"
    " increment is no more reliable than its AUC. It always compares with the query as typed, so a rewrite with other"
    " words is measured by the old ones.",
    "If the relevance model is `dense`, the arm `dense` ranks by the vectors it is measured with: its relevance and"
    " increment mean nothing then, but its hit@10 and hit@50 do.",
    "hitrate counts what the query itself or the arm finds, up to twice 50 results, and can exceed 1 if the relevance"
    " model misses items that users engaged with; for hit@10 and hit@50 every arm except the unions has the same number"
    " of results.",
    "Every arm searches a query without rewrites as it was typed.",
)


def conclusion(result: Mapping[str, Any]) -> str:
    """Return the conclusion in a sentence or two."""
    head, gain = result["headline"], result["gain"]
    of = f"On {head['queries']:,} {SEGMENTS[head['segment']]} of {result['queries']:,}"
    if gain is None or gain["mean"] is None:
        return f"{of} the original query finds {percent(result[ORIGINAL])} of the engaged items among 50 results."
    said = verdict(gain, "rewriting helps", "rewriting hurts", "no gain is shown")
    return (
        f"{of} the original query finds {percent(result[ORIGINAL])} of the engaged items among 50 results, and"
        f" {percent(result[RECORDED])} fused with its recorded rewrites, at equal budget:"
        f" {shown(gain)}, {said}. {people(gain['users']).capitalize()} typed them, one of whom accounts for"
        f" {percent(gain['largest_user'])} of the figure."
    )


def segment_table(result: Mapping[str, Any], documents: str) -> Table:
    """Tabulate the headline figure by segment, in one kind of documents."""
    found = result["documents"][documents]
    rows = [
        [
            SEGMENTS[name],
            f"{of['queries']:,}",
            fixed(of[ORIGINAL], 3),
            fixed(of[RECORDED], 3),
            shown(of["gain"]),
            *crowd(found["arms"][ORIGINAL][name][HIT]),
        ]
        for name, of in found["segments"].items()
    ]
    columns = ["queries", "number", "original", "recorded rewrites, fused", "gain", "users", "largest user"]
    return Table(f"{HIT} in {DOCUMENTS[documents]}", columns, rows, subject=SEGMENTS[HEADLINE])


def arm_table(result: Mapping[str, Any], documents: str, segment: str) -> Table:
    """Tabulate every arm and metric on one segment."""
    found = result["documents"][documents]
    rows = [
        [arm, *(fixed(of[segment][metric]["mean"], 3) for metric in METRICS), shown(of[segment][HIT]["gain"])]
        for arm, of in found["arms"].items()
    ]
    number = found["segments"][segment]["queries"]
    caption = f"{SEGMENTS[segment]} ({number:,}), {DOCUMENTS[documents]}"
    return Table(caption, ["arm", *METRICS, f"gain in {HIT}"], rows, subject=RECORDED)


def calibration_table(result: Mapping[str, Any]) -> Table:
    """Tabulate how well every relevance model separates engaged from random pairs."""
    calibration = result["calibration"]
    rows = [
        [name, fixed(of["auc"], 3), fixed(of["accuracy"], 3), fixed(of["threshold"], 3), f"{of['engaged']:,}"]
        for name, of in calibration["models"].items()
    ]
    caption = "engaged pairs of training queries against as many random ones; highlighted: the model that was used"
    return Table(
        caption, ["model", "AUC", "balanced accuracy", "threshold", "pairs"], rows, subject=calibration["model"]
    )


def page_sections(
    result: Mapping[str, Any],
    queries: Queries,
    rewrites: Mapping[str, Sequence[Sequence[str]]],
    arms: Mapping[str, Arm],
    hits: Mapping[str, np.ndarray],
    titles: Sequence[str],
) -> list[Section]:
    """Return all sections of the page.

    Args:
        result: The result.
        queries: The queries.
        rewrites: Source -> [Q] lists of rewrites.
        arms: What each arm found.
        hits: Arm -> [Q] hit@50.
        titles: [N] titles of the items.
    """
    main = result["headline"]["documents"]
    subject = RECORDED if RECORDED in rewrites else next(iter(rewrites))
    won, lost = changed(hits[subject] - hits[ORIGINAL], queries)
    shown = [
        Section(
            f"{heading} by {subject}",
            f"Held-out queries on which {subject} changes {HIT} most.",
            examples=[_example(row, queries, rewrites[subject], arms, subject, titles) for row in rows],
            points=[] if rows else ["There are none."],
        )
        for heading, rows in (("Won", won), ("Lost", lost))
    ]
    with_rewrites = ", ".join(f"{name} for {number:,} queries" for name, number in result["rewrites"].items())
    return [
        Section(
            "By segment",
            f"{result['queries']:,} queries led to an item; rewrites: {with_rewrites}. Means over queries with 95%"
            " intervals of a paired bootstrap that draws users, because one user types several queries. Largest user:"
            " the largest share of the figure from one user. Held out: queries that nothing was tuned or calibrated"
            " on.",
            [segment_table(result, name) for name in reversed(result["documents"])],
        ),
        Section(
            "All arms",
            f"Every arm except the unions gives 50 results. Gains are against {ORIGINAL}.",
            [arm_table(result, main, name) for name in (HEADLINE, "all", "head", "torso", "tail")],
            [f"{name}: {about}" for name, about in result["about"].items()],
        ),
        Section("Relevance models", "", [calibration_table(result)]),
        *shown,
        Section("Caveats", points=[*CAVEATS, *(f"Left out: {one}" for one in result["left_out"])]),
    ]


def changed(gain: np.ndarray, queries: Queries) -> tuple[list[int], list[int]]:
    """Find the held-out queries with the largest gains and losses; among equal ones the first.

    Args:
        gain: [Q].
        queries: The queries.
    """
    order = [int(row) for row in np.lexsort((np.arange(len(gain)), -gain)) if queries.held_out[row]]
    won = [row for row in order if gain[row] > 0][:SHOWN]
    lost = sorted((row for row in order if gain[row] < 0), key=lambda row: (gain[row], row))[:SHOWN]
    return won, lost


def _example(
    row: int,
    queries: Queries,
    rewrites: Sequence[Sequence[str]],
    arms: Mapping[str, Arm],
    subject: str,
    titles: Sequence[str],
) -> Example:
    engaged = queries.engaged[row]
    before, after = (member(engaged[None], [arms[name].found[row]])[0] for name in (ORIGINAL, subject))
    lists = {
        "found by both": engaged[before & after],
        f"found by {subject} only": engaged[after & ~before],
        f"found by {ORIGINAL} only": engaged[before & ~after],
        "missed by both": engaged[~before & ~after],
    }
    lines = [(name, _titles(places, titles)) for name, places in lists.items() if len(places)]
    aside = f"{queries.segment[row]}; {before.sum()} of {len(engaged)} found before, {after.sum()} after"
    return Example(queries.shown[row], aside, [("rewrites", "\n".join(rewrites[row]) or NOTHING), *lines])


def _titles(places: np.ndarray, titles: Sequence[str]) -> str:
    more = len(places) - LISTED
    return "; ".join(titles[int(place)] for place in places[:LISTED]) + (f"; and {more:,} more" if more > 0 else "")
