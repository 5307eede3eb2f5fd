"""A second task: predict the rating beside the click, from the same embeddings; only clicks are scored.

The two heads share the embeddings of ids, categories and history, and the adapters (hard parameter sharing: Caruana
1997, "Multitask Learning"; shared embeddings under separate towers as in Ma et al. 2018, "Entire Space Multi-Task
Model", section 2.3). The loss is `weight` times the squared error of the standardised rating, over the rows that have a
rating. Mean and deviation are those of the training rows.
"""

import numpy as np
import torch
from torch import Tensor, nn

from base.faults import WrongUse
from ctr.backbones.perceptron import perceptron
from ctr.batch import States
from ctr.samples import Samples
from sources.events import PARTS

HIDDEN = (64,)


class RatingHead(nn.Module):
    """Predicts ratings.

    Args:
        inputs: Length of fields and dense values together, F * d + k.
        weight: Weight of its loss.
        mean: Mean rating of the training rows.
        deviation: Standard deviation of these ratings.
    """

    def __init__(self, inputs: int, weight: float, mean: float, deviation: float) -> None:
        super().__init__()
        self.deep, self.out, self.weight = perceptron(inputs, HIDDEN), nn.Linear(HIDDEN[-1], 1), weight
        self.scale = nn.Buffer(torch.tensor([mean, deviation], dtype=torch.float32))  # kept with the parameters

    def forward(self, states: States) -> Tensor:
        """Predict ratings: [B, F, d] and [B, k] -> [B], in the units of the log."""
        mean, deviation = self.scale
        return mean + deviation * self._standardised(states)

    def loss(self, states: States, rating: Tensor, known_rows: Tensor | None = None) -> Tensor:
        """Weigh the mean squared error.

        Args:
            states: Of B rows.
            rating: [B], NaN = no rating.
            known_rows: What the sum is divided by, see `ctr.distributed.own_part`; None = the rows with a rating.

        Returns:
            [].
        """
        mean, deviation = self.scale
        known = ~rating.isnan()
        error = torch.where(known, self._standardised(states) - (rating - mean) / deviation, 0.0)
        count = known.sum() if known_rows is None else known_rows
        return self.weight * error.square().sum() / torch.where(count > 0, count, 1)

    def _standardised(self, states: States) -> Tensor:
        return self.out(self.deep(torch.cat([states.fields.flatten(1), states.dense], dim=1))).squeeze(1)


def ratings_of(samples: Samples) -> np.ndarray:
    """Return the ratings of all rows: [N] float32, NaN where a row has none."""
    return samples.rating if samples.rated is None else np.where(samples.rated, samples.rating, np.float32("nan"))


def make_rating_head(samples: Samples, weight: float, inputs: int) -> RatingHead:
    """Make a head on the scale of the training rows' ratings; a kept model's own scale is read with its parameters."""
    rating = ratings_of(samples)[samples.part == PARTS.index("train")].astype(np.float64)
    known = rating[~np.isnan(rating)]
    mean, deviation = (float(known.mean()), float(known.std())) if len(known) else (0.0, 1.0)
    return RatingHead(inputs, weight, mean, max(deviation, 1e-6))


def check_ratings(samples: Samples) -> None:
    """Check that training rows have ratings.

    Raises:
        WrongUse: None has.
    """
    if np.isnan(ratings_of(samples)[samples.part == PARTS.index("train")]).all():
        raise WrongUse(
            "train.rating_weight asks for a second loss over ratings, and no training row has a rating\n"
            "  name the column in knowflow.yaml under events: rating:, or leave rating_weight out"
        )
