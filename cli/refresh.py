"""knowflow refresh: ask what is new, encode it, publish a release."""

from cli.asking import AskingOptions, run_refresh
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, TaskNames


def refresh(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    task: TaskNames = None,
    options: AskingOptions = AskingOptions(),  # noqa: B008 - is frozen
    json: AsJson = False,
) -> int:
    """Ask what is new, encode it and publish a release when all gates hold.

    Killed at any moment or stopped by a limit, it goes on where it stopped: run the same command again. A limit ends it
    with exit code 1; rows that are under way are still finished and kept.

    Example: knowflow refresh --config examples/movielens/knowflow.yaml --task kar_user
    """
    return run_refresh(config, task, options.asking(), json=json)
