"""knowflow demo: the whole pipeline on MovieLens small, from events to a report."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.output import AsJson, bars, print_json, say
from cli.prefect_settings import keep_in
from flows.config import load_config
from flows.train_runs import get_run

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"


def demo(
    *,
    json: AsJson = False,
    arms: Annotated[str | None, Parameter(help="Arms to train, separated by commas; all of them if left out.")] = None,
) -> int:
    """Run refresh, train and report on MovieLens small with recorded answers; about four minutes on two cores.

    Run it again: nothing is asked and nothing is encoded a second time.

    Example: knowflow demo
    """
    settings = load_config(CONFIG)
    keep_in(settings.home_folder)
    from cli.train import print_arms, split_arms  # noqa: PLC0415 - Prefect reads its settings when it is imported
    from flows.nightly import nightly  # noqa: PLC0415

    with bars():
        done = nightly(config=str(settings.path), arms=split_arms(arms))
    if json:
        print_json(done)
        return 0
    print_arms(get_run(settings.home_folder, done["train_run"]).read("result"))
    say(f"release  {done['release']}\nreport   {done['report']}")
    return 0
