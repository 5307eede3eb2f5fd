"""knowflow plan: what a refresh would do and what it would cost; it writes nothing."""

from typing import Annotated

from cyclopts import Parameter

from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, TaskNames, print_json, print_table, say, say_next
from flows.config import load_config
from flows.workplace import plan as make_plan


def plan(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    task: TaskNames = None,
    retry_failed: Annotated[
        bool, Parameter(negative="", show_default=False, help="Count rows whose error is on record as to be asked.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Show what a refresh would ask, why, and what it would cost. Writes nothing.

    Example: knowflow plan --config examples/movielens/knowflow.yaml
    """
    plans = make_plan(config, task, retry_failed=retry_failed)
    prices = load_config(config).prices
    rows = [p.summary() for p in plans]
    for row in rows:
        row["cost_at_most"] = prices.cost(row["input_tokens"], row["output_tokens_at_most"])
    if json:
        print_json({"tasks": rows})
        return 0
    print_table(
        "plan (nothing is written)",
        ["task", "rows", "cached", "new", "changed", "failed", "calls", "tokens in", "out, at most"],
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
            ]
            for r in rows
        ],
    )
    for row in rows:
        for why, count in row["why"].items():
            say(f"  {row['task']}: {count:,} rows {why}")
    cost = sum(row["cost_at_most"] for row in rows)
    if cost:
        say(f"at most {cost:,.2f} {prices.currency}")
    say_next("refresh", config, task)
    return 0
