"""Tune a small model to rewrite queries: does PRO make it prefer the rewrites that the search rewards?

Run:   python benchmarks/beque_tuning.py [--out FOLDER] [--scale 1.0]
Reads: examples/movielens: tags as queries, the recorded rewrites of 1,469 of them, the recorded texts about films.
A language model of about two million parameters is trained from scratch on the recorded texts and the rewrites of
training queries, so that no weights are needed (beque_small_model.py tunes a pretrained one); then it learns to rewrite
(SFT with rejection sampling), and then to rank: by PRO, and by the pairwise loss as a control.
After each stage it is measured on unseen queries:
Kendall's tau between its scores of the recorded rewrites and their rewards, and hit@50 of its own rewrites, fused with
the original query. FOLDER gets the models and tuned-sft.parquet and so on, for `knowflow eval rewrites --rewrites`.
Intervals resample users, who share queries (evals/by_user.py).
The last line printed is one JSON object.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from rewriting import EXAMPLE, instructions, judge, make_simulator, open_shop, recorded_rewrites, users_of
from student_model import make_student, run

from base.progress import silent
from evals.by_user import Parts, intervals
from prompts.domain import Domain
from prompts.library import choose_prompt
from retrieval.search import fuse
from retrieval.simulator import Simulator
from tuning.base import find_base, load_weights
from tuning.config import RewriteConfig
from tuning.preference import tune_preferences
from tuning.ranking import Ranked, agreement, measure_ranking, rank_queries, score_queries
from tuning.supervised import tune

SETTINGS = RewriteConfig(
    method="full", precision="bfloat16", row_tokens=256, batch_rows=16, rows_at_once=16, weight_decay=0.1, save_every=40
)


def measure(out: Path, scale: float) -> dict[str, Any]:
    """Run all stages: judge, train from scratch, SFT, PRO and pairwise; return figures of each."""
    begun = time.process_time()
    out.mkdir(parents=True, exist_ok=True)
    shop = open_shop()
    domain, by = shop.domain, make_simulator(shop)
    judged = judge(shop, recorded_rewrites(), by, SETTINGS)
    by_part = {name[0]: part for name, part in judged.group_by("part", maintain_order=True)}
    train = by_part["train"]
    mixture = instructions(shop, train, SETTINGS)
    told(f"{len(train):,} rewrites of training queries, {int(train['kept'].sum()):,} kept", begun)

    texts = item_texts() + [f"{row['shown']}: {row['thought']}" for row in train.iter_rows(named=True)]
    base = make_student(
        out / "student", texts, [said[0]["content"] for said in mixture.conversations[:400]], SETTINGS, scale
    )
    told("trained from nothing", begun)
    ranked = {name: rank_queries(part, part["reward"], base, domain, SETTINGS)[0] for name, part in by_part.items()}
    sft_settings = SETTINGS.model_copy(update={"learning_rate": 1e-3, "epochs": max(1, round(4 * scale))})
    tune(base, mixture, sft_settings, out / "sft", silent)
    told("sft", begun)
    models = {"student": out / "student", "sft": out / "sft"}
    rank_settings = SETTINGS.model_copy(update={"learning_rate": 2e-4, "epochs": max(1, round(3 * scale))})
    for objective in ("pro", "pairwise"):
        start = find_base(out / "sft", {})
        tune_preferences(
            start,
            ranked["train"],
            ranked["validation"],
            objective,
            rank_settings,
            out / objective,
            silent,
            facts={},
            left_out=Counter(),
        )
        models[objective] = out / objective
        told(objective, begun)
    ranked_users = users_of(shop.dataset, [one.query for one in ranked["test"]])
    figures = {name: ranking_figures(folder, ranked["test"], ranked_users) for name, folder in models.items()}
    gained = taus(out / "pro", ranked["test"]) - taus(out / "sft", ranked["test"])
    figures["gain of pro over sft"] = interval(gained, ranked_users)
    tested = (
        shop.every.filter(shop.parts == "test").join(by_part["test"].select("query").unique(), on="query").sort("query")
    )
    written = {name: write_rewrites(models[name], tested, domain) for name in ("sft", "pro", "pairwise")}
    for name, rewrites in written.items():
        pl.DataFrame({"query": tested["query"], "rewrites": rewrites}).write_parquet(out / f"tuned-{name}.parquet")
    recorded = by_part["test"].sort("query", "place").group_by("query", maintain_order=True).agg("rewrite")
    arms = {**written, "recorded": recorded["rewrite"].to_list()}
    hits = hit_figures(by, tested, arms, users_of(shop.dataset, tested["query"].to_list()))
    parameters = sum(weight.numel() for weight in load_weights(out / "student").parameters())
    return {
        "parameters": parameters,
        "test_queries": len(ranked["test"]),
        "tau": figures,
        "hit_at_50": hits,
        "cpu_seconds": round(time.process_time() - begun),
    }


def told(what: str, begun: float) -> None:
    """Print a finished step, with the CPU-seconds so far."""
    print(f"{time.process_time() - begun:6.0f} CPU-s  {what}", flush=True)


def item_texts() -> list[str]:
    """Return the recorded answers about films."""
    recorded = pl.read_parquet(EXAMPLE / "recorded" / "items.parquet")
    return [f"{row['input']}\n{row['answer']}" for row in recorded.iter_rows(named=True)]


def taus(folder: Path, queries: Sequence[Ranked]) -> np.ndarray:
    """Return Kendall's tau of each query."""
    model, base = load_weights(folder), find_base(folder, {})
    return agreement(score_queries(model, queries, base.pad), queries)


