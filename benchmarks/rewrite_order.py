"""Who should rank rewrites: the model that wrote them, words in common, or vectors?

Run:   python benchmarks/rewrite_order.py [--config FILE]
Reads: examples/movielens, and its newest release with query_rewrite, item_facts and kar_item (make demo); FILE reads
       another knowflow.yaml.
A search for the first rewrite alone, 50 results: hit@50 is the mean share of the engaged items among them. The judges
see no engaged item but to calibrate their threshold, on training queries; the weight of the model's own order is chosen
on these, too, so that held-out queries tell what it is worth. Intervals: a paired bootstrap over queries, of the
difference from the model's own order.
The last line printed is one JSON object.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from evals.intervals import draw, percentile_interval
from evals.search_arms import BUDGET, RECORDED
from feature_store.feedback import member
from feature_store.rewrites import Weights, cleaned, ranked
from feature_store.search import BulkSearch
from flows.config import load_config
from flows.ranking import judge_rewrites
from flows.rewrite_inputs import DESCRIBED, Inputs, open_inputs

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "movielens"
ORDERS = (0.0, 0.5, 1.0, 2.0, 4.0)
REPLICATES = 1_000


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=EXAMPLE / "knowflow.yaml")
    inputs = open_inputs(load_config(parser.parse_args().config), {}, None)
    queries = inputs.queries
    search = BulkSearch(inputs.items["item"].to_list(), inputs.documents[DESCRIBED])
    known = zip(queries.query, inputs.rewrites[RECORDED], strict=True)
    proposed = [cleaned(query, rewrites) for query, rewrites in known]
    own = hits(search, inputs, [first(rewrites) for rewrites in proposed])
    parts = {"others": ~queries.held_out, **{name: queries.masks()[name] for name in ("held_out", "held_out_tail")}}
    found = {"own order": figures(own, own, parts)}
    for name, model in inputs.models.items():
        judged = judge_rewrites(search, model, inputs.calibrations[name].threshold, queries.query, proposed, BUDGET)
        for order in ORDERS:
            best = [
                first([one.text for one in ranked(texts, r[: len(texts)], i[: len(texts)], Weights(order=order))])
                for texts, r, i in zip(proposed, *judged, strict=True)
            ]
            found[f"{name}, order {order:g}"] = figures(hits(search, inputs, best), own, parts)
    for name, of in found.items():
        print(f"{name:20s}" + "".join(f"  {part} {told['mean']:.4f}" for part, told in of.items()))
    print(json.dumps({"release": inputs.release, "hit_at_50_of_the_first_rewrite": found}))


def first(rewrites: list[str]) -> str:
    """The rewrite that is searched alone; nothing where there is none."""
    return rewrites[0] if rewrites else ""


def hits(search: BulkSearch, inputs: Inputs, texts: list[str]) -> np.ndarray:
    """Share of each query's engaged items that a text finds; the query itself is searched where it is empty: [Q]."""
    queries = inputs.queries
    asked = [text or shown for text, shown in zip(texts, queries.shown, strict=True)]
    found = member(search.search(asked, BUDGET), queries.engaged).sum(axis=1)
    return found / np.array([len(of) for of in queries.engaged])


def figures(values: np.ndarray, own: np.ndarray, parts: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Mean, and its difference from the model's own order with an interval, of each part of the queries."""
    told: dict[str, dict[str, float]] = {}
    for part, mask in parts.items():
        of, gain = values[mask], (values - own)[mask]
        draws = draw(len(of), 1, REPLICATES, 0).users.astype(np.float64)[: len(of)]  # [n, R]
        low, high = percentile_interval(draws.T @ gain / draws.sum(axis=0))
        numbers = {"mean": of.mean(), "gain": gain.mean(), "low": low, "high": high}
        told[part] = {"queries": len(of), **{name: round(float(number), 4) for name, number in numbers.items()}}
    return told


if __name__ == "__main__":
    main()
