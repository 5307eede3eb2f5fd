"""Options of tuning: one frozen object that Python, the command line and the tests share."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from base.faults import WrongUse
from base.frozen import Frozen

TIED = 1e-6
"""Rewards that differ by at most this count as equal: neither answer is better."""


class StepConfig(Frozen):
    """Options that every tuning shares: what to tune, how fast, and how much at once."""

    method: Literal["lora", "full"] = "lora"
    """lora: an adapter for the model, which vLLM can serve; full: all weights, which gives a standalone model."""
    epochs: int = Field(default=1, ge=1)
    """Passes over all rows."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """Peak learning rate; it rises during warm-up and falls linearly to 0. LoRA often needs ten times the default."""
    warm_up: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps during which the rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of AdamW."""
    row_tokens: int = Field(default=1_024, ge=16)
    """Tokens per row of a batch: several examples are packed into a row; a longer example is left out."""
    batch_rows: int = Field(default=8, ge=1)
    """Rows per optimiser step."""
    rows_at_once: int = Field(default=2, ge=1)
    """Maximum rows that pass through the model together; fewer need less memory and give the same step."""
    pack: bool = True
    """Pack several examples into a row, without seeing each other; otherwise each has its own row, which is slower."""
    share_prompts: bool = False
    """Pass the common beginning of the prompts of a row through the model once: the same result from fewer tokens if
    instructions are longer than the data in them."""
    rank: int = Field(default=16, ge=1)
    """Rank of the adapter (LoRA)."""
    alpha: int = Field(default=32, ge=1)
    """Scale of the adapter: its output is multiplied by alpha / rank (LoRA)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapter (LoRA)."""
    noise_weight: float = Field(default=0.0, ge=0)
    """Weight of R3F: predictions should not change when embeddings get a little noise, which preserves what the model
    could before. 0 = off; otherwise every step takes twice as long. For supervised tuning."""
    noise_radius: float = Field(default=1e-5, gt=0)
    """The largest noise in an element of an embedding (R3F)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the computation; tuned weights are always float32, because 16 bits lose small steps."""
    save_every: int = Field(default=100, ge=1)
    """Steps between two checkpoints, from which a stopped tuning resumes."""
    seed: int = Field(default=0, ge=0)
    """Decides which rows are used, their order and the adapter's initial weights."""
    merged: Path | None = Field(default=None, exclude=True)  # does not affect what is learned
    """Also write the model with the adapter merged in, to this new folder."""

    @property
    def together(self) -> int:
        """Return how many rows pass through the model together: the largest divisor of a step up to `rows_at_once`."""
        most = min(self.rows_at_once, self.batch_rows)
        return max(rows for rows in range(1, most + 1) if self.batch_rows % rows == 0)


def check_merged(config: StepConfig, **further: Path | None) -> None:
    """Check that the additional outputs can be written.

    Args:
        config: Gives the method and `merged`.
        further: Other new files, by the name of their option.

    Raises:
        WrongUse: There is no adapter to merge, or a path already exists.
    """
    faults: list[str] = []
    if config.merged is not None and config.method == "full":
        faults.append("--merged: --method full has no adapter to merge\n  leave it out")
    for option, path in {"merged": config.merged, **further}.items():
        if path is not None and path.exists():
            faults.append(f"--{option}: {path} already exists\n  give a new path")
    if faults:
        raise WrongUse("\n".join(faults))


class TuningConfig(StepConfig):
    """Options of tuning on recommendation rows and instructions."""

    share: float = Field(default=0.5, ge=0, le=1)
    """Share of the training events that may become rows; 0 = none, so that only the instructions are learned."""
    history_length: int = Field(default=20, ge=1)
    """Maximum number of earlier events in a recommendation row; the newest are used."""
    held_out: int = Field(default=200, ge=0)
    """Number of recommendation rows held out to measure the model before and after."""


