"""Arms: the controls follow from the knowledge arm, and what disturbs vectors leaves the rest alone."""

from dataclasses import replace

import numpy as np
import pytest

from base.plugins import UnknownPlugin
from ctr.adapters.catalogue import find_adapters
from ctr.arms.base import BASE
from ctr.arms.kar_llm_cf import BOTH
from ctr.compare import prepare_views, train_arm
from ctr.config import TrainConfig
from ctr.controls import COMPARED_ARMS, arm_of_task, arms_of, as_facts, choose_arms, controls_of, disturb
from llm_tasks.cot_examples import LLM_CF
from llm_tasks.kar_item import KNOWLEDGE
from llm_tasks.kar_user import KAR
from llm_tasks.note_embed import NOTELLM
from llm_tasks.pipeline.arm import FACTS, Arm, Use

ABOUT = {"item_facts": "item", "kar_item": "item", "note_embed": "item", "kar_user": "user", "cot_examples": "event"}
TASKS = {
    "kar_item": ("item", ["dense", "lexical"]),
    "kar_user": ("user", ["dense"]),
    "rewrite": ("query", ["dense"]),
    "cot_examples": ("event", ["dense", "lexical"]),
    "new": ("item", []),
}


def test_every_declared_arm_has_controls_and_the_default_comparison_is_among_them():
    arms = arms_of()

    assert {*COMPARED_ARMS, "kar", "llm-cf", "kar+llm-cf", "notellm"} <= set(arms)
    assert [name for name, arm in arms.items() if not arm.learns] == ["constant"]
    assert all(arm.name == name and len(arm.about) > 20 for name, arm in arms.items())
    assert arms["base"].uses == ()
    assert {use.adapter for arm in arms.values() for use in arm.uses} <= set(find_adapters())
    assert {name for name in arms if name.startswith("kar-")} == {"kar-shuffled", "kar-random"}  # users have no facts
    assert {arms[name].disturbance for name in ("base", "facts", "knowledge", "kar", "notellm-facts")} == {"none"}


@pytest.mark.parametrize("arm", [KNOWLEDGE, NOTELLM, KAR])
def test_wrong_and_random_vectors_enter_by_the_same_adapters(arm):
    begin = "" if arm is KNOWLEDGE else f"{arm.name}-"
    controls = {one.name: one for one in controls_of(arm, ABOUT)}

    for kind in ("shuffled", "random"):
        assert controls[f"{begin}{kind}"].uses == arm.uses
        assert controls[f"{begin}{kind}"].disturbance == kind


def test_controls_of_an_arm_that_shows_examples_differ_from_it_in_what_is_disturbed_alone():
    controls = controls_of(LLM_CF, ABOUT)

    assert {one.name: one.disturbance for one in controls} == {
        "llm-cf-shuffled": "reasonings_shuffled",
        "llm-cf-labels": "reasonings_left_out",
        "llm-cf-random": "examples_by_chance",
    }
    assert all(one.uses == LLM_CF.uses and len(one.about) > 20 for one in controls)
    assert BOTH.uses == KAR.uses + LLM_CF.uses


def test_facts_has_as_many_views_as_the_arm_it_controls():
    facts = as_facts(KNOWLEDGE, "facts")

    assert [use.adapter for use in facts.uses] == [use.adapter for use in KNOWLEDGE.uses]
    assert [len(use.vectors) for use in facts.uses] == [len(use.vectors) for use in KNOWLEDGE.uses]
    assert set(facts.vectors) == {f"{FACTS}/dense", f"{FACTS}/lexical"}
    # Each with the encoder of the vectors that it stands for.
    arm = Arm("a", "", (Use("concat", ("kar_item/lexical", f"{FACTS}/dense", "other/lexical")),))
    assert as_facts(arm, "f").uses == (Use("concat", (f"{FACTS}/lexical", f"{FACTS}/dense", f"{FACTS}/lexical")),)
    # The frozen encoder's vectors stand for those of a tuned one.
    assert as_facts(NOTELLM, "f").uses == (
        Use("similarity", ("item_facts/dense", "item_facts/dense")),
        Use("quality", ("item_facts/dense",)),
    )


