"""Who should rank rewrites: the model that wrote them, words in common, or vectors?

Run:   python benchmarks/rewrite_order.py [--config FILE]
Reads: examples/movielens, and its newest release with query_rewrite, item_facts and kar_item (make demo); FILE reads
       another knowflow.yaml.
A search for the first rewrite alone, 50 results: hit@50 is the mean share of the engaged items among them. The judges
use engaged items only to calibrate their threshold, on training queries; the weight of the model's own order is chosen
on these too, so that held-out queries measure its value. Intervals: a paired bootstrap over users, of the difference
from the model's own order (evals/by_user.py).
The last line printed is one JSON object.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from app.config import load_config
from app.rewrite_evaluation import DESCRIBED, RewriteInputs, open_inputs
from evals.by_user import REPLICATES, intervals
from evals.rewrites import Queries, found
from retrieval.rewrites import Weights, cleaned, ranked
from retrieval.search import BulkSearch
from retrieval.search_arms import BUDGET, RECORDED
from retrieval.simulator import Simulator, judge_rewrites

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "movielens"
ORDERS = (0.0, 0.5, 1.0, 2.0, 4.0)


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=EXAMPLE / "knowflow.yaml")
    inputs = open_inputs(load_config(parser.parse_args().config), {}, None)
    queries = inputs.queries
    search = BulkSearch(inputs.items["item"].to_list(), inputs.documents[DESCRIBED])
    known = zip(queries.query, inputs.rewrites[RECORDED], strict=True)
    proposed = [cleaned(query, rewrites) for query, rewrites in known]
    own = hits(search, inputs, [first(rewrites) for rewrites in proposed])
    parts = {"others": ~queries.held_out, **{name: queries.masks()[name] for name in ("held_out", "held_out_tail")}}
    told = {"own order": figures(own, own, queries, parts)}
    for name, model in inputs.models.items():
        simulator = Simulator(search, model, inputs.calibrations[name].threshold, BUDGET)
        judged = judge_rewrites(simulator, queries.query, proposed)
        for order in ORDERS:
            best = [
                first([one.text for one in ranked(texts, r[: len(texts)], i[: len(texts)], Weights(order=order))])
                for texts, r, i in zip(proposed, *judged, strict=True)
            ]
            told[f"{name}, order {order:g}"] = figures(hits(search, inputs, best), own, queries, parts)
    for name, of in told.items():
        print(f"{name:20s}" + "".join(f"  {part} {one['mean']:.4f}" for part, one in of.items()))
    print(json.dumps({"release": inputs.release, "hit_at_50_of_the_first_rewrite": told}, allow_nan=False))


def first(rewrites: list[str]) -> str:
    """Return the first rewrite; an empty text if there is none."""
    return rewrites[0] if rewrites else ""


def hits(search: BulkSearch, inputs: RewriteInputs, texts: list[str]) -> np.ndarray:
    """Return whether a text finds each part of its query; an empty text searches for the query itself: [T]."""
    queries = inputs.queries
    asked = [text or shown for text, shown in zip(texts, queries.shown, strict=True)]
    return found(search.search(asked, BUDGET), queries.parts.of, queries.place)


def figures(
    values: np.ndarray, own: np.ndarray, queries: Queries, masks: dict[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Return the mean, and its difference from the model's own order with an interval, for each part of the queries."""
    draws = queries.parts.draws(REPLICATES)
    told: dict[str, dict[str, Any]] = {}
    for name, mask in masks.items():
        rows = mask[queries.parts.of]
        columns = np.stack([values, values - own], axis=1)[rows]
        of, gain = intervals(columns, queries.parts.where(rows), draws)
        numbers = {"mean": of["mean"], "gain": gain["mean"], "low": gain["low"], "high": gain["high"]}
        rounded = {which: None if number is None else round(number, 4) for which, number in numbers.items()}
        told[name] = {"queries": int(mask.sum()), "users": gain["users"], **rounded}
    return told


if __name__ == "__main__":
    main()
