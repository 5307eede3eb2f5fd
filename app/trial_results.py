"""Measure a trial, and write its page and its figures into the home folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.config import Config
from app.trial_background import background_of
from app.trial_plan import TrialPlan
from app.trial_tests import Tested
from base.files import write_whole
from evals.prompts.caveats import trial_caveats
from evals.prompts.page import TrialPage, moment_text, page_rows, render_trial, subject_of, values_of_row
from evals.prompts.spend import measure_spend
from evals.prompts.tables import measure_tables
from evals.prompts.text.measure import measure_text
from evals.prompts.thresholds import broken_bounds
from evals.trial import Measured, Trial
from llm_tasks.pipeline.estimate import estimate

FOLDER = "prompts"
"""Folder of the pages of trials in the home folder."""


@dataclass(frozen=True)
class TrialResult:
    """A trial with everything that was measured on it."""

    plan: TrialPlan
    """The plan."""
    trial: Trial
    """The answers."""
    measured: Sequence[Measured]
    """The measures."""
    verdicts: Sequence[str] = ()
    """Which version is worth more, in sentences."""
    tested: Tested = Tested()  # noqa: RUF009 - is frozen
    """What the team's own tests found."""


def measure_answers(config: Config, plan: TrialPlan, trial: Trial, seed: int = 0) -> list[Measured]:
    """Measure the texts of a trial, and what they cost.

    Args:
        config: The config.
        plan: The plan of the trial.
        trial: The answers.
        seed: Seed of the intervals.
    """
    at, background = plan.workplace, background_of(config, plan, trial)
    identity = at.identity_of(plan.task)
    guesses = {prompt.name: estimate(at.store, prompt, identity) for prompt in plan.prompts}
    free = getattr(at.engine, "costs_nothing", False)  # looking up recorded answers says nothing of a model's time
    seconds = {name: guess.seconds if guess and not free else None for name, guess in guesses.items()}
    spend = measure_spend(trial, plan.sample.population, plan.prices.cost, plan.prices.currency, seconds, seed)
    return [*measure_text(trial, background, seed), *spend]


def caveats_of(result: TrialResult) -> list[str]:
    """Return what to keep in mind about a trial."""
    plan = result.plan
    times, cutoff = plan.workplace.dataset.events["time"], plan.workplace.cutoff
    return trial_caveats(times, cutoff, plan.population, plan.sample.shortened)


def write_result(config: Config, result: TrialResult, command: str) -> Path:
    """Write the page, its figures as JSON, and its rows as JSON; `knowflow forget` takes users out of all of them.

    The figures (`.json`) say nothing of any row, so that they can be kept with a promotion; the rows are in
    `.rows.json`.

    Args:
        config: The config.
        result: What was measured.
        command: The command that makes the page again.

    Returns:
        Path of the page.
    """
    trial, plan, caveats = result.trial, result.plan, caveats_of(result)
    by_row = [one for one in result.measured if one.by_row]
    page = TrialPage(
        title=f"{trial.task}: {', '.join(name.rpartition('.')[2] for name in trial.versions)}",
        made_at=moment_text(datetime.now(UTC)),
        sample=f"{plan.population}, seed {plan.seed}",
        lead="\n".join(result.verdicts),
        versions=trial.versions,
        tables=measure_tables(result.measured, trial.versions),
        abouts=[(one.name, one.about) for one in result.measured],
        strata=sorted(plan.sample.strata),
        measures=[one.name for one in by_row],
        rows=page_rows(trial, result.measured, result.tested.by_row),
        prompts=[(prompt.name, prompt.path.read_text(encoding="utf-8")) for prompt in plan.prompts],
        tests=tests_told(result.tested, trial.versions),
        caveats=caveats,
        command=command,
    )
    path = page_path(config, result)
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending, content in ((".json", result_facts(result)), (".rows.json", {"rows": _rows(result, by_row)})):
        write_whole(path.with_suffix(ending), json.dumps(content, ensure_ascii=False, default=str) + "\n")
    write_whole(path, render_trial(page))
    return path


def not_kept(result: TrialResult, least: Mapping[str, float], most: Mapping[str, float]) -> list[str]:
    """Return a sentence for each bound that the last version does not keep, and each own test that it does not pass.

    Args:
        result: What was measured.
        least: Measure -> its least value.
        most: Measure -> its greatest value.
    """
    last = result.trial.versions[-1]
    return [*broken_bounds(result.measured, last, least, most), *result.tested.broken.get(last, ())]


def tests_told(tested: Tested, versions: Sequence[str]) -> list[str]:
    """Say what the team's own tests found: a sentence for every version, then one for each that is not passed."""
    if not tested.tests:
        return []
    broken = {version: tested.broken.get(version, []) for version in versions}
    heads = [f"{version} passes all tests ({tested.tests:,})." for version, told in broken.items() if not told]
    return [*heads, *(f"{sentence}." for told in broken.values() for sentence in told)]


def page_path(config: Config, result: TrialResult) -> Path:
    """Return where the page of a trial lies: `prompts/kar_item-v1-v2-50-0.html` in the home folder.

    A trial that measures less, or asks a judge too, has a page of its own, so that it does not replace the figures of a
    whole evaluation.
    """
    plan, kinds = result.plan, {one.kind for one in result.measured}
    versions = "-".join(prompt.name.rpartition(".")[2] for prompt in plan.prompts)
    name = f"{plan.task.name}-{versions}-{len(plan.sample.rows)}-{plan.seed}"
    name += ("" if "worth" in kinds else "-texts") + ("-judge" if "judge" in kinds else "")
    return config.home_folder / FOLDER / f"{name}.html"


def result_facts(result: TrialResult) -> dict[str, Any]:
    """Return the figures of a trial as plain JSON, without anything about a single row."""
    measures = [{k: v for k, v in asdict(one).items() if k != "by_row"} for one in result.measured]
    return {
        **result.plan.summary(),
        "measures": measures,
        "verdicts": list(result.verdicts),
        "caveats": caveats_of(result),
        "tests": {"number": result.tested.tests, "broken": {v: len(told) for v, told in result.tested.broken.items()}},
    }


def _rows(result: TrialResult, by_row: Sequence[Measured]) -> list[dict[str, Any]]:
    trial = result.trial
    return [
        {
            **subject_of(trial, row),
            "as_of": row.as_of.isoformat(),
            "stratum": row.stratum,
            "shown": {name: str(value) for name, value in row.variables.items()},
            "answers": {version: trial.answers[version][place].raw for version in trial.versions},
            "errors": {version: trial.answers[version][place].error for version in trial.versions},
            "values": values_of_row(trial, by_row, place),
        }
        for place, row in enumerate(trial.rows)
    ]
