"""How an encoder of notes is tuned, and which items it must not see."""

import hashlib
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from base.frozen import Frozen


class ContrastiveConfig(Frozen):
    """How an encoder is tuned on pairs of notes."""

    method: Literal["projection", "lora", "full"] = "projection"
    """projection: a linear map after the frozen encoder, which takes a minute; lora: an adapter on every linear layer
    too, merged in the end; full: all weights of the layers above `frozen_layers` too."""
    dimension: int = Field(default=0, ge=0)
    """Length of the vectors (published: 128); 0 = as long as the encoder's own, and the projection then begins as the
    identity. A shorter one begins with the directions in which notes differ most where nothing else is tuned, else by
    chance, as published."""
    frozen_layers: int = Field(default=0, ge=0)
    """full: the embeddings and that many of the lowest layers stay as they are; 0 = nothing is frozen."""
    epochs: int = Field(default=5, ge=1)
    """Passes over all pairs."""
    batch_pairs: int = Field(default=512, ge=2)
    """Pairs in one step over all processes: every other note of them is a negative."""
    notes_at_once: int = Field(default=64, ge=1)
    """Notes that pass through the model together at most: memory depends on this and not on `batch_pairs`."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Highest rate; it rises over the warm-up and falls linearly to nothing. With lora or full it wants to be lower."""
    tau: float = 3.0
    """First value of the learnt temperature; similarities count e^tau times."""
    tau_rate: float = Field(default=1e-2, ge=0)
    """Learning rate of the temperature; 0 keeps it."""
    warm_up: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the rates rise."""
    weight_decay: float = Field(default=0.001, ge=0)
    """Decoupled weight decay of AdamW."""
    alpha: float = Field(default=0.01, ge=0)
    """Weight of the generated category and hashtags against the contrastive loss; an encoder that is no language model
    generates nothing."""
    hashtag_share: float = Field(default=0.4, ge=0, le=1)
    """Share of the notes that learn hashtags; the others learn the category."""
    debias: float = Field(default=0.5, ge=0)
    """How far the loss is corrected for popular notes being negatives more often: 1 learns who goes on to what, 0 how
    much more often than by chance (docs/how-to/tune-encoder.md has both)."""
    hide_known: bool = True
    """Notes that are a pair in the data are never negatives of each other."""
    rank: int = Field(default=16, ge=1)
    """lora: rank of the adapter."""
    max_tokens: int = Field(default=128, ge=16)
    """Longer notes of a sentence encoder are cut here; those of a language model are cut by title and content."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the computation; weights that are tuned are float32 in either."""
    validation: float = Field(default=0.1, ge=0, lt=1)
    """Share of the training items whose pairs are not learnt, on which recall is measured before and after."""
    written: int = Field(default=500, ge=0)
    """Items that are not learnt, at most, whose category and hashtags a language model writes before and after."""
    save_every: int = Field(default=50, ge=1)
    """Steps between two checkpoints, from which a stopped tuning goes on."""
    seed: int = Field(default=0, ge=0)
    """Decides the order of the pairs, the drawn outputs and first weights."""


def share_of(items: Iterable[str], share: float, salt: str) -> list[str]:
    """Draw items by their name alone, so that a new item changes nothing for the others.

    Args:
        items: Ids.
        share: About how many of them, 0 to 1.
        salt: Another one gives another draw.

    Returns:
        Sorted ids.

    Example:
        >>> share_of(["a", "b"], 1.0, "test"), share_of(["a", "b"], 0.0, "test")
        (['a', 'b'], [])
    """

    def drawn(item: str) -> bool:
        return int.from_bytes(hashlib.sha256(f"{salt}/{item}".encode()).digest()[:8], "big") < share * 2**64

    return sorted(item for item in set(items) if drawn(item))
