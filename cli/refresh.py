"""knowflow refresh: ask what is new, encode it, publish a release."""

from typing import Annotated

from cyclopts import Parameter

from cli.asking import AskingOptions, run_refresh
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, TaskNames


def refresh(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    task: TaskNames = None,
    options: AskingOptions = AskingOptions(),  # noqa: B008 - is frozen
    new_store: Annotated[
        bool, Parameter(negative="", help="Begin a new store although this config had one, which is gone.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Ask what is new, encode it and publish a release when all gates hold.

    After a kill or a limit, run the same command again: it continues where it stopped. A limit ends the run with exit
    code 1; rows in progress are still finished and kept.

    Example: knowflow refresh --config examples/movielens/knowflow.yaml --task kar_user
    """
    return run_refresh(config, task, options.asking(), json=json, new_store=new_store)
