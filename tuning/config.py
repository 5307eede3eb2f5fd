"""How a model is tuned: one frozen object that Python, the command line and the tests share."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from base.faults import WrongUse
from base.frozen import Frozen

TIED = 1e-6
"""Rewards that lie no farther apart count as equal: neither of the two answers is the better one."""


class StepConfig(Frozen):
    """What every tuning needs: what of the model moves, how fast, and how much at once."""

    method: Literal["lora", "full"] = "lora"
    """lora: an adapter beside the model, which vLLM serves with it; full: all weights, a model of its own."""
    epochs: int = Field(default=1, ge=1)
    """Passes over all rows."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """Highest rate; it rises over the warm-up and falls linearly to nothing. LoRA often takes ten times the default."""
    warm_up: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps over which the rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of AdamW."""
    row_tokens: int = Field(default=1_024, ge=16)
    """Tokens of one row of a batch: several examples are packed into it, a longer example is left out."""
    batch_rows: int = Field(default=8, ge=1)
    """Rows in one optimiser step."""
    rows_at_once: int = Field(default=2, ge=1)
    """Rows that pass through the model together at most; fewer need less memory and give the same step."""
    pack: bool = True
    """Several examples in one row, which do not see each other; without, each has a row of its own, which is slower."""
    rank: int = Field(default=16, ge=1)
    """Rank of the adapter (LoRA)."""
    alpha: int = Field(default=32, ge=1)
    """The adapter counts alpha / rank times (LoRA)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapter (LoRA)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the computation; weights that are tuned are float32 in either, for small steps vanish in 16."""
    save_every: int = Field(default=100, ge=1)
    """Steps between two checkpoints, from which a stopped tuning goes on."""
    seed: int = Field(default=0, ge=0)
    """Decides which rows are taken, their order and the adapter's first weights."""
    merged: Path | None = Field(default=None, exclude=True)  # it decides nothing of what is learnt
    """Also write the model with the adapter merged in, to this new folder."""

    @property
    def together(self) -> int:
        """Rows that pass through the model together: the most that divide a step and are at most `rows_at_once`."""
        most = min(self.rows_at_once, self.batch_rows)
        return max(rows for rows in range(1, most + 1) if self.batch_rows % rows == 0)


def check_merged(config: StepConfig, **further: Path | None) -> None:
    """See that what is written beside the tuned model can be written.

    Args:
        config: Its method and `merged`.
        further: Other new files by the name of their option.

    Raises:
        WrongUse: There is no adapter to merge, or something is there already.
    """
    faults: list[str] = []
    if config.merged is not None and config.method == "full":
        faults.append("--merged: a model that is tuned whole has no adapter to merge\n  leave it out")
    for option, path in {"merged": config.merged, **further}.items():
        if path is not None and path.exists():
            faults.append(f"--{option}: {path} is there already\n  name a new one")
    if faults:
        raise WrongUse("\n".join(faults))


class TuningConfig(StepConfig):
    """How a model is tuned on recommendation rows and instructions."""

    share: float = Field(default=0.5, ge=0, le=1)
    """Share of the training events that may become rows; 0 = none, so that the instructions alone are learnt."""
    history_length: int = Field(default=20, ge=1)
    """Earlier events that a recommendation row shows, the newest ones."""
    held_out: int = Field(default=200, ge=0)
    """Recommendation rows that are not learnt, on which the model is measured before and after."""


class RewriteConfig(StepConfig):
    """How a model is tuned to rewrite queries."""

    candidates: int = Field(default=4, ge=2)
    """Rewrites of a query that are ranked, the first ones of those given (BEQUE: n = 4)."""
    results: int = Field(default=50, ge=1)
    """Results of a search by which a rewrite is judged."""
    min_relevance: float = Field(default=0.1, ge=0, le=1)
    """A rewrite is learnt only when more than this share of what it finds is relevant (tau_rele)."""
    min_increment: float = Field(default=0.0, ge=0)
    """A rewrite is learnt only when it adds more than this share of relevant results (tau_incr)."""
    relevance_weight: float = Field(default=1.0, ge=0)
    """Weight of relevance in the reward."""
    increment_weight: float = Field(default=1.0, ge=0)
    """Weight of increment in the reward, as increment / (1 + increment)."""
    hitrate_weight: float = Field(default=1.0, ge=0)
    """Weight of hitrate in the reward, where users engaged with something; it counts up to 1."""
    rewrite_share: float = Field(default=0.4, ge=0)
    """Share of rows: query -> rewrite."""
    thought_share: float = Field(default=0.2, ge=0)
    """Share of rows: query -> thought and rewrite."""
    quality_share: float = Field(default=0.2, ge=0)
    """Share of rows: query and rewrite -> Yes or No."""
    title_share: float = Field(default=0.2, ge=0)
    """Share of rows: query -> title of an item that users engaged with."""
    ranking_weight: float = Field(default=1.0, ge=0)
    """Weight of the ranking loss beside the likelihood of the best rewrite (lambda)."""
    pair_scale: float = Field(default=1.0, gt=0)
    """How much a difference of scores counts in the pairwise loss."""


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
