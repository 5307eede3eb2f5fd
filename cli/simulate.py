"""knowflow simulate: agents that a language model plays walk through pages of a kept model."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.before_paying import check_prices
from app.config import load_config
from app.progress import observer, progress
from app.simulation import simulate_agents
from cli.asking import AskingOptions
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_line, print_table, say
from flows.secrets import read_secret
from llm_tasks.pipeline.budget import Budget
from llm_tasks.pipeline.generate import Spending


def simulate(
    arm: Annotated[str, Parameter(help="An arm of `knowflow train`, whose kept model ranks the pages.")],
    /,
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    run: Annotated[str | None, Parameter(help="Name of a training run; the newest one if left out.")] = None,
    page_size: Annotated[int, Parameter(help="Items on a page.", validator=Number(gte=1))] = 5,
    pages: Annotated[int, Parameter(help="Pages at most.", validator=Number(gte=1))] = 3,
    options: AskingOptions = AskingOptions(),  # noqa: B008 - is frozen
    json: AsJson = False,
) -> int:
    """Let the agents of the current release walk through pages of a kept model, and measure what they do.

    Synthetic events go to a file of their own; no release, training or evaluation reads it. Killed at any moment or
    stopped by a limit, it pays for no answer twice: run the same command again.

    Example: knowflow simulate knowledge --config examples/movielens/knowflow.yaml
    """
    asking = options.asking()
    settings = asking.settings(load_config(config))
    check_prices(settings.prices, asking)
    with bars():
        spending = Spending(settings.prices, Budget(asking.limits), observer())
        done = simulate_agents(settings, arm, run, page_size, pages, spending, progress(), read_secret)
    if json:
        print_json(done)
        return 0
    rows = [
        [name, *("-" if of[bound] is None else f"{of[bound]:.3f}" for bound in ("mean", "low", "high"))]
        for name, of in done["measures"].items()
    ]
    title = f"{done['agents']:,} agents of {done['release']}, {done['pages']:,} pages of {arm}"
    print_table(title, ["measure", "mean", "from", "to"], rows)
    if done["rating_distance"] is not None:
        scale = "0 = alike, 1 = nothing in common"
        print_line(f"ratings are {done['rating_distance']:.3f} from those of training ({scale})")
    for why, count in done["lost"].items():
        say(f"lost: {count:,} {why}")
    print_line(f"{done['events']:,} synthetic events  {done['file']}")
    return 0
