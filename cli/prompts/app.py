"""knowflow prompts: the app, with one entry per command, imported only when it is called."""

from cyclopts import App

from cli.lazy import MOVIELENS, Command

COMMANDS = {
    "list": Command(
        "cli.prompts.list:list_prompts",
        "List the versions of every prompt: status, which one a refresh asks with, and where it lies.",
        f"knowflow prompts list kar_item {MOVIELENS}",
    ),
    "show": Command(
        "cli.prompts.show:show",
        "Show one version of a prompt: file, status, variables, sampling, form of the answer, text.",
        f"knowflow prompts show kar_item.v2 {MOVIELENS}",
    ),
    "lint": Command(
        "cli.prompts.lint:lint",
        "Check prompts against the data's rows and the model's context; exit code 1 for a fault.",
        f"knowflow prompts lint kar_item {MOVIELENS}",
    ),
    "diff": Command(
        "cli.prompts.diff:diff",
        "Show what differs between two versions, and whether stored answers serve both.",
        f"knowflow prompts diff kar_item.v1 kar_item.v2 {MOVIELENS}",
    ),
    "new": Command(
        "cli.prompts.new:new",
        "Begin a new version of a prompt, or a copy of a domain, in your own folder.",
        f"knowflow prompts new kar_item {MOVIELENS}",
    ),
    "try": Command(
        "cli.prompts.try_:try_versions",
        "Ask versions of a prompt about the same sample of rows, and show the answers side by side.",
        f"knowflow prompts try kar_item --version v1 --version v2 {MOVIELENS}",
    ),
    "eval": Command(
        "cli.prompts.eval:evaluate",
        "Measure versions of a prompt on a sample: texts, cost, worth; exit code 1 where a bound is not kept.",
        f"knowflow prompts eval kar_item --versions v1,v2 {MOVIELENS}",
    ),
    "optimise": Command(
        "cli.prompts.optimise:optimise_prompt",
        "Let a model rewrite a prompt within a budget, and keep the versions as drafts with their figures.",
        f"knowflow prompts optimise rank_candidates --method gepa --budget 200k-tokens {MOVIELENS}",
    ),
    "promote": Command(
        "cli.prompts.promote:promote",
        "Make a version the one that a refresh asks with, and record who did it and why.",
        f'knowflow prompts promote kar_item --version v2 --why "half the tokens" {MOVIELENS}',
    ),
    "retire": Command(
        "cli.prompts.promote:retire",
        "Stop asking with a version, and record it; its file stays.",
        f'knowflow prompts retire kar_item --version v2 --why "no better" {MOVIELENS}',
    ),
    "history": Command(
        "cli.prompts.history:history",
        "List what was promoted and retired: when, by whom, why, with which figures.",
        f"knowflow prompts history kar_item {MOVIELENS}",
    ),
}

app = App(name="prompts", help="List, show and change the versions of prompts.", help_format="plaintext")
for _name, _command in COMMANDS.items():
    app.command(_command.target, name=_name, help=f"{_command.summary}\n\nExample: {_command.example}")
