"""Every example of CONTRIBUTING and of the how-to pages is a plug-in that is found and works."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from prompt_world import World

from base.plugins import find
from ctr.adapters.catalogue import ADAPTERS
from ctr.backbones.protocol import BACKBONES
from ctr.compare import train_arm
from ctr.config import TrainConfig
from ctr.controls import choose_arms
from encoders.choose import ENCODERS
from engines.choose import ENGINES
from evals.lists import MISSED, Lists
from evals.measures.protocol import MEASURES
from llm_tasks.pipeline.catalogue import TECHNIQUES
from prompts.library import Library, choose_prompt
from recommenders.log import Log
from recommenders.protocol import RECOMMENDERS
from tuning.optimiser import OPTIMISERS
from tuning.recipe import RECIPES
from tuning.search import run_search

ROOT = Path(__file__).parents[2]
PAGES = ("CONTRIBUTING.md", "docs/how-to/own-engine.md", "docs/how-to/tune.md")
WANTED = {
    TECHNIQUES: "audience",
    ADAPTERS: "known",
    BACKBONES: "dense-values",
    RECOMMENDERS: "newest",
    MEASURES: "first",
    ENGINES: "shouting",
    ENCODERS: "hashed",
    RECIPES: "count",
    OPTIMISERS: "worst",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The blocks of the pages as files of a team's own folder."""
    at = tmp_path_factory.mktemp("ours")
    for page in PAGES:
        text = re.sub(r"^   ", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
        for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)):
            (at / f"{Path(page).stem.replace('-', '_').lower()}_{number}.py").write_text(block, encoding="utf-8")
        for block in re.findall(r"^```\n(---\ntask: audience\n.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            (at / "audience.v1.md").write_text(block, encoding="utf-8")
    return at


@pytest.mark.parametrize("kind", WANTED, ids=lambda kind: kind.word)
def test_there_is_an_example_of_every_kind_of_plug_in(kind, folder):
    assert WANTED[kind] in find(kind, (folder,))
    assert WANTED[kind] not in find(kind)


def test_the_example_s_prompt_is_found(folder):
    assert choose_prompt("audience", None, Library((folder,))).variables == {"input"}


def test_the_example_s_arm_trains_with_its_adapter_and_backbone_and_has_controls(folder):
    world = runpy.run_path(str(ROOT / "tests" / "ctr" / "conftest.py"))
    samples = world["made_samples"]()
    tasks = {"kar_item": ("item", ["dense"])}
    arms = choose_arms(["known-items", "known-items-shuffled"], tasks, [folder])
    config = TrainConfig(backbone="dense-values", search=(), rolling=(), seeds=(0,))
    known = {"kar_item/dense": world["made_knowledge"](samples)}

    results = [train_arm(arm, known, samples, config, plugins=[folder]) for arm in arms]

    assert all(np.isfinite(one.test).all() and one.test.std() > 0 for one in results)


def test_the_example_s_measure_is_the_share_of_first_items_that_are_wanted(folder):
    measure = find(MEASURES, (folder,))["first"]
    # Query 0 wants items 1 and 3 and is given 3 first; query 1 wants 1 and is given 2 and 0.
    lists = Lists(np.array([[3, 1], [2, 0]]), np.array([0, 0, 1]), np.array([1, 0, MISSED]), np.ones(4))

    np.testing.assert_array_equal(measure.value(lists, 2), [1.0, 0.0])


def test_the_example_s_recommender_names_the_items_that_came_last(folder):
    log = Log(
        user=np.array(["a", "b", "a"]),
        item=np.array([2, 0, 2]),
        time=np.array(["2024-01-01", "2024-01-02", "2024-01-03"], dtype="datetime64[us]"),
        rating=np.full(3, 5.0, dtype=np.float32),
        label=np.ones(3, dtype=np.float32),
    )
    fitted = find(RECOMMENDERS, (folder,))["newest"].fit(SimpleNamespace(items=range(3), log=log), None)

    assert fitted.first.tolist() == [1.0, -1.0, 0.0]


def test_the_example_s_optimiser_searches_within_its_budget(folder):
    world, optimiser = World(tokens=60_000), find(OPTIMISERS, (folder,))["worst"]

    found = run_search(optimiser, world.problem(), optimiser.options(), 0)

    assert len(found.search.candidates) > 2
    assert world.used <= 60_000
