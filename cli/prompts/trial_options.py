"""Options that `prompts try` and `prompts eval` share, and how both print a plan."""

import shlex
import sys
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.asking import with_engine
from app.config import Config, load_config
from app.trial_plan import TrialPlan, VersionPlan
from cli.asking import BaseUrls, EngineName, ModelName, model_path
from cli.output import print_table, say
from llm_tasks.pipeline.budget import Limits

TaskName = Annotated[str, Parameter(help="A technique, such as kar_item.")]


@Parameter(name="*")
@dataclass(frozen=True)
class TrialOptions:
    """Options of a trial."""

    sample: Annotated[int, Parameter(help="Number of rows, the same for every version.", validator=Number(gte=1))] = 50
    seed: Annotated[int, Parameter(help="Another seed draws other rows.")] = 0
    engine: EngineName = None
    model: ModelName = None
    base_url: BaseUrls = None
    max_tokens: Annotated[int | None, Parameter(help="Stop after this many tokens, input and output together.")] = None
    max_cost: Annotated[
        float | None, Parameter(help="Stop after spending this much, by `prices` in knowflow.yaml.")
    ] = None

    def settings(self, config: str) -> Config:
        """Return the config with the engine of these options."""
        return with_engine(load_config(config), self.engine, model_path(self.model), self.base_url)

    @property
    def limits(self) -> Limits:
        """Return how much may be spent."""
        return Limits(self.max_tokens, self.max_cost)


def print_plan(plan: TrialPlan) -> None:
    """Print the sample, and what asking about it and about everything costs."""
    say(f"{plan.task.name}: {plan.population}; seed {plan.seed}")
    say("  " + ", ".join(f"{stratum}: {count}" for stratum, count in sorted(plan.sample.strata.items())))
    money = any(one.all_cost_at_most for one in plan.versions)
    columns = ["version", "status", "rows", "cached", "calls", "tokens in", "out, at most"]
    whole = ["all rows", "tokens in, about", "out, at most"]
    cost = [f"cost, at most ({plan.prices.currency})"] if money else []
    print_table(
        "plan: the sample, then all rows of the technique",
        [*columns, *cost, *whole, *cost],
        [_plan_row(one, money) for one in plan.versions],
        text_columns=2,
    )
    for one in plan.versions:
        if one.unsendable:
            say(f"  {one.version}: {one.unsendable:,} rows cannot be sent, such as those that are too long")
    seconds = [one.seconds_estimate for one in plan.versions if one.calls]
    if seconds and None not in seconds:
        say(f"takes about {sum(one for one in seconds if one):,.0f} seconds, going by past runs")


def _plan_row(one: VersionPlan, money: bool) -> list[object]:
    cost = [f"{one.cost_at_most:,.4f}"] if money else []
    whole_cost = [f"{one.all_cost_at_most:,.2f}"] if money else []
    return [
        one.version,
        one.status,
        one.rows,
        one.cached,
        one.calls,
        one.input_tokens,
        one.output_tokens_at_most,
        *cost,
        one.all_rows,
        one.all_input_tokens,
        one.all_output_tokens_at_most,
        *whole_cost,
    ]


def this_command() -> str:
    """Return the command line of this run, to be shown on its page."""
    return shlex.join(["knowflow", *sys.argv[1:]])
