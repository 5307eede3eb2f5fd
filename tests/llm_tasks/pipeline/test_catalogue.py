"""The catalogue: every technique is found without registration and says the same seven things about itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from base.plugins import UnknownPlugin
from llm_tasks.pipeline.catalogue import choose_tasks, find_tasks
from prompts.library import choose_prompt

TASKS = find_tasks()
LINES = ("Paper", "Idea", "Consumes", "Produces", "Cost", "Relations", "Example")
FOLDER = Path(__file__).resolve().parents[3] / "llm_tasks"


def section(doc: str, name: str) -> str:
    """What stands behind `Name:`, up to the next name, on one line."""
    match = re.search(rf"^{name}:\s+(.*?)(?=^[A-Z]\w+:|\Z)", doc, flags=re.DOTALL | re.MULTILINE)
    return " ".join(match[1].split()) if match else ""


def test_every_file_beside_the_rooms_is_one_technique_of_its_name():
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}

    assert files == set(TASKS)
    assert {"kar_item", "kar_user", "item_facts"} <= files


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_technique_s_docstring_holds_every_line_once_and_in_order(task):
    found = [name for name in re.findall(r"^([A-Z]\w+):", task.doc, flags=re.MULTILINE) if name in LINES]

    assert found == list(LINES)
    assert all(len(section(task.doc, name)) > 5 for name in LINES)
    assert task.doc.splitlines()[0].endswith(".")


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_technique_s_example_is_a_command_that_names_it(task):
    assert section(task.doc, "Example").startswith(f"knowflow plan --task {task.name}")


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_technique_that_asks_has_a_prompt_and_one_that_does_not_says_that_it_costs_no_call(task):
    if task.prompt is None:
        assert "no call" in section(task.doc, "Cost").lower()
    else:
        assert choose_prompt(task.prompt).variables


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_technique_s_lexical_space_and_relations_are_techniques(task):
    assert task.lexical_space in TASKS
    named = set(re.findall(r"\b(?:kar_\w+|item_facts)", section(task.doc, "Relations")))
    assert named - {task.name} <= set(TASKS)


def test_a_technique_imports_no_engine_store_flow_or_batch():
    for path in FOLDER.glob("*.py"):
        imported = re.findall(r"^(?:from|import) (\S+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert not [
            name
            for name in imported
            if re.match(r"llm_tasks\.(engine|encoders)|feature_store|flows|prefect|torch", name)
        ]


def test_names_that_are_no_technique_are_told_with_those_that_are():
    with pytest.raises(UnknownPlugin, match=r"no such task: kar_itme, x\n  there are: .*kar_item, kar_user"):
        choose_tasks(["kar_itme", "kar_item", "x"])


def test_tasks_are_taken_in_the_order_given_each_once():
    assert [task.name for task in choose_tasks(["kar_user", "kar_item", "kar_user"])] == ["kar_user", "kar_item"]
    assert [task.name for task in choose_tasks()] == sorted(TASKS)


def test_a_plan_needs_neither_torch_nor_prefect():
    program = (
        "import sys\nimport app.workplace\nfrom llm_tasks.pipeline.catalogue import find_tasks\nfind_tasks()\n"
        "print([name for name in ('torch', 'prefect', 'sklearn', 'sentence_transformers') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=FOLDER.parent, check=True
    )

    assert done.stdout.strip() == "[]"
