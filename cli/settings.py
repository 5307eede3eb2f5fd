"""Options of plug-ins on the command line: `--set MODEL.OPTION=VALUE`."""

from collections.abc import Sequence
from typing import Any

import yaml

from base.faults import WrongUse


def read_settings(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read MODEL.OPTION=VALUE arguments and report all faults at once.

    Raises:
        WrongUse: An argument does not have that form.
    """
    options: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for one in given:
        key, equals, value = one.partition("=")
        model, dot, option = key.partition(".")
        if not (equals and dot and model and option):
            faults.append(f"--set {one}: should be MODEL.OPTION=VALUE")
            continue
        try:
            options.setdefault(model, {})[option] = yaml.safe_load(value)
        except yaml.YAMLError:
            faults.append(f"--set {one}: the value is not valid YAML")
    if faults:
        raise WrongUse("\n".join(faults) + "\n  example: --set cooccurrence.history=20")
    return options
