"""knowflow prompts try: asks versions of a prompt about a sample of rows, and shows the answers side by side."""

from typing import Annotated

from cyclopts import Parameter

from app.trial_plan import plan_trial
from app.trial_results import TrialResult, measure_answers, result_facts, write_result
from app.trials import ask_trial, spending_of
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, printable, say, say_next
from cli.prompts.trial_options import TaskName, TrialOptions, print_plan, this_command
from evals.prompts.page import row_name
from evals.prompts.tables import short_name
from evals.prompts.text.novelty import shown_text
from evals.trial import Trial

SHOWN = 150
"""Characters of a text in the terminal; the page has all."""
ROWS = 20
"""Rows in the terminal."""


def try_versions(
    task: TaskName,
    /,
    *,
    version: Annotated[list[str], Parameter(negative="", help="A version, such as v2, of any status; repeatable.")],
    plan_only: Annotated[bool, Parameter(negative="", help="Print the plan and its cost; ask nothing.")] = False,
    options: TrialOptions = TrialOptions(),  # noqa: B008 - is frozen
    config: ConfigPath = DEFAULT_CONFIG,
    json: AsJson = False,
) -> int:
    """Ask versions of a prompt about the same sample of rows, and show the answers side by side. No release sees them.

    Answers are stored under their content: what was asked once, by a refresh or by a trial, is not asked again.

    Example: knowflow prompts try kar_item --version v1 --version v2 --config examples/movielens/knowflow.yaml
    """
    settings = options.settings(config)
    plan = plan_trial(settings, task, version, options.sample, options.seed)
    if not json:
        print_plan(plan)
    if plan_only:
        if json:
            print_json(plan.summary())
        return 0
    with bars():
        trial = ask_trial(plan, spending_of(plan.prices, options.limits))
    result = TrialResult(plan, trial, measure_answers(settings, plan, trial))
    page = write_result(settings, result, this_command())
    if json:
        print_json({**result_facts(result), "page": str(page)})
        return 0
    _print_rows(trial)
    print_line(f"page  {page}")
    names = ",".join(short_name(name, trial.versions) for name in trial.versions)
    again = {"sample": str(options.sample), "seed": str(options.seed), "engine": options.engine, "model": options.model}
    say_next(f"prompts eval {task}", config, versions=names, **again, base_url=options.base_url)
    return 0


def _print_rows(trial: Trial) -> None:
    """Print, for each row, whom it is about, what was shown, and the answer of every version."""
    width = max(len(short_name(name, trial.versions)) for name in (*trial.versions, "shown"))
    for place, row in enumerate(trial.rows[:ROWS]):
        print_line(f"{row_name(trial, row)} ({row.stratum})")
        print_line(f"  {'shown'.ljust(width)}  {_short(shown_text(row.variables))}")
        for version in trial.versions:
            answer = trial.answers[version][place]
            said = answer.text if answer.text is not None else f"no text: {answer.error}"
            print_line(f"  {short_name(version, trial.versions).ljust(width)}  {_short(said)}")
    if len(trial.rows) > ROWS:
        say(f"{len(trial.rows) - ROWS:,} more rows are on the page")


def _short(text: str) -> str:
    one = " ".join(text.split())
    return printable(one if len(one) <= SHOWN else one[: SHOWN - 3] + "...")
