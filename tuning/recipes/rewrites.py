"""Teach a language model to rewrite queries: first the rewrites that work well in a search, then their ranking.

Paper:     Peng et al. 2024, "Large Language Model based Long-tail Query Rewriting in Taobao Search" (BEQUE, arXiv
           2311.03758), section 3.
Idea:      a small model learns the rewrites of a large one; a search of the catalogue judges them, so no labels are
           needed.
Formula:   sft: as in the recipe sft; pro, pairwise: L = -s(best rewrite) + ranking_weight * L_rank (`losses.py`).
Consumes:  rewrites of training queries, from the store or from files; those of validation queries measure the result.
Produces:  a LoRA adapter or a whole model, with knowflow_tuning.json.
Cost:      sft: one row per instruction; pro: one row per rewrite, four per query.
Relations: `--stage pro` starts with the model made by `--stage sft`; pairwise is the control of pro.
Example:   knowflow tune rewrites --stage sft --model models/Qwen3-0.6B --out models/rewriter
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from tuning.config import RewriteConfig, check_merged
from tuning.inputs import JudgedRewrites, RecipeInputs
from tuning.instructions import rewrite_mixture
from tuning.recipe import Job, Line, Made, Note, Recipe, Shown, Table

NEXT = "next: knowflow tune rewrites --stage pro --model {model} --out {out}-pro"


class RewriteOptions(RewriteConfig):
    """Options of `knowflow tune rewrites`."""

    stage: Literal["sft", "pro", "pairwise"] = Field(exclude=True)  # the plan has the objective
    """sft: learn good rewrites; then pro: rank them; pairwise: its control."""
    candidate_file: tuple[Path, ...] = Field(default=(), exclude=True)  # the plan has the digest of the rewrites
    """File of rewrites (query, rewrites); repeat for several, in order. The store's answers if not given."""
    judged: Path | None = Field(default=None, exclude=True)
    """Also write how each rewrite was judged to this new Parquet file."""


def prepare(inputs: RecipeInputs, model: str, options: RewriteOptions) -> Job:
    """Judge the rewrites, find the model, and make the job of the stage.

    Both stages measure the ranking of validation queries' rewrites, before and after.
    """
    check_merged(options, judged=options.judged)
    found = inputs.rewrites(options, options.candidate_file)
    if options.judged is not None:
        found.table.write_parquet(options.judged)
    training, validation = found.part("train"), found.part("validation")
    stage = options.stage
    mixture = None
    if stage == "sft":
        kept = training["kept"]
        mixture = rewrite_mixture(training, kept, found.found, found.domain, options, inputs.library)
    # These take seconds to import; wrong input is reported first.
    from tuning.base import find_base, merging  # noqa: PLC0415
    from tuning.preference import preference_job  # noqa: PLC0415
    from tuning.ranking import measure_ranking, rank_queries  # noqa: PLC0415
    from tuning.supervised import supervised_job  # noqa: PLC0415

    base, progress = find_base(Path(model), inputs.template), inputs.progress
    held_out, _ = rank_queries(validation, validation["reward"], base, found.domain, options, inputs.library)
    facts, finish, shown = {"rewrites": found.facts}, merging(base, options.merged), _judged(found)
    if mixture is not None:
        measured = (
            partial(measure_ranking, queries=held_out, pad=base.pad, progress=progress, share=options.share_prompts)
            if held_out
            else None
        )
        job = supervised_job(base, mixture.with_facts(facts), options, progress, measured=measured, finish=finish)
        return replace(job, shown=shown)
    queries, left_out = rank_queries(training, training["reward"], base, found.domain, options, inputs.library)
    objective = "pairwise" if stage == "pairwise" else "pro"
    job = preference_job(
        base, queries, held_out, objective, options, progress, facts=facts, left_out=left_out, finish=finish
    )
    return replace(job, shown=shown)


def _judged(found: JudgedRewrites) -> tuple[Shown, ...]:
    facts = found.facts
    by = f"{facts['relevance']}, threshold {found.threshold:.3f}"
    by += f" (AUC {found.auc:.3f} on training queries)" if found.auc is not None else ""
    count = (
        f"{facts['candidates']:,} rewrites of {facts['training_queries']:,} training and "
        f"{facts['validation_queries']:,} validation queries; {facts['kept']:,} of training pass both filters"
    )
    return Line(f"relevance: {by}"), Line(count)


def show(made: Made[RewriteOptions]) -> Iterator[Shown]:
    """Show what was learned, the results, and how to use the model."""
    result, learnt, method = made.result, made.result["learnt"], made.result["settings"]["method"]
    objective = result.get("objective")
    if objective is None:
        rows = [[kind, of["rows"], of["of"]] for kind, of in result["data"].items() if kind != "rewrites"]
        yield Table(f"tuned {result['base']['name']} ({method})", ["learned from", "rows", "of"], rows)
    else:
        what = "PRO" if objective == "pro" else "the pairwise loss"
        yield Line(
            f"tuned {result['base']['name']} ({method}) with {what} on {learnt['rewrites']:,} rewrites of "
            f"{learnt['queries']:,} queries"
        )
    for why, count in learnt["left_out"].items():
        yield Note(f"  left out {count:,} {why}")
    chosen = f", weights of step {learnt['chosen_step']:,} kept" if "chosen_step" in learnt else ""
    yield Line(
        f"{learnt['tokens']:,} tokens, {learnt['answer_tokens']:,} of them in answers, which are learned; "
        f"{learnt['steps']:,} steps{chosen}"
    )
    if measured := result["held_out"]:
        before, after = measured["before"], measured["after"]
        yield Line(
            f"{after['queries']:,} validation queries: Kendall tau between score and reward "
            f"{before['tau']:.3f} before, {after['tau']:.3f} after"
        )
        yield Line(
            f"  mean log-probability of a token: best rewrite {before['best']:.3f} before, {after['best']:.3f} after; "
            f"others {before['others']:.3f} before, {after['others']:.3f} after"
        )
    yield Line(f"{'adapter' if method == 'lora' else 'model'} {made.out}, revision {made.revision}")
    if objective is None:
        whole = made.out if method == "full" else made.options.merged or "MERGED"
        yield Note(NEXT.format(model=whole, out=made.out))


REWRITES = Recipe(
    name="rewrites",
    summary="Teach a language model to rewrite queries for your search: good rewrites, then their ranking.",
    options=RewriteOptions,
    learns_from=("rewrites",),
    loss="sft: cross-entropy of the answers' tokens; pro, pairwise: -s(best rewrite) + a ranking loss",
    exports="a LoRA adapter, or with --method full a whole model",
    prepare=prepare,
    example="knowflow tune rewrites --stage sft --model models/Qwen3-0.6B --out models/rewriter",
    show=show,
)
