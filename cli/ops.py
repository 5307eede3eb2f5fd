"""knowflow ops: prepares the Prefect server for scheduled runs."""

from datetime import timedelta
from typing import Annotated

from cyclopts import App, Parameter

from cli.output import AsJson, print_json, print_line, say

app = App(name="ops", help="Prepare the Prefect server for scheduled runs.", help_format="plaintext", version_flags=[])
WOULD = {"creates": "would create", "changes": "would change", "keeps": "keeps"}
SMTP = (
    "Mail server: smtp://HOST, smtps://USER:PASSWORD@HOST or starttls://...; better in the environment: KNOWFLOW_SMTP."
)


@app.command
def setup(
    *,
    webhook: Annotated[str | None, Parameter(help="Address that gets each alarm as a POST with JSON.")] = None,
    email: Annotated[
        tuple[str, ...], Parameter(negative="", help="Address that gets each alarm as a mail; repeatable.")
    ] = (),
    smtp: Annotated[str | None, Parameter(help=SMTP, env_var="KNOWFLOW_SMTP")] = None,
    sender: Annotated[str | None, Parameter(help="Address that mails come from; default: the first receiver.")] = None,
    late_minutes: Annotated[float, Parameter(help="Alarm for a run that has not started so long after its time.")] = 30,
    stuck_hours: Annotated[float, Parameter(help="Alarm for a run that takes longer.")] = 12,
    dry_run: Annotated[bool, Parameter(negative="", help="Show what would be created; change nothing.")] = False,
    json: AsJson = False,
) -> int:
    """Create on the Prefect server what scheduled runs need: work pool, blocks for messages, automations.

    Running it again changes only what is not as it should be. A webhook or mail that is not given stays as it is.

    Example: knowflow ops setup --webhook https://hooks.example.com/knowflow --dry-run
    """
    from flows.channels import Channels  # noqa: PLC0415 - Prefect takes a second to import
    from flows.server import own_server  # noqa: PLC0415
    from flows.setup import nobody_is_told, set_up  # noqa: PLC0415

    given = Channels(webhook=webhook, email=email, smtp=smtp, sender=sender)
    given.check()
    url = own_server()
    steps = set_up(given, timedelta(minutes=late_minutes), timedelta(hours=stuck_hours), dry_run=dry_run)
    if json:
        facts = [{"does": s.does, "kind": s.kind, "name": s.name} for s in steps]
        print_json({"server": url, "dry_run": dry_run, "alarms": not nobody_is_told(steps), "steps": facts})
        return 0
    for step in steps:
        print_line(f"{WOULD[step.does] if dry_run else step.does:<13} {step.kind} {step.name}")
    say(f"{url}: " + ("nothing was changed" if dry_run or not any(s.does != "keeps" for s in steps) else "is set up"))
    if nobody_is_told(steps):
        say("nobody is told when a run fails: give --webhook URL, or --email ADDRESS --smtp smtp://HOST")
    return 0