def ranking_figures(folder: Path, queries: Sequence[Ranked], users: Parts) -> dict[str, Any]:
    """Return Kendall's tau with an interval over users, and the likelihoods of best and other rewrites."""
    model, base = load_weights(folder), find_base(folder, {})
    found = measure_ranking(model, queries, base.pad)
    return {**interval(taus(folder, queries), users), "best": found["best"], "others": found["others"]}


def interval(values: np.ndarray, users: Parts) -> dict[str, Any]:
    """Return the mean over queries [Q], and its 95% bootstrap interval over users."""
    (told,) = intervals(values[users.of, None], users, users.draws())
    return {name: value if value is None else round(value, 4) for name, value in told.items()}


@torch.inference_mode()
def write_rewrites(folder: Path, queries: pl.DataFrame, domain: Domain) -> list[list[str]]:
    """Generate four rewrites of every query: beam search, four beams."""
    base, model = find_base(folder, {}), load_weights(folder).eval()
    prompt, found = choose_prompt("query_to_rewrite"), list[list[str]]()
    for shown in queries["shown"]:
        text = base.tokens.text(prompt.render({"query": shown}, domain))
        ids = torch.tensor([base.tokens.text_ids(text)[-400:]])
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=16,
            num_beams=4,
            num_return_sequences=4,
            do_sample=False,
            use_cache=True,
            eos_token_id=sorted(base.ends | {base.tokens.tokenizer.convert_tokens_to_ids("<|end|>")}),
            pad_token_id=base.pad,
        )
        said = base.tokens.tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)
        found.append([" ".join(one.split()) for one in said])
    return found


def hit_figures(by: Simulator, queries: pl.DataFrame, arms: dict[str, list[list[str]]], users: Parts) -> dict[str, Any]:
    """Return the mean share of engaged items among 50 results: query alone, and fused with an arm's rewrites."""
    place = {item: number for number, item in enumerate(by.search.items)}
    engaged = [[place[item] for item in of] for of in queries["items"]]
    original = by.search.search(queries["query"].to_list(), 50)

    def hits(found: np.ndarray) -> np.ndarray:
        return np.array([np.isin(of, row).mean() for of, row in zip(engaged, found, strict=True)])

    alone = hits(original)
    figures: dict[str, Any] = {"original": interval(alone, users)}
    for name, rewrites in arms.items():
        four = [(row + [""] * 4)[:4] for row in rewrites]
        found = by.search.search([text for row in four for text in row], 50).reshape(len(four), 4, 50)
        of_arm = hits(fuse(np.concatenate([original[:, None], found], axis=1), 50))
        figures[name] = {**interval(of_arm, users), "gain": interval(of_arm - alone, users)}
    return figures


if __name__ == "__main__":
    run(measure)
