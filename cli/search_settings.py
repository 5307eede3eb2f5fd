"""knowflow search-settings: searches settings of training on validation rows."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from app.config import load_config
from app.progress import progress
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, bars, print_json, print_table, say, say_next
from cli.train import split_arms


def search_settings(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    arms: Annotated[
        str, Parameter(help="Arms, separated by commas; the mean of their AUC on validation rows counts.")
    ] = "base",
    trials: Annotated[
        int, Parameter(help="Trials in all; those of an earlier call count.", validator=Number(gte=1))
    ] = 30,
    out: Annotated[
        Path | None, Parameter(help="File to write; default: train-settings.yaml beside knowflow.yaml.")
    ] = None,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    json: AsJson = False,
) -> int:
    """Search settings of training with Optuna, on validation rows only, and write the best ones to a file.

    After a kill, run the same command again: it continues where it stopped. `knowflow train` reads the file when
    knowflow.yaml names it: train: {settings: train-settings.yaml}. All arms are then trained with these settings.

    Example: knowflow search-settings --config examples/movielens/knowflow.yaml --trials 30
    """
    settings = load_config(config)
    file = (out or settings.folder / "train-settings.yaml").resolve()
    from app.settings_search import search_settings as search  # noqa: PLC0415 - torch and Optuna take seconds to import

    with bars():
        found = search(settings, split_arms(arms) or [], trials, file, release, progress())
    if json:
        print_json(asdict(found))
        return 0
    usual, best = found.usual, found.best
    rows = [[name, f"{value:.4g}", f"{best.values[name]:.4g}"] for name, value in usual.values.items()]
    rows.append(["AUC on validation rows", f"{usual.validation_auc:.4f}", f"{best.validation_auc:.4f}"])
    counts = f"{len(found.tried):,} trials" + (f", {found.before:,} of them from before" if found.before else "")
    print_table(f"{', '.join(found.arms)} on {found.release}: {counts}", ["setting", "now", "found"], rows)
    say(f"wrote {found.file}")
    if settings.train.settings is None:
        name = os.path.relpath(found.file, settings.folder)
        say(f"for all arms to train with them, add to {settings.path.name}: train: {{settings: {name}}}")
    say_next("train", config)
    return 0
