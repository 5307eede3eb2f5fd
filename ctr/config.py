"""Training configuration: one frozen object that Python, the command line and the flows share."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from base.frozen import Frozen

CalibrationName = Literal["temperature", "platt", "isotonic"]
"""The ways to calibrate probabilities, see `ctr.calibration`."""


class ExamplesConfig(Frozen):
    """How arms show in-context examples (LLM-CF)."""

    count: int = Field(default=4, ge=2, multiple_of=2)
    """Examples shown to each sample, an even number: half of them liked, half not."""
    strict: bool = True
    """Show only examples strictly earlier than the sample; if false, as published, also later ones of other users."""
    alpha: float = Field(default=1.0, ge=0)
    """Weight of the loss for predicting an example's reasoning from its fields."""


class TreesConfig(Frozen):
    """How to grow gradient-boosted trees (backbones `gbdt` and `blend`)."""

    count: int = Field(default=150, ge=1)
    """Number of trees."""
    learning_rate: float = Field(default=0.08, gt=0)
    """Share of each tree that is added."""
    leaves: int = Field(default=15, ge=2)
    """Leaves of a tree."""
    least_samples: int = Field(default=100, ge=1)
    """Minimum number of training samples in a leaf."""
    column_share: float = Field(default=0.3, gt=0, le=1)
    """Share of the columns that a tree may read."""
    row_share: float = Field(default=0.8, gt=0, le=1)
    """Share of the training samples that a tree sees."""
    penalty: float = Field(default=10.0, ge=0)
    """L2 penalty on the values of leaves."""
    bins: int = Field(default=127, ge=2)
    """Maximum number of bins per column."""


class Trial(Frozen):
    """One setting to try on validation rows before an arm is trained."""

    learning_rate: float = Field(gt=0)
    """Rate of the first optimiser step."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the training samples at most."""


class TrainConfig(Frozen):
    """How to train an arm; the defaults are the base of docs/benchmarks.md, chosen on validation rows."""

    settings: Path | None = Field(default=None, exclude=True)
    """File with settings of this section, such as one that `knowflow search-settings` wrote, relative to knowflow.yaml;
    what knowflow.yaml says itself counts."""
    backbone: str = "blend"
    """Model that scores a sample: a network (autoint, dcnv2, deepfm, din, finalmlp, fm, gdcn, hstu, lr, sim),
    gradient-boosted trees (`gbdt`), the mean of the logits of dcnv2 and trees (`blend`), or one of your own under
    `plugins:`."""
    embedding_dim: int = Field(default=8, ge=1)
    """Width of every embedding; on small data 8 is at least as good as 32 and twice as fast."""
    learning_rate: float = Field(default=6e-3, gt=0)
    """Rate of the first optimiser step; it falls linearly to about 0 at the last."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """Decoupled weight decay of AdamW."""
    batch_size: int = Field(default=512, ge=1)
    """Samples in one optimiser step; fewer on a log of less than 25,600 training rows (`ctr.schedule`)."""
    sparse_from: int = Field(default=100_000, ge=1)
    """Users, or items, from which their embeddings learn by row-wise Adagrad, which updates those in the batch; fewer
    learn by AdamW, which updates all in every step."""
    epochs: int = Field(default=1, ge=1)
    """Maximum number of passes over the training samples; on small data a second one only memorises ids. Below 1,600
    training rows there are more, so that there are enough steps."""
    fit_to_rows: bool = True
    """Fit batch size, epochs and leaves of trees to the number of training rows, as said of each; when false, they are
    taken as they are."""
    patience: int = Field(default=1, ge=1)
    """Epochs without a better validation AUC after which training stops."""
    folds: int = Field(default=5, ge=2)
    """Number of item folds for everything that is fitted out of fold, such as text quality."""
    search: tuple[Trial, ...] = (
        Trial(learning_rate=6e-3),
        Trial(learning_rate=3e-3),
        Trial(learning_rate=2e-3, epochs=2),
    )
    """Settings that every arm with a network tries on validation rows, with the first seed, before it is trained;
    `learning_rate` and `epochs` apply if this is empty."""
    rating_weight: float = Field(default=0.0, ge=0)
    """Weight of a second loss, over ratings: a head beside that of clicks learns them from the same embeddings, of a
    network and of the network of `blend`. Scores stay those of clicks. 0 = clicks alone."""
    calibration: CalibrationName | None = None
    """Correct the probabilities by a map fitted on validation rows: one factor of the logits (`temperature`), a line
    over them (`platt`) or any rising curve (`isotonic`, which needs thousands of rows). Null: they stay as trained."""
    trees: TreesConfig = TreesConfig()
    """How to grow trees."""
    examples: ExamplesConfig = ExamplesConfig()
    """How arms show examples."""
    rolling: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9)
    """Cuts of rolling time, as shares of all events: at each cut, models are trained again on everything before it, and
    evaluated until the next one. Empty: only the split is evaluated."""
    arms: tuple[str, ...] | None = None
    """The arms to compare; by default constant, base, facts, knowledge, shuffled and random."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    """Seeds, one training run each; the report shows mean and spread."""

    @field_validator("rolling")
    @classmethod
    def _rising(cls, cuts: tuple[float, ...]) -> tuple[float, ...]:
        if list(cuts) != sorted(set(cuts)) or not all(0 < cut < 1 for cut in cuts):
            raise ValueError("must be shares between 0 and 1, each larger than the one before, such as [0.5, 0.75]")
        return cuts