def test_vectors_that_are_named_twice_are_two_views(world, samples):
    known = {"item_facts/dense": world.knowledge(samples)}
    arm = Arm("a", "", (Use("similarity", ("item_facts/dense", "item_facts/dense")),))

    views = prepare_views(arm, known, samples, 3)["0_similarity"]
    once = prepare_views(Arm("a", "", (Use("similarity", ("item_facts/dense",)),)), known, samples, 3)["0_similarity"]

    assert isinstance(views, dict)
    assert isinstance(once, dict)
    assert len(views) == 2 * len(once)
    np.testing.assert_array_equal(*(view.table for view in views.values()))


ADAPTER = """
from ctr.adapters.concat import ADAPTER
from dataclasses import replace
from ctr.backbones.dcnv2 import DCNv2
from ctr.backbones.protocol import Backbone
from llm_tasks.pipeline.arm import Arm, Use
TOY = replace(ADAPTER, name="toy")
SHALLOW = Backbone("shallow", "a toy", lambda fields, width, dense: DCNv2(fields, width, dense, 1, (4,)))
MINE = Arm("mine", "A toy arm of a team's own, fed by a toy adapter.", (Use("toy", ("kar_item/dense",)),))
"""


def test_a_team_s_adapter_backbone_and_arm_are_found_with_their_controls(tmp_path, world, samples):
    (tmp_path / "mine.py").write_text(ADAPTER)
    arms = choose_arms(["mine", "mine-facts", "mine-shuffled"], TASKS, [tmp_path])
    known = {f"{task}/dense": world.knowledge(samples) for task in ("kar_item", "item_facts")}
    config = TrainConfig(backbone="shallow", search=(), rolling=(), seeds=(0,))

    results = [train_arm(arm, known, samples, config, plugins=[tmp_path]) for arm in arms]

    assert [arm.uses for arm in arms] == [
        (Use("toy", ("kar_item/dense",)),),
        (Use("toy", ("item_facts/dense",)),),
        (Use("toy", ("kar_item/dense",)),),
    ]
    assert all(np.isfinite(one.test).all() and one.test.std() > 0 for one in results)
    for what, named in (("adapter", {}), ("backbone", {"backbone": "shallow"})):
        with pytest.raises(
            (UnknownPlugin, KeyError), match=r"toy|no such backbone: shallow\n  there are: blend, dcnv2"
        ):
            train_arm(arms[0], known, samples, TrainConfig(search=(), rolling=(), **named))
        assert what


def test_an_arm_names_each_vector_once():
    assert KNOWLEDGE.vectors == (f"{FACTS}/dense", "kar_item/lexical", "kar_item/dense", f"{FACTS}/lexical")
    assert BASE.vectors == ()


def test_a_technique_is_an_arm_of_its_own():
    of_item, of_user = arm_of_task("kar_item", *TASKS["kar_item"]), arm_of_task("kar_user", *TASKS["kar_user"])

    both = ("kar_item/dense", "kar_item/lexical")
    assert of_item.uses == (Use("similarity", both), Use("quality", both))
    assert of_user.uses == (Use("concat", ("kar_user/dense",)),)
    assert (of_item.name, of_user.name) == ("kar_item", "kar_user")
    of_event = arm_of_task("cot_examples", *TASKS["cot_examples"])
    compared = f"{FACTS}/dense"
    assert of_event.uses == (
        Use("in_context", ("cot_examples/dense", compared)),
        Use("in_context", ("cot_examples/lexical", compared)),
    )


def test_arms_are_chosen_by_name_each_once():
    assert [arm.name for arm in choose_arms(["kar_user", "base", "kar_user"], TASKS)] == ["kar_user", "base"]
    assert choose_arms([], TASKS) == []


