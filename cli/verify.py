"""knowflow verify: reads every table of every release whole and checks it against its checksums."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.verified import note_verification
from app.workplace import damaged_store
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say
from feature_store.verify import Finding, Report
from feature_store.verify import verify as verify_store


def verify(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    release: Annotated[str | None, Parameter(help="Name of a release; default: all, and what is newer.")] = None,
    json: AsJson = False,
) -> int:
    """Read every table of every release whole, and check it against its checksums; exit code 1 if one is damaged.

    Names table, release, file and what to do. Changes nothing in the store.

    Example: knowflow verify --release rel-000003
    """
    settings = load_config(config)
    store = damaged_store(settings)
    report = verify_store(store, release)
    if release is None:
        note_verification(settings, report)
    if json:
        facts = {**asdict(report), "findings": [_facts(one) for one in report.findings]}
        print_json({"store": str(store), "whole": report.whole, **facts})
        return 0 if report.whole else 1
    for one in report.findings:
        print_line(f"{_where(one)}\n  {one.fault.what}\n  fix: {one.fix}")
    say(_summary(report))
    return 0 if report.whole else 1


def _facts(one: Finding) -> dict:
    return {**asdict(one.fault), "releases": list(one.releases), "fix": one.fix, "harmless": one.harmless}


def _where(one: Finding) -> str:
    words = [f"table {one.fault.table}"] if one.fault.table else []
    words += [", ".join(one.releases)] if one.releases else []
    return one.fault.file + (f" ({'; '.join(words)})" if words else "")


def _summary(report: Report) -> str:
    names = ", ".join(report.releases[-3:]) or "no release"
    checked = f"{names}: {report.versions:,} versions of tables read whole, {report.files:,} files"
    if report.without_sum:
        checked += f", {report.without_sum:,} of them without a checksum until the next release"
    damaged = sum(not one.harmless for one in report.findings)
    if damaged:
        return f"{checked}\n{damaged:,} damaged; what a repair would do: knowflow repair"
    return f"{checked}\nnothing is damaged"
