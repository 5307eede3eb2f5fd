"""Arms: the controls follow from the knowledge arm, and what disturbs vectors leaves the rest alone."""

from dataclasses import replace

import numpy as np
import pytest

from ctr.adapters.catalogue import find_adapters
from ctr.arms import (
    BASE,
    FACTS,
    KAR,
    KNOWLEDGE,
    LLM_CF,
    NOTELLM,
    Arm,
    Use,
    arm_of_task,
    arms_of,
    as_facts,
    choose_arms,
    disturb,
    example_arms,
    tuned_arms,
)
from ctr.faults import UnknownArm

EXAMPLE_ARMS = ["llm-cf", "kar+llm-cf", "llm-cf-shuffled", "llm-cf-labels", "llm-cf-random"]
TUNED_ARMS = ["notellm", "notellm-facts", "notellm-shuffled", "notellm-random"]
TASKS = {
    "kar_item": ("item", ["dense", "lexical"]),
    "kar_user": ("user", ["dense"]),
    "rewrite": ("query", ["dense"]),
    "cot_examples": ("event", ["dense", "lexical"]),
    "new": ("item", []),
}


def test_a_full_comparison_has_all_controls_in_order():
    arms = arms_of()

    few = ["constant", "base", "facts", "knowledge", "shuffled", "random"]
    assert list(arms) == [*few, "kar", *EXAMPLE_ARMS, *TUNED_ARMS]
    assert [name for name, arm in arms.items() if not arm.learns] == ["constant"]
    assert all(arm.name == name and len(arm.about) > 20 for name, arm in arms.items())
    assert arms["base"].uses == ()
    assert {use.adapter for arm in arms.values() for use in arm.uses} <= set(find_adapters())
    for name in ("shuffled", "random"):  # the same adapters and vectors, disturbed
        assert arms[name].uses == arms["knowledge"].uses
        assert arms[name].disturbance == name
    assert {arms[name].disturbance for name in ("base", "facts", "knowledge", "kar")} == {"none"}


def test_controls_of_the_example_arm_differ_from_it_in_what_is_disturbed_alone():
    arms = {arm.name: arm for arm in example_arms(LLM_CF)}

    assert list(arms) == EXAMPLE_ARMS
    assert arms["llm-cf"] is LLM_CF
    assert arms["kar+llm-cf"].uses == KAR.uses + LLM_CF.uses
    assert {name: arm.disturbance for name, arm in arms.items()} == {
        "llm-cf": "none",
        "kar+llm-cf": "none",
        "llm-cf-shuffled": "reasonings_shuffled",
        "llm-cf-labels": "reasonings_left_out",
        "llm-cf-random": "examples_by_chance",
    }
    assert all(arms[name].uses == LLM_CF.uses for name in EXAMPLE_ARMS[2:])
    assert all(len(arm.about) > 20 for arm in arms.values())


def test_controls_of_the_tuned_encoder_s_arm_differ_from_it_in_the_vectors_alone():
    arms = {arm.name: arm for arm in tuned_arms(NOTELLM)}

    assert list(arms) == TUNED_ARMS
    assert arms["notellm"] is NOTELLM
    assert NOTELLM.vectors == ("item_facts/dense", "note_embed/note")
    # The same adapters, each with the frozen encoder's vectors in place of the tuned one's.
    assert arms["notellm-facts"].uses == (
        Use("similarity", ("item_facts/dense",)),
        Use("quality", ("item_facts/dense",)),
    )
    assert [arm.disturbance for arm in arms.values()] == ["none", "none", "shuffled", "random"]
    assert all(arms[name].uses == NOTELLM.uses for name in TUNED_ARMS[2:])


def test_facts_is_the_knowledge_arm_with_the_catalogue_s_own_text():
    facts = as_facts(KNOWLEDGE)

    assert [use.adapter for use in facts.uses] == [use.adapter for use in KNOWLEDGE.uses]
    assert facts.vectors == (f"{FACTS}/dense", f"{FACTS}/lexical")
    assert all(name.startswith(f"{FACTS}/") for name in facts.vectors)
    # Each encoder that the knowledge arm's use reads, once, in order.
    arm = Arm("a", "", (Use("concat", ("kar_item/lexical", f"{FACTS}/dense", "other/lexical")),))
    assert as_facts(arm).uses == (Use("concat", (f"{FACTS}/lexical", f"{FACTS}/dense")),)


def test_controls_follow_another_knowledge_arm():
    mine = Arm("knowledge", "mine", (Use("quality", ("mine/lexical",)),))

    arms = arms_of(mine)

    assert arms["facts"].uses == (Use("quality", (f"{FACTS}/lexical",)),)
    assert arms["random"].uses == arms["shuffled"].uses == mine.uses


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
        UnknownArm,
        match=r"no such arm: nope, rewrite, new\n  there are: constant, base, .*, kar_item, kar_user, cot_examples$",
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
