"""knowflow init: writes a commented knowflow.yaml for the user's own data, by looking at its columns."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.errors import WRONG_INPUT
from cli.init_yaml import (
    FIELDS,
    Line,
    field_names,
    format_lines,
    is_shown,
    liked_from,
    propose_domain,
    render,
    wanted,
)
from cli.output import AsJson, print_json, print_table
from sources.checked import FILL_IN
from sources.faults import Fault, SourceFaults
from sources.guess import TableGuess, guess_tables
from sources.look import Look, look


def init(
    folder: Annotated[Path, Parameter(help="Folder to write knowflow.yaml to; created if missing.")],
    /,
    *,
    events: Annotated[Path, Parameter(help="File, folder or pattern of files with one row per event.")],
    items: Annotated[Path, Parameter(help="File of the items.")],
    users: Annotated[Path | None, Parameter(help="File of the users, if there is one.", show_default=False)] = None,
    queries: Annotated[Path | None, Parameter(help="File of the queries, if there is one.", show_default=False)] = None,
    json: AsJson = False,
    force: Annotated[
        bool, Parameter(negative="", show_default=False, help="Overwrite an existing knowflow.yaml.")
    ] = False,
) -> int:
    """Write a commented knowflow.yaml for your own data, by looking at its columns.

    The file gives a reason for each guess, and FILL_IN for what cannot be guessed.

    Example: knowflow init shop --events events.csv --items items.csv
    """
    target = folder / "knowflow.yaml"
    if target.exists() and not force:
        sys.stderr.write(f"{target} exists already and was not changed\n  to overwrite it: add --force\n")
        return WRONG_INPUT
    tables = guess_tables(**_look_at_all({"events": events, "items": items, "users": users, "queries": queries}))
    domain, liked = propose_domain(tables[1]), liked_from(tables[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(render(tables, domain, liked, folder), encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"{target} cannot be written: {error.strerror}\n  give a folder that you may write to\n")
        return WRONG_INPUT
    findings = _findings(target, tables, domain, liked)
    if json:
        print_json(findings)
    else:
        _print(findings)
    return 0


def _look_at_all(paths: Mapping[str, Path | None]) -> dict[str, Look]:
    """Look at all given files, and report the faults of all of them at once."""
    looks: dict[str, Look] = {}
    faults: list[Fault] = []
    for section, path in paths.items():
        try:
            looks |= {section: look(path)} if path else {}
        except SourceFaults as error:
            faults += error.faults
    if faults:
        raise SourceFaults(faults)
    return looks


def _findings(
    target: Path, tables: Sequence[TableGuess], domain: tuple[str, str], liked: Sequence[Line]
) -> dict[str, Any]:
    """Collect everything to print, ready for JSON."""
    found: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    fill_in: list[dict[str, str]] = []
    for table in tables:
        file, names = table.look.path.name, field_names(table, domain[0])
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
        left_out += [{"file": file, "column": guess.column, "why": guess.why} for guess in table.left_out]
        for guess in [guess for guess in table.guesses if is_shown(guess, table)]:
            setting = f"{guess.setting}.{names[str(guess.column)]}" if guess.setting in FIELDS else guess.setting
            field = f"{table.section}.{setting}"
            others = list(guess.others)
            found.append({"file": file, "field": field, "column": guess.column, "why": guess.why, "others": others})
            if guess.column is None:
                fill_in.append({"field": field, "what": wanted(guess, table)})
    for line in [line for line in liked if line.value == FILL_IN]:
        fill_in.append({"field": f"label.{line.name}", "what": line.comment.removeprefix("FILL IN ")})
    return {
        "config": str(target),
        "domain": {"name": domain[0], "why": domain[1]},
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
