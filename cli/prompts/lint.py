"""knowflow prompts lint: what is wrong with prompts, before they cost anything."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from app.asking import with_engine
from app.config import load_config
from app.prompt_lint import Linted, lint_prompts
from cli.asking import BaseUrls, EngineName, ModelName, model_path
from cli.output import DEFAULT_CONFIG, AsJson, ConfigPath, print_json, print_line, print_table, say

COLUMNS = ("prompt", "status", "faults", "warnings", "shared", "not shared", "longest row", "answer, at most")


def lint(
    *names: Annotated[str, Parameter(help="Tasks or versions, such as kar_item or kar_item.v3; default: all.")],
    config: ConfigPath = DEFAULT_CONFIG,
    engine: EngineName = None,
    model: ModelName = None,
    base_url: BaseUrls = None,
    json: AsJson = False,
) -> int:
    """Check prompts: variables, form of the answer, delimited data, shared text first, length; exit code 1 for a fault.

    Rows are a seeded sample of your data; tokens are counted as the engine does. Asks nothing and writes nothing.

    Example: knowflow prompts lint kar_item --config examples/movielens/knowflow.yaml
    """
    linted = lint_prompts(with_engine(load_config(config), engine, model_path(model), base_url), names)
    faults = sum(one.faults for one in linted)
    for reason in dict.fromkeys(reason for one in linted for reason in one.no_rows):
        say(reason)
    if json:
        print_json({"prompts": [_facts(one) for one in linted], "faults": faults})
        return 1 if faults else 0
    print_table(
        "prompts; tokens of their own text, and of the longest sampled row", COLUMNS, _rows(linted), text_columns=2
    )
    for one in linted:
        for finding in one.findings:
            print_line(f"{one.prompt.name}: {finding.level}: {finding.rule}: {finding.text}")
    say(f"tokens are {linted[0].counted}")
    return 1 if faults else 0


def _rows(linted: Sequence[Linted]) -> list[list[object]]:
    rows: list[list[object]] = []
    for one in linted:
        shared, late = one.own_tokens or ("", "")
        longest = "" if one.longest is None else one.longest
        warnings = len(one.findings) - one.faults
        answer = one.prompt.front.sampling.get("max_tokens", "")
        rows.append([one.prompt.name, one.prompt.front.status, one.faults, warnings, shared, late, longest, answer])
    return rows


def _facts(one: Linted) -> dict[str, object]:
    front, own = one.prompt.front, one.own_tokens or (None, None)
    return {
        "prompt": one.prompt.name,
        "status": front.status,
        "findings": [asdict(finding) for finding in one.findings],
        "shared_tokens": own[0],
        "late_tokens": own[1],
        "rows": one.rows,
        "longest_row_tokens": one.longest,
        "answer_tokens": front.sampling.get("max_tokens"),
        "counted": one.counted,
    }
