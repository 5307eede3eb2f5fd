"""The text of a first knowflow.yaml: settings with their reasons, defaults with their explanations."""

import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cli.init_guess import Draft, field_names, format_lines, is_shown, time_lines, wanted
from cli.init_line import Line, defaults, yaml_value
from ctr.config import TrainConfig
from engines.protocol import EngineConfig
from feature_store.gate import GatesConfig
from llm_tasks.pipeline.budget import Prices
from sources.checked import FILL_IN
from sources.config import HistoryConfig
from sources.guess import Guess, TableGuess
from sources.guess_words import FIELDS


def render(draft: Draft, folder: Path) -> str:
    """Fill the template of knowflow.yaml.

    Args:
        draft: What it says of the data.
        folder: The folder of the file.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["lines"] = lambda lines, indent="  ": "\n".join(line.text(indent) for line in lines)
    sections: dict[str, Any] = dict.fromkeys(("users", "queries"))
    sections |= {table.section: _section(table, draft.domain[0], folder) for table in draft.tables}
    return environment.get_template("knowflow.yaml.j2").render(
        **sections,
        domain=Line("domain", draft.domain[0], f"proposed: {draft.domain[1]}"),
        liked=draft.label,
        split=draft.split,
        skip=draft.skip,
        history=defaults(HistoryConfig),
        engine=[line for line in defaults(EngineConfig) if line.name in ("name", "model")],
        gates=defaults(GatesConfig),
        train=defaults(TrainConfig),
        prices=defaults(Prices),
    )


def _section(table: TableGuess, domain: str, folder: Path) -> dict[str, Any]:
    roles = [Line("path", yaml_value(_relative(table.look.path, folder))), *format_lines(table)]
    roles += [_line(guess, table) for guess in table.guesses if guess.setting not in FIELDS and is_shown(guess, table)]
    roles += [Line(one.name, yaml_value(one.value), one.why) for one in table.settings]
    for guess in table.of("time"):
        roles += time_lines(guess, table)
    if table.separator:
        roles.append(Line("separator", yaml_value(table.separator), "separates the categories in one text"))
    names = field_names(table, domain)
    groups = {
        setting: [
            Line(yaml_value(names[str(guess.column)]), yaml_value(guess.column), f"{guess.by}{guess.why}")
            for guess in table.of(setting)
        ]
        for setting in FIELDS
    }
    left_out = "; ".join(f"{yaml_value(guess.column)} ({guess.why})" for guess in table.left_out)
    return {"roles": roles, "groups": groups, "left_out": left_out}


def _line(guess: Guess, table: TableGuess) -> Line:
    if guess.column is None:
        return Line(guess.setting, FILL_IN, f"FILL IN {wanted(guess, table)}")
    others = ", ".join(yaml_value(name) for name in guess.others)
    comment = f"{guess.by}{guess.why}" + (f"; other candidates: {others}" if others else "")
    return Line(guess.setting, yaml_value(guess.column), comment)


def _relative(path: Path, folder: Path) -> str:
    there = path.parent.resolve() / path.name  # a link to a file keeps its name
    try:
        return Path(os.path.relpath(there, folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return str(there)
