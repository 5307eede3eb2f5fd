"""knowflow retry: asks again for rows with a recorded error, and for no others."""

from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.workplace import errors_on_record, open_store
from base.words import count_rows
from cli.asking import AskingOptions, run_refresh
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, TaskNames, print_json, say

Errors = Annotated[
    list[str],
    Parameter(
        name="--error",
        negative="",
        help="A kind of error, such as parse, or all; repeatable.",
    ),
]


def retry(
    *,
    error: Errors,
    config: ConfigPath = DEFAULT_CONFIG,
    task: TaskNames = None,
    options: AskingOptions = AskingOptions(),  # noqa: B008 - is frozen
    json: AsJson = False,
) -> int:
    """Ask again for rows with these recorded errors, and for no others; then publish a release.

    A changed parser needs no retry: every refresh parses the stored answers again without asking.

    Example: knowflow retry --error parse --error refused
    """
    settings = load_config(config)
    found = errors_on_record(open_store(settings), task)
    if not found.keys() & set(error) and not ("all" in error and found):
        known = ", ".join(f"{kind} ({count_rows(count)})" for kind, count in sorted(found.items())) or "none"
        if json:
            print_json({"release": None, "new": False, "tasks": []})
        say(f"no row has the error {' or '.join(error)}; recorded errors: {known}")
        return 0
    return run_refresh(config, task, options.asking(tuple(error)), json=json)