class RewriteConfig(StepConfig):
    """Options of tuning a model to rewrite queries."""

    candidates: int = Field(default=4, ge=2)
    """Rewrites to rank per query, the first ones given (BEQUE: n = 4)."""
    results: int = Field(default=50, ge=1)
    """Number of search results by which a rewrite is judged."""
    min_relevance: float = Field(default=0.1, ge=0, le=1)
    """A rewrite is learned only if more than this share of its results is relevant (tau_rele)."""
    min_increment: float = Field(default=0.0, ge=0)
    """A rewrite is learned only if it adds more than this share of relevant results (tau_incr)."""
    relevance_weight: float = Field(default=1.0, ge=0)
    """Weight of relevance in the reward."""
    increment_weight: float = Field(default=1.0, ge=0)
    """Weight of increment in the reward, as increment / (1 + increment)."""
    hitrate_weight: float = Field(default=1.0, ge=0)
    """Weight of hitrate in the reward, if users engaged with something; hitrate counts up to 1."""
    rewrite_share: float = Field(default=0.4, ge=0)
    """Share of rows: query -> rewrite."""
    thought_share: float = Field(default=0.2, ge=0)
    """Share of rows: query -> thought and rewrite."""
    quality_share: float = Field(default=0.2, ge=0)
    """Share of rows: query and rewrite -> Yes or No."""
    title_share: float = Field(default=0.2, ge=0)
    """Share of rows: query -> title of an item that users engaged with."""
    ranking_weight: float = Field(default=1.0, ge=0)
    """Weight of the ranking loss relative to the likelihood of the best rewrite (lambda)."""
    pair_scale: float = Field(default=1.0, gt=0)
    """Scale of score differences in the pairwise loss."""


class ContrastiveConfig(Frozen):
    """Options of tuning an encoder on pairs of notes."""

    method: Literal["projection", "lora", "full"] = "projection"
    """projection: a linear map after the frozen encoder, which takes a minute; lora: also an adapter on every linear
    layer, merged at the end; full: also all weights of the layers above `frozen_layers`."""
    dimension: int = Field(default=0, ge=0)
    """Length of the vectors (published: 128); 0 = the encoder's own length, and the projection starts as the identity.
    A shorter one starts with the main directions in which notes differ if nothing else is tuned, else at random, as
    published."""
    frozen_layers: int = Field(default=0, ge=0)
    """full: keep the embeddings and this many of the lowest layers unchanged; 0 = nothing is frozen."""
    epochs: int = Field(default=5, ge=1)
    """Passes over all pairs."""
    batch_pairs: int = Field(default=512, ge=2)
    """Pairs per step over all processes: every other note of the step is a negative."""
    notes_at_once: int = Field(default=64, ge=1)
    """Maximum notes that pass through the model together: memory depends on this, not on `batch_pairs`."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate; it rises during warm-up and falls linearly to 0. Use a lower one with lora or full."""
    tau: float = 3.0
    """Initial value of the learned temperature; similarities are multiplied by e^tau."""
    tau_rate: float = Field(default=1e-2, ge=0)
    """Learning rate of the temperature; 0 keeps it fixed."""
    warm_up: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps during which the rates rise."""
    weight_decay: float = Field(default=0.001, ge=0)
    """Decoupled weight decay of AdamW."""
    alpha: float = Field(default=0.01, ge=0)
    """Weight of generating category and hashtags relative to the contrastive loss; an encoder that is not a language
    model generates nothing."""
    hashtag_share: float = Field(default=0.4, ge=0, le=1)
    """Share of the notes that learn hashtags; the others learn the category."""
    debias: float = Field(default=0.5, ge=0)
    """How far to correct the loss for popular notes being negatives more often: 1 learns what people go on to, 0 how
    much more often than by chance (docs/how-to/tune-encoder.md has both)."""
    hide_known: bool = True
    """Never use two notes that are a pair in the data as negatives of each other."""
    rank: int = Field(default=16, ge=1)
    """lora: rank of the adapter."""
    max_tokens: int = Field(default=128, ge=16)
    """Maximum tokens of a note for a sentence encoder; for a language model, title and content are cut separately."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the computation; tuned weights are always float32."""
    validation: float = Field(default=0.1, ge=0, lt=1)
    """Share of the training items whose pairs are not learned but used to measure recall before and after."""
    written: int = Field(default=500, ge=0)
    """Maximum unlearned items whose category and hashtags a language model writes before and after."""
    save_every: int = Field(default=50, ge=1)
    """Steps between two checkpoints, from which a stopped tuning resumes."""
    seed: int = Field(default=0, ge=0)
    """Decides the order of the pairs, the sampled outputs and the initial weights."""
