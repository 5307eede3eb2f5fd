"""The interface of an arm, one variant in a comparison: which adapters read which vectors and codes.

An arm is declared at the top of the file of the technique that feeds it: `KNOWLEDGE = Arm(...)`. Its controls are
derived from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FACTS = "item_facts"
"""The task whose text comes from the catalogue alone, without a model's answer."""
CODES = "codes"
"""Prefix that tells a set of codes from vectors: `codes/rqvae`."""
COMPARED = f"{FACTS}/dense"
"""The item vectors by which an arm finds examples similar to a sample."""
Disturbance = Literal["none", "shuffled", "random", "reasonings_shuffled", "reasonings_left_out", "examples_by_chance"]


@dataclass(frozen=True)
class Use:
    """One adapter and its inputs: vectors, sets of codes, or both."""

    adapter: str
    """Name of the adapter."""
    vectors: tuple[str, ...] = ()
    """Vectors that it reads, each as `task/encoder`. A control may repeat one, to have as many as its arm."""
    codes: tuple[str, ...] = ()
    """Names of the sets of codes that it reads, after the vectors."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Return all its inputs in order: vectors as `task/encoder`, codes as `codes/NAME`."""
        return (*self.vectors, *(f"{CODES}/{name}" for name in self.codes))


@dataclass(frozen=True)
class Arm:
    """One way to build the model."""

    name: str
    """Its name in every table."""
    about: str
    """A description in one sentence."""
    uses: tuple[Use, ...] = ()
    """The adapters; empty = the plain backbone."""
    disturbance: Disturbance = "none"
    """What is done to vectors and codes before the adapters read them."""
    learns: bool = True
    """Whether a model is trained."""
    controls: str | None = None
    """Prefix of the names of its controls; `NAME-` if not given."""
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Vectors -> those that replace them in the control without a model; by default, those of item_facts by the same
    encoder."""

    @property
    def vectors(self) -> tuple[str, ...]:
        """Return all vectors that the arm reads, each once."""
        return tuple(dict.fromkeys(name for use in self.uses for name in use.vectors))

    @property
    def codes(self) -> tuple[str, ...]:
        """Return all sets of codes that the arm reads, each once."""
        return tuple(dict.fromkeys(name for use in self.uses for name in use.codes))
