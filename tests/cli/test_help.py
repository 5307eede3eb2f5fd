"""Help: quick, complete, and with examples that really parse."""

import json
import re
import shlex
import subprocess
import sys

import pytest

from cli.lazy import COMMANDS
from cli.main import build_app
from cli.prompts.app import COMMANDS as PROMPTS

PAGES = [
    *([name] for name in COMMANDS),
    *(["release", name] for name in ("list", "show", "rollback", "pin", "unpin", "gc")),
    *(["prompts", name] for name in PROMPTS),
    ["ops", "setup"],
]
HEAVY = ["torch", "prefect", "lancedb", "lance", "polars", "sklearn", "sentence_transformers", "transformers", "numpy"]


def parses(example: str) -> str:
    """Parse an example as the command line would; gives the name of the function that it calls."""
    words = shlex.split(example)
    assert words[0] == "knowflow"
    command, bound, *_ = build_app().parse_args(words[1:], exit_on_error=False, print_error=False)
    assert bound is not None
    return command.__name__


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import json, sys\n"
        "from cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    *page, heavy = done.stdout.splitlines()
    assert json.loads(heavy) == []
    assert done.stderr == ""
    for name, command in COMMANDS.items():
        assert re.search(rf"^│ {name} +{command.summary.split()[0]}", "\n".join(page), re.MULTILINE)
    assert "Exit codes: 0 success, 1 a check or a step failed, 2 wrong use or wrong input" in "\n".join(page)


def test_every_page_of_help_shows_an_example_and_the_examples_parse(plain_knowflow):
    for page in PAGES:
        done = plain_knowflow.run(*page, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        (example,) = re.findall(r"^Example: (knowflow .+)$", done.stdout, re.MULTILINE)
        assert shlex.split(example)[1 : 1 + len(page)] == page
        assert parses(example)
    for command in (*COMMANDS.values(), *PROMPTS.values()):
        assert parses(command.example)


def test_the_example_of_a_command_also_stands_in_its_own_docstring():
    for name in ("plan", "refresh", "train", "report", "leak-check", "status", "demo"):
        command, *_ = build_app().parse_args([name], exit_on_error=False, print_error=False)
        (example,) = re.findall(r"^ *Example: (knowflow .+)$", command.__doc__ or "", re.MULTILINE)
        assert parses(example) == command.__name__


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plann"], ['Unknown command "plann". Did you mean "plan"?', "  see: knowflow --help"]),
        (["plan", "--tsk", "x"], ["Unknown option: --tsk. Did you mean --task?", "  see: knowflow plan --help"]),
        (["release", "shw"], ['Unknown command "shw". Did you mean "show"?', "  see: knowflow release --help"]),
        (["train", "--arms"], ["--arms requires an argument.", "  see: knowflow train --help"]),
        (["plan", "extra"], ["extra", "  see: knowflow plan --help"]),
    ],
)
def test_wrong_use_is_told_with_what_was_meant_and_where_to_look(plain_knowflow, arguments, told):
    done = plain_knowflow.run(*arguments)

    first, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert done.stdout == ""
    assert told[0] in first
    assert last == told[1]


def test_the_version_is_that_of_the_package(plain_knowflow):
    from importlib.metadata import version

    assert plain_knowflow.run("--version").stdout.strip() == version("knowflow")
