"""knowflow init: writes a commented knowflow.yaml for the user's own data, by looking at its columns."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from base.faults import WrongUse
from cli.errors import WRONG_INPUT
from cli.init_guess import Draft, field_names, format_lines, is_shown, propose, wanted
from cli.init_line import yaml_value
from cli.init_preset import draft_of_preset, look_at_all
from cli.init_yaml import render
from cli.output import AsJson, print_json, print_table
from sources.checked import FILL_IN
from sources.guess import guess_tables
from sources.guess_words import FIELDS
from sources.preset import load_preset, preset_names

LIST = "list"


def init(
    folder: Annotated[
        Path | None, Parameter(help="Folder to write knowflow.yaml to; created if missing.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        Parameter(
            help="With --from: the folder of the unpacked data set; the current one if left out.", show_default=False
        ),
    ] = None,
    /,
    *,
    preset: Annotated[
        str | None,
        Parameter(
            name="--from",
            help="A known data set, such as mind; `--from list` lists them. Or your own preset, a YAML file.",
            show_default=False,
        ),
    ] = None,
    events: Annotated[
        Path | None,
        Parameter(help="File, folder or pattern of files with one row per event.", show_default=False),
    ] = None,
    items: Annotated[
        Path | None,
        Parameter(help="File of the items; taken from the rows of the events if left out.", show_default=False),
    ] = None,
    users: Annotated[Path | None, Parameter(help="File of the users, if there is one.", show_default=False)] = None,
    queries: Annotated[Path | None, Parameter(help="File of the queries, if there is one.", show_default=False)] = None,
    json: AsJson = False,
    force: Annotated[
        bool, Parameter(negative="", show_default=False, help="Overwrite an existing knowflow.yaml.")
    ] = False,
) -> int:
    """Write a commented knowflow.yaml for your own data, by looking at its columns, or by the preset of a data set.

    The file gives a reason for each guess, and FILL_IN for what cannot be guessed.

    Example: knowflow init shop --events events.csv --items items.csv
    """
    if preset == LIST:
        _list_presets(json)
        return 0
    given = {"events": events, "items": items, "users": users, "queries": queries}
    named = {section: path for section, path in given.items() if path is not None}
    _check_use(folder, data, preset, named)
    assert folder is not None
    target = folder / "knowflow.yaml"
    if target.exists() and not force:
        sys.stderr.write(f"{target} exists already and was not changed\n  to overwrite it: add --force\n")
        return WRONG_INPUT
    if preset is not None:
        draft = draft_of_preset(preset, data or Path(), named)
    else:
        draft = propose(guess_tables(**look_at_all({section: (path, None) for section, path in named.items()})))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(render(draft, folder), encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"{target} cannot be written: {error.strerror}\n  give a folder that you may write to\n")
        return WRONG_INPUT
    findings = _findings(target, draft)
    if json:
        print_json(findings)
    else:
        _print(findings)
    return 0


def _check_use(folder: Path | None, data: Path | None, preset: str | None, named: Mapping[str, Path]) -> None:
    """Check which arguments stand together.

    Raises:
        WrongUse: They do not.
    """
    if folder is None:
        raise WrongUse("name the folder to write knowflow.yaml to\n  such as: knowflow init shop --events events.csv")
    if preset is None and data is not None:
        raise WrongUse(f"{data} is a folder of data, which needs --from NAME\n  the names: knowflow init --from list")
    if preset is None and "events" not in named:
        raise WrongUse("give --events FILE and --items FILE, or --from NAME\n  the names: knowflow init --from list")


def _list_presets(json: bool) -> None:
    known = [{"name": name, "about": load_preset(name).about} for name in preset_names()]
    if json:
        print_json({"presets": known})
    else:
        print_table("presets", ["name", "what it is"], [[one["name"], one["about"]] for one in known], text_columns=2)
        sys.stderr.write("next: knowflow init shop --from NAME FOLDER\n")


def _findings(target: Path, draft: Draft) -> dict[str, Any]:
    """Collect everything to print, ready for JSON."""
    found: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    fill_in: list[dict[str, str]] = []
    for table in draft.tables:
        file, names = table.look.path.name, field_names(table, draft.domain[0])
        found += [
            {
                "file": file,
                "field": f"{table.section}.{line.name}",
                "column": line.value,
                "why": line.comment,
                "others": [],
            }
            for line in format_lines(table)
        ]
        found += [
            {"file": file, "field": f"{table.section}.{one.name}", "column": yaml_value(one.value), "why": one.why}
            | {"others": []}
            for one in table.settings
        ]
        left_out += [{"file": file, "column": guess.column, "why": guess.why} for guess in table.left_out]
        for guess in [guess for guess in table.guesses if is_shown(guess, table)]:
            setting = f"{guess.setting}.{names[str(guess.column)]}" if guess.setting in FIELDS else guess.setting
            field = f"{table.section}.{setting}"
            others = list(guess.others)
            found.append({"file": file, "field": field, "column": guess.column, "why": guess.why, "others": others})
            if guess.column is None:
                fill_in.append({"field": field, "what": wanted(guess, table)})
    file = draft.tables[0].look.path.name
    found += [
        {"file": file, "field": f"label.{line.name}", "column": line.value, "why": line.comment, "others": []}
        for line in draft.label
        if line.value != FILL_IN
    ]
    for line in [line for line in draft.label if line.value == FILL_IN]:
        fill_in.append({"field": f"label.{line.name}", "what": line.comment.removeprefix("FILL IN ")})
    return {
        "config": str(target),
        "domain": {"name": draft.domain[0], "why": draft.domain[1]},
        "found": found,
        "left_out": left_out,
        "fill_in": fill_in,
        "preview": f"knowflow preview kar_item --config {shlex.quote(str(target))}",
        "next": f"knowflow plan --config {shlex.quote(str(target))}",
    }


def _print(findings: Mapping[str, Any]) -> None:
    rows = [[one["file"], one["field"], one["column"] or FILL_IN, _why(one)] for one in findings["found"]]
    rows += [[one["file"], "", one["column"], f"left out: it {one['why']}"] for one in findings["left_out"]]
    columns = ["file", "field", "column", "why"]
    print_table("what was found", columns, rows, text_columns=4)
    # Not by `say`, which would break long paths into lines of 80 characters.
    lines = [f"wrote {findings['config']}; domain {findings['domain']['name']}: {findings['domain']['why']}"]
    lines += [f"fill in {one['field']}: {one['what']}" for one in findings["fill_in"]]
    lines.append(f"see a prompt before anything is paid for: {findings['preview']}")
    sys.stderr.write("\n".join([*lines, f"next: {findings['next']}"]) + "\n")


def _why(found: Mapping[str, Any]) -> str:
    if found["column"] is None:
        return f"not found: {found['why']}"
    return found["why"] + (f"; or {', '.join(found['others'])}" if found["others"] else "")
