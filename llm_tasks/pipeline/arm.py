"""The seam of an arm: what is compared. It says which vectors and codes enter by which adapters; its controls follow.

An arm is declared in the file of the technique that feeds it, as an object at the top: `KNOWLEDGE = Arm(...)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FACTS = "item_facts"
"""The task whose text is the catalogue's own, without a model's answer."""
CODES = "codes"
"""What the name of a set of codes begins with beside those of vectors: `codes/rqvae`."""
COMPARED = f"{FACTS}/dense"
"""The vectors of items by which an arm finds examples that are like a sample."""
Disturbance = Literal["none", "shuffled", "random", "reasonings_shuffled", "reasonings_left_out", "examples_by_chance"]


@dataclass(frozen=True)
class Use:
    """One adapter, fed with some vectors, some sets of codes, or both."""

    adapter: str
    """Name of the adapter."""
    vectors: tuple[str, ...] = ()
    """What it reads: `task/encoder` each. A control may name one twice, so that it has as many as its arm."""
    codes: tuple[str, ...] = ()
    """Sets of codes that it reads behind the vectors, by name."""

    @property
    def reads(self) -> tuple[str, ...]:
        """All that it reads, in order: vectors as `task/encoder`, codes as `codes/NAME`."""
        return (*self.vectors, *(f"{CODES}/{name}" for name in self.codes))


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
    """What is done to vectors and codes before they enter."""
    learns: bool = True
    """Whether a model is trained at all."""
    controls: str | None = None
    """How the names of its controls begin; `NAME-` when left out."""
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Vectors -> those that stand for them where no model is asked; the same encoder's vectors of item_facts for all
    others."""

    @property
    def vectors(self) -> tuple[str, ...]:
        """All vectors the arm reads, each once."""
        return tuple(dict.fromkeys(name for use in self.uses for name in use.vectors))

    @property
    def codes(self) -> tuple[str, ...]:
        """All sets of codes the arm reads, each once."""
        return tuple(dict.fromkeys(name for use in self.uses for name in use.codes))
