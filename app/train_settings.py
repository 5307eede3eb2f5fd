"""Settings of training in a file of their own, such as one that `knowflow search-settings` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from base.files import write_whole
from ctr.config import TrainConfig
from ctr.space import Tried, Values, merged, nested
from sources.config import config_fault
from sources.faults import Fault

HEADING = "# Found by `knowflow search-settings`"
KEY = "settings"


def with_settings_file(said: Any, path: Path) -> tuple[Any, list[Fault]]:
    """Fill what `train:` does not say from the file that it names.

    Args:
        said: The section `train:` of knowflow.yaml.
        path: The knowflow.yaml.

    Returns:
        The section with the file's settings below its own, and what is wrong with the file.
    """
    if not isinstance(said, Mapping) or not isinstance(said.get(KEY), str):
        return said, []  # pydantic reports what is wrong
    file, where = path.parent / said[KEY], f"train.{KEY}"
    if not file.is_file():
        fix = "make it: knowflow search-settings, or remove the setting"
        return said, [Fault(path.name, None, where, said[KEY], "there is no such file", fix)]
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError):
        return said, [Fault(file.name, None, None, None, "is not YAML", "make it anew: knowflow search-settings")]
    if not isinstance(content, Mapping) or KEY in content:
        fix = "give it settings of train: alone, such as learning_rate"
        return said, [Fault(file.name, None, None, None, "does not hold settings of training", fix)]
    try:
        TrainConfig.model_validate(content)
    except ValidationError as error:
        return said, [config_fault(file, dict(detail), TrainConfig.model_fields) for detail in error.errors()]
    return merged(content, said), []


def as_written(path: Path, train: TrainConfig) -> TrainConfig:
    """Return the settings that knowflow.yaml itself gives, without what a search has found and written to a file.

    Args:
        path: The knowflow.yaml.
        train: Its settings with those of the file below them.
    """
    if train.settings is None or not is_found(path.parent / train.settings):
        return train
    said = yaml.safe_load(path.read_text(encoding="utf-8"))["train"]
    return TrainConfig.model_validate({name: value for name, value in said.items() if name != KEY})


def is_found(file: Path) -> bool:
    """Return whether a search has written a file."""
    return file.read_text(encoding="utf-8", errors="replace").startswith(HEADING)


def write_settings(file: Path, best: Tried, usual: Tried, arms: Sequence[str], release: str, trials: int) -> None:
    """Write settings that were found, whole or not at all; `train:` reads them.

    Args:
        file: The file.
        best: What was found.
        usual: What is compared with: the settings without the search.
        arms: The arms whose validation AUC counted.
        release: The release that they read.
        trials: Finished trials.
    """
    said = (
        f"{HEADING}; knowflow.yaml reads them by `train: {{settings: {file.name}}}`, and what it says itself counts.\n"
        f"# {', '.join(arms)} on {release}, {trials:,} trials: AUC on validation rows {best.validation_auc:.4f},"
        f" with the settings of before {usual.validation_auc:.4f}\n"
    )
    content = {**nested(best.values), "search": _left_to_the_arms(best.values)}
    write_whole(file, said + yaml.safe_dump(content, sort_keys=False))


def _left_to_the_arms(found: Values) -> list[dict[str, float]]:
    """Let every arm still try fewer epochs at the rate that was found.

    A trial keeps its best epoch, but under rolling time, without validation rows, a model is trained to the last one.
    """
    epochs = int(found.get("epochs", 1))
    rate = found.get("learning_rate")
    return [{"learning_rate": rate, "epochs": n} for n in range(1, epochs + 1)] if rate and epochs > 1 else []
