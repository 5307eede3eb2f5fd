"""knowflow plan: shows what a refresh would do and what it would cost; writes nothing."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from app.arm_check import check_arms
from app.asking import with_engine
from app.config import Config, load_config
from app.encoding_speed import ExpectedEncoding, expected_encoding
from app.workplace import open_dataset, split_counts
from app.workplace import plan as make_plan
from base.failures import how_to_go_on
from base.faults import WrongUse
from base.words import count_rows
from cli.asking import BaseUrls, EngineName, ModelName, model_path
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, TaskNames, print_json, print_table, say, say_next
from cli.split import print_split, say_notes, split_notes
from llm_tasks.pipeline.plan import NAME_AN_ENGINE, TaskPlan

COLUMNS = ("task", "rows", "cached", "new", "changed", "failed", "calls", "tokens in", "out, at most")
NAMED = 5
"""Number of rows to name one by one."""
NOT_MEASURED = "not measured yet"


def plan(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    task: TaskNames = None,
    error: Annotated[
        list[str] | None,
        Parameter(negative="", help="Plan a `knowflow retry` of this kind of error, or of all; repeatable."),
    ] = None,
    engine: EngineName = None,
    model: ModelName = None,
    base_url: BaseUrls = None,
    json: AsJson = False,
) -> int:
    """Show what a refresh would ask, why, how many tokens that takes, and what it would cost. Writes nothing.

    Input tokens are counted with the model's own tokenizer and chat template. Output tokens have an upper bound; once
    the same prompt and model have run, the plan also estimates output tokens, time and cost. It counts the texts that
    would be encoded, and estimates the time of that by past runs on this machine; no encoder is loaded.

    Example: knowflow plan --config examples/movielens/knowflow.yaml
    """
    settings = with_engine(load_config(config), engine, model_path(model), base_url)
    notes, dataset = check_arms(settings), open_dataset(settings)
    plans = make_plan(settings, task, retry=error or (), dataset=dataset)
    rows = [settings.prices.priced(p.summary()) for p in plans]
    encoding, unusable = _expect_encoding(settings, plans, retry=bool(error))
    parts = split_counts(settings, dataset)
    notes += [*unusable, *split_notes(parts, settings.source)]
    if json:
        said = [asdict(one) for one in encoding]
        print_json({"tasks": rows, "encoding": said, "split": [one.to_dict() for one in parts], "notes": notes})
        return 0
    estimated = any(r["output_tokens_estimate"] is not None for r in rows)
    print_table(
        "plan (nothing is written)",
        [*COLUMNS, *(["out, estimate"] if estimated else [])],
        [
            [
                r["task"],
                r["rows"],
                r["cached"],
                r["new"],
                r["changed"],
                r["failed"],
                r["calls"],
                r["input_tokens"],
                r["output_tokens_at_most"],
                *(["" if r["output_tokens_estimate"] is None else r["output_tokens_estimate"]] if estimated else []),
            ]
            for r in rows
        ],
    )
    for row in rows:
        _say_notes(row)
    _say_total(rows, settings.prices.currency)
    _print_encoding(encoding)
    print_split(parts)
    say_notes(notes)
    if any(row["calls"] and row["unanswered"] == row["calls"] and not row["cached"] for row in rows):
        say(f"nobody is there to answer: {NAME_AN_ENGINE}")
        return 0
    say_next("retry" if error else "refresh", config, task, error=error, engine=engine, model=model, base_url=base_url)
    return 0


def _say_notes(row: dict[str, Any]) -> None:
    """Print why rows are asked, why others cannot be, and what happens to long ones."""
    task = row["task"]
    for why, count in row["why"].items():
        say(f"  {task}: {count_rows(count)} {why}")
    for name, count in row["waits_for"].items():
        say(f"  {task}: {count_rows(count)} of {name} are asked first; the rows that read them are not counted yet")
    if row["unanswered"]:
        engine = (
            f"{row['unanswered']:,} of {row['calls']:,} calls have no answer: the engine of this plan calls no model"
        )
        say(f"  {task}: {engine}")
    for kind, count in row["failures"].items():
        unsent, waiting = row["unsent"].get(kind, 0), row["waiting"].get(kind, 0)
        if count > unsent + waiting:
            say(f"  {task}: {count_rows(count - unsent - waiting)} failed: {how_to_go_on([kind], later=False)[0]}")
        if waiting:
            until = datetime.fromisoformat(row["waits_until"]).astimezone(UTC)
            say(f"  {task}: {count_rows(waiting)} failed: {how_to_go_on([kind])[0]}")
            say(f"    not yet: each wait is longer than the one before; the first after {until:%Y-%m-%d %H:%M} UTC")
        if unsent:
            say(f"  {task}: {count_rows(unsent)} cannot be sent: {how_to_go_on([kind], sent=False)[0]}")
    if row["shortened"]:
        say(f"  {task}: {count_rows(row['shortened'])} shortened (oldest history dropped) to fit the model's context")
    for name in row["too_long"][:NAMED]:
        say(f"    too long for the model's context: {name}")
    if len(row["too_long"]) > NAMED:
        say(f"    and {len(row['too_long']) - NAMED:,} more; --json names all")
    if row["withdrawn"]:
        say(f"  {task}: {count_rows(row['withdrawn'])} would be withdrawn: the data no longer supports them")


def _say_total(rows: Sequence[dict[str, Any]], currency: str) -> None:
    """Print the total time and cost of all techniques, as far as they are known."""
    asked = [row for row in rows if row["calls"]]
    seconds = [row["seconds_estimate"] for row in asked]
    if asked and None not in seconds:
        say(f"takes about {_duration(sum(seconds))}, going by past runs")
    if any(row["cost_at_most"] for row in asked):
        guesses = [row["cost_estimate"] for row in asked]
        about = "" if None in guesses else f", about {sum(guesses):,.2f} going by past runs"
        say(f"costs at most {sum(row['cost_at_most'] for row in asked):,.2f} {currency}{about}")


def _expect_encoding(
    config: Config, plans: Sequence[TaskPlan], *, retry: bool
) -> tuple[list[ExpectedEncoding], list[str]]:
    """Return what is to encode, or a note why that is not known: an encoder may be on another machine only."""
    try:
        return [one for one in expected_encoding(config, plans, retry=retry) if one.texts], []
    except WrongUse as fault:
        return [], [f"the texts to encode are not counted, and a refresh here would stop: {fault}"]


def _print_encoding(encoding: Sequence[ExpectedEncoding]) -> None:
    """Print how many texts each encoder would encode, and how long that takes as far as it is known."""
    if not encoding:
        return
    said = [NOT_MEASURED if (took := one.seconds_estimate) is None else f"about {_duration(took)}" for one in encoding]
    print_table(
        "to encode (each row to ask is counted as one new text)",
        ["task", "encoder", "texts", "time"],
        [[one.task, one.encoder, one.texts, time] for one, time in zip(encoding, said, strict=True)],
        text_columns=2,
    )
    seconds = [(one.seconds_estimate, one.start_seconds_estimate) for one in encoding]
    if None not in (times := [time for both in seconds for time in both]):
        starts = sum(start or 0.0 for _, start in seconds)
        total = _duration(sum(time or 0.0 for time in times))
        say(f"encoding takes about {total}, going by past runs on this machine; {_duration(starts)} of it to start")


def _duration(seconds: float) -> str:
    """Format a time in a suitable unit.

    Example:
        >>> _duration(5400)
        '1.5 hours'
    """
    if seconds < 1:
        return "a second"
    if seconds < 120:
        return f"{seconds:,.0f} seconds"
    return f"{seconds / 60:,.0f} minutes" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"
