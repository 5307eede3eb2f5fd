"""knowflow doctor: one page about everything that scheduled runs need, with a command for what is wrong."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.doctor import Finding, examine
from base.faults import WrongUse
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say

MARKS = {"ok": "ok  ", "warn": "WARN", "bad": "BAD "}


def doctor(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    schedules: Annotated[bool, Parameter(help="Also ask the Prefect server about scheduled runs.")] = True,
    json: AsJson = False,
) -> int:
    """Look at versions, data, store, engine, disk, clocks and schedules; exit code 1 if something is bad.

    Changes nothing, and makes no call that costs.

    Example: knowflow doctor --config examples/movielens/knowflow.yaml
    """
    from flows.secrets import read_secret  # noqa: PLC0415

    settings, now = load_config(config), datetime.now(UTC)
    findings = list(examine(settings, now, read_secret))
    if schedules:
        from flows.doctor import examine_server  # noqa: PLC0415 - Prefect takes a second to import

        try:
            findings += examine_server(now)
        except WrongUse as fault:
            what, _, fix = str(fault).partition("\n")
            findings.append(Finding("prefect", "bad", what, fix.strip()))
    bad = [one for one in findings if one.level == "bad"]
    if json:
        print_json({"bad": len(bad), "findings": [vars(one) for one in findings]})
        return 1 if bad else 0
    for one in findings:
        print_line(f"{MARKS[one.level]}  {one.name:<12} {one.what}".replace("\n", "\n" + " " * 19))
        if one.command:
            print_line(f"{'':<19}fix: {one.command}")
    say(f"{len(bad)} bad" if bad else "nothing is bad")
    return 1 if bad else 0
