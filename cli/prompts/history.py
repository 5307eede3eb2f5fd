"""knowflow prompts history: which versions were promoted and retired, by whom, when and why."""

from dataclasses import asdict

from app.config import load_config
from app.prompt_files import versions_of
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_table, say
from cli.prompts.list import TaskOfPrompt
from prompts.promotion import Act, read_history


def history(task: TaskOfPrompt = None, /, *, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """List what was promoted and retired, oldest first: when, by whom, from which version, why, with which figures.

    Example: knowflow prompts history kar_item --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    versions_of(settings, task)  # refuses a task that has no prompt
    acts = read_history(settings.own_prompts, task)
    if json:
        print_json({"history": [asdict(act) for act in acts]})
        return 0
    columns = ["when (UTC)", "prompt", "act", "live before", "live after", "by", "figures", "why"]
    print_table("history of prompts, oldest first", columns, [_row(act) for act in acts], text_columns=8)
    if not acts:
        say("nothing was promoted or retired yet")
    return 0


def _row(act: Act) -> list[str]:
    before, after = (f"v{one}" if one else "" for one in (act.from_version, act.to_version))
    kept = "" if act.figures is None else "yes"
    return [
        act.when[:19].replace("T", " "),
        f"{act.task}.v{act.version}",
        act.act,
        before,
        after,
        act.who,
        kept,
        act.why,
    ]
