"""knowflow forget: deletes what is known of users, with a plan first and a receipt at the end."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from app.config import load_config
from app.forgetting import Plan, forget, plan_forgetting
from base.faults import WrongUse
from base.words import count_rows
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say

STDIN = "-"
User = Annotated[
    str, Parameter(allow_leading_hyphen=True, help="Ids of users; - reads them from standard input, one a line.")
]


def forget_users(
    *users: User,
    file: Annotated[
        Path | None, Parameter(allow_leading_hyphen=True, help="A file of ids, one a line; - reads standard input.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    yes: Annotated[bool, Parameter(negative="", help="Do it; without, only the plan is printed.")] = False,
    json: AsJson = False,
) -> int:
    """Delete what is known of users: rows, answers, prompts, vectors, in every release. Prints a plan; `--yes` does it.

    Every kept release goes on without them. At the end every file of the home is searched, and `receipts/` in the home
    gets what was found and done, without the ids. Later refreshes leave these users out, although the input files may
    still hold them. A run that was killed is finished by the same command.

    Example: knowflow forget customer-4711 --yes
    """
    settings, ids = load_config(config), read_ids(users, file)
    if yes:
        receipt = forget(settings, ids, partial(prefect_runs, settings.path))
        if json:
            print_json(receipt)
        else:
            print_receipt(receipt)
        return 0
    plan = plan_forgetting(settings, ids)
    runs = prefect_runs(settings.path, plan.holds, dry_run=True)
    if json:
        print_json(
            {"done": False, **plan.removed(), "has_learnt": [vars(one) for one in plan.learnt]}
            | {"input_files": plan.inputs.told(), "queries_only_theirs": plan.inputs.queries, "prefect_server": runs}
        )
    else:
        print_plan(plan, runs)
    return 0


def prefect_runs(config: Path, holds: Callable[[Any], bool], *, dry_run: bool = False) -> dict[str, Any] | None:
    """Forget users on the Prefect server of PREFECT_API_URL; None without one."""
    from flows.forget import forget_runs  # noqa: PLC0415 - Prefect takes a second to import

    return forget_runs(holds, config, dry_run=dry_run)


def read_ids(users: tuple[str, ...], file: Path | None) -> list[str]:
    """Return the ids of the command line, of a file, and of standard input.

    Raises:
        WrongUse: The file cannot be read, or an option is none.
    """
    ids = [user for user in users if user != STDIN]
    if options := [user for user in ids if user.startswith("-")]:
        raise WrongUse(f"{options[0]} is no option\n  an id that begins with - comes from a file: --file FILE")
    if STDIN in users or str(file) == STDIN:
        ids += sys.stdin.read().removeprefix("\ufeff").split("\n")
    elif file is not None:
        try:
            ids += file.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise WrongUse(f"--file: {file} cannot be read: {error}\n  give a text file with one id a line") from None
    return [one for one in (line.rstrip("\r") for line in ids) if one]  # blanks may belong to an id


def print_plan(plan: Plan, runs: dict[str, Any] | None) -> None:
    """Print what would be done."""
    traces = plan.traces
    for task, count in traces.tasks.items():
        print_line(f"{task}: {count_rows(count)}")
    if traces.of_others:
        print_line(f"of these, {count_rows(traces.of_others)} about others, whose prompts quoted them: asked anew")
    print_line(f"answers: {len(traces.answers):,}")
    if traces.unnamed:
        print_line(
            f"of these, {traces.unnamed:,} that no row names, so that they may be of anybody: a killed refresh"
            " leaves such, and finishing it first keeps what is others'"
        )
    tables, releases = plan.tables.tables, plan.tables.releases
    print_line(f"tables written anew: {', '.join(tables) or 'none'}")
    print_line(f"releases that go on with them: {', '.join(releases) or 'none'}")
    for change in plan.changes:
        print_line(f"{change.file}: {change.what}")
    if runs is not None:
        print_line(f"runs of Prefect at {runs['server']} that name them: {runs['deleted']:,} of {runs['searched']:,}")
    for one in plan.learnt:
        print_line(f"{one.what} may have learnt from them, and stays; make it again: {one.again}")
    for path, count in plan.inputs.told().items():
        print_line(held(path, count))
    if plan.inputs.queries:
        print_line(f"{plan.inputs.queries:,} queries that only they typed stay in the store")
    say(f"{_users(len(traces.users))}; nothing was changed")
    say("to do this: the same command with --yes; nothing else should run meanwhile")


def held(path: str, count: int | str) -> str:
    """Say what an input file holds, or why that is not known."""
    if isinstance(count, str):
        return f"the input files were not looked through: {count}"
    return f"{path} holds {count_rows(count)} of theirs, which refreshes leave out from now on: delete them there"


def _users(count: int) -> str:
    return f"{count:,} user{'' if count == 1 else 's'}"


def print_receipt(receipt: dict) -> None:
    """Print what was done."""
    removed, search = receipt["removed"], receipt["search"]
    rows = sum(removed["rows"].values())
    print_line(f"{_users(len(receipt['users']))} forgotten: {count_rows(rows)}, {removed['answers']:,} answers")
    print_line(f"searched {search['files']:,} files and {count_rows(search['rows'])} of tables: nothing is left")
    runs = receipt["prefect_server"]
    if runs is not None:
        print_line(f"deleted {runs['deleted']:,} of {runs['searched']:,} runs of Prefect at {runs['server']}")
        if runs["left"]:
            say(f"runs that have not ended stay: {', '.join(runs['left'])}; run the same command when they have")
    for one in receipt["has_learnt"]:
        say(f"{one['what']} may have learnt from them; make it again: {one['again']}")
    for path, count in receipt["input_files"].items():
        say(held(path, count))
    if receipt["bucket"] is not None:
        say(f"{receipt['bucket']['address']}: every object is without them; {receipt['bucket']['note']}")
    print_line(f"receipt  {receipt['file']}")
