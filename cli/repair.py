"""knowflow repair: restores a damaged store from what is whole, with a plan first."""

from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.workplace import damaged_store
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, say, say_next
from feature_store.database import command_line
from feature_store.repair import plan_repair
from feature_store.repair import repair as repair_store


def repair(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    yes: Annotated[bool, Parameter(negative="", help="Do it; without, only the plan is printed.")] = False,
    json: AsJson = False,
) -> int:
    """Restore a damaged store from what is whole: older versions, copies, the journal. Prints a plan; `--yes` does it.

    What it takes away is kept in the folder `damaged` of the store. A damaged release is not served any more, and the
    newest whole one becomes current. The next refresh makes again what can be made, and asks anew for lost answers.

    Example: knowflow repair --yes
    """
    store = damaged_store(load_config(config))
    steps = repair_store(store, command_line()) if yes else plan_repair(store)
    calls = sum(step.calls for step in steps)
    if json:
        said = [{"what": step.what, "calls": step.calls} for step in steps]
        print_json({"store": str(store), "done": yes, "steps": said, "calls": calls})
        return 0
    for step in steps:
        print_line(step.what)
    if not steps:
        say("nothing to repair: knowflow verify says what was checked")
        return 0
    lost = f"{calls:,} answers are lost: the next refresh asks for them anew" if calls else "no answer is lost"
    if yes:
        say(f"done; {lost}")
        say_next("refresh", config)
    else:
        say(f"nothing was changed; {lost}")
        say(f"to do this: knowflow repair --yes{'' if config == DEFAULT_CONFIG else f' --config {config}'}")
    return 0
