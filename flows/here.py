"""Runs a flow in this process, for the command line and for Python: no deployment and no worker is needed.

The run goes to the user's own Prefect server, to a temporary one that ends with this process, or, inside a run of
another flow, to that run's server.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from app.asking import Asking
from app.before_paying import check_before_paying
from app.config import Config, load_config
from app.kept_data import keep_dataset
from app.progress import reporting_to
from app.samples import arms_in
from app.train_runs import TrainRun, get_run
from app.unchanged import unchanged_since, what_is_read
from app.workplace import begin_new_store, open_store
from base.progress import Progress
from feature_store.releases import Release, get_release, list_releases
from flows.server import prefect_server


def refresh_here(
    config: str | Path,
    tasks: Sequence[str] | None,
    asking: Asking,
    *,
    new_store: bool = False,
    progress: Progress | None = None,
) -> tuple[Release, bool]:
    """Run the refresh flow; wrong input is reported before a server starts.

    Args:
        config: Path of knowflow.yaml.
        tasks: Techniques to run; None for those of knowflow.yaml.
        asking: Limits of the run, errors to retry, another engine.
        new_store: Begin a new store although this config had one, which is gone.
        progress: Told of long steps; None for whoever is told already.

    Returns:
        The release that is current afterwards, and whether it is new.
    """
    with told(progress):
        return _refresh(asking.settings(load_config(config)), tasks, asking, new_store)


def _refresh(settings: Config, tasks: Sequence[str] | None, asking: Asking, new_store: bool) -> tuple[Release, bool]:
    if new_store:
        begin_new_store(settings)
    read = what_is_read(settings, tasks, asking)
    if (current := unchanged_since(settings, read)) is not None:
        return get_release(open_store(settings), current), False
    dataset = check_before_paying(settings, tasks, asking)  # before any flow or store is touched
    keep_dataset(settings, dataset)
    del dataset  # the flow reads what is kept
    before = list_releases(open_store(settings))
    from flows.refresh import refresh  # noqa: PLC0415 - takes seconds; wrong input is reported first

    with prefect_server(settings.home_folder), only_our_words():
        name = refresh(config=str(settings.path), tasks=list(tasks) if tasks is not None else None, asking=asking)
    return get_release(open_store(settings), name), not before or before[-1].name != name


def train_here(
    settings: Config, arms: Sequence[str] | None, release: str | None, *, progress: Progress | None = None
) -> TrainRun:
    """Run the train flow; wrong input is reported before a server starts. The gate over clicks is not raised here.

    Args:
        settings: The config.
        arms: Names of arms; None for those of knowflow.yaml.
        release: Name of a release; None for the current one.
        progress: Told of long steps; None for whoever is told already.

    Returns:
        The finished training run.
    """
    arms_in(settings, get_release(open_store(settings), release), arms if arms is not None else settings.train.arms)
    from flows.train import train  # noqa: PLC0415 - takes seconds; wrong input is reported first

    with prefect_server(settings.home_folder), only_our_words(), told(progress):
        named = list(arms) if arms is not None else None
        run = train(config=str(settings.path), arms=named, release=release, judged=False)
    return get_run(settings.home_folder, run)


def told(progress: Progress | None) -> AbstractContextManager[None]:
    """Report progress of everything inside; None leaves it to whoever is told already."""
    return nullcontext() if progress is None else reporting_to(progress)


@contextmanager
def only_our_words() -> Iterator[None]:
    """Keep Prefect's log off the console: a failure arrives as an exception, and not as a traceback in a log, too."""
    from prefect.context import FlowRunContext  # noqa: PLC0415 - Prefect takes a second to import
    from prefect.logging.handlers import PrefectConsoleHandler  # noqa: PLC0415

    if FlowRunContext.get() is not None:  # the log of a team's own flow stays as the team has set it
        yield
        return
    named = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    consoles = {handler for logger in (logging.root, *named) for handler in logger.handlers}
    levels = {one: one.level for one in consoles if isinstance(one, PrefectConsoleHandler)}
    try:
        for handler in levels:
            handler.setLevel(logging.CRITICAL)
        yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)
