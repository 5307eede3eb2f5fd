"""How a model is tuned: one frozen object that Python, the command line and the tests share."""

from typing import Literal

from pydantic import Field

from base.frozen import Frozen


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

    @property
    def together(self) -> int:
        """Rows that pass through the model together: the most that divide a step and are at most `rows_at_once`."""
        most = min(self.rows_at_once, self.batch_rows)
        return max(rows for rows in range(1, most + 1) if self.batch_rows % rows == 0)


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
