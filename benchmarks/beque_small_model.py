"""Tune SmolLM2-135M-Instruct to rewrite queries (BEQUE): how much of a large model's gain do its own rewrites reach?

Run:   python benchmarks/beque_small_model.py [--model models/SmolLM2-135M-Instruct] [--out FOLDER] [--scale 1.0]
Reads: examples/movielens: tags as queries, the recorded rewrites of 1,469 of them, the recorded texts about films.
Four stages, each kept in FOLDER, so that a second call goes on after the last finished one:

sft       LoRA on recorded rewrites of training queries that pass rejection sampling, four kinds of instructions
sampled   vLLM samples rewrites of training queries from the adapter
pro       LoRA on the model with the first adapter merged in, by PRO on sampled and recorded rewrites of these queries;
          pairwise is its control, with `--control`
test      vLLM samples rewrites of each held-out tail query from the untuned model and from each adapter

A rewrite is used if the search finds enough relevant films with it, as in a served table: how many are, how relevant,
and the temperature, are chosen on PRO's rewrites of validation queries. All arms are fused with the query at an equal
budget of 50 results; intervals resample users (evals/by_user.py). The last line printed is one JSON object: `query`,
`sft`, `pro`, `recorded` and so on are hit@50 on held-out tail queries.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rewriting import Shop, instructions, judge, make_simulator, newest_event, open_shop, recorded_rewrites
from small_model import Sampler, Stages, arguments, ready, with_system

from base.progress import silent
from encoders.dense import DenseEncoder
from evals.by_user import intervals
from evals.rewrites import HEADLINE, HIT, compare_arms, found, judged_queries
from retrieval.relevance import Calibration, DenseCosine, calibrated
from retrieval.search import fuse
from retrieval.search_arms import search_rewrites
from retrieval.simulator import Simulator
from sources.queries import segments, training_queries
from tuning.base import Base, find_base, merge
from tuning.candidates import candidate_table
from tuning.config import RewriteConfig
from tuning.preference import Objective, tune_preferences
from tuning.ranking import rank_queries
from tuning.supervised import tune

SYSTEM = (
    "You rewrite the queries that people type into the search box of a film catalogue. The search only matches words "
    "in titles, genres and descriptions, so a good rewrite names what such films are called, who made them, who plays "
    "in them, and which words describe them: well-known titles, other words for the same thing, full names instead of "
    "abbreviations, correct spelling. Keep what the user is looking for. Answer with nothing but what is asked."
)
"""Stands before every prompt: with it, the common beginning fills a block of the engine's prefix cache, 128 tokens."""
LEARNT_QUERIES, LEARNT_PER_QUERY = 400, 1
"""Training queries that SFT learns from, and how many rewrites of each at most: those with the highest rewards."""
SFT = RewriteConfig(
    learning_rate=1e-3,
    row_tokens=640,
    batch_rows=1,
    rows_at_once=1,
    share_prompts=True,
    rewrite_share=0.5,
    thought_share=0.2,
    quality_share=0.15,
    title_share=0.15,
    save_every=20,
)
PRO = SFT.model_copy(update={"learning_rate": 2e-4, "batch_rows": 4, "rows_at_once": 4, "candidates": 5})
SAMPLED_QUERIES, SAMPLED, TEMPERATURE = 96, 2, 1.0
"""Training queries that PRO learns from, and how many rewrites of each are sampled, and how."""
WATCHED, VALIDATED = 24, 50
"""Validation queries that choose PRO's weights, and tail ones that choose which rewrites are used."""
WRITTEN = 3
"""Rewrites sampled per validation query."""
TEMPERATURES, FEWEST, LEAST_RELEVANT = (0.3, 0.7), (1, 2, 3), (0.0, 0.2, 0.4, 0.6, 0.8)
"""What the validation queries choose from: the temperature, at most how many rewrites are used, and how relevant their
results are."""


