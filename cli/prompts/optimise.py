"""knowflow prompts optimise: a model rewrites a prompt, and the versions are compared on rows of the data."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.config import load_config
from app.optimised import Kept, keep_candidates
from app.optimising import Optimised, Wish, optimise
from base.faults import WrongUse
from cli.asking import BaseUrls, EngineName, ModelName, model_path
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say, say_next
from cli.prompts.list import near
from cli.settings import read_settings
from flows.secrets import read_secret
from llm_tasks.pipeline.budget import read_limits

TaskName = Annotated[str, Parameter(help="A technique whose prompt to improve, such as rank_candidates.")]


def optimise_prompt(
    task: TaskName,
    /,
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    method: Annotated[str, Parameter(help="An optimiser: recprompt, po4isr, gepa, or one of your own.")] = "gepa",
    budget: Annotated[str, Parameter(help="How much to use, such as 200k-tokens, 2M-tokens or 5-usd.")] = "200k-tokens",
    objective: Annotated[
        str | None, Parameter(help="What to aim at: ndcg@10, mrr@10, ... for rankings, probe for items.")
    ] = None,
    rows: Annotated[
        int, Parameter(help="Rows to learn from, and as many others to compare on.", validator=Number(gte=6))
    ] = 42,
    seed: Annotated[int, Parameter(help="Seed of the rows and of the search.", validator=Number(gte=0))] = 0,
    version: Annotated[str | None, Parameter(help="Version to start from; default: the newest live one.")] = None,
    settings: Annotated[
        list[str] | None,
        Parameter(name="--set", negative="", help="METHOD.OPTION=VALUE: an option of the optimiser; repeatable."),
    ] = None,
    engine: EngineName = None,
    model: ModelName = None,
    base_url: BaseUrls = None,
    reflect_engine: Annotated[str | None, Parameter(help="Another engine for the model that rewrites.")] = None,
    reflect_model: Annotated[str | None, Parameter(help="Another model to rewrite prompts with.")] = None,
    reflect_base_url: Annotated[
        list[str] | None,
        Parameter(negative="", help="Server of the model that rewrites, if it is another one; repeatable."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Let a model rewrite a prompt, compare the versions on rows of the data, and keep all of them as drafts.

    The best one gets the status trial; nothing is promoted. Stopped at any moment, the same command continues and pays
    for no answer twice.

    Example: knowflow prompts optimise rank_candidates --method po4isr --budget 200k-tokens
    """
    opened, options = load_config(config), read_settings(settings or [])
    if others := sorted(set(options) - {method}):
        raise WrongUse(f"--set {others[0]}: the method is {method}\n  example: --set {method}.rounds=10")
    wish = Wish(
        task,
        method,
        read_limits(budget, opened.prices.currency),
        objective,
        rows,
        seed,
        _number(version),
        options.get(method, {}),
        (engine, model_path(model), base_url),
        (reflect_engine, model_path(reflect_model), reflect_base_url),
    )
    with bars():
        done = optimise(opened, wish, read_secret)
    kept = keep_candidates(opened, done)
    if json:
        print_json(told(done, kept))
        return 0
    show(done, kept, config)
    return 0


def _number(version: str | None) -> int | None:
    number = (version or "").removeprefix("v")
    if version is not None and not number.isdecimal():
        raise WrongUse(f"--version {version}: is no version\n  example: --version v1")
    return int(number) if version is not None else None


def told(done: Optimised, kept: list[Kept]) -> dict:
    """Return a finished search as plain JSON."""
    budget = done.budget
    return {
        "task": done.wish.task,
        "method": done.wish.method,
        "objective": done.objective.name,
        "seed": done.wish.seed,
        "best": next(one.prompt for one in kept if one.best),
        "candidates": [asdict(one) for one in kept],
        "rejected": dict(done.found.search.rejected),
        "tokens": budget.tokens,
        "tokens_stored_before": done.replayed,
        "cost": budget.cost,
        "stopped": done.found.stopped,
    }


def show(done: Optimised, kept: list[Kept], config: str) -> None:
    """Print all candidates, what was used, and what to do next."""
    domains = ", ".join(f"{name} {len(of)}" for name, of in done.objective.judge.items())
    print_table(
        f"{done.wish.method} of {done.first.name}: {done.objective.name} on validation rows ({domains})",
        ["version", "from", "by", done.objective.name, "rows", "against the first", *_monitors(kept)],
        [
            [
                one.prompt,
                one.parent or "the first",
                one.how,
                "-" if one.score is None else f"{one.score:.3f}",
                one.rows,
                "-" if one.gain is None else f"{one.gain:+.3f}",
                *(f"{one.monitors[name]:.2f}" if name in one.monitors else "-" for name in _monitors(kept)),
            ]
            for one in kept
        ],
        text_columns=3,
    )
    budget, best = done.budget, next(one for one in kept if one.best)
    for reason, count in sorted(done.found.search.rejected.items()):
        say(f"rejected: {count:,} that {reason}" if not reason.startswith("the ") else f"{count:,} times {reason}")
    cost = f", cost {budget.cost:,.2f}" if budget.cost else ""
    stored = f", {done.replayed:,} of them stored before" if done.replayed else ""
    print_line(f"used {budget.tokens:,} tokens{stored}{cost}")
    if done.found.stopped:
        say(f"the budget is used up: {done.found.stopped}")
    if best.file is None:
        print_line(f"{best.prompt} stays: none of {len(kept) - 1:,} rewritten versions is better on these rows")
        return
    print_line(f"{best.prompt} is the best on these rows, now a trial: {near(best.file)}")
    say("it was chosen on these rows, so its figure flatters it; other rows say what it is worth")
    say_next(
        f"prompts eval {done.wish.task}", config, versions=f"v{done.first.front.version},{best.prompt.split('.')[-1]}"
    )


def _monitors(kept: list[Kept]) -> list[str]:
    return list(dict.fromkeys(name for one in kept for name in one.monitors))
