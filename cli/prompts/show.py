"""knowflow prompts show: one version of a prompt, with all that its file declares."""

import json as json_text
from typing import Annotated

from cyclopts import Parameter

from app.config import load_config
from app.prompt_files import prompt_named, versions_of
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line
from cli.prompts.list import near, version_facts
from prompts.listing import Version

PromptName = Annotated[
    str, Parameter(help="Name of a prompt: kar_item.v2, or kar_item for the version that a refresh asks with.")
]


def show(name: PromptName, /, *, config: ConfigPath = DEFAULT_CONFIG, json: AsJson = False) -> int:
    """Show one version of a prompt: file, status, variables, sampling, form of the answer, text.

    Example: knowflow prompts show kar_item.v2 --config examples/movielens/knowflow.yaml
    """
    settings = load_config(config)
    prompt = prompt_named(settings, name)
    front = prompt.front
    (version,) = [one for one in versions_of(settings, front.task) if one.prompt.path == prompt.path]
    if json:
        messages = [{"role": role, "text": text} for role, text in prompt.parts]
        more = {"variables": sorted(prompt.variables), "schema": front.answer_schema, "sampling": front.sampling}
        print_json({**version_facts(version), **more, "messages": messages})
        return 0
    print_line(f"{prompt.name}: {_standing(version)}")
    print_line(f"file       {near(prompt.path)}")
    print_line(f"variables  {', '.join(sorted(prompt.variables)) or 'none'}")
    print_line(f"schema     {json_text.dumps(front.answer_schema, ensure_ascii=False)}")
    print_line(f"sampling   {', '.join(f'{name} {value}' for name, value in front.sampling.items())}")
    for role, text in prompt.parts:
        print_line(f"\n# {role}\n{text}")
    return 0


def _standing(version: Version) -> str:
    runs = "a refresh asks with it" if version.runs else "a refresh does not ask with it"
    shadows = f", shadows the {version.shadows} one" if version.shadows else ""
    return f"{version.prompt.front.status}, {runs}; {version.origin}{shadows}"