def measure(model: Path, out: Path, scale: float, control: bool) -> dict[str, Any]:
    """Run all stages that are not finished, and return the figures."""
    stages = Stages(out)
    shop = open_shop()
    relevance = stages.table("vectors", lambda: vectors(shop))
    encoder = DenseEncoder("all-MiniLM-L6-v2", "mean", 256, 64)
    dense = DenseCosine(np.stack(relevance["vector"].to_list()), lambda texts: encoder.encode(texts, silent))
    by = make_simulator(shop, dense)
    recorded = judge(shop, recorded_rewrites(), by, SFT)
    train = recorded.filter(pl.col("part") == "train")
    model = with_system(model, SYSTEM, out / "base")
    base = find_base(model, {})

    with stages.timed("sft"):
        mixture = instructions(shop, best(train, LEARNT_PER_QUERY, round(LEARNT_QUERIES * scale)), SFT)
        learnt = {"sft": tune(base, mixture, SFT, out / "sft", stages.told("sft"), resume=True)}
        if not ready(out / "merged"):
            merge(base, out / "sft", out / "merged")
    merged = find_base(out / "merged", {})
    plain, tuned = Sampler(model, shop.domain), Sampler(out / "merged", shop.domain)

    asked = some(shop, "train", round(SAMPLED_QUERIES * scale)).join(train.select("query").unique(), on="query")
    drawn = stages.table("sampled", lambda: plain.sample(asked, SAMPLED, TEMPERATURE, out / "sft"))
    mixed = join(asked, drawn, recorded)
    for objective in objectives(control):
        with stages.timed(objective):
            learnt[objective] = prefer(
                objective, merged, shop, by, mixed, recorded, out / objective, stages.told(objective)
            )

    validation = some(shop, "validation", round(VALIDATED * scale), tail=True)
    tried = {
        heat: stages.table(f"validation-{heat}", lambda t=heat: tuned.sample(validation, WRITTEN, t, out / "pro"))
        for heat in TEMPERATURES
    }
    with stages.timed("choice"):
        chosen = choose(shop, by, validation, tried)
    test = some(shop, "test", None if scale >= 1 else round(226 * scale), tail=True)
    adapters = {name: (tuned, out / name) for name in objectives(control)}
    adapters |= {"sft": (plain, out / "sft"), "untuned": (plain, None)}
    most, heat = chosen["most"], chosen["temperature"]
    written = {
        arm: stages.table(f"test-{arm}", lambda s=sampler, a=adapter: s.sample(test, most, heat, a))
        for arm, (sampler, adapter) in adapters.items()
    }
    with stages.timed("evaluation"):
        arms = {arm: use(shop, by, table, most, chosen["relevant"]) for arm, table in written.items()}
        figures = evaluate(shop, dense, arms, test)
    return {
        **figures,
        "chosen": chosen,
        "learnt": {name: {**of["learnt"], "held_out": of["held_out"]} for name, of in learnt.items()},
        "rewrites": {arm: counted(rewrites) for arm, rewrites in arms.items()},
        "cpu_seconds": stages.seconds,
        "scale": scale,
    }


def objectives(control: bool) -> list[Objective]:
    """Return the ranking losses to tune with."""
    return ["pro", "pairwise"] if control else ["pro"]


def vectors(shop: Shop) -> pl.DataFrame:
    """Encode the documents, by which relevance is judged: it separates what users found better than common words do."""
    made = DenseEncoder("all-MiniLM-L6-v2", "mean", 256, 64).encode(list(shop.texts), silent)
    return pl.DataFrame({"vector": pl.Series(made.tolist(), dtype=pl.List(pl.Float32))})


def best(judged: pl.DataFrame, most: int, count: int) -> pl.DataFrame:
    """Draw queries with a rewrite that passed the filters; keep their `most` best ones, and those that did not pass."""
    place = pl.col("reward").rank("ordinal", descending=True).over("query", "kept")
    drawn = judged.filter("kept")["query"].unique(maintain_order=True)
    drawn = drawn.sample(min(count, len(drawn)), seed=0)
    return judged.filter(pl.col("query").is_in(drawn.implode()) & (~pl.col("kept") | (place <= most)))


def some(shop: Shop, part: str, most: int | None, tail: bool = False) -> pl.DataFrame:
    """Draw queries of a part that led to an item: query, shown, items."""
    table = shop.every.with_columns(part=shop.parts, segment=segments(shop.every, shop.about.segments))
    chosen = table.filter((pl.col("part") == part) & (pl.col("items").list.len() > 0))
    chosen = chosen.filter(pl.col("segment") == "tail") if tail else chosen
    drawn = chosen if most is None else chosen.sample(min(most, len(chosen)), seed=0)
    return drawn.select("query", "shown", "items").sort("query")


