"""knowflow tune-rewrites: teach a language model to rewrite queries as the search likes it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from app.config import load_config
from app.progress import progress
from app.rewrite_tuning import JudgedRewrites, judge_candidates
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say
from engines.model_folder import fingerprint
from tuning.config import RewriteConfig
from tuning.instructions import rewrite_mixture
from tuning.workfolder import TuningFault

DEFAULTS = RewriteConfig()
Stage = Literal["sft", "pro", "pairwise"]
NEXT = "next: knowflow tune-rewrites --stage pro --model {model} --out {out}-pro"


def tune_rewrites(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    stage: Annotated[Stage, Parameter(help="sft: learn good rewrites; then pro: rank them; pairwise: its control.")],
    model: Annotated[Path, Parameter(help="Folder of the model, as save_pretrained wrote it.")],
    out: Annotated[Path, Parameter(help="Folder of the tuned model or adapter; a new one.")],
    candidate_files: Annotated[
        list[Path] | None,
        Parameter(
            name="--candidate-file",
            negative="",
            help="File of rewrites (query, rewrites); several, the first one first. The store's answers if left out.",
        ),
    ] = None,
    judged: Annotated[
        Path | None, Parameter(help="Also write what each rewrite was judged to be worth, to this new Parquet file.")
    ] = None,
    merged: Annotated[
        Path | None, Parameter(help="Also write the model with the adapter merged in, to this new folder.")
    ] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on with a tuning that was stopped.")] = False,
    settings: Annotated[RewriteConfig, Parameter(name="*")] = DEFAULTS,
    json: AsJson = False,
) -> int:
    """Tune a model to rewrite queries: first on rewrites that a search found good, then on how good they are.

    Learns from training queries alone; validation queries say what came of it, test queries are not looked at. Killed
    at any moment, it goes on from its last checkpoint: add --resume.

    Example: knowflow tune-rewrites --stage sft --model models/Qwen3-0.6B --out models/rewriter
    """
    shop = load_config(config)
    faults: list[str] = []
    if merged is not None and settings.method == "full":
        faults.append("--merged: a model that is tuned whole has no adapter to merge\n  leave it out")
    for option, path in {"--merged": merged, "--judged": judged}.items():
        if path is not None and path.exists():
            faults.append(f"{option}: {path} is there already\n  name a new one")
    if faults:
        raise TuningFault("\n".join(faults))
    with bars():
        found = judge_candidates(shop, settings, candidate_files or ())
    if judged is not None:
        found.table.write_parquet(judged)
    template = shop.engine.options.get("template", {}) if shop.engine.name == "vllm" else {}
    with bars():
        result = _tune(stage, found, settings, model, out, template, resume)
    if merged is not None:
        from tuning.base import find_base, merge  # noqa: PLC0415 - see below

        merge(find_base(model, template), out, merged)
    revision = fingerprint(out.resolve())
    if json:
        print_json({"out": str(out.resolve()), "revision": revision, **result})
        return 0
    print_result(stage, found, result, out, revision)
    if stage == "sft":
        say(NEXT.format(model=out if settings.method == "full" else merged or "MERGED", out=out))
    return 0


def _tune(
    stage: Stage,
    found: JudgedRewrites,
    settings: RewriteConfig,
    model: Path,
    out: Path,
    template: Mapping[str, Any],
    resume: bool,
) -> Mapping[str, Any]:
    """Tune, by the stage's own loss; both measure how validation queries' rewrites are ranked, before and after."""
    # These take seconds to import; wrong input is told before.
    from tuning.base import find_base  # noqa: PLC0415
    from tuning.preference import tune_preferences  # noqa: PLC0415
    from tuning.ranking import measure_ranking, rank_queries  # noqa: PLC0415
    from tuning.supervised import tune as tune_model  # noqa: PLC0415

    training = found.part("train")
    mixture = (
        rewrite_mixture(training, training["kept"], found.found, found.domain, settings) if stage == "sft" else None
    )
    base = find_base(model, template)
    validation = found.part("validation")
    held_out, left_out = rank_queries(validation, validation["reward"], base, found.domain, settings)
    if mixture is not None:
        mixture = mixture.with_facts({"rewrites": found.facts})
        measured = partial(measure_ranking, queries=held_out, pad=base.pad, progress=progress()) if held_out else None
        return tune_model(base, mixture, settings, out, progress(), resume=resume, measured=measured)
    queries, left_out = rank_queries(training, training["reward"], base, found.domain, settings)
    return tune_preferences(
        base,
        queries,
        held_out,
        "pairwise" if stage == "pairwise" else "pro",
        settings,
        out,
        progress(),
        facts={"rewrites": found.facts},
        left_out=left_out,
        resume=resume,
    )


def print_result(stage: Stage, found: JudgedRewrites, result: Mapping[str, Any], out: Path, revision: str) -> None:
    """Print what was learnt, what came of it, and how to use it."""
    facts, learnt, method = found.facts, result["learnt"], result["settings"]["method"]
    by = f"{facts['relevance']}, threshold {found.threshold:.3f}"
    by += f" (AUC {found.calibration.auc:.3f} on training queries)" if found.calibration else ""
    print_line(f"relevance: {by}")
    print_line(
        f"{facts['candidates']:,} rewrites of {facts['training_queries']:,} training and "
        f"{facts['validation_queries']:,} validation queries; {facts['kept']:,} of training pass both filters"
    )
    if stage == "sft":
        rows = [[kind, of["rows"], of["of"]] for kind, of in result["data"].items() if kind != "rewrites"]
        print_table(f"tuned {result['base']['name']} ({method})", ["learnt from", "rows", "of"], rows)
    else:
        what = "PRO" if stage == "pro" else "the pairwise loss"
        print_line(
            f"tuned {result['base']['name']} ({method}) by {what} on {learnt['rewrites']:,} rewrites of "
            f"{learnt['queries']:,} queries"
        )
    for why, count in learnt["left_out"].items():
        say(f"  left out {count:,} {why}")
    chosen = f", the weights of step {learnt['chosen_step']:,} taken" if "chosen_step" in learnt else ""
    print_line(
        f"{learnt['tokens']:,} tokens, of them {learnt['answer_tokens']:,} of answers, which are what is learnt; "
        f"{learnt['steps']:,} steps{chosen}"
    )
    if measured := result["held_out"]:
        before, after = measured["before"], measured["after"]
        print_line(
            f"{after['queries']:,} validation queries: Kendall tau between score and reward "
            f"{before['tau']:.3f} before, {after['tau']:.3f} after"
        )
        print_line(
            f"  mean log-probability of a token: best rewrite {before['best']:.3f} before, {after['best']:.3f} after; "
            f"others {before['others']:.3f} before, {after['others']:.3f} after"
        )
    print_line(f"{'adapter' if method == 'lora' else 'model'} {out}, revision {revision}")
