"""Arms: what is compared. Each says which vectors enter by which adapters; the controls follow from `knowledge`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ctr.faults import UnknownArm
from feature_store.knowledge import Knowledge

FACTS = "item_facts"
"""The task whose text is the catalogue's own, without a model's answer."""
Disturbance = Literal["none", "shuffled", "random"]


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

    @property
    def vectors(self) -> tuple[str, ...]:
        """All vectors the arm reads, each once."""
        return tuple(dict.fromkeys(name for use in self.uses for name in use.vectors))


BASE = Arm("base", "The backbone alone: ids, categories, history, leak-free statistics; no text at all.")
KNOWLEDGE = Arm(
    "knowledge",
    "The model's answers about items, as similarity to the history (beside the catalogue's facts) and as text quality.",
    (
        Use("similarity", (f"{FACTS}/dense", "kar_item/lexical", "kar_item/dense")),
        Use("quality", ("kar_item/lexical",)),
    ),
)
KAR = Arm(
    "kar",
    "KAR's hybrid experts on user and item answers, as the paper has them (dense vectors, mean pooling).",
    (Use("hybrid_experts", ("kar_user/dense", "kar_item/dense")),),
)


def arms_of(knowledge: Arm = KNOWLEDGE) -> dict[str, Arm]:
    """The arms of a full comparison (docs/explanation/kar.md, K9), in the order of the report."""
    shuffled = "The knowledge arm with its texts shuffled across items: the same vectors, all of them wrong."
    random = "The knowledge arm with random vectors."
    arms = [
        BASE,
        as_facts(knowledge),
        knowledge,
        replace(knowledge, name="shuffled", about=shuffled, disturbance="shuffled"),
        replace(knowledge, name="random", about=random, disturbance="random"),
        KAR,
    ]
    return {arm.name: arm for arm in arms}


def as_facts(arm: Arm) -> Arm:
    """The control without a model's answer: the same adapters, fed with the catalogue's own text."""
    uses = []
    for use in arm.uses:
        vectors = (f"{FACTS}/{name.split('/')[1]}" for name in use.vectors)
        uses.append(Use(use.adapter, tuple(dict.fromkeys(vectors))))
    about = "The same adapters as the knowledge arm, fed with title and fields alone: no model was asked."
    return Arm("facts", about, tuple(uses))


def arm_of_task(task: str, entity: str, encoders: Sequence[str]) -> Arm:
    """The arm of a single technique: similarity and quality for items, concatenation for users.

    Args:
        task: Name of the technique; also the arm's.
        entity: What its rows are about.
        encoders: Encoders its vectors were made with.
    """
    vectors = tuple(f"{task}/{encoder}" for encoder in encoders)
    if entity == "item":
        uses = (Use("similarity", vectors), Use("quality", vectors))
        return Arm(task, f"The vectors of {task}, as similarity to the history and as text quality.", uses)
    return Arm(task, f"The vectors of {task}, concatenated to the backbone's input.", (Use("concat", vectors),))


def choose_arms(names: Sequence[str] | None, tasks: Mapping[str, tuple[str, Sequence[str]]]) -> list[Arm]:
    """Take arms by name; all of a full comparison when none is named.

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
        if encoders and entity in ("item", "user")
    }
    wanted = list(known) if names is None else list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in known and name not in own]
    if unknown:
        raise UnknownArm(unknown, [*known, *own])
    return [known.get(name) or own[name] for name in wanted]


def disturb(knowledge: Knowledge, disturbance: Disturbance, seed: int = 0) -> Knowledge:
    """Shuffle vectors across rows, or replace them by random ones; what is about whom stays.

    All encoders of a task are shuffled alike: texts move, not vectors. Random vectors are independent of each other.
    """
    if disturbance == "shuffled":
        place = np.random.default_rng(seed).permutation(len(knowledge.vectors))
        return replace(knowledge, vectors=knowledge.vectors[place])
    if disturbance == "random":
        random = np.random.default_rng([seed, *f"{knowledge.task}/{knowledge.encoder}".encode()])
        noise = random.standard_normal(knowledge.vectors.shape, dtype=np.float32)
        return replace(knowledge, vectors=noise / np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-9))
    return knowledge