def join(asked: pl.DataFrame, drawn: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
    """Return candidates of some queries: the sampled rewrites first, then the recorded ones."""
    own = [(query, None, text) for query, texts in drawn.iter_rows() for text in texts]
    there = recorded.join(asked.select("query"), on="query").sort("query", "place")
    return candidate_table([*own, *there.select("query", "thought", "rewrite").iter_rows()])


def prefer(
    objective: Objective,
    base: Base,
    shop: Shop,
    by: Simulator,
    candidates: pl.DataFrame,
    recorded: pl.DataFrame,
    out: Path,
    progress: Callable[[str, int, int], None],
) -> Mapping[str, Any]:
    """Tune on ranked rewrites; recorded rewrites of validation queries choose the weights."""
    judged = judge(shop, candidates, by, PRO)
    ranked, left_out = rank_queries(judged, judged["reward"], base, shop.domain, PRO)
    watched = recorded.join(some(shop, "validation", WATCHED).select("query"), on="query")
    validation, _ = rank_queries(watched, watched["reward"], base, shop.domain, PRO)
    facts = newest_event(training_queries(shop.dataset, shop.about.split))
    return tune_preferences(
        base, ranked, validation, objective, PRO, out, progress, facts=facts, left_out=Counter(left_out), resume=True
    )


def use(shop: Shop, by: Simulator, table: pl.DataFrame, most: int, relevant: float) -> dict[str, list[str]]:
    """Return which of the first `most` rewrites of each query find enough relevant films."""
    rows = [(query, None, text) for query, texts in table.iter_rows() for text in texts[:most]]
    judged = judge(shop, candidate_table(rows), by, SFT).filter(pl.col("relevance") >= relevant)
    return dict(judged.group_by("query", maintain_order=True).agg("rewrite").iter_rows())


def choose(shop: Shop, by: Simulator, queries: pl.DataFrame, written: Mapping[float, pl.DataFrame]) -> dict[str, Any]:
    """Choose the temperature, how many rewrites are used and how relevant they must be, by hit@50."""
    place = {item: number for number, item in enumerate(by.search.items)}
    engaged = [[place[item] for item in of] for of in queries["items"]]
    shown, names = queries["shown"].to_list(), queries["query"].to_list()

    def hit(rewrites: Mapping[str, Sequence[str]]) -> float:
        ranking = fused(by, shown, [rewrites.get(query, []) for query in names])
        return float(np.mean([np.isin(of, row).mean() for of, row in zip(engaged, ranking, strict=True)]))

    tried = {
        (heat, most, relevant): hit(use(shop, by, table, most, relevant))
        for heat, table in written.items()
        for most in FEWEST
        for relevant in LEAST_RELEVANT
    }
    best_one = max(tried, key=lambda one: tried[one])
    chosen = dict(zip(("temperature", "most", "relevant"), best_one, strict=True))
    all_of_them = {str(heat): tried[heat, WRITTEN, 0.0] for heat in written}
    return {**chosen, "hit": tried[best_one], "all": all_of_them, "query": hit({}), "queries": len(queries)}


def fused(by: Simulator, queries: Sequence[str], rewrites: Sequence[Sequence[str]]) -> np.ndarray:
    """Search for queries and their rewrites, fused to 50 results: [Q, 50]."""
    every = [by.search.search(queries, 50)[:, None], search_rewrites(by.search, rewrites, 50)]
    return fuse(np.concatenate(every, axis=1), 50)


def evaluate(
    shop: Shop, dense: DenseCosine, arms: Mapping[str, Mapping[str, list[str]]], tested: pl.DataFrame
) -> dict[str, Any]:
    """Evaluate rewrites on held-out tail queries, as `knowflow eval rewrites` does, and the gain of PRO over SFT."""
    queries = judged_queries(shop.dataset, shop.about.segments, shop.about.split)
    chosen = np.isin(np.array(queries.query), tested["query"].to_numpy())
    queries = replace(queries, held_out=queries.held_out & chosen)
    large = dict(recorded_rewrites().group_by("query", maintain_order=True).agg("rewrite").iter_rows())
    lists = {
        name: [list(of.get(query, ())) for query in queries.query] for name, of in {"recorded": large, **arms}.items()
    }
    calibration: Calibration = calibrated(dense, shop.dataset, shop.about.split)
    result, judged = compare_arms(
        queries, shop.dataset.items["item"].to_list(), {"described": shop.texts}, lists, {}, {"dense": dense},
        {"dense": calibration},
    )  # fmt: skip
    shown = {"query": "original", **{name: name for name in ("recorded", *arms)}}
    figures = {name: result["arms"][arm][HEADLINE] for name, arm in shown.items()}
    rows = queries.masks()[HEADLINE][queries.parts.of]
    one, other = (found(judged.arms[arm].found, queries.parts.of, queries.place) for arm in ("pro", "sft"))
    (gain,) = intervals((one - other)[rows, None], queries.parts.where(rows), queries.parts.draws())
    return {
        **{name: of[HIT] for name, of in figures.items()},
        "relevance": {name: of["relevance"]["mean"] for name, of in figures.items()},
        "pro_over_sft": gain,
        "share_of_gain": {
            arm: figures[arm][HIT]["gain"]["mean"] / figures["recorded"][HIT]["gain"]["mean"] for arm in arms
        },
        "queries": int(queries.masks()[HEADLINE].sum()),
    }


def counted(rewrites: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Count queries that have a rewrite to use, and rewrites."""
    return {"queries": len(rewrites), "rewrites": sum(map(len, rewrites.values()))}


def main() -> None:
    """Read the command line, measure, and print the figures."""
    parser = arguments("beque_small_model", "share of the queries")
    parser.add_argument("--control", action="store_true", help="also tune by the pairwise loss")
    given = parser.parse_args()
    print(json.dumps(measure(given.model, given.out, given.scale, given.control)))


if __name__ == "__main__":
    main()