def test_a_comparison_without_names_is_of_the_knowledge_arm_and_its_controls():
    few = ["constant", "base", "facts", "knowledge", "shuffled", "random"]

    assert [arm.name for arm in choose_arms(None, TASKS)] == few
    assert [arm.name for arm in choose_arms(["llm-cf"], {})] == ["llm-cf"]  # by name: told what is lacking


def test_unknown_arms_are_told_with_those_there_are():
    # A technique about queries, or one without vectors, is no arm.
    with pytest.raises(
        UnknownPlugin,
        match=r"no such arm: nope, rewrite, new\n  there are: kar_item, kar_user, cot_examples, constant, base, .*, notellm, .*and NAME-shuffled",
    ) as caught:
        choose_arms(["base", "nope", "rewrite", "new"], TASKS)

    assert caught.value.names == ("nope", "rewrite", "new")


@pytest.fixture
def dense(world, samples):
    return world.knowledge(samples)


@pytest.mark.parametrize("how", ["shuffled", "random"])
def test_a_disturbance_keeps_who_and_when_and_is_the_same_every_time(dense, how):
    vectors = dense.vectors.copy()

    one, two = disturb(dense, how), disturb(dense, how)

    assert one.entities is dense.entities
    assert one.as_of is dense.as_of
    assert (one.task, one.encoder, one.entity) == (dense.task, dense.encoder, dense.entity)
    np.testing.assert_array_equal(one.vectors, two.vectors)
    np.testing.assert_array_equal(dense.vectors, vectors)  # what was given stays
    assert (one.vectors != vectors).any(axis=1).mean() > 0.8
    assert (disturb(dense, how, seed=1).vectors != one.vectors).any()
    assert one.vectors.dtype == np.float32


def test_both_encoders_of_a_technique_are_shuffled_alike(world, samples, dense):
    lexical = world.knowledge(samples, encoder="lexical")

    moved = [disturb(one, "shuffled").vectors for one in (dense, lexical)]

    place = [np.flatnonzero((dense.vectors == row).all(axis=1))[0] for row in moved[0]]
    assert sorted(place) == list(range(len(dense.vectors)))  # every text once
    np.testing.assert_array_equal(moved[1], lexical.vectors[place])


def test_random_vectors_have_length_one_and_are_independent_of_each_other(dense):
    one = disturb(dense, "random").vectors
    other = disturb(replace(dense, encoder="lexical"), "random").vectors

    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-6)
    assert one.shape == dense.vectors.shape
    assert np.abs((one * other).sum(1)).mean() < 0.8
    assert np.abs(one.mean(0)).max() < 0.5


def test_shuffled_reasonings_go_to_other_events_and_what_examples_are_found_by_stays(world, samples, dense):
    reasonings = world.examples(samples)

    moved = disturb(reasonings, "reasonings_shuffled")

    assert moved.entities is reasonings.entities
    assert moved.as_of is reasonings.as_of
    place = [np.flatnonzero((reasonings.vectors == row).all(axis=1))[0] for row in moved.vectors]
    assert sorted(place) == list(range(len(place)))
    assert np.mean(np.array(place) != np.arange(len(place))) > 0.8
    assert disturb(dense, "reasonings_shuffled") is dense


def test_reasonings_left_out_are_zeros_and_what_examples_are_found_by_stays(world, samples, dense):
    reasonings = world.examples(samples)

    without = disturb(reasonings, "reasonings_left_out")

    assert without.entities is reasonings.entities
    assert without.vectors.shape == reasonings.vectors.shape
    assert (without.vectors == 0).all()
    assert disturb(dense, "reasonings_left_out") is dense


def test_examples_drawn_by_chance_keep_their_reasonings(world, samples, dense):
    reasonings = world.examples(samples)

    assert disturb(reasonings, "examples_by_chance") is reasonings
    assert disturb(dense, "examples_by_chance") is dense


def test_no_disturbance_leaves_vectors_alone(dense):
    assert disturb(dense, "none") is dense
