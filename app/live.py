"""The live demo: a part of the example, with recorded answers and with those of a model on this machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from app.clicks import judged
from app.config import Config, load_config
from app.train_runs import get_run
from app.workplace import open_dataset, open_store
from base.faults import WrongUse
from base.files import write_whole
from base.progress import Progress, silent
from evals.conclusion import SUBJECT
from evals.regression import Fall, compare_runs
from evals.words import signed
from feature_store.releases import get_release, released_texts

SNAPSHOT = 0.8
"""One snapshot a user, so that 60 users cost 60 calls."""
TRAINING = {"seeds": [0, 1, 2], "search": [], "rolling": []}
"""Three seeds, the fewest for which the report draws a conclusion; nothing else is repeated, to be done in minutes."""
WARN = ("refusals", "alike", "thinking", "cut_off", "parse_failures", "answered", "drift")
"""Gates that would stop what a small model writes; in this demo they say so, beside those that only warn anyway."""


@dataclass(frozen=True)
class LiveDemo:
    """Two configs that share everything but the engine and the home."""

    recorded: Path
    """Reads the recorded answers of a large model."""
    live: Path
    """Asks a model on this machine."""


def write_live_demo(example: Config, folder: Path, films: int, users: int, model: Path) -> LiveDemo:
    """Write two knowflow.yaml about the same films and users, so that their training runs can be compared.

    The films are those with the most training events among those with a recorded answer, and the users those with the
    most training events: as many test rows as possible are about them.

    Args:
        example: The config of the example.
        folder: Where to write them; their homes are in it, too.
        films: Number of films.
        users: Number of users.
        model: Folder of the model.

    Raises:
        WrongUse: The example has fewer films with an answer, or fewer users.
    """
    folder.mkdir(parents=True, exist_ok=True)
    events = open_dataset(example).events.filter(pl.col("part") == "train")
    for entity, count in (("item", films), ("user", users)):
        ids = _most_seen(example, events, entity, count)
        pl.DataFrame({entity: ids}).write_parquet(folder / f"{entity}s.parquet")
    settings = _settings(example, folder)
    engines: dict[str, dict[str, Any]] = {
        "recorded": _moved(settings.pop("engine"), example.folder, folder),
        "live": {
            "name": "vllm",
            "model": os.path.relpath(model.resolve(), folder.resolve()),
            # Compiling takes longer than 260 answers; 2 GiB hold most of the prompts at once, which doubles the speed.
            "options": {"enforce_eager": True, "kv_cache_bytes": 2 << 30},
        },
    }
    for name, engine in engines.items():
        text = "# Written by `knowflow demo --live`; see docs/how-to/small-model.md\n"
        whole = {"home": f"{name}-home", **settings, "engine": engine}
        text += yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
        write_whole(folder / f"{name}.yaml", text)
    return LiveDemo(folder / "recorded.yaml", folder / "live.yaml")


def _most_seen(example: Config, events: pl.DataFrame, entity: str, count: int) -> list[str]:
    only = example.tasks["kar_item"].only
    if entity == "item" and only is not None:
        answered = pl.read_parquet(example.folder / only.path)[str(only.column)].cast(pl.String)
        events = events.filter(pl.col("item").is_in(answered.implode()))
    ranked = events.group_by(entity).len().sort("len", entity, descending=[True, False])
    if not 1 <= count <= len(ranked):
        raise WrongUse(f"--live: there are {len(ranked):,} {entity}s in the example, not {count:,}\n  ask for fewer")
    return ranked[entity].head(count).to_list()


def _settings(example: Config, folder: Path) -> dict[str, Any]:
    """Return the example's settings with paths from the new folder, the chosen films and users, and short training."""
    written = yaml.safe_load(example.path.read_text(encoding="utf-8"))
    for part in ("home", "queries", "rewrites"):
        written.pop(part, None)
    moved = _moved(written, example.folder, folder)
    films = {"path": "items.parquet", "column": "item"}
    moved["tasks"] = {
        "kar_item": {"only": films},
        "kar_user": {**written["tasks"]["kar_user"], "only": {"path": "users.parquet", "column": "user"}},
        "item_facts": {"only": dict(films)},
    }
    moved["tasks"]["kar_user"]["snapshots"] = [SNAPSHOT]
    moved["train"] = TRAINING
    moved["gates"] = {"warn": [*type(example.gates)().warn, *WARN]}
    return moved


def _moved(settings: dict[str, Any], old: Path, new: Path) -> dict[str, Any]:
    """Return settings whose paths of existing files are relative to another folder."""
    moved: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            moved[name] = _moved(value, old, new)
        elif isinstance(value, str) and value and (old / value).is_file():
            moved[name] = os.path.relpath((old / value).resolve(), new.resolve())
        else:
            moved[name] = value
    return moved


def example_text(config: Config, release: str) -> tuple[str, str]:
    """Return the title of the first film in the list, and what a release says of it."""
    first = pl.read_parquet(config.folder / "items.parquet")["item"][0]
    items = open_dataset(config).items
    store = open_store(config)
    texts = released_texts(store, get_release(store, release), "kar_item")
    title = items.filter(pl.col("item") == first)["title"].item()
    return title, next(iter(texts.filter(pl.col("entity") == first)["text"]), "nothing")


def compare_live(made: LiveDemo, runs: Mapping[str, str], progress: Progress = silent) -> Fall:
    """Compare the arm of the conclusion of both training runs on their test rows, which are the same.

    Args:
        made: The configs.
        runs: Name of the training run of `recorded` and of `live`.
        progress: Called with the number of resampled predictions.
    """
    recorded = get_run(load_config(made.recorded).home_folder, runs["recorded"])
    live = get_run(load_config(made.live).home_folder, runs["live"])
    return compare_runs(judged(live, SUBJECT), judged(recorded, SUBJECT), progress)


def difference_in_words(of: Fall, model: str) -> str:
    """Say whether clicks are predicted better with one model's answers than with the recorded ones.

    Args:
        of: The comparison, from `compare_live`.
        model: Name of the model on this machine.

    Example:
        >>> difference_in_words(Fall(9, 3, -0.4, -0.6, -0.2), "tiny").partition("): ")[2]
        'the large model was worth more.'
    """
    rows = f"{of.rows:,} test rows of {of.users:,} users"
    if of.mean is None or of.low is None or of.high is None:
        return f"The answers of {model} against the recorded ones, on {rows}: no interval, {of.why}."
    figures = f"{signed(of.mean, 4)} AUC, 95% interval [{signed(of.low, 4)}, {signed(of.high, 4)}]"
    if of.high < 0:
        verdict = "the large model was worth more."
    elif of.low > 0:
        verdict = f"{model} was worth more."
    else:
        verdict = "no difference is shown, so it is not shown here that the size of the model matters."
    return f"The answers of {model} against the recorded ones, on the same {rows} ({figures}): {verdict}"
