"""knowflow demo: the whole pipeline on MovieLens small, from events to a report."""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.config import load_config
from app.train_runs import get_run
from app.workplace import begin_new_store, chosen_tasks, open_store
from base.faults import WrongUse
from cli.demo_live import MODEL, live_demo
from cli.output import AsJson, bars, print_json, print_line, say
from cli.prefect_settings import keep_in
from cli.train import print_arms, split_arms
from ctr.controls import choose_arms
from feature_store.database import Store
from feature_store.keys import check_keys
from flows.server import prefect_server

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "movielens" / "knowflow.yaml"


def demo(
    *,
    json: AsJson = False,
    arms: Annotated[str | None, Parameter(help="Arms to train, separated by commas; default: all.")] = None,
    live: Annotated[
        int | None,
        Parameter(
            help="Ask a model on this machine about so many films, next to the recorded answers.",
            validator=Number(gte=1),
        ),
    ] = None,
    users: Annotated[
        int, Parameter(help="With --live: the number of users to ask about.", validator=Number(gte=1))
    ] = 60,
    model: Annotated[Path, Parameter(help="With --live: folder of the model.")] = MODEL,
) -> int:
    """Run refresh, train and report on MovieLens small with recorded answers; takes about eight minutes on two cores.

    A second run asks nothing and encodes nothing. With --live, a model on this machine answers (`knowflow models fetch
    smollm2`), and the recorded answers about the same films and users are compared with its own on the same test rows.

    Example: knowflow demo --live 200
    """
    if not CONFIG.is_file():
        raise WrongUse(
            "the data of the demo comes with the checkout of KnowFlow, not with the installed package\n"
            "  clone the repository and run there: make demo; for your own data: knowflow init"
        )
    if live is not None:
        return live_demo(CONFIG, live, users, model, split_arms(arms), json=json)
    settings = load_config(CONFIG)
    if not settings.store_folder.exists():  # whoever deletes the demo's folder wants to see it begin again
        begin_new_store(settings)
    return whole_pipeline(CONFIG, json=json, arms=arms)


def whole_pipeline(config: Path, *, json: bool = False, arms: str | None = None) -> int:
    """Run the nightly flow on any knowflow.yaml and print the result.

    Args:
        config: The knowflow.yaml.
        json: Print one JSON object instead of tables.
        arms: Arms to train, separated by commas; None compares all.
    """
    settings, begun = load_config(config), time.monotonic()
    tasks = {task.name: (task.entity, list(settings.encoders)) for task in chosen_tasks(settings, None)}
    choose_arms(
        split_arms(arms) if arms is not None else settings.train.arms, tasks
    )  # reports wrong names before anything is asked
    keep_in(settings.home_folder)
    from flows.nightly import nightly  # noqa: PLC0415 - Prefect reads its settings when it is imported

    store = open_store(settings)
    before = _counts(store)
    if not json:
        say(f"refresh, train and report on {settings.path}")
    with prefect_server(settings.home_folder), bars():
        done = nightly(config=str(settings.path), arms=split_arms(arms))
    asked, encoded = (now - then for now, then in zip(_counts(store), before, strict=True))
    result = get_run(settings.home_folder, done["train_run"]).read("result")
    if json:
        print_json({**done, "asked": asked, "encoded": encoded, "conclusion": result["conclusion"]})
        return 0
    print_arms(result)
    print_line(f"release  {done['release']} ({asked:,} asked, {encoded:,} encoded in this run)")
    print_line(f"report   {done['report']}")
    say(f"done in {time.monotonic() - begun:,.0f} s")
    return 0


def _counts(store: Store) -> tuple[int, int]:
    """Count the answers and the vectors in the store."""
    rows = {
        table: check_keys(store, table, "key") for table in store.tables() if table.startswith(("answers", "vectors_"))
    }
    answers = rows.pop("answers", 0)
    return answers, sum(rows.values())
