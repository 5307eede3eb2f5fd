"""A technique is one small file: a toy one is added to a copy of the rooms by new files alone, and it runs."""

import json
import shutil
from pathlib import Path

import pytest

from feature_store.database import Store
from feature_store.releases import get_release, released_knowledge, released_lineage

ROOMS = (
    "sources",
    "prompts",
    "feature_store",
    "engines",
    "encoders",
    "llm_tasks",
    "tuning",
    "retrieval",
    "ctr",
    "evals",
    "app",
    "flows",
    "cli",
)
TECHNIQUE = '''"""Toy: what a large language model would shout about an item.

Paper:     none; this stands in a test.
Idea:      a technique needs a task file, a prompt file and a test, and no edit anywhere else.
Consumes:  items.
Produces:  one text and its vectors per item; as_of = the epoch.
Cost:      1 call an item.
Relations: kar_item asks in earnest.
Example:   knowflow plan --task toy
"""

from collections.abc import Iterator

from llm_tasks.pipeline.task import EPOCH, Inputs, Row, llm_task


@llm_task(entity="item", prompt="toy", encode=str.upper)
def toy(inputs: Inputs) -> Iterator[Row]:
    """One row an item."""
    for item in inputs.dataset.items.iter_rows(named=True):
        yield Row(item["item"], as_of=EPOCH, variables={"thing": item["title"]})
'''
PROMPT = """---
task: toy
version: 1
status: active
schema: {type: text}
sampling: {temperature: 0.0, max_tokens: 7}
---
# user
Shout about this {{ domain.noun }}: {{ thing }}
"""
NEW = {"llm_tasks/toy.py": TECHNIQUE, "prompts/toy/toy.v1.md": PROMPT}


def files(folder: Path) -> dict[str, bytes]:
    found = [path for room in ROOMS for path in (folder / room).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if "__pycache__" not in path.parts}


@pytest.fixture
def copy(knowflow, tmp_path):
    """A copy of the rooms with the toy's files added; the command line runs in it."""
    tree = tmp_path / "tree"
    for room in ROOMS:
        shutil.copytree(knowflow.root / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    before = files(tree)
    for name, content in NEW.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(content)
    after = files(tree)
    assert len(set(after) - set(before)) == len(NEW) <= 2  # this test is the third file
    assert {name: after[name] for name in before} == before  # and nothing was edited
    knowflow.environment["PYTHONPATH"] = knowflow.environment["PYTHONPATH"].replace(str(knowflow.root), str(tree), 1)
    knowflow.root = tree
    return knowflow


def test_a_toy_technique_runs_through_plan_and_refresh_with_two_new_files_and_no_edit(make_shop, copy):
    shop = make_shop(tasks={"item_facts": {}})

    planned = copy.run_apart("plan", "--config", str(shop.config), "--task", "toy", "--json")
    refreshed = copy.run_apart("refresh", "--config", str(shop.config), "--task", "toy", "--json")

    (plan,) = json.loads(planned.stdout)["tasks"]
    assert (plan["task"], plan["prompt"], plan["rows"], plan["calls"]) == ("toy", "toy.v1", 12, 12)
    assert plan["output_tokens_at_most"] == 12 * 7
    assert refreshed.returncode == 0, refreshed.stderr
    (asked,) = json.loads(refreshed.stdout)["tasks"]
    assert (asked["calls"], asked["answered"], asked["input_tokens"]) == (12, 12, plan["input_tokens"])
    store = Store(shop.folder / "runs" / "store")
    release = get_release(store)
    knowledge = released_knowledge(store, release, "toy", "lexical")
    assert knowledge.vectors.shape == (12, 4)
    assert sorted(knowledge.entities.tolist()) == sorted(f"i{place}" for place in range(12))
    assert all(text == text.upper() and text for text in released_lineage(store, release, ["toy"])["text"])


@pytest.mark.slow(reason="a refresh and a training as processes, for the tree is a copy")
def test_a_toy_technique_is_an_arm_of_its_own_in_train(compared, copy):
    compared.configure(tasks={**compared.settings["tasks"], "toy": {"encoders": ["lexical"]}})
    refreshed = copy.run_apart("refresh", "--config", str(compared.config), "--task", "toy", "--json")
    trained = copy.run_apart("train", "--config", str(compared.config), "--arms", "base,toy", "--json")

    assert refreshed.returncode == trained.returncode == 0, refreshed.stderr + trained.stderr
    result = json.loads(trained.stdout)
    assert list(result["arms"]) == ["base", "toy"]
    assert len(result["arms"]["toy"]["all"]["auc"]["values"]) == 2  # seeds
    assert set(result["gains"]["toy"]) == {"base"}
    assert result["arms"]["toy"]["all"]["auc"]["values"] != result["arms"]["base"]["all"]["auc"]["values"]


def test_a_toy_technique_stands_beside_the_others_when_none_is_named(make_shop, copy):
    shop = make_shop(tasks={})

    planned = copy.run_apart("plan", "--config", str(shop.config), "--json")

    assert planned.returncode == 0, planned.stderr
    assert {"toy", "kar_item", "kar_user", "item_facts"} <= {
        task["task"] for task in json.loads(planned.stdout)["tasks"]
    }
