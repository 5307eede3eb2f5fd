"""All arms, and the controls of any arm (inputs that must not help), made by one function.

An arm NAME has these controls, called NAME-facts and so on:

- facts: the same adapters with as many views, fed with title and fields only; for arms that read only vectors of
  items
- shuffled: the same vectors and codes, each with the wrong entity; of an arm that shows examples, the wrong event
- random: random vectors and codes; an arm that shows examples draws these by chance instead
- labels: the examples without their reasonings; for arms that show examples
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from base.plugins import Kind, UnknownPlugin, find
from feature_store.lineage import VectorName
from feature_store.vectors import Knowledge
from llm_tasks.pipeline.arm import COMPARED, FACTS, Arm, Disturbance, Use
from llm_tasks.pipeline.catalogue import find_tasks

ARMS = Kind("arm", ("ctr.arms", "llm_tasks", "recommenders"), Arm)
COMPARED_ARMS = ("constant", "base", "facts", "knowledge", "shuffled", "random")
"""The default arms: what any model must beat, the main arm, and its controls."""


def arms_of(plugins: Sequence[Path] = ()) -> dict[str, Arm]:
    """Return all declared arms by name, each followed by its controls.

    Args:
        plugins: Folders of a team's own plug-ins.
    """
    entities, declared = entities_of(plugins), find(ARMS, plugins).values()
    return {one.name: one for arm in declared for one in (arm, *controls_of(arm, entities))}


def entities_of(plugins: Sequence[Path] = ()) -> dict[str, str]:
    """What the rows of each technique are about, by its name."""
    return {name: task.entity for name, task in find_tasks(plugins).items()}


def controls_of(arm: Arm, entities: Mapping[str, str]) -> list[Arm]:
    """Make the controls of an arm; an arm that reads neither vectors nor codes has none.

    Args:
        arm: Any arm.
        entities: Technique -> what its rows are about.
    """
    about = [entities.get(VectorName.read(name).technique) for name in arm.vectors]
    if not about and not arm.codes:
        return []
    name, begin = arm.name, f"{arm.name}-" if arm.controls is None else arm.controls

    def control(kind: str, says: str, disturbance: Disturbance) -> Arm:
        return replace(arm, name=f"{begin}{kind}", about=says, disturbance=disturbance, controls=None)

    if "event" in about:
        shuffled = (
            f"{name} with the reasonings shuffled across its examples: the same texts, each with the wrong event."
        )
        labels = f"{name} without any reasoning: the examples' fields and labels alone."
        chance = f"{name} with examples drawn by chance instead of like ones, as old and as balanced."
        return [
            control("shuffled", shuffled, "reasonings_shuffled"),
            control("labels", labels, "reasonings_left_out"),
            control("random", chance, "examples_by_chance"),
        ]
    whose = " and ".join(sorted({f"{one}s" for one in about if one}))
    shuffled = f"The {name} arm with its texts shuffled across {whose}: the same vectors, all of them wrong."
    random = f"The {name} arm with random vectors, known from the same moments on."
    if arm.codes:
        shuffled = f"The {name} arm with what it reads shuffled: the same codes, each with the wrong one."
        random = f"The {name} arm with random codes, as many of each level and known from the same moments on."
    of_items = [as_facts(arm, f"{begin}facts")] if set(about) == {"item"} and not arm.codes else []
    return [*of_items, control("shuffled", shuffled, "shuffled"), control("random", random, "random")]


def as_facts(arm: Arm, name: str) -> Arm:
    """Make the control without a model's answer: the same adapters and as many views, fed with the catalogue's text."""
    uses = []
    for use in arm.uses:
        vectors = (arm.facts.get(one) or f"{FACTS}/{VectorName.read(one).encoder}" for one in use.vectors)
        uses.append(Use(use.adapter, tuple(vectors)))
    about = f"The same adapters as the {arm.name} arm, fed with title and fields alone: no model was asked."
    return Arm(name, about, tuple(uses))


def fitted_to(there: Collection[str], plugins: Sequence[Path] = ()) -> dict[str, Arm]:
    """Let the arms of the usual comparison read what there is: an encoder may be off, or off for one technique.

    Args:
        there: The vectors there are, each as `task/encoder`.
        plugins: Folders of a team's own plug-ins.

    Returns:
        The arms of `COMPARED_ARMS` that can be trained, by name: the knowledge arm without what is missing, and its
        controls made of that, so that they have as many views.
    """
    arms = arms_of(plugins)
    found = {name: arms[name] for name in COMPARED_ARMS if not arms[name].vectors}
    whole = arms["knowledge"]
    own = {name for name in whole.vectors if VectorName.read(name).technique != FACTS}
    kept = (replace(use, vectors=tuple(name for name in use.vectors if name in there)) for use in whole.uses)
    arm = replace(whole, uses=tuple(use for use in kept if use.vectors))
    made = [arm, *controls_of(arm, entities_of(plugins))] if own & set(arm.vectors) else []
    found |= {one.name: one for one in made if set(one.vectors) <= set(there)}
    return {name: found[name] for name in COMPARED_ARMS if name in found}


def lacking(there: Collection[str], plugins: Sequence[Path] = ()) -> list[str]:
    """Say what the arms of the usual comparison go without, one sentence each."""
    arms, fitted, found = arms_of(plugins), fitted_to(there, plugins), []
    for name in COMPARED_ARMS:
        if name not in fitted:
            found.append(f"arm {name} is left out: there are no vectors of {', '.join(arms[name].vectors)}")
        elif missing := [one for one in arms[name].vectors if one not in fitted[name].vectors]:
            found.append(f"arm {name} goes without {', '.join(missing)}")
    return found


def arm_of_task(task: str, entity: str, encoders: Sequence[str]) -> Arm:
    """Make the arm of one technique: similarity and quality for items, concatenation for users, examples for events.

    Args:
        task: Name of the technique; also the arm's.
        entity: What its rows are about.
        encoders: Encoders its vectors were made with.
    """
    vectors = tuple(f"{task}/{encoder}" for encoder in encoders)
    if entity == "item":
        uses = (Use("similarity", vectors), Use("quality", vectors))
        return Arm(task, f"The vectors of {task}, as similarity to the history and as text quality.", uses)
    if entity == "event":
        uses = tuple(Use("in_context", (one, COMPARED)) for one in vectors)
        return Arm(task, f"The events of {task}, shown to a decoder as examples.", uses)
    return Arm(task, f"The vectors of {task}, concatenated to the backbone's input.", (Use("concat", vectors),))


def choose_arms(
    names: Sequence[str] | None,
    tasks: Mapping[str, tuple[str, Sequence[str]]],
    plugins: Sequence[Path] = (),
    there: Collection[str] | None = None,
) -> list[Arm]:
    """Return arms by name; `COMPARED_ARMS` by default.

    Args:
        names: Names of arms, of techniques, or of controls of either.
        tasks: Technique -> what its rows are about, and the encoders its vectors were made with; one about queries
            is not an arm, because no sample is about a query.
        plugins: Folders of a team's own plug-ins.
        there: The vectors there are: the arms of the usual comparison read these alone, and are left out when they are
            not named and nothing is left of them; None = all.

    Raises:
        UnknownPlugin: A name is none of these.
        PluginFault: A file of the folders cannot be used.
    """
    known, entities = arms_of(plugins), {task: entity for task, (entity, _) in tasks.items()}
    own = [
        arm_of_task(task, entity, encoders)
        for task, (entity, encoders) in tasks.items()
        if encoders and entity in ("item", "user", "event")
    ]
    known = {one.name: one for arm in own for one in (arm, *controls_of(arm, entities))} | known
    fitted = fitted_to(there, plugins) if there is not None else {}
    known |= fitted
    usual = COMPARED_ARMS if there is None else tuple(fitted)
    wanted = usual if names is None else list(dict.fromkeys(names))
    if unknown := [name for name in wanted if name not in known]:
        plain = [*(arm.name for arm in own), *find(ARMS, plugins)]
        raise UnknownPlugin("arm", unknown, [*plain, "and NAME-shuffled, NAME-random and so on of each"])
    return [known[name] for name in wanted]


def fed(use: Use, knowledge: Mapping[str, Knowledge], disturbance: Disturbance) -> list[Knowledge]:
    """Return the disturbed inputs of one adapter of an arm; one that is named twice counts as two."""
    vectors = [disturb(knowledge[name], disturbance) for name in use.reads]
    before = [use.reads[:place].count(name) for place, name in enumerate(use.reads)]
    return [
        replace(one, encoder=f"{one.encoder}#{number + 1}") if number else one
        for one, number in zip(vectors, before, strict=True)
    ]


def disturb(knowledge: Knowledge, disturbance: Disturbance, seed: int = 0) -> Knowledge:
    """Shuffle vectors or codes across rows, or replace them by random ones or by zeros; what is about whom stays.

    All encoders of a task are shuffled alike: texts move, not vectors. Random vectors are independent of each other;
    random codes of a level are drawn from 0 to its highest code.
    Where reasonings are disturbed, vectors of items stay, so that the same examples are found.
    """
    reasonings = knowledge.entity == "event"
    if disturbance == "shuffled" or (disturbance == "reasonings_shuffled" and reasonings):
        place = np.random.default_rng(seed).permutation(len(knowledge.vectors))
        return replace(knowledge, vectors=knowledge.vectors[place])
    if disturbance == "reasonings_left_out" and reasonings:
        return replace(knowledge, vectors=np.zeros_like(knowledge.vectors))
    if disturbance == "random":
        random = np.random.default_rng([seed, *f"{knowledge.task}/{knowledge.encoder}".encode()])
        if np.issubdtype(knowledge.vectors.dtype, np.integer):
            above = knowledge.vectors.max(axis=0, initial=0) + 1
            return replace(knowledge, vectors=random.integers(0, above, knowledge.vectors.shape, dtype=np.int32))
        noise = random.standard_normal(knowledge.vectors.shape, dtype=np.float32)
        return replace(knowledge, vectors=noise / np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-9))
    return knowledge
