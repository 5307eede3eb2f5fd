"""knowflow leak-check: looks for knowledge that a sample could not have had, in every table of a release."""

from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.publish import check_release
from app.workplace import open_store, open_workplace
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_table, say

FULL = "Check everything, or only what has changed since the release was checked when it was published."


def leak_check(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    release: Annotated[str | None, Parameter(help="Name of a release; default: the current one.")] = None,
    full: Annotated[bool, Parameter(negative="--new", help=FULL)] = True,
    json: AsJson = False,
) -> int:
    """Check a whole release and print counter-examples; exit code 1 when there is one.

    A refresh checks what is new by itself, and everything once a week (gates.whole_leak_check in knowflow.yaml).

    Example: knowflow leak-check --release rel-000003
    """
    settings = load_config(config)
    chosen, found = check_release(settings, open_workplace(settings), open_store(settings), release, full=full)
    undated = list(settings.source.items.numbers)
    if json:
        print_json({"release": chosen.name, **found, "undated": undated})
        return 1 if found["leaks"] else 0
    say(
        f"{chosen.name}: {found['rows']:,} rows, {found['texts']:,} prompts and texts, {found['samples']:,} samples,"
        f" {found['pairs']:,} pairs of a sample and a row; {found['scope']}"
    )
    if found["leaks"]:
        print_table(
            f"{found['leaks']:,} leaks; the first:",
            ["what", "row", "as_of", "event", "time"],
            [[e["question"], e["row"], e["as_of"], e["event"], e["time"] or ""] for e in found["counter_examples"]],
            text_columns=5,
        )
        for question, fix in {e["question"]: e["fix"] for e in found["counter_examples"]}.items():
            say(f"{question}\n  fix: {fix}")
        say("do not train on this release: knowflow release rollback NAME, or fix the technique and refresh")
        return 1
    say("no leak found: every sample sees only knowledge made strictly before it")
    if undated:
        say(
            f"not checked: the numbers of items have no date ({', '.join(undated)}); a number that later events went"
            " into, such as an average rating, tells a sample its future: leave it out of items.numbers"
        )
    return 0
