"""Arms: what is compared. Each says which vectors enter by which adapters; the controls follow from the real arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ctr.faults import UnknownArm
from feature_store.knowledge import Knowledge

FACTS = "item_facts"
"""The task whose text is the catalogue's own, without a model's answer."""
COMPARED = f"{FACTS}/dense"
"""The vectors of items by which an arm finds examples that are like a sample."""
Disturbance = Literal["none", "shuffled", "random", "reasonings_shuffled", "reasonings_left_out", "examples_by_chance"]


@dataclass(frozen=True)
class Use:
    """One adapter, fed with some vectors."""

    adapter: str
    """Name of the adapter."""
    vectors: tuple[str, ...]
    """What it reads: `task/encoder` each."""


@dataclass(frozen=True)
class Arm:
    """One way to build the model."""

    name: str
    """Name in every table."""
    about: str
    """What it is, in one sentence."""
    uses: tuple[Use, ...] = ()
    """The adapters; none is the plain backbone."""
    disturbance: Disturbance = "none"
    """What is done to the vectors before they enter."""
    learns: bool = True
    """Whether a model is trained at all."""

    @property
    def vectors(self) -> tuple[str, ...]:
        """All vectors the arm reads, each once."""
        return tuple(dict.fromkeys(name for use in self.uses for name in use.vectors))


CONSTANT = Arm(
    "constant",
    "The share of clicks among the training rows, the same for every row: what any model must beat.",
    learns=False,
)
BASE = Arm("base", "The backbone alone: ids, categories, history, leak-free statistics; no text at all.")
KNOWLEDGE = Arm(
    "knowledge",
    "The model's answers about items, as similarity to the history, as text quality and as taste, beside the facts.",
    (
        Use("similarity", (f"{FACTS}/dense", "kar_item/lexical", "kar_item/dense")),
        Use("quality", ("kar_item/lexical",)),
        Use("taste", (f"{FACTS}/dense", f"{FACTS}/lexical", "kar_item/dense", "kar_item/lexical")),
    ),
)
KAR = Arm(
    "kar",
    "KAR's hybrid experts on user and item answers, as the paper has them (dense vectors, mean pooling).",
    (Use("hybrid_experts", ("kar_user/dense", "kar_item/dense")),),
)


LLM_CF = Arm(
    "llm-cf",
    "LLM-CF's decoder over like events of the past, each with the model's reasoning and its label.",
    (Use("in_context", ("cot_examples/dense", COMPARED)),),
)
TUNED = "note_embed/note"
"""The vectors of items by an encoder that was tuned on what the same people choose, named `note` in knowflow.yaml."""
NOTELLM = Arm(
    "notellm",
    "NoteLLM's vectors of items, as similarity to the history (beside the catalogue's facts) and as text quality.",
    (Use("similarity", (COMPARED, TUNED)), Use("quality", (TUNED,))),
)


COMPARED_ARMS = (CONSTANT.name, BASE.name, "facts", KNOWLEDGE.name, "shuffled", "random")
"""What is compared unless arms are named: what any model must beat, the arm that is judged, and its controls."""


def arms_of(knowledge: Arm = KNOWLEDGE) -> dict[str, Arm]:
    """All arms by name, in the order of the report: KAR's (docs/explanation/kar.md, K9), LLM-CF's, then NoteLLM's."""
    shuffled = "The knowledge arm with its texts shuffled across items: the same vectors, all of them wrong."
    random = "The knowledge arm with random vectors."
    arms = [
        CONSTANT,
        BASE,
        as_facts(knowledge),
        knowledge,
        replace(knowledge, name="shuffled", about=shuffled, disturbance="shuffled"),
        replace(knowledge, name="random", about=random, disturbance="random"),
        KAR,
        *example_arms(LLM_CF),
        *tuned_arms(NOTELLM),
    ]
    return {arm.name: arm for arm in arms}


def example_arms(arm: Arm) -> list[Arm]:
    """An arm that shows examples, the same beside KAR, and its controls: what is it in an example that helps?"""
    shuffled = "llm-cf with the reasonings shuffled across its examples: the same texts, each with the wrong event."
    labels = "llm-cf without any reasoning: the examples' fields and labels alone."
    chance = "llm-cf with examples drawn by chance instead of like ones, as old and as balanced."
    both = Arm(f"{KAR.name}+{arm.name}", "KAR's hybrid experts and llm-cf's decoder side by side.", KAR.uses + arm.uses)
    return [
        arm,
        both,
        replace(arm, name=f"{arm.name}-shuffled", about=shuffled, disturbance="reasonings_shuffled"),
        replace(arm, name=f"{arm.name}-labels", about=labels, disturbance="reasonings_left_out"),
        replace(arm, name=f"{arm.name}-random", about=chance, disturbance="examples_by_chance"),
    ]


def tuned_arms(arm: Arm) -> list[Arm]:
    """An arm of a tuned encoder's vectors and its controls: is it the tuning that helps, or any vector of an item?"""
    facts = (
        "The same adapters as notellm, fed with the frozen encoder's vectors of title and fields: nothing was tuned."
    )
    shuffled = "The notellm arm with its texts shuffled across items: the same vectors, all of them wrong."
    random = "The notellm arm with random vectors, known from the same moment on."
    frozen = tuple(
        Use(use.adapter, tuple(dict.fromkeys(COMPARED if name == TUNED else name for name in use.vectors)))
        for use in arm.uses
    )
    return [
        arm,
        Arm(f"{arm.name}-facts", facts, frozen),
        replace(arm, name=f"{arm.name}-shuffled", about=shuffled, disturbance="shuffled"),
        replace(arm, name=f"{arm.name}-random", about=random, disturbance="random"),
    ]


def as_facts(arm: Arm) -> Arm:
    """The control without a model's answer: the same adapters, fed with the catalogue's own text."""
    uses = []
    for use in arm.uses:
        vectors = (f"{FACTS}/{name.split('/')[1]}" for name in use.vectors)
        uses.append(Use(use.adapter, tuple(dict.fromkeys(vectors))))
    about = "The same adapters as the knowledge arm, fed with title and fields alone: no model was asked."
    return Arm("facts", about, tuple(uses))


def arm_of_task(task: str, entity: str, encoders: Sequence[str]) -> Arm:
    """The arm of a single technique: similarity and quality for items, concatenation for users, examples for events.

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


def choose_arms(names: Sequence[str] | None, tasks: Mapping[str, tuple[str, Sequence[str]]]) -> list[Arm]:
    """Take arms by name; `COMPARED_ARMS` when none is named.

    Args:
        names: Names of arms, or of techniques.
        tasks: Technique -> what its rows are about, and the encoders its vectors were made with; one about queries
            is no arm, for no sample is about a query.

    Raises:
        UnknownArm: A name is neither.
    """
    known = arms_of()
    own = {
        task: arm_of_task(task, entity, encoders)
        for task, (entity, encoders) in tasks.items()
        if encoders and entity in ("item", "user", "event")
    }
    wanted = COMPARED_ARMS if names is None else list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in known and name not in own]
    if unknown:
        raise UnknownArm(unknown, [*known, *own])
    return [known.get(name) or own[name] for name in wanted]


def disturb(knowledge: Knowledge, disturbance: Disturbance, seed: int = 0) -> Knowledge:
    """Shuffle vectors across rows, or replace them by random ones or by zeros; what is about whom stays.

    All encoders of a task are shuffled alike: texts move, not vectors. Random vectors are independent of each other.
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
        noise = random.standard_normal(knowledge.vectors.shape, dtype=np.float32)
        return replace(knowledge, vectors=noise / np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-9))
    return knowledge
