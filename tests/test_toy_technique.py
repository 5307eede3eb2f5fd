"""A technique is one small file: a toy one stands in a folder of a team's own, with its prompt and a domain, and it runs."""

import json
from typing import Any

import pytest

from feature_store.database import Store
from feature_store.releases import get_release, released_knowledge, released_lineage

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
status: live
schema: {type: text}
sampling: {temperature: 0.0, max_tokens: 7}
---
# user
Shout about this {{ domain.noun }}: {{ thing }}
"""
DOMAIN = """noun: toy
plural: toys
history: play history
item_factors: [colour]
user_factors: [colour]
name: "{{ title }}"
description: "{{ title }}"
"""
NEW = {"toy.py": TECHNIQUE, "prompts/toy.v1.md": PROMPT, "domains/toys.yaml": DOMAIN}


@pytest.fixture
def add(tmp_path_factory):
    """Add the toy to a shop: a folder of the team's own, named in its knowflow.yaml."""

    def to(shop: Any) -> None:
        folder = tmp_path_factory.mktemp("ours")
        for name, content in NEW.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        shop.configure(plugins=[str(folder)], domain="toys")

    return to


def test_a_toy_technique_runs_through_plan_and_refresh_from_a_folder_of_its_own(make_shop, add, knowflow):
    shop = make_shop(tasks={"item_facts": {}})
    add(shop)

    planned = knowflow.run("plan", "--config", str(shop.config), "--task", "toy", "--json")
    refreshed = knowflow.run("refresh", "--config", str(shop.config), "--task", "toy", "--json")

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


def test_a_toy_technique_is_an_arm_of_its_own_in_train(compared, add, knowflow):
    add(compared)
    compared.configure(domain="generic", tasks={**compared.settings["tasks"], "toy": {"encoders": ["lexical"]}})
    refreshed = knowflow.run("refresh", "--config", str(compared.config), "--task", "toy", "--json")
    trained = knowflow.run("train", "--config", str(compared.config), "--arms", "base,toy", "--json")

    assert refreshed.returncode == trained.returncode == 0, refreshed.stderr + trained.stderr
    result = json.loads(trained.stdout)
    assert list(result["arms"]) == ["constant", "base", "toy"]
    assert len(result["arms"]["toy"]["all"]["auc"]["values"]) == 2  # seeds
    assert set(result["gains"]["toy"]) == {"base", "constant"}
    assert result["arms"]["toy"]["all"]["auc"]["values"] != result["arms"]["base"]["all"]["auc"]["values"]


def test_a_toy_technique_stands_beside_the_others_when_none_is_named(make_shop, add, knowflow):
    shop = make_shop(tasks={})
    add(shop)

    planned = knowflow.run("plan", "--config", str(shop.config), "--json")

    assert planned.returncode == 0, planned.stderr
    assert {"toy", "kar_item", "kar_user", "item_facts"} <= {
        task["task"] for task in json.loads(planned.stdout)["tasks"]
    }
