"""knowflow ops: prepares the Prefect server for scheduled runs."""

from typing import Annotated

from cyclopts import App, Parameter

from cli.output import AsJson, print_json, print_line, say

app = App(name="ops", help="Prepare the Prefect server for scheduled runs.", help_format="plaintext", version_flags=[])

WOULD = {"creates": "would create", "changes": "would change", "keeps": "keeps"}


@app.command
def setup(
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Show what would be created; change nothing.")] = False,
    json: AsJson = False,
) -> int:
    """Create on the Prefect server what scheduled runs need: work pool and automations.

    Running it again changes only what is not as it should be.

    Example: knowflow ops setup --dry-run
    """
    from flows.server import own_server  # noqa: PLC0415 - Prefect takes a second to import
    from flows.setup import set_up  # noqa: PLC0415

    url = own_server()
    steps = set_up(dry_run=dry_run)
    if json:
        print_json(
            {
                "server": url,
                "dry_run": dry_run,
                "steps": [{"does": s.does, "kind": s.kind, "name": s.name} for s in steps],
            }
        )
        return 0
    for step in steps:
        print_line(f"{WOULD[step.does] if dry_run else step.does:<13}  {step.kind} {step.name}")
    say(f"{url}: " + ("nothing was changed" if dry_run or not any(s.does != "keeps" for s in steps) else "is set up"))
    return 0
